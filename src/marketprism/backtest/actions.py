"""What a strategy can do and see, as compiled functions that plain Python calls too."""

from __future__ import annotations

from typing import Any

from numba import njit

from marketprism.backtest import _views as view
from marketprism.backtest._exchange import run_exchange
from marketprism.backtest._layout import NEVER
from marketprism.backtest._local import next_feed, run_local
from marketprism.backtest._messages import drop_reference
from marketprism.backtest._risk import checked_order, may_modify, stop_lane, watch
from marketprism.backtest._rules import rules
from marketprism.backtest._send import can_change, is_done, send_cancel, send_modify, send_order
from marketprism.backtest._strict import run_strict

__all__ = ["advance", "advance_to_feed", "can_change", "cancel", "forget", "kill", "modify", "submit", "submit_at"]

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
def _stop(e: Any, until: int) -> int:
    """End a step at ``until``; return a Wake.

    In strict mode what is under way when the data are over is delivered at once, and that is the end: a strategy that
    answers each refusal with another order would never come to one.
    """
    if _all_read(e):
        if view.clock(e).strict and not _run(e, _NEVER - 1):
            return 2
        if _idle(e):
            return 0
    view.clock(e).now = until
    if view.clock(e).limited:
        watch(e)
    return 1


@njit(cache=True)
def _all_read(e: Any) -> bool:
    for index in range(view.clock(e).markets):
        market = view.markets(e)[index]
        if market.exchange_at < market.end or market.local_at < market.end:
            return False
    return True


@njit(cache=True)
def _idle(e: Any) -> bool:
    for index in range(view.clock(e).markets):
        market = view.markets(e)[index]
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
    return int(_stop(e, until))


@njit(cache=True)
def _next_at_exchange(e: Any, market: Any) -> int:
    """Return when the exchange has something to do next."""
    at = market.exchange_at
    while at < market.end and not view.events(e)[at].kind & 64:
        at += 1
    return int(min(market.request_ts, view.events(e)[at].exchange_ts if at < market.end else _NEVER))


@njit(cache=True)
def _first_response(e: Any, until: int) -> int:
    """Let the exchanges work until a response is due or ``until`` is reached; return the earlier of the two.

    -1: a pool must grow first.
    """
    strict = view.clock(e).strict
    while True:
        following = _NEVER
        for index in range(view.clock(e).markets):
            market = view.markets(e)[index]
            until = min(until, market.response_ts)
            busy = market.buys + market.sells > 0 or market.request_ts != _NEVER
            if busy or (strict and rules(e)[index].margined):
                following = min(following, _next_at_exchange(e, market))
        if following > until:
            return until
        for index in range(view.clock(e).markets):
            if not strict:
                run_exchange(e, index, following)
            elif not run_strict(e, index, following):
                return -1


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
    if view.clock(e).pending:
        until = view.clock(e).pending
    elif responses:
        until = _first_response(e, until)
        if until < 0:
            return 2
    if not _run(e, until):
        return 2
    return int(_stop(e, until))


@njit(cache=True)
def submit(e: Any, lane: int, index: int, side: int, tick: int, quantity: float, kind: int, time_in_force: int) -> int:
    """Send a new order; return its handle, -1 where the pool is empty.

    An order that a risk limit refuses never leaves: it is REJECTED at once, and the log says why.
    """
    if view.clock(e).limited:
        return int(checked_order(e, lane, index, side, tick, quantity, kind, time_in_force))
    return int(send_order(e, lane, index, side, tick, quantity, kind, time_in_force))


@njit(cache=True)
def cancel(e: Any, slot: int) -> bool:
    """Ask for an order's cancellation; False where a request is in flight or the order is done.

    In strict mode an order may be cancelled before its acknowledgement is heard; the cancellation can come first.
    """
    return bool(send_cancel(e, slot))


@njit(cache=True)
def forget(e: Any, lane: int, index: int) -> None:
    """Forget the orders that are done."""
    clock = view.clock(e)
    account = view.accounts(e)[index * clock.lanes + lane]
    slot = account.first
    while slot >= 0:
        order = view.orders(e)[slot]
        following = order.local_next
        if is_done(order.status):
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
def modify(e: Any, slot: int, tick: int, quantity: float) -> bool:
    """Ask for another price or total quantity of a resting order; False where it cannot be changed.

    Less at the same price keeps the place in the queue; more, or another price, goes to the end. A total not above
    what was executed cancels the rest.
    """
    if view.clock(e).limited and not may_modify(e, slot, tick, quantity):
        return False
    return bool(send_modify(e, slot, tick, quantity))


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


@njit(cache=True)
def kill(e: Any, lane: int) -> None:
    """Cancel all orders of a lane's agent, in every market, and refuse whatever it sends from now on."""
    view.clock(e).limited = 1
    stop_lane(e, lane)
