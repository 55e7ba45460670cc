"""Tapes that a leak check can cut, rearrange and backfill: a table or an event block, in the order of receipt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from marketprism.core.block import EventBlock
from marketprism.core.errors import DataError
from marketprism.core.kinds import Flag

if TYPE_CHECKING:
    import polars as pl

__all__ = ["RECEIVED", "BlockTape", "FrameTape", "Tape", "nanoseconds", "open_tape"]

RECEIVED = ("ts_known", "ts_recv", "ts_received", "received")
"""Columns looked for as the time at which a row was known."""
_EVENT = ("ts_event", "ts_end", "event")
_CONTENT = ["side", "price", "quantity", "payload"]

_Ints = npt.NDArray[np.int64]


class Tape(Protocol):
    """What a leak check needs of a tape; rows keep their times whatever is done to their contents."""

    known: _Ints | None
    """Time at which each row was known, ns; None where the tape does not say."""

    def __len__(self) -> int: ...

    def cut(self, n: int) -> Any:
        """Return the first ``n`` rows."""

    def rearranged(self, index: _Ints) -> Any:
        """Return the tape with row i holding the contents of row ``index[i]``."""

    def alike(self) -> _Ints:
        """Return a code for each row; contents may move between rows of one code."""

    def ends(self) -> _Ints:
        """Return rows after which the tape may be cut."""

    def backfilled(self, row: int, source: int) -> Any | None:
        """Return the tape with a late row behind ``row``: the contents of ``source``, an earlier event, known later."""


def nanoseconds(column: pl.Series) -> _Ints:
    """Return times as integers: nanoseconds of temporal columns, numbers as they are."""
    import polars as pl

    if column.null_count():
        raise DataError(f"column {column.name!r} holds {column.null_count()} nulls", hint="every row needs its times")
    if column.dtype.is_temporal():
        column = column.cast(pl.Datetime("ns"))
    return column.cast(pl.Int64).to_numpy()


class FrameTape:
    """Tape of a Polars frame whose rows lie in the order of receipt."""

    def __init__(self, frame: pl.DataFrame, event: str | None, received: str | None) -> None:
        for name in (event, received):
            if name is not None and name not in frame.columns:
                raise DataError(f"the tape has no column {name!r}", hint=f"it has {', '.join(frame.columns)}")
        self._frame = frame
        self._event = event or next((name for name in _EVENT if name in frame.columns), None)
        self._received = received or next((name for name in RECEIVED if name in frame.columns), None)
        self.known = nanoseconds(frame[self._received]) if self._received else None
        if self.known is not None and (np.diff(self.known) < 0).any():
            row = int(np.argmax(np.diff(self.known) < 0)) + 1
            raise DataError(f"row {row} was received before row {row - 1}", hint=f"sort the tape by {self._received!r}")
        times = {self._event, self._received}
        self._fixed = [
            name
            for name, dtype in frame.schema.items()
            if name in times or name.startswith("ts_") or dtype.is_temporal()
        ]

    def __len__(self) -> int:
        return self._frame.height

    def cut(self, n: int) -> pl.DataFrame:
        """Return the first ``n`` rows."""
        return self._frame.head(n)

    def rearranged(self, index: _Ints) -> pl.DataFrame:
        """Return the tape with row i holding the contents of row ``index[i]``; times stay."""
        times = [self._frame[name] for name in self._fixed]
        return self._frame[index].with_columns(times)

    def alike(self) -> _Ints:
        """Return a code for each row; contents may move between rows of one code."""
        return np.zeros(len(self), np.int64)

    def ends(self) -> _Ints:
        """Return rows after which the tape may be cut."""
        return np.arange(len(self))

    def backfilled(self, row: int, source: int) -> pl.DataFrame | None:
        """Return the tape with a late row behind ``row``; None where there can be none."""
        import polars as pl

        if self._event is None or self._received is None or self._event == self._received:
            return None
        frame = self._frame
        event = frame[self._event][max(0, row - 3) : row + 1].min()
        late = frame[source : source + 1].with_columns(
            pl.lit(event).cast(frame.schema[self._event]).alias(self._event),
            frame[self._received][row + 1 : row + 2],
        )
        return pl.concat([frame[: row + 1], late, frame[row + 1 :]])


class BlockTape:
    """Tape of an event block; contents move only between rows of one kind and instrument."""

    def __init__(self, block: EventBlock) -> None:
        self._block = block
        self.known: _Ints | None = block.rows["ts_recv"].astype(np.int64)

    def __len__(self) -> int:
        return len(self._block)

    def cut(self, n: int) -> EventBlock:
        """Return the first ``n`` rows."""
        return self._with(self._block.rows[:n].copy())

    def rearranged(self, index: _Ints) -> EventBlock:
        """Return the tape with row i holding the contents of row ``index[i]``; times stay."""
        rows = self._block.rows.copy()
        for name in _CONTENT:
            rows[name] = self._block.rows[name][index]
        return self._with(rows)

    def alike(self) -> _Ints:
        """Return a code for each row; contents may move between rows of one code."""
        rows = self._block.rows
        codes: _Ints = rows["instrument"].astype(np.int64) * 256 + rows["kind"]
        return codes

    def ends(self) -> _Ints:
        """Return rows after which the tape may be cut."""
        return np.flatnonzero(self._block.rows["flags"] & Flag.LAST)

    def backfilled(self, row: int, source: int) -> EventBlock | None:  # noqa: ARG002 -- a block repeats a whole message
        """Return the tape with a late row behind ``row``; None where there can be none."""
        rows = self._block.rows
        whole = Flag.FIRST | Flag.LAST
        single = np.flatnonzero(((rows["flags"][: row + 1] & whole) == whole) & (rows["payload"][: row + 1] < 0))
        if not single.size:
            return None
        late = rows[single[-1:]].copy()
        late["ts_event"] = rows["ts_event"][max(0, row - 3) : row + 1].min()
        late["ts_recv"] = rows["ts_recv"][row + 1]
        return self._with(np.concatenate((rows[: row + 1], late, rows[row + 1 :])))

    def _with(self, rows: np.ndarray) -> EventBlock:
        return EventBlock(rows, self._block.instruments, self._block.payloads)


def open_tape(tape: Any, event: str | None, received: str | None) -> Tape:
    """Wrap a Polars or pandas frame, a pandas series, an event block, an array, or a mapping of arrays.

    Raises
    ------
    DataError
        None of them, or rows out of order.
    """
    import polars as pl

    if isinstance(tape, EventBlock):
        return BlockTape(tape)
    if isinstance(tape, pl.DataFrame):
        return FrameTape(tape, event, received)
    if hasattr(tape, "iloc") and hasattr(tape, "reset_index"):
        from marketprism.evaluate.pandas_tape import PandasTape, SeriesTape

        return (PandasTape if hasattr(tape, "columns") else SeriesTape)(tape, event, received)
    if isinstance(tape, (np.ndarray, Mapping)):
        from marketprism.evaluate.array_tape import ArrayTape

        return ArrayTape(tape, event, received)
    raise DataError(
        f"the tape was a {type(tape).__name__}",
        hint="pass a Polars or pandas frame, a NumPy array, a dict of arrays, or an EventBlock",
    )
