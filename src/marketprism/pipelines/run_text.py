"""A run in a few lines, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from marketprism.pipelines.run import RunResult
from marketprism.pipelines.texts import interval, number, plural

__all__ = ["run_lines"]


def run_lines(result: RunResult) -> Iterator[str]:
    """Yield what a person wants to know before opening the report."""
    summary, judgement = result.summary, result.judgement
    events = sum(summary["events"].values())
    rejected = sum(entry["count"] for entry in summary["rejected"].values())
    buckets = summary["buckets"]
    yield f"{summary['source']}: {summary['instrument']['key']}"
    yield (
        f"  {plural(events, 'event')}, {plural(rejected, 'record')} rejected, {plural(summary['gaps'], 'gap')}, "
        f"clock skew {number(summary['clock_skew_ms'], 1)} ms"
    )
    yield (
        f"  {buckets['count']:,} buckets, median {number(buckets['p50_s'], 1)} s, {summary['factors']} factors, "
        f"{summary['folds']} folds"
    )
    for name, part in judgement.models.items():
        metrics = part.horizons[judgement.primary].metrics
        yield (
            f"  {name:<10} IC {interval(metrics['ic'])}  AUC {interval(metrics['auc'])}  "
            f"net {interval(metrics['net_pnl_bps'], 1)} bps"
        )
    for control in judgement.controls:
        verdict = "passed" if control.passed else f"FAILED: {control.reason}"
        yield f"  control {control.name.replace('_', ' ')}: {verdict}"
    for note in judgement.notes:
        yield f"  note: {note}"
    if result.evidence is not None and summary["questions"]:
        answers = [one["answer"] for one in summary["questions"]]
        yield (
            f"  of {len(answers)} questions a sceptic asks: {answers.count('yes')} yes, {answers.count('no')} no, "
            f"{answers.count('unknown')} not measurable; see {result.out / 'judgement.html'}"
        )
    yield f"  {result.out / 'report.html'} in {result.seconds['total']:.1f} s"
