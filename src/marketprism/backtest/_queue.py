"""Queue position: what a trade and a change of the level's quantity do to the quantity ahead."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

__all__ = ["after_depth", "after_trade", "is_front"]


@njit(cache=True)
def _share_behind(model: int, n: float, front: float, back: float) -> float:
    if model == 1:
        top = math.log(1.0 + back)
        bottom = top + math.log(1.0 + front)
    elif model == 2:
        top = math.log(1.0 + back)
        bottom = math.log(1.0 + (back + front))
    elif model == 3:
        top = back**n
        bottom = top + front**n
    elif model == 4:
        top = back**n
        bottom = (back + front) ** n
    else:
        return 1.0 - (front / (front + back)) ** n if front + back != 0.0 else math.nan
    if bottom == 0.0:
        return math.nan if top == 0.0 or math.isnan(top) else 1.0
    return top / bottom


@njit(cache=True)
def after_trade(order: Any, quantity: float) -> None:
    """Take a trade at the order's price: ``quantity`` is gone from the front of the queue."""
    order.front -= quantity
    order.traded += quantity


@njit(cache=True)
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


@njit(cache=True)
def _least(a: float, b: float) -> float:
    """Return the smaller number; a NaN yields to the other."""
    if math.isnan(a):
        return b
    if math.isnan(b):
        return a
    return min(a, b)


@njit(cache=True)
def is_front(front: float, lot: float) -> bool:
    """Return whether at least one lot, rounded half away from zero, was traded beyond the queue ahead."""
    return front / lot <= -0.5
