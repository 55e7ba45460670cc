"""Jumps: which returns are too large for the volatility around them (Lee and Mykland 2008), known with their row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numba import njit

from marketprism.core.errors import ConfigError, DataError
from marketprism.labels.forward import series_rows
from marketprism.labels.regimes import Regime
from marketprism.labels.state_inputs import bucket_returns, stretches

if TYPE_CHECKING:
    import polars as pl

__all__ = ["JumpTest", "frame_jumps", "jump_regime", "jump_threshold", "lee_mykland"]

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_MEAN_ABSOLUTE = math.sqrt(2 / math.pi)


@dataclass(frozen=True, slots=True)
class JumpTest:
    """Test of every return for a jump.

    Attributes
    ----------
    statistic : ndarray of shape (n,)
        Return over the volatility of the returns before it, signed; NaN where undefined.
    p_value : ndarray of shape (n,)
        Probability that the largest of ``tests`` returns without jumps is at least as large; NaN where undefined.
    jump : ndarray of bool, shape (n,)
        Where the statistic is above the threshold in size; False where undefined.
    threshold : float
        The smallest absolute statistic that is a jump.
    """

    statistic: _Floats
    p_value: _Floats
    jump: npt.NDArray[np.bool_]
    threshold: float

    @property
    def tested(self) -> int:
        """Return the number of returns that could be tested."""
        return int(np.isfinite(self.statistic).sum())

    @property
    def count(self) -> int:
        """Return the number of jumps."""
        return int(self.jump.sum())


def jump_threshold(significance: float, tests: int) -> tuple[float, float, float]:
    """Quantile of the largest of ``tests`` absolute statistics without jumps, as its Gumbel limit.

    ``P(max |L| > C + S beta) -> significance`` with ``beta = -log(-log(1 - significance))``,
    ``C = sqrt(2 log n) / c - (log pi + log log n) / (2 c sqrt(2 log n))``, ``S = 1 / (c sqrt(2 log n))`` and
    ``c = sqrt(2 / pi)``: the mean of an absolute standard normal, by which the volatility of :func:`lee_mykland`
    (bipower, not multiplied by pi / 2) is too small. With a volatility that has the factor already, c would be 1;
    correcting twice is a common mistake.

    Parameters
    ----------
    significance : float
        Chance of any false jump among ``tests`` returns, above 0 and below 1.
    tests : int
        n, at least 3.

    Returns
    -------
    tuple of float
        ``(beta, C, S)``; the threshold is ``C + S * beta``.

    Raises
    ------
    ConfigError
        A parameter is out of range.

    Notes
    -----
    Lee and Mykland, "Jumps in Financial Markets: A New Nonparametric Test and Jump Dynamics", Review of Financial
    Studies 21 (2008), lemma 1.

    Examples
    --------
    >>> [round(value, 4) for value in jump_threshold(0.01, 1000)]
    [4.6001, 4.1396, 0.3372]
    """
    if not 0 < significance < 1:
        raise ConfigError(f"significance was {significance}", hint="it must be above 0 and below 1, such as .01")
    if tests < 3:
        raise ConfigError(f"tests was {tests}", hint="the limit of the maximum needs at least 3 returns")
    root = math.sqrt(2 * math.log(tests))
    centre = root / _MEAN_ABSOLUTE - (math.log(math.pi) + math.log(math.log(tests))) / (2 * _MEAN_ABSOLUTE * root)
    return -math.log(-math.log1p(-significance)), centre, 1 / (_MEAN_ABSOLUTE * root)


def lee_mykland(
    returns: npt.ArrayLike,
    stretch: npt.ArrayLike | None = None,
    *,
    window: int = 100,
    significance: float = 0.01,
    tests: int = 1000,
) -> JumpTest:
    """Test every return for a jump against the bipower volatility of the ``window`` returns before it.

    ``L_i = r_i / s_i`` with ``s_i^2 = sum_{j=i-K+2}^{i-1} |r_j| |r_{j-1}| / (K - 2)``: products of neighbours, which
    a single jump hardly moves. A jump is ``|L_i| > C + S beta`` (:func:`jump_threshold`). Row i uses rows up to i
    only, and the threshold does not depend on the length of the tape, so a longer tape changes no earlier row.

    Parameters
    ----------
    returns : array-like of shape (n,)
        Returns of one series in time order, in any unit, over intervals of one kind; NaN where undefined.
    stretch : array-like of int, shape (n,), optional
        Number of the unbroken stretch of each row (:func:`~marketprism.labels.stretches`); windows never reach across
        a change. One stretch by default.
    window : int
        K, at least 10. Lee and Mykland: at least the square root of the number of returns in a year; the smaller it
        is, the more the true size exceeds ``significance``.
    significance : float
        Chance of at least one false jump among ``tests`` returns.
    tests : int
        Number of returns over which ``significance`` holds.

    Returns
    -------
    JumpTest
        Undefined for the first ``window - 1`` returns of a stretch, while any of them is missing, and where all
        products in the window are zero (a price that does not move).

    Raises
    ------
    ConfigError
        A parameter is out of range.
    DataError
        ``stretch`` has another length than ``returns``.

    Notes
    -----
    Volatility is taken as constant over the window: a burst that comes faster is counted as jumps, and many zero
    returns (a large tick) make the volatility too small. Lee and Mykland (2008), definition 1.

    Examples
    --------
    >>> returns = [(-1.0) ** i for i in range(40)]
    >>> returns[30] = 9.0
    >>> lee_mykland(returns, window=20).jump.nonzero()[0].tolist()
    [30]
    """
    if window < 10:
        raise ConfigError(f"window was {window}", hint="at least 10 returns")
    beta, centre, scale = jump_threshold(significance, tests)
    values = np.array(returns, np.float64).ravel()
    numbers = np.zeros(values.size, np.int64) if stretch is None else np.asarray(stretch, np.int64)
    if numbers.shape != values.shape:
        raise DataError(f"stretch had shape {numbers.shape}", hint=f"there are {values.size} returns")
    values[~np.isfinite(values)] = np.nan
    statistic = np.asarray(_statistics(values, numbers, window))
    with np.errstate(over="ignore", invalid="ignore"):
        p_value = -np.expm1(-np.exp(-(np.abs(statistic) - centre) / scale))
        jump = np.abs(statistic) > centre + scale * beta
    return JumpTest(statistic, p_value, jump, centre + scale * beta)


def frame_jumps(
    frame: pl.DataFrame, *, window: int = 100, significance: float = 0.01, tests: int = 1000, price: str = "mid_last"
) -> JumpTest:
    """Test every bucket of a frame for a jump of its mid price, series by series, never across a gap.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows, any number of series.
    window, significance, tests
        As in :func:`lee_mykland`; ``significance`` holds for each series.
    price : str
        Column of the price.

    Returns
    -------
    JumpTest
        Row for row as ``frame``, of raw log returns from the end of the bucket before; known with the row.

    Raises
    ------
    ConfigError, DataError
        A parameter is out of range; a column is missing, a bucket is repeated, or there is no row.
    """
    import polars as pl

    priced = frame if price == "mid_last" else frame.with_columns(mid_last=pl.col(price))
    returns, numbers = bucket_returns(priced, "raw"), stretches(frame)
    statistic, p_value, jump = (
        np.full(frame.height, np.nan),
        np.full(frame.height, np.nan),
        np.zeros(frame.height, bool),
    )
    for rows in series_rows(frame).values():
        part = lee_mykland(returns[rows], numbers[rows], window=window, significance=significance, tests=tests)
        statistic[rows], p_value[rows], jump[rows] = part.statistic, part.p_value, part.jump
    beta, centre, scale = jump_threshold(significance, tests)
    return JumpTest(statistic, p_value, jump, centre + scale * beta)


def jump_regime(
    frame: pl.DataFrame, memory: int = 20, *, window: int = 100, significance: float = 0.01, tests: int = 1000
) -> Regime:
    """Return whether a jump occurred in this bucket or one of the ``memory - 1`` before it.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows, any number of series.
    memory : int
        Buckets for which a jump is recent, at least 1.
    window, significance, tests
        As in :func:`lee_mykland`.

    Returns
    -------
    Regime
        ``no_jump`` or ``recent_jump``; unknown where the bucket could not be tested and no jump is recent.
    """
    if memory < 1:
        raise ConfigError(f"memory was {memory}", hint="it must be at least 1")
    found, numbers = frame_jumps(frame, window=window, significance=significance, tests=tests), stretches(frame)
    codes = np.where(np.isfinite(found.statistic), 0, -1).astype(np.int64)
    for rows in series_rows(frame).values():
        place = np.arange(rows.size)
        last = np.maximum.accumulate(np.where(found.jump[rows], place, -1))
        recent = (last >= 0) & (place - last < memory) & (numbers[rows][last] == numbers[rows])
        codes[rows[recent]] = 1
    return Regime("jumps", ("no_jump", "recent_jump"), codes)


@njit(cache=True)
def _statistics(returns: _Floats, stretch: _Ints, window: int) -> _Floats:
    n = returns.size
    result = np.full(n, np.nan)
    begin = 0
    for i in range(n):
        if i > 0 and stretch[i] != stretch[i - 1]:
            begin = i
        if i - begin < window - 1:
            continue
        # Summed anew for every row: a running sum would carry the rounding of large values for ever.
        total = 0.0
        for j in range(i - window + 2, i):
            total += abs(returns[j]) * abs(returns[j - 1])
        if total > 0.0:
            result[i] = returns[i] / np.sqrt(total / (window - 2))
    return result
