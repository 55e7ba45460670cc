"""The end of a message: which best quotes hold, what their status is, and whether the depth record changed."""

# mypy: disable-error-code="no-any-return, return-value"
# Kernels read records and array items, whose static type is Any.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from marketprism.book._ladder import best_key, level_quantity, read_depth
from marketprism.book._levels import add_gap
from marketprism.book._state import NO_KEY, Count
from marketprism.book.sequencing.machine import LAST_ID, SYNCED
from marketprism.book.sequencing.rules import Rule
from marketprism.book.views import ViewStatus
from marketprism.core.kinds import GapReason

__all__ = ["check_crossed", "compose", "refresh_quotes", "take_quote", "write_depth"]

_BID, _ASK, _SYNCED, _LOCKED, _CROSSED, _VALID, _DEPTH = (
    int(ViewStatus.HAS_BID),
    int(ViewStatus.HAS_ASK),
    int(ViewStatus.SYNCED),
    int(ViewStatus.LOCKED),
    int(ViewStatus.CROSSED),
    int(ViewStatus.VALID),
    int(ViewStatus.DEPTH_VALID),
)
_NO_RULE = int(Rule.NONE)
_REASON_CROSSED = int(GapReason.CROSSED)
_C_CROSSED, _C_LOCKED, _C_TOO_LONG, _C_QUOTES, _C_QUOTES_STALE = (
    int(Count.CROSSED),
    int(Count.LOCKED),
    int(Count.CROSSED_TOO_LONG),
    int(Count.QUOTES_APPLIED),
    int(Count.QUOTES_STALE),
)


@njit(cache=True)
def take_quote(s: Any) -> None:
    """Take over the quote message that just ended, unless the book or an earlier quote is newer by update id."""
    update = s.pending_id
    book = s.machine[LAST_ID] if s.rule != _NO_RULE and s.machine[SYNCED] == 1 else -1
    taken = False
    if update < 0 or book < 0 or update > book:
        for side in range(2):
            if s.pending_mask & (1 << side) and (update < 0 or update >= s.quote_id[side]):
                s.quote_price[side] = s.pending_price[side]
                s.quote_quantity[side] = s.pending_quantity[side]
                s.quote_id[side] = update
                s.quote_fresh[side] = 1
                taken = True
    s.counters[_C_QUOTES if taken else _C_QUOTES_STALE] += 1
    if taken:
        s.quote_seen = 1
    s.pending_mask = 0


@njit(cache=True)
def refresh_quotes(s: Any) -> None:
    """After a depth message: a quote stays in force only if its update id is above the book's."""
    for side in range(2):
        if s.quote_fresh[side] == 1:
            ahead = s.rule != _NO_RULE and s.machine[LAST_ID] >= 0 and s.quote_id[side] > s.machine[LAST_ID]
            s.quote_fresh[side] = 1 if ahead else 0


@njit(cache=True)
def check_crossed(s: Any, gaps: np.ndarray, row: Any, bid: int, ask: int) -> None:
    """Start, end or time out the crossed state of the depth.

    Beyond the tolerance the book is invalid and a gap is recorded. A book that follows a sequencing rule then waits
    for a snapshot; any other is valid again when it is no longer crossed.
    """
    if NO_KEY in (bid, ask) or bid <= -ask:
        s.crossed_since = -1
        s.crossed_out = 0
        return
    if s.crossed_since < 0:
        s.crossed_since = row.ts_event
    if s.crossed_out == 0 and row.ts_event - s.crossed_since > s.tolerance:
        s.crossed_out = 1
        s.counters[_C_TOO_LONG] += 1
        add_gap(s, gaps, row, _REASON_CROSSED, -1)
        if s.rule != _NO_RULE:
            s.machine[SYNCED] = 0


@njit(cache=True)
def compose(s: Any, ladder: np.ndarray, overflow: np.ndarray, gaps: np.ndarray, row: Any, levels: int) -> None:
    """Set the view in force from the depth and the quotes."""
    depth = s.joined == 1 and s.machine[SYNCED] == 1
    bid = ask = NO_KEY
    if depth:
        bid, ask = best_key(s, overflow, 0), best_key(s, overflow, 1)
        check_crossed(s, gaps, row, bid, ask)
        depth = s.machine[SYNCED] == 1 and s.crossed_out == 0
    before = s.status
    s.bid = s.ask = 0
    s.bid_quantity = s.ask_quantity = 0.0
    s.status = s.depth_valid = 0
    if not (depth if s.joined == 1 else s.quote_seen == 1):
        return
    status = _SYNCED
    if depth:
        if bid != NO_KEY:
            s.bid, s.bid_quantity = bid, level_quantity(s, ladder, overflow, 0, bid)
        if ask != NO_KEY:
            s.ask, s.ask_quantity = -ask, level_quantity(s, ladder, overflow, 1, ask)
        if levels > 0 and NO_KEY not in (bid, ask) and bid <= -ask:
            status |= _DEPTH
    if s.freshest == 1 or s.joined == 0:
        if s.quote_fresh[0] == 1:
            s.bid, s.bid_quantity = s.quote_price[0], s.quote_quantity[0]
        if s.quote_fresh[1] == 1:
            s.ask, s.ask_quantity = s.quote_price[1], s.quote_quantity[1]
    if s.bid_quantity > 0.0:
        status |= _BID
    if s.ask_quantity > 0.0:
        status |= _ASK
    if s.bid_quantity > 0.0 and s.ask_quantity > 0.0:
        if s.bid > s.ask:
            status |= _CROSSED
            s.counters[_C_CROSSED] += not before & _CROSSED
        else:
            status |= _VALID
            if s.bid == s.ask:
                status |= _LOCKED
                s.counters[_C_LOCKED] += not before & _LOCKED
    s.status = status


@njit(cache=True)
def write_depth(
    s: Any,
    ladder: np.ndarray,
    bits: np.ndarray,
    overflow: np.ndarray,
    price: np.ndarray,
    quantity: np.ndarray,
    at: int,
) -> int:
    """Write the next depth record behind record ``at`` if it differs; return the index of the one in force."""
    changed = False
    for side in range(2):
        if s.dirty[side] == 0:
            price[at + 1, side] = price[at, side]
            quantity[at + 1, side] = quantity[at, side]
            continue
        new_price, new_quantity = price[at + 1, side], quantity[at + 1, side]
        s.threshold[side] = read_depth(s, ladder, bits, overflow, side, new_price, new_quantity)
        for i in range(len(new_price)):
            if new_price[i] != price[at, side, i] or new_quantity[i] != quantity[at, side, i]:
                changed = True
    return at + 1 if changed else at
