"""Bounded, exact windows for kernels: time rings, quantiles of the last values, decay by half-life."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["LOG_TWO", "decay", "last_at_or_before", "log_ratio", "replace_sorted", "window_sum"]

LOG_TWO = math.log(2.0)


@njit(cache=True, error_model="numpy")
def decay(elapsed_ns, rate):  # type: ignore[no-untyped-def]
    """Return what is left after ``elapsed_ns`` at ``rate`` (ln 2 over the half-life, in 1/ns)."""
    return math.exp(-rate * elapsed_ns)


@njit(cache=True, error_model="numpy")
def log_ratio(new, old):  # type: ignore[no-untyped-def]
    """Return ln(new/old); close values by the series 2 artanh((new-old)/(new+old)), faster and exacter than log."""
    x = (new - old) / (new + old)
    if abs(x) > 0.02:
        return math.log(new / old)
    y = x * x
    return 2.0 * x * (1.0 + y * (1.0 / 3.0 + y * (0.2 + y * (1.0 / 7.0 + y / 9.0))))


@njit(cache=True)
def last_at_or_before(times, head, count, time):  # type: ignore[no-untyped-def]
    """Return the ring slot of the newest entry with ``times[slot] <= time``, or -1.

    The ring's newest entry is at ``head - 1``; its ``count`` entries are ordered in time.
    """
    capacity = len(times)
    low, high = 0, count  # how many of the oldest entries are at or before the time
    while low < high:
        middle = (low + high) // 2
        if times[(head - count + middle) % capacity] <= time:
            low = middle + 1
        else:
            high = middle
    return -1 if low == 0 else (head - count + low - 1) % capacity


@njit(cache=True)
def replace_sorted(ordered, count, old, new):  # type: ignore[no-untyped-def]
    """Insert ``new`` into the first ``count`` ordered values; a full array drops one ``old`` for it."""
    if count < len(ordered):
        place = count
    else:
        place = np.searchsorted(ordered, old)
    while place > 0 and ordered[place - 1] > new:
        ordered[place] = ordered[place - 1]
        place -= 1
    while place + 1 < min(count + 1, len(ordered)) and ordered[place + 1] < new:
        ordered[place] = ordered[place + 1]
        place += 1
    ordered[place] = new


@njit(cache=True)
def window_sum(history, column, closed, length):  # type: ignore[no-untyped-def]
    """Return the sum of one column over the last ``length`` buckets, NaN while fewer have closed.

    ``history`` is a ring of buckets (rows), ``closed`` the number written since the last reset.
    """
    if closed < length:
        return np.nan
    total = 0.0
    slot = (closed - 1) % len(history)
    for _ in range(length):
        total += history[slot, column]
        slot = slot - 1 if slot > 0 else len(history) - 1
    return total
