"""Forecast metrics with block-bootstrap intervals: correlation, ranking, probability and calibration."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from marketprism.evaluate.arrays import equal_vectors
from marketprism.evaluate.bootstrap import (
    BlockPlan,
    block_length,
    interval,
    plan_blocks,
    resample_average_precision,
    resample_sums,
    resample_weighted_auc,
)
from marketprism.evaluate.metric import ENOUGH_BLOCKS, ENOUGH_ROWS, Metric

__all__ = [
    "area_under_curve",
    "average_precision",
    "brier_skill",
    "calibration_columns",
    "calibration_error",
    "calibration_parts",
    "hit_rate",
    "information_coefficient",
    "information_ratio",
    "log_loss_skill",
    "measured",
    "rank_information_coefficient",
]

_Floats = npt.NDArray[np.float64]
_Classes = npt.NDArray[np.int8]
_TINY = 1e-12


def measured(
    columns: _Floats,
    statistic: Callable[[_Floats], _Floats],
    plan: BlockPlan,
    level: float,
    *,
    null: float | None = None,
    note: str = "",
    n: int | None = None,
) -> Metric:
    """Metric of any statistic that is a function of column sums.

    Parameters
    ----------
    columns : ndarray of shape (rows, m)
        Terms to add up, in time order.
    statistic : callable
        ``sums[..., m] -> value[...]``.
    plan : BlockPlan
        Blocks over the same rows.
    level : float
        Coverage, such as .95.
    null, note
        See :class:`~marketprism.evaluate.metric.Metric`.
    n : int, optional
        Sample size to state where it is not the number of rows.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(columns.sum(axis=0)))
        samples = statistic(resample_sums(columns, plan))
    return _finish(value, samples, plan, level, null, note, plan.n if n is None else n)


def _finish(
    value: float, samples: _Floats, plan: BlockPlan, level: float, null: float | None, note: str, n: int
) -> Metric:
    low, high = interval(value, samples, plan.blocks, level)
    return Metric(value=value, low=low, high=high, n=n, blocks=plan.blocks, null=null, note=_few(n, plan.blocks, note))


def _few(n: int, blocks: int, note: str) -> str:
    if n >= ENOUGH_ROWS and blocks >= ENOUGH_BLOCKS:
        return note
    return "; ".join(filter(None, (f"few samples: {n} rows in {blocks} blocks, not evidence", note)))


def _pearson(sums: _Floats) -> _Floats:
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    covariance, var_x, var_y = xy - x * y / n, xx - x * x / n, yy - y * y / n
    flat = (var_x <= _TINY * xx) | (var_y <= _TINY * yy)
    return np.where(flat, np.nan, covariance / np.sqrt(np.where(flat, 1.0, var_x * var_y)))


def _moments(x: _Floats, y: _Floats) -> _Floats:
    # Standardised first: correlation does not change, and running sums stay near zero.
    x, y = _standard(x), _standard(y)
    return np.column_stack((np.ones_like(x), x, y, x * x, y * y, x * y))


def _standard(x: _Floats) -> _Floats:
    spread = float(x.std()) if x.size else 0.0
    centred = x - x.mean() if x.size else x
    return np.zeros_like(x) if spread <= _TINY * float(np.abs(x).max(initial=0.0)) else centred / spread


def information_coefficient(score: _Floats, returns: _Floats, plan: BlockPlan, level: float = 0.95) -> Metric:
    """IC: Pearson correlation of score and realised return; NaN where one of them is constant."""
    return measured(_moments(score, returns), _pearson, plan, level, null=0.0)


def rank_information_coefficient(score: _Floats, returns: _Floats, plan: BlockPlan, level: float = 0.95) -> Metric:
    """Spearman correlation; the interval resamples the full-sample mid-ranks."""
    from scipy.stats import rankdata

    return measured(_moments(rankdata(score), rankdata(returns)), _pearson, plan, level, null=0.0)


