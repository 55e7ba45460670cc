"""Orders, cancellations and modifications leave the local side."""

from __future__ import annotations

from typing import Any

from marketprism.backtest import _views as view
from marketprism.backtest._messages import new_message, new_order, send_request, send_response
from marketprism.backtest._recorded import recorded_entry
from marketprism.backtest.latency import entry_latency
from marketprism.core.kernels import inlined, inner

__all__ = ["can_change", "is_done", "note_order", "send_cancel", "send_modify", "send_order"]


@inner
def is_done(status: int) -> bool:
    """Return whether an order is known to have ended."""
    return 2 <= status <= 4 or status == 7


@inner
def can_change(order: Any) -> bool:
    """Return whether an order is known to rest and no request about it is in flight."""
    return bool(order.request == 0 and order.status in (1, 5))


@inner
def note_order(
    e: Any, lane: int, index: int, side: int, tick: int, quantity: float, kind: int, time_in_force: int
) -> int:
    """Note a new order among those of its account; return its slot, -1 where the pool is empty."""
    clock = view.clock(e)
    slot = new_order(e)
    if slot < 0:
        return -1
    which = index * clock.lanes + lane
    account = view.account(e, which)
    order = view.order(e, slot)
    order.id = clock.next_id
    clock.next_id += 1
    order.tick = tick
    order.quantity = quantity
    order.shelf = tick
    order.shelf_quantity = 0.0
    order.leaves = quantity
    order.known_leaves = quantity
    order.sent_ts = clock.now
    order.known_ts = 0
    if order.filled:
        order.filled = 0
        order.executed = 0.0
        order.executed_tick = 0
    order.account = which
    order.market = index
    order.side = side
    order.kind = kind
    order.time_in_force = time_in_force
    order.status = 0
    order.request = 0
    order.resting = 0
    order.maker = 0
    order.references = 1
    order.local_next = -1
    order.local_previous = account.last
    if account.last >= 0:
        view.order(e, account.last).local_next = slot
    else:
        account.first = slot
    account.last = slot
    account.active += 1
    return int(slot)


@inlined
def _request(e: Any, market: Any, account: Any, slot: int, request: int) -> int:
    clock = view.clock(e)
    order = view.order(e, slot)
    at = new_message(e)
    if at < 0:
        return -1
    message = view.message(e, at)
    message.order = slot
    message.sent_ts = order.sent_ts
    message.exchange_ts = 0
    message.tick = order.tick
    message.quantity = order.quantity
    message.leaves = order.known_leaves
    message.status = order.status
    message.maker = 0
    message.reason = 0
    message.fill = 0
    order.references += 1
    latency = market.entry_latency
    if clock.strict:
        latency = entry_latency(e, order.market, order.account, clock.now, request)
    elif market.delays_size:
        latency = recorded_entry(e, market, clock.now)
    if latency < 0:
        message.request = 7
        message.ts = clock.now - latency
        send_response(e, account, market, at, clock.strict != 0)
    else:
        message.request = request
        message.ts = clock.now + latency
        send_request(e, account, market, at, clock.strict != 0)
    return int(at)


@inner
def send_order(
    e: Any, lane: int, index: int, side: int, tick: int, quantity: float, kind: int, time_in_force: int
) -> int:
    """Send a new order; return its slot, -1 where the pool is empty."""
    slot = note_order(e, lane, index, side, tick, quantity, kind, time_in_force)
    if slot < 0:
        return -1
    account = view.account(e, index * view.clock(e).lanes + lane)
    view.order(e, slot).request = 1
    account.orders += 1
    _request(e, view.market(e, index), account, slot, 1)
    return int(slot)


@inner
def send_cancel(e: Any, slot: int) -> bool:
    """Ask for an order's cancellation; see :func:`~marketprism.backtest.actions.cancel`."""
    order = view.order(e, slot)
    clock = view.clock(e)
    if clock.strict:
        if is_done(order.status) or order.request > 1 or (order.request == 1 and order.sent_ts == clock.now):
            return False
    elif not can_change(order):
        return False
    order.request = 4
    order.sent_ts = clock.now
    account = view.account(e, order.account)
    account.orders += 1
    _request(e, view.market(e, order.market), account, slot, 4)
    return True


@inner
def send_modify(e: Any, slot: int, tick: int, quantity: float) -> bool:
    """Ask for another price or total quantity; see :func:`~marketprism.backtest.actions.modify`."""
    order, clock = view.order(e, slot), view.clock(e)
    if not can_change(order):
        return False
    order.request = 6
    order.sent_ts = clock.now
    account = view.account(e, order.account)
    account.orders += 1
    at = _request(e, view.market(e, order.market), account, slot, 6)
    if not clock.strict:
        order.tick = tick
        order.quantity = quantity
    if at >= 0:
        view.message(e, at).tick = tick
        view.message(e, at).quantity = quantity
    return bool(at >= 0)
