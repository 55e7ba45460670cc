"""Success card of a candidate: what it must show in time, each row passed, failed, or said not to be measurable yet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from marketprism.core.random import child_seed
from marketprism.evaluate.bootstrap import block_length
from marketprism.evaluate.drift import drift_test, population_stability_index
from marketprism.evaluate.economics import Trading
from marketprism.evaluate.gate_config import AdoptionConfig
from marketprism.evaluate.gate_pairs import PairedIC, Pairs
from marketprism.evaluate.metric import ENOUGH_ROWS
from marketprism.evaluate.metrics import information_ratio
from marketprism.evaluate.performance import maximum_drawdown
from marketprism.evaluate.slices import DAY_NS, WEEK_NS, periodic_information, stability

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Check", "Status", "success_card"]

_Floats = npt.NDArray[np.float64]
Status = Literal["pass", "fail", "not measurable", "unattainable"]
_MONTH_DAYS = 28
_MIN_DAYS = 10


@dataclass(frozen=True)
class Check:
    """One row of a card or list of conditions.

    Attributes
    ----------
    name : str
        What is asked.
    status : {"pass", "fail", "not measurable", "unattainable"}
        ``unattainable`` conditions could be met by nobody and do not count.
    value : float
        As measured; NaN where it could not be.
    required : str
        Threshold in words, such as ``< 0.01``.
    why : str
        What the value rests on, or why there is none.
    """

    name: str
    status: Status
    value: float
    required: str
    why: str

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for JSON: NaN becomes None."""
        return {
            "name": self.name,
            "status": self.status,
            "value": self.value if math.isfinite(self.value) else None,
            "required": self.required,
            "why": self.why,
        }


def success_card(
    pairs: Pairs,
    found: PairedIC,
    trading: Trading,
    frame: pl.DataFrame,
    inputs: tuple[str, ...],
    served: _Floats | None,
    config: AdoptionConfig,
    seed: int,
    replications: int,
) -> tuple[Check, ...]:
    """Judge a candidate alone: p-value, IC_IR, week-to-week correlation, drift, monthly drawdown.

    Parameters
    ----------
    pairs : Pairs
        Its scores and returns.
    found : PairedIC
        Of these pairs.
    trading : Trading
        What its scores earned.
    frame : polars.DataFrame
        Bucket frame with its inputs.
    inputs : tuple of str
        Names of its inputs.
    served : ndarray, optional
        Scores of the served model on every row of ``frame``.
    config : AdoptionConfig
        Thresholds.
    seed, replications : int
        Of the bootstrap and permutations.
    """
    return (
        _p_value(pairs, found, config),
        _ratio(pairs, config, seed, replications),
        _weeks(pairs, frame, inputs, config, seed, replications),
        _score_drift(pairs, frame, served, config, seed, replications),
        _input_drift(pairs, frame, inputs, config),
        _month(trading, config),
    )


def _p_value(pairs: Pairs, found: PairedIC, config: AdoptionConfig) -> Check:
    ic, required = found.candidate, f"< {config.p_value:g}, IC above 0"
    name = "p-value of the IC"
    if not ic.enough:
        return Check(
            name, "not measurable", found.p_candidate, required, f"{pairs.n} rows in {ic.blocks} blocks are few"
        )
    good = found.p_candidate < config.p_value and ic.value > 0
    why = f"two-sided, IC {ic.value:.4f} on {pairs.n:,} rows, Student's t with the error of the block bootstrap"
    return Check(name, "pass" if good else "fail", found.p_candidate, required, why)


