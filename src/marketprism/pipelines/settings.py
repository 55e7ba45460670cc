"""Settings from the command line, merged into plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marketprism.core.errors import ConfigError

__all__ = ["merge", "parse_setting"]


def parse_setting(setting: str, example: str) -> tuple[str, Any]:
    """Return key and value of ``key=value``, the value read as YAML.

    Raises
    ------
    ConfigError
        It has no key or no equals sign, or the value is no YAML.

    Examples
    --------
    >>> parse_setting("horizons=[1, 5]", "a=1")
    ('horizons', [1, 5])
    """
    import yaml

    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set was {setting!r}", hint=f"write key=value, such as {example}")
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {key} was {text!r}: {error}", hint="write a number, true or a list") from error


def merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Write ``values`` over ``into``, mapping by mapping.

    Examples
    --------
    >>> base = {"a": {"x": 1, "y": 2}}
    >>> merge(base, {"a": {"y": 3}})
    >>> base
    {'a': {'x': 1, 'y': 3}}
    """
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value
