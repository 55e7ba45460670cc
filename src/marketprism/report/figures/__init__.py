"""Drawings: each function takes arrays and returns one SVG text."""
