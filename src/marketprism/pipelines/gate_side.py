"""One side of the adoption gate: a model of a run folder, checked against its hashes before anything is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketprism.core.errors import ConfigError, IntegrityError, did_you_mean
from marketprism.core.instrument import Instrument
from marketprism.evaluate.config import CostConfig
from marketprism.models.artefact import LoadedModel, unpack_artefact
from marketprism.pipelines.verify_run import verify_run

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Side", "check_comparable", "open_side"]


@dataclass(frozen=True)
class Side:
    """A judged model of a run folder.

    Attributes
    ----------
    folder : Path
        The run.
    model : str
        Name of the model in it.
    summary, config : dict
        The run's ``summary.json`` and ``config.json``.
    costs : CostConfig
        Of the run.
    seed, replications : int
        Of the run's judgement.
    predictions : polars.DataFrame
        Out of sample, of this model at the primary horizon.
    frame : polars.DataFrame
        Bucket frame with factors.
    loaded : LoadedModel
        The packed artefact.
    graph : bytes
        Its ONNX graph.
    instruments : tuple of Instrument
        Of the run.
    """

    folder: Path
    model: str
    summary: dict[str, Any]
    config: dict[str, Any]
    costs: CostConfig
    seed: int
    replications: int
    predictions: pl.DataFrame
    frame: pl.DataFrame
    loaded: LoadedModel
    graph: bytes
    instruments: tuple[Instrument, ...]


def open_side(text: str) -> Side:
    """Open ``FOLDER`` or ``FOLDER:MODEL``; without a model, the one with the largest IC.

    Raises
    ------
    ConfigError
        No such folder or model.
    IntegrityError
        A file of the run was altered, is missing, or is not what its manifest says.
    """
    import polars as pl

    folder, model = _split(text)
    faults = verify_run(folder).faults
    if faults:
        raise IntegrityError(
            f"{folder}: {faults[0]}" + (f", and {len(faults) - 1} more faults" if len(faults) > 1 else ""),
            hint="a tampered run is not judged; run again or restore the files",
        )
    summary, config = (_json(folder / name) for name in ("summary.json", "config.json"))
    model = _pick(folder, summary, model)
    files = {path.name: path.read_bytes() for path in sorted((folder / "model" / model).iterdir()) if path.is_file()}
    if not files:
        raise IntegrityError(f"{folder / 'model' / model} is empty", hint="run again")
    loaded = unpack_artefact(files, label_scheme=summary["scheme"])
    _check_artefact(folder, summary, loaded)
    judged = config["judge"]
    predictions = pl.read_parquet(folder / "predictions.parquet").filter(
        (pl.col("model") == model) & (pl.col("horizon") == summary["horizon"])
    )
    return Side(
        folder,
        model,
        summary,
        config,
        CostConfig.from_mapping(judged.get("costs", {})),
        int(judged.get("seed", 0)),
        int(judged.get("replications", 1000)),
        predictions,
        pl.read_parquet(folder / "factors.parquet"),
        loaded,
        files["model.onnx"],
        tuple(_instrument(entry) for entry in summary["instruments"]),
    )


def check_comparable(baseline: Side, candidate: Side) -> None:
    """Refuse sides that were not made from the same events, buckets, horizon and labels.

    Raises
    ------
    ConfigError
        They differ, or are one and the same model.
    """
    if baseline.folder.resolve() == candidate.folder.resolve() and baseline.model == candidate.model:
        others = [name for name in candidate.summary["models"] if name != baseline.model]
        raise ConfigError(
            f"both sides are {baseline.model!r} of {baseline.folder}",
            hint=f"name two models, such as {candidate.folder}:{others[0]}" if others else "the run has only this one",
        )
    left, right = baseline.loaded.manifest, candidate.loaded.manifest
    for what, ours, theirs, hint in (
        ("data set", left.data_hash, right.data_hash, "judge both on the same events"),
        ("horizon", left.horizon, right.horizon, "set judge.primary to the same horizon in both runs"),
        ("label scheme", left.label_scheme, right.label_scheme, "set judge.labels.scheme to the same in both runs"),
        ("bucket policy", left.bucket_policy, right.bucket_policy, "rows of different buckets cannot be paired"),
        ("series", left.series, right.series, "judge both on the same instruments"),
    ):
        if ours != theirs:
            shown = [value[:12] if isinstance(value, str) else ", ".join(value) for value in (ours, theirs)]
            raise ConfigError(f"the baseline's {what} is {shown[0]!r}, the candidate's {shown[1]!r}", hint=hint)


def _split(text: str) -> tuple[Path, str]:
    if Path(text).is_dir():
        return Path(text), ""
    head, colon, model = text.rpartition(":")
    if colon and Path(head).is_dir():
        return Path(head), model
    raise ConfigError(f"{text!r} names no run folder", hint="give FOLDER or FOLDER:MODEL, as written by `run --out`")


def _pick(folder: Path, summary: Mapping[str, Any], model: str) -> str:
    models: Mapping[str, Any] = summary["models"]
    if not models:
        notes = "; ".join(summary.get("notes_judgement", [])) or "too few rows"
        raise ConfigError(f"{folder} holds no judged model", hint=notes)
    if model and model not in models:
        raise ConfigError(f"{folder} has no model {model!r}", hint=did_you_mean(model, models))

    def ic(name: str) -> float:
        value = models[name]["ic"]["value"]
        return -math.inf if value is None else float(value)

    return model or max(models, key=ic)


def _check_artefact(folder: Path, summary: Mapping[str, Any], loaded: LoadedModel) -> None:
    manifest = loaded.manifest
    for what, ours, theirs in (
        ("data hash", manifest.data_hash, summary["hashes"]["data"]),
        ("horizon", manifest.horizon, summary["horizon"]),
    ):
        if ours != theirs:
            raise IntegrityError(
                f"{folder}: the artefact {manifest.name!r} has {what} {ours!r}, summary.json says {theirs!r}",
                hint="artefact and run do not belong together; run again",
            )


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{path}: {error}", hint="run again, or restore the folder") from error
    return found


def _instrument(entry: Mapping[str, Any]) -> Instrument:
    return Instrument(
        exchange=entry["exchange"],
        market_type=entry["market_type"],
        symbol=entry["symbol"],
        tick_size=Decimal(entry["tick_size"]),
        contract_multiplier=Decimal(entry["contract_multiplier"]),
    )
