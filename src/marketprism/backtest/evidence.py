"""Whether a P&L is more than luck: block-bootstrap intervals, paired differences, Sharpe ratios deflated over lanes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.evaluate.bootstrap import BlockPlan, block_length, interval, plan_blocks, resample_sums
from marketprism.evaluate.metric import ENOUGH_BLOCKS, ENOUGH_ROWS, Metric
from marketprism.evaluate.resample import optimal_block_lengths
from marketprism.evaluate.sharpe import expected_maximum_sharpe, probabilistic_sharpe_ratio, sharpe_ratio

__all__ = ["PairedPnl", "TrackRecord", "paired_pnl", "track_records"]

_Floats = npt.NDArray[np.float64]
_LEAST = 16
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """The P&L of one lane, bar by bar, and what luck could have made of it.

    Attributes
    ----------
    pnl : Metric
        Total, with a circular block-bootstrap interval of the sum; no skill is 0.
    sharpe : float
        Mean over deviation of the bars, NOT annualised; NaN where nothing moved.
    psr : float
        Probability that the true Sharpe ratio is positive, as if this lane had been the only one.
    dsr : float
        The same after the best of all trials was picked; NaN where it is not defined.
    luckiest : float
        Sharpe ratio a bar that the best of all trials would show without any skill.
    trials : int
        How many were tried.
    bars : int
        Behind it.
    block : int
        Bars a block, by the rule of Politis and White, at least the cube root of the bars.
    """

    pnl: Metric
    sharpe: float
    psr: float
    dsr: float
    luckiest: float
    trials: int
    bars: int
    block: int

    def summary(self) -> dict[str, Any]:
        """Plain data for JSON."""

        def plain(value: float) -> float | None:
            return value if math.isfinite(value) else None

        return {
            "pnl": self.pnl.to_mapping(),
            "sharpe_per_bar": plain(self.sharpe),
            "probabilistic_sharpe": plain(self.psr),
            "deflated_sharpe": plain(self.dsr),
            "luckiest_sharpe_per_bar": plain(self.luckiest),
            "trials": self.trials,
            "bars": self.bars,
            "block": self.block,
        }


@dataclass(frozen=True, slots=True)
class PairedPnl:
    """The P&L of one lane less that of another over the same bars.

    Attributes
    ----------
    difference : Metric
        Of the totals, with the interval of a paired block bootstrap: the same blocks for both.
    p : float
        Two-sided chance of so large a difference without any; NaN where nothing differs.
    block : int
        Bars a block.
    """

    difference: Metric
    p: float
    block: int


def _checked(values: npt.ArrayLike, name: str) -> _Floats:
    result = np.asarray(values, dtype=np.float64)
    if result.ndim != 1 or not np.isfinite(result).all():
        raise DataError(f"{name} had shape {result.shape}", hint="finite P&L of each bar, one column")
    return result


def _plan(increments: _Floats, replications: int, seed: int) -> BlockPlan | None:
    n = len(increments)
    # What differs by rounding alone does not move.
    if n < _LEAST or not increments.std() > _ROUNDING * float(np.abs(increments).max()):
        return None
    _, circular = optimal_block_lengths(increments)
    length = min(n, max(block_length(n), math.ceil(circular)))
    return plan_blocks(n, length, replications, seed)


def _total(increments: _Floats, plan: BlockPlan | None, level: float) -> tuple[Metric, _Floats]:
    n, value = len(increments), float(increments.sum())
    if plan is None:
        note = f"{n} bars without movement" if n >= _LEAST else f"{n} bars, too few to resample"
        return Metric(value=value, low=math.nan, high=math.nan, n=n, null=0.0, note=note), np.zeros(0)
    mean = increments.mean()
    samples = resample_sums((increments - mean)[:, None], plan)[:, 0] + value
    low, high = interval(value, samples, plan.blocks, level)
    few = n < ENOUGH_ROWS or plan.blocks < ENOUGH_BLOCKS
    note = f"few samples: {n} bars in {plan.blocks} blocks, not evidence" if few else ""
    return Metric(value=value, low=low, high=high, n=n, blocks=plan.blocks, null=0.0, note=note), samples


def track_records(
    lanes: Sequence[npt.ArrayLike],
    *,
    trials: int | None = None,
    trial_variance: float | None = None,
    replications: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> list[TrackRecord]:
    """Judge lanes that were tried on the same bars.

    Parameters
    ----------
    lanes : sequence of array of float, shape (n,)
        P&L of each bar, in the order of time; finite.
    trials : int, optional
        How many were ever tried; the number of lanes if missing, and at least that.
    trial_variance : float, optional
        Variance of the trials' Sharpe ratios a bar; that of the lanes if missing, and where it is not known
        ``1 / (n - 1)``, the sampling variance of a Sharpe ratio of zero.
    replications : int, default 1000
        Of the bootstrap.
    level : float, default 0.95
        Coverage of the intervals.
    seed : int
        Of the bootstrap.

    Raises
    ------
    DataError
        A lane is not finite.

    Examples
    --------
    >>> steps = np.random.default_rng(0).normal(0.1, 1.0, 2000)
    >>> record = track_records([steps], replications=200)[0]
    >>> record.pnl.star, record.dsr == record.psr > 0.95
    (True, True)
    """
    increments = [_checked(lane, f"lane {place}") for place, lane in enumerate(lanes)]
    sharpes = [sharpe_ratio(x) if len(x) > 1 and x.std() > 0 else math.nan for x in increments]
    known = np.array([s for s in sharpes if math.isfinite(s)])
    count = max(len(lanes), trials or 0)
    if trial_variance is None and known.size > 1:
        trial_variance = float(known.var(ddof=1))
    records = []
    for x, sharpe in zip(increments, sharpes, strict=True):
        plan = _plan(x, replications, seed)
        total, _ = _total(x, plan, level)
        psr = dsr = luckiest = math.nan
        if math.isfinite(sharpe):
            variance = trial_variance if trial_variance is not None else 1.0 / max(1, len(x) - 1)
            luckiest = expected_maximum_sharpe(count, variance)
            z = (x - x.mean()) / x.std()
            skew, kurtosis = float((z**3).mean()), float((z**4).mean())
            psr = probabilistic_sharpe_ratio(sharpe, len(x), skew, kurtosis)
            dsr = probabilistic_sharpe_ratio(sharpe, len(x), skew, kurtosis, luckiest)
        block = plan.length if plan is not None else 0
        records.append(TrackRecord(total, sharpe, psr, dsr, luckiest, count, len(x), block))
    return records


def paired_pnl(
    first: npt.ArrayLike, second: npt.ArrayLike, *, replications: int = 1000, level: float = 0.95, seed: int = 0
) -> PairedPnl:
    """Compare two lanes over the same bars: total of ``first`` less total of ``second``.

    Raises
    ------
    DataError
        A lane is not finite, or they differ in length.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> market = rng.normal(size=1000)
    >>> found = paired_pnl(market + rng.normal(0.02, 0.1, 1000), market, replications=200)
    >>> found.difference.star, found.p < 0.05
    (True, True)
    """
    left, right = _checked(first, "the first lane"), _checked(second, "the second lane")
    if left.shape != right.shape:
        raise DataError(f"lanes had {len(left)} and {len(right)} bars", hint="compare lanes of one replay")
    gained = left - right
    plan = _plan(gained, replications, seed)
    total, samples = _total(gained, plan, level)
    p = math.nan
    if plan is not None:
        extreme = np.abs(samples - total.value) >= abs(total.value)
        p = float((1 + extreme.sum()) / (1 + len(samples)))
    return PairedPnl(total, p, plan.length if plan is not None else 0)
