"""Merge the tables of one stream back into the stream, in memory that does not grow with its length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import IntegrityError
from marketprism.core.instrument import Instrument
from marketprism.core.table_rows import TableRows, join_rows

__all__ = ["merge_tables"]


def merge_tables(
    tables: Mapping[str, Iterator[TableRows]], instruments: tuple[Instrument, ...]
) -> Iterator[EventBlock]:
    """Yield the stream that ``tables`` hold, ordered by ``(ts_recv, ordinal)``.

    At most one piece of each table is held at a time.

    Parameters
    ----------
    tables : mapping of str to iterator of TableRows
        Event type name -> consecutive pieces of its table, in stream order.
    instruments : tuple of Instrument
        Instruments of the stream.

    Yields
    ------
    EventBlock
        Consecutive blocks, about as many as there are pieces.

    Raises
    ------
    IntegrityError
        The pieces of a table overlap or run backwards.
    """
    held: dict[str, TableRows] = {}
    ends: dict[str, tuple[int, int]] = {}
    waiting = dict(tables)
    while True:
        for name in [name for name in waiting if name not in held]:
            piece = next((piece for piece in waiting[name] if len(piece)), None)
            if piece is None:
                del waiting[name]
                continue
            if _key(piece, 0) <= ends.get(name, (-(2**63), -1)):
                raise IntegrityError(
                    f"the table {name} runs backwards at ts_recv {_key(piece, 0)[0]}",
                    hint="two streams were written under one source: choose another source name",
                )
            held[name], ends[name] = piece, _key(piece, -1)
        if not held:
            return
        # Everything up to the earliest end of a piece is complete: what comes later in any table is later.
        frontier = min(ends[name] for name in held)
        ready = []
        for name, piece in list(held.items()):
            n = _count_up_to(piece, frontier)
            ready.append(piece[:n])
            if n == len(piece):
                del held[name]
            else:
                held[name] = piece[n:]
        yield join_rows(ready, instruments)


def _key(piece: TableRows, i: int) -> tuple[int, int]:
    return int(piece.rows["ts_recv"][i]), int(piece.ordinal[i])


def _count_up_to(piece: TableRows, frontier: tuple[int, int]) -> int:
    recv, ordinal = frontier
    times = piece.rows["ts_recv"]
    low = int(np.searchsorted(times, recv, "left"))
    high = int(np.searchsorted(times, recv, "right"))
    return low + int(np.searchsorted(piece.ordinal[low:high], ordinal, "right"))
