"""Adoption gate: whether a candidate is worth its latency, size and opacity, beyond luck and after costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.core.random import child_seed
from marketprism.evaluate.economics import Trading
from marketprism.evaluate.gate_config import AdoptionConfig
from marketprism.evaluate.gate_decay import Attainable, DecaySide, attainable_brier, decay_side
from marketprism.evaluate.gate_pairs import PairedIC, PairedSharpe, Pairs, make_pairs, paired_ic, paired_sharpe
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.success_card import Check, Status, success_card

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Adoption", "AdoptionConfig", "Candidate", "Score", "adoption_gate"]

WORDS = {
    "gain": "(IC of the candidate - IC of the baseline) / max(|IC of the baseline|, floor), on their common rows",
    "latency cost": "extra p99 latency of a prediction over the baseline's, in units of the go-live limit; at least 0",
    "complexity": "natural log of the candidate's parameters or leaves over the baseline's; negative if it is smaller",
    "interpretability loss": "1 - explainability coverage of the candidate",
    "score": "gain - .5 latency cost - .3 complexity - .2 interpretability loss (weights as configured)",
}
"""Definition of every part of the score, in words."""


@dataclass(frozen=True)
class Candidate:
    """What the gate needs of one side.

    Attributes
    ----------
    name : str
        How to call it.
    predictions : polars.DataFrame
        Its out-of-sample predictions at one horizon (see :class:`~marketprism.evaluate.WalkForward`).
    trading : Trading
        What trading them earned, on the common rows of both sides.
    frame : polars.DataFrame
        Bucket frame with its inputs.
    inputs : tuple of str
        Columns that it takes.
    size : float
        Parameters or leaves, at least 1.
    unit : str
        ``"parameters"`` or ``"leaves"``.
    latency_p50_ms, latency_p99_ms : float
        Of one prediction, measured; NaN where not measured (charged as one whole limit).
    coverage : float
        Explainability coverage in [0, 1]; NaN where not measured (charged as 0).
    served : ndarray of shape (rows of frame,), optional
        Scores of the one model that would be served, on every row of ``frame``: its drift is judged by them; without
        them, by the out-of-sample predictions, which come from the models of several folds.
    """

    name: str
    predictions: pl.DataFrame
    trading: Trading
    frame: pl.DataFrame
    inputs: tuple[str, ...]
    size: float
    unit: str = "parameters"
    latency_p50_ms: float = math.nan
    latency_p99_ms: float = math.nan
    coverage: float = math.nan
    served: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.size) and self.size >= 1):
            raise DataError(f"size of {self.name} was {self.size}", hint="count parameters or leaves, at least 1")
        if self.latency_p99_ms < 0 or not (math.isnan(self.coverage) or 0 <= self.coverage <= 1):
            raise DataError(
                f"{self.name} had a latency of {self.latency_p99_ms} ms and a coverage of {self.coverage}",
                hint="latency is not negative, coverage lies in [0, 1]",
            )
        if self.served is not None and self.served.shape != (self.frame.height,):
            raise DataError(
                f"{self.name} was served on {self.served.shape} rows of {self.frame.height}",
                hint="give one score for each row of the frame",
            )


@dataclass(frozen=True)
class Score:
    """The score and its parts (``WORDS`` defines each); ``low`` and ``high`` come from the interval of the gain."""

    gain: float
    latency_cost: float
    complexity: float
    interpretability_loss: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Adoption:
    """Verdict of the gate and everything behind it.

    Attributes
    ----------
    baseline, candidate : str
        Names of the two sides.
    verdict : {"ADOPT", "REJECT", "INCONCLUSIVE"}
        ADOPT: every condition met. REJECT: one was measured and missed. INCONCLUSIVE: none was missed, but the gain
        may be luck or something could not be measured; or there are too few samples to say anything at all.
    reasons : tuple of str
        Why, the decisive ones first.
    score : Score
        With its parts.
    ic : PairedIC
        ICs and gain.
    sharpe : PairedSharpe
        Net Sharpe ratios and gain.
    conditions, card : tuple of Check
        Conditions of adoption, and the success card of the candidate.
    decay : tuple of DecaySide
        Baseline and candidate.
    attainable : Attainable
        Best possible Brier score beside any Brier gate.
    pairs : Pairs
        Common rows.
    """

    baseline: str
    candidate: str
    verdict: Literal["ADOPT", "REJECT", "INCONCLUSIVE"]
    reasons: tuple[str, ...]
    score: Score
    ic: PairedIC
    sharpe: PairedSharpe
    conditions: tuple[Check, ...]
    card: tuple[Check, ...]
    decay: tuple[DecaySide, DecaySide]
    attainable: Attainable
    pairs: Pairs
    config: AdoptionConfig

    def summary(self) -> dict[str, Any]:
        """Plain data for ``gate.json``."""
        return {
            "baseline": self.baseline,
            "candidate": self.candidate,
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "score": {name: _plain(value) for name, value in vars(self.score).items()},
            "definitions": dict(WORDS),
            "ic": {name: _metric(value) for name, value in vars(self.ic).items()},
            "net_sharpe": {name: _metric(value) for name, value in vars(self.sharpe).items()},
            "conditions": [check.to_mapping() for check in self.conditions],
            "success_card": [check.to_mapping() for check in self.card],
            "decay": {word: _decay(side) for word, side in zip(("baseline", "candidate"), self.decay, strict=True)},
            "attainable_brier": self.attainable.to_mapping(),
            "rows": {
                "common": self.pairs.n,
                "left_out": self.pairs.left_out,
                "blocks": self.ic.gain.blocks,
                "series": self.pairs.series,
            },
            "config": self.config.to_mapping(),
        }


def adoption_gate(
    baseline: Candidate,
    candidate: Candidate,
    config: AdoptionConfig | None = None,
    seed: int = 0,
    replications: int = 1000,
) -> Adoption:
    """Decide whether ``candidate`` should replace ``baseline``.

    Both sides are compared on the rows that both predicted out of sample, and every interval of a difference comes
    from the same resampled blocks on both sides, so that what moves both cancels.

    Parameters
    ----------
    baseline, candidate : Candidate
        The two sides; same data, buckets, horizon and labels.
    config : AdoptionConfig, optional
        Weights and thresholds.
    seed, replications : int
        Of the block bootstrap.

    Returns
    -------
    Adoption

    Raises
    ------
    DataError
        The sides cannot be compared: different horizons, schemes, labels or rows.
    """
    config = config or AdoptionConfig()
    pairs = make_pairs(baseline.predictions, candidate.predictions)
    seed = child_seed(seed, "gate")
    ic = paired_ic(pairs, pairs.plan(replications, seed), config.level, config.ic_floor)
    sharpe = paired_sharpe(baseline.trading, candidate.trading, replications, seed, config.level, config.sharpe_floor)
    score = _score(baseline, candidate, ic.gain, config)
    attainable = attainable_brier(candidate.predictions, ic.candidate.value, config.brier_limit)
    conditions = _conditions(candidate, ic, sharpe, score, attainable, config)
    card = success_card(
        pairs, ic, candidate.trading, candidate.frame, candidate.inputs, candidate.served, config, seed, replications
    )
    verdict, reasons = _verdict(ic.gain, conditions, card, config)
    measured = [v for v in (baseline.latency_p99_ms, candidate.latency_p99_ms) if math.isfinite(v)]
    latencies = sorted({0.0, *config.latencies_ms, *measured})
    first, second = (
        decay_side(pairs, scores, side.value, latencies, config, seed, replications)
        for scores, side in ((pairs.baseline, sharpe.baseline), (pairs.candidate, sharpe.candidate))
    )
    return Adoption(
        baseline.name, candidate.name, verdict, reasons, score, ic, sharpe, conditions, card,
        (first, second), attainable, pairs, config,
    )  # fmt: skip


def _score(baseline: Candidate, candidate: Candidate, gain: Metric, config: AdoptionConfig) -> Score:
    extra = candidate.latency_p99_ms - (baseline.latency_p99_ms if math.isfinite(baseline.latency_p99_ms) else 0.0)
    latency = max(0.0, extra / config.max_latency_ms) if math.isfinite(extra) else 1.0
    complexity = math.log(candidate.size / baseline.size)
    loss = 1.0 - candidate.coverage if math.isfinite(candidate.coverage) else 1.0
    costs = (
        config.latency_weight * latency + config.complexity_weight * complexity + config.interpretability_weight * loss
    )
    return Score(gain.value, latency, complexity, loss, gain.value - costs, gain.low - costs, gain.high - costs)


def _conditions(
    candidate: Candidate,
    ic: PairedIC,
    sharpe: PairedSharpe,
    score: Score,
    attainable: Attainable,
    config: AdoptionConfig,
) -> tuple[Check, ...]:
    spread = f"{_signed(score.low)} to {_signed(score.high)}, from the interval of the gain"
    rows = [
        _check("score", score.value > config.adopt_above, score.value, f"> {config.adopt_above:g}", spread),
        _significance(ic, config),
        _check(
            "gain of the IC",
            ic.gain.value > config.min_gain,
            ic.gain.value,
            f"> {config.min_gain:.0%}",
            f"IC {ic.baseline.value:.4f} to {ic.candidate.value:.4f}; gain {_signed(ic.gain.low)} to "
            f"{_signed(ic.gain.high)}",
        ),
        _check("IC of the candidate", ic.candidate.value > 0, ic.candidate.value, "> 0", "a signal of the right sign"),
        _check(
            "net Sharpe not worse",
            sharpe.candidate.value >= sharpe.baseline.value,
            sharpe.candidate.value - sharpe.baseline.value,
            ">= 0",
            f"annual, after costs: {sharpe.baseline.value:.2f} to {sharpe.candidate.value:.2f}",
        ),
    ]
    if config.require_profit:
        net = sharpe.net_candidate
        why = f"bps of notional after costs, interval {_signed(net.low, 1)} to {_signed(net.high, 1)}"
        rows.append(_check("profit after costs", net.value > 0, net.value, "> 0 bps", why))
    rows.append(
        _limited(
            "latency p99",
            candidate.latency_p99_ms,
            candidate.latency_p99_ms < config.max_latency_ms,
            f"< {config.max_latency_ms:g} ms",
            f"one prediction; p50 {candidate.latency_p50_ms:.3g} ms",
        )
    )
    rows.append(
        _limited(
            "explainability coverage",
            candidate.coverage,
            candidate.coverage > config.min_coverage,
            f"> {config.min_coverage:.0%}",
            f"by a surrogate of {config.coverage_inputs} inputs",
        )
    )
    if config.brier_limit is not None:
        rows.append(_brier(attainable, config.brier_limit))
    return tuple(rows)


def _significance(ic: PairedIC, config: AdoptionConfig) -> Check:
    gain, name, required = ic.gain, "p-value of the gain", f"{config.level:.0%} interval above 0"
    why = f"paired block bootstrap, p = {ic.p_difference:.3g}, {gain.n:,} common rows in {gain.blocks} blocks"
    if gain.star:
        return Check(name, "pass", ic.p_difference, required, why)
    if gain.enough and gain.value <= 0:
        return Check(name, "fail", ic.p_difference, required, f"there is no gain: {_signed(gain.value)}; {why}")
    return Check(name, "not measurable", ic.p_difference, required, f"it may be luck: {why}")


def _brier(attainable: Attainable, limit: float) -> Check:
    best = min(attainable.best_return, attainable.best_outcome)
    required = f"< {limit:g}"
    if not attainable.attainable:
        why = f"no forecast with this IC can be below {best:.4f}: the limit does not count"
        return Check("Brier score", "unattainable", attainable.observed, required, why)
    why = f"best possible with the observed correlation {best:.4f}, base rate alone {attainable.base:.4f}"
    return _limited("Brier score", attainable.observed, attainable.observed < limit, required, why)


def _check(name: str, good: bool, value: float, required: str, why: str) -> Check:
    return Check(name, "pass" if good else "fail", value, required, why)


def _limited(name: str, value: float, good: bool, required: str, why: str) -> Check:
    if not math.isfinite(value):
        return Check(name, "not measurable", value, required, "not measured; charged in full")
    return _check(name, good, value, required, why)


def _verdict(
    gain: Metric, conditions: Sequence[Check], card: Sequence[Check], config: AdoptionConfig
) -> tuple[Literal["ADOPT", "REJECT", "INCONCLUSIVE"], tuple[str, ...]]:
    """Weigh the checks; the reasons that decide come first."""

    def said(checks: Sequence[Check], status: Status) -> list[str]:
        return [f"{c.name}: {_value(c)}, asked {c.required} ({c.why})" for c in checks if c.status == status]

    missed, open_ = said([*conditions, *card], "fail"), said(conditions, "not measurable")
    waiting, void = said(card, "not measurable"), said(conditions, "unattainable")
    later = [f"success card: {line}" for line in waiting] + [f"ignored: {line}" for line in void]
    if not gain.enough:
        few = f"{gain.n:,} common rows in {gain.blocks} blocks are too few to decide anything"
        return "INCONCLUSIVE", (few, *missed, *open_, *later)
    if missed:
        return "REJECT", (*missed, *open_, *later)
    if open_ or (config.require_card and waiting):
        return "INCONCLUSIVE", (*open_, *later)
    met = f"all {sum(c.status == 'pass' for c in conditions)} conditions are met"
    proven = sum(c.status == "pass" for c in card)
    return "ADOPT", (met, f"{proven} of {len(card)} rows of the success card are proven, none is missed", *later)


def _value(check: Check) -> str:
    return "not known" if not math.isfinite(check.value) else f"{check.value:,.4g}"


def _signed(value: float, digits: int = 3) -> str:
    return "unknown" if not math.isfinite(value) else f"{value:+.{digits}f}"


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _metric(value: Metric | float) -> Any:
    return value.to_mapping() if isinstance(value, Metric) else _plain(value)


def _decay(side: DecaySide) -> dict[str, Any]:
    return {
        "row_ms": _plain(side.row_ms),
        "lifetime_ms": _plain(side.lifetime_ms),
        "lifetime_at_most": side.at_most,
        "lifetime_infinite": math.isinf(side.lifetime_ms),
        "ic_by_delay": [
            {"rows": int(delay), **metric.to_mapping()}
            for delay, metric in zip(side.decay.delays.tolist(), side.decay.metrics, strict=True)
        ],
        "effective_sharpe": [{"latency_ms": latency, "sharpe": _plain(value)} for latency, value in side.sharpe],
    }
