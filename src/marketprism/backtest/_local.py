"""The local side of a market: the book as it is known here, and responses as they are heard."""

from __future__ import annotations

from typing import Any

import numpy as np

from marketprism.backtest import _views as view
from marketprism.backtest._hear import hear, hear_market
from marketprism.backtest._known import ask_down, ask_gone, bid_gone, bid_up, clear
from marketprism.backtest._layout import NEVER
from marketprism.backtest._messages import drop_reference, pop_response
from marketprism.core.kernels import inlined, inner

__all__ = ["next_feed", "run_local"]

_NEVER = int(NEVER)


@inner
def next_feed(e: Any, index: int) -> int:
    """Return when the next feed event of a market is heard."""
    market = view.market(e, index)
    at = market.local_at
    while at < market.end and not view.event(e, at).kind & 128:
        at += 1
    market.local_at = at
    return view.event(e, at).local_ts if at < market.end else _NEVER


@inlined
def _hear(e: Any, market: Any, account: Any, slot: int) -> None:
    """Take one response in."""
    clock = view.clock(e)
    message = view.message(e, slot)
    order = view.order(e, message.order)
    if clock.strict:
        hear(market, account, message, order)
    elif message.request == 7:
        if message.sent_ts == order.sent_ts:
            if order.request == 1:
                order.status = 2
            order.request = 0
    else:
        order.tick = message.tick
        order.quantity = message.quantity
        order.status = message.status
        order.request = message.request
        order.known_leaves = message.leaves
        order.known_ts = message.exchange_ts
        order.maker = message.maker
        if message.fill:
            order.executed = message.executed
            order.executed_tick = message.executed_tick
            order.filled = 1
            if message.executed > 0.0:
                _book_fill(market, account, order)
        elif order.filled:
            order.executed = 0.0
            order.executed_tick = 0
            order.filled = 0
    if clock.logs:
        _log(e, message, order)
    drop_reference(e, message.order)
    message.next = clock.free_message
    clock.free_message = slot
    clock.messages_free += 1


@inner
def _book_fill(market: Any, account: Any, order: Any) -> None:
    price = order.executed_tick * market.tick_size
    if market.inverse:
        amount = market.multiplier * order.executed / price
        account.cash += amount * order.side
    else:
        amount = market.multiplier * price * order.executed
        account.cash -= amount * order.side
    account.position += order.executed * order.side
    account.fees += amount * (market.maker_fee if order.maker else market.taker_fee)
    account.volume += order.executed
    account.value += amount
    account.trades += 1


@inner
def _log(e: Any, message: Any, order: Any) -> None:
    clock = view.clock(e)
    row = view.row(e, clock.logged)
    row.id = order.id
    row.ts = message.ts
    row.exchange_ts = message.exchange_ts
    row.sent_ts = message.sent_ts
    row.tick = message.tick
    row.quantity = message.quantity
    row.executed = message.executed if message.fill else 0.0
    row.executed_tick = message.executed_tick if message.fill else 0
    row.leaves = message.leaves
    row.account = order.account
    row.market = order.market
    row.side = order.side
    row.status = message.status
    row.request = message.request
    row.maker = message.maker
    row.reason = message.reason
    row.fee = message.fee if message.fill else 0.0
    clock.logged += 1


@inlined
def _hear_all(e: Any, market: Any, first: int, until: int) -> None:
    following = _NEVER
    for which in range(first, first + view.clock(e).lanes):
        account = view.account(e, which)
        while account.response_first >= 0 and view.message(e, account.response_first).ts <= until:
            _hear(e, market, account, pop_response(e, account))
        if account.response_first >= 0:
            following = min(following, view.message(e, account.response_first).ts)
    market.response_ts = following


@inner
def run_local(e: Any, index: int, until: int) -> None:
    """Let the local side of one market hear everything up to and including ``until``."""
    events, known = view.events(e), view.known(e)
    market = view.market(e, index)
    at, end = market.local_at, market.end
    bids = 2 * market.offset - market.low
    asks = bids + market.size
    while at < end:
        event = events[at]
        if not event.kind & 128:
            at += 1
            continue
        if event.local_ts > until:
            break
        at += 1
        kind = event.kind & 63
        tick = np.int64(event.tick)
        if kind > 3:
            if kind <= 6:
                market.trade_ts = event.local_ts
                market.trade_tick = tick
                market.trade_quantity = event.quantity
                market.trade_side = 1 if kind == 4 else (-1 if kind == 5 else 0)
            elif kind <= 9:
                clear(e, market, kind, tick)
            if kind > 8 and view.clock(e).strict:
                hear_market(e, index, kind)
        elif kind == 1:
            known[asks + tick] = event.quantity
            market.known_highest_ask = max(market.known_highest_ask, tick)
            if tick < market.known_ask:
                ask_down(e, market, tick)
        elif kind == 0:
            known[bids + tick] = event.quantity
            market.known_lowest_bid = min(market.known_lowest_bid, tick)
            if tick > market.known_bid:
                bid_up(e, market, tick)
        elif kind == 3:
            known[asks + tick] = event.quantity
            if tick == market.known_ask:
                ask_gone(e, market, tick)
        else:
            known[bids + tick] = event.quantity
            if tick == market.known_bid:
                bid_gone(e, market, tick)
        market.feed_exchange_ts = event.exchange_ts
        market.feed_local_ts = event.local_ts
    market.local_at = at
    if market.response_ts <= until:
        _hear_all(e, market, index * view.clock(e).lanes, until)
