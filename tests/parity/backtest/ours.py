"""Our twin of peer_driver.py: the same strategies on the engine in compat mode, and the same logs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from numba import njit

from marketprism.backtest import _views as view
from marketprism.backtest._own import place
from marketprism.backtest.actions import advance, advance_to_feed, can_change, cancel, forget, modify, submit
from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.backtest.latency import RecordedLatency
from marketprism.backtest.tape import EVENT_DTYPE, Tape

LOG_INTS, LOG_FLOATS = 11, 3
WAKE_INTS, WAKE_FLOATS = 5, 7
BUY, SELL, EXCHANGE, LOCAL = 1 << 29, 1 << 28, 1 << 31, 1 << 30
DEPTH, TRADE, CLEAR, SNAPSHOT = 1, 2, 3, 4
QUEUES = ("risk_averse", "log", "log_total", "power", "power_total", "power_share")


def pack(events: np.ndarray, tick_size: float, lot_size: float) -> np.ndarray:
    """Return the peer's events as those of a tape."""
    out = np.zeros(len(events), EVENT_DTYPE)
    out["exchange_ts"], out["local_ts"], out["quantity"] = events["exch_ts"], events["local_ts"], events["qty"]
    kind, buy, sell = events["ev"] & 0xFF, (events["ev"] & BUY) != 0, (events["ev"] & SELL) != 0
    gone = np.rint(events["qty"] / lot_size) == 0
    whole = ~np.isfinite(events["px"])
    ends = np.where(buy, np.iinfo(np.int32).min, np.iinfo(np.int32).max)
    out["tick"] = np.where(whole, ends, np.rint(np.where(whole, 0.0, events["px"]) / tick_size))
    level = np.where(buy, TapeKind.BID, TapeKind.ASK) + np.where(gone, 2, 0)
    trade = np.where(buy, TapeKind.BUY_TRADE, np.where(sell, TapeKind.SELL_TRADE, TapeKind.TRADE))
    cleared = np.where(buy, TapeKind.CLEAR_BIDS, np.where(sell, TapeKind.CLEAR_ASKS, TapeKind.CLEAR))
    out["kind"] = np.where(kind == TRADE, trade, np.where(kind == CLEAR, cleared, level))
    out["kind"] += np.where(events["ev"] & EXCHANGE, TapeFlag.EXCHANGE, 0).astype(np.uint8)
    out["kind"] += np.where(events["ev"] & LOCAL, TapeFlag.LOCAL, 0).astype(np.uint8)
    return out


@njit
def _snapshot(e, assets, wake, last_ints, last_floats, ints, floats, rows):
    for asset in range(assets):
        slot = view.accounts(e)[asset].first
        while slot >= 0:
            order = view.orders(e)[slot]
            at = order.id
            ints[rows, 0] = wake
            ints[rows, 1] = asset
            ints[rows, 2] = at
            ints[rows, 3] = order.status
            ints[rows, 4] = order.request
            ints[rows, 5] = order.tick
            ints[rows, 6] = order.known_ts
            ints[rows, 7] = order.sent_ts
            ints[rows, 8] = order.executed_tick
            ints[rows, 9] = order.maker
            ints[rows, 10] = order.side
            floats[rows, 0] = order.quantity
            floats[rows, 1] = order.known_leaves
            floats[rows, 2] = order.executed
            changed = False
            for column in range(2, LOG_INTS):
                changed |= last_ints[at, column] != ints[rows, column]
                last_ints[at, column] = ints[rows, column]
            for column in range(LOG_FLOATS):
                changed |= last_floats[at, column] != floats[rows, column]
                last_floats[at, column] = floats[rows, column]
            if changed:
                rows += 1
            slot = order.local_next
    return rows


@njit
def _wake_rows(e, assets, wake, ints, floats):
    for asset in range(assets):
        row = wake * assets + asset
        market, account = view.markets(e)[asset], view.accounts(e)[asset]
        ints[row, 0] = view.clock(e).now
        ints[row, 1] = market.known_bid
        ints[row, 2] = market.known_ask
        ints[row, 3] = account.trades
        ints[row, 4] = asset
        floats[row, 0] = view.known(e)[place(market, 1, market.known_bid)] if market.known_bid > 0 else 0.0
        floats[row, 1] = view.known(e)[place(market, -1, market.known_ask)] if market.known_ask < 10**9 else 0.0
        floats[row, 2] = account.position
        floats[row, 3] = account.cash
        floats[row, 4] = account.fees
        floats[row, 5] = account.volume
        floats[row, 6] = account.value


@njit
def _find(e, asset, number):
    slot = view.accounts(e)[asset].first
    while slot >= 0 and view.orders(e)[slot].id != number:
        slot = view.orders(e)[slot].local_next
    return slot


@njit
def _send(e, home, counters, asset, side, tick, quantity, kind, force):
    if counters[0] >= len(home):
        return
    home[counters[0]] = asset
    counters[0] += 1
    submit(e, 0, asset, side, tick, quantity, kind, force)


