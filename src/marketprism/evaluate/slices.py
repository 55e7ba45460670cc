"""Where and when a signal works: IC by hour, regime or symbol, and how stable it is from week to week."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.core.timebase import NS
from marketprism.evaluate.arrays import finite_matrix, in_range
from marketprism.evaluate.bootstrap import block_length, plan_blocks
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.metrics import information_coefficient, measured
from marketprism.evaluate.multiple import holm

if TYPE_CHECKING:
    import polars as pl

__all__ = ["DAY_NS", "WEEK_NS", "Stability", "hour_of_day", "information_by", "periodic_information", "stability"]

_Floats = npt.NDArray[np.float64]
DAY_NS = 86_400 * NS
"""Nanoseconds of a day."""
WEEK_NS = 7 * DAY_NS
"""Nanoseconds of a week."""
_EPOCH_MONDAY = 4 * DAY_NS  # 1970-01-05


class Stability(NamedTuple):
    """How the IC carries over from one period to the next.

    Attributes
    ----------
    across : Metric
        Correlation of one period's ICs with the next one's, over all factors and neighbouring periods: do the factors
        that worked go on working? NaN for a single factor.
    persistence : ndarray of shape (m,)
        Per factor, the correlation of its IC with that of the period before; NaN with fewer than 4 pairs.
    same_sign : ndarray of shape (m,)
        Per factor, the share of periods whose IC has the sign of its mean IC.
    ratio : ndarray of shape (m,)
        Per factor, mean over standard deviation of its IC (IC_IR).
    periods : int
        Periods with an IC.
    """

    across: Metric
    persistence: _Floats
    same_sign: _Floats
    ratio: _Floats
    periods: int


def hour_of_day(ts: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Hour (UTC) of times in ns.

    Examples
    --------
    >>> hour_of_day([0, 3_600 * 10**9])
    array([0, 1])
    """
    return np.asarray(ts, np.int64) // (3600 * NS) % 24


