"""Causal input transforms for trend states: each value uses rows up to its own, inside its own segment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from marketprism.core.errors import ConfigError, DataError

__all__ = [
    "downside_deviation",
    "ewma",
    "fast_minus_slow",
    "macd",
    "momentum_sum",
    "relative_strength",
    "rolling_mean",
    "rolling_zscore",
    "stochastic_k",
]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


def ewma(values: npt.ArrayLike, span: int, segments: npt.ArrayLike | None = None) -> _Floats:
    """Exponentially weighted mean with weights summing to one from the first value on (no start-up bias).

    ``m_t = sum_k (1-a)^k x_{t-k} / sum_k (1-a)^k`` over the values of the segment, ``a = 2 / (span + 1)``.

    Parameters
    ----------
    values : array-like of shape (n,)
        In row order; NaN enters no mean.
    span : int
        In rows; at least 1.
    segments : array-like of int, optional
        The mean starts afresh where it changes.

    Returns
    -------
    ndarray of shape (n,)
        In the unit of ``values``; NaN where the value is.

    Examples
    --------
    >>> ewma([1.0, 3.0], 1).tolist()
    [1.0, 3.0]
    """
    x, segment = _vectors(values, segments)
    return np.asarray(_ewma(x, segment, 2.0 / (_at_least("span", span, 1) + 1.0)))


def rolling_mean(values: npt.ArrayLike, window: int, segments: npt.ArrayLike | None = None) -> _Floats:
    """Mean of the last ``window`` values (the trend mean of returns); NaN until all are there and finite.

    Examples
    --------
    >>> rolling_mean([1.0, 2.0, 4.0], 2).tolist()
    [nan, 1.5, 3.0]
    """
    x, segment = _vectors(values, segments)
    return np.asarray(_windowed(x, segment, _at_least("window", window, 1), 0))


def momentum_sum(returns: npt.ArrayLike, window: int, segments: npt.ArrayLike | None = None) -> _Floats:
    """Sum of the last ``window`` returns; NaN until all are there and finite.

    Examples
    --------
    >>> momentum_sum([1.0, 2.0, 4.0], 2).tolist()
    [nan, 3.0, 6.0]
    """
    return rolling_mean(returns, window, segments) * window


def fast_minus_slow(
    returns: npt.ArrayLike, fast: int = 5, slow: int = 20, segments: npt.ArrayLike | None = None
) -> _Floats:
    """Mean of the last ``fast`` returns minus that of the last ``slow``; NaN until the slow window is full.

    Raises
    ------
    ConfigError
        ``fast`` is not below ``slow``.
    """
    _ordered(fast, slow)
    return rolling_mean(returns, fast, segments) - rolling_mean(returns, slow, segments)


def downside_deviation(returns: npt.ArrayLike, window: int = 20, segments: npt.ArrayLike | None = None) -> _Floats:
    """``sqrt(mean(min(r, 0)^2))`` over the last ``window`` returns; NaN until all are there and finite.

    Examples
    --------
    >>> downside_deviation([3.0, -2.0], 2).round(4).tolist()
    [nan, 1.4142]
    """
    x, segment = _vectors(returns, segments)
    squares = np.asarray(_windowed(np.square(np.minimum(x, 0.0)), segment, _at_least("window", window, 1), 0))
    return np.asarray(np.sqrt(squares))


def rolling_zscore(values: npt.ArrayLike, window: int, segments: npt.ArrayLike | None = None) -> _Floats:
    """``(x - mean) / std`` over the last ``window`` values, its own included (population std).

    NaN until the window is full and finite; 0 where the window is constant.

    Examples
    --------
    >>> rolling_zscore([1.0, 2.0, 2.0], 2).tolist()
    [nan, 1.0, 0.0]
    """
    x, segment = _vectors(values, segments)
    return np.asarray(_windowed(x, segment, _at_least("window", window, 2), 1))


def relative_strength(returns: npt.ArrayLike, window: int = 14, segments: npt.ArrayLike | None = None) -> _Floats:
    """Relative strength index, ``100 * sum of rises / sum of moves`` over the last ``window`` returns, 0 to 100.

    Cutler's form (plain sums), so that it needs no start-up. 50 where nothing moved; NaN until the window is full.

    Examples
    --------
    >>> relative_strength([1.0, 3.0, -1.0], 2).tolist()
    [nan, 100.0, 75.0]
    """
    x, segment = _vectors(returns, segments)
    _at_least("window", window, 1)
    rises = np.asarray(_windowed(np.maximum(x, 0.0), segment, window, 0))
    moves = np.asarray(_windowed(np.abs(x), segment, window, 0))
    share = np.divide(rises, moves, out=np.full(x.size, 0.5), where=moves > 0)
    return 100.0 * np.where(np.isnan(moves), np.nan, share)


def stochastic_k(
    prices: npt.ArrayLike,
    window: int = 14,
    segments: npt.ArrayLike | None = None,
    high: npt.ArrayLike | None = None,
    low: npt.ArrayLike | None = None,
) -> _Floats:
    """Stochastic %K, ``100 (p - lowest) / (highest - lowest)`` over the last ``window`` rows, 0 to 100 for mids.

    Parameters
    ----------
    prices : array-like of shape (n,)
        Quote currency.
    window : int
        In rows.
    segments : array-like of int, optional
        The window never reaches into an earlier segment.
    high, low : array-like, optional
        Highest and lowest price of each row; the price itself by default.

    Returns
    -------
    ndarray of shape (n,)
        50 where the range is empty; NaN until the window is full and finite.

    Examples
    --------
    >>> stochastic_k([1.0, 3.0, 2.0], 3).tolist()
    [nan, nan, 50.0]
    """
    x, segment = _vectors(prices, segments)
    top, bottom = (x if given is None else _vectors(given, segments)[0] for given in (high, low))
    _at_least("window", window, 1)
    highest, lowest = _windowed(top, segment, window, 2), -_windowed(-bottom, segment, window, 2)
    extent = highest - lowest
    share = np.divide(x - lowest, extent, out=np.full(x.size, 0.5), where=extent > 0)
    return 100.0 * np.where(np.isnan(extent + x), np.nan, share)


def macd(prices: npt.ArrayLike, fast: int, slow: int, segments: npt.ArrayLike | None = None) -> _Floats:
    """Fast minus slow EWMA of the log price: about the trend over the slow span; NaN where the price is not positive.

    Raises
    ------
    ConfigError
        ``fast`` is not below ``slow``.

    Examples
    --------
    >>> macd([1.0, 1.0], 8, 21).tolist()
    [0.0, 0.0]
    """
    _ordered(fast, slow)
    x, _ = _vectors(prices, segments)
    logs = np.log(np.where(x > 0, x, np.nan))
    return ewma(logs, fast, segments) - ewma(logs, slow, segments)


def _vectors(values: npt.ArrayLike, segments: npt.ArrayLike | None) -> tuple[_Floats, _Ints]:
    x = np.array(values, np.float64)
    segment = np.zeros(x.size, np.int64) if segments is None else np.array(segments, np.int64)
    if x.ndim != 1 or segment.shape != x.shape:
        raise DataError(f"values had shape {x.shape}, segments {segment.shape}", hint="pass two vectors of one length")
    x[~np.isfinite(x)] = np.nan
    return x, segment


def _at_least(name: str, value: int, least: int) -> int:
    if value < least:
        raise ConfigError(f"{name} was {value}", hint=f"it must be at least {least}")
    return value


def _ordered(fast: int, slow: int) -> None:
    if not 1 <= fast < slow:
        raise ConfigError(f"fast was {fast} and slow {slow}", hint="fast must be positive and below slow")


@njit(cache=True)
def _ewma(x: _Floats, segment: _Ints, alpha: float) -> _Floats:
    result = np.full(x.size, np.nan)
    total, weight = 0.0, 0.0
    for i in range(x.size):
        if i > 0 and segment[i] != segment[i - 1]:
            total, weight = 0.0, 0.0
        if np.isnan(x[i]):
            continue
        total = (1.0 - alpha) * total + x[i]
        weight = (1.0 - alpha) * weight + 1.0
        result[i] = total / weight
    return result


@njit(cache=True)
def _windowed(x: _Floats, segment: _Ints, window: int, kind: int) -> _Floats:
    """Mean (0), z-score of the last value (1) or maximum (2) of each full, finite window.

    Summed afresh for each row: no rounding drifts along the tape, and a NaN leaves with its window.
    """
    result = np.full(x.size, np.nan)
    run = 0
    for i in range(x.size):
        if i > 0 and segment[i] != segment[i - 1]:
            run = 0
        run = 0 if np.isnan(x[i]) else run + 1
        if run < window:
            continue
        total, highest = 0.0, x[i]
        for j in range(i - window + 1, i + 1):
            total += x[j]
            highest = max(highest, x[j])
        mean = total / window
        if kind == 0:
            result[i] = mean
        elif kind == 2:
            result[i] = highest
        else:
            square, lowest = 0.0, x[i]
            for j in range(i - window + 1, i + 1):
                square += (x[j] - mean) ** 2
                lowest = min(lowest, x[j])
            result[i] = (x[i] - mean) / np.sqrt(square / window) if highest > lowest else 0.0
    return result
