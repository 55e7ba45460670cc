"""Sections of the backtest page, one to a module."""
