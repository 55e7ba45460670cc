"""The row loop of a book: rows in, views and depth records out."""

# mypy: disable-error-code="no-any-return, return-value"
# Kernels read records and array items, whose static type is Any.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from marketprism.book._ladder import move_range
from marketprism.book._levels import apply_level, begin_message, clear_book, hold, replay
from marketprism.book._orders import apply_order, clear_orders
from marketprism.book._state import Count, Mode, Need
from marketprism.book._view import compose, refresh_quotes, take_quote, write_depth
from marketprism.book.sequencing.machine import SYNCED
from marketprism.core.kinds import EventKind, Flag

__all__ = ["run_rows"]

_SNAPSHOT, _DELTA, _QUOTE, _GAP = (
    int(EventKind.BOOK_SNAPSHOT),
    int(EventKind.BOOK_DELTA),
    int(EventKind.QUOTE),
    int(EventKind.GAP),
)
_ORDER_FIRST, _ORDER_LAST = int(EventKind.ORDER_ADD), int(EventKind.ORDER_EXECUTE)
_FIRST, _LAST = int(Flag.FIRST), int(Flag.LAST)
_DROP, _APPLY, _BUFFER = int(Mode.DROP), int(Mode.APPLY), int(Mode.BUFFER)
_NEED_OVERFLOW, _NEED_BUFFER, _NEED_GAPS, _NEED_ORDERS = (
    int(Need.OVERFLOW),
    int(Need.BUFFER),
    int(Need.GAPS),
    int(Need.ORDERS),
)
_C_APPLIED, _C_GAP_ROWS, _C_BAD = int(Count.APPLIED), int(Count.GAP_ROWS), int(Count.BAD_ROWS)
_DEPTH_TOUCHED, _QUOTE_TOUCHED, _GAP_TOUCHED = 1, 2, 4


@njit(cache=True, inline="always")
def _needs(s: Any, row: Any, orders: np.ndarray, buffer: np.ndarray, gaps: np.ndarray) -> int:
    """Return which array must grow before ``row`` can be applied, 0 for none."""
    if s.gap_count + 2 > len(gaps):
        return _NEED_GAPS
    if row.kind == _DELTA and s.buffer_end == len(buffer) and len(buffer) < s.buffer_limit:
        return _NEED_BUFFER
    if _ORDER_FIRST <= row.kind <= _ORDER_LAST and 2 * (s.order_count + 1) > len(orders):
        return _NEED_ORDERS
    return 0


@njit(cache=True, inline="always")
def _take_quote_row(s: Any, row: Any) -> None:
    """Collect one side of a quote message; a price or quantity of 0 says that the side is empty."""
    if row.flags & _FIRST:
        s.pending_mask = 0
    side = 0 if row.side > 0 else 1
    if not (0.0 <= row.quantity < np.inf) or row.price < 0 or row.side == 0:
        s.counters[_C_BAD] += 1
        return
    s.pending_mask |= 1 << side
    s.pending_price[side] = row.price
    s.pending_quantity[side] = row.quantity if row.price > 0 else 0.0
    s.pending_id = row.event_id
    s.touched |= _QUOTE_TOUCHED


@njit(cache=True)
def _take_gap_row(s: Any) -> None:
    """Invalidate everything: the depth until the next snapshot, quotes until the next quote."""
    s.machine[SYNCED] = 0
    s.buffer_start = s.buffer_end = 0
    s.quote_seen = 0
    for side in range(2):
        s.quote_fresh[side] = 0
        s.quote_quantity[side] = 0.0
        s.quote_id[side] = -1
    s.counters[_C_GAP_ROWS] += 1
    s.touched |= _GAP_TOUCHED


@njit(cache=True)
def _take_order_row(
    s: Any, ladder: np.ndarray, bits: np.ndarray, overflow: np.ndarray, orders: np.ndarray, row: Any
) -> None:
    """Apply an L3 row; the first one makes this an order book, which needs no snapshot to start or to go on."""
    if s.order_book == 0:
        clear_book(s, ladder, bits)
        s.order_book = 1
    s.joined = 1
    s.machine[SYNCED] = 1
    apply_order(s, ladder, bits, overflow, orders, row)
    s.mode = _APPLY
    s.touched |= _DEPTH_TOUCHED


