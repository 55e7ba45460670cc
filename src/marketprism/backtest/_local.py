"""The local side of a market: the book as it is known here, and responses as they are heard."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from marketprism.backtest import _views as view
from marketprism.backtest._ladder import next_ask, next_bid, wipe
from marketprism.backtest._layout import NEVER, NO_ASK, NO_BID
from marketprism.backtest._messages import drop_reference, first_response, pop_response

__all__ = ["next_feed", "run_local"]

_NEVER, _NO_BID, _NO_ASK = int(NEVER), int(NO_BID), int(NO_ASK)


@njit(cache=True)
def next_feed(e: Any, index: int) -> int:
    """Return when the next feed event of a market is heard."""
    market = view.markets(e)[index]
    at = market.local_at
    while at < market.end and not view.events(e)[at].kind & 128:
        at += 1
    market.local_at = at
    return view.events(e)[at].local_ts if at < market.end else _NEVER


@njit(cache=True)
def _clear_known(e: Any, market: Any, kind: int, tick: int) -> None:
    bids = 2 * market.offset
    asks = bids + market.size
    high = market.low + market.size - 1
    if kind == 7:
        if market.known_bid != _NO_BID:
            wipe(view.known(e), bids, market.low, max(tick, market.low), market.known_bid)
        market.known_bid = next_bid(view.known(e), bids, market.low, min(tick, high + 1), market.known_lowest_bid)
        if market.known_bid == _NO_BID:
            market.known_lowest_bid = _NO_ASK
    elif kind == 8:
        if market.known_ask != _NO_ASK:
            wipe(view.known(e), asks, market.low, market.known_ask, min(tick, high))
        market.known_ask = next_ask(
            view.known(e), asks, high, market.low, max(tick, market.low - 1), market.known_highest_ask
        )
        if market.known_ask == _NO_ASK:
            market.known_highest_ask = _NO_BID
    else:
        if market.known_lowest_bid != _NO_ASK:
            wipe(view.known(e), bids, market.low, market.known_lowest_bid, high)
        if market.known_highest_ask != _NO_BID:
            wipe(view.known(e), asks, market.low, market.low, market.known_highest_ask)
        market.known_bid = _NO_BID
        market.known_ask = _NO_ASK
        market.known_lowest_bid = _NO_ASK
        market.known_highest_ask = _NO_BID


@njit(cache=True)
def _hear(e: Any, market: Any, account: Any, slot: int) -> None:
    """Take one response in."""
    clock = view.clock(e)
    message = view.messages(e)[slot]
    order = view.orders(e)[message.order]
    if message.request == 7:
        if message.sent_ts == order.sent_ts:
            if order.request == 1:
                order.status = 2
            order.request = 0
    else:
        order.status = message.status
        order.request = message.request
        order.known_leaves = message.leaves
        order.known_ts = message.exchange_ts
        order.executed = message.executed
        order.executed_tick = message.executed_tick
        order.maker = message.maker
        if message.executed > 0.0:
            _book_fill(market, account, order)
    _log(e, message, order)
    drop_reference(view.orders(e), clock, message.order)
    message.next = clock.free_message
    clock.free_message = slot
    clock.messages_free += 1


@njit(cache=True)
def _book_fill(market: Any, account: Any, order: Any) -> None:
    price = order.executed_tick * market.tick_size
    if market.inverse:
        amount = market.multiplier * order.executed / price
        account.cash += amount * order.side
    else:
        amount = market.multiplier * order.executed * price
        account.cash -= amount * order.side
    account.position += order.executed * order.side
    account.fees += amount * (market.maker_fee if order.maker else market.taker_fee)
    account.volume += order.executed
    account.value += amount
    account.trades += 1


@njit(cache=True)
def _log(e: Any, message: Any, order: Any) -> None:
    clock = view.clock(e)
    row = view.log(e)[clock.logged]
    row.id = order.id
    row.ts = message.ts
    row.exchange_ts = message.exchange_ts
    row.sent_ts = message.sent_ts
    row.tick = message.tick
    row.quantity = message.quantity
    row.executed = message.executed
    row.executed_tick = message.executed_tick
    row.leaves = message.leaves
    row.account = order.account
    row.market = order.market
    row.side = order.side
    row.status = message.status
    row.request = message.request
    row.maker = message.maker
    clock.logged += 1


@njit(cache=True)
def _hear_all(e: Any, market: Any, first: int, until: int) -> None:
    lanes = view.clock(e).lanes
    for which in range(first, first + lanes):
        account = view.accounts(e)[which]
        while account.response_first >= 0 and view.messages(e)[account.response_first].ts <= until:
            _hear(e, market, account, pop_response(view.messages(e), account))
    market.response_ts = first_response(view.messages(e), view.accounts(e), first, lanes)


@njit(cache=True)
def run_local(e: Any, index: int, until: int) -> None:
    """Let the local side of one market hear everything up to and including ``until``."""
    events, known = view.events(e), view.known(e)
    market = view.markets(e)[index]
    at, end = market.local_at, market.end
    low, size = market.low, market.size
    high = low + size - 1
    bids = 2 * market.offset - low
    asks = bids + size
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
                _clear_known(e, market, kind, tick)
        elif kind & 1:
            known[asks + tick] = event.quantity
            if kind == 3:
                if tick == market.known_ask:
                    market.known_ask = next_ask(known, asks + low, high, low, tick, market.known_highest_ask)
                    if market.known_ask == _NO_ASK:
                        market.known_highest_ask = _NO_BID
            else:
                market.known_highest_ask = max(market.known_highest_ask, tick)
                if tick < market.known_ask:
                    market.known_ask = tick
                    if tick <= market.known_bid:
                        market.known_bid = next_bid(known, bids + low, low, tick, market.known_lowest_bid)
        else:
            known[bids + tick] = event.quantity
            if kind == 2:
                if tick == market.known_bid:
                    market.known_bid = next_bid(known, bids + low, low, tick, market.known_lowest_bid)
                    if market.known_bid == _NO_BID:
                        market.known_lowest_bid = _NO_ASK
            else:
                market.known_lowest_bid = min(market.known_lowest_bid, tick)
                if tick > market.known_bid:
                    market.known_bid = tick
                    if tick >= market.known_ask:
                        market.known_ask = next_ask(known, asks + low, high, low, tick, market.known_highest_ask)
        market.feed_exchange_ts = event.exchange_ts
        market.feed_local_ts = event.local_ts
    market.local_at = at
    if market.response_ts <= until:
        _hear_all(e, market, index * view.clock(e).lanes, until)
