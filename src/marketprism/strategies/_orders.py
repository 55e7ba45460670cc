"""From wanted quotes to orders: what stays, what moves, what is cancelled, what is sent.

One order a side and level at most: a quote moves by one modification, or by a cancellation whose confirmation is waited
for. No order is sent or moved to where an own order of the other side may stand, counting both ends of every move that
is not confirmed; so own orders never meet, whatever the latency.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from marketprism.backtest import _views as view
from marketprism.backtest.actions import can_change, cancel, forget, modify, submit
from marketprism.core.kernels import inner

__all__ = ["HIGH", "LOW", "work"]

LOW = -(1 << 62)
HIGH = 1 << 62


@inner
def _extents(e: Any, account: Any, state: Any, extents: np.ndarray) -> None:
    """Find the lowest own sell and the highest own buy that may rest: ``extents`` = highest buy, lowest sell."""
    extents[0], extents[1] = LOW, HIGH
    moving_buys = moving_sells = False
    slot = account.first
    while slot >= 0:
        order = view.order(e, slot)
        if order.side > 0:
            extents[0] = max(extents[0], order.tick)
            moving_buys |= order.request == 6
        else:
            extents[1] = min(extents[1], order.tick)
            moving_sells |= order.request == 6
        slot = order.local_next
    if not moving_buys:
        state.buys_high = LOW
    if not moving_sells:
        state.sells_low = HIGH
    extents[0] = max(extents[0], state.buys_high)
    extents[1] = min(extents[1], state.sells_low)


@inner
def _clear_of(side: int, tick: int, extents: np.ndarray) -> bool:
    return bool(tick < extents[1]) if side > 0 else bool(tick > extents[0])


@inner
def _note(side: int, tick: int, extents: np.ndarray) -> None:
    if side > 0:
        extents[0] = max(extents[0], tick)
    else:
        extents[1] = min(extents[1], tick)


@inner
def _nearest(tick: int, ticks: np.ndarray, sizes: np.ndarray, taken: np.ndarray, levels: int, within: int) -> int:
    """Return the wanted level nearest to a tick that no order serves yet; -1: none within reach."""
    found, best = -1, within
    for level in range(levels):
        away = abs(ticks[level] - tick)
        if not taken[level] and sizes[level] > 0.0 and away <= best and (found < 0 or away < best):
            found, best = level, away
    return found


@inner
def _keep(e: Any, plan: Any, slot: int, size: float, lot: float) -> None:
    """Leave a quote where it is; renew an old one, cut one that is too large."""
    order = view.order(e, slot)
    if not can_change(order):
        return
    if plan.refresh > 0 and view.clock(e).now - order.sent_ts >= plan.refresh:
        cancel(e, slot)
    elif order.known_leaves > size + 0.5 * lot:
        if view.clock(e).strict:
            modify(e, slot, order.tick, order.quantity - order.known_leaves + size)
        else:
            cancel(e, slot)


@inner
def _move(e: Any, plan: Any, state: Any, slot: int, tick: int, size: float, extents: np.ndarray) -> bool:
    """Move a quote; False: it has to be cancelled instead."""
    order = view.order(e, slot)
    side, old = order.side, order.tick
    if plan.by_cancel or not _clear_of(side, tick, extents):
        return False
    if not modify(e, slot, tick, order.quantity - order.known_leaves + size):
        return False
    _note(side, tick, extents)
    if side > 0:
        state.buys_high = max(state.buys_high, old, tick)
    else:
        state.sells_low = min(state.sells_low, old, tick)
    return True


@inner
def work(
    e: Any, lane: int, index: int, plan: Any, state: Any, ticks: np.ndarray, sizes: np.ndarray, scratch: np.ndarray
) -> None:
    """Bring the orders of one account to what is wanted; ``scratch`` is integers of shape (4, levels and more)."""
    forget(e, lane, index)
    account = view.account(e, index * view.clock(e).lanes + lane)
    market = view.market(e, index)
    taken, extents, count = scratch[:2], scratch[2], scratch[3]
    taken[:] = 0
    count[:] = 0
    _extents(e, account, state, extents)
    slot = account.first
    while slot >= 0:
        order = view.order(e, slot)
        at = 0 if order.side > 0 else 1
        count[at] += 1
        if order.request != 4:
            level = _nearest(order.tick, ticks[at], sizes[at], taken[at], plan.levels, plan.requote_ticks)
            if level >= 0:
                taken[at, level] = 1 + slot
                _keep(e, plan, slot, sizes[at, level], market.lot_size)
        slot = order.local_next
    slot = account.first
    while slot >= 0:
        order = view.order(e, slot)
        following = order.local_next
        at = 0 if order.side > 0 else 1
        serves = False
        for level in range(plan.levels):
            serves |= taken[at, level] == 1 + slot
        if not serves and order.request != 4:
            level = _nearest(order.tick, ticks[at], sizes[at], taken[at], plan.levels, HIGH)
            if level >= 0:
                taken[at, level] = 1 + slot
            if can_change(order) and (
                level < 0 or not _move(e, plan, state, slot, ticks[at, level], sizes[at, level], extents)
            ):
                cancel(e, slot)
        slot = following
    _send(e, lane, index, plan, ticks, sizes, taken, extents, count)


@inner
def _send(
    e: Any,
    lane: int,
    index: int,
    plan: Any,
    ticks: np.ndarray,
    sizes: np.ndarray,
    taken: np.ndarray,
    extents: np.ndarray,
    count: np.ndarray,
) -> None:
    """Send the quotes that no order serves, as long as there are fewer orders than levels."""
    for at in range(2):
        side = 1 if at == 0 else -1
        for level in range(plan.levels):
            free = not taken[at, level] and sizes[at, level] > 0.0 and count[at] < plan.levels
            if free and _clear_of(side, ticks[at, level], extents):
                submit(e, lane, index, side, ticks[at, level], sizes[at, level], 0, plan.post_only)
                _note(side, ticks[at, level], extents)
                count[at] += 1
