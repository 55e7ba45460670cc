"""The main job: a source in, a judged signal and a report out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import marketprism
from marketprism.core.config import config_hash
from marketprism.evaluate.case import Case
from marketprism.evaluate.checklist import answer_questions
from marketprism.evaluate.evidence import Evidence, gather_evidence
from marketprism.evaluate.judge import judge
from marketprism.evaluate.judgement import Judgement
from marketprism.evaluate.trials import Trials
from marketprism.ingest.source import Source
from marketprism.pipelines.collect import Collected, collect, pick_duration, span_of
from marketprism.pipelines.judgement_document import judgement_verdict
from marketprism.pipelines.outputs import write_outputs
from marketprism.pipelines.run_config import RunConfig
from marketprism.pipelines.run_ledger import conclude_run, record_run, trial_config_hash
from marketprism.pipelines.run_summary import make_summary
from marketprism.pipelines.runtime import BlockSink, Say, silent

if TYPE_CHECKING:
    import polars as pl

    from marketprism.store.ledger import Ledger

__all__ = ["RunResult", "run"]


class _Store(BlockSink, Protocol):
    """A store that also takes what was derived from the events."""

    def write_results(self, collected: Collected, judgement: Judgement, labels: pl.DataFrame, policy_hash: str) -> None:
        """Write buckets, factors, labels and predictions."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run gave.

    Attributes
    ----------
    summary : dict
        The content of ``summary.json``.
    out : Path
        Folder with every file.
    collected : Collected
        The pass over the source.
    judgement : Judgement
        The judgement.
    seconds : dict of str to float
        Wall time by stage, the content of ``timings.json``.
    evidence : Evidence, optional
        What the judgement page shows; None where it was not asked for.
    """

    summary: dict[str, Any]
    out: Path
    collected: Collected
    judgement: Judgement
    seconds: dict[str, float]
    evidence: Evidence | None = None


def run(
    source: Source,
    out: Path,
    config: RunConfig | None = None,
    *,
    fixed_duration: bool = False,
    store: _Store | None = None,
    ledger: Ledger | None = None,
    say: Say = silent,
) -> RunResult:
    """Read ``source``, compute factors, judge them and write everything to ``out``.

    Parameters
    ----------
    source : Source
        Read from its beginning; twice where the bucket duration must be chosen.
    out : Path
        Folder, made if missing; files of an earlier run in it are replaced.
    config : RunConfig, optional
        What to do.
    fixed_duration : bool
        Take ``engine.buckets.t_target_s`` as it is in place of choosing it from the span.
    store : optional
        Gets every event, then buckets, factors, labels and predictions.
    ledger : Ledger, optional
        The trials of this run are written to it before the evidence is gathered, so that Sharpe ratios are deflated
        by everything ever tried on these data. Without it only this run's own trials count, and the page says so.
    say : callable
        Told how far it is.

    Raises
    ------
    SourceError
        The source holds nothing usable.
    """
    config = config or RunConfig()
    started = time.perf_counter()
    seconds: dict[str, float] = {}
    if not fixed_duration:
        say("span")
        config = _with_duration(source, config)
        seconds["span"] = time.perf_counter() - started
    collected = collect(source, config.engine, (store,) if store is not None else (), say)
    seconds |= collected.seconds
    mark = time.perf_counter()
    judgement = judge(
        collected.frame,
        config.judge,
        instruments=source.instruments,
        mids=collected.mids,
        progress=lambda step: say("judge", None, step),
    )
    seconds["judge"] = time.perf_counter() - mark
    if store is not None:
        mark = time.perf_counter()
        store.write_results(collected, judgement, judgement.labels.frame, config.engine.buckets.hash)
        seconds["sinks"] += time.perf_counter() - mark
    hashes = {
        "data": collected.data_hash,
        "config": config_hash(config.to_mapping()),
        "code": marketprism.__version__,
        "factors": collected.factor_hash,
    }
    mark = time.perf_counter()
    case = Case(collected.frame, judgement, source.instruments, collected.mids)
    trials = _recorded(case, config, hashes, source.spec, ledger)
    evidence = _evidence(case, config, trials, say) if config.evidence.enabled else None
    seconds["evidence"] = time.perf_counter() - mark
    mark = time.perf_counter()
    say("report")
    summary = make_summary(source, config, collected, case, evidence, hashes)
    if ledger is not None and evidence is not None:
        headline, _ = judgement_verdict(answer_questions(case, evidence))
        conclude_run(ledger, {**hashes, "config": trial_config_hash(config)}, headline)
    write_outputs(out, source, config, collected, case, evidence, summary)
    seconds["report"] = time.perf_counter() - mark
    seconds["total"] = time.perf_counter() - started
    _write_timings(out, seconds)
    return RunResult(summary, out, collected, judgement, seconds, evidence)


def _recorded(case: Case, config: RunConfig, hashes: dict[str, str], spec: str, ledger: Ledger | None) -> Trials | None:
    if ledger is None:
        return None
    return record_run(ledger, case, {**hashes, "config": trial_config_hash(config)}, spec, time.time_ns())


def _evidence(case: Case, config: RunConfig, trials: Trials | None, say: Say) -> Evidence:
    return gather_evidence(case, trials, config.evidence, lambda part: say("evidence", None, part))


def _with_duration(source: Source, config: RunConfig) -> RunConfig:
    longest = 30.0 * config.wanted_buckets
    duration = pick_duration(span_of(source, longest), config.wanted_buckets)
    engine = config.engine.replace(buckets=config.engine.buckets.replace(t_target_s=duration).to_mapping())
    return config.replace(engine=engine.to_mapping())


def _write_timings(out: Path, seconds: dict[str, float]) -> None:
    import msgspec

    text = msgspec.json.format(msgspec.json.encode({k: round(v, 6) for k, v in seconds.items()}), indent=2)
    (out / "timings.json").write_bytes(text + b"\n")
