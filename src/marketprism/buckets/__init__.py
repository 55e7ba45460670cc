"""Sampling clocks: volume (UBT), time, count, book-update, hybrid, adaptive."""
