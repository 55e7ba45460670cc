"""The exchange's side of a market: feed events and arriving requests, in the order of exchange time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from marketprism.backtest import _compat as compat
from marketprism.backtest import _views as view
from marketprism.backtest._ladder import next_ask, next_bid, wipe
from marketprism.backtest._layout import NEVER, NO_ASK, NO_BID
from marketprism.backtest._messages import drop_reference, first_request, pop_request
from marketprism.backtest._queue import after_depth

__all__ = ["run_exchange"]

_NEVER, _NO_BID, _NO_ASK = int(NEVER), int(NO_BID), int(NO_ASK)


@njit(cache=True)
def _move_queue(orders: np.ndarray, market: Any, slot: int, before: float, after: float) -> None:
    while slot >= 0:
        after_depth(orders[slot], market.queue_model, market.queue_parameter, before, after)
        slot = orders[slot].next


@njit(cache=True)
def _clear(e: Any, market: Any, kind: int, tick: int) -> None:
    bids = 2 * market.offset
    asks = bids + market.size
    high = market.low + market.size - 1
    if kind == 7:
        if market.bid != _NO_BID:
            wipe(view.depth(e), bids, market.low, max(tick, market.low), market.bid)
        market.bid = next_bid(view.depth(e), bids, market.low, min(tick, high + 1), market.lowest_bid)
        if market.bid == _NO_BID:
            market.lowest_bid = _NO_ASK
    elif kind == 8:
        if market.ask != _NO_ASK:
            wipe(view.depth(e), asks, market.low, market.ask, min(tick, high))
        market.ask = next_ask(view.depth(e), asks, high, market.low, max(tick, market.low - 1), market.highest_ask)
        if market.ask == _NO_ASK:
            market.highest_ask = _NO_BID
    else:
        if market.lowest_bid != _NO_ASK:
            wipe(view.depth(e), bids, market.low, market.lowest_bid, high)
        if market.highest_ask != _NO_BID:
            wipe(view.depth(e), asks, market.low, market.low, market.highest_ask)
        market.bid = _NO_BID
        market.ask = _NO_ASK
        market.lowest_bid = _NO_ASK
        market.highest_ask = _NO_BID


@njit(cache=True)
def _other(e: Any, market: Any, event: Any, kind: int) -> None:
    """Take an event that is no level."""
    if kind == 4:
        compat.trade_against_asks(e, market, event.tick, event.quantity, event.exchange_ts)
    elif kind == 5:
        compat.trade_against_bids(e, market, event.tick, event.quantity, event.exchange_ts)
    elif kind >= 7 and kind <= 9:
        _clear(e, market, kind, event.tick)


@njit(cache=True)
def _requests(e: Any, market: Any, first: int, ts: int) -> None:
    """Serve every request that arrives at ``ts``."""
    clock = view.clock(e)
    for at in range(first, first + clock.lanes):
        account = view.accounts(e)[at]
        while account.request_first >= 0 and view.messages(e)[account.request_first].ts == ts:
            slot = pop_request(view.messages(e), account)
            message = view.messages(e)[slot]
            if message.request == 1:
                compat.take_new(e, market, message.order, ts)
            else:
                compat.take_cancel(e, market, message.order, ts, message.sent_ts)
            drop_reference(view.orders(e), clock, message.order)
            message.next = clock.free_message
            clock.free_message = slot
            clock.messages_free += 1
    market.request_ts = first_request(view.messages(e), view.accounts(e), first, clock.lanes)


@njit(cache=True)
def run_exchange(e: Any, index: int, until: int) -> None:
    """Let the exchange of one market do everything up to and including ``until``.

    Levels are set right here: a call with all arrays costs more than the work.
    """
    events, depth, heads, orders = view.events(e), view.depth(e), view.heads(e), view.orders(e)
    market = view.markets(e)[index]
    first = index * view.clock(e).lanes
    at, end = market.exchange_at, market.end
    low, size = market.low, market.size
    high = low + size - 1
    bids = 2 * market.offset - low
    asks = bids + size
    while True:
        while at < end and not events[at].kind & 64:
            at += 1
        ts = events[at].exchange_ts if at < end else _NEVER
        if ts > market.request_ts:
            if market.request_ts > until:
                break
            _requests(e, market, first, market.request_ts)
            continue
        if ts > until or at >= end:
            break
        event = events[at]
        at += 1
        kind = event.kind & 63
        if kind > 3:
            if kind > 6 or (kind == 4 and market.sells > 0) or (kind == 5 and market.buys > 0):
                _other(e, market, event, kind)
            continue
        tick = np.int64(event.tick)
        quantity = event.quantity
        if kind & 1:
            place = asks + tick
            before = depth[place]
            depth[place] = quantity
            head = heads[place]
            if head >= 0:
                _move_queue(orders, market, head, before, quantity)
            best = market.ask
            if kind == 3:
                if tick == best:
                    market.ask = next_ask(depth, asks + low, high, low, tick, market.highest_ask)
                    if market.ask == _NO_ASK:
                        market.highest_ask = _NO_BID
            else:
                market.highest_ask = max(market.highest_ask, tick)
                if tick < best:
                    market.ask = tick
                    if tick <= market.bid:
                        market.bid = next_bid(depth, bids + low, low, tick, market.lowest_bid)
                    if market.buys > 0:
                        compat.fill_crossed_bids(e, market, best, tick, ts)
        else:
            place = bids + tick
            before = depth[place]
            depth[place] = quantity
            head = heads[place]
            if head >= 0:
                _move_queue(orders, market, head, before, quantity)
            best = market.bid
            if kind == 2:
                if tick == best:
                    market.bid = next_bid(depth, bids + low, low, tick, market.lowest_bid)
                    if market.bid == _NO_BID:
                        market.lowest_bid = _NO_ASK
            else:
                market.lowest_bid = min(market.lowest_bid, tick)
                if tick > best:
                    market.bid = tick
                    if tick >= market.ask:
                        market.ask = next_ask(depth, asks + low, high, low, tick, market.highest_ask)
                    if market.sells > 0:
                        compat.fill_crossed_asks(e, market, best, tick, ts)
    market.exchange_at = at
