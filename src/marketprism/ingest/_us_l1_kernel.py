"""One-side-per-row quotes to best-quote rows: pairing of the two halves, and consolidation of venues."""

from __future__ import annotations

import numpy as np
from numba import njit

from marketprism.core.kinds import EventKind, Flag

__all__ = ["PENDING", "STATE", "VENUES", "convert", "flush"]

VENUES = 26
"""Venue codes are the letters A to Z."""

STATE = 10
"""Length of the carried int64 state."""

PENDING = 0  # 1 where a bid row waits for its ask row
_PENDING_TS = 1
_BID, _ASK = 2, 4  # price and size of the best quote being built
_SENT = 6  # the four numbers sent last; -1: nothing yet

_QUOTE = np.uint8(EventKind.QUOTE)
_FIRST = np.uint8(Flag.FIRST)
_LAST = np.uint8(Flag.LAST)


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _set_side(state, table, at, side, venue, price, size, consolidate):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Store one side of a venue's quote and put the best of that side into ``state[at:at + 2]``."""
    if price == 0 or size == 0:
        price, size = 0, 0
    if not consolidate:
        state[at], state[at + 1] = price, size
        return
    table[side, venue, 0], table[side, venue, 1] = price, size
    best, total = np.int64(0), np.int64(0)
    for v in range(VENUES):
        p = table[side, v, 0]
        if p == 0:
            continue
        better = best == 0 or (p > best if side == 0 else p < best)
        if better:
            best, total = p, table[side, v, 1]
        elif p == best:
            total += table[side, v, 1]
    state[at], state[at + 1] = best, total


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _send(state, ts, latency, start, stop, counts, out, k):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the quote as a bid row and an ask row if it changed and its time lies in [start, stop)."""
    if ts < start or ts >= stop:
        counts[0] += 1
        return k
    same = True
    for j in range(4):
        if state[_SENT + j] != state[_BID + j]:
            same = False
    if same:
        counts[1] += 1
        return k
    for j in range(4):
        state[_SENT + j] = state[_BID + j]
    for s in range(2):
        row = out[k]
        row.ts_event = ts
        row.ts_recv = ts + latency
        row.price = state[_BID + 2 * s]
        row.quantity = float(state[_BID + 2 * s + 1])
        row.event_id = -1
        row.first_id = -1
        row.previous_id = -1
        row.payload = -1
        row.instrument = 0
        row.side = 1 - 2 * s
        row.kind = _QUOTE
        row.flags = _FIRST if s == 0 else _LAST
        k += 1
    return k


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def flush(state, latency, start, stop, counts, out):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Send a bid row that still waits; return the number of rows written."""
    if state[PENDING] == 0:
        return 0
    state[PENDING] = 0
    return _send(state, state[_PENDING_TS], latency, start, stop, counts, out, 0)


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def convert(  # type: ignore[no-untyped-def]
    ts, bid, bid_size, ask, ask_size, venue, consolidate, state, table, latency, start, stop, counts, out
):  # pragma: no cover
    """Convert quote rows; return the number of rows written (``out`` holds at least 4 a quote row).

    A row that names only a bid waits for the next row: if that is an ask of the same time, both are one quote.
    ``counts`` adds up quotes outside the session and quotes that changed nothing.
    """
    k = 0
    for i in range(len(ts)):
        has_bid = bid[i] != 0 or bid_size[i] != 0
        has_ask = ask[i] != 0 or ask_size[i] != 0
        joins = state[PENDING] == 1 and state[_PENDING_TS] == ts[i] and not has_bid
        if state[PENDING] == 1 and not joins:
            k = _send(state, state[_PENDING_TS], latency, start, stop, counts, out, k)
            state[PENDING] = 0
        if has_bid or (not has_ask and not joins):
            _set_side(state, table, _BID, 0, venue[i], bid[i], bid_size[i], consolidate)
        if has_ask or not has_bid:
            _set_side(state, table, _ASK, 1, venue[i], ask[i], ask_size[i], consolidate)
        if has_bid and not has_ask:
            state[PENDING] = 1
            state[_PENDING_TS] = ts[i]
        else:
            state[PENDING] = 0
            k = _send(state, ts[i], latency, start, stop, counts, out, k)
    return k