@njit
def _act_script(e, actions, home, counters, anchor, lot_size):
    for k in range(len(actions)):
        verb, asset, side, offset, lots, kind, force, reference = actions[k]
        if verb == 1:
            market = view.markets(e)[asset]
            base = market.known_bid if side > 0 else market.known_ask
            if base < 0 or base > 10**9:
                base = anchor
            _send(e, home, counters, asset, side, base - side * offset, lots * lot_size, kind, force)
        elif verb == 4:
            forget(e, 0, asset)
        elif verb >= 2 and counters[0] > 1:
            number = 1 + reference % (counters[0] - 1)
            slot = _find(e, home[number], number)
            if slot < 0:
                continue
            order = view.orders(e)[slot]
            if not can_change(order):
                continue
            if verb == 2:
                cancel(e, slot)
            else:
                modify(e, slot, order.tick + offset, lots * lot_size)


@njit
def _act_maker(e, assets, levels, home, counters, lot_size, have):
    for asset in range(assets):
        forget(e, 0, asset)
        market = view.markets(e)[asset]
        bid, ask = market.known_bid, market.known_ask
        if bid < 0 or ask > 10**9:
            continue
        have[:] = False
        slot = view.accounts(e)[asset].first
        while slot >= 0:
            order = view.orders(e)[slot]
            away = bid - order.tick if order.side == 1 else order.tick - ask
            if 0 <= away < levels:
                have[0 if order.side == 1 else 1, away] = True
            elif can_change(order):
                cancel(e, slot)
            slot = order.local_next
        position = view.accounts(e)[asset].position
        for k in range(levels):
            if position < 40 * lot_size and not have[0, k]:
                _send(e, home, counters, asset, 1, bid - k, 5 * lot_size, 0, 1)
            if position > -40 * lot_size and not have[1, k]:
                _send(e, home, counters, asset, -1, ask + k, 5 * lot_size, 0, 1)


@njit
def _drive(e, assets, setting, pauses, script, sizes, home, last, log_ints, log_floats, ints, floats, counters):
    way, strategy, levels, anchor = setting
    tick_size, lot_size = sizes
    last_ints, last_floats = last
    have = np.zeros((2, max(levels, 1)), np.bool_)
    while counters[1] < len(pauses):
        wake, rows = counters[1], counters[2]
        code = advance(e, pauses[wake]) if way == 0 else advance_to_feed(e, pauses[wake], way == 2)
        if code == 0 or code == 2:
            return code
        rows = _snapshot(e, assets, wake, last_ints, last_floats, log_ints, log_floats, rows)
        _wake_rows(e, assets, wake, ints, floats)
        if strategy == 0:
            _act_script(e, script[wake], home, counters, anchor, lot_size)
        else:
            _act_maker(e, assets, levels, home, counters, lot_size, have)
        counters[2] = _snapshot(e, assets, wake, last_ints, last_floats, log_ints, log_floats, rows)
        counters[1] += 1
    return 0


def engine_of(case: dict[str, Any], data: dict[str, np.ndarray]) -> Engine:
    """Return the engine of a case."""
    number = case["number"]
    recorded = (
        RecordedLatency(*data[f"latency{number}"].view(np.int64).reshape(-1, 4).T[:3]) if case["recorded"] else None
    )
    tapes = [
        Tape(
            pack(data[f"events{number}_{asset}"], case["tick_size"], case["lot_size"]),
            Decimal(str(case["tick_size"])),
            Decimal(str(case["lot_size"])),
        )
        for asset in range(case["assets"])
    ]
    config = MarketConfig(
        entry_latency_ms=case["entry"] / 1e6,
        response_latency_ms=case["response"] / 1e6,
        queue=QUEUES[case["queue"]],
        queue_exponent=case["exponent"],
        maker_fee_bps=case["maker_fee"] * 1e4,
        taker_fee_bps=case["taker_fee"] * 1e4,
        multiplier=case["multiplier"],
        inverse=case["inverse"],
    )
    return Engine(tapes, [config] * case["assets"], mode="compat", recorded=recorded)


def run(case: dict[str, Any], data: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Run one case and return its logs: of orders (whole numbers, floats) and of wakes."""
    wakes, orders, assets = len(data[f"pauses{case['number']}"]), case["max_orders"], case["assets"]
    room = 12 * orders + 64
    log_ints, log_floats = np.zeros((room, LOG_INTS), np.int64), np.zeros((room, LOG_FLOATS))
    ints = np.zeros((wakes * assets, WAKE_INTS), np.int64)
    floats = np.zeros((wakes * assets, WAKE_FLOATS))
    counters = np.zeros(4, np.int64)
    counters[0] = 1
    engine_of(case, data).run(
        _drive,
        assets,
        (case["way"], case["strategy"], case["levels"], case["anchor"]),
        data[f"pauses{case['number']}"],
        data[f"script{case['number']}"],
        (case["tick_size"], case["lot_size"]),
        np.zeros(orders, np.int64),
        (np.zeros((orders, LOG_INTS), np.int64), np.zeros((orders, LOG_FLOATS))),
        log_ints,
        log_floats,
        ints,
        floats,
        counters,
    )
    _, seen, rows, _ = counters
    if case["inverse"]:
        floats[:, 3] *= -1.0
    return log_ints[:rows], log_floats[:rows], ints[: seen * assets], floats[: seen * assets], counters
