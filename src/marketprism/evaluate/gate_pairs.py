"""Two models on the same rows: alignment, and paired bootstrap of what one gains over the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.evaluate.bootstrap import BlockPlan, block_length, plan_blocks, resample_sums
from marketprism.evaluate.economics import Trading
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.metrics import measured
from marketprism.labels.forward import SERIES_KEY

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "PairedIC",
    "PairedSharpe",
    "Pairs",
    "bootstrap_p_value",
    "common_rows",
    "make_pairs",
    "paired_ic",
    "paired_sharpe",
]

_Floats = npt.NDArray[np.float64]
_TINY = 1e-12
_FEW_TRADES = 30


@dataclass(frozen=True)
class Pairs:
    """Scores of two models and the return that both forecast, on the rows where all three are known, by time.

    Attributes
    ----------
    baseline, candidate : ndarray of shape (n,)
        Scores.
    target : ndarray of shape (n,)
        Realised return; over its past-only threshold in a panel, as everywhere in a judgement.
    known : ndarray of int, shape (n,)
        When each row was known, ns UTC.
    run : ndarray of int, shape (n,)
        Number of the instrument and segment of each row.
    series, overlap : int
        Instruments, and decisions of one inside a label.
    left_out : int
        Out-of-sample rows that the other side lacks, that have no score or return, or that touch an excluded span.
    """

    baseline: _Floats
    candidate: _Floats
    target: _Floats
    known: npt.NDArray[np.int64]
    run: npt.NDArray[np.int64]
    series: int
    overlap: int
    left_out: int

    @property
    def n(self) -> int:
        """Rows."""
        return self.target.size

    def plan(self, replications: int, seed: int) -> BlockPlan:
        """Blocks over these rows: one plan for both sides."""
        return plan_blocks(self.n, block_length(self.n, self.overlap, self.series), replications, seed)


@dataclass(frozen=True)
class PairedIC:
    """ICs of both sides and what the candidate gains; a constant score has an IC of 0 here.

    Attributes
    ----------
    baseline, candidate : Metric
        Information coefficients on the common rows.
    difference : Metric
        ``IC_candidate - IC_baseline``.
    gain : Metric
        ``(IC_candidate - IC_baseline) / max(|IC_baseline|, floor)``, all of it recomputed in each replication.
    p_candidate, p_difference : float
        Two-sided p-values of no skill, and of no difference.
    """

    baseline: Metric
    candidate: Metric
    difference: Metric
    gain: Metric
    p_candidate: float
    p_difference: float


@dataclass(frozen=True)
class PairedSharpe:
    """Net Sharpe ratios of both sides; a side that never traded has a Sharpe ratio of 0 here.

    Attributes
    ----------
    baseline, candidate : Metric
        Annual net Sharpe ratios.
    gain : Metric
        ``(S_candidate - S_baseline) / max(|S_baseline|, floor)``.
    net_baseline, net_candidate : Metric
        Net P&L over the common sample, bps of notional.
    """

    baseline: Metric
    candidate: Metric
    gain: Metric
    net_baseline: Metric
    net_candidate: Metric


def common_rows(baseline: pl.DataFrame, candidate: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows that both models predicted out of sample, in one order (by ``ts_known``, then series).

    Parameters
    ----------
    baseline, candidate : polars.DataFrame
        Predictions of one model at one horizon each (see :class:`~marketprism.evaluate.WalkForward`).

    Raises
    ------
    DataError
        Horizons or label schemes differ, no row is common, rows repeat, or the labels of common rows differ.
    """
    keys = [*SERIES_KEY, "bucket_id"]
    for name, words in (("horizon", "horizon"), ("scheme", "label scheme")):
        ours, theirs = (sorted(set(side[name].to_list())) for side in (baseline, candidate))
        if ours != theirs or len(ours) > 1:
            raise DataError(
                f"the baseline has {words} {', '.join(ours) or 'none'}, the candidate {', '.join(theirs) or 'none'}",
                hint="compare forecasts of one and the same thing",
            )
    for side, word in ((baseline, "baseline"), (candidate, "candidate")):
        if side.select(keys).is_duplicated().any():
            raise DataError(f"the {word} predicts some rows twice", hint="give one prediction a bucket")
    order = ["ts_known", *keys]
    left = baseline.join(candidate.select(keys), on=keys, how="semi").sort(order)
    right = candidate.join(baseline.select(keys), on=keys, how="semi").sort(order)
    if left.is_empty():
        raise DataError(
            f"{baseline.height} and {candidate.height} out-of-sample rows have none in common",
            hint="both models must be judged on the same buckets",
        )
    same = ["ts_known", *keys, "return", "class"]
    if not left.select(same).equals(right.select(same)):
        differs = sum(int((left[name].ne_missing(right[name])).sum()) for name in ("ts_known", "return", "class"))
        raise DataError(
            f"labels or times of common buckets differ in {differs} of {3 * left.height} places",
            hint="the two sides were made from different data, buckets or label settings",
        )
    return left, right


