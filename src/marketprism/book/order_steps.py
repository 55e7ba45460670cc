"""What an order-by-order stream says of single orders: who joined which queue, who shrank, left or was executed."""

# mypy: disable-error-code="no-any-return, return-value"
# Kernels read records and array items, whose static type is Any.

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numba import njit

from marketprism.book._levels import MAX_PRICE
from marketprism.book._orders import _put, _slot_of, _take_out, grow_orders
from marketprism.book._state import ORDER_DTYPE
from marketprism.core.errors import DataError
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind
from marketprism.core.rows import ROW_DTYPE

__all__ = ["STEP_DTYPE", "OrderSteps", "Step"]

STEP_DTYPE = np.dtype(
    [
        ("row", np.int64),
        ("tick", np.int64),
        ("quantity", np.float64),  # base units
        ("slot", np.int64),  # number of the order, free again when it is gone
        ("step", np.uint8),  # Step
        ("side", np.int8),
    ],
    align=True,
)

_STATE_DTYPE = np.dtype([("order_count", np.int64), ("slots", np.int64), ("free", np.int64)])
_SNAPSHOT = int(EventKind.BOOK_SNAPSHOT)
_ADD, _MODIFY, _DELETE, _EXECUTE = (
    int(EventKind.ORDER_ADD),
    int(EventKind.ORDER_MODIFY),
    int(EventKind.ORDER_DELETE),
    int(EventKind.ORDER_EXECUTE),
)


class Step(IntEnum):
    """What happened to an order."""

    JOINED = 1
    """It stands at the end of its level's queue, with its quantity."""
    SHRANK = 2
    """It lost this quantity and kept its place."""
    LEFT = 3
    """It went, with all it had."""
    EXECUTED = 4
    """This quantity of it was traded."""


_JOINED, _SHRANK, _LEFT, _EXECUTED = (int(step) for step in Step)


@njit(cache=True)
def _tell(out: np.ndarray, n: int, row: int, step: int, order: Any, quantity: float) -> int:
    side = 1 if order.side > 0 else -1
    out[n].row = row
    out[n].tick = order.price
    out[n].quantity = quantity
    out[n].slot = order.side * side - 1
    out[n].step = step
    out[n].side = side
    return n + 1


@njit(cache=True)
def _release(s: Any, orders: np.ndarray, free: np.ndarray, at: int) -> None:
    free[s.free] = abs(orders[at].side) - 1
    s.free += 1
    _take_out(s, orders, at)


@njit(cache=True)
def _new_slot(s: Any, free: np.ndarray) -> int:
    if s.free > 0:
        s.free -= 1
        return free[s.free]
    s.slots += 1
    return s.slots - 1


@njit(cache=True)
def _take(
    s: Any, orders: np.ndarray, free: np.ndarray, scale: float, row: Any, i: int, near: bool, out: np.ndarray, n: int
) -> int:
    """Take one ORDER row as the book does; return how many steps are told by now."""
    kind, quantity = row.kind, row.quantity
    if not (0.0 <= quantity < np.inf) or row.price < 0 or row.price > MAX_PRICE:
        return n
    at = _slot_of(orders, row.event_id)
    order = orders[at]
    known = order.side != 0
    side = row.side
    if known and kind in (_DELETE, _EXECUTE):
        if kind == _EXECUTE and quantity < order.quantity:
            n = _tell(out, n, i, _EXECUTED, order, quantity)
            order.quantity = (np.rint(order.quantity * scale) - np.rint(quantity * scale)) / scale
            return n
        n = _tell(out, n, i, _EXECUTED if kind == _EXECUTE else _LEFT, order, order.quantity)
        _release(s, orders, free, at)
    elif kind in (_ADD, _MODIFY):
        if known:
            old = 1 if order.side > 0 else -1
            side = side if side != 0 else old
            if kind == _MODIFY and side == old and row.price == order.price and 0.0 < quantity <= order.quantity:
                if quantity < order.quantity:
                    n = _tell(out, n, i, _SHRANK, order, order.quantity - quantity)
                    order.quantity = quantity
                return n
            n = _tell(out, n, i, _LEFT, order, order.quantity)
            _release(s, orders, free, at)
        if quantity > 0.0 and row.price > 0 and side != 0 and near:
            at = _slot_of(orders, row.event_id)
            _put(orders, at, row.event_id, row.price, quantity, side * (_new_slot(s, free) + 1))
            s.order_count += 1
            n = _tell(out, n, i, _JOINED, orders[at], quantity)
    return n