def information_ratio(
    score: _Floats,
    returns: _Floats,
    period: npt.NDArray[np.int64],
    seed: int,
    level: float = 0.95,
    replications: int = 1000,
    period_name: str = "period",
) -> Metric:
    """IC_IR: mean over standard deviation of the IC per period (days, or equal runs of rows; not annualised).

    Parameters
    ----------
    period : ndarray of int
        Period of each row, non-decreasing; periods with fewer than 8 rows or without an IC are left out.
    period_name : str
        Said in the note.
    """
    values = _period_ics(score, returns, period)
    note = f"{values.size} {period_name} ICs, not annualised"
    if values.size < 3:
        nan = math.nan
        note = _few(values.size, values.size, note)
        return Metric(value=nan, low=nan, high=nan, n=score.size, blocks=values.size, null=0.0, note=note)
    columns = np.column_stack((np.ones_like(values), values, values * values))

    def ratio(sums: _Floats) -> _Floats:
        n, first, second = np.moveaxis(sums, -1, 0)
        variance = (second - first * first / n) / (n - 1)
        return np.where(variance > _TINY * second, first / n / np.sqrt(np.maximum(variance, 1e-300)), np.nan)

    plan = plan_blocks(values.size, 1, replications, seed)
    return measured(columns, ratio, plan, level, null=0.0, note=note, n=score.size)


