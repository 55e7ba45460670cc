"""The factor catalogue as plain data, for people and programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from marketprism.core.errors import ConfigError, did_you_mean
from marketprism.factors.config import EngineConfig
from marketprism.factors.registry import factors

__all__ = ["describe_factors", "explain_factor"]


def describe_factors(config: EngineConfig | None = None) -> list[dict[str, Any]]:
    """Return every factor of a configuration (all of them by default) as plain data, in column order."""
    config = config or EngineConfig()
    return [asdict(factor) for factor in factors(config.families, config.params, config.book.depth_levels)]


def explain_factor(name: str) -> dict[str, Any]:
    """Return one factor's definition.

    Raises
    ------
    ConfigError
        There is no factor of that name.
    """
    entries = {entry["name"]: entry for entry in describe_factors()}
    if name not in entries:
        raise ConfigError(f"factor was {name!r}", hint=did_you_mean(name, entries))
    entry = {key: value for key, value in entries[name].items() if value not in (None, "")}
    entry["inputs"] = ", ".join(entry["inputs"])
    return entry
