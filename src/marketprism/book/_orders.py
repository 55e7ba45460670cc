"""Resting orders of an L3 stream: an open-addressing map from order id to price, quantity and side.

The map feeds the same ladder as L2 rows: a level's quantity is the sum of its orders, kept as a whole number of lots
so that adding and removing orders in any sequence leaves no rounding behind.
"""

# mypy: disable-error-code="no-any-return, return-value"
# Kernels read records and array items, whose static type is Any.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from marketprism.book._ladder import level_quantity, set_level
from marketprism.book._levels import MAX_PRICE, mark
from marketprism.book._state import ORDER_DTYPE, Count
from marketprism.core.kinds import EventKind

__all__ = ["apply_order", "clear_orders", "grow_orders"]

_ADD, _MODIFY, _DELETE, _EXECUTE = (
    int(EventKind.ORDER_ADD),
    int(EventKind.ORDER_MODIFY),
    int(EventKind.ORDER_DELETE),
    int(EventKind.ORDER_EXECUTE),
)
_UNKNOWN, _DUPLICATE, _BAD = int(Count.UNKNOWN_ORDERS), int(Count.DUPLICATE_ORDERS), int(Count.BAD_ROWS)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True)
def _home(order_id: int, mask: int) -> int:
    return np.int64((np.uint64(order_id) * _GOLDEN) >> np.uint64(32)) & mask


@njit(cache=True)
def _slot_of(orders: np.ndarray, order_id: int) -> int:
    """Return the slot that holds ``order_id``, or the free slot where it belongs."""
    mask = len(orders) - 1
    slot = _home(order_id, mask)
    while orders[slot].side != 0 and orders[slot].id != order_id:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True)
def _put(orders: np.ndarray, slot: int, order_id: int, price: int, quantity: float, side: int) -> None:
    orders[slot].id = order_id
    orders[slot].price = price
    orders[slot].quantity = quantity
    orders[slot].side = side


@njit(cache=True)
def _take_out(s: Any, orders: np.ndarray, slot: int) -> None:
    """Free ``slot`` and close the hole, so that no tombstones pile up."""
    mask = len(orders) - 1
    s.order_count -= 1
    hole = slot
    at = (slot + 1) & mask
    while orders[at].side != 0:
        home = _home(orders[at].id, mask)
        if ((at - home) & mask) >= ((at - hole) & mask):
            _put(orders, hole, orders[at].id, orders[at].price, orders[at].quantity, orders[at].side)
            hole = at
        at = (at + 1) & mask
    orders[hole].side = 0


@njit(cache=True)
def grow_orders(orders: np.ndarray) -> np.ndarray:
    """Return the same orders in a map of twice the capacity."""
    out = np.zeros(2 * len(orders), ORDER_DTYPE)
    for i in range(len(orders)):
        if orders[i].side != 0:
            slot = _slot_of(out, orders[i].id)
            _put(out, slot, orders[i].id, orders[i].price, orders[i].quantity, orders[i].side)
    return out


@njit(cache=True)
def clear_orders(s: Any, orders: np.ndarray) -> None:
    """Forget every order."""
    if s.order_count > 0:
        for i in range(len(orders)):
            orders[i].side = 0
        s.order_count = 0


@njit(cache=True)
def _shift(
    s: Any,
    ladder: np.ndarray,
    bits: np.ndarray,
    overflow: np.ndarray,
    order_side: int,
    price: int,
    quantity: float,
) -> None:
    """Add ``quantity`` (negative: take away) to a level, exactly, in lots."""
    side = 0 if order_side > 0 else 1
    key = price if order_side > 0 else -price
    old = level_quantity(s, ladder, overflow, side, key)
    lots = np.rint(old * s.lot_scale) + np.rint(quantity * s.lot_scale)
    new = lots / s.lot_scale if lots > 0.0 else 0.0
    set_level(s, ladder, bits, overflow, side, key, new)
    if new != old:
        mark(s, side, key)


@njit(cache=True)
def _remove(s: Any, ladder: np.ndarray, bits: np.ndarray, overflow: np.ndarray, orders: np.ndarray, slot: int) -> None:
    _shift(s, ladder, bits, overflow, orders[slot].side, orders[slot].price, -orders[slot].quantity)
    _take_out(s, orders, slot)


@njit(cache=True)
def apply_order(
    s: Any, ladder: np.ndarray, bits: np.ndarray, overflow: np.ndarray, orders: np.ndarray, row: Any
) -> None:
    """Apply one ORDER_* row to the map and the ladder.

    A modification of an unknown order makes it known (and is counted); removing an unknown one changes nothing.
    """
    kind, quantity = row.kind, row.quantity
    if not (0.0 <= quantity < np.inf) or row.price < 0 or row.price > MAX_PRICE:
        s.counters[_BAD] += 1
        return
    slot = _slot_of(orders, row.event_id)
    known = orders[slot].side != 0
    if kind == _EXECUTE and known and quantity < orders[slot].quantity:
        _shift(s, ladder, bits, overflow, orders[slot].side, orders[slot].price, -quantity)
        left = np.rint(orders[slot].quantity * s.lot_scale) - np.rint(quantity * s.lot_scale)
        orders[slot].quantity = left / s.lot_scale
        return
    if kind in (_DELETE, _EXECUTE):
        if known:
            _remove(s, ladder, bits, overflow, orders, slot)
        else:
            s.counters[_UNKNOWN] += 1
        return
    if kind == _ADD and known:
        s.counters[_DUPLICATE] += 1
    if kind == _MODIFY and not known:
        s.counters[_UNKNOWN] += 1
    side = row.side
    if known:
        side = side if side != 0 else orders[slot].side
        _remove(s, ladder, bits, overflow, orders, slot)
    if quantity > 0.0 and row.price > 0 and side != 0:
        _put(orders, _slot_of(orders, row.event_id), row.event_id, row.price, quantity, side)
        s.order_count += 1
        _shift(s, ladder, bits, overflow, side, row.price, quantity)
