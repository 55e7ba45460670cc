"""Kernels behind the labels that look at the path: smoothed changes, barriers and path shapes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["first_touch", "path_shape", "smoothed_change"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


@njit(cache=True)
def smoothed_change(mid: _Floats, stretch: _Ints, steps: int, past: int) -> _Floats:
    """Log of the mean of the next ``steps`` mids over the mean of the last ``past``; NaN where one is missing."""
    n = mid.size
    result = np.full(n, np.nan)
    for i in range(n):
        first, last = i - past + 1, i + steps
        if first < 0 or last >= n or stretch[first] != stretch[i] or stretch[last] != stretch[i]:
            continue
        before, after = 0.0, 0.0
        for j in range(first, i + 1):
            before += mid[j]
        for j in range(i + 1, last + 1):
            after += mid[j]
        result[i] = np.log(after / steps) - np.log(before / past)
    return result


@njit(cache=True)
def first_touch(logs: _Floats, stretch: _Ints, above: _Floats, below: _Floats, steps: int) -> tuple[_Ints, _Ints]:
    """First later row, at most ``steps`` on, whose log price left ``(-below, above)`` around the row's own.

    Returns the row (-1 undefined: a barrier or price is missing, or the stretch ended first) and the barrier:
    1 upper, -1 lower, 0 the time limit.
    """
    n = logs.size
    touch, side = np.full(n, -1, np.int64), np.zeros(n, np.int64)
    for i in range(n):
        if np.isnan(above[i]) or np.isnan(below[i]) or np.isnan(logs[i]):
            continue
        for j in range(i + 1, min(i + steps, n - 1) + 1):
            if stretch[j] != stretch[i] or np.isnan(logs[j]):
                break
            move = logs[j] - logs[i]
            if move >= above[i] or move <= -below[i] or j == i + steps:
                touch[i] = j
                side[i] = 1 if move >= above[i] else -1 if move <= -below[i] else 0
                break
    return touch, side


@njit(cache=True)
def path_shape(logs: _Floats, stretch: _Ints, steps: int, share: float) -> tuple[_Ints, _Floats]:
    """Shape code of the next ``steps`` moves (-128 undefined) and the share of all movement that it explains."""
    n = logs.size
    shape, explained = np.full(n, -128, np.int64), np.full(n, np.nan)
    for i in range(n):
        last = i + steps
        if last >= n or stretch[last] != stretch[i] or np.isnan(logs[i]):
            continue
        total, highest, lowest = 0.0, logs[i], logs[i]
        for j in range(i + 1, last + 1):
            total += abs(logs[j] - logs[j - 1])
            highest, lowest = max(highest, logs[j]), min(lowest, logs[j])
        if np.isnan(total):
            continue
        net = logs[last] - logs[i]
        valley = logs[i] - lowest + logs[last] - lowest
        hill = highest - logs[i] + highest - logs[last]
        shape[i], explained[i] = 0, 0.0
        if total <= 0:
            continue
        explained[i] = max(abs(net), valley, hill) / total
        if abs(net) >= share * total:
            shape[i], explained[i] = (1 if net > 0 else -1), abs(net) / total
        elif max(valley, hill) >= share * total:
            shape[i] = 2 if valley >= hill else -2
    return shape, explained
