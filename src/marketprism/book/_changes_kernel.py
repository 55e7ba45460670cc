"""The message loop of :class:`~marketprism.book.changes.BookChanges`: what each message really changed."""

# mypy: disable-error-code="no-any-return, return-value"
# Kernels read records and array items, whose static type is Any.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from marketprism.book._kernel import run_rows
from marketprism.book._ladder import best_key, level_quantity, read_depth
from marketprism.book._orders import _slot_of
from marketprism.book._state import NO_KEY, Count, Need
from marketprism.book.views import ViewStatus
from marketprism.core.kinds import EventKind, Flag

__all__ = ["CHANGE_DTYPE", "run_messages"]

CHANGE_DTYPE = np.dtype(
    [
        ("row", np.int64),  # last row of the message
        ("tick", np.int64),
        ("quantity", np.float64),  # base units, 0: the level is gone
        ("change", np.uint8),  # Change
    ],
    align=True,
)

TOUCH_DTYPE = np.dtype([("key", np.int64), ("before", np.float64), ("side", np.int64)], align=True)

_SNAPSHOT, _DELTA = int(EventKind.BOOK_SNAPSHOT), int(EventKind.BOOK_DELTA)
_ORDER_FIRST, _ORDER_LAST = int(EventKind.ORDER_ADD), int(EventKind.ORDER_EXECUTE)
_LAST = int(Flag.LAST)
_SYNCED, _HAS_BID, _HAS_ASK = int(ViewStatus.SYNCED), int(ViewStatus.HAS_BID), int(ViewStatus.HAS_ASK)
_APPLIED = int(Count.APPLIED)
_BID, _ASK, _CLEAR, _LOST = 1, 2, 3, 4
_NEED_OVERFLOW, _NEED_BUFFER, _NEED_GAPS, _NEED_ORDERS = (
    int(Need.OVERFLOW),
    int(Need.BUFFER),
    int(Need.GAPS),
    int(Need.ORDERS),
)
_NEED_OUT = -1


@njit(cache=True)
def _emit(out: np.ndarray, n: int, row: int, side: int, tick: int, quantity: float) -> int:
    out[n].row = row
    out[n].tick = tick
    out[n].quantity = quantity
    out[n].change = _BID if side == 0 else _ASK
    return n + 1


@njit(cache=True)
def _mark(out: np.ndarray, n: int, row: int, change: int) -> int:
    out[n].row = row
    out[n].tick = 0
    out[n].quantity = 0.0
    out[n].change = change
    return n + 1


