"""Queue position: what a trade and a change of the level's quantity do to the quantity ahead."""

from __future__ import annotations

import math
from typing import Any

from marketprism.backtest import _views as view
from marketprism.core.kernels import inlined, inner

__all__ = ["after_depth", "after_trade", "is_front", "move_queue"]


@inner
def _power(x: float, n: float) -> float:
    """Return ``x ** n``; the usual exponents cost a call of the library's power otherwise."""
    if n == 2.0:
        return x * x
    if n == 1.0:
        return x
    return float(x**n)


@inner
def _share_behind(model: int, n: float, front: float, back: float) -> float:
    if model == 1:
        top = math.log(1.0 + back)
        bottom = top + math.log(1.0 + front)
    elif model == 2:
        top = math.log(1.0 + back)
        bottom = math.log(1.0 + (back + front))
    elif model == 3:
        top = _power(back, n)
        bottom = top + _power(front, n)
    elif model == 4:
        top = _power(back, n)
        bottom = _power(back + front, n)
    else:
        return 1.0 - _power(front / (front + back), n) if front + back != 0.0 else math.nan
    if bottom == 0.0:
        return math.nan if top == 0.0 or math.isnan(top) else 1.0
    return top / bottom


@inner
def after_trade(order: Any, quantity: float) -> None:
    """Take a trade at the order's price: ``quantity`` is gone from the front of the queue."""
    order.front -= quantity
    order.traded += quantity


@inlined
def after_depth(order: Any, model: int, n: float, before: float, after: float) -> None:
    """Take a change of the level's quantity from ``before`` to ``after``."""
    if model == 0:
        order.front = _least(order.front, after)
        return
    change = before - after - order.traded
    order.traded = 0.0
    if change < 0.0:
        order.front = _least(order.front, after)
        return
    front = order.front
    back = before - front
    behind = _share_behind(model, n, front, back)
    if math.isinf(behind):
        behind = 1.0
    estimate = front - (1.0 - behind) * change + _least(back - behind * change, 0.0)
    order.front = _least(estimate, after)


@inner
def move_queue(e: Any, slot: int, model: int, n: float, before: float, after: float) -> None:
    """Move a queue of own orders, from ``slot`` on, after a change of the level's quantity.

    Orders of several lanes often stand at the same place: what holds for one holds for the next like it.
    """
    front = traded = math.nan
    moved = left = 0.0
    while slot >= 0:
        order = view.order(e, slot)
        if order.front == front and order.traded == traded:
            order.front = moved
            order.traded = left
        else:
            front = order.front
            traded = order.traded
            after_depth(order, model, n, before, after)
            moved = order.front
            left = order.traded
        slot = order.next


@inner
def _least(a: float, b: float) -> float:
    """Return the smaller number; a NaN yields to the other."""
    if math.isnan(a):
        return b
    if math.isnan(b):
        return a
    return min(a, b)


@inner
def is_front(front: float, lot: float) -> bool:
    """Return whether at least one lot, rounded half away from zero, was traded beyond the queue ahead."""
    return front / lot <= -0.5
