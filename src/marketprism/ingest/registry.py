"""Formats by name: every module in ``ingest/files`` that defines FORMAT is a source."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import parse_qsl

import marketprism.ingest.files
from marketprism.core.errors import ConfigError, SourceError, did_you_mean
from marketprism.ingest.source import Source

__all__ = ["SourceFormat", "SourceSpec", "formats", "open_source", "open_with", "parse_spec"]


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A parsed source text: ``format:path[,path...][?key=value&...]``."""

    text: str
    format: str
    paths: tuple[str, ...]
    options: Mapping[str, str]

    def option(self, name: str, default: str = "") -> str:
        """Return option ``name`` or ``default``."""
        return self.options.get(name, default)

    def flag(self, name: str) -> bool:
        """Return whether option ``name`` is switched on (1, true, yes or on)."""
        return self.option(name).lower() in {"1", "true", "yes", "on"}


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """One source format: its name, an example line, its options and how to open it."""

    name: str
    example: str
    description: str
    open: Callable[[SourceSpec], Source]
    options: Mapping[str, str] = field(default_factory=dict)
    """Option name -> what it does. ``strict`` is understood by every format."""
    needs_path: bool = True


@cache
def formats() -> dict[str, SourceFormat]:
    """Return every format by name, sorted."""
    found: dict[str, SourceFormat] = {}
    for info in pkgutil.iter_modules(marketprism.ingest.files.__path__):
        module = importlib.import_module(f"marketprism.ingest.files.{info.name}")
        entry = getattr(module, "FORMAT", None)
        if isinstance(entry, SourceFormat):
            found[entry.name] = entry
    return dict(sorted(found.items()))


def parse_spec(text: str) -> SourceSpec:
    """Split a source text into format, paths and options.

    Examples
    --------
    >>> spec = parse_spec("ashare-snapshot:a.zip,b.zip?symbol=600311")
    >>> spec.format, spec.paths, dict(spec.options)
    ('ashare-snapshot', ('a.zip', 'b.zip'), {'symbol': '600311'})
    """
    name, colon, rest = text.partition(":")
    if not colon:
        raise SourceError(
            f"source was {text!r}", hint="write FORMAT:PATH, such as lobster:goog.zip; see `marketprism sources`"
        )
    # The query begins at the last "?", so that a DSN with its own query still fits in front of it.
    path, _, query = rest.rpartition("?") if "?" in rest else (rest, "", "")
    options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    return SourceSpec(text, name, tuple(part for part in path.split(",") if part), options)


def open_source(text: str) -> Source:
    """Open a file source by its text; see :func:`formats`, and :func:`marketprism.open_source` for every source."""
    return open_with(text, formats())


def open_with(text: str, known: Mapping[str, SourceFormat]) -> Source:
    """Open a source by its text among ``known`` formats.

    Parameters
    ----------
    text : str
        ``format:path[,path...][?key=value&...]``.
    known : mapping of str to SourceFormat
        Formats by name.

    Raises
    ------
    SourceError
        Unknown format, missing file, nothing usable.
    ConfigError
        Unknown option.
    """
    spec = parse_spec(text)
    if spec.format not in known:
        raise SourceError(f"format was {spec.format!r}", hint=did_you_mean(spec.format, known))
    entry = known[spec.format]
    allowed = {"strict", *entry.options}
    for name in spec.options:
        if name not in allowed:
            raise ConfigError(f"{spec.format} has no option {name!r}", hint=did_you_mean(name, allowed))
    if entry.needs_path and not spec.paths:
        raise SourceError(f"{text!r} names no file", hint=f"for example {entry.example}")
    return entry.open(spec)