@njit(cache=True, inline="always")
def _take_level_row(
    s: Any,
    ladder: np.ndarray,
    bits: np.ndarray,
    overflow: np.ndarray,
    orders: np.ndarray,
    buffer: np.ndarray,
    gaps: np.ndarray,
    row: Any,
) -> None:
    """Apply, hold or drop an L2 row, as decided at the first row of its message."""
    if row.flags & _FIRST or s.mode_kind != row.kind:
        begin_message(s, ladder, bits, buffer, gaps, row)
        if row.kind == _SNAPSHOT and s.mode == _APPLY:
            clear_orders(s, orders)
        s.touched |= _DEPTH_TOUCHED
    if s.mode == _APPLY:
        apply_level(s, ladder, bits, overflow, row)
    elif s.mode == _BUFFER:
        hold(s, buffer, row)


@njit(cache=True)
def _end_message(
    s: Any,
    ladder: np.ndarray,
    bits: np.ndarray,
    overflow: np.ndarray,
    buffer: np.ndarray,
    gaps: np.ndarray,
    row: Any,
    price: np.ndarray,
    quantity: np.ndarray,
    at: int,
) -> int:
    """Bring the view and the depth record up to date after the last row of a message that touched the book."""
    levels = price.shape[2]
    if s.touched & _DEPTH_TOUCHED and s.mode == _APPLY:
        s.counters[_C_APPLIED] += 1
        s.last_applied = row.ts_event
        if s.mode_kind == _SNAPSHOT and s.buffer_end > 0:
            replay(s, ladder, bits, overflow, buffer, gaps)
        refresh_quotes(s)
    if s.touched & _QUOTE_TOUCHED:
        take_quote(s)
    compose(s, ladder, overflow, gaps, row, levels)
    if s.machine[SYNCED] == 1 and s.dirty[0] + s.dirty[1] > 0:
        if levels > 0:
            at = write_depth(s, ladder, bits, overflow, price, quantity, at)
        s.dirty[0] = s.dirty[1] = 0
        move_range(s, ladder, bits, overflow, 0)
        move_range(s, ladder, bits, overflow, 1)
    s.touched = 0
    return at


@njit(cache=True)
def run_rows(
    start: int,
    rows: np.ndarray,
    top: np.ndarray,
    origin: int,
    at: int,
    price: np.ndarray,
    quantity: np.ndarray,
    state: np.ndarray,
    ladder: np.ndarray,
    bits: np.ndarray,
    overflow: np.ndarray,
    orders: np.ndarray,
    buffer: np.ndarray,
    gaps: np.ndarray,
) -> tuple[int, int]:
    """Apply ``rows[start:]`` and write their views.

    Pauses where an array is full: ``state.need`` says which, and the caller resumes at the returned row with a
    larger one. ``origin`` and ``at`` are the depth records at the block's start and in force.

    Returns
    -------
    tuple of int
        The first row not applied, and the depth record in force.
    """
    s = state[0]
    n = len(rows)
    s.need = 0
    for side in range(2):
        if s.ladder_levels[side] + s.overflow_levels[side] + (n - start) + len(buffer) > overflow.shape[1]:
            s.need = _NEED_OVERFLOW
            return start, at
    bid, ask, bid_quantity, ask_quantity, status = s.bid, s.ask, s.bid_quantity, s.ask_quantity, s.status
    for i in range(start, n):
        row = rows[i]
        kind, flags = row.kind, row.flags
        if kind == s.mode_kind and s.mode == _APPLY and not flags & _FIRST:
            apply_level(s, ladder, bits, overflow, row)
        else:
            s.need = _needs(s, row, orders, buffer, gaps)
            if s.need != 0:
                return i, at
            if kind in (_DELTA, _SNAPSHOT):
                _take_level_row(s, ladder, bits, overflow, orders, buffer, gaps, row)
            elif kind == _QUOTE:
                _take_quote_row(s, row)
            elif _ORDER_FIRST <= kind <= _ORDER_LAST:
                _take_order_row(s, ladder, bits, overflow, orders, row)
            elif kind == _GAP:
                _take_gap_row(s)
        if flags & _LAST:
            if s.touched != 0 or s.crossed_since >= 0:
                at = _end_message(s, ladder, bits, overflow, buffer, gaps, row, price, quantity, at)
                bid, ask, bid_quantity, ask_quantity, status = s.bid, s.ask, s.bid_quantity, s.ask_quantity, s.status
            s.mode_kind = 0
            s.mode = _DROP
        view = top[i]
        view.bid = bid
        view.ask = ask
        view.bid_quantity = bid_quantity
        view.ask_quantity = ask_quantity
        view.depth = at - origin
        view.status = status
    return n, at
