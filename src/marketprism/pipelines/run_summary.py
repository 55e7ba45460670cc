"""``summary.json``: the numbers of a run, with the same keys for every source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from marketprism.core.instrument import Instrument
from marketprism.core.timebase import format_ns
from marketprism.evaluate.case import Case
from marketprism.evaluate.checklist import answer_questions
from marketprism.evaluate.evidence import Evidence
from marketprism.ingest.source import Source
from marketprism.pipelines.collect import Collected
from marketprism.pipelines.quality import QualitySummary, SpreadStates
from marketprism.pipelines.run_config import RunConfig

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SUMMARY_VERSION", "bucket_summary", "describe_instrument", "make_summary", "quality_summary"]

SUMMARY_VERSION = 1
"""Version of the layout documented in ``docs/reference/summary.md``."""


def describe_instrument(instrument: Instrument) -> dict[str, Any]:
    """Return an instrument as plain data."""
    return {
        "key": instrument.key,
        "exchange": instrument.exchange,
        "market_type": instrument.market_type,
        "symbol": instrument.symbol,
        "tick_size": str(instrument.tick_size),
        "contract_multiplier": str(instrument.contract_multiplier),
    }


def _plain(value: float, digits: int = 9) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None


def _states(spread: SpreadStates) -> dict[str, float | None]:
    return {"1": _plain(spread.one), "2": _plain(spread.two), "3+": _plain(spread.three_plus)}


def quality_summary(source: Source, quality: QualitySummary) -> dict[str, Any]:
    """Return the data-quality part of the summary, shared with ``inspect``."""
    report = source.report
    pooled = quality.spread["pooled"]
    instruments = [describe_instrument(instrument) for instrument in source.instruments]
    panel = {"key": "panel", "symbol": f"panel of {len(instruments)}", "count": len(instruments)}
    return {
        "version": SUMMARY_VERSION,
        "source": source.spec,
        "instrument": instruments[0] if len(instruments) == 1 else panel,
        "instruments": instruments,
        "span": {
            "from": format_ns(quality.ts_first),
            "to": format_ns(quality.ts_last),
            "seconds": _plain((quality.ts_last - quality.ts_first) / 1e9),
        },
        "events": quality.events,
        "gaps": quality.gap_count,
        "gap_list": [
            {
                "series": gap.series,
                "at": format_ns(gap.ts),
                "reason": gap.reason,
                "lost_sequences": gap.lost_sequences if gap.lost_sequences >= 0 else None,
            }
            for gap in quality.gaps[:100]
        ],
        "clock_skew_ms": _plain(quality.clock_skew_ms, 3),
        "clock": {
            "min_ms": _plain(quality.clock_min_ms, 3),
            "median_ms": _plain(quality.clock_skew_ms, 3),
            "p99_ms": _plain(quality.clock_p99_ms, 3),
            "max_ms": _plain(quality.clock_max_ms, 3),
        },
        "spread_states": _states(pooled),
        "spread_states_by_series": {key: _states(value) for key, value in quality.spread.items() if key != "pooled"}
        if len(instruments) > 1
        else {},
        "locked_share": _plain(pooled.locked),
        "crossed_share": _plain(pooled.crossed),
        "records": report.records,
        "rejected": {
            reason: {"count": r.count, "examples": r.examples} for reason, r in sorted(report.rejected.items())
        },
        "notes": dict(sorted(report.notes.items())),
        "facts": dict(sorted(report.facts.items())),
    }


def bucket_summary(frame: pl.DataFrame) -> dict[str, Any]:
    """Return count, duration quantiles (seconds) and triggers of closed buckets; the ``end`` bucket is left out."""
    whole = frame.filter(frame["trigger"] != "end")
    seconds = whole["duration_ns"].to_numpy() / 1e9
    triggers = dict(sorted(frame["trigger"].value_counts().iter_rows()))
    if not len(seconds):
        return {"count": frame.height, "p50_s": None, "p90_s": None, "triggers": triggers}
    p50, p90 = np.quantile(seconds, (0.5, 0.9))
    return {"count": frame.height, "p50_s": _plain(p50), "p90_s": _plain(p90), "triggers": triggers}


def make_summary(
    source: Source,
    config: RunConfig,
    collected: Collected,
    case: Case,
    evidence: Evidence | None,
    hashes: Mapping[str, str],
) -> dict[str, Any]:
    """Return the whole summary of a run."""
    judged = case.judgement.summary()
    answers = () if evidence is None else answer_questions(case, evidence)
    # "notes" is taken by what the source noted while reading.
    judged["notes_judgement"] = judged.pop("notes")
    return {
        **quality_summary(source, collected.quality),
        "book": {name: count for name, count in collected.book_counters.items() if count},
        "buckets": {
            **bucket_summary(collected.frame),
            "policy": config.engine.buckets.policy,
            "t_target_s": config.engine.buckets.t_target_s,
        },
        "factors": len(collected.factor_names),
        "seed": config.seed,
        **judged,
        "questions": [{"question": one.question, "answer": one.answer, "found": one.found} for one in answers],
        "evidence": None if evidence is None else evidence.summary(),
        "hashes": dict(hashes),
    }
