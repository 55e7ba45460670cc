"""The error root and its branches: every error carries the values, a remedy and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

__all__ = [
    "Action",
    "ConfigError",
    "DataError",
    "IntegrityError",
    "MarketPrismError",
    "SourceError",
    "StateError",
    "StoreError",
    "did_you_mean",
]


class Action(StrEnum):
    """What a caller should do about an error."""

    SKIP = "skip"
    RESYNC = "resync"
    RETRY = "retry"
    STOP = "stop"


class MarketPrismError(Exception):
    """Root of every error that MarketPrism raises on purpose.

    Parameters
    ----------
    message : str
        What was wrong, naming the file, line or record and the value ("price was -3").
    hint : str, optional
        The remedy, in one sentence.
    action : Action, default Action.STOP
        What the caller should do.
    **context : Any
        The values themselves, for programs; kept in ``error.context``.
    """

    def __init__(self, message: str, *, hint: str = "", action: Action = Action.STOP, **context: Any) -> None:
        super().__init__(message if not hint else f"{message} ({hint})")
        self.hint = hint
        self.action = action
        self.context = context


class ConfigError(MarketPrismError):
    """A configuration value is unknown, of the wrong type or out of range."""


class SourceError(MarketPrismError):
    """A market-data source cannot be opened, or holds nothing usable."""


class DataError(MarketPrismError):
    """A record is malformed, out of range or off the instrument's grid."""


class IntegrityError(MarketPrismError):
    """A file, artefact or sequence does not agree with its checksum, hash or identity."""


class StateError(MarketPrismError):
    """Saved state cannot be restored into this object."""


class StoreError(MarketPrismError):
    """The store refused a write or a read."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return a hint that names the closest known word, or lists the choices.

    Examples
    --------
    >>> did_you_mean("lobstre", ["lobster", "tardis"])
    "did you mean 'lobster'?"
    >>> did_you_mean("lobstre", [])
    'there is none'
    """
    known = sorted(choices)
    if not known:
        return "there is none"
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