@njit(cache=True)
def _run(
    start: int,
    rows: np.ndarray,
    state: np.ndarray,
    orders: np.ndarray,
    free: np.ndarray,
    scale: float,
    low: int,
    high: int,
    out: np.ndarray,
) -> tuple[int, int]:
    """Take rows until they end or the map is full; return the next row and the steps told."""
    s = state[0]
    n = 0
    for i in range(start, len(rows)):
        row = rows[i]
        if _ADD <= row.kind <= _EXECUTE:
            if 2 * (s.order_count + 1) > len(orders):
                return i, n
            n = _take(s, orders, free, scale, row, i, low <= row.price <= high, out, n)
        elif row.kind == _SNAPSHOT and s.order_count + s.slots > 0:
            orders["side"][:] = 0
            s.order_count = s.slots = s.free = 0
    return len(rows), n


class OrderSteps:
    """Follows the orders of one instrument and tells each step of theirs, as a book applies them.

    A modification that lowers the quantity at the same price keeps the order's place; any other one is a step out and
    a step to the end of a queue. Rows about unknown orders tell nothing. A snapshot of levels forgets all orders.

    Parameters
    ----------
    instrument : Instrument
        ``lot_size`` fixes how exactly quantities are subtracted.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from marketprism.core.rows import empty_rows
    >>> steps = OrderSteps(Instrument(exchange="sim", market_type="spot", symbol="A-B", tick_size=Decimal(1)))
    >>> rows = empty_rows(2)
    >>> rows["kind"], rows["event_id"], rows["side"] = (EventKind.ORDER_ADD, EventKind.ORDER_EXECUTE), 7, (1, 0)
    >>> rows["price"], rows["quantity"] = (99, 0), (5.0, 2.0)
    >>> [(Step(s["step"]).name, int(s["slot"]), int(s["tick"]), float(s["quantity"])) for s in steps.steps(rows)]
    [('JOINED', 0, 99, 5.0), ('EXECUTED', 0, 99, 2.0)]
    """

    def __init__(self, instrument: Instrument) -> None:
        exponent = instrument.lot_size.normalize().as_tuple().exponent
        self._scale = 10.0 ** max(0, -int(exponent))
        self._state = np.zeros(1, _STATE_DTYPE)
        self._orders = np.zeros(64, ORDER_DTYPE)
        self._free = np.zeros(64, np.int64)

    def steps(self, rows: np.ndarray, low: int = 0, high: int = MAX_PRICE) -> np.ndarray:
        """Return the steps of some rows, in their order.

        Parameters
        ----------
        rows : ndarray of ROW_DTYPE, shape (n,)
            Rows of the instrument; those of other kinds are passed over.
        low, high : int
            Orders that join a queue beyond these ticks are not followed.

        Returns
        -------
        ndarray of STEP_DTYPE

        Raises
        ------
        DataError
            The rows have another layout.
        """
        if rows.dtype != ROW_DTYPE:
            raise DataError(f"rows had dtype {rows.dtype}", hint="build rows with marketprism.core.rows.empty_rows")
        rows = np.ascontiguousarray(rows).view(ROW_DTYPE)
        parts, done = [np.zeros(0, STEP_DTYPE)], 0
        while done < len(rows):
            out = np.zeros(2 * (len(rows) - done), STEP_DTYPE)
            done, told = _run(done, rows, self._state, self._orders, self._free, self._scale, low, high, out)
            parts.append(out[:told])
            if done < len(rows):
                self._orders = grow_orders(self._orders)
                self._free = np.append(self._free, np.zeros(len(self._free), np.int64))
        return np.concatenate(parts)
