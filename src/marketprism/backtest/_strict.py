"""Strict mode: the exchange's side of a market, feed events and requests in the order of exchange time."""

from __future__ import annotations

from typing import Any

import numpy as np

from marketprism.backtest import _calls as call
from marketprism.backtest import _views as view
from marketprism.backtest._book import ask_down, ask_gone, bid_gone, bid_up, clear
from marketprism.backtest._layout import NEVER, NO_ASK, NO_BID
from marketprism.backtest._margin import pay_funding
from marketprism.backtest._match import cross, full, move_level, trade
from marketprism.backtest._own import place
from marketprism.backtest._rules import rule_of, slots
from marketprism.backtest.tape import order_slot
from marketprism.core.kernels import inner

__all__ = ["run_strict"]

_NEVER, _NO_BID, _NO_ASK = int(NEVER), int(NO_BID), int(NO_ASK)


@inner
def _trade(e: Any, index: int, kind: int, tick: int, quantity: float, ts: int) -> None:
    """Take a trade; one without an aggressor bought at the best ask or above, and sold at the best bid or below."""
    market = view.market(e, index)
    if kind == 6:
        if market.ask != _NO_ASK and tick >= market.ask:
            kind = 4
        elif market.bid != _NO_BID and tick <= market.bid:
            kind = 5
        else:
            return
    if kind == 4 and market.sells > 0:
        trade(e, index, -1, tick, quantity, ts)
    elif kind == 5 and market.buys > 0:
        trade(e, index, 1, tick, quantity, ts)


@inner
def _reached(market: Any, rule: Any) -> bool:
    return bool(
        (market.bid != _NO_BID and market.bid <= rule.trigger_low)
        or (market.ask != _NO_ASK and market.ask >= rule.trigger_high)
    )


@inner
def _other(e: Any, index: int, event: Any, kind: int) -> bool:
    """Take an event that is no level; False: a pool must grow first."""
    if full(e):
        return False
    market, rule = view.market(e, index), rule_of(e, index)
    ts = event.exchange_ts
    if kind <= 6:
        if not rule.blind:
            _trade(e, index, kind, np.int64(event.tick), event.quantity, ts)
    elif kind <= 9:
        clear(e, market, kind, np.int64(event.tick))
        if kind == 9 and rule.blind:
            rule.blind = 2
            rule.timer_ts = ts
            market.request_ts = min(market.request_ts, ts)
    elif kind == 10:
        rule.gaps += 1
        if not rule.blind:
            rule.blind_since = ts
        rule.blind = 1
        rule.timer_ts = _NEVER
    elif kind == 11:
        pay_funding(e, index, np.int64(event.tick), event.quantity)
    if rule.margined and _reached(market, rule):
        call.liquidate(e, index, ts, kind > 6)
    return True


@inner
def _requests(e: Any, index: int, over: bool) -> bool:
    """Serve the requests that arrive next; False: a pool must grow first."""
    market, rule = view.market(e, index), rule_of(e, index)
    if over:
        rule.over = 1
    ts = market.request_ts
    if not call.serve(e, index, ts):
        return False
    if rule.margined and _reached(market, rule):
        call.liquidate(e, index, ts, False)
    return True


@inner
def _by_order(e: Any, index: int, event: Any, kind: int) -> None:
    """Take an event of a single order: own orders that came after one which leaves or shrinks move up by as much.

    An execution moves nobody here: the trade that did it has.
    """
    market, rule = view.market(e, index), rule_of(e, index)
    side, which = order_slot(event)
    which += rule.slots_at
    if kind == 12:
        rule.arrivals += 1
        slots(e)[which] = rule.arrivals
        return
    if kind == 15:
        return
    slot = view.heads(e)[place(market, side, np.int64(event.tick))]
    while slot >= 0:
        order = view.order(e, slot)
        if order.kind != 255 and slots(e)[which] <= order.traded:
            order.front = max(order.front - event.quantity, 0.0)
        slot = order.next


@inner
def run_strict(e: Any, index: int, until: int) -> bool:
    """Let the exchange of one market do everything up to and including ``until``; False: a pool must grow first."""
    events, depth, heads = view.events(e), view.depth(e), view.heads(e)
    market, rule = view.market(e, index), rule_of(e, index)
    at, end = market.exchange_at, market.end
    bids = 2 * market.offset - market.low
    asks = bids + market.size
    margined, crosses = rule.margined != 0, rule.fill_on_cross != 0
    done = True
    while done:
        while at < end and not events[at].kind & 64:
            at += 1
        ts = events[at].exchange_ts if at < end else _NEVER
        if ts > market.request_ts:
            if market.request_ts > until:
                break
            done = _requests(e, index, at >= end)
            continue
        if ts > until or at >= end:
            break
        event = events[at]
        kind = event.kind & 63
        if kind > 3:
            if kind > 11:
                _by_order(e, index, event, kind)
            elif kind > 6 or market.sells > 0 or market.buys > 0:
                done = _other(e, index, event, kind)
                if not done:
                    break
            at += 1
            continue
        if (margined or crosses) and full(e):
            done = False
            break
        at += 1
        tick = np.int64(event.tick)
        quantity = event.quantity
        if kind & 1:
            level = asks + tick
            before = depth[level]
            depth[level] = quantity
            head = heads[level]
            if head >= 0:
                move_level(e, index, head, before, quantity)
            if kind == 3:
                if tick != market.ask:
                    continue
                ask_gone(e, market, tick)
            else:
                market.highest_ask = max(market.highest_ask, tick)
                if tick >= market.ask:
                    continue
                ask_down(e, market, tick)
                if crosses and market.buys > 0 and tick <= market.own_high_buy and not rule.blind:
                    cross(e, index, 1, tick, quantity, ts)
        else:
            level = bids + tick
            before = depth[level]
            depth[level] = quantity
            head = heads[level]
            if head >= 0:
                move_level(e, index, head, before, quantity)
            if kind == 2:
                if tick != market.bid:
                    continue
                bid_gone(e, market, tick)
            else:
                market.lowest_bid = min(market.lowest_bid, tick)
                if tick <= market.bid:
                    continue
                bid_up(e, market, tick)
                if crosses and market.sells > 0 and tick >= market.own_low_sell and not rule.blind:
                    cross(e, index, -1, tick, quantity, ts)
        if margined and _reached(market, rule):
            call.liquidate(e, index, ts, True)
    market.exchange_at = at
    if not done:
        view.clock(e).short = 1
    return done
