"""Strict mode: what the exchange does with an arriving order, cancellation and modification."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from marketprism.backtest import _views as view
from marketprism.backtest._fills import reply
from marketprism.backtest._layout import NEVER
from marketprism.backtest._match import available, full, shown, take, too_far
from marketprism.backtest._messages import drop_reference, pop_request
from marketprism.backtest._own import enqueue, place, unqueue
from marketprism.backtest._rules import ledger_of, rule_of
from marketprism.core.kernels import inlined, inner

__all__ = ["end_gap", "serve"]

_NEW, _EXPIRED, _CANCELLED, _MODIFIED, _REJECTED = 1, 2, 4, 6, 7
_WOULD_TAKE, _NOT_ALL, _NO_LIQUIDITY, _SELF_TRADE, _UNKNOWN = 1, 2, 3, 4, 5
_OFF_GRID, _OUTSIDE, _NOT_LOTS, _TOO_SMALL, _RATE, _GAP, _END, _BANKRUPT, _REDUCED = 6, 7, 8, 9, 10, 11, 12, 14, 15


_NO_TICK = -(1 << 40)
"""Tick of a price off the grid, see ``actions.submit_at``."""
_NEVER = int(NEVER)


@inlined
def _objection(e: Any, index: int, order: Any, message: Any, ts: int) -> int:
    """Return why a new order or a modification is refused; 0 where it is not."""
    market, rule, ledger = view.market(e, index), rule_of(e, index), ledger_of(e, order.account)
    if rule.over:
        return _END
    if rule.blind:
        return _GAP
    if ledger.bankrupt:
        return _BANKRUPT
    if rule.rate_limit > 0:
        window = ts // rule.rate_interval
        if window != ledger.rate_window:
            ledger.rate_window = window
            ledger.rate_used = 0
        if ledger.rate_used >= rule.rate_limit:
            return _RATE
        ledger.rate_used += 1
    lots = message.quantity / market.lot_size
    if not math.isfinite(lots) or lots < 0.5 or abs(lots - np.rint(lots)) > 1e-6:
        return _NOT_LOTS
    if message.quantity < rule.min_quantity - 0.5 * market.lot_size:
        return _TOO_SMALL
    if message.tick == _NO_TICK:
        return _OFF_GRID
    if order.kind == 0 and place(market, order.side, message.tick) < 0:
        return _OUTSIDE
    return 0


@inlined
def _rest(e: Any, index: int, slot: int) -> None:
    """Put what is left at the end of its level's queue."""
    market, rule, order = view.market(e, index), rule_of(e, index), view.order(e, slot)
    order.front = shown(e, market, ledger_of(e, order.account).world, order.side, order.shelf)
    order.traded = float(rule.arrivals) if rule.by_order else 0.0
    enqueue(e, market, slot)


@inner
def _expire(e: Any, index: int, slot: int, ts: int, sent: int, reason: int) -> None:
    reply(e, index, slot, ts, _EXPIRED, 0, 0.0, 0, 0, sent, reason, 0.0)


@inner
def _place(e: Any, index: int, slot: int, ts: int, sent: int, acknowledge: bool) -> None:
    """Trade, rest or expire."""
    market, order = view.market(e, index), view.order(e, slot)
    force, asked = order.time_in_force, order.leaves
    if force == 1 and order.kind == 0:
        lot = market.lot_size
        if _touches(e, index, slot, lot):
            _expire(e, index, slot, ts, sent, _WOULD_TAKE)
            return
    elif force == 2 and available(e, index, slot, order.shelf, asked) < asked - 0.5 * market.lot_size:
        _expire(e, index, slot, ts, sent, _NOT_ALL)
        return
    elif take(e, index, slot, ts, order.shelf, sent, 0):
        _expire(e, index, slot, ts, sent, _SELF_TRADE)
        return
    if order.leaves == 0.0:
        return
    if order.kind == 1 or force >= 2:
        _expire(e, index, slot, ts, sent, _NO_LIQUIDITY)
        return
    _rest(e, index, slot)
    if acknowledge and order.leaves == asked:
        reply(e, index, slot, ts, _NEW, 0, 0.0, 0, 0, sent, 0, 0.0)


@inner
def _touches(e: Any, index: int, slot: int, lot: float) -> bool:
    """Return whether anything of its world stands in the way of a post-only order, its owner's orders included."""
    market, rule, order = view.market(e, index), rule_of(e, index), view.order(e, slot)
    if order.side > 0:
        if order.shelf < market.ask and (market.sells == 0 or order.shelf < market.own_low_sell):
            return False
    elif order.shelf > market.bid and (market.buys == 0 or order.shelf > market.own_high_buy):
        return False
    prevention = rule.self_trade
    rule.self_trade = 0
    found = available(e, index, slot, order.shelf, lot)
    rule.self_trade = prevention
    return bool(found >= 0.5 * market.lot_size)


