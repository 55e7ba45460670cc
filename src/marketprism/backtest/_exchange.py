"""The exchange's side of a market: feed events and arriving requests, in the order of exchange time."""

from __future__ import annotations

from typing import Any

import numpy as np

from marketprism.backtest import _compat as compat
from marketprism.backtest import _views as view
from marketprism.backtest._book import ask_down, ask_gone, bid_gone, bid_up, clear
from marketprism.backtest._layout import NEVER
from marketprism.backtest._messages import drop_reference, pop_request
from marketprism.backtest._queue import move_queue
from marketprism.core.kernels import inner

__all__ = ["run_exchange"]

_NEVER = int(NEVER)


@inner
def _other(e: Any, market: Any, event: Any, kind: int) -> None:
    """Take an event that is no level."""
    if kind == 4:
        compat.trade_against_asks(e, market, event.tick, event.quantity, event.exchange_ts)
    elif kind == 5:
        compat.trade_against_bids(e, market, event.tick, event.quantity, event.exchange_ts)
    elif kind >= 7 and kind <= 9:
        clear(e, market, kind, np.int64(event.tick))


@inner
def _requests(e: Any, market: Any, first: int, ts: int) -> None:
    """Serve every request that arrives at ``ts``."""
    clock, following = view.clock(e), _NEVER
    for at in range(first, first + clock.lanes):
        account = view.account(e, at)
        while account.request_first >= 0 and view.message(e, account.request_first).ts == ts:
            slot = pop_request(e, account)
            message = view.message(e, slot)
            if message.request == 1:
                compat.take_new(e, market, message, ts)
            elif message.request == 4:
                compat.take_cancel(e, market, message, ts)
            else:
                compat.take_modify(e, market, message, ts)
            drop_reference(e, message.order)
            message.next = clock.free_message
            clock.free_message = slot
            clock.messages_free += 1
        if account.request_first >= 0:
            following = min(following, view.message(e, account.request_first).ts)
    market.request_ts = following


@inner
def run_exchange(e: Any, index: int, until: int) -> bool:
    """Let the exchange of one market do everything up to and including ``until``; always True: it needs no room.

    Levels are set right here: a call with all arrays costs more than the work.
    """
    events, depth, heads = view.events(e), view.depth(e), view.heads(e)
    market = view.market(e, index)
    first = index * view.clock(e).lanes
    at, end = market.exchange_at, market.end
    bids = 2 * market.offset - market.low
    asks = bids + market.size
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
        place = (asks if kind & 1 else bids) + tick
        before = depth[place]
        depth[place] = quantity
        head = heads[place]
        if head >= 0:
            move_queue(e, head, market.queue_model, market.queue_parameter, before, quantity)
        if kind == 1:
            market.highest_ask = max(market.highest_ask, tick)
            best = market.ask
            if tick < best:
                ask_down(e, market, tick)
                if market.buys > 0:
                    compat.fill_crossed_bids(e, market, best, tick, ts)
        elif kind == 0:
            market.lowest_bid = min(market.lowest_bid, tick)
            best = market.bid
            if tick > best:
                bid_up(e, market, tick)
                if market.sells > 0:
                    compat.fill_crossed_asks(e, market, best, tick, ts)
        elif kind == 3:
            if tick == market.ask:
                ask_gone(e, market, tick)
        elif tick == market.bid:
            bid_gone(e, market, tick)
    market.exchange_at = at
    return True
