"""The catalogues of factors and strategies as plain data, for people and programs."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import Any

from marketprism.core.errors import ConfigError, did_you_mean
from marketprism.factors.config import EngineConfig
from marketprism.factors.registry import factors

__all__ = ["describe_factors", "describe_strategies", "explain_factor", "explain_strategy"]


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


def describe_strategies() -> list[dict[str, Any]]:
    """Return every built-in strategy as plain data."""
    from marketprism.strategies.registry import STRATEGIES

    return [{"name": info.name, "description": info.description} for info in STRATEGIES.values()]


def explain_strategy(name: str) -> dict[str, Any]:
    """Return one strategy with its parameters: name, type, default, meaning.

    Raises
    ------
    ConfigError
        Unknown name.
    """
    from marketprism.strategies.registry import find_strategy

    info = find_strategy(name)
    told = _told_parameters(info.config)
    defaults = info.config().to_mapping()
    about = (inspect.getdoc(info.config) or "").partition("\n\n")[0]
    parameters = [
        {"name": key, "type": told.get(key, ("", ""))[0], "default": value, "meaning": told.get(key, ("", ""))[1]}
        for key, value in defaults.items()
    ]
    return {"name": info.name, "description": info.description, "about": about, "parameters": parameters}


def _told_parameters(config: type) -> dict[str, tuple[str, str]]:
    """Return type and meaning of parameters from the numpydoc sections of a class and its bases."""
    found: dict[str, tuple[str, str]] = {}
    for one in reversed(config.__mro__):
        text = inspect.cleandoc(one.__doc__ or "") if "__doc__" in vars(one) else ""
        _, there, rest = text.partition("Parameters\n----------\n")
        names: list[str] = []
        for line in rest.splitlines() if there else ():
            if line and not line[0].isspace():
                head, colon, kind = line.partition(" : ")
                names = [name.strip() for name in head.split(",")] if colon else []
                found.update(dict.fromkeys(names, (kind, "")))
            elif line:
                for name in names:
                    kind, meaning = found[name]
                    found[name] = (kind, f"{meaning} {line.strip()}".strip())
            elif names:
                names = []
    return found
