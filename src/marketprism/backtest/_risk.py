"""Risk limits on the local side: what is refused before it leaves, and what stops an agent."""

from __future__ import annotations

import math
from typing import Any

from marketprism.backtest import _calls as call
from marketprism.backtest import _views as view
from marketprism.backtest._layout import NO_ASK, NO_BID
from marketprism.backtest._rules import ledger_of, limit_of, rule_of
from marketprism.backtest._send import is_done, note_order, send_modify, send_order
from marketprism.core.kernels import inner

__all__ = ["new_order", "new_terms", "stop_lane", "watch"]

_NO_BID, _NO_ASK = int(NO_BID), int(NO_ASK)
_REJECTED, _MARKET, _IOC = 7, 1, 3
_POSITION, _LEVERAGE, _TRADE, _DAY, _RATE, _VOLATILITY, _KILL = 16, 17, 18, 19, 20, 21, 22
_SECOND, _DAY_NS = 1_000_000_000, 86_400_000_000_000


@inner
def _mid(e: Any, index: int) -> float:
    """Return the mid price as the local side knows it; NaN without one."""
    market = view.market(e, index)
    if market.known_bid == _NO_BID or market.known_ask == _NO_ASK or rule_of(e, index).known_blind:
        return math.nan
    return float(0.5 * (market.known_bid + market.known_ask) * market.tick_size)


@inner
def _worth(market: Any, position: float, price: float) -> float:
    """Return what closing a position at a price adds to the cash."""
    if market.inverse:
        return float(-market.multiplier * position / price)
    return float(market.multiplier * position * price)


@inner
def _equity(e: Any, index: int, which: int, mid: float) -> float:
    account, ledger = view.account(e, which), ledger_of(e, which)
    owned = ledger.capital + account.cash - account.fees + ledger.funding_known
    return float(owned + _worth(view.market(e, index), account.position, mid))


@inner
def _open(e: Any, which: int, side: int, but: int) -> float:
    """Return what the open orders of a side may still execute, one of them left out."""
    total = 0.0
    slot = view.account(e, which).first
    while slot >= 0:
        order = view.order(e, slot)
        if order.side == side and slot != but and not is_done(order.status):
            total += order.known_leaves
        slot = order.local_next
    return total


@inner
def _objection(e: Any, index: int, which: int, side: int, quantity: float, but: int) -> int:
    """Return why an order of ``quantity``, in place of order ``but``, is refused; 0 where it is not."""
    limit, market = limit_of(e, which), view.market(e, index)
    if limit.stopped == _KILL:
        return _KILL
    position = view.account(e, which).position
    exposed = side * position + _open(e, which, side, but) + quantity
    eased = exposed <= 0.5 * market.lot_size
    if limit.stopped and not eased:
        return int(limit.stopped)
    if limit.max_orders > 0:
        second = view.clock(e).now // _SECOND
        if second != limit.second:
            limit.second = second
            limit.used = 0
        if limit.used >= limit.max_orders:
            return _RATE
    if eased:
        return 0
    if exposed > limit.max_position + 0.5 * market.lot_size:
        return _POSITION
    if limit.max_leverage < math.inf:
        mid = _mid(e, index)
        if not abs(_worth(market, exposed, mid)) <= limit.max_leverage * _equity(e, index, which, mid):
            return _LEVERAGE
    return 0


@inner
def _scaled(e: Any, index: int, which: int, side: int, quantity: float) -> float:
    """Return the quantity that the volatility leaves of an order, in whole lots; one that reduces is left alone."""
    limit, lot = limit_of(e, which), view.market(e, index).lot_size
    if not limit.variance > limit.target_volatility**2:
        return quantity
    if side * view.account(e, which).position + _open(e, which, side, -1) + quantity <= 0.5 * lot:
        return quantity
    left = math.floor(quantity * limit.target_volatility / math.sqrt(limit.variance) / lot + 1e-6) * lot
    return 0.0 if left < rule_of(e, index).min_quantity - 0.5 * lot else left


