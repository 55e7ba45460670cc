"""``gate``: load two judged models, measure what only the packed artefact can tell, decide, write page and ledger."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from marketprism.core.config import config_hash
from marketprism.core.errors import MarketPrismError
from marketprism.evaluate.economics import Trading, execution, half_spread_column, pool, trade
from marketprism.evaluate.gate import Adoption, Candidate, adoption_gate
from marketprism.evaluate.gate_config import AdoptionConfig
from marketprism.evaluate.gate_pairs import common_rows
from marketprism.models.features import feature_matrix
from marketprism.models.size import model_size
from marketprism.pipelines.gate_document import gate_document
from marketprism.pipelines.gate_measure import Latency, measure_coverage, measure_latency, serve
from marketprism.pipelines.gate_side import Side, check_comparable, open_side
from marketprism.pipelines.run_ledger import trial_config_hash
from marketprism.pipelines.runtime import Say, silent
from marketprism.pipelines.settings import parse_setting
from marketprism.report.page import render_page
from marketprism.store.ledger import Ledger, Trial

__all__ = ["EXIT_CODES", "GateResult", "gate", "load_adoption_config"]

EXIT_CODES = {"ADOPT": 0, "REJECT": 3, "INCONCLUSIVE": 4}
"""Exit code of the verb for each verdict; 1 is an error and 2 wrong usage, as everywhere."""


@dataclass(frozen=True)
class GateResult:
    """Verdict and everything measured for it.

    Attributes
    ----------
    adoption : Adoption
        The judgement of the gate.
    sides : tuple of Candidate
        Baseline and candidate as measured.
    latency : tuple of Latency
        Of both packed models.
    summary : dict
        Content of ``gate.json``.
    html : str
        The page.
    """

    adoption: Adoption
    sides: tuple[Candidate, Candidate]
    latency: tuple[Latency, Latency]
    summary: dict[str, Any]
    html: str


def load_adoption_config(settings: tuple[str, ...] = ()) -> AdoptionConfig:
    """Return the defaults with ``key=value`` settings over them.

    Raises
    ------
    ConfigError
        A setting is no ``key=value``, its key unknown or its value out of range.

    Examples
    --------
    >>> load_adoption_config(("min_gain=0.2",)).min_gain
    0.2
    """
    return AdoptionConfig.from_mapping(dict(parse_setting(setting, "min_gain=0.2") for setting in settings))


def gate(
    baseline: str,
    candidate: str,
    config: AdoptionConfig | None = None,
    *,
    out: Path | None = None,
    ledger: Ledger | None = None,
    say: Say = silent,
) -> GateResult:
    """Compare two judged models and decide whether the second should replace the first.

    Parameters
    ----------
    baseline, candidate : str
        ``FOLDER`` or ``FOLDER:MODEL``, written by ``run``.
    config : AdoptionConfig, optional
        Weights and thresholds.
    out : Path, optional
        Folder for ``gate.html`` and ``gate.json``.
    ledger : Ledger, optional
        Gets the verdict. The candidate is one trial together with its run, and a trial of its own if that was kept
        out of the ledger.
    say : callable
        Told how far it is.

    Raises
    ------
    ConfigError
        A side does not exist, or the two cannot be compared.
    IntegrityError
        A file of a run was altered.
    """
    config = config or AdoptionConfig()
    say("open", None, baseline)
    left, right = open_side(baseline), open_side(candidate)
    check_comparable(left, right)
    names = _names(left, right)
    rows = common_rows(left.predictions, right.predictions)
    trading = _trade(left, rows)
    measured = []
    for side, name, own, earned in zip((left, right), names, rows, trading, strict=True):
        say("measure", None, name)
        measured.append(_measure(side, name, own, earned, config))
    (first, first_latency), (second, second_latency) = measured
    say("judge")
    adoption = adoption_gate(first, second, config, left.seed, left.replications)
    latency = (first_latency, second_latency)
    notes = _notes(left, right, latency)
    summary = _summary(adoption, (left, right), (first, second), latency, notes)
    html = render_page(gate_document(adoption, (first, second), latency, summary))
    if out is not None:
        _write(out, html, summary)
    if ledger is not None:
        _record(ledger, adoption, right, trading[1])
    return GateResult(adoption, (first, second), latency, summary, html)


def _names(left: Side, right: Side) -> tuple[str, str]:
    """Model names, with the folders where the models are called alike."""
    if left.model != right.model:
        return left.model, right.model
    if left.folder.name != right.folder.name:
        return f"{left.folder.name}:{left.model}", f"{right.folder.name}:{right.model}"
    return f"{left.folder}:{left.model}", f"{right.folder}:{right.model}"


def _trade(side: Side, rows: Any) -> tuple[Trading, Trading]:
    """Trade both sides' common rows with the same fills and the same costs: those of the baseline's run."""
    half, _ = half_spread_column(side.frame, side.costs, side.instruments)
    fills = execution(side.frame, half, side.costs)
    first, second = (pool(trade(part, fills, side.costs)) for part in rows)
    return first, second


def _measure(
    side: Side, name: str, predictions: Any, trading: Trading, config: AdoptionConfig
) -> tuple[Candidate, Latency]:
    manifest = side.loaded.manifest
    X = feature_matrix(side.frame, manifest.factors, manifest.series)
    latency = measure_latency(side.loaded, X)
    candidate = Candidate(
        name=name,
        predictions=predictions,
        trading=trading,
        frame=side.frame,
        inputs=manifest.factors,
        size=(size := model_size(side.graph)).count,
        unit=size.unit,
        latency_p50_ms=latency.p50_ms,
        latency_p99_ms=latency.p99_ms,
        served=serve(side.loaded, X),
        coverage=measure_coverage(side.loaded, X, config.coverage_inputs, side.seed),
    )
    return candidate, latency


def _notes(left: Side, right: Side, latency: tuple[Latency, Latency]) -> list[str]:
    costs = left.costs
    wall = latency[0]
    notes = [
        (
            f"Latency: {wall.calls:,} single predictions of each packed ONNX model after {wall.warm_up} to warm up, "
            "one thread, wall clock of this machine. Book, buckets and factors are not in it: they take the same time "
            "for both."
        ),
        (
            "Explainability coverage: share of the variance of the model's score that a surrogate (ridge and small "
            "trees) reproduces out of sample from its most important inputs alone; importance is the mean change of "
            "the score when one input is permuted."
        ),
        (
            f"Trading: both sides pay the costs of the baseline's run and are filled {costs.latency_ms:g} ms after a "
            "bucket is known, at the mid on the straight line of the bucket in which the fill falls: a run folder "
            "keeps no finer prices, so P&L differs a little from the report of the run."
        ),
    ]
    if left.costs != right.costs:
        notes.append("The two runs had different cost settings; those of the baseline count for both.")
    if left.summary["hashes"]["factors"] != right.summary["hashes"]["factors"]:
        notes.append("The two runs computed different factors: the gain may come from the inputs, not from the model.")
    for side, word in ((left, "baseline"), (right, "candidate")):
        broken = [name for name, control in side.summary.get("controls", {}).items() if not control["passed"]]
        if broken:
            notes.append(f"In the run of the {word} a control failed: {', '.join(broken)}. Do not believe its numbers.")
    return notes


def _summary(
    adoption: Adoption,
    sides: tuple[Side, Side],
    measured: tuple[Candidate, Candidate],
    latency: tuple[Latency, Latency],
    notes: list[str],
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "version": 1,
        "source": sides[0].summary["source"],
        "horizon": sides[0].summary["horizon"],
        "scheme": sides[0].summary["scheme"],
        **adoption.summary(),
        "sides": {},
        "notes": notes,
        "exit_code": EXIT_CODES[adoption.verdict],
        "hashes": {
            "data": sides[0].summary["hashes"]["data"],
            "gate": _gate_hash(adoption.config, sides),
        },
    }
    for word, side, what, wall in zip(("baseline", "candidate"), sides, measured, latency, strict=True):
        found["sides"][word] = {
            "name": what.name,
            "model": side.model,
            "folder": str(side.folder),
            "size": what.size,
            "unit": what.unit,
            "latency_ms": {"p50": wall.p50_ms, "p99": wall.p99_ms, "calls": wall.calls, "warm_up": wall.warm_up},
            "explainability_coverage": what.coverage if math.isfinite(what.coverage) else None,
            "hashes": {
                "artefact": side.loaded.manifest.files["model.onnx"],
                "config": side.summary["hashes"]["config"],
                "factors": side.summary["hashes"]["factors"],
            },
        }
    return found


def _gate_hash(config: AdoptionConfig, sides: tuple[Side, Side]) -> str:
    """Hash of the configuration of a gate and of the two artefacts that it compared."""
    return config_hash([config.to_mapping(), *(side.loaded.manifest.files["model.onnx"] for side in sides)])


def _record(ledger: Ledger, adoption: Adoption, side: Side, trading: Trading) -> None:
    annual = adoption.sharpe.candidate.value
    rate = trading.periods_per_year
    hashes = side.summary["hashes"]
    trial = Trial(
        data_hash=hashes["data"],
        config_hash=trial_config_hash(side.config),
        factor_hash=hashes["factors"],
        code_version=hashes["code"],
        model=side.model,
        horizon=side.summary["horizon"],
        what="gate",
        source=side.summary["source"],
        n=adoption.pairs.n,
        ic=adoption.ic.candidate.value,
        sharpe=annual / math.sqrt(rate) if rate > 0 else math.nan,
        periods_per_year=rate,
        net_bps=adoption.sharpe.net_candidate.value,
        verdict=f"{adoption.verdict} over {adoption.baseline}: {adoption.reasons[0]}",
    )
    ledger.record([trial], time.time_ns())


def _write(out: Path, html: str, summary: dict[str, Any]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "gate.html").write_text(html, encoding="utf-8")
        (out / "gate.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
    except OSError as error:
        raise MarketPrismError(
            f"{out} could not be written: {error}", hint="check the path and the free space"
        ) from error