def make_pairs(baseline: pl.DataFrame, candidate: pl.DataFrame) -> Pairs:
    """Align two prediction tables.

    Raises
    ------
    DataError
        As :func:`common_rows`; or fewer than 3 rows have both scores and a return.
    """
    import polars as pl

    left, right = common_rows(baseline, candidate)
    every = max(baseline.height, candidate.height)
    series = left.select(SERIES_KEY).n_unique()
    target = pl.col("return") / pl.col("threshold") if series > 1 else pl.col("return")
    runs = left.select(pl.struct(*SERIES_KEY, "segment").rank("dense").cast(pl.Int64)).to_series().to_numpy()
    y = left.select(target.cast(pl.Float64).fill_null(float("nan")).alias("y"))["y"].to_numpy()
    x, z = (side["score"].cast(pl.Float64).fill_null(float("nan")).to_numpy() for side in (left, right))
    counted = (
        ~left["excluded"].fill_null(value=False).to_numpy() if "excluded" in left.columns else np.ones(len(y), bool)
    )
    usable = counted & np.isfinite(y) & np.isfinite(x) & np.isfinite(z) & left["class"].is_not_null().to_numpy()
    if int(usable.sum()) < 3:
        raise DataError(
            f"{int(usable.sum())} of {left.height} common rows have both scores and a return",
            hint="give longer data or more folds",
        )
    known = left["ts_known"].to_numpy().astype(np.int64)
    ends = left["label_end_ts"].fill_null(-1).to_numpy().astype(np.int64)[usable]
    inside = np.searchsorted(known, ends, side="left") - np.flatnonzero(usable)
    overlap = max(1, math.ceil(float(np.median(inside)) / series))
    return Pairs(
        x[usable], z[usable], y[usable], known[usable], runs[usable], series, overlap, every - int(usable.sum())
    )


def paired_ic(pairs: Pairs, plan: BlockPlan, level: float, floor: float) -> PairedIC:
    """ICs and gain from the same resampled blocks for both sides."""
    x, z, y = (_standard(values) for values in (pairs.baseline, pairs.candidate, pairs.target))
    columns = np.column_stack((np.ones_like(y), x, z, y, x * x, z * z, y * y, x * y, z * y))

    def base(sums: _Floats) -> _Floats:
        return _correlation(sums, 1, 4, 7)

    def challenger(sums: _Floats) -> _Floats:
        return _correlation(sums, 2, 5, 8)

    def difference(sums: _Floats) -> _Floats:
        return np.asarray(challenger(sums) - base(sums))

    def gain(sums: _Floats) -> _Floats:
        return np.asarray(difference(sums) / np.maximum(np.abs(base(sums)), floor))

    flat = [name for name, values in (("baseline", x), ("candidate", z)) if not values.any()]
    note = f"constant score of the {' and the '.join(flat)}: IC counted as 0" if flat else ""
    again, sums = resample_sums(columns, plan), columns.sum(axis=0)
    found = [
        measured(columns, statistic, plan, level, null=0.0, note=note)
        for statistic in (base, challenger, difference, gain)
    ]
    p = [
        bootstrap_p_value(float(statistic(sums)), statistic(again), plan.blocks)
        for statistic in (challenger, difference)
    ]
    return PairedIC(found[0], found[1], found[2], found[3], p[0], p[1])


