"""How time passes: steps of the clock, each market's exchange first and its local side after it."""

from __future__ import annotations

from typing import Any

from marketprism.backtest import _calls as call
from marketprism.backtest import _views as view
from marketprism.backtest._layout import NEVER
from marketprism.backtest._local import next_feed
from marketprism.backtest._rules import rule_of
from marketprism.core.kernels import inner

__all__ = ["step", "step_to_feed"]

_NEVER = int(NEVER)


@inner
def _start(e: Any) -> None:
    """Set the clock to the first time there is."""
    clock = view.clock(e)
    if clock.started:
        return
    clock.started = 1
    earliest = _NEVER
    for index in range(clock.markets):
        market = view.market(e, index)
        earliest = min(earliest, next_feed(e, index))
        for at in range(market.begin, market.end):
            if view.event(e, at).kind & 64:
                earliest = min(earliest, view.event(e, at).exchange_ts)
                break
    clock.now = earliest


@inner
def _run(e: Any, until: int) -> bool:
    """Let all markets do what is due; False: a pool or the log must grow, and the step goes on after it."""
    clock = view.clock(e)
    if clock.strict:
        for index in range(clock.markets):
            if not call.exchange(e, index, until):
                clock.pending = until
                return False
        if e.log_size - clock.logged < e.messages_size - clock.messages_free + 4 * clock.lanes:
            clock.pending = until
            return False
        clock.pending = 0
        for index in range(clock.markets):
            call.local(e, index, until)
        return True
    for index in range(clock.markets):
        call.exchange(e, index, until)
        call.local(e, index, until)
    return True


@inner
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
        call.watch(e)
    return 1


@inner
def _all_read(e: Any) -> bool:
    for index in range(view.clock(e).markets):
        market = view.market(e, index)
        if market.exchange_at < market.end or market.local_at < market.end:
            return False
    return True


@inner
def _idle(e: Any) -> bool:
    for index in range(view.clock(e).markets):
        market = view.market(e, index)
        if market.request_ts != _NEVER or market.response_ts != _NEVER:
            return False
    return True


@inner
def _short(e: Any) -> bool:
    """Return whether a pool or the log may run out before the next stop."""
    clock = view.clock(e)
    active = e.orders_size - clock.orders_free
    return bool(
        clock.orders_free < 64 * clock.lanes
        or clock.messages_free < 2 * active + 128 * clock.lanes
        or e.log_size - clock.logged < 4 * active + 256 * clock.lanes
    )


@inner
def step(e: Any, duration: int) -> int:
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


@inner
def _next_at_exchange(e: Any, market: Any) -> int:
    """Return when the exchange has something to do next."""
    at = market.exchange_at
    while at < market.end and not view.event(e, at).kind & 64:
        at += 1
    return int(min(market.request_ts, view.event(e, at).exchange_ts if at < market.end else _NEVER))


@inner
def _first_response(e: Any, until: int) -> int:
    """Let the exchanges work until a response is due or ``until`` is reached; return the earlier of the two.

    -1: a pool must grow first.
    """
    strict = view.clock(e).strict
    while True:
        following = _NEVER
        for index in range(view.clock(e).markets):
            market = view.market(e, index)
            until = min(until, market.response_ts)
            busy = market.buys + market.sells > 0 or market.request_ts != _NEVER
            if busy or (strict and rule_of(e, index).margined):
                following = min(following, _next_at_exchange(e, market))
        if following > until:
            return until
        for index in range(view.clock(e).markets):
            if not call.exchange(e, index, following):
                return -1


@inner
def step_to_feed(e: Any, timeout: int, responses: bool) -> int:
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
