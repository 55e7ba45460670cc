"""Strict mode: liquidation of accounts below their maintenance margin, and funding payments."""

from __future__ import annotations

from typing import Any

from marketprism.backtest import _calls as call
from marketprism.backtest import _views as view
from marketprism.backtest._fills import set_trigger
from marketprism.backtest._layout import NO_ASK, NO_BID
from marketprism.backtest._match import take
from marketprism.backtest._messages import new_order
from marketprism.backtest._own import unqueue
from marketprism.backtest._rules import ledger_of, rule_of
from marketprism.core.kernels import inner

__all__ = ["liquidate", "pay_funding"]

_NO_BID, _NO_ASK = int(NO_BID), int(NO_ASK)
_LIQUIDATION = 13
_REACH = 100
"""Ticks from the best within which one attempt trades."""


@inner
def _liquidate_one(e: Any, index: int, which: int, ts: int) -> None:
    """Cancel an account's orders, and sell or buy back what it holds at what the book shows."""
    market, ledger, clock = view.market(e, index), ledger_of(e, which), view.clock(e)
    slot = view.account(e, which).first
    while slot >= 0:
        order = view.order(e, slot)
        if order.resting:
            call.reply(e, index, slot, ts, 4, 0, 0.0, 0, 0, 0, _LIQUIDATION, 0.0)
            unqueue(e, market, slot)
        slot = order.local_next
    slot = new_order(e)
    if slot < 0:
        return
    order = view.order(e, slot)
    order.id = clock.next_id
    clock.next_id += 1
    order.side = -1 if ledger.held > 0.0 else 1
    order.quantity = abs(ledger.held)
    order.shelf_quantity = order.quantity
    order.leaves = order.quantity
    order.known_leaves = order.quantity
    best = market.bid if order.side < 0 else market.ask
    order.kind = 0
    order.time_in_force = 3
    order.tick = best + _REACH * order.side
    order.shelf = order.tick
    order.account = which
    order.market = index
    order.status = 0
    order.request = 0
    order.resting = 0
    order.known_ts = 0
    order.sent_ts = -1
    order.references = 1
    take(e, index, slot, ts, order.tick, 0, _LIQUIDATION)
    if order.leaves < order.quantity:
        ledger.liquidations += 1
    order.references -= 1
    if order.references == 0:
        order.next = clock.free_order
        clock.free_order = slot
        clock.orders_free += 1
    if abs(ledger.held) < 0.5 * market.lot_size:
        ledger.held = 0.0
        ledger.bankrupt = ledger.capital + ledger.cash - ledger.fees + ledger.funding <= 0.0
    set_trigger(e, index, which)
    ledger.due = 0


@inner
def liquidate(e: Any, index: int, ts: int, moved: bool) -> None:
    """Liquidate every account whose price of liquidation the market has reached.

    A long position is valued at the best bid and a short one at the best ask; on an empty side nothing happens. What
    the book does not take within reach is tried again at the next change of the best. Where the best has not
    ``moved``, only accounts are looked at whose price of liquidation has: no world notices the orders of another one.
    A liquidation may fill others of its world and lead to theirs, at once.
    """
    market, rule, lanes = view.market(e, index), rule_of(e, index), view.clock(e).lanes
    if rule.blind or rule.over:
        return
    everyone, again = bool(moved), True
    while again:
        again = False
        for which in range(index * lanes, (index + 1) * lanes):
            ledger = ledger_of(e, which)
            if not (everyone or ledger.due):
                continue
            ledger.due = 0
            long = ledger.held > 0.0 and market.bid != _NO_BID and market.bid <= ledger.trigger
            short = ledger.held < 0.0 and market.ask != _NO_ASK and market.ask >= ledger.trigger
            if long or short:
                _liquidate_one(e, index, which, ts)
                again = True
        everyone = False


@inner
def pay_funding(e: Any, index: int, tick: int, rate: float) -> None:
    """Longs pay ``rate`` of their value to shorts, at the mark price, or at the mid where there is none."""
    market, rule, lanes = view.market(e, index), rule_of(e, index), view.clock(e).lanes
    price = float(tick)
    if tick <= 0:
        if market.bid == _NO_BID or market.ask == _NO_ASK:
            return
        price = 0.5 * (market.bid + market.ask)
    price *= market.tick_size
    rule.fundings += 1
    for which in range(index * lanes, (index + 1) * lanes):
        ledger = ledger_of(e, which)
        if ledger.held != 0.0:
            value = market.multiplier * (ledger.held / price if market.inverse else ledger.held * price)
            ledger.funding -= rate * value
            if rule.margined:
                set_trigger(e, index, which)
