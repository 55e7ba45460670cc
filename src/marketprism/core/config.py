"""Frozen configuration: unknown keys are rejected with a suggestion, and every config has a hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from types import UnionType
from typing import Any, Self, get_args

import msgspec

from marketprism.core.errors import ConfigError, did_you_mean

__all__ = ["Config", "config_hash"]

_STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_FIELD = re.compile(r"Object contains unknown field `(.*)`")
_UNKNOWN = object()


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every configuration object: immutable, typed, hashable, with a JSON schema.

    Subclasses list fields with defaults, and check ranges in ``__post_init__`` by raising ConfigError.
    """

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Build from plain data; an unknown key or a wrong type is a ConfigError naming key and value."""
        known = {field.encode_name for field in msgspec.structs.fields(cls)}
        for key in values:
            if key not in known:
                raise ConfigError(f"{cls.__name__} has no key {key!r}", hint=did_you_mean(str(key), known))
        try:
            return msgspec.convert(values, cls, strict=False)
        except msgspec.ValidationError as error:
            raise _explained(cls, values, str(error)) from error

    def to_mapping(self) -> dict[str, Any]:
        """Return plain data, nested configs included."""
        result: dict[str, Any] = msgspec.to_builtins(self)
        return result

    def replace(self, **changes: Any) -> Self:
        """Return a copy with ``changes``, checked like a new one."""
        return self.from_mapping({**self.to_mapping(), **changes})

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON schema of this configuration."""
        return msgspec.json.schema(cls)

    @property
    def hash(self) -> str:
        """Stable hash of the values (16 hex digits); equal configs hash equal in every process."""
        return config_hash(self.to_mapping())


def _explained(cls: type[Config], values: Mapping[str, Any], said: str) -> ConfigError:
    """Make an error that names key, value and remedy of what msgspec said, ``... - at `$.judge.folds```."""
    text, _, place = said.partition(" - at `$")
    kind: Any = cls
    value: Any = values
    name = ""
    for key, index in _STEP.findall(place):
        name += f".{key}" if key else f"[{index}]"
        kind = _inside(kind, key)
        try:
            value = value[key or int(index)]
        except (KeyError, IndexError, TypeError, ValueError):  # `[...]` is any entry of a mapping
            value = _UNKNOWN
    name = name.removeprefix(".")
    unknown = _FIELD.fullmatch(text)
    if unknown is not None:
        path = ".".join(filter(None, (name, unknown[1])))
        fields = {field.encode_name for field in msgspec.structs.fields(kind)} if _is_config(kind) else set()
        return ConfigError(
            f"{cls.__name__} has no key {path!r}", hint=did_you_mean(unknown[1], fields) if fields else "check the name"
        )
    choices = [choice for choice in get_args(kind) if isinstance(choice, str)]
    if choices and text.startswith("Invalid enum value"):
        text = did_you_mean(str(value), choices)
    shown = "" if value is _UNKNOWN else f" was {value!r}"
    return ConfigError(f"{cls.__name__}: {name or 'it'}{shown}", hint=text.replace(", got ", ", was "))


def _inside(kind: Any, key: str) -> Any:
    """Return the type of a field, or of the entries of a collection; None where it is not one configuration."""
    if _is_config(kind):
        kind = next((field.type for field in msgspec.structs.fields(kind) if field.encode_name == key), None)
    else:
        kind = next((part for part in get_args(kind) if part not in {str, type(None), ...}), None)
    inner = [part for part in get_args(kind) if _is_config(part)] if isinstance(kind, UnionType) else []
    return inner[0] if inner else kind


def _is_config(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Config)


def config_hash(values: Any) -> str:
    """Hash plain data by its canonical JSON.

    Examples
    --------
    >>> config_hash({"b": 1, "a": 2}) == config_hash({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(msgspec.json.encode(values, order="deterministic")).hexdigest()[:16]
