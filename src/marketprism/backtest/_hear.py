"""Strict mode: a response as the local side hears it, possibly after a later one."""

from __future__ import annotations

from typing import Any

from marketprism.backtest import _views as view
from marketprism.backtest._rules import ledger_of, rule_of
from marketprism.core.kernels import inlined, inner

__all__ = ["hear", "hear_market"]


@inner
def _is_done(status: int) -> bool:
    return 2 <= status <= 4 or status == 7


@inlined
def hear(market: Any, account: Any, message: Any, order: Any) -> None:
    """Take a response in: executions always count, the order's state only moves on.

    A request is answered by the response that names its time; a response to an older one does not free the order.
    """
    if message.request == 7:
        if message.sent_ts == order.sent_ts:
            if order.request == 1:
                order.status = 7
            order.request = 0
        return
    if message.status == 6:
        order.tick = message.tick
        order.quantity = message.quantity
    later = message.exchange_ts > order.known_ts or (
        message.exchange_ts == order.known_ts and (message.leaves <= order.known_leaves or message.status == 6)
    )
    if later and not _is_done(order.status):
        order.known_leaves = message.leaves
        order.known_ts = message.exchange_ts
        if message.status == 6:
            order.status = 5 if message.leaves < order.quantity else 1
        else:
            order.status = message.status
        order.maker = message.maker
    if _is_done(order.status) or message.sent_ts == order.sent_ts:
        order.request = 0
    if message.fill and message.executed > 0.0:
        order.executed = message.executed
        order.executed_tick = message.executed_tick
        order.filled = 1
        _book(market, account, order.side, message)


@inner
def _book(market: Any, account: Any, side: int, message: Any) -> None:
    price = message.executed_tick * market.tick_size
    if market.inverse:
        value = market.multiplier * message.executed / price
        account.cash += value * side
    else:
        value = market.multiplier * message.executed * price
        account.cash -= value * side
    account.position += message.executed * side
    account.fees += message.fee
    account.volume += message.executed
    account.value += value
    account.trades += 1


@inner
def hear_market(e: Any, index: int, kind: int) -> None:
    """Hear of a gap, of the snapshot that ends it, and of a funding payment."""
    if kind == 9:
        rule_of(e, index).known_blind = 0
    elif kind == 10:
        rule_of(e, index).known_blind = 1
    elif kind == 11:
        lanes = view.clock(e).lanes
        for which in range(index * lanes, (index + 1) * lanes):
            ledger_of(e, which).funding_known = ledger_of(e, which).funding
