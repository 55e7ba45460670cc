"""The scalar state of a book as one record, and the names of its integrity counters."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from marketprism.book.sequencing.machine import MACHINE_FIELDS
from marketprism.core.rows import NO_ID

__all__ = ["GAP_DTYPE", "LEVEL_DTYPE", "NO_KEY", "ORDER_DTYPE", "STATE_DTYPE", "Count", "Mode", "Need", "new_state"]

NO_KEY = -(2**62)
"""Key of a side without levels. A key is the price in ticks for bids and its negative for asks: higher is better."""


class Count(IntEnum):
    """Integrity counters; the lower-case names are the keys of ``Book.counters``."""

    APPLIED = 0  # L2 and L3 messages applied
    SNAPSHOTS = 1
    SNAPSHOTS_REFUSED = 2  # older than the first buffered update, or than the book itself
    BUFFERED = 3  # messages held for a snapshot
    BUFFER_DROPPED = 4  # rows that made room in a full buffer
    BEFORE_SNAPSHOT = 5  # updates dropped because nothing can be built on them
    STALE_DROPPED = 6
    DUPLICATES = 7
    GAPS = 8
    RESETS = 9  # the venue restarted its numbering
    FIRST_UPDATE_STARTS = 10
    CROSSED = 11  # times the best quotes became crossed
    LOCKED = 12
    CROSSED_TOO_LONG = 13
    UNKNOWN_LEVEL_REMOVED = 14
    EMPTY_SNAPSHOT_LEVELS = 15
    BAD_ROWS = 16  # quantity or price that must never reach a book
    QUOTES_APPLIED = 17
    QUOTES_STALE = 18
    UNKNOWN_ORDERS = 19
    DUPLICATE_ORDERS = 20
    GAP_ROWS = 21
    RANGE_MOVES = 22


class Mode(IntEnum):
    """What happens to the rows of the open L2 message."""

    DROP = 0
    APPLY = 1
    BUFFER = 2


class Need(IntEnum):
    """Why the kernel paused: which array must grow before it goes on."""

    NONE = 0
    OVERFLOW = 1
    BUFFER = 2
    GAPS = 3
    ORDERS = 4


LEVEL_DTYPE = np.dtype([("key", np.int64), ("quantity", np.float64)], align=True)
ORDER_DTYPE = np.dtype(
    [("id", np.int64), ("price", np.int64), ("quantity", np.float64), ("side", np.int64)], align=True
)
GAP_DTYPE = np.dtype(
    [
        ("ts_event", np.int64),  # exchange time of the message that showed the gap
        ("ts_recv", np.int64),  # when it could be known
        ("gap_from", np.int64),  # exchange time of the last message applied before it, 0 if none
        ("lost", np.int64),  # update ids missing, -1 if unknown
        ("reason", np.int64),  # GapReason
    ],
    align=True,
)

STATE_DTYPE = np.dtype(
    [
        # depth
        ("base", np.int64, (2,)),  # key of slot 0 of each ladder
        ("best", np.int64, (2,)),  # best occupied slot, -1 for none
        ("ladder_levels", np.int64, (2,)),
        ("overflow_levels", np.int64, (2,)),
        ("threshold", np.int64, (2,)),  # a change at or above this key changes the depth record
        ("dirty", np.int64, (2,)),
        ("joined", np.int64),  # a depth book has existed
        ("order_book", np.int64),  # fed by L3
        ("synced", np.int64),
        ("machine", np.int64, (MACHINE_FIELDS,)),
        ("crossed_since", np.int64),  # event time, -1 for not crossed
        ("crossed_out", np.int64),  # declared invalid for it
        ("last_applied", np.int64),  # event time of the last applied message
        # the open message
        ("mode", np.int64),
        ("mode_kind", np.int64),
        ("touched", np.int64),  # bit 1 depth, 2 quote, 4 gap
        # buffered updates
        ("buffer_start", np.int64),
        ("buffer_end", np.int64),
        ("gap_count", np.int64),
        ("order_count", np.int64),
        # quotes
        ("pending_mask", np.int64),
        ("pending_price", np.int64, (2,)),
        ("pending_quantity", np.float64, (2,)),
        ("pending_id", np.int64),
        ("quote_seen", np.int64),
        ("quote_price", np.int64, (2,)),
        ("quote_quantity", np.float64, (2,)),
        ("quote_id", np.int64, (2,)),
        ("quote_fresh", np.int64, (2,)),
        # the view in force
        ("bid", np.int64),
        ("ask", np.int64),
        ("bid_quantity", np.float64),
        ("ask_quantity", np.float64),
        ("status", np.int64),
        ("depth_valid", np.int64),
        # configuration that the kernel reads
        ("rule", np.int64),
        ("freshest", np.int64),
        ("first_update", np.int64),
        ("tolerance", np.int64),
        ("buffer_limit", np.int64),
        ("lot_scale", np.float64),
        ("need", np.int64),
        ("counters", np.int64, (len(Count),)),
    ],
    align=True,
)


def new_state() -> np.ndarray:
    """Return the state of an empty book."""
    state = np.zeros(1, STATE_DTYPE)
    for name in ("best", "crossed_since", "quote_id"):
        state[name] = -1
    state["pending_id"] = NO_ID
    state["threshold"] = NO_KEY
    return state