@njit(cache=True)
def _window(
    s: Any, ladder: np.ndarray, bits: np.ndarray, overflow: np.ndarray, side: int, levels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best ``levels`` of a side, all for 0: ticks and quantities; of a level-1 book its quote."""
    if s.joined == 0:
        has = s.status & (_HAS_BID if side == 0 else _HAS_ASK)
        price, quantity = np.zeros(1 if has else 0, np.int64), np.zeros(1 if has else 0)
        if has:
            price[0] = s.bid if side == 0 else s.ask
            quantity[0] = s.bid_quantity if side == 0 else s.ask_quantity
        return price, quantity
    held = s.ladder_levels[side] + s.overflow_levels[side]
    size = held if levels == 0 else min(levels, held)
    price, quantity = np.empty(size, np.int64), np.empty(size)
    read_depth(s, ladder, bits, overflow, side, price, quantity)
    return price, quantity


@njit(cache=True)
def _difference(
    out: np.ndarray,
    n: int,
    row: int,
    side: int,
    old: tuple[np.ndarray, np.ndarray],
    new: tuple[np.ndarray, np.ndarray],
    removals: bool,
) -> int:
    """Emit the levels that went (``removals``), or those that came or changed; both windows best first."""
    sign = 1 if side == 0 else -1
    i = j = 0
    while i < len(old[0]) or j < len(new[0]):
        a = sign * old[0][i] if i < len(old[0]) else NO_KEY
        b = sign * new[0][j] if j < len(new[0]) else NO_KEY
        if a > b:
            if removals:
                n = _emit(out, n, row, side, old[0][i], 0.0)
            i += 1
        elif a < b:
            if not removals:
                n = _emit(out, n, row, side, new[0][j], new[1][j])
            j += 1
        else:
            if not removals and old[1][i] != new[1][j]:
                n = _emit(out, n, row, side, new[0][j], new[1][j])
            i += 1
            j += 1
    return n


@njit(cache=True)
def _crossed(s: Any, overflow: np.ndarray) -> bool:
    """Return whether the best quotes are crossed or locked."""
    if s.joined == 0:
        both = _HAS_BID | _HAS_ASK
        return (s.status & both) == both and s.bid >= s.ask
    bid, ask = best_key(s, overflow, 0), best_key(s, overflow, 1)
    return NO_KEY not in (bid, ask) and bid >= -ask


@njit(cache=True)
def _touch(
    touched: np.ndarray, n: int, s: Any, ladder: np.ndarray, overflow: np.ndarray, order_side: int, price: int
) -> int:
    side = 0 if order_side > 0 else 1
    key = price if side == 0 else -price
    touched[n].side = side
    touched[n].key = key
    touched[n].before = level_quantity(s, ladder, overflow, side, key)
    return n + 1


@njit(cache=True)
def _touch_all(
    touched: np.ndarray,
    s: Any,
    ladder: np.ndarray,
    overflow: np.ndarray,
    orders: np.ndarray,
    rows: np.ndarray,
    first: int,
    end: int,
) -> int:
    """List the levels that a message's rows may change, with what they hold before it."""
    n = 0
    for i in range(first, end):
        row = rows[i]
        side, there = row.side, False
        if _ORDER_FIRST <= row.kind <= _ORDER_LAST:
            order = orders[_slot_of(orders, row.event_id)]
            if order.side != 0:
                n = _touch(touched, n, s, ladder, overflow, order.side, order.price)
                there = side in (0, order.side) and row.price == order.price
                side = side if side != 0 else order.side
        elif row.kind != _DELTA:
            continue
        if side != 0 and row.price > 0 and not there:
            n = _touch(touched, n, s, ladder, overflow, side, row.price)
    return n


@njit(cache=True)
def _tell_touched(
    out: np.ndarray, n: int, row: int, s: Any, ladder: np.ndarray, overflow: np.ndarray, touched: np.ndarray, count: int
) -> int:
    """Emit what the touched levels hold now, those that went first."""
    for removals in (True, False):
        for i in range(count):
            level = touched[i]
            now = level_quantity(s, ladder, overflow, level.side, level.key)
            if (now == 0.0) == removals and (now > 0.0 or level.before > 0.0):
                tick = level.key if level.side == 0 else -level.key
                n = _emit(out, n, row, level.side, tick, now)
    return n


@njit(cache=True)
def _needs(
    s: Any,
    rows: np.ndarray,
    first: int,
    end: int,
    overflow: np.ndarray,
    orders: np.ndarray,
    buffer: np.ndarray,
    gaps: np.ndarray,
) -> int:
    """Return which array must grow before a message can be applied without a pause, 0 for none."""
    kind = rows[first].kind
    for side in range(2):
        if s.ladder_levels[side] + s.overflow_levels[side] + (end - first) + len(buffer) > overflow.shape[1]:
            return _NEED_OVERFLOW
    if s.gap_count + 4 > len(gaps):
        return _NEED_GAPS
    if kind == _DELTA and s.buffer_end + (end - first) > len(buffer) and len(buffer) < s.buffer_limit:
        return _NEED_BUFFER
    if 2 * (s.order_count + 1 + end - first) > len(orders):
        return _NEED_ORDERS
    return 0


@njit(cache=True)
def run_messages(
    start: int,
    rows: np.ndarray,
    top: np.ndarray,
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
    levels: int,
    out: np.ndarray,
) -> tuple[int, int, int]:
    """Apply whole messages and write what each changed.

    Returns
    -------
    tuple of int
        The first row not applied, the changes written, and what must grow before going on (Need, -1: ``out``).
    """
    s = state[0]
    n = 0
    size = len(rows)
    touched = np.empty(64, TOUCH_DTYPE)
    while start < size:
        end = start
        while end < size and not rows[end].flags & _LAST:
            end += 1
        end = min(end + 1, size)
        last = end - 1
        kind = rows[start].kind
        held = s.ladder_levels[0] + s.ladder_levels[1] + s.overflow_levels[0] + s.overflow_levels[1]
        if n + 2 * held + 2 * (end - start) + (s.buffer_end - s.buffer_start) + 8 > len(out):
            return start, n, _NEED_OUT
        need = _needs(s, rows, start, end, overflow, orders, buffer, gaps)
        if need != 0:
            return start, n, need
        live, crossed, joined, applied = s.status & _SYNCED, _crossed(s, overflow), s.joined, s.counters[_APPLIED]
        whole = levels > 0 or kind == _SNAPSHOT or s.joined == 0
        if 2 * (end - start) > len(touched):
            touched = np.empty(4 * (end - start), TOUCH_DTYPE)
        count = 0
        if live and whole:
            old_bids = _window(s, ladder, bits, overflow, 0, levels)
            old_asks = _window(s, ladder, bits, overflow, 1, levels)
        elif live:
            count = _touch_all(touched, s, ladder, overflow, orders, rows, start, end)
        run_rows(start, rows[:end], top, at, at, price, quantity, state, ladder, bits, overflow, orders, buffer, gaps)
        start = end
        if not s.status & _SYNCED:
            if live:
                n = _mark(out, n, last, _LOST)
            continue
        if not live or joined != s.joined:
            n = _mark(out, n, last, _CLEAR)
            nothing = (np.empty(0, np.int64), np.empty(0))
            for side in range(2):
                n = _difference(out, n, last, side, nothing, _window(s, ladder, bits, overflow, side, levels), False)
        elif whole:
            bids = _window(s, ladder, bits, overflow, 0, levels)
            asks = _window(s, ladder, bits, overflow, 1, levels)
            for removals in (True, False):
                n = _difference(out, n, last, 0, old_bids, bids, removals)
                n = _difference(out, n, last, 1, old_asks, asks, removals)
        elif s.counters[_APPLIED] != applied:
            n = _tell_touched(out, n, last, s, ladder, overflow, touched, count)
        if crossed and not _crossed(s, overflow):
            for side in range(2):
                ticks, held_there = _window(s, ladder, bits, overflow, side, 1)
                if len(ticks):
                    n = _emit(out, n, last, side, ticks[0], held_there[0])
    return start, n, 0
