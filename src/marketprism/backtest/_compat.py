"""What the exchange does in compat mode: the rules of hftbacktest's exchange without partial fills."""

from __future__ import annotations

from typing import Any

from marketprism.backtest import _views as view
from marketprism.backtest._layout import NO_ASK, NO_BID
from marketprism.backtest._messages import drop_reference
from marketprism.backtest._own import answer, enqueue, place, unqueue
from marketprism.backtest._queue import after_trade, is_front
from marketprism.core.kernels import inner

__all__ = [
    "fill_crossed_asks",
    "fill_crossed_bids",
    "take_cancel",
    "take_modify",
    "take_new",
    "trade_against_asks",
    "trade_against_bids",
]

_NO_BID, _NO_ASK = int(NO_BID), int(NO_ASK)
_NEW, _EXPIRED, _FILLED, _CANCELLED, _REJECTED = 1, 2, 3, 4, 7


@inner
def _fill(e: Any, market: Any, slot: int, ts: int, tick: int, maker: int) -> None:
    order = view.order(e, slot)
    executed = order.leaves
    order.leaves = 0.0
    if maker:
        tick = order.shelf
    answer(e, market, slot, ts, _FILLED, 0, executed, tick, maker, order.sent_ts)
    if order.resting:
        unqueue(e, market, slot)


@inner
def _resting(e: Any, market: Any, account: int) -> int:
    """Return how many orders an account has resting in a market."""
    count = 0
    for side in (1, -1):
        low = market.own_low_buy if side > 0 else market.own_low_sell
        high = market.own_high_buy if side > 0 else market.own_high_sell
        for tick in range(low, high + 1 if (market.buys if side > 0 else market.sells) else low):
            slot = view.heads(e)[place(market, side, tick)]
            while slot >= 0:
                count += view.order(e, slot).account == account
                slot = view.order(e, slot).next
    return count


@inner
def _fill_passed(e: Any, market: Any, side: int, tick: int, reach: int, ts: int) -> bool:
    """Fill own orders at one tick whose account has fewer orders resting than ``reach``; return whether any stays."""
    slot, stays = view.heads(e)[place(market, side, tick)], False
    while slot >= 0:
        following = view.order(e, slot).next
        if _resting(e, market, view.order(e, slot).account) < reach:
            _fill(e, market, slot, ts, tick, 1)
        else:
            stays = True
        slot = following
    return stays


@inner
def _passed_asks(e: Any, market: Any, reach: int, best: int, ts: int) -> None:
    """Take own asks at or below the best bid, which got past them without a fill when a level was cleared.

    The peer walks the ticks between two prices, or all orders where they are fewer than those ticks (``reach``): only
    then it sees these.
    """
    lowest = best + 1
    for tick in range(market.own_low_sell, best + 1):
        if _fill_passed(e, market, -1, tick, reach, ts):
            lowest = min(lowest, tick)
    market.own_low_sell = lowest


@inner
def _passed_bids(e: Any, market: Any, reach: int, best: int, ts: int) -> None:
    """Take own bids at or above the best ask, see :func:`_passed_asks`."""
    highest = best - 1
    for tick in range(best, market.own_high_buy + 1):
        if _fill_passed(e, market, 1, tick, reach, ts):
            highest = max(highest, tick)
    market.own_high_buy = highest


@inner
def fill_crossed_asks(e: Any, market: Any, before: int, best: int, ts: int) -> None:
    """Fill own asks as maker at their own price where the best bid rose from ``before`` to ``best`` through them."""
    if before != _NO_BID and market.own_low_sell <= before:
        _passed_asks(e, market, best - before, before, ts)
    first = market.own_low_sell if before == _NO_BID else max(before + 1, market.own_low_sell)
    for tick in range(first, min(best, market.own_high_sell) + 1):
        slot = view.heads(e)[place(market, -1, tick)]
        while slot >= 0:
            following = view.order(e, slot).next
            _fill(e, market, slot, ts, tick, 1)
            slot = following


@inner
def fill_crossed_bids(e: Any, market: Any, before: int, best: int, ts: int) -> None:
    """Fill own bids as maker at their own price where the best ask fell from ``before`` to ``best`` through them."""
    if before != _NO_ASK and market.own_high_buy >= before:
        _passed_bids(e, market, before - best, before, ts)
    last = market.own_high_buy if before == _NO_ASK else min(before - 1, market.own_high_buy)
    for tick in range(max(best, market.own_low_buy), last + 1):
        slot = view.heads(e)[place(market, 1, tick)]
        while slot >= 0:
            following = view.order(e, slot).next
            _fill(e, market, slot, ts, tick, 1)
            slot = following


