"""Frozen configuration: unknown keys are rejected with a suggestion, and every config has a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Self

import msgspec

from marketprism.core.errors import ConfigError, did_you_mean

__all__ = ["Config", "config_hash"]


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
            raise ConfigError(f"{cls.__name__}: {error}") from error

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


def config_hash(values: Any) -> str:
    """Hash plain data by its canonical JSON.

    Examples
    --------
    >>> config_hash({"b": 1, "a": 2}) == config_hash({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(msgspec.json.encode(values, order="deterministic")).hexdigest()[:16]