def _ratio(pairs: Pairs, config: AdoptionConfig, seed: int, replications: int) -> Check:
    days = pairs.known // DAY_NS
    if np.unique(days).size >= _MIN_DAYS:
        period, word = days, "daily"
    else:
        size = max(30, 4 * pairs.overlap * pairs.series, -(-pairs.n // 20))
        period, word = np.arange(pairs.n, dtype=np.int64) // size, f"{size}-row"
    metric = information_ratio(
        pairs.candidate, pairs.target, period, child_seed(seed, "ratio"), config.level, replications, word
    )
    required = f">= {config.ic_ir:g}"
    if not math.isfinite(metric.value):
        return Check("IC_IR", "not measurable", math.nan, required, metric.note or "fewer than 3 periods with an IC")
    status: Status = "pass" if metric.value >= config.ic_ir else "fail"
    return Check("IC_IR", status, metric.value, required, f"mean over deviation of {metric.note}")


def _weeks(
    pairs: Pairs, frame: pl.DataFrame, inputs: tuple[str, ...], config: AdoptionConfig, seed: int, replications: int
) -> Check:
    name, required = "week-to-week IC correlation", f">= {config.week_correlation:g}"
    weeks = float(pairs.known[-1] - pairs.known[0]) / WEEK_NS
    matrix = _inputs_at(pairs.known, frame, inputs, pairs.series)
    if matrix is not None and weeks > 1:
        _, ics = periodic_information(matrix, pairs.target, pairs.known)
        if len(ics) >= 2:
            across = stability(ics, replications=replications, seed=child_seed(seed, "weeks")).across
            if math.isfinite(across.value):
                status: Status = "pass" if across.value >= config.week_correlation else "fail"
                return Check(name, status, across.value, required, f"ICs of its inputs; {across.note}")
    why = f"the rows span {weeks:.2g} weeks; it takes two calendar weeks of 30 rows each, and three inputs"
    return Check(name, "not measurable", math.nan, required, why)


def _inputs_at(
    known: npt.NDArray[np.int64], frame: pl.DataFrame, inputs: tuple[str, ...], series: int
) -> _Floats | None:
    """Return inputs at the times of the pairs, gaps at the median; None where they do not match."""
    times = frame["ts_known"].to_numpy().astype(np.int64) if "ts_known" in frame.columns else np.empty(0, np.int64)
    names = [name for name in inputs if name in frame.columns]
    if series != 1 or not names or np.unique(times).size != times.size:
        return None
    order = np.argsort(times, kind="stable")
    place = np.searchsorted(times[order], known)
    if place.max(initial=0) >= times.size or not np.array_equal(times[order][place], known):
        return None
    values = frame.select(names).cast(dict.fromkeys(names, float)).fill_null(float("nan")).to_numpy()[order][place]
    columns = [column for column in values.T if np.isfinite(column).any()]
    filled = [np.where(np.isfinite(c), c, np.median(c[np.isfinite(c)])) for c in columns]
    return np.column_stack(filled) if filled else None


def _score_drift(
    pairs: Pairs, frame: pl.DataFrame, served: _Floats | None, config: AdoptionConfig, seed: int, replications: int
) -> Check:
    name, required = "PSI of the score", f"< {config.psi:g}"
    scores, what = pairs.candidate, "out-of-sample scores of all folds"
    if served is not None:
        scores, what = served[np.argsort(frame["ts_known"].to_numpy(), kind="stable")], "served model on all rows"
        scores = scores[np.isfinite(scores)]
    half = scores.size // 2
    if scores.size < ENOUGH_ROWS:
        return Check(name, "not measurable", math.nan, required, f"only {scores.size} rows")
    first, second = scores[:half], scores[half:]
    block = min(half, block_length(half, pairs.overlap, pairs.series))
    drift = drift_test(first, second, block=block, replications=replications, seed=child_seed(seed, "psi"))
    text = f"{what}, first against second half; by chance up to {drift.null_high:.3g} in 95 % of cases"
    if drift.statistic < config.psi:
        return Check(name, "pass", drift.statistic, required, text)
    if drift.statistic <= drift.null_high:
        return Check(name, "not measurable", drift.statistic, required, f"{text}: too few rows to tell")
    return Check(name, "fail", drift.statistic, required, text)


def _input_drift(pairs: Pairs, frame: pl.DataFrame, inputs: tuple[str, ...], config: AdoptionConfig) -> Check:
    name, required = "PSI of the median input", f"< {config.psi:g}"
    before = frame["ts_known"].to_numpy() < pairs.known[0]
    names = [one for one in inputs if one in frame.columns]
    found = {}
    for one in names:
        values = frame[one].cast(float).fill_null(float("nan")).to_numpy()
        old, new = values[before], values[~before]
        if min(np.isfinite(old).sum(), np.isfinite(new).sum()) >= ENOUGH_ROWS:
            found[one] = population_stability_index(old, new)
    if not found:
        why = f"{int(before.sum())} rows before and {int((~before).sum())} after: both need {ENOUGH_ROWS}"
        return Check(name, "not measurable", math.nan, required, why)
    middle = float(np.median(list(found.values())))
    worst = max(found, key=lambda one: found[one])
    why = f"rows before the first forecast against those after, {len(found)} inputs; worst {worst} {found[worst]:.2f}"
    return Check(name, "pass" if middle < config.psi else "fail", middle, required, why)


def _month(trading: Trading, config: AdoptionConfig) -> Check:
    name, required = "monthly drawdown", f"<= {config.monthly_drawdown:.0%} of notional"
    months = trading.ts.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    edges = np.flatnonzero(np.diff(months)) + 1
    parts = [part for part in np.split(trading.net, edges) if part.size]
    worst = max((maximum_drawdown(part) for part in parts), default=math.nan)
    days = float(trading.ts[-1] - trading.ts[0]) / DAY_NS if trading.ts.size else 0.0
    held = float(np.abs(trading.position).mean()) if trading.ts.size else 0.0
    count = "1 calendar month" if len(parts) == 1 else f"{len(parts)} calendar months"
    why = f"worst of {count}, {days:.3g} days, net of costs, in the market {held:.0%} of the time"
    if worst > config.monthly_drawdown:
        return Check(name, "fail", worst, required, why)
    if days < _MONTH_DAYS:
        return Check(name, "not measurable", worst, required, f"{days:.3g} days are no month; so far {worst:.2%}")
    return Check(name, "pass", worst, required, why)
