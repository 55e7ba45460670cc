"""Each factor on its own: IC by horizon with interval, stability over time, coverage, duplicates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from marketprism.core.random import stream
from marketprism.evaluate.bootstrap import block_length
from marketprism.evaluate.metric import ENOUGH_BLOCKS, ENOUGH_ROWS
from marketprism.evaluate.walkforward import Problem
from marketprism.models.scaler import FactorScaler

if TYPE_CHECKING:
    import polars as pl

__all__ = ["duplicates", "factor_table", "univariate_ic"]

_Floats = npt.NDArray[np.float64]
_DUPLICATE = 0.98
_FACTORS_AT_ONCE = 16
_TESTABLE_ROWS = 30
_TESTABLE_BLOCKS = 8
"""Rows and blocks with a value that an interval and a p-value take; two points always lie on a line."""


def factor_table(
    problems: Sequence[Problem], *, seed: int = 0, level: float = 0.95, replications: int = 1000
) -> pl.DataFrame:
    """Judge every factor alone, at every horizon, over all labelled rows that are not excluded.

    Factors are clipped and standardised as in the models (by series in a panel; over the whole sample: this table
    describes, it does not predict). ``ic`` is the Pearson correlation with the forward return.

    Parameters
    ----------
    problems : sequence of Problem
        One per horizon, of the same factors.
    seed, level, replications
        Block bootstrap of the intervals.

    Returns
    -------
    polars.DataFrame
        ``factor, horizon, ic, low, high, n, p_value, star, ic_third_1..3, sign_consistency, coverage, duplicate_of,
        duplicate_correlation, note``. ``star`` is true when samples are enough and the Benjamini-Hochberg adjusted
        p-value over the factors of that horizon is at most ``1 - level``. Interval and p-value are null, and count in
        no adjustment, where fewer than 30 rows or 8 blocks have a value. ``sign_consistency`` is the share of ten
        stretches of time whose IC has the sign of the whole. ``duplicate_of`` names the first earlier factor
        with an absolute correlation above .98.
    """
    import polars as pl

    first = problems[0]
    scaled, present = _standardised(first)
    twins, twin_correlation = duplicates(scaled, first.factors)
    tables = []
    for problem in problems:
        target = problem.scaled_returns
        ok = np.isfinite(target) & problem.tradable & ~problem.excluded
        series = max(1, len(problem.series))
        found = univariate_ic(
            scaled[ok],
            present[ok],
            target[ok],
            seed=seed,
            level=level,
            replications=replications,
            length=block_length(int(ok.sum()), overlap_rows(problem), series) if ok.any() else 1,
        )
        tables.append(
            pl.DataFrame(
                {
                    "factor": problem.factors,
                    "horizon": [problem.horizon] * len(problem.factors),
                    **found,
                    "coverage": present.mean(axis=0) if len(present) else np.zeros(len(problem.factors)),
                    "duplicate_of": pl.Series(twins, dtype=pl.String),
                    "duplicate_correlation": twin_correlation,
                }
            )
        )
    table = pl.concat(tables)
    floats = [name for name, dtype in table.schema.items() if dtype.is_float()]
    return table.with_columns(pl.col(floats).fill_nan(None))


def overlap_rows(problem: Problem) -> int:
    """Median number of later decisions of one series that fall inside a label, at least 1."""
    defined = problem.label_known >= 0
    if not defined.any():
        return 1
    span = np.searchsorted(problem.known, problem.label_known[defined], side="left") - np.flatnonzero(defined)
    return max(1, math.ceil(float(np.median(span)) / max(1, len(problem.series))))


def _standardised(problem: Problem) -> tuple[_Floats, npt.NDArray[np.bool_]]:
    """Clipped z-scores, 0 where missing, and where values were present."""
    width = len(problem.factors)
    present = np.isfinite(problem.X[:, :width])
    scaled = FactorScaler(by_series=bool(problem.series)).fit_transform(problem.X)[:, :width]
    return np.where(present, scaled, 0.0), present


def univariate_ic(
    scaled: _Floats,
    present: npt.NDArray[np.bool_],
    target: _Floats,
    *,
    length: int,
    seed: int,
    level: float = 0.95,
    replications: int = 1000,
) -> dict[str, npt.NDArray[np.generic] | list[str]]:
    """IC of each column of ``scaled`` with ``target`` over the rows where it is present, all columns at once.

    Non-overlapping blocks of ``length`` rows are resampled: block sums of six moments, times a matrix of block
    multiplicities. Returns the columns described in :func:`factor_table`.
    """
    n, width = scaled.shape
    nan = np.full(width, np.nan)
    if n < 3:
        empty = dict.fromkeys(("ic", "low", "high"), nan)
        thirds = {f"ic_third_{i}": nan for i in (1, 2, 3)}
        return {
            **empty,
            "n": np.zeros(width, np.int64),
            "p_value": nan,
            "star": np.zeros(width, bool),
            **thirds,
            "sign_consistency": nan,
            "note": [f"few samples: {n} rows"] * width,
        }
    moments = _block_moments(scaled, present, target, length)
    blocks = len(moments)
    ic = _correlation(moments.sum(axis=0))
    draws = stream(seed, "factor_table", n, length).multinomial(blocks, np.full(blocks, 1 / blocks), replications)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        sums = draws.astype(np.float64) @ moments.reshape(blocks, -1)
    samples = _correlation(sums.reshape(replications, 6, width))
    rows, own_blocks = present.sum(axis=0), (moments[:, 0, :] > 0).sum(axis=0)
    testable = (rows >= _TESTABLE_ROWS) & (own_blocks >= _TESTABLE_BLOCKS)
    low, high, p_value = _inference(np.where(testable, ic, np.nan), samples, own_blocks, level)
    enough = (rows >= ENOUGH_ROWS) & (own_blocks >= ENOUGH_BLOCKS)
    by_third = [_correlation(part.sum(axis=0)) for part in np.array_split(moments, 3)]
    tenths = np.array([_correlation(part.sum(axis=0)) for part in np.array_split(moments, 10)])
    judged = np.isfinite(tenths).sum(axis=0)
    same = (np.sign(tenths) == np.sign(ic)) & np.isfinite(tenths)
    with np.errstate(invalid="ignore"):
        consistency = np.where(judged > 0, same.sum(axis=0) / np.maximum(judged, 1), np.nan)
    return {
        "ic": ic,
        "low": low,
        "high": high,
        "n": rows.astype(np.int64),
        "p_value": p_value,
        "star": enough & (_benjamini_hochberg(p_value) <= 1 - level),
        **{f"ic_third_{i + 1}": values for i, values in enumerate(by_third)},
        "sign_consistency": consistency,
        "note": [
            "" if fine else f"few samples: {count} rows in {own} blocks"
            for fine, count, own in zip(enough, rows, own_blocks, strict=True)
        ],
    }


def _block_moments(scaled: _Floats, present: npt.NDArray[np.bool_], target: _Floats, length: int) -> _Floats:
    """``[blocks, 6, factors]``: sums of 1, x, y, xx, yy, xy over the rows of each block where x is present."""
    y = target - target.mean()
    spread = y.std()
    y = y / spread if spread > 0 else y
    starts = np.arange(0, len(y), length)
    result = np.empty((len(starts), 6, scaled.shape[1]))
    column = y[:, None]
    # A few factors at a time: six copies of a wide matrix would not fit in memory.
    for first in range(0, scaled.shape[1], _FACTORS_AT_ONCE):
        part = slice(first, first + _FACTORS_AT_ONCE)
        weight = present[:, part].astype(np.float64)
        x = scaled[:, part] * weight
        terms = (weight, x, weight * column, x * x, weight * (column * column), x * column)
        for i, term in enumerate(terms):
            result[:, i, part] = np.add.reduceat(term, starts, axis=0)
    return result


def _correlation(sums: _Floats) -> _Floats:
    n, x, y, xx, yy, xy = (sums[..., i, :] for i in range(6))
    with np.errstate(divide="ignore", invalid="ignore"):
        var_x, var_y = xx - x * x / n, yy - y * y / n
        flat = ~((var_x > 1e-12 * xx) & (var_y > 1e-12 * yy))
        return np.where(flat, np.nan, (xy - x * y / n) / np.sqrt(np.where(flat, 1.0, var_x * var_y)))


def _inference(
    ic: _Floats, samples: _Floats, blocks: npt.NDArray[np.int64], level: float
) -> tuple[_Floats, _Floats, _Floats]:
    """Intervals as everywhere (percentile, widened for few blocks) and two-sided p-values from the bootstrap error.

    ``blocks`` are those in which each column has a value; NaN where the IC is.
    """
    from scipy.special import ndtri, stdtr, stdtrit

    nan = np.full_like(ic, np.nan)
    freedom = np.maximum(1, blocks - 1)
    tail = 0.5 * (1 - level)
    low, high, error = nan.copy(), nan.copy(), nan.copy()
    for column in np.flatnonzero(np.isfinite(ic)):
        values = samples[:, column]
        values = values[np.isfinite(values)]
        if values.size:
            low[column], high[column] = np.quantile(values, (tail, 1 - tail))
            error[column] = values.std()
    widen = stdtrit(freedom, 1 - tail) / ndtri(1 - tail)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = 2 * stdtr(freedom, -np.abs(ic / error))
    return ic + widen * (low - ic), ic + widen * (high - ic), p_value


def _benjamini_hochberg(p_value: _Floats) -> _Floats:
    """Return adjusted p-values; NaN stays NaN (and compares false)."""
    from scipy.stats import false_discovery_control

    adjusted = np.full_like(p_value, np.nan)
    known = np.isfinite(p_value)
    if known.any():
        adjusted[known] = false_discovery_control(p_value[known])
    return adjusted


def duplicates(scaled: _Floats, names: Sequence[str]) -> tuple[list[str | None], _Floats]:
    """First earlier factor with an absolute correlation above .98, and that correlation; None and NaN without one."""
    from threadpoolctl import threadpool_limits

    twin: list[str | None] = [None] * len(names)
    correlation = np.full(len(names), np.nan)
    if len(scaled) < 3:
        return twin, correlation
    centred = scaled - scaled.mean(axis=0)
    norm = np.sqrt((centred * centred).sum(axis=0))
    unit = centred / np.where(norm > 0, norm, np.inf)
    with threadpool_limits(limits=1):
        matrix = unit.T @ unit
    close = np.tril(np.abs(matrix) > _DUPLICATE, -1)
    for row in np.flatnonzero(close.any(axis=1)):
        other = int(np.argmax(close[row]))
        twin[row], correlation[row] = names[other], min(1.0, max(-1.0, float(matrix[row, other])))
    return twin, correlation
