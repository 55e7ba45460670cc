"""What a strategy can do and see, as compiled functions that plain Python calls too."""

from __future__ import annotations

from typing import Any

from numba import njit

from marketprism.backtest import _views as view
from marketprism.backtest._exchange import run_exchange
from marketprism.backtest._layout import NEVER
from marketprism.backtest._local import next_feed, run_local
from marketprism.backtest._messages import drop_reference, new_message, new_order, send_request, send_response
from marketprism.backtest._recorded import recorded_entry
from marketprism.backtest._strict import run_strict
from marketprism.backtest.latency import entry_latency

__all__ = ["advance", "advance_to_feed", "can_change", "cancel", "forget", "modify", "submit", "submit_at"]

_NEVER = int(NEVER)
_OFF_GRID = -(1 << 40)
"""Tick of a price off the grid."""


@njit(cache=True)
def _start(e: Any) -> None:
    """Set the clock to the first time there is."""
    clock = view.clock(e)
    if clock.started:
        return
    clock.started = 1
    earliest = _NEVER
    for index in range(clock.markets):
        market = view.markets(e)[index]
        earliest = min(earliest, next_feed(e, index))
        for at in range(market.begin, market.end):
            if view.events(e)[at].kind & 64:
                earliest = min(earliest, view.events(e)[at].exchange_ts)
                break
    clock.now = earliest


@njit(cache=True)
def _run(e: Any, until: int) -> bool:
    """Let all markets do what is due; False: a pool or the log must grow, and the step goes on after it."""
    clock = view.clock(e)
    if clock.strict:
        for index in range(clock.markets):
            if not run_strict(e, index, until):
                clock.pending = until
                return False
        if len(view.log(e)) - clock.logged < len(view.messages(e)) - clock.messages_free + 4 * clock.lanes:
            clock.pending = until
            return False
        clock.pending = 0
        for index in range(clock.markets):
            run_local(e, index, until)
        return True
    for index in range(clock.markets):
        run_exchange(e, index, until)
        run_local(e, index, until)
    return True


@njit(cache=True)
def _over(e: Any) -> bool:
    for index in range(view.clock(e).markets):
        market = view.markets(e)[index]
        if market.exchange_at < market.end or market.local_at < market.end:
            return False
        if market.request_ts != _NEVER or market.response_ts != _NEVER:
            return False
    return True


@njit(cache=True)
def _short(e: Any) -> bool:
    """Return whether a pool or the log may run out before the next stop."""
    clock = view.clock(e)
    active = len(view.orders(e)) - clock.orders_free
    return bool(
        clock.orders_free < 64 * clock.lanes
        or clock.messages_free < 2 * active + 128 * clock.lanes
        or len(view.log(e)) - clock.logged < 4 * active + 256 * clock.lanes
    )


@njit(cache=True)
def advance(e: Any, duration: int) -> int:
    """Let ``duration`` ns pass, everything at the last of them included; return a Wake."""
    _start(e)
    if _short(e):
        return 2
    until = view.clock(e).now + duration
    if view.clock(e).pending:
        until = view.clock(e).pending
    if not _run(e, until):
        return 2
    if _over(e):
        return 0
    view.clock(e).now = until
    return 1


@njit(cache=True)
def _next_at_exchange(e: Any, market: Any) -> int:
    """Return when the exchange has something to do next."""
    at = market.exchange_at
    while at < market.end and not view.events(e)[at].kind & 64:
        at += 1
    return int(min(market.request_ts, view.events(e)[at].exchange_ts if at < market.end else _NEVER))


@njit(cache=True)
def _first_response(e: Any, until: int) -> int:
    """Let the exchanges work until a response is due or ``until`` is reached; return the earlier of the two."""
    while True:
        following = _NEVER
        for index in range(view.clock(e).markets):
            market = view.markets(e)[index]
            until = min(until, market.response_ts)
            if market.buys + market.sells > 0 or market.request_ts != _NEVER:
                following = min(following, _next_at_exchange(e, market))
        if following > until:
            return until
        for index in range(view.clock(e).markets):
            run_exchange(e, index, following)


@njit(cache=True)
def advance_to_feed(e: Any, timeout: int, responses: bool = False) -> int:
    """Go on to the next feed event of any market, all events of its time included; return a Wake.

    With ``responses``, a response to any request stops it as well.
    """
    _start(e)
    if _short(e):
        return 2
    until = view.clock(e).now + timeout if timeout < _NEVER - view.clock(e).now else _NEVER - 1
    for index in range(view.clock(e).markets):
        until = min(until, next_feed(e, index))
    if responses and not view.clock(e).strict:
        until = _first_response(e, until)
    if view.clock(e).pending:
        until = view.clock(e).pending
    if not _run(e, until):
        return 2
    if _over(e):
        return 0
    view.clock(e).now = until
    return 1


