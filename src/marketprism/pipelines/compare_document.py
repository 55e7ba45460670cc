"""The page of ``simulate compare``: facts side by side, curves one over the other, what was calibrated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from marketprism.pipelines.texts import number, plural, short_source
from marketprism.report.document import Card, Document, Facts, Figure, Item, Note, Section, Table, Verdict
from marketprism.report.figures.generators import overlaid_curves
from marketprism.simulate.calibrate_queues import Calibration
from marketprism.simulate.facts import FACTS, StylisedFacts
from marketprism.simulate.models import MODELS

__all__ = ["compare_document", "fact_rows"]

_FIGURES: dict[str, tuple[str, str, str, dict[str, Any], str]] = {
    "signature": (
        "Signature plot", "sampling interval (s)", "variance a second (ticks²)", {"log": "xy"},
        "Flat for a random walk; falling where the mid bounces.",
    ),
    "returns": (
        "Autocorrelation of returns", "lag (s)", "autocorrelation", {"level": 0.0},
        "Mid returns over 1 s. Negative: moves are taken back.",
    ),
    "absolute returns": (
        "Volatility clustering", "lag (s)", "autocorrelation", {"level": 0.0, "log": "x"},
        "Absolute mid returns over 1 s, neighbouring lags pooled. Markets keep some of it for long.",
    ),
    "signs": (
        "Autocorrelation of order signs", "lag (market orders)", "autocorrelation", {"log": "xy"},
        "Neighbouring lags pooled. A straight line is long memory; values at or below zero are not drawn.",
    ),
    "arrivals": (
        "Times between market orders", "time over its mean", "share that is longer", {"log": "y"},
        "A straight line is Poisson; above it on the right: bursts and silences.",
    ),
    "imbalance": (
        "What the imbalance foretells", "queue imbalance", "probability that the next move is up", {"level": 0.5},
        "Looked at every second.",
    ),
    "impact": (
        "Price after a market order", "time after it (s)", "mid move in its direction (ticks)", {"log": "x"},
        "From just before the order. Rising: orders follow in the same direction, or prices learn from them.",
    ),
    "spread": ("Spread", "ticks", "share of the time", {}, ""),
    "queue": ("Best queues", "size over its mean", "share of the time that they are longer", {}, ""),
    "shape": (
        "Shape of the book", "distance from the opposite best quote (ticks)", "mean queue (market orders)", {},
        "Seen from the opposite side, as limit orders are.",
    ),
}  # fmt: skip

_PLACES = {
    "cst": "rates a second by distance from the opposite best quote, ticks",
    "cont_de_larrard": "rates a second; mean queues after a move: of the side that moved into the price, of the other",
    "queue_reactive": "rates a second by level and size of the queue",
    "imbalance_reactive": "rates a second by spread (1, 2, 3 ticks and more) and fifth of the own share of the queues",
    "hawkes": "base rates, jumps and decays, a second",
    "agents": "rates a second, ticks; then the moments that the simulation reached",
}


def compare_document(
    facts: Mapping[str, StylisedFacts],
    calibrations: Mapping[str, Calibration],
    failed: Mapping[str, str],
    summary: Mapping[str, Any],
) -> Document:
    """Lay out the page."""
    models, ranked = summary["models"], summary["ranking"]
    best = models[ranked[0]]
    return Document(
        title="Market generators beside the market",
        subtitle=f"{short_source(summary['source'])} · {summary['series']} · {summary['span_s'] / 3600:.2f} h · "
        f"{summary['market_orders']:,} market orders",
        verdict=Verdict(
            f"Closest: {ranked[0]}, with {best['close']} of {best['compared']} facts within two standard errors",
            [
                f"{name} ({MODELS[name].title}): {models[name]['close']} of {models[name]['compared']} facts, "
                f"median distance {number(models[name]['median_z'], 1)} standard errors"
                for name in ranked
            ],
            "plain",
        ),
        cards=[
            Card(name, f"{models[name]['close']} / {models[name]['compared']}", "facts within two standard errors")
            for name in ranked
        ],
        sections=[
            _facts_section(facts),
            _curves_section(facts),
            _calibration_section(calibrations, failed),
            _streams_section(calibrations),
        ],
        footer="Made by MarketPrism. Simulated markets are not market data.",
    )


def fact_rows(facts: Mapping[str, StylisedFacts]) -> list[list[str]]:
    """Rows of the table of facts: fact, source with its error, and each model, starred where it is far off."""
    source = facts["source"]
    rows = []
    for name in FACTS:
        own = source.facts[name]
        row = [name, f"{_text(own.value)} ± {_text(own.error)}"]
        for model, found in facts.items():
            if model != "source":
                value = found.facts[name]
                error = math.hypot(value.error, own.error)
                far = error > 0 and abs(value.value - own.value) > 2 * error
                row.append(_text(value.value) + ("*" if far else ""))
        rows.append(row)
    return rows


def _text(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return number(value, 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3)


def _facts_section(facts: Mapping[str, StylisedFacts]) -> Section:
    models = [name for name in facts if name != "source"]
    table = Table(
        ["fact", "source", *models],
        fact_rows(facts),
        "Stylised facts",
        "± is the standard error over eight equal parts of the time. * is further from the source than two standard "
        "errors of the difference; a dash: too few data.",
        text_columns=["fact"],
        wide=True,
    )
    words = Facts([(name, what) for name, what in FACTS.items() if what], "What they are", wide=True)
    return Section(
        "facts",
        "Facts side by side",
        "Prices in ticks, quantities in mean market orders. Every generator was calibrated on the rates of this "
        "source, so facts about rates should agree; those about returns, signs and impact follow from the model alone.",
        [table, words],
    )


def _curves_section(facts: Mapping[str, StylisedFacts]) -> Section:
    items: list[Item] = []
    for place, (name, (title, x, y, options, caption)) in enumerate(_FIGURES.items()):
        curves = {market: found.curves[name] for market, found in facts.items()}
        items.append(Figure(overlaid_curves(curves, x, y, legend=place < 2, **options), title, caption))
    return Section(
        "curves", "Curves", "The source is the dark line with points; the colours are named above the first two.", items
    )


def _calibration_section(calibrations: Mapping[str, Calibration], failed: Mapping[str, str]) -> Section:
    items: list[Item] = [Note(f"{name} was left out: {why}", "warn") for name, why in failed.items()]
    items += [Note(f"{name}: {note}", "plain") for name, found in calibrations.items() for note in found.notes]
    for name, found in calibrations.items():
        rows = [[e.name, number(e.value, 4), number(e.error, 4), f"{e.orders:,}"] for e in found.estimates]
        items.append(
            Table(
                ["parameter", "value", "standard error", "orders"],
                rows,
                name,
                f"{plural(len(rows), 'estimate')}; {_PLACES[name]}.",
                text_columns=["parameter"],
                shown=8,
            )
        )
    return Section(
        "calibration",
        "Calibration",
        "Rates of the queue models: volume over time, in mean market orders; Hawkes by maximum likelihood; agents by "
        "simulated moments (no standard errors).",
        items,
    )


def _streams_section(calibrations: Mapping[str, Calibration]) -> Section:
    pairs = [(name, f"sim:?model={name}&config=models/{name}.json&seed=1&minutes=60") for name in calibrations]
    return Section(
        "streams",
        "As a source",
        "Each calibrated generator streams like any source, from this folder; another seed is another day.",
        [Facts(pairs, "Source texts", wide=True)],
    )