def _period_ics(score: _Floats, returns: _Floats, period: npt.NDArray[np.int64]) -> _Floats:
    starts = np.flatnonzero(np.diff(period, prepend=period[:1] - 1))
    counts = np.diff(np.append(starts, period.size))
    if not starts.size:
        return np.empty(0)
    sums = np.add.reduceat(_moments(score, returns), starts, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = _pearson(sums)
    return values[(counts >= 8) & np.isfinite(values)]


def area_under_curve(score: _Floats, classes: _Classes, plan_of: Callable[[int], BlockPlan], level: float) -> Metric:
    """AUC of up against down (flat rows left out): chance that an up row scores above a down row, ties half.

    Parameters
    ----------
    plan_of : callable
        Gives the plan for the number of rows that remain.
    """
    moved = classes != 0
    if not moved.any():
        return Metric(value=math.nan, low=math.nan, high=math.nan, n=0, null=0.5, note="no row moved")
    plan, positive = plan_of(int(moved.sum())), classes[moved] > 0
    value = _auc_value(score[moved], positive)
    samples = resample_weighted_auc(score[moved], positive, plan)
    return _finish(value, samples, plan, level, 0.5, "up against down, flat left out", plan.n)


def _auc_value(score: _Floats, positive: npt.NDArray[np.bool_]) -> float:
    from scipy.stats import rankdata

    ups = int(positive.sum())
    downs = positive.size - ups
    if ups == 0 or downs == 0:
        return math.nan
    return float((rankdata(score)[positive].sum() - ups * (ups + 1) / 2) / (ups * downs))


def average_precision(
    score: npt.ArrayLike, classes: npt.ArrayLike, plan: BlockPlan | None = None, level: float = 0.95
) -> Metric:
    """Area under the precision-recall curve of up against the rest: how clean the highest scores are.

    ``sum_k (R_k - R_{k-1}) P_k`` over the distinct scores from the highest down, with recall R and precision P (no
    interpolation). The value under no skill is the share of up rows, which is the ``null``.

    Parameters
    ----------
    score : array of float, shape (n,)
        Finite, in time order; larger is more up.
    classes : array of int, shape (n,)
        -1, 0, 1 (or 0, 1: the rest and up).
    plan : BlockPlan, optional
        Blocks over these rows; by default 1,000 replications with seed 0 and blocks for labels that do not overlap.
    level : float, default 0.95
        Coverage of the interval.

    Raises
    ------
    DataError
        Lengths differ, nothing was given, or a value is not finite.

    Examples
    --------
    >>> found = average_precision([0.1, 0.9, 0.8, 0.3], [-1, 1, 0, 1])
    >>> round(found.value, 4), found.null
    (0.8333, 0.5)
    """
    score, classes = equal_vectors(score=score, classes=classes)
    plan = plan_blocks(score.size, block_length(score.size), 1000, 0) if plan is None else plan
    positive = classes > 0
    share = float(positive.mean())
    value = _average_precision_value(score, positive)
    samples = resample_average_precision(score, positive, plan)
    # The base rate moves with the resample: an interval of the lift over it, put back onto the sample's own base rate.
    lift = samples - resample_sums(positive[:, None].astype(np.float64), plan)[:, 0] / plan.n + share
    return _finish(value, lift, plan, level, share, f"up against the rest; {share:.3f} are up", plan.n)


def _average_precision_value(score: _Floats, positive: npt.NDArray[np.bool_]) -> float:
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(positive[order])
    if not hits.size or not hits[-1]:
        return math.nan
    last = np.append(np.diff(score[order]) != 0, True)
    found, rows = hits[last], np.flatnonzero(last) + 1
    return float((np.diff(found, prepend=0) * found / rows).sum() / hits[-1])


def brier_skill(
    probabilities: _Floats, base: _Floats, classes: _Classes, plan: BlockPlan, level: float = 0.95
) -> Metric:
    """1 - Brier / Brier of the base rate: three-class Brier scores, base rates of the TRAINING part of each fold."""
    truth = classes[:, None] == np.array((-1, 0, 1))
    ours, theirs = ((probabilities - truth) ** 2).sum(1), ((base - truth) ** 2).sum(1)
    return measured(np.column_stack((ours, theirs)), _skill, plan, level, null=0.0)


def log_loss_skill(
    probabilities: _Floats, base: _Floats, classes: _Classes, plan: BlockPlan, level: float = 0.95
) -> Metric:
    """1 - log-loss / log-loss of the training base rate; probabilities are floored at 1e-6."""
    rows, column = np.arange(len(classes)), classes.astype(np.int64) + 1
    ours, theirs = (-np.log(np.maximum(p[rows, column], 1e-6)) for p in (probabilities, base))
    return measured(np.column_stack((ours, theirs)), _skill, plan, level, null=0.0)


def _skill(sums: _Floats) -> _Floats:
    return np.asarray(1.0 - sums[..., 0] / sums[..., 1])


def hit_rate(score: _Floats, returns: _Floats, plan: BlockPlan, level: float = 0.95) -> Metric:
    """Share of rows with a score and a move whose signs agree; rows where either is 0 are left out."""
    both = np.sign(score) * np.sign(returns)
    columns = np.column_stack((both > 0, both != 0)).astype(np.float64)
    return measured(
        columns, lambda sums: sums[..., 0] / sums[..., 1], plan, level, null=0.5, n=int(columns[:, 1].sum())
    )


def calibration_columns(probability: _Floats, outcome: npt.NDArray[np.bool_], bins: int) -> _Floats:
    """Terms per row whose sums give the calibration error: gap, p (1 - p) and 1 in the row's bin, shape (n, 3 bins)."""
    place = np.clip((probability * bins).astype(np.int64), 0, bins - 1)
    columns = np.zeros((probability.size, 3 * bins))
    rows = np.arange(probability.size)
    columns[rows, place] = probability - outcome
    columns[rows, bins + place] = probability * (1 - probability)
    columns[rows, 2 * bins + place] = 1.0
    return columns


def calibration_parts(sums: _Floats) -> tuple[_Floats, _Floats]:
    """Raw ECE from column sums ``(..., 3 bins)``, and the part of it that sampling noise adds."""
    gap, variance, count = np.split(sums, 3, axis=-1)
    total = count.sum(-1)
    raw = np.abs(gap).sum(-1) / total
    safe = np.maximum(variance, 1e-300)
    chance = 2 / math.sqrt(math.pi) * np.sqrt(safe) * np.exp(-0.5 * gap * gap / safe)
    return raw, chance.sum(-1) / total


def calibration_error(probability: _Floats, outcome: npt.NDArray[np.bool_], plan: BlockPlan, level: float) -> Metric:
    """Debiased ECE (15 bins) of one class's probability, with an interval that is debiased a second time.

    Resampling adds sampling noise once more, so replications are shifted down by their mean excess.
    """
    columns = calibration_columns(probability, outcome, 15)
    used = columns[:, 30:].any(axis=0)
    columns = columns[:, np.tile(used, 3)]
    raw, chance = calibration_parts(columns.sum(0))
    value = float(raw - chance)
    again, again_chance = calibration_parts(resample_sums(columns, plan))
    samples = again - again_chance
    samples = samples - (samples.mean() - value)
    note = f"raw {float(raw):.4f} less {float(chance):.4f} that sampling noise adds"
    return _finish(value, samples, plan, level, None, note, plan.n)
