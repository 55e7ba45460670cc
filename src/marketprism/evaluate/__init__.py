"""Splitters, walk-forward, metrics, significance, controls."""
