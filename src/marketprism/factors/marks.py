"""What happened at each row, in one byte: the factor families look only at rows whose byte concerns them.

The kernels read module constants (plain integers compile everywhere); :class:`Mark` is for people.
"""

from __future__ import annotations

from enum import IntFlag

import numpy as np
from numba import njit

from marketprism.book.views import VIEW_DTYPE, ViewStatus
from marketprism.core.kinds import EventKind, Flag

__all__ = ["AFTER", "BEFORE", "DEPTH", "RESET", "TOP", "TRADE", "VALID", "Mark", "mark_rows", "new_marker"]


class Mark(IntFlag):
    """Bits of a row's mark."""

    BEFORE = 1
    """A bucket closes with the state before this row: emit first, then apply the row."""
    AFTER = 2
    """A bucket closes with the state after this row: apply the row, then emit."""
    RESET = 4
    """Data are missing before this row: every window starts empty (after the BEFORE emission, before the row)."""
    TOP = 8
    """The best quotes, their sizes or the book's status differ from those before the row."""
    DEPTH = 16
    """The depth record in force, or its validity, differs from the one before the row."""
    TRADE = 32
    """The row is a trade of continuous trading (auction prints are none)."""


BEFORE, AFTER, RESET = int(Mark.BEFORE), int(Mark.AFTER), int(Mark.RESET)
TOP, DEPTH, TRADE = int(Mark.TOP), int(Mark.DEPTH), int(Mark.TRADE)
VALID = int(ViewStatus.VALID)
"""Status bit of a view that has a mid, for kernels."""

_SYNCED = int(ViewStatus.SYNCED)
_DEPTH_VALID = int(ViewStatus.DEPTH_VALID)
_CUTS = BEFORE | AFTER
_KIND_TRADE = int(EventKind.TRADE)
_KIND_GAP = int(EventKind.GAP)
_AUCTION = int(Flag.AUCTION)
_LAST = int(Flag.LAST)


def new_marker() -> dict[str, np.ndarray]:
    """Return the marker's state: the view before the next row and the event clock."""
    return {"view": np.zeros(1, VIEW_DTYPE), "now": np.full(1, np.iinfo(np.int64).min, np.int64)}


@njit(cache=True)
def mark_rows(rows, top, cuts, view, now, marks, clock):  # type: ignore[no-untyped-def]
    """Fill the marks and the event clock (running maximum of ``ts_event``) of a block.

    Returns
    -------
    int
        All marks of the block or-ed together: a family that wants none of them need not be called.
    """
    anything = 0
    time = now[0]
    bid, ask = view[0].bid, view[0].ask
    bid_quantity, ask_quantity = view[0].bid_quantity, view[0].ask_quantity
    status, depth = view[0].status, 0
    for i in range(len(rows)):
        row = rows[i]
        time = max(time, row.ts_event)
        clock[i] = time
        mark = cuts[i] & _CUTS
        if row.kind == _KIND_TRADE and row.flags & _AUCTION == 0:
            mark |= TRADE
        if row.flags & _LAST:
            new = top[i]
            if row.kind == _KIND_GAP or (status & _SYNCED and not new.status & _SYNCED):
                mark |= RESET
            if new.status != status:
                mark |= TOP
                if (new.status ^ status) & _DEPTH_VALID:
                    mark |= DEPTH
            elif (
                new.bid != bid or new.ask != ask or new.bid_quantity != bid_quantity or new.ask_quantity != ask_quantity
            ):
                mark |= TOP
            if new.depth != depth:
                mark |= DEPTH
            bid, ask, bid_quantity, ask_quantity = new.bid, new.ask, new.bid_quantity, new.ask_quantity
            status, depth = new.status, new.depth
        marks[i] = mark
        anything |= mark
    now[0] = time
    view[0].bid, view[0].ask = bid, ask
    view[0].bid_quantity, view[0].ask_quantity = bid_quantity, ask_quantity
    view[0].status = status
    return anything
