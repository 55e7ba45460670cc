"""Strict mode: one queue per level for all own orders of a world, and matching in it.

A level's queue is the linked list of own orders in the order of their arrival; ``front`` of an order is the market's
quantity ahead of it, own orders not counted. What a taker took from a displayed level stands in the same list as a
shadow (``kind`` 255) until the level's next update. Worlds share the list and do not see each other.
"""

from __future__ import annotations

import math
from typing import Any

from marketprism.backtest import _calls as call
from marketprism.backtest import _views as view
from marketprism.backtest._fills import whole_lots
from marketprism.backtest._layout import NO_ASK, NO_BID
from marketprism.backtest._messages import new_order
from marketprism.backtest._own import append, home, place, unqueue
from marketprism.backtest._queue import after_depth
from marketprism.backtest._rules import ledger_of, rule_of, world_of
from marketprism.backtest._user import call_queue
from marketprism.core.kernels import inner

__all__ = ["available", "cross", "full", "move_level", "shown", "take", "too_far", "trade"]

_NO_BID, _NO_ASK = int(NO_BID), int(NO_ASK)
_SHADOW = 255
_ROOM = 256
_CANCELLED, _SELF_TRADE = 4, 4


@inner
def move_level(e: Any, index: int, head: int, before: float, after: float) -> None:
    """Move own orders up after the level's quantity changed, and forget what takers took."""
    market, rule = view.market(e, index), rule_of(e, index)
    slot = head
    front = traded = math.nan
    moved = left = 0.0
    while slot >= 0:
        order = view.order(e, slot)
        following = order.next
        if order.kind == _SHADOW:
            unqueue(e, market, slot)
        elif rule.by_order:
            pass
        elif rule.queue_function != 0:
            order.front = call_queue(
                rule.queue_function, order.front, before, after, order.traded, market.queue_parameter
            )
            order.traded = 0.0
        elif order.front == front and order.traded == traded:  # another lane's order at the same place
            order.front = moved
            order.traded = left
        else:
            front, traded = order.front, order.traded
            after_depth(order, market.queue_model, market.queue_parameter, before, after)
            order.front = moved = max(order.front, 0.0)
            left = order.traded
        slot = following


@inner
def shown(e: Any, market: Any, world: int, side: int, tick: int) -> float:
    """Return what the market shows at a level of a side and this world has not taken."""
    if (side > 0 and tick > market.bid) or (side < 0 and tick < market.ask):
        return 0.0
    at = place(market, side, tick)
    if at < 0:
        return 0.0
    quantity = view.depth(e)[at]
    slot = view.heads(e)[at] if market.shadows > 0 else -1
    while slot >= 0:
        order = view.order(e, slot)
        if order.kind == _SHADOW and ledger_of(e, order.account).world == world:
            quantity -= order.leaves
        slot = order.next
    return float(max(quantity, 0.0))


@inner
def _shadow(e: Any, market: Any, which: int, side: int, tick: int, quantity: float) -> None:
    """Remember that a world took ``quantity`` of a level, and move its own orders there up."""
    world = ledger_of(e, which).world
    slot = view.heads(e)[place(market, side, tick)]
    known = -1
    while slot >= 0:
        order = view.order(e, slot)
        if ledger_of(e, order.account).world == world:
            if order.kind == _SHADOW:
                known = slot
            else:
                order.front = max(order.front - quantity, 0.0)
        slot = order.next
    if known >= 0:
        view.order(e, known).leaves += quantity
        return
    slot = new_order(e)
    if slot < 0:
        return
    order = view.order(e, slot)
    order.kind = _SHADOW
    order.side = side
    order.shelf = tick
    order.leaves = quantity
    order.account = which
    order.references = 1
    order.resting = 0
    append(e, home(market, side, tick), slot)
    market.shadows += 1


@inner
def _range(market: Any, side: int, kind: int, limit: int) -> tuple[int, int]:
    """Return the first and the last level of a side that a taker with a limit may reach; first beyond last: none."""
    if side < 0:
        first = market.ask
        last = market.highest_ask if market.ask != _NO_ASK else _NO_BID
        if market.sells > 0:
            first = min(first, market.own_low_sell)
            last = max(last, market.own_high_sell)
        last = min(last, market.low + market.size - 1)
        if kind == 0:
            last = min(last, limit)
    else:
        first = market.bid
        last = market.lowest_bid if market.bid != _NO_BID else _NO_ASK
        if market.buys > 0:
            first = max(first, market.own_high_buy)
            last = min(last, market.own_low_buy)
        last = max(last, market.low)
        if kind == 0:
            last = max(last, limit)
    if first in (_NO_ASK, _NO_BID):
        return 0, side
    return first, last