def paired_sharpe(
    baseline: Trading, candidate: Trading, replications: int, seed: int, level: float, floor: float
) -> PairedSharpe:
    """Net Sharpe ratios and gain from the same resampled blocks for both sides.

    Raises
    ------
    DataError
        The two sides were not traded at the same times.
    """
    if not np.array_equal(baseline.ts, candidate.ts):
        raise DataError(
            f"the sides were traded at {baseline.ts.size} and {candidate.ts.size} times that are not the same",
            hint="trade both on the rows that common_rows gives",
        )
    left, right = baseline.net, candidate.net
    n = left.size
    annual = math.sqrt(baseline.periods_per_year) if baseline.periods_per_year > 0 else 1.0
    plan = plan_blocks(n, block_length(n), replications, seed)
    columns = np.column_stack((left, left * left, right, right * right))

    def sharpe(sums: _Floats, at: int) -> _Floats:
        first, second = sums[..., at] / n, sums[..., at + 1] / n
        variance = (second - first * first) * n / max(1, n - 1)
        flat = variance <= _TINY * second
        return np.where(flat, 0.0, annual * first / np.sqrt(np.where(flat, 1.0, variance)))

    def base(sums: _Floats) -> _Floats:
        return sharpe(sums, 0)

    def challenger(sums: _Floats) -> _Floats:
        return sharpe(sums, 2)

    def gain(sums: _Floats) -> _Floats:
        return np.asarray((challenger(sums) - base(sums)) / np.maximum(np.abs(base(sums)), floor))

    def few(side: Trading) -> str:
        trades = int((side.traded > 0).sum())
        return f"only {trades} trades, not evidence" if trades < _FEW_TRADES else ""

    notes = (few(baseline), few(candidate))
    both = "; ".join(dict.fromkeys(filter(None, notes)))
    return PairedSharpe(
        measured(columns, base, plan, level, null=None if notes[0] else 0.0, note=notes[0]),
        measured(columns, challenger, plan, level, null=None if notes[1] else 0.0, note=notes[1]),
        measured(columns, gain, plan, level, null=None if both else 0.0, note=both),
        measured(columns, lambda sums: 1e4 * sums[..., 0], plan, level, null=None if notes[0] else 0.0, note=notes[0]),
        measured(columns, lambda sums: 1e4 * sums[..., 2], plan, level, null=None if notes[1] else 0.0, note=notes[1]),
    )


def bootstrap_p_value(value: float, samples: _Floats, blocks: int) -> float:
    """Two-sided p-value of zero: Student's t with the bootstrap's standard error and ``blocks - 1`` degrees of freedom.

    Returns
    -------
    float
        1 with fewer than two blocks, or where value and error are both 0.
    """
    from scipy.special import stdtr

    error = float(np.std(samples, ddof=1)) if samples.size > 1 else 0.0
    if blocks < 2 or not math.isfinite(value) or value == 0:
        return 1.0
    if not error > 0:
        return 0.0
    return float(2 * stdtr(blocks - 1, -abs(value) / error))


def _correlation(sums: _Floats, x: int, xx: int, xy: int) -> _Floats:
    """Pearson correlation with the target from column sums; 0 where a side is constant."""
    n, first, y = sums[..., 0], sums[..., x], sums[..., 3]
    covariance = sums[..., xy] - first * y / n
    var_x, var_y = sums[..., xx] - first * first / n, sums[..., 6] - y * y / n
    flat = (var_x <= _TINY * np.maximum(sums[..., xx], 1e-300)) | (var_y <= _TINY * np.maximum(sums[..., 6], 1e-300))
    return np.where(flat, 0.0, covariance / np.sqrt(np.where(flat, 1.0, var_x * var_y)))


def _standard(x: _Floats) -> _Floats:
    spread = float(x.std())
    return np.zeros_like(x) if spread <= _TINY * float(np.abs(x).max(initial=0.0)) else (x - x.mean()) / spread
