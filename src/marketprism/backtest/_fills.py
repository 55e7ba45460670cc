"""Strict mode: executions, their fees and the exchange's ledger, and answers to the local side."""

from __future__ import annotations

import math
from typing import Any

from marketprism.backtest import _views as view
from marketprism.backtest._messages import new_message, send_response
from marketprism.backtest._rules import ledger_of, rule_of, tiers
from marketprism.backtest._user import call_fee
from marketprism.backtest.latency import response_latency
from marketprism.core.kernels import inner

__all__ = ["execute", "reply", "set_trigger", "whole_lots"]

_INFINITE = math.inf


@inner
def whole_lots(quantity: float, lot: float) -> float:
    """Return the whole lots in a quantity; one part in a million of a lot is rounding."""
    lots = math.floor(quantity / lot + 1e-6)
    return quantity if abs(quantity / lot - lots) < 1e-6 else lots * lot


@inner
def reply(
    e: Any,
    index: int,
    slot: int,
    ts: int,
    status: int,
    request: int,
    executed: float,
    tick: int,
    maker: int,
    sent: int,
    reason: int,
    fee: float,
) -> None:
    """Send a response about an order from the exchange at ``ts``."""
    market, order = view.market(e, index), view.order(e, slot)
    at = new_message(e)
    if at < 0:
        return
    message = view.message(e, at)
    message.ts = ts + response_latency(e, index, order.account, ts)
    message.exchange_ts = ts
    message.sent_ts = sent
    message.tick = order.shelf
    message.quantity = order.shelf_quantity
    message.leaves = order.leaves
    message.fill = status in (3, 5)
    if message.fill:
        message.executed = executed
        message.executed_tick = tick
        message.fee = fee
    message.order = slot
    message.status = status
    message.request = request
    message.maker = maker
    message.reason = reason
    order.references += 1
    send_response(e, view.account(e, order.account), market, at, True)


@inner
def _rate(e: Any, index: int, past: float, maker: int) -> float:
    """Return the share of the value that an execution pays."""
    rule, market = rule_of(e, index), view.market(e, index)
    share = market.maker_fee if maker else market.taker_fee
    for at in range(rule.tiers_at, rule.tiers_at + rule.tiers_size):
        if past >= tiers(e)[at, 0]:
            share = tiers(e)[at, 1] if maker else tiers(e)[at, 2]
    return float(share)


@inner
def execute(
    e: Any, index: int, slot: int, ts: int, tick: int, quantity: float, maker: int, sent: int, reason: int
) -> None:
    """Execute ``quantity`` of an order at ``tick``: ledger, fee, and the answer."""
    market, order, rule = view.market(e, index), view.order(e, slot), rule_of(e, index)
    ledger = ledger_of(e, order.account)
    if order.leaves - quantity < 0.5 * market.lot_size:
        quantity = order.leaves
        order.leaves = 0.0
    else:
        order.leaves -= quantity
    price = tick * market.tick_size
    if market.inverse:
        value = market.multiplier * quantity / price
        ledger.cash += value * order.side
    else:
        value = market.multiplier * quantity * price
        ledger.cash -= value * order.side
    if rule.fee_function != 0:
        fee = call_fee(rule.fee_function, value, quantity, price, maker, ledger.value)
    else:
        fee = value * _rate(e, index, ledger.value, maker)
    if reason == 13:
        fee += value * rule.liquidation_fee
    ledger.held += quantity * order.side
    ledger.fees += fee
    ledger.value += value
    if rule.margined:
        set_trigger(e, index, order.account)
    reply(e, index, slot, ts, 5 if order.leaves > 0.0 else 3, 0, quantity, tick, maker, sent, reason, fee)


@inner
def set_trigger(e: Any, index: int, which: int) -> None:
    """Work out at which price an account is liquidated, and the first such price of the market on either side.

    Equity at a price equals the maintenance margin at it; a long position is valued at the bid, a short one at the ask.
    """
    market, rule, ledger = view.market(e, index), rule_of(e, index), ledger_of(e, which)
    owned = ledger.capital + ledger.cash - ledger.fees + ledger.funding
    held, margin, unit = ledger.held, rule.maintenance, market.multiplier
    ledger.trigger = math.nan
    ledger.due = 1
    if abs(held) >= 0.5 * market.lot_size:
        if market.inverse:
            need = unit * (held + margin * abs(held))
            if owned > 0.0:
                price = need / owned if held > 0.0 else 0.0 if need >= 0.0 else _INFINITE
            else:
                price = _INFINITE if held > 0.0 else need / owned if owned < 0.0 else _INFINITE
        else:
            price = -owned / (unit * (held - margin * abs(held)))
        ledger.trigger = price / market.tick_size
    rule.trigger_low = -_INFINITE
    rule.trigger_high = _INFINITE
    lanes = view.clock(e).lanes
    for at in range(index * lanes, (index + 1) * lanes):
        other = ledger_of(e, at)
        if other.held > 0.0 and other.trigger > rule.trigger_low:
            rule.trigger_low = other.trigger
        elif other.held < 0.0 and other.trigger < rule.trigger_high:
            rule.trigger_high = other.trigger