def information_by(
    score: npt.ArrayLike,
    returns: npt.ArrayLike,
    slices: npt.ArrayLike,
    *,
    overlap: int = 1,
    replications: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pl.DataFrame:
    """IC within each slice (hour, regime, symbol, session), with what many looks cost.

    Parameters
    ----------
    score, returns : array of float, shape (n,)
        Rows in time order; rows with NaN are left out.
    slices : array of shape (n,)
        Slice of each row: numbers or texts.
    overlap : int, default 1
        Rows by which labels overlap, for the block length.
    replications, level, seed
        Of the circular block bootstrap, within each slice.

    Returns
    -------
    polars.DataFrame
        By slice: ``slice``, ``n``, ``ic``, ``low``, ``high``, ``p`` (two-sided, normal with the bootstrap's standard
        error; null with few samples), ``p_holm`` (adjusted for the number of slices) and ``note``.

    Raises
    ------
    DataError
        Shapes differ.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=600)
    >>> table = information_by(x, np.where(np.arange(600) < 300, x, -x), np.arange(600) // 300)
    >>> table["ic"].round(6).to_list()
    [1.0, -1.0]
    """
    import polars as pl

    x, y, place = np.asarray(score, np.float64), np.asarray(returns, np.float64), np.asarray(slices)
    if not x.shape == y.shape == place.shape or x.ndim != 1:
        raise DataError(
            f"score had shape {x.shape}, returns {y.shape}, slices {place.shape}", hint="pass vectors of one length"
        )
    names, codes = np.unique(place, return_inverse=True)
    usable = np.isfinite(x) & np.isfinite(y)
    rows = []
    for code, name in enumerate(names.tolist()):
        inside = usable & (codes == code)
        metric, p = _slice(x[inside], y[inside], overlap, replications, level, seed)
        rows.append((name, metric.n, metric.value, metric.low, metric.high, p, metric.note))
    table = pl.DataFrame(rows, schema=["slice", "n", "ic", "low", "high", "p", "note"], orient="row")
    table = table.with_columns(pl.col("ic", "low", "high", "p").cast(pl.Float64).fill_nan(None))
    known = table["p"].is_not_null().to_numpy()
    adjusted = np.full(table.height, np.nan)
    if known.any():
        adjusted[known] = holm(table["p"].drop_nulls().to_numpy())
    return table.insert_column(6, pl.Series("p_holm", adjusted).fill_nan(None))


def _slice(
    x: _Floats, y: _Floats, overlap: int, replications: int, level: float, seed: int
) -> tuple[Metric, float | None]:
    from scipy.special import ndtr, ndtri

    if x.size < 3:
        return Metric(value=math.nan, low=math.nan, high=math.nan, n=x.size, note=f"only {x.size} rows"), None
    metric = information_coefficient(
        x, y, plan_blocks(x.size, block_length(x.size, overlap), replications, seed), level
    )
    if not (metric.enough and metric.high > metric.low):
        return metric, None
    error = (metric.high - metric.low) / (2 * float(ndtri(0.5 + level / 2)))
    return metric, 2 * float(ndtr(-abs(metric.value) / error))


def periodic_information(
    scores: npt.ArrayLike,
    returns: npt.ArrayLike,
    ts: npt.ArrayLike,
    period_ns: int = WEEK_NS,
    least: int = 30,
) -> tuple[npt.NDArray[np.int64], _Floats]:
    """IC of each factor in each calendar period (weeks start on Monday, UTC).

    Parameters
    ----------
    scores : array of float, shape (n,) or (n, m)
        Factors or model scores; finite.
    returns : array of float, shape (n,)
        Forward returns; finite.
    ts : array of int, shape (n,)
        ns UTC, non-decreasing.
    period_ns : int, default one week
        Length of a period.
    least : int, default 30
        Periods with fewer rows are left out.

    Returns
    -------
    (starts, ics) : ndarrays of shapes (p,) and (p, m)
        When each period starts, ns, and its ICs; NaN where a factor was constant.
    """
    x, y = finite_matrix(scores, "scores"), finite_matrix(returns, "returns")
    times = np.asarray(ts, np.int64)
    if not len(x) == len(y) == times.size or y.shape[1] != 1:
        raise DataError(
            f"scores had {len(x)} rows, returns {y.shape}, ts {times.size}", hint="pass one return and time a row"
        )
    in_range("period_ns", period_ns, 1)
    if (np.diff(times) < 0).any():
        raise DataError("times ran backwards", hint="sort by time first")
    number = (times - _EPOCH_MONDAY) // period_ns
    first = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    counts = np.diff(np.append(first, times.size))

    def mean(values: _Floats) -> _Floats:
        return np.asarray(np.add.reduceat(values, first, axis=0) / counts[:, None])

    def centred(values: _Floats) -> _Floats:
        return values - np.repeat(mean(values), counts, axis=0)

    dx, dy = centred(x), centred(y)
    spread = np.sqrt(mean(dx * dx) * mean(dy * dy))
    flat = (np.sqrt(mean(dx * dx)) <= 1e-12 * np.sqrt(mean(x * x))) | (spread == 0)
    ics = np.where(flat, np.nan, mean(dx * dy) / np.where(flat, 1.0, spread))
    enough = counts >= least
    return number[first][enough] * period_ns + _EPOCH_MONDAY, ics[enough]


def stability(ics: npt.ArrayLike, *, replications: int = 1000, level: float = 0.95, seed: int = 0) -> Stability:
    """Judge how ICs carry over from one period to the next.

    Parameters
    ----------
    ics : array of float, shape (p,) or (p, m)
        IC of m factors in p successive periods, from :func:`periodic_information`; NaN where unknown.
    replications, level, seed
        Of the bootstrap over pairs of neighbouring periods.

    Returns
    -------
    Stability

    Examples
    --------
    >>> held = stability(np.tile([0.05, 0.01, -0.03], (6, 1)))
    >>> round(held.across.value, 6), held.same_sign.tolist()
    (1.0, [1.0, 1.0, 1.0])
    """
    table = np.asarray(ics, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or not table.size:
        raise DataError(f"ics had shape {table.shape}", hint="pass periods by factors")
    mean = np.array([_mean(column) for column in table.T])
    return Stability(
        _across(table, replications, level, seed),
        np.array([_carried(column) for column in table.T]),
        np.array([_mean((np.sign(c) == np.sign(m)) + 0.0 * c) for c, m in zip(table.T, mean, strict=True)]),
        np.array([_ratio(column) for column in table.T]),
        int(np.isfinite(table).any(axis=1).sum()),
    )


def _mean(values: _Floats) -> float:
    seen = values[np.isfinite(values)]
    return float(seen.mean()) if seen.size else math.nan


def _ratio(values: _Floats) -> float:
    seen = values[np.isfinite(values)]
    spread = float(seen.std(ddof=1)) if seen.size > 1 else 0.0
    return float(seen.mean()) / spread if spread > 1e-12 * float(np.abs(seen).max(initial=0.0)) else math.nan


def _carried(values: _Floats) -> float:
    before, after = values[:-1], values[1:]
    both = np.isfinite(before) & np.isfinite(after)
    before, after = before[both], after[both]
    if before.size < 4 or min(np.ptp(before), np.ptp(after)) <= 1e-12 * float(
        np.abs(values[np.isfinite(values)]).max()
    ):
        return math.nan
    return float(np.corrcoef(before, after)[0, 1])


def _across(table: _Floats, replications: int, level: float, seed: int) -> Metric:
    """Correlation within pairs of periods, pooled: sums of products around each period's mean over factors."""
    before, after = table[:-1], table[1:]
    both = np.isfinite(before) & np.isfinite(after)
    count = both.sum(axis=1)
    pairs = int((count >= 3).sum())
    note = f"{pairs} pairs of periods, {table.shape[1]} factors"
    if pairs < 1:
        return Metric(value=math.nan, low=math.nan, high=math.nan, n=0, null=0.0, note=f"{note}: at least 3 factors")
    both, count, before, after = (part[count >= 3] for part in (both, count, before, after))
    a, b = (
        np.where(both, part - (np.where(both, part, 0.0).sum(axis=1) / count)[:, None], 0.0) for part in (before, after)
    )
    columns = np.column_stack(((a * b).sum(axis=1), (a * a).sum(axis=1), (b * b).sum(axis=1)))

    def correlation(sums: _Floats) -> _Floats:
        scale = np.sqrt(sums[..., 1] * sums[..., 2])
        return np.where(scale > 0, sums[..., 0] / np.where(scale > 0, scale, 1.0), np.nan)

    plan = plan_blocks(pairs, min(2, pairs), replications, seed)
    return measured(columns, correlation, plan, level, null=0.0, note=note)
