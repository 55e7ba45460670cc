"""Settings from the command line, merged into plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from marketprism.core.errors import ConfigError

__all__ = ["merge", "parse_setting", "read_yaml"]


def read_yaml(text: str, where: str, hint: str) -> Any:
    """Return the value of a YAML text.

    Parameters
    ----------
    text : str
        One value, a list or a mapping.
    where : str
        File, line or option, for the message.
    hint : str
        The remedy.

    Raises
    ------
    ConfigError
        It is no YAML, or holds a NaN: no setting may be one, and comparisons would let it pass.

    Examples
    --------
    >>> read_yaml("[1, 5]", "--set horizons", "write a list")
    [1, 5]
    """
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        said = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ConfigError(f"{where}{place}: {said}", hint=hint) from error
    if _holds_nan(value):
        raise ConfigError(f"{where} was {value!r}", hint="no setting can be NaN; give a number")
    return value


def _holds_nan(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_nan, value.values()))
    if isinstance(value, list):
        return any(map(_holds_nan, value))
    if isinstance(value, str):  # YAML writes .nan, people write nan
        return value.lstrip("+-").lower() == "nan"
    return isinstance(value, float) and math.isnan(value)


def parse_setting(setting: str, example: str) -> tuple[str, Any]:
    """Return key and value of ``key=value``, the value read as YAML.

    Raises
    ------
    ConfigError
        It has no key or no equals sign, or the value is no YAML or a NaN.

    Examples
    --------
    >>> parse_setting("horizons=[1, 5]", "a=1")
    ('horizons', [1, 5])
    """
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set was {setting!r}", hint=f"write key=value, such as {example}")
    return key, read_yaml(text, f"--set {setting}", "write a number, true or a list")


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
