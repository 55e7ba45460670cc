"""Causal thresholds: quantiles of a trailing window of earlier values, and levels against them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from marketprism.core.errors import ConfigError

__all__ = ["past_levels", "past_quantiles"]

_Floats = npt.NDArray[np.float64]


def past_quantiles(values: npt.ArrayLike, shares: Sequence[float], window: int = 2000, least: int = 50) -> _Floats:
    """Quantiles of the last ``window`` known values before each row; the row's own value is not among them.

    Parameters
    ----------
    values : array-like of shape (n,)
        One series in time order; NaN is skipped.
    shares : sequence of float
        Quantiles asked for, 0 to 1 (linear interpolation).
    window, least : int
        Known values looked at, at most and at least.

    Returns
    -------
    ndarray of shape (n, len(shares))
        NaN until ``least`` earlier values are known.

    Examples
    --------
    >>> past_quantiles([1.0, 3.0, 5.0], [0.5], least=2).ravel().tolist()
    [nan, nan, 2.0]
    """
    wanted = np.array(shares, np.float64)
    if wanted.size == 0 or not ((wanted >= 0) & (wanted <= 1)).all():
        raise ConfigError(f"shares were {list(shares)}", hint="give quantiles between 0 and 1")
    if not 1 <= least <= window:
        raise ConfigError(f"least was {least} and window {window}", hint="1 <= least <= window")
    x = np.array(values, np.float64)
    x[~np.isfinite(x)] = np.nan
    return np.asarray(_quantiles(x, wanted, window, least))


def past_levels(values: npt.ArrayLike, shares: Sequence[float], window: int = 2000, least: int = 50) -> _Floats:
    """Return how many of the past quantiles each value exceeds: 0 (low) to ``len(shares)`` (high).

    A value that equals several of them (a series that hardly moves) counts half of those: it is middling, not low.

    Returns
    -------
    ndarray of shape (n,)
        NaN where the value is missing or too few earlier ones are known.

    Examples
    --------
    >>> past_levels([1.0, 3.0, 5.0, 0.0], [0.5], least=2).tolist()
    [nan, nan, 1.0, 0.0]
    """
    x = np.asarray(values, np.float64)
    bounds = past_quantiles(x, shares, window, least)
    level = ((x[:, None] > bounds).sum(axis=1) + (x[:, None] >= bounds).sum(axis=1)) // 2
    return np.where(np.isfinite(x) & np.isfinite(bounds).all(axis=1), level, np.nan)


@njit(cache=True)
def _quantiles(x: _Floats, shares: _Floats, window: int, least: int) -> _Floats:
    n = x.size
    result = np.full((n, shares.size), np.nan)
    ordered, recent = np.empty(window), np.empty(window)
    count, seen = 0, 0
    for i in range(n):
        if count >= least:
            for q in range(shares.size):
                place = shares[q] * (count - 1)
                low = int(np.floor(place))
                high = min(low + 1, count - 1)
                result[i, q] = ordered[low] + (place - low) * (ordered[high] - ordered[low])
        if np.isnan(x[i]):
            continue
        if count == window:
            at = np.searchsorted(ordered[:count], recent[seen % window])
            for j in range(at, count - 1):
                ordered[j] = ordered[j + 1]
            count -= 1
        at = np.searchsorted(ordered[:count], x[i])
        for j in range(count, at, -1):
            ordered[j] = ordered[j - 1]
        ordered[at] = x[i]
        recent[seen % window] = x[i]
        count += 1
        seen += 1
    return result
