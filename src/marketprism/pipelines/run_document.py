"""The report of a run: what was found, laid out for a trader to read from top to bottom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marketprism.core.timebase import format_ns
from marketprism.evaluate.judgement import Judgement
from marketprism.evaluate.metric import Metric
from marketprism.ingest.source import Source
from marketprism.pipelines.collect import Collected
from marketprism.pipelines.run_config import RunConfig
from marketprism.pipelines.sections_judgement import controls_section, factors_section, models_section
from marketprism.pipelines.sections_market import book_section, day_section, quality_section
from marketprism.pipelines.texts import horizon_text, interval, number, plural, short_source
from marketprism.report.document import Card, Document, Facts, Note, Section, Table, Verdict

__all__ = ["run_document"]


def run_document(
    source: Source, config: RunConfig, collected: Collected, judgement: Judgement, summary: Mapping[str, Any]
) -> Document:
    """Lay out the report of a run."""
    quality = collected.quality
    instruments = source.instruments
    title = instruments[0].symbol if len(instruments) == 1 else f"Panel of {len(instruments)} instruments"
    places = ", ".join(dict.fromkeys(f"{item.exchange} {item.market_type}" for item in instruments))
    first, last = (format_ns(ts)[:19].replace("T", " ") for ts in (quality.ts_first, quality.ts_last))
    return Document(
        title=f"{title} on {places}",
        subtitle=f"{short_source(source.spec)} · {first} to {last} UTC",
        verdict=_verdict(judgement, summary),
        cards=_cards(judgement, summary),
        sections=[
            quality_section(source, collected, summary),
            book_section(source, collected, summary),
            day_section(collected),
            factors_section(judgement),
            models_section(judgement),
            controls_section(judgement),
            _assumptions(config, judgement, summary),
        ],
        footer="Made by MarketPrism. Numbers are out of sample unless they say so; past results promise nothing.",
    )


def _best(judgement: Judgement) -> tuple[str, Mapping[str, Metric]] | None:
    found = [(name, result.horizons[judgement.primary].metrics) for name, result in judgement.models.items()]
    finite = [item for item in found if item[1]["ic"].value == item[1]["ic"].value]
    return max(finite, key=lambda item: item[1]["ic"].value, default=None)


def _verdict(judgement: Judgement, summary: Mapping[str, Any]) -> Verdict:
    broken = [control for control in judgement.controls if not control.passed]
    best = _best(judgement)
    if best is None:
        return Verdict("Too little to judge", judgement.notes or ("no model could be trained",), "warn")
    name, metrics = best
    ic, net = metrics["ic"], metrics["net_pnl_bps"]
    reasons = [
        (
            f"Best of {plural(len(judgement.models), 'model')} by information coefficient: {name}, "
            f"IC {interval(ic)} over the next {horizon_text(judgement.primary)}, {ic.n:,} out-of-sample buckets."
        ),
        (
            f"Trading it: {interval(net, 1)} bps net of fees, half spread and latency; "
            f"{interval(metrics['gross_pnl_bps'], 1)} bps before costs."
        ),
    ]
    reasons += judgement.notes
    if summary["clock_skew_ms"] is not None and summary["clock_skew_ms"] < 0:
        reasons.append(
            f"The receive clock is {-summary['clock_skew_ms']:,.0f} ms behind the exchange clock: latency cannot be "
            "measured on these data."
        )
    if broken:
        return Verdict("Do not believe these numbers: a control failed", reasons, "bad")
    if not ic.enough:
        return Verdict("Too few samples to call anything a signal", reasons, "warn")
    if not ic.significant or ic.value <= 0:
        return Verdict("No evidence of a signal", reasons, "warn")
    if net.significant and net.value > 0:
        return Verdict("A signal that survives its costs on these data", reasons, "good")
    return Verdict("A signal, but it does not pay for its costs", reasons, "warn")


def _tone(metric: Metric) -> Any:
    if not metric.significant or metric.null is None:
        return "plain"
    return "good" if metric.value > metric.null else "bad"


def _cards(judgement: Judgement, summary: Mapping[str, Any]) -> list[Card]:
    cards = []
    best = _best(judgement)
    if best is not None:
        name, metrics = best
        for key, label, digits in (
            ("ic", "Information coefficient", 3),
            ("auc", "AUC, up against down", 3),
            ("brier_skill", "Brier skill", 3),
            ("net_pnl_bps", "Net P&L (bps)", 1),
            ("gross_per_unit_bps", "Gross bps a unit traded", 2),
        ):
            metric = metrics[key]
            detail = f"{number(metric.low, digits)} to {number(metric.high, digits)}, {name}"
            cards.append(Card(label, number(metric.value, digits), detail, _tone(metric)))
    buckets = summary["buckets"]
    cards.append(
        Card(
            "Buckets",
            f"{buckets['count']:,}",
            f"median {number(buckets['p50_s'], 1)} s, p90 {number(buckets['p90_s'], 1)} s",
        )
    )
    events = sum(summary["events"].values())
    rejected = sum(entry["count"] for entry in summary["rejected"].values())
    cards.append(Card("Events", f"{events:,}", f"{rejected:,} records rejected", "warn" if rejected else "plain"))
    gaps = summary["gaps"]
    cards.append(Card("Gaps", f"{gaps:,}", "nothing crosses them", "warn" if gaps else "plain"))
    return cards


def _assumptions(config: RunConfig, judgement: Judgement, summary: Mapping[str, Any]) -> Section:
    assumptions = Table(["assumption"], [[line] for line in judgement.assumptions], text_columns=["assumption"])
    hashes = Facts([(name, value) for name, value in summary["hashes"].items()], "Hashes")
    run = Facts(
        [
            ("seed", str(config.seed)),
            ("bucket policy", config.engine.buckets.policy),
            ("bucket target", f"{config.engine.buckets.t_target_s:g} s"),
            (
                "labels",
                f"{judgement.labels.scheme}, {', '.join(horizon_text(h.name) for h in judgement.labels.horizons)}",
            ),
            ("folds", str(len(judgement.folds))),
        ],
        "Configuration",
    )
    note = Note(
        "The same source, configuration and seed give this page again, byte for byte. Timings are in timings.json.",
        "plain",
    )
    return Section(
        "assumptions", "Assumptions and hashes", "What the numbers rest on.", [assumptions, run, hashes, note]
    )