@inlined
def _take_new(e: Any, index: int, slot: int, ts: int, message: Any) -> None:
    order = view.order(e, slot)
    order.shelf_quantity = message.quantity
    order.shelf = max(-(1 << 31), min(order.tick, (1 << 31) - 1))
    reason = _objection(e, index, order, message, ts)
    if reason:
        reply(e, index, slot, ts, _REJECTED, 0, 0.0, 0, 0, message.sent_ts, reason, 0.0)
    else:
        _place(e, index, slot, ts, message.sent_ts, True)


@inner
def _state(order: Any) -> int:
    """Return an order's status as the exchange has it: NONE until it has arrived."""
    if order.shelf_quantity == 0.0:
        return 0
    if order.leaves == 0.0:
        return 3
    if not order.resting:
        return 4
    return 1 if order.leaves == order.shelf_quantity else 5


@inlined
def _take_cancel(e: Any, index: int, slot: int, ts: int, sent: int) -> None:
    order = view.order(e, slot)
    if order.resting:
        reply(e, index, slot, ts, _CANCELLED, 0, 0.0, 0, 0, sent, 0, 0.0)
        unqueue(e, view.market(e, index), slot)
    else:
        reply(e, index, slot, ts, _state(order), _REJECTED, 0.0, 0, 0, sent, _UNKNOWN, 0.0)


@inner
def _take_modify(e: Any, index: int, slot: int, ts: int, message: Any) -> None:
    """Change an order: less at the same price keeps its place, all else goes to the end of the queue."""
    market, order, sent = view.market(e, index), view.order(e, slot), message.sent_ts
    reason = _objection(e, index, order, message, ts) if order.resting else _UNKNOWN
    if reason:
        reply(e, index, slot, ts, _state(order), _REJECTED, 0.0, 0, 0, sent, reason, 0.0)
        return
    left = message.quantity - (order.shelf_quantity - order.leaves)
    if left < 0.5 * market.lot_size:
        reply(e, index, slot, ts, _CANCELLED, 0, 0.0, 0, 0, sent, _REDUCED, 0.0)
        unqueue(e, market, slot)
        return
    keeps = message.tick == order.shelf and left < order.leaves + 0.5 * market.lot_size
    if not keeps:
        order.references += 1
        unqueue(e, market, slot)
    order.shelf = message.tick
    order.leaves = left
    order.shelf_quantity = message.quantity
    reply(e, index, slot, ts, _MODIFIED, 0, 0.0, 0, 0, sent, 0, 0.0)
    if not keeps:
        _place(e, index, slot, ts, sent, False)
        drop_reference(e, slot)


@inner
def end_gap(e: Any, index: int, ts: int) -> None:
    """Send own orders to the back of their queues: a snapshot is complete after a gap."""
    rule, market = rule_of(e, index), view.market(e, index)
    rule.blind = 0
    rule.blind_ns += ts - rule.blind_since
    lanes = view.clock(e).lanes
    for which in range(index * lanes, (index + 1) * lanes):
        ledger_of(e, which).due = 1
        slot = view.account(e, which).first
        while slot >= 0:
            order = view.order(e, slot)
            if order.resting:
                order.front = shown(e, market, ledger_of(e, which).world, order.side, order.shelf)
                order.traded = float(rule.arrivals) if rule.by_order else 0.0
            slot = order.local_next


@inlined
def _serve_one(e: Any, index: int, which: int, ts: int) -> bool:
    """Serve the first request of an account; False: a pool must grow first."""
    clock, account = view.clock(e), view.account(e, which)
    message = view.message(e, account.request_first)
    order = view.order(e, message.order)
    may_take = message.request != 4 and not (order.time_in_force == 1 and order.kind == 0)
    if full(e) or (may_take and too_far(e, index, message.order, message.tick, message.quantity)):
        return False
    slot = pop_request(e, account)
    if message.request == 1:
        _take_new(e, index, message.order, ts, message)
    elif message.request == 4:
        _take_cancel(e, index, message.order, ts, message.sent_ts)
    else:
        _take_modify(e, index, message.order, ts, message)
    drop_reference(e, message.order)
    message.next = clock.free_message
    clock.free_message = slot
    clock.messages_free += 1
    return True


@inner
def serve(e: Any, index: int, ts: int) -> bool:
    """Do what is due at ``ts``: the end of a gap, then every request that arrives; False: a pool must grow first."""
    clock, market, rule = view.clock(e), view.market(e, index), rule_of(e, index)
    first, following = index * clock.lanes, _NEVER
    if rule.timer_ts <= ts:
        rule.timer_ts = _NEVER
        if rule.blind == 2:
            end_gap(e, index, ts)
    for which in range(first, first + clock.lanes):
        account = view.account(e, which)
        while account.request_first >= 0 and view.message(e, account.request_first).ts <= ts:
            if not _serve_one(e, index, which, ts):
                return False
        if account.request_first >= 0:
            following = min(following, view.message(e, account.request_first).ts)
    market.request_ts = min(following, rule.timer_ts)
    return True