@inner
def trade_against_asks(e: Any, market: Any, tick: int, quantity: float, ts: int) -> None:
    """Take a buy trade: own asks below it are filled, those at its tick move up and fill at the front."""
    if market.bid != _NO_BID and market.own_low_sell <= market.bid:
        _passed_asks(e, market, tick - market.bid, market.bid, ts)
    first = market.own_low_sell if market.bid == _NO_BID else max(market.bid + 1, market.own_low_sell)
    for at in range(first, min(tick, market.own_high_sell) + 1):
        slot = view.heads(e)[place(market, -1, at)]
        while slot >= 0:
            order = view.order(e, slot)
            following = order.next
            if at < tick:
                _fill(e, market, slot, ts, at, 1)
            else:
                after_trade(order, quantity)
                if is_front(order.front, market.lot_size):
                    _fill(e, market, slot, ts, at, 1)
            slot = following


@inner
def trade_against_bids(e: Any, market: Any, tick: int, quantity: float, ts: int) -> None:
    """Take a sell trade: own bids above it are filled, those at its tick move up and fill at the front."""
    if market.ask != _NO_ASK and market.own_high_buy >= market.ask:
        _passed_bids(e, market, market.ask - tick, market.ask, ts)
    last = market.own_high_buy if market.ask == _NO_ASK else min(market.ask - 1, market.own_high_buy)
    for at in range(last, max(tick, market.own_low_buy) - 1, -1):
        slot = view.heads(e)[place(market, 1, at)]
        while slot >= 0:
            order = view.order(e, slot)
            following = order.next
            if at > tick:
                _fill(e, market, slot, ts, at, 1)
            else:
                after_trade(order, quantity)
                if is_front(order.front, market.lot_size):
                    _fill(e, market, slot, ts, at, 1)
            slot = following


@inner
def take_new(e: Any, market: Any, message: Any, ts: int) -> None:
    """Take a new order at the exchange, or one that a modification sent to the end of a queue."""
    slot = message.order
    order = view.order(e, slot)
    order.shelf = message.tick
    order.shelf_quantity = message.quantity
    order.leaves = message.leaves
    opposite = market.ask if order.side > 0 else market.bid
    crosses = order.shelf >= opposite if order.side > 0 else order.shelf <= opposite
    if order.kind == 1 or (crosses and order.time_in_force != 1):
        _fill(e, market, slot, ts, opposite, 0)
    elif crosses or order.time_in_force >= 2:
        answer(e, market, slot, ts, _EXPIRED, 0, 0.0, 0, 0, message.sent_ts)
    else:
        at = place(market, order.side, order.shelf)
        order.front = view.depth(e)[at] if at >= 0 else 0.0
        order.traded = 0.0
        enqueue(e, market, slot)
        answer(e, market, slot, ts, _NEW, 0, 0.0, 0, 0, message.sent_ts)


@inner
def take_cancel(e: Any, market: Any, message: Any, ts: int) -> None:
    """Take a cancellation at the exchange."""
    slot = message.order
    if view.order(e, slot).resting:
        answer(e, market, slot, ts, _CANCELLED, 0, 0.0, 0, 0, message.sent_ts)
        unqueue(e, market, slot)
    else:
        answer(e, market, slot, ts, message.status, _REJECTED, 0.0, 0, 0, message.sent_ts)


@inner
def take_modify(e: Any, market: Any, message: Any, ts: int) -> None:
    """Take a modification at the exchange: less at the same price keeps its place, all else queues anew.

    An order that queues anew keeps the quantity it had left, whatever quantity was asked for: the peer's way.
    """
    slot = message.order
    order = view.order(e, slot)
    if not order.resting:
        answer(e, market, slot, ts, message.status, _REJECTED, 0.0, 0, 0, message.sent_ts)
    elif message.tick != order.shelf or message.quantity > order.leaves:
        order.references += 1
        unqueue(e, market, slot)
        take_new(e, market, message, ts)
        drop_reference(e, slot)
    else:
        order.shelf_quantity = message.quantity
        order.leaves = message.quantity
        answer(e, market, slot, ts, message.status, 0, 0.0, 0, 0, message.sent_ts)