@inner
def _refuse(e: Any, which: int, slot: int, tick: int, quantity: float, reason: int) -> None:
    """Write into the log that an order or a modification was not sent."""
    clock, order = view.clock(e), view.order(e, slot)
    limit_of(e, which).refused += 1
    if not clock.logs:
        return
    if clock.logged >= e.log_size:
        clock.overflow = 1
        return
    row = view.row(e, clock.logged)
    row.id = order.id
    row.ts = clock.now
    row.exchange_ts = 0
    row.sent_ts = clock.now
    row.tick = tick
    row.quantity = quantity
    row.executed = 0.0
    row.executed_tick = 0
    row.leaves = order.known_leaves
    row.fee = 0.0
    row.account = which
    row.market = order.market
    row.side = order.side
    row.status = _REJECTED
    row.request = 0
    row.maker = 0
    row.reason = reason
    clock.logged += 1


@inner
def _checked_order(
    e: Any, lane: int, index: int, side: int, tick: int, quantity: float, kind: int, time_in_force: int
) -> int:
    """Send a new order unless a limit refuses it; return its slot, -1 where the pool is empty."""
    which = index * view.clock(e).lanes + lane
    if not limit_of(e, which).enabled:
        return int(send_order(e, lane, index, side, tick, quantity, kind, time_in_force))
    wanted = quantity
    quantity = _scaled(e, index, which, side, quantity)
    reason = _objection(e, index, which, side, max(quantity, view.market(e, index).lot_size), -1)
    if reason == 0 and quantity <= 0.0 < wanted:
        reason = _VOLATILITY
    if reason == 0:
        limit_of(e, which).used += 1
        return int(send_order(e, lane, index, side, tick, quantity, kind, time_in_force))
    slot = note_order(e, lane, index, side, tick, wanted, kind, time_in_force)
    if slot >= 0:
        view.order(e, slot).status = _REJECTED
        _refuse(e, which, slot, tick, wanted, reason)
    return int(slot)


@inner
def _may_modify(e: Any, slot: int, tick: int, quantity: float) -> bool:
    """Return whether no limit refuses a modification; a refusal is logged, and the order stays as it is."""
    order = view.order(e, slot)
    which = order.account
    if not limit_of(e, which).enabled:
        return True
    left = max(quantity - (order.quantity - order.known_leaves), 0.0)
    reason = _objection(e, order.market, which, order.side, left, slot)
    if reason:
        _refuse(e, which, slot, tick, quantity, reason)
    else:
        limit_of(e, which).used += 1
    return bool(reason == 0)


@inner
def new_order(
    e: Any, lane: int, index: int, side: int, tick: int, quantity: float, kind: int, time_in_force: int
) -> int:
    """Send a new order; see :func:`~marketprism.backtest.actions.submit`."""
    if view.clock(e).limited:
        return int(_checked_order(e, lane, index, side, tick, quantity, kind, time_in_force))
    return int(send_order(e, lane, index, side, tick, quantity, kind, time_in_force))


@inner
def new_terms(e: Any, slot: int, tick: int, quantity: float) -> bool:
    """Send a modification; see :func:`~marketprism.backtest.actions.modify`."""
    if view.clock(e).limited and not _may_modify(e, slot, tick, quantity):
        return False
    return bool(send_modify(e, slot, tick, quantity))


@inner
def _pull(e: Any, which: int) -> None:
    """Cancel an account's orders, but for the one that flattens."""
    limit = limit_of(e, which)
    slot = view.account(e, which).first
    while slot >= 0:
        order = view.order(e, slot)
        if not (slot == limit.closing and order.id == limit.closing_id) and order.request != 4:
            call.cancel(e, slot)
        slot = order.local_next


