"""Write what a run found: report, summary, factors, predictions, models, manifest."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketprism.core.errors import MarketPrismError
from marketprism.evaluate.case import Case
from marketprism.evaluate.evidence import Evidence
from marketprism.evaluate.judgement import Judgement
from marketprism.ingest.source import Source
from marketprism.models.artefact import Manifest, pack_artefact
from marketprism.pipelines.collect import Collected
from marketprism.pipelines.judgement_document import judgement_document
from marketprism.pipelines.run_config import RunConfig
from marketprism.pipelines.run_document import run_document
from marketprism.report.page import render_page

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MANIFEST", "write_outputs"]

MANIFEST = "manifest.json"
"""Name of the file that lists every other file of a run with its SHA-256; ``marketprism verify`` reads it."""

_OURS = (
    "report.html",
    "judgement.html",
    "summary.json",
    "factors.parquet",
    "predictions.parquet",
    "config.json",
    MANIFEST,
)


def write_outputs(
    out: Path,
    source: Source,
    config: RunConfig,
    collected: Collected,
    case: Case,
    evidence: Evidence | None,
    summary: Mapping[str, Any],
) -> None:
    """Write every file of a run into ``out``; files of an earlier run are replaced, others left alone.

    Raises
    ------
    MarketPrismError
        The folder cannot be written.
    """
    judgement = case.judgement
    try:
        _clear(out)
        (out / "summary.json").write_bytes(_json(summary))
        (out / "config.json").write_bytes(_json(config.to_mapping()))
        _write_parquet(collected.frame, out / "factors.parquet")
        _write_parquet(judgement.predictions, out / "predictions.parquet")
        _write_models(out / "model", config, collected, judgement, summary)
        report = run_document(source, config, collected, judgement, summary)
        (out / "report.html").write_text(render_page(report), encoding="utf-8")
        if evidence is not None:
            page = judgement_document(
                case, evidence, title=report.title, subtitle=report.subtitle, hashes=summary["hashes"]
            )
            (out / "judgement.html").write_text(render_page(page), encoding="utf-8")
        _write_manifest(out, collected, judgement)
    except OSError as error:
        raise MarketPrismError(
            f"{out} could not be written: {error}", hint="check the path and the free space"
        ) from error


def _clear(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in _OURS:
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / "model", ignore_errors=True)


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _write_parquet(frame: pl.DataFrame, path: Path) -> None:
    frame.write_parquet(path, compression="zstd", statistics=True)


def _write_models(
    folder: Path, config: RunConfig, collected: Collected, judgement: Judgement, summary: Mapping[str, Any]
) -> None:
    hashes = summary["hashes"]
    for name, fitted in judgement.fitted.items():
        manifest = Manifest(
            name=name,
            factors=fitted.factors,
            factor_hash=collected.factor_hash,
            label_scheme=judgement.labels.scheme,
            label_hash=judgement.labels.hash,
            horizon=fitted.horizon,
            series=fitted.series,
            bucket_policy=config.engine.buckets.hash,
            data_hash=hashes["data"],
            config_hash=hashes["config"],
            code_version=hashes["code"],
            model_config=config.judge.models[name].to_mapping(),
            seed=config.judge.seed,
            metrics=summary["models"][name],
            train_end_ts=fitted.train_end_ts,
        )
        target = folder / name
        target.mkdir(parents=True)
        for file, content in pack_artefact(fitted.pipeline, manifest).items():
            (target / file).write_bytes(content)


def _write_manifest(out: Path, collected: Collected, judgement: Judgement) -> None:
    files = sorted(p for p in out.rglob("*") if p.is_file() and p.name != "timings.json" and p != out / MANIFEST)
    rows = {"factors.parquet": collected.frame.height, "predictions.parquet": judgement.predictions.height}
    ours = [p for p in files if p.relative_to(out).parts[0] in {*_OURS, "model"}]
    entries = {
        p.relative_to(out).as_posix(): {
            "sha256": hashlib.sha256(p.read_bytes()).hexdigest(),
            "bytes": p.stat().st_size,
            "rows": rows.get(p.name),
        }
        for p in ours
    }
    (out / MANIFEST).write_bytes(_json({"kind": "run", "version": 1, "files": entries}))
