"""Book levels of tables: runs of snapshot rows among updates, and snapshots that are one wide line."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from marketprism.core.kinds import EventKind, Flag, Side
from marketprism.core.rows import empty_rows
from marketprism.ingest.merge import Chunk, join
from marketprism.ingest.row_builders import gap_row
from marketprism.ingest.source import Source
from marketprism.ingest.text_columns import Checks, PriceGrid, quantities

__all__ = ["SnapshotRuns", "WideLevels"]

SILENCE_NS = 60 * 10**9
"""A file that begins with a snapshot this long after the previous one ended follows a gap."""


class SnapshotRuns:
    """Turns rows marked "snapshot" into BOOK_SNAPSHOT messages, and a later run after updates into a resync.

    A run is a stretch of marked rows of one instrument. Its rows of one receive time are the snapshot; what a
    venue sent of it later completes the same book and comes as BOOK_DELTA (a second snapshot would clear the
    first half). A run that follows updates means that the recorder had lost the connection: a GAP goes before it.
    The first run of a file does not (recorders write one at midnight), unless the silence before it was long.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._in_run: dict[int, bool] = {}
        self._run_time: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._new_file: set[int] = set()

    def begin(self) -> None:
        """Start on the next file of the stream."""
        self._new_file = set(self._last)
        self._in_run = {}

    def apply(self, rows: np.ndarray, snapshot: np.ndarray) -> Chunk:
        """Set the kind of level rows and insert gaps; ``snapshot`` marks the rows of snapshots."""
        gaps: list[tuple[int, Chunk]] = []
        for instrument in np.unique(rows["instrument"]).tolist():
            mine = np.flatnonzero(rows["instrument"] == instrument)
            gaps += self._one(rows, mine, snapshot[mine], instrument)
        chunk = Chunk(rows)
        if not gaps:
            return chunk
        parts: list[Chunk] = []
        at = 0
        for position, gap in sorted(gaps, key=lambda item: item[0]):
            parts += [chunk.take(slice(at, position)), gap]
            at = position
        return join([*parts, chunk.take(slice(at, None))])

    def _one(self, rows: np.ndarray, mine: np.ndarray, marked: np.ndarray, instrument: int) -> list[tuple[int, Chunk]]:
        before = np.append(self._in_run.get(instrument, False), marked[:-1])
        starts = np.flatnonzero(marked & ~before)
        times = rows["ts_recv"][mine]
        run_time = np.full(len(mine), self._run_time.get(instrument, 0))
        if len(starts):
            run = np.cumsum(marked & ~before)
            run_time = np.where(run > 0, times[starts[np.maximum(run - 1, 0)]], run_time)
        whole = marked & (times == run_time)
        rows["kind"][mine] = np.where(whole, int(EventKind.BOOK_SNAPSHOT), int(EventKind.BOOK_DELTA))
        gaps = []
        for start in starts.tolist():
            previous = int(times[start - 1]) if start else self._last.get(instrument)
            fresh = instrument in self._new_file and start == 0
            if previous is None or (fresh and int(times[start]) - previous <= SILENCE_NS):
                continue
            row = rows[mine[start]]
            gaps.append((int(mine[start]), gap_row(previous, int(times[start]), instrument, int(row["ts_event"]))))
            self._source.report.note("snapshot after updates (book resynchronised, gap written)")
        self._new_file.discard(instrument)
        self._in_run[instrument] = bool(marked[-1])
        self._run_time[instrument] = int(run_time[-1])
        self._last[instrument] = int(times[-1])
        return gaps


class WideLevels:
    """Snapshots that are one line each: columns for price and quantity of every level, best first.

    Parameters
    ----------
    bids, asks : sequence of (str, str)
        Price and quantity column of each level.
    """

    def __init__(self, bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> None:
        self._levels = [(int(Side.BID), *pair) for pair in bids] + [(int(Side.ASK), *pair) for pair in asks]

    def check(self, checks: Checks, grid: PriceGrid, instrument: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return (ticks, price, quantity, present), each of shape (n, levels); a blank price is no level."""
        n, width = len(checks.batch), len(self._levels)
        ticks, present = np.zeros((n, width), np.int64), np.zeros((n, width), np.bool_)
        price, quantity = np.zeros((n, width)), np.zeros((n, width))
        for i, (_, price_column, quantity_column) in enumerate(self._levels):
            ticks[:, i], price[:, i] = grid.ticks(checks, price_column, instrument, required=False)
            quantity[:, i] = quantities(checks, quantity_column, required=False)
            present[:, i] = np.isfinite(price[:, i])
            checks.fail(np.asarray(present[:, i] & np.isnan(quantity[:, i])), f"{quantity_column} is blank")
        checks.fail(np.asarray(~present.any(axis=1)), "no level")
        return ticks, price, quantity, present

    def rows(
        self,
        levels: tuple[np.ndarray, ...],
        good: np.ndarray,
        instrument: np.ndarray,
        base: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
        **columns: np.ndarray,
    ) -> np.ndarray:
        """Return the BOOK_SNAPSHOT rows of the good lines; ``columns`` are the good lines' own, shape (good,)."""
        ticks, price, quantity, present = (array[good] for array in levels)
        line, level = np.nonzero(present)
        rows = empty_rows(len(line))
        rows["kind"], rows["side"] = EventKind.BOOK_SNAPSHOT, np.array([side for side, *_ in self._levels])[level]
        rows["price"], rows["instrument"] = ticks[present], instrument[good][line]
        rows["quantity"] = base(quantity[present], price[present], rows["instrument"])
        for name, values in columns.items():
            rows[name] = values[line]
        first = np.append(True, line[1:] != line[:-1])[: len(line)]
        last = np.append(line[1:] != line[:-1], True)[: len(line)]
        rows["flags"] = np.where(first, int(Flag.FIRST), 0) | np.where(last, int(Flag.LAST), 0)
        return rows
