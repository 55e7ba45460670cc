"""The page of the adoption gate: verdict and reasons, the two sides, the score, the conditions, the success card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from marketprism.evaluate.gate import Adoption, Candidate
from marketprism.evaluate.gate_decay import DecaySide
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.success_card import Check
from marketprism.pipelines.gate_measure import Latency
from marketprism.pipelines.texts import horizon_text, interval, number, share, short_source
from marketprism.report.document import Card, Document, Facts, Figure, Item, Note, Section, Table, Verdict
from marketprism.report.figures.gate import decay_curves

__all__ = ["gate_document", "score_rows", "side_rows"]

_TONES: Any = {"ADOPT": "good", "REJECT": "bad", "INCONCLUSIVE": "warn"}
_HEADLINES = {
    "ADOPT": "ADOPT: {candidate} in place of {baseline}",
    "REJECT": "REJECT: {candidate} does not replace {baseline}",
    "INCONCLUSIVE": "INCONCLUSIVE: these data cannot say whether {candidate} is better than {baseline}",
}
_STATUS = {"pass": "✓ pass", "fail": "✗ FAIL", "not measurable": "not measurable", "unattainable": "ignored"}


def gate_document(
    adoption: Adoption,
    sides: tuple[Candidate, Candidate],
    latency: tuple[Latency, Latency],
    summary: Mapping[str, Any],
) -> Document:
    """Lay out the page of a verdict."""
    headline = _HEADLINES[adoption.verdict].format(baseline=adoption.baseline, candidate=adoption.candidate)
    return Document(
        title=f"Adoption gate: {adoption.candidate} against {adoption.baseline}",
        subtitle=f"{short_source(summary['source'])} · return over the next {horizon_text(summary['horizon'])} · "
        f"{adoption.pairs.n:,} common out-of-sample buckets",
        verdict=Verdict(headline, adoption.reasons, _TONES[adoption.verdict]),
        cards=_cards(adoption, sides),
        sections=[
            _sides_section(adoption, sides, latency),
            _score_section(adoption, summary),
            _conditions_section(adoption),
            _card_section(adoption),
            _decay_section(adoption, sides),
            _brier_section(adoption),
            _basis_section(summary),
        ],
        footer="Made by MarketPrism. Numbers are out of sample unless they say so; past results promise nothing.",
    )


def side_rows(adoption: Adoption, sides: tuple[Candidate, Candidate]) -> list[list[str]]:
    """Rows of the table of both sides: what, baseline, candidate, difference or gain."""
    ic, sharpe = adoption.ic, adoption.sharpe
    left, right = sides
    return [
        ["information coefficient", interval(ic.baseline), interval(ic.candidate), interval(ic.difference)],
        ["relative gain of the IC", "", "", _percent(ic.gain)],
        ["net Sharpe, annual", interval(sharpe.baseline, 1), interval(sharpe.candidate, 1), ""],
        ["relative gain of the net Sharpe", "", "", _percent(sharpe.gain)],
        ["net P&L (bps)", interval(sharpe.net_baseline, 1), interval(sharpe.net_candidate, 1), ""],
        [
            "latency of a prediction, p50 / p99 (ms)",
            *(f"{number(side.latency_p50_ms, 4)} / {number(side.latency_p99_ms, 4)}" for side in sides),
            number(right.latency_p99_ms - left.latency_p99_ms, 4),
        ],
        ["size", *(f"{side.size:,.0f} {side.unit}" for side in sides), f"× {number(right.size / left.size, 2)}"],
        [
            "explainability coverage",
            *(share(side.coverage, 0) for side in sides),
            f"{number(100 * (right.coverage - left.coverage), 0)} points",
        ],
        ["inputs", *(f"{len(side.inputs):,}" for side in sides), ""],
    ]


def score_rows(adoption: Adoption) -> list[list[str]]:
    """Rows of the table of the score: part, value, weight, contribution."""
    score, config = adoption.score, adoption.config
    parts = (
        ("gain", score.gain, 1.0),
        ("latency cost", score.latency_cost, -config.latency_weight),
        ("complexity", score.complexity, -config.complexity_weight),
        ("interpretability loss", score.interpretability_loss, -config.interpretability_weight),
    )
    rows = [[name, number(value), number(weight, 2), number(weight * value)] for name, value, weight in parts]
    return [*rows, ["score", "", f"adopt above {number(config.adopt_above, 2)}", number(score.value)]]


def _cards(adoption: Adoption, sides: tuple[Candidate, Candidate]) -> list[Card]:
    score, gain, candidate, config = adoption.score, adoption.ic.gain, sides[1], adoption.config
    net = adoption.sharpe.net_candidate
    met = sum(check.status == "pass" for check in adoption.card)
    return [
        Card(
            "Score",
            number(score.value, 2),
            f"adopt above {config.adopt_above:g}; {number(score.low, 2)} to {number(score.high, 2)}",
            "good" if score.value > config.adopt_above else "bad",
        ),
        Card(
            "Gain of the IC",
            _share(gain.value),
            f"{_share(gain.low)} to {_share(gain.high)}",
            "good" if gain.star else "warn",
        ),
        Card(
            "Candidate's IC",
            number(adoption.ic.candidate.value),
            f"baseline {number(adoption.ic.baseline.value)}",
            "good" if adoption.ic.candidate.star else "plain",
        ),
        Card(
            "Net P&L (bps)",
            number(net.value, 1),
            f"baseline {number(adoption.sharpe.net_baseline.value, 1)}",
            "good" if net.value > 0 else "bad",
        ),
        Card(
            "Latency p99",
            f"{number(candidate.latency_p99_ms, 3)} ms",
            f"limit {config.max_latency_ms:g} ms; coverage {share(candidate.coverage, 0)}",
        ),
        Card("Success card", f"{met} of {len(adoption.card)}", "rows proven"),
    ]


def _percent(metric: Metric) -> str:
    return f"{_share(metric.value)} [{_share(metric.low)}, {_share(metric.high)}]"


def _share(value: float) -> str:
    return share(value, 0).replace("-", "−")


def _sides_section(adoption: Adoption, sides: tuple[Candidate, Candidate], latency: tuple[Latency, Latency]) -> Section:
    table = Table(
        ["", f"baseline: {adoption.baseline}", f"candidate: {adoption.candidate}", "difference"],
        side_rows(adoption, sides),
        "Both sides on the same rows",
        f"Value and {adoption.config.level:.0%} interval. Differences and gains are resampled in pairs: the same "
        f"blocks for both sides. p of no difference in IC: {number(adoption.ic.p_difference, 4)}. "
        f"Latency over {latency[1].calls:,} single predictions.",
        text_columns=[""],
        wide=True,
    )
    return Section(
        "sides",
        "The two sides",
        "Information coefficient (IC) is the correlation of the forecast with the return that followed. What would be "
        "bad: a difference whose interval holds zero, or a better IC that earns less after costs.",
        [table],
    )


def _score_section(adoption: Adoption, summary: Mapping[str, Any]) -> Section:
    table = Table(["part", "value", "weight", "adds"], score_rows(adoption), "The score", text_columns=["part"])
    words = Facts(list(summary["definitions"].items()), "Definitions")
    return Section(
        "score",
        "Score",
        "What the candidate gains, less what it costs to run, to maintain and to explain. Bad is a score at or below "
        f"{adoption.config.adopt_above:g}.",
        [table, words],
    )


def _check_table(checks: tuple[Check, ...], title: str, waiting: str = "not measurable") -> Table:
    words = {**_STATUS, "not measurable": waiting}
    rows = [[check.name, words[check.status], number(check.value, 4), check.required, check.why] for check in checks]
    columns = ["what", "result", "value", "asked", "why"]
    return Table(columns, rows, title, text_columns=["what", "result", "asked", "why"], wide=True)


def _conditions_section(adoption: Adoption) -> Section:
    return Section(
        "conditions",
        "Conditions",
        "Every one must be met for ADOPT. One that was measured and missed gives REJECT; one that could not be settled "
        "gives INCONCLUSIVE.",
        [_check_table(adoption.conditions, "Conditions of adoption and go-live", waiting="not proven")],
    )


def _card_section(adoption: Adoption) -> Section:
    waiting = sum(check.status == "not measurable" for check in adoption.card)
    items: list[Item] = [_check_table(adoption.card, "Success card of the candidate")]
    if waiting:
        asked = "they stand in the way of ADOPT" if adoption.config.require_card else "they do not count against it"
        items.append(
            Note(f"{waiting} of {len(adoption.card)} rows need more data than there are; {asked}. Watch them.", "warn")
        )
    return Section(
        "card",
        "Success card",
        "What the candidate must show in time, judged by itself. A failed row rejects it. IC_IR is the mean IC of a "
        "period over its deviation from period to period; PSI (population stability index) says how far a distribution "
        "has moved, 0 being not at all.",
        items,
    )


def _decay_section(adoption: Adoption, sides: tuple[Candidate, Candidate]) -> Section:
    names = (f"baseline: {adoption.baseline}", f"candidate: {adoption.candidate}")
    curves = {}
    for name, side in zip(names, adoption.decay, strict=True):
        metrics = side.decay.metrics
        curves[name] = (
            [delay * side.row_ms / 1e3 for delay in side.decay.delays.tolist()],
            [metric.value for metric in metrics],
            [metric.low for metric in metrics],
            [metric.high for metric in metrics],
        )
    rows = [
        ["signal falls to 1/e after", *(_lifetime(side) for side in adoption.decay)],
        *(
            [f"net Sharpe left at {latency:,.4g} ms", *(number(side.sharpe[place][1], 2) for side in adoption.decay)]
            for place, (latency, _) in enumerate(adoption.decay[0].sharpe)
        ),
    ]
    figure = Figure(
        decay_curves(curves),
        "IC against delay",
        "Correlation of the score of some buckets ago with each bucket's return. Bars are intervals; "
        "where they hold zero, acting that late is guessing.",
    )
    table = Table(
        ["", *names],
        rows,
        "What latency leaves",
        "Net Sharpe × exp(−latency / time to 1/e), for latency beyond what the fills already have; the measured p99 of "
        "both models is among the rows. A Sharpe ratio at or below zero is shown as it is: latency does not cure it.",
        text_columns=[""],
    )
    slow = f"{number(max(side.latency_p99_ms for side in sides), 3)} ms"
    return Section(
        "decay",
        "Signal decay",
        f"How long the signal lives beside how long a prediction takes (at most {slow}). Bad is a signal that is gone "
        "before an order can arrive.",
        [figure, table],
    )


def _lifetime(side: DecaySide) -> str:
    if math.isnan(side.lifetime_ms):
        return "no positive IC"
    if math.isinf(side.lifetime_ms):
        return "does not fall"
    return f"{'less than ' if side.at_most else ''}{number(side.lifetime_ms / 1e3, 1)} s"


def _brier_section(adoption: Adoption) -> Section:
    found = adoption.attainable
    asked = "none" if found.limit is None else f"below {found.limit:g}"
    verdict = {
        None: "no limit was asked for",
        True: "a forecast can meet it",
        False: "NO forecast can meet it: ignored",
    }
    facts = Facts(
        [
            ("rows that moved", f"{found.n:,}"),
            ("Brier score of the candidate", number(found.observed, 4)),
            ("of the base rate alone", number(found.base, 4)),
            (f"best possible at IC {number(found.ic)} with the return", number(found.best_return, 4)),
            (
                f"best possible at correlation {number(found.ic_outcome)} with up or down",
                number(found.best_outcome, 4),
            ),
            ("limit asked for", asked),
            ("attainable", verdict[found.attainable]),
        ],
        "Brier score, up against down",
    )
    return Section(
        "brier",
        "What is attainable",
        "The Brier score is the mean squared error of a probability: .25 is a coin. With short-horizon correlations "
        "even the best forecast stays near the coin, so a limit such as .20 is a wish, not a gate.",
        [facts],
    )


def _basis_section(summary: Mapping[str, Any]) -> Section:
    notes = Table(["note"], [[line] for line in summary["notes"]], text_columns=["note"], title="How it was measured")
    rows = summary["rows"]
    facts = Facts(
        [
            ("common rows", f"{rows['common']:,} in {rows['blocks']} blocks; {rows['left_out']:,} left out"),
            ("data", summary["hashes"]["data"][:16]),
            ("gate", summary["hashes"]["gate"]),
            *((f"{word}, artefact", side["hashes"]["artefact"][:16]) for word, side in summary["sides"].items()),
        ],
        "Hashes",
    )
    thresholds = Facts(
        [(name, "not set" if value is None else str(value)) for name, value in summary["config"].items()], "Thresholds"
    )
    return Section("basis", "What it rests on", "Assumptions, thresholds and hashes.", [notes, facts, thresholds])