@inner
def full(e: Any) -> bool:
    """Return whether the pools may not hold what one more event or request causes."""
    clock = view.clock(e)
    active = e.orders_size - clock.orders_free
    return bool(clock.orders_free < _ROOM or clock.messages_free < 2 * active + _ROOM)


@inner
def too_far(e: Any, index: int, slot: int, tick: int, quantity: float) -> bool:
    """Return whether an order of ``quantity`` may trade with more levels than the pools have room for."""
    clock, market, order = view.clock(e), view.market(e, index), view.order(e, slot)
    free = min(clock.orders_free, clock.messages_free - 2 * (e.orders_size - clock.orders_free))
    at, last = _range(market, -order.side, order.kind, tick)
    if abs(last - at) + 2 < free:
        return False
    levels, left = 2, quantity
    while left > 0.0 and (last - at) * order.side >= 0 and levels < free:
        level = shown(e, market, ledger_of(e, order.account).world, -order.side, at)
        levels += level > 0.0
        left -= level
        at += order.side
    return bool(levels >= free)


@inner
def available(e: Any, index: int, slot: int, tick: int, enough: float) -> float:
    """Return how much an arriving order finds up to ``tick``, or ``enough`` as soon as that is reached.

    Orders of the same owner that self-trade prevention would not let it trade with do not count; those it may not
    pass end the count.
    """
    market, rule, order = view.market(e, index), rule_of(e, index), view.order(e, slot)
    mine = ledger_of(e, order.account)
    side = -order.side
    first, last = _range(market, side, order.kind, tick)
    total, at = 0.0, first
    while (last - at) * order.side >= 0:
        level = shown(e, market, mine.world, side, at)
        other = view.heads(e)[place(market, side, at)]
        while other >= 0:
            resting = view.order(e, other)
            theirs = ledger_of(e, resting.account)
            if resting.kind != _SHADOW and theirs.world == mine.world:
                if theirs.owner == mine.owner and rule.self_trade != 0:
                    if rule.self_trade != 2:
                        return float(min(enough, total + min(resting.front, level)))
                else:
                    total += resting.leaves
            other = resting.next
        total += level
        if total >= enough - 0.5 * market.lot_size:
            return enough
        at += order.side
    return total


@inner
def _take_level(e: Any, index: int, slot: int, ts: int, at: int, sent: int, reason: int) -> bool:
    """Trade with one level in the order of its queue; return whether self-trade prevention ends the order."""
    market, rule, order = view.market(e, index), rule_of(e, index), view.order(e, slot)
    mine = ledger_of(e, order.account)
    side, lot, want = -order.side, market.lot_size, order.leaves
    level = shown(e, market, mine.world, side, at)
    bought = used = 0.0
    stop = False
    other = view.heads(e)[place(market, side, at)]
    while other >= 0 and not stop and want - bought >= 0.5 * lot:
        resting = view.order(e, other)
        following = resting.next
        theirs = ledger_of(e, resting.account)
        if resting.kind != _SHADOW and theirs.world == mine.world:
            ahead = min(max(resting.front - used, 0.0), level - used)
            eaten = whole_lots(min(ahead, want - bought), lot)
            used += eaten
            bought += eaten
            if want - bought >= 0.5 * lot:
                if theirs.owner == mine.owner and rule.self_trade != 0 and reason == 0:
                    stop = rule.self_trade != 2
                    if rule.self_trade != 1:
                        call.reply(e, index, other, ts, _CANCELLED, 0, 0.0, 0, 0, 0, _SELF_TRADE, 0.0)
                        unqueue(e, market, other)
                else:
                    fill = min(want - bought, resting.leaves)
                    bought += fill
                    call.execute(e, index, other, ts, at, fill, 1, 0, 0)
                    if resting.leaves == 0.0:
                        unqueue(e, market, other)
        other = following
    if not stop:
        eaten = whole_lots(min(level - used, want - bought), lot)
        used += eaten
        bought += eaten
    if used > 0.0:
        _shadow(e, market, order.account, side, at, used)
    if bought >= 0.5 * lot:
        call.execute(e, index, slot, ts, at, bought, 0, sent, reason)
    return stop