@njit(cache=True)
def submit(e: Any, lane: int, index: int, side: int, tick: int, quantity: float, kind: int, time_in_force: int) -> int:
    """Send a new order; return its handle, -1 where the pool is empty."""
    clock = view.clock(e)
    slot = new_order(view.orders(e), clock)
    if slot < 0:
        return -1
    market = view.markets(e)[index]
    which = index * clock.lanes + lane
    account = view.accounts(e)[which]
    order = view.orders(e)[slot]
    order.id = clock.next_id
    clock.next_id += 1
    order.tick = tick
    order.quantity = quantity
    order.leaves = quantity
    order.known_leaves = quantity
    order.sent_ts = clock.now
    order.known_ts = 0
    order.executed = 0.0
    order.executed_tick = 0
    order.account = which
    order.market = index
    order.side = side
    order.kind = kind
    order.time_in_force = time_in_force
    order.status = 0
    order.request = 1
    order.resting = 0
    order.maker = 0
    order.references = 1
    order.local_next = -1
    order.local_previous = account.last
    if account.last >= 0:
        view.orders(e)[account.last].local_next = slot
    else:
        account.first = slot
    account.last = slot
    account.active += 1
    account.orders += 1
    _request(e, market, account, slot, 1)
    return int(slot)


@njit(cache=True)
def _request(e: Any, market: Any, account: Any, slot: int, request: int) -> int:
    clock = view.clock(e)
    order = view.orders(e)[slot]
    at = new_message(view.messages(e), clock)
    if at < 0:
        return -1
    message = view.messages(e)[at]
    message.order = slot
    message.sent_ts = order.sent_ts
    message.exchange_ts = 0
    message.tick = order.tick
    message.quantity = order.quantity
    message.leaves = order.known_leaves
    message.executed = 0.0
    message.executed_tick = 0
    message.status = order.status
    message.maker = 0
    message.reason = 0
    message.fee = 0.0
    order.references += 1
    latency = market.entry_latency
    if clock.strict:
        latency = entry_latency(e, order.market, order.account, clock.now, request)
    elif market.delays_size:
        latency = recorded_entry(e, market, clock.now)
    if latency < 0:
        message.request = 7
        message.ts = clock.now - latency
        send_response(view.messages(e), account, market, at, clock.strict != 0)
    else:
        message.request = request
        message.ts = clock.now + latency
        send_request(view.messages(e), account, market, at, clock.strict != 0)
    return int(at)


@njit(cache=True)
def cancel(e: Any, slot: int) -> bool:
    """Ask for an order's cancellation; False where a request is in flight or the order is done.

    In strict mode an order may be cancelled before its acknowledgement is heard; the cancellation can come first.
    """
    order = view.orders(e)[slot]
    clock = view.clock(e)
    if clock.strict:
        done = 2 <= order.status <= 4 or order.status == 7
        if done or order.request > 1 or (order.request == 1 and order.sent_ts == clock.now):
            return False
    elif not can_change(order):
        return False
    order.request = 4
    order.sent_ts = clock.now
    account = view.accounts(e)[order.account]
    account.orders += 1
    _request(e, view.markets(e)[order.market], account, slot, 4)
    return True


@njit(cache=True)
def forget(e: Any, lane: int, index: int) -> None:
    """Forget the orders that are done."""
    clock = view.clock(e)
    account = view.accounts(e)[index * clock.lanes + lane]
    slot = account.first
    while slot >= 0:
        order = view.orders(e)[slot]
        following = order.local_next
        if 2 <= order.status <= 4 or order.status == 7:
            if order.local_previous >= 0:
                view.orders(e)[order.local_previous].local_next = order.local_next
            else:
                account.first = order.local_next
            if order.local_next >= 0:
                view.orders(e)[order.local_next].local_previous = order.local_previous
            else:
                account.last = order.local_previous
            account.active -= 1
            drop_reference(view.orders(e), clock, slot)
        slot = following


@njit(cache=True)
def can_change(order: Any) -> bool:
    """Return whether an order is known to rest and no request about it is in flight."""
    return bool(order.request == 0 and order.status in (1, 5))


@njit(cache=True)
def modify(e: Any, slot: int, tick: int, quantity: float) -> bool:
    """Ask for another price or total quantity of a resting order; False where it cannot be changed.

    Less at the same price keeps the place in the queue; more, or another price, goes to the end. A total not above
    what was executed cancels the rest.
    """
    order, clock = view.orders(e)[slot], view.clock(e)
    if not can_change(order):
        return False
    order.request = 6
    order.sent_ts = clock.now
    account = view.accounts(e)[order.account]
    account.orders += 1
    at = _request(e, view.markets(e)[order.market], account, slot, 6)
    if not clock.strict:
        order.tick = tick
        order.quantity = quantity
    if at >= 0:
        view.messages(e)[at].tick = tick
        view.messages(e)[at].quantity = quantity
    return bool(at >= 0)


@njit(cache=True)
def submit_at(
    e: Any, lane: int, index: int, side: int, price: float, quantity: float, kind: int, time_in_force: int
) -> int:
    """Send a new order at a price; in strict mode one that is no multiple of the tick is rejected by the exchange."""
    ticks = price / view.markets(e)[index].tick_size
    tick = round(ticks)
    if view.clock(e).strict and abs(ticks - tick) > 1e-6 * max(1.0, abs(ticks) * 1e-6):
        tick = _OFF_GRID
    return int(submit(e, lane, index, side, tick, quantity, kind, time_in_force))
