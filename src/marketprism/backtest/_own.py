"""Own orders at the exchange: queues by tick, and answers to the local side."""

from __future__ import annotations

from typing import Any

from marketprism.backtest import _views as view
from marketprism.backtest._messages import drop_reference, new_message, send_response
from marketprism.backtest._recorded import recorded_response
from marketprism.core.kernels import inlined, inner

__all__ = ["answer", "append", "enqueue", "home", "inside", "place", "unqueue"]


@inner
def inside(market: Any, tick: int) -> int:
    """Return the nearest tick of the ladder."""
    return int(min(max(tick, market.low), market.low + market.size - 1))


@inner
def home(market: Any, side: int, tick: int) -> int:
    """Return the index of the level where an own order is kept: beyond the ladder, it is the ladder's edge.

    The ladder is wider than the data, so there is never a market quantity at its edges.
    """
    at = 2 * market.offset + inside(market, tick) - market.low
    return int(at if side > 0 else at + market.size)


@inner
def place(market: Any, side: int, tick: int) -> int:
    """Return the index of a level in the ladder arrays; -1 outside of the ladder."""
    at = tick - market.low
    if at < 0 or at >= market.size:
        return -1
    return int(2 * market.offset + (at if side > 0 else market.size + at))


@inner
def append(e: Any, at: int, slot: int) -> None:
    """Put an order, or a shadow, at the end of a level's list; the list's first order knows its last one."""
    heads, order = view.heads(e), view.order(e, slot)
    order.next = -1
    head = heads[at]
    if head < 0:
        heads[at] = slot
        order.previous = slot
        return
    last = view.order(e, head).previous
    view.order(e, last).next = slot
    order.previous = last
    view.order(e, head).previous = slot


@inner
def _remove(e: Any, at: int, slot: int) -> None:
    """Take an order out of a level's list."""
    heads, order = view.heads(e), view.order(e, slot)
    head = heads[at]
    if slot == head:
        heads[at] = order.next
    else:
        view.order(e, order.previous).next = order.next
    if order.next >= 0:
        view.order(e, order.next).previous = order.previous
    elif slot != head:
        view.order(e, head).previous = order.previous


@inlined
def enqueue(e: Any, market: Any, slot: int) -> None:
    """Put an order at the end of the own orders at its tick."""
    order = view.order(e, slot)
    append(e, home(market, order.side, order.shelf), slot)
    order.resting = 1
    order.references += 1
    tick = inside(market, order.shelf)
    if order.side > 0:
        if market.buys == 0:
            market.own_low_buy = tick
            market.own_high_buy = tick
        market.buys += 1
        market.own_low_buy = min(market.own_low_buy, tick)
        market.own_high_buy = max(market.own_high_buy, tick)
    else:
        if market.sells == 0:
            market.own_low_sell = tick
            market.own_high_sell = tick
        market.sells += 1
        market.own_low_sell = min(market.own_low_sell, tick)
        market.own_high_sell = max(market.own_high_sell, tick)


@inner
def unqueue(e: Any, market: Any, slot: int) -> None:
    """Take an order, or a shadow, out of its queue."""
    order = view.order(e, slot)
    _remove(e, home(market, order.side, order.shelf), slot)
    if order.resting:
        if order.side > 0:
            market.buys -= 1
        else:
            market.sells -= 1
    else:
        market.shadows -= 1
    order.resting = 0
    drop_reference(e, slot)


@inner
def answer(
    e: Any,
    market: Any,
    slot: int,
    ts: int,
    status: int,
    request: int,
    executed: float,
    tick: int,
    maker: int,
    sent: int,
) -> None:
    """Send a response about an order from the exchange at ``ts``."""
    clock = view.clock(e)
    at = new_message(e)
    if at < 0:
        return
    order = view.order(e, slot)
    message = view.message(e, at)
    message.ts = ts + (recorded_response(e, market, ts) if market.delays_size else market.response_latency)
    message.exchange_ts = ts
    message.sent_ts = sent
    message.tick = order.shelf
    message.quantity = order.shelf_quantity
    message.leaves = order.leaves
    message.fill = status in (3, 5)
    if message.fill:
        message.executed = executed
        message.executed_tick = tick
        message.fee = 0.0
    message.order = slot
    message.status = status
    message.request = request
    message.maker = maker
    order.references += 1
    send_response(e, view.account(e, order.account), market, at, clock.strict != 0)
