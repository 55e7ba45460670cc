"""LOBSTER rows to event rows: trades, and the exact difference of successive order-book lines."""

from __future__ import annotations

import numpy as np
from numba import njit

from marketprism.core.kinds import EventKind, Flag

__all__ = ["EMPTY", "HALTED", "LAST_TS", "NEED_SNAPSHOT", "SESSION", "convert"]

EMPTY = 0
"""Price of a level that the file leaves empty, in the arrays of this module."""

NEED_SNAPSHOT, HALTED, LAST_TS, SESSION = 0, 1, 2, 3
"""Slots of the carried state; SESSION is 1 where a new day begins with the next row."""

_SNAPSHOT = np.uint8(EventKind.BOOK_SNAPSHOT)
_DELTA = np.uint8(EventKind.BOOK_DELTA)
_TRADE = np.uint8(EventKind.TRADE)
_GAP = np.uint8(EventKind.GAP)
_FIRST = np.uint8(Flag.FIRST)
_LAST = np.uint8(Flag.LAST)
_BOTH = np.uint8(Flag.FIRST | Flag.LAST)
_AUCTION = np.uint8(Flag.AUCTION)
_HIDDEN = np.uint8(Flag.HIDDEN)


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _put(out, k, ts, latency, kind, flags, side, price, quantity):  # type: ignore[no-untyped-def]  # pragma: no cover
    row = out[k]
    row.ts_event = ts
    row.ts_recv = ts + latency
    row.kind = kind
    row.flags = flags
    row.side = side
    row.price = price
    row.quantity = quantity
    row.event_id = -1
    row.first_id = -1
    row.previous_id = -1
    row.payload = -1
    row.instrument = 0


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _difference(out, k, ts, latency, price, size, old_price, old_size, side):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Merge two ladders of one side, best first: removed, changed and new levels become delta rows."""
    levels = len(price)
    i, j = 0, 0
    while True:
        new = i < levels and price[i] != EMPTY
        old = j < levels and old_price[j] != EMPTY
        if not new and not old:
            return k
        # "Before" means nearer to the touch: a higher bid, a lower ask.
        gap = (price[i] - old_price[j]) * side if new and old else 0
        if new and (not old or gap > 0):
            _put(out, k, ts, latency, _DELTA, 0, side, price[i], float(size[i]))
            k += 1
            i += 1
        elif old and (not new or gap < 0):
            _put(out, k, ts, latency, _DELTA, 0, side, old_price[j], 0.0)
            k += 1
            j += 1
        else:
            if size[i] != old_size[j]:
                _put(out, k, ts, latency, _DELTA, 0, side, price[i], float(size[i]))
                k += 1
            i += 1
            j += 1


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def convert(  # type: ignore[no-untyped-def]
    start, ts, type_, order_id, size, price, direction, book_price, book_size, old_price, old_size, state, latency, out
):  # pragma: no cover
    """Convert lines from ``start`` until they end or ``out`` is full.

    ``book_price`` and ``book_size`` have shape (lines, 2, levels), bids first, prices in ticks, EMPTY where there is
    no level; ``old_price`` and ``old_size`` (2, levels) carry the book that the rows written so far add up to.

    Returns (next line, rows written, gaps written); a gap row's payload index counts from 0 in this call, its
    ``first_id`` is 1 for a halt and 0 for a session break, and its ``previous_id`` the time before it.
    """
    levels = old_price.shape[1]
    room = len(out) - (4 * levels + 3)
    k, gaps, i = 0, 0, start
    while i < len(ts) and k <= room:
        t = ts[i]
        halt = type_[i] == 7 and price[i] < 0
        if state[SESSION] == 1 or (halt and state[HALTED] == 0):
            _put(out, k, t, latency, _GAP, _BOTH, 0, 0, 0.0)
            out[k].payload = gaps
            out[k].first_id = 0 if state[SESSION] == 1 else 1
            out[k].previous_id = state[LAST_TS]
            gaps += 1
            k += 1
            state[SESSION] = 0
            state[NEED_SNAPSHOT] = 1
        state[LAST_TS] = t
        if halt:
            state[HALTED] = 1
        elif (type_[i] == 7 and price[i] > 0) or type_[i] == 4 or type_[i] == 5:
            state[HALTED] = 0  # trading resumed, said or shown
        if 4 <= type_[i] <= 6:
            flags = _BOTH
            side = -direction[i]
            if type_[i] == 5:
                flags |= _HIDDEN
            elif type_[i] == 6:
                flags |= _AUCTION
                side = 0
            _put(out, k, t, latency, _TRADE, flags, side, price[i], float(size[i]))
            if order_id[i] > 0:
                out[k].previous_id = order_id[i]
            k += 1
        if state[HALTED] == 0:
            first = k
            if state[NEED_SNAPSHOT] == 1:
                for s in range(2):
                    for j in range(levels):
                        if book_price[i, s, j] != EMPTY:
                            _put(
                                out,
                                k,
                                t,
                                latency,
                                _SNAPSHOT,
                                0,
                                1 - 2 * s,
                                book_price[i, s, j],
                                float(book_size[i, s, j]),
                            )
                            k += 1
                if k > first:
                    state[NEED_SNAPSHOT] = 0
            else:
                for s in range(2):
                    k = _difference(
                        out, k, t, latency, book_price[i, s], book_size[i, s], old_price[s], old_size[s], 1 - 2 * s
                    )
            if k > first:
                out[first].flags |= _FIRST
                out[k - 1].flags |= _LAST
                old_price[:] = book_price[i]
                old_size[:] = book_size[i]
        i += 1
    return i, k, gaps
