"""How long a signal lives, and what is left of it when orders arrive late."""

from __future__ import annotations

import math

import numpy as np

from marketprism.evaluate.case import Case
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.signal_decay import Decay, DecayCurve
from marketprism.pipelines.texts import interval, number
from marketprism.report.document import Figure, Item, Note, Section, Table
from marketprism.report.figures import economics as draw

__all__ = ["decay_section"]

_INTRO = (
    "A short-lived signal is worth only what is left of it when the order arrives. Here every score is used later and "
    "later, against the return over a whole horizon that begins only then. It would be bad if the information "
    "coefficient (IC, the correlation of score and return) were gone before an order can reach the exchange."
)


def decay_section(result: Decay, case: Case) -> Section:
    """Lay out IC against delay, half-lives, and Sharpe ratios by latency."""
    items: list[Item] = [Note(f"{note[:1].upper()}{note[1:]}.", "warn") for note in result.notes]
    if not case.names:
        return Section("decay", "Signal decay and latency", _INTRO, items)
    items = [_answer(result, case), *items]
    if _drawable(result.clock):
        items.append(
            Figure(
                draw.decay(_curves(result.clock), _halves(result.clock), "ms"),
                "IC against delay on the clock",
                "Dots with intervals; dotted lines mark half-lives that could be fitted. The axis is logarithmic.",
            )
        )
    if _drawable(result.buckets):
        items.append(
            Figure(
                draw.decay(_curves(result.buckets), _halves(result.buckets), "buckets"),
                "IC against delay in buckets",
                "The score of so many buckets ago against the label of now.",
            )
        )
    items += [_half_lives(result), *_latency_items(result)]
    return Section("decay", "Signal decay and latency", _INTRO, items)


def _answer(result: Decay, case: Case) -> Note:
    name = case.best
    half = result.clock[name].half_life
    own = result.own_latency_ms
    if math.isnan(half.value):
        return Note(f"How long the signal of {name} lives cannot be told: {half.note}.", "warn")
    if math.isinf(half.value):
        return Note(f"{name} does not decay over the delays tested: {half.note}.", "plain")
    text = f"Half of the IC of {name} is gone after {_span(half, 'ms')}; orders are assumed to take {own:g} ms."
    return Note(text, "bad" if half.value <= own else "warn" if half.low <= own else "good")


def _drawable(curves: dict[str, DecayCurve]) -> bool:
    return any(math.isfinite(metric.value) for curve in curves.values() for metric in curve.metrics)


def _curves(curves: dict[str, DecayCurve]) -> dict[str, dict[str, np.ndarray]]:
    return {
        name: {
            "x": curve.delays,
            "ic": np.array([metric.value for metric in curve.metrics]),
            "low": np.array([metric.low for metric in curve.metrics]),
            "high": np.array([metric.high for metric in curve.metrics]),
        }
        for name, curve in curves.items()
    }


def _halves(curves: dict[str, DecayCurve]) -> dict[str, float]:
    return {name: curve.half_life.value for name, curve in curves.items()}


def _time(value: float, unit: str) -> str:
    if math.isinf(value):
        return "∞"
    if unit == "buckets":
        return f"{number(value, 1)} buckets" if value >= 0.05 else "0"
    return f"{number(value, 0)} ms" if value < 1000 else f"{number(value / 1000, 1)} s"


def _span(metric: Metric, unit: str) -> str:
    if math.isnan(metric.value):
        return "–"
    return f"{_time(metric.value, unit)} [{_time(metric.low, unit)}, {_time(metric.high, unit)}]"


def _half_lives(result: Decay) -> Table:
    rows = []
    for name, clock in result.clock.items():
        buckets = result.buckets[name]
        notes = dict.fromkeys(filter(None, (clock.half_life.note, buckets.half_life.note)))
        rows.append(
            [
                name,
                interval(clock.metrics[0]),
                _span(clock.half_life, "ms"),
                _span(buckets.half_life, "buckets"),
                "; ".join(notes),
            ]
        )
    return Table(
        ["model", "IC without delay", "half-life on the clock", "half-life in buckets", "note"],
        rows,
        "Half-lives",
        "From the exponential that fits the ICs best, with the interval of the same fit on resampled data; ∞ where "
        "the data do not bound it.",
        text_columns=["model", "note"],
        wide=True,
    )


def _latency_items(result: Decay) -> list[Item]:
    curves = {}
    rows = []
    for (name,), part in result.latency.group_by("model", maintain_order=True):
        keys = {
            "x": "latency_ms",
            "gross": "gross_sharpe",
            "net": "net_sharpe",
            "effective": "effective_sharpe",
        }
        curves[str(name)] = {key: part[column].to_numpy() for key, column in keys.items()}
        rows += [
            [
                str(name),
                f"{row['latency_ms']:g}" + (" (assumed)" if row["latency_ms"] == result.own_latency_ms else ""),
                number(row["gross_sharpe"], 1),
                number(row["effective_sharpe"], 1),
                f"{number(row['net_sharpe'], 1)} [{number(row['low'], 1)}, {number(row['high'], 1)}]",
                number(row["net_pnl_bps"], 1),
            ]
            for row in part.iter_rows(named=True)
        ]
    figure = Figure(
        draw.latency(curves, result.own_latency_ms),
        "Sharpe ratio by latency",
        "Simulated again at every latency, before costs (dots) and after (squares); dashed, what the exponential decay "
        "predicts. The grey line is the latency assumed elsewhere on this page. Annualised from a short span: compare "
        "the numbers with one another, not with a fund's.",
        wide=True,
    )
    table = Table(
        ["model", "latency (ms)", "gross Sharpe", "effective Sharpe", "net Sharpe", "net P&L (bps)"],
        rows,
        "Trading at other latencies",
        "Effective Sharpe = gross Sharpe without latency × exp(−latency / lifetime) − 0.05 × complexity, where the "
        "lifetime is the half-life / log 2. A dash: no half-life could be fitted.",
        text_columns=["model"],
        shown=2 * len(rows) // max(1, len(curves)) if len(curves) > 2 else 0,
    )
    return [figure, table]