@inner
def take(e: Any, index: int, slot: int, ts: int, tick: int, sent: int, reason: int) -> bool:
    """Let an arriving order walk the book up to ``tick``, or all of it; return whether it met its owner and ends."""
    market, order = view.market(e, index), view.order(e, slot)
    at, last = _range(market, -order.side, order.kind, tick)
    while order.leaves > 0.0 and (last - at) * order.side >= 0:
        if _take_level(e, index, slot, ts, at, sent, reason):
            return True
        at += order.side
    return False


@inner
def _fill_resting(e: Any, index: int, slot: int, ts: int, tick: int, world: Any) -> None:
    market, order = view.market(e, index), view.order(e, slot)
    fill = whole_lots(min(world.rest, order.leaves), market.lot_size)
    if fill >= 0.5 * market.lot_size:
        world.rest -= fill
        call.execute(e, index, slot, ts, tick, fill, 1, 0, 0)
        if order.leaves == 0.0:
            unqueue(e, market, slot)


@inner
def _sweep(e: Any, index: int, side: int, first: int, last: int, quantity: float, ts: int) -> None:
    """Fill own orders from ``first`` to ``last``, in price and time, up to ``quantity`` in each world."""
    clock, market = view.clock(e), view.market(e, index)
    at = first
    while (last - at) * -side >= 0:
        slot = view.heads(e)[place(market, side, at)]
        while slot >= 0:
            order = view.order(e, slot)
            following = order.next
            if order.kind != _SHADOW:
                world = world_of(e, ledger_of(e, order.account).world)
                if world.stamp != clock.stamp:
                    world.stamp = clock.stamp
                    world.rest = quantity
                    world.used = 0.0
                _fill_resting(e, index, slot, ts, at, world)
            slot = following
        at -= side


@inner
def _tighten(e: Any, market: Any, side: int, tick: int) -> None:
    """Let the best own price of a side be what it is, up to ``tick``: each look for own orders starts there."""
    heads = view.heads(e)
    if side < 0:
        last = min(tick, market.own_high_sell)
        while market.own_low_sell < last and heads[place(market, -1, market.own_low_sell)] < 0:
            market.own_low_sell += 1
    else:
        last = max(tick, market.own_low_buy)
        while market.own_high_buy > last and heads[place(market, 1, market.own_high_buy)] < 0:
            market.own_high_buy -= 1


@inner
def trade(e: Any, index: int, side: int, tick: int, quantity: float, ts: int) -> None:
    """Fill after a trade against a side: own orders at better prices first, those at its tick in their queue.

    ``side`` is the side of the orders traded with: -1 for a buyer's trade. In each world the trade fills at most its
    own quantity; what own orders do not take moves the queue at its tick up.
    """
    clock, market, by_order = view.clock(e), view.market(e, index), rule_of(e, index).by_order
    clock.stamp += 1
    _tighten(e, market, side, tick)
    if side < 0:
        _sweep(e, index, side, market.own_low_sell, min(tick - 1, market.own_high_sell), quantity, ts)
    else:
        _sweep(e, index, side, market.own_high_buy, max(tick + 1, market.own_low_buy), quantity, ts)
    at = place(market, side, tick)
    slot = view.heads(e)[at] if at >= 0 else -1
    while slot >= 0:
        order = view.order(e, slot)
        following = order.next
        if order.kind != _SHADOW:
            world = world_of(e, ledger_of(e, order.account).world)
            if world.stamp != clock.stamp:
                world.stamp = clock.stamp
                world.rest = quantity
                world.used = 0.0
            ahead = min(max(order.front - world.used, 0.0), world.rest)
            world.used += ahead
            world.rest -= ahead
            _fill_resting(e, index, slot, ts, tick, world)
        slot = following
    slot = view.heads(e)[at] if at >= 0 else -1
    while slot >= 0:
        order = view.order(e, slot)
        if order.kind != _SHADOW:
            world = world_of(e, ledger_of(e, order.account).world)
            order.front = max(order.front - world.used - world.rest, 0.0)
            if not by_order:
                order.traded += quantity
        slot = order.next


@inner
def cross(e: Any, index: int, side: int, tick: int, quantity: float, ts: int) -> None:
    """Fill own orders at ``tick`` and beyond, where the other side's best now shows ``quantity``, up to that."""
    clock, market = view.clock(e), view.market(e, index)
    clock.stamp += 1
    if side < 0:
        _sweep(e, index, side, market.own_low_sell, min(tick, market.own_high_sell), quantity, ts)
    else:
        _sweep(e, index, side, market.own_high_buy, max(tick, market.own_low_buy), quantity, ts)
