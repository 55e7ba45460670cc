"""Options ``from`` and ``to``: a stretch of a stream, with the book that was there when it began."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from marketprism.core.errors import ConfigError
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import ROW_DTYPE
from marketprism.core.timebase import parse_time
from marketprism.ingest.merge import Chunk, join
from marketprism.ingest.registry import SourceSpec
from marketprism.ingest.source import Source

__all__ = ["Window"]

_NO_ROWS = np.zeros(0, ROW_DTYPE)


class Window:
    """Rows with ``start <= ts_recv < end``; an L2 book known at ``start`` enters as one snapshot flagged DERIVED.

    Parameters
    ----------
    start, end : int, optional
        Receive times, ns UTC; None is open.
    """

    def __init__(self, start: int | None = None, end: int | None = None) -> None:
        if start is not None and end is not None and end <= start:
            raise ConfigError(f"from was {start} ns and to {end} ns", hint="from must be before to")
        self.start = start
        self.end = end

    @classmethod
    def of(cls, spec: SourceSpec) -> Window:
        """Return the window of the options ``from`` and ``to``."""
        start, end = spec.option("from"), spec.option("to")
        return cls(parse_time(start) if start else None, parse_time(end) if end else None)

    def apply(self, chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
        """Yield what lies in the window; reading stops at its end."""
        book = _NO_ROWS
        waiting = self.start is not None
        for chunk in chunks:
            times = chunk.rows["ts_recv"]
            if waiting and self.start is not None and len(chunk):
                n = int(np.searchsorted(times, self.start, side="left"))
                book = _last_levels(np.concatenate([book, chunk.rows[:n]]))
                source.report.note("rows before from", n)
                if n == len(chunk):
                    continue
                waiting = False
                if len(entry := _entry(book, self.start)):
                    source.report.note("book rows entered as a derived snapshot", len(entry))
                    yield Chunk(entry)
                chunk = chunk.take(slice(n, None))
                times = chunk.rows["ts_recv"]
            if self.end is not None and len(chunk) and times[-1] >= self.end:
                yield chunk.take(slice(0, int(np.searchsorted(times, self.end, side="left"))))
                return
            yield chunk


def _last_levels(rows: np.ndarray) -> np.ndarray:
    """Return the latest row of every level since the last snapshot, for instruments that had one and no gap since."""
    kept = []
    for instrument in np.unique(rows["instrument"]).tolist():
        mine = rows[rows["instrument"] == instrument]
        clears = (mine["kind"] == EventKind.BOOK_SNAPSHOT) & ((mine["flags"] & Flag.FIRST) != 0)
        breaks = np.flatnonzero(clears | (mine["kind"] == EventKind.GAP))
        if not len(breaks) or mine["kind"][breaks[-1]] == EventKind.GAP:
            continue
        levels = mine[breaks[-1] :]
        levels = levels[np.isin(levels["kind"], (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA))]
        code = levels["price"] * 2 + (levels["side"] > 0)
        _, newest = np.unique(code[::-1], return_index=True)
        chosen = levels[np.sort(len(levels) - 1 - newest)].copy()
        chosen["kind"], chosen["flags"] = EventKind.BOOK_SNAPSHOT, 0
        chosen["flags"][0] = Flag.FIRST
        kept.append(chosen)
    return np.concatenate(kept) if kept else _NO_ROWS


def _entry(book: np.ndarray, start: int) -> np.ndarray:
    """Return one snapshot message for each instrument, known at ``start``."""
    parts = []
    for instrument in np.unique(book["instrument"]).tolist():
        mine = book[(book["instrument"] == instrument) & (book["quantity"] > 0)].copy()
        if len(mine):
            mine["event_id"] = mine["event_id"].max()
            mine["first_id"] = mine["previous_id"] = -1
            mine["ts_event"], mine["ts_recv"] = mine["ts_event"].max(), start
            mine["flags"] = Flag.DERIVED
            mine["flags"][0] |= Flag.FIRST
            mine["flags"][-1] |= Flag.LAST
            parts.append(mine)
    return join([Chunk(part) for part in parts]).rows if parts else _NO_ROWS
