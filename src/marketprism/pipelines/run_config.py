"""Configuration of a run: defaults, then a YAML file, then ``--set key=value``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.evaluate.config import JudgeConfig
from marketprism.evaluate.evidence import EvidenceConfig
from marketprism.factors.config import EngineConfig
from marketprism.labels.config import LabelConfig
from marketprism.pipelines.settings import merge, parse_setting

__all__ = ["DEFAULT_SOURCE", "RunConfig", "fixes_duration", "load_run_config", "read_settings"]

DEFAULT_SOURCE = "sim:"


def _default_judge() -> JudgeConfig:
    return JudgeConfig(labels=LabelConfig(bucket_horizons=(1, 3, 5), time_horizons_s=(10.0, 60.0)))


class RunConfig(Config, frozen=True):
    """Everything a run depends on besides its data; its hash is in every artefact.

    Parameters
    ----------
    source : str
        What to read where the command line names nothing.
    seed : int
        Seed of everything random; ``judge.seed`` follows it.
    wanted_buckets : int
        Where ``engine.buckets.t_target_s`` is not set by file or ``--set``, the target duration is chosen from the
        span of the data so that about this many buckets result, between 1 s and 30 s.
    engine : EngineConfig
        Book, buckets, factors.
    judge : JudgeConfig
        Labels, models, folds, costs, controls.
    evidence : EvidenceConfig
        Parts of the evidence, for the judgement page; ``evidence.enabled: false`` leaves them out.
    """

    source: str = DEFAULT_SOURCE
    seed: int = 0
    wanted_buckets: int = 600
    engine: EngineConfig = msgspec.field(default_factory=EngineConfig)
    judge: JudgeConfig = msgspec.field(default_factory=_default_judge)
    evidence: EvidenceConfig = msgspec.field(default_factory=EvidenceConfig)

    def __post_init__(self) -> None:
        if self.wanted_buckets < 1:
            raise ConfigError(f"wanted_buckets was {self.wanted_buckets}", hint="it must be at least 1")


def load_run_config(path: Path | None = None, settings: Sequence[str] = ()) -> RunConfig:
    """Merge defaults, a YAML file and ``key=value`` settings into a checked configuration.

    Raises
    ------
    ConfigError
        The file is no mapping, a key is unknown, a value is of the wrong type or out of range.

    Examples
    --------
    >>> load_run_config(settings=["engine.buckets.policy=time", "seed=7"]).engine.buckets.policy
    'time'
    """
    return RunConfig.from_mapping(read_settings(path, settings))


def read_settings(path: Path | None, settings: Sequence[str]) -> dict[str, Any]:
    """Return what the file and the settings say, merged over the defaults' judge section, unchecked."""
    import yaml

    values: dict[str, Any] = {"judge": RunConfig().judge.to_mapping()}
    if path is not None:
        try:
            loaded = yaml.safe_load(path.read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: {error}", hint="write a YAML mapping; see `marketprism config show`") from error
        if loaded is not None and not isinstance(loaded, dict):
            raise ConfigError(f"{path} holds a {type(loaded).__name__}", hint="write a mapping of keys to values")
        merge(values, loaded or {})
    for setting in settings:
        key, nested = parse_setting(setting, "engine.buckets.policy=time")
        for part in reversed(key.split(".")):
            nested = {part: nested}
        merge(values, nested)
    if "seed" in values and "seed" not in _named(path, settings, "judge"):
        values["judge"]["seed"] = values["seed"]
    return values


def fixes_duration(path: Path | None, settings: Sequence[str]) -> bool:
    """Return whether the file or the settings fix ``engine.buckets.t_target_s``, or a target of its policy."""
    fixed = {"t_target_s", "target_volume", "target_trades", "target_updates", "reference_edges_ns"}
    values = read_settings(path, settings)
    engine = values.get("engine")
    buckets = engine.get("buckets") if isinstance(engine, dict) else None
    return bool(fixed & set(buckets if isinstance(buckets, dict) else ()))


def _named(path: Path | None, settings: Sequence[str], section: str) -> set[str]:
    """Return the keys of a section that the user named."""
    import yaml

    found = {s.split("=")[0].removeprefix(f"{section}.").split(".")[0] for s in settings if s.startswith(f"{section}.")}
    loaded = yaml.safe_load(path.read_text()) if path is not None else None
    inside = loaded.get(section) if isinstance(loaded, dict) else None
    return found | set(inside if isinstance(inside, dict) else ())
