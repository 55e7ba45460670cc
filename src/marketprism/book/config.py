"""What can be chosen about a book."""

from __future__ import annotations

from typing import Literal

from marketprism.book.views import DEPTH_LEVELS
from marketprism.core.config import Config
from marketprism.core.errors import ConfigError

__all__ = ["BookConfig"]


class BookConfig(Config, frozen=True):
    """Configuration of one instrument's book.

    Parameters
    ----------
    depth_levels : int, default 10
        Levels a side in depth records, 0 (none) to 20.
    best_quote : {"freshest", "book"}, default "freshest"
        ``freshest``: a quote newer than the depth book (by update id where both have one, else by arrival)
        overrides its side of the best quotes. ``book``: quotes are ignored once a depth book exists.
    crossed_tolerance_ns : int, default 1_000_000_000
        How long, by event time, the depth may stay crossed before the book is declared invalid.
    start : {"snapshot", "first_update"}, default "snapshot"
        ``snapshot``: invalid until a snapshot was applied. ``first_update``: for recordings without one, an
        empty book starts at the first update (counted as ``first_update_starts``); deep levels are missing
        until they are touched.
    buffer_rows : int, default 262_144
        Most update rows held while a snapshot is awaited; the oldest messages make room (counted).
    """

    depth_levels: int = 10
    best_quote: Literal["freshest", "book"] = "freshest"
    crossed_tolerance_ns: int = 1_000_000_000
    start: Literal["snapshot", "first_update"] = "snapshot"
    buffer_rows: int = 262_144

    def __post_init__(self) -> None:
        if not 0 <= self.depth_levels <= DEPTH_LEVELS:
            raise ConfigError(f"depth_levels was {self.depth_levels}", hint=f"choose 0 to {DEPTH_LEVELS}")
        if self.best_quote not in {"freshest", "book"}:
            raise ConfigError(f"best_quote was {self.best_quote!r}", hint="choose freshest or book")
        if self.start not in {"snapshot", "first_update"}:
            raise ConfigError(f"start was {self.start!r}", hint="choose snapshot or first_update")
        if self.crossed_tolerance_ns < 0:
            raise ConfigError(f"crossed_tolerance_ns was {self.crossed_tolerance_ns}", hint="0 or more")
        if self.buffer_rows < 1:
            raise ConfigError(f"buffer_rows was {self.buffer_rows}", hint="1 or more")