@inner
def _flatten(e: Any, lane: int, index: int) -> None:
    """Send a market order that closes the position, unless one is on its way or the market is not observed."""
    which = index * view.clock(e).lanes + lane
    limit, market = limit_of(e, which), view.market(e, index)
    position = view.account(e, which).position
    if abs(position) < 0.5 * market.lot_size or rule_of(e, index).known_blind or market.local_at >= market.end:
        return
    if limit.closing >= 0:
        order = view.order(e, limit.closing)
        if order.id == limit.closing_id and not is_done(order.status):
            return
    slot = send_order(e, lane, index, -1 if position > 0.0 else 1, 0, abs(position), _MARKET, _IOC)
    limit.closing = slot
    if slot >= 0:
        limit.closing_id = view.order(e, slot).id


@inner
def stop_lane(e: Any, lane: int) -> None:
    """Throw the kill switch of a lane's agent: in every market its orders are cancelled and nothing leaves any more."""
    lanes = view.clock(e).lanes
    for index in range(view.clock(e).markets):
        limit = limit_of(e, index * lanes + lane)
        limit.enabled = 1
        if limit.stopped != _KILL:
            limit.stopped = _KILL
            limit.stops += 1
        _pull(e, index * lanes + lane)


@inner
def _observe(e: Any, limit: Any, mid: float) -> None:
    """Update the variance of the log mid."""
    now = view.clock(e).now
    if limit.last_ts == 0:
        limit.last_ts = now
        limit.last_mid = mid
    elif now > limit.last_ts:
        seconds = (now - limit.last_ts) / _SECOND
        square = math.log(mid / limit.last_mid) ** 2 / seconds
        weight = 0.5 ** ((now - limit.last_ts) / limit.half_life)
        limit.variance = square if math.isnan(limit.variance) else weight * limit.variance + (1.0 - weight) * square
        limit.last_ts = now
        limit.last_mid = mid


@inner
def _judge(e: Any, index: int, which: int, limit: Any, mid: float) -> int:
    """Return the reason for a stop that begins now; 0: none. A stop whose time is over ends."""
    side = 0
    position, lot = view.account(e, which).position, view.market(e, index).lot_size
    if abs(position) >= 0.5 * lot:
        side = 1 if position > 0.0 else -1
    day = view.clock(e).now // _DAY_NS
    equity = _equity(e, index, which, mid)
    if limit.stopped == _TRADE and side != limit.trade_side:
        limit.stopped = 0
    if limit.stopped == _DAY and day != limit.day:
        limit.stopped = 0
    if day != limit.day:
        limit.day = day
        limit.day_start = equity
    if side == 0 or side != limit.trade_side:
        limit.trade_start = equity if side == 0 or math.isnan(limit.equity) else limit.equity
        limit.trade_side = side
    limit.equity = equity
    limit.peak = equity if math.isnan(limit.peak) else max(limit.peak, equity)
    if limit.peak - equity >= limit.max_drawdown:
        return _KILL
    if limit.day_start - equity >= limit.max_day_loss:
        return _DAY
    if side != 0 and limit.trade_start - equity >= limit.max_trade_loss:
        return _TRADE
    return 0


@inner
def watch(e: Any) -> None:
    """Look at every account with limits: a breach cancels its orders and, if that is asked, closes its position."""
    lanes = view.clock(e).lanes
    for index in range(view.clock(e).markets):
        mid = _mid(e, index)
        for lane in range(lanes):
            which = index * lanes + lane
            limit = limit_of(e, which)
            if not limit.enabled:
                continue
            if limit.watched and not math.isnan(mid):
                _observe(e, limit, mid)
                reason = _judge(e, index, which, limit, mid)
                if reason == _KILL:
                    call.stop_lane(e, lane)
                elif reason > limit.stopped:
                    limit.stopped = reason
                    limit.stops += 1
            if limit.stopped:
                _pull(e, which)
                if limit.flatten:
                    _flatten(e, lane, index)
