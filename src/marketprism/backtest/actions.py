"""What a strategy can do and see, as compiled functions that plain Python calls too."""

from __future__ import annotations

from typing import Any

from numba import njit

from marketprism.backtest import _views as view
from marketprism.backtest._exchange import run_exchange
from marketprism.backtest._layout import NEVER
from marketprism.backtest._local import next_feed, run_local
from marketprism.backtest._messages import drop_reference, new_message, new_order, send_request, send_response

__all__ = ["advance", "advance_to_feed", "cancel", "forget", "submit"]

_NEVER = int(NEVER)


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
def _run(e: Any, until: int) -> None:
    for index in range(view.clock(e).markets):
        run_exchange(e, index, until)
        run_local(e, index, until)


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
    _run(e, until)
    if _over(e):
        return 0
    view.clock(e).now = until
    return 1


@njit(cache=True)
def advance_to_feed(e: Any, timeout: int) -> int:
    """Go on to the next feed event of any market, all events of its time included; return a Wake."""
    _start(e)
    if _short(e):
        return 2
    until = view.clock(e).now + timeout if timeout < _NEVER - view.clock(e).now else _NEVER - 1
    for index in range(view.clock(e).markets):
        until = min(until, next_feed(e, index))
    _run(e, until)
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
def _request(e: Any, market: Any, account: Any, slot: int, request: int) -> None:
    clock = view.clock(e)
    order = view.orders(e)[slot]
    at = new_message(view.messages(e), clock)
    if at < 0:
        return
    message = view.messages(e)[at]
    message.order = slot
    message.sent_ts = order.sent_ts
    message.exchange_ts = 0
    message.tick = order.tick
    message.quantity = order.quantity
    message.leaves = order.leaves
    message.executed = 0.0
    message.executed_tick = 0
    message.status = order.status
    message.maker = 0
    order.references += 1
    latency = market.entry_latency
    if latency < 0:
        message.request = 7
        message.ts = clock.now - latency
        send_response(view.messages(e), account, market, at, clock.strict != 0)
    else:
        message.request = request
        message.ts = clock.now + latency
        send_request(view.messages(e), account, market, at, clock.strict != 0)


@njit(cache=True)
def cancel(e: Any, slot: int) -> bool:
    """Ask for an order's cancellation; False where a request is in flight or the order is done."""
    order = view.orders(e)[slot]
    if order.request != 0:
        return False
    clock = view.clock(e)
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
        if 2 <= order.status <= 4:
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
