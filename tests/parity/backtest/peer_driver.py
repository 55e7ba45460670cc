"""Runs under hftbacktest's own Python: replays scripted strategies and writes what became of every order.

``python peer_driver.py CASES.npz RESULTS.npz``. Knows nothing of marketprism; tests/parity/backtest/ours.py is its twin.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
from numba import njit

LOG_INTS, LOG_FLOATS = 11, 3
WAKE_INTS, WAKE_FLOATS = 5, 7
REQUESTS = np.array([0, 1, 2, 3, 4, 5, 7, 6])
"""The peer's codes of requests as ours: there 6 is a rejection and 7 a replacement."""


@njit
def snapshot(h, assets, wake, last_ints, last_floats, ints, floats, rows):
    for asset in range(assets):
        values = h.orders(asset).values()
        while values.has_next():
            order = values.get()
            record = order.arr[0]
            at = np.int64(order.order_id)
            ints[rows, 0] = wake
            ints[rows, 1] = asset
            ints[rows, 2] = at
            ints[rows, 3] = order.status
            ints[rows, 4] = order.req
            ints[rows, 5] = order.price_tick
            ints[rows, 6] = order.exch_timestamp
            ints[rows, 7] = order.local_timestamp
            ints[rows, 8] = record.exec_price_tick
            ints[rows, 9] = record.maker
            ints[rows, 10] = order.side
            floats[rows, 0] = order.qty
            floats[rows, 1] = order.leaves_qty
            floats[rows, 2] = record.exec_qty
            changed = False
            for column in range(2, LOG_INTS):
                changed |= last_ints[at, column] != ints[rows, column]
                last_ints[at, column] = ints[rows, column]
            for column in range(LOG_FLOATS):
                changed |= last_floats[at, column] != floats[rows, column]
                last_floats[at, column] = floats[rows, column]
            if changed:
                rows += 1
    return rows


@njit
def wake_rows(h, assets, wake, ints, floats):
    for asset in range(assets):
        row = wake * assets + asset
        depth, state = h.depth(asset), h.state_values(asset)
        ints[row, 0] = h.current_timestamp
        ints[row, 1] = depth.best_bid_tick
        ints[row, 2] = depth.best_ask_tick
        ints[row, 3] = state.num_trades
        ints[row, 4] = asset
        floats[row, 0] = depth.bid_qty_at_tick(depth.best_bid_tick) if depth.best_bid_tick > 0 else 0.0
        floats[row, 1] = depth.ask_qty_at_tick(depth.best_ask_tick) if depth.best_ask_tick < 10**9 else 0.0
        floats[row, 2] = state.position
        floats[row, 3] = state.balance
        floats[row, 4] = state.fee
        floats[row, 5] = state.trading_volume
        floats[row, 6] = state.trading_value


@njit
def send(h, home, counters, asset, side, tick, quantity, kind, force, tick_size):
    if counters[0] >= len(home):
        return
    number = counters[0]
    counters[0] += 1
    home[number] = asset
    price = tick * tick_size
    if side > 0:
        h.submit_buy_order(asset, number, price, quantity, force, kind, False)
    else:
        h.submit_sell_order(asset, number, price, quantity, force, kind, False)


@njit
def act_script(h, actions, home, counters, anchor, tick_size, lot_size):
    for k in range(len(actions)):
        verb, asset, side, offset, lots, kind, force, reference = actions[k]
        if verb == 1:
            depth = h.depth(asset)
            base = depth.best_bid_tick if side > 0 else depth.best_ask_tick
            if base < 0 or base > 10**9:
                base = anchor
            send(h, home, counters, asset, side, base - side * offset, lots * lot_size, kind, force, tick_size)
        elif verb == 4:
            h.clear_inactive_orders(asset)
        elif verb >= 2 and counters[0] > 1:
            number = 1 + reference % (counters[0] - 1)
            orders = h.orders(home[number])
            if number not in orders:
                continue
            order = orders.get(number)
            if not order.cancellable:
                continue
            if verb == 2:
                h.cancel(home[number], number, False)
            else:
                h.modify(home[number], number, (order.price_tick + offset) * tick_size, lots * lot_size, False)


@njit
def act_maker(h, assets, levels, home, counters, tick_size, lot_size, have):
    for asset in range(assets):
        h.clear_inactive_orders(asset)
        depth = h.depth(asset)
        bid, ask = depth.best_bid_tick, depth.best_ask_tick
        if bid < 0 or ask > 10**9:
            continue
        have[:] = False
        values = h.orders(asset).values()
        while values.has_next():
            order = values.get()
            away = bid - order.price_tick if order.side == 1 else order.price_tick - ask
            if 0 <= away < levels:
                have[0 if order.side == 1 else 1, away] = True
            elif order.cancellable:
                h.cancel(asset, order.order_id, False)
        position = h.position(asset)
        for k in range(levels):
            if position < 40 * lot_size and not have[0, k]:
                send(h, home, counters, asset, 1, bid - k, 5 * lot_size, 0, 1, tick_size)
            if position > -40 * lot_size and not have[1, k]:
                send(h, home, counters, asset, -1, ask + k, 5 * lot_size, 0, 1, tick_size)


@njit
def drive(h, assets, setting, pauses, script, sizes, home, log_ints, log_floats, ints, floats, counters):
    """``setting``: way of waiting, strategy, levels, anchor."""
    way, strategy, levels, anchor = setting
    tick_size, lot_size = sizes
    last_ints = np.zeros((len(home), LOG_INTS), np.int64)
    last_floats = np.zeros((len(home), LOG_FLOATS))
    have = np.zeros((2, max(levels, 1)), np.bool_)
    rows = 0
    counters[0] = 1
    for wake in range(len(pauses)):
        if way == 0:
            code = h.elapse(pauses[wake])
        else:
            code = h.wait_next_feed(way == 2, pauses[wake])
        if code == 1 or code > 3:
            counters[1], counters[2], counters[3] = wake, rows, code
            return
        rows = snapshot(h, assets, wake, last_ints, last_floats, log_ints, log_floats, rows)
        wake_rows(h, assets, wake, ints, floats)
        if strategy == 0:
            act_script(h, script[wake], home, counters, anchor, tick_size, lot_size)
        else:
            act_maker(h, assets, levels, home, counters, tick_size, lot_size, have)
        rows = snapshot(h, assets, wake, last_ints, last_floats, log_ints, log_floats, rows)
    counters[1], counters[2], counters[3] = len(pauses), rows, 0


def build(case, data):
    assets = []
    for asset in range(case["assets"]):
        built = BacktestAsset().data(data[f"events{case['number']}_{asset}"])
        built = built.inverse_asset(case["multiplier"]) if case["inverse"] else built.linear_asset(case["multiplier"])
        if case["recorded"]:
            built = built.intp_order_latency(data[f"latency{case['number']}"])
        else:
            built = built.constant_order_latency(case["entry"], case["response"])
        queue = case["queue"]
        if queue == 0:
            built = built.risk_adverse_queue_model()
        elif queue <= 2:
            built = (built.log_prob_queue_model, built.log_prob_queue_model2)[queue - 1]()
        else:
            models = (built.power_prob_queue_model, built.power_prob_queue_model2, built.power_prob_queue_model3)
            built = models[queue - 3](case["exponent"])
        built = built.no_partial_fill_exchange().trading_value_fee_model(case["maker_fee"], case["taker_fee"])
        assets.append(
            built.tick_size(case["tick_size"])
            .lot_size(case["lot_size"])
            .roi_lb(0.0)
            .roi_ub(case["roi"] * case["tick_size"])
        )
    return (HashMapMarketDepthBacktest if case["hashed"] else ROIVectorMarketDepthBacktest)(assets)


def run(case, data):
    wakes, orders = len(data[f"pauses{case['number']}"]), case["max_orders"]
    room = 12 * orders + 64
    log_ints, log_floats = np.zeros((room, LOG_INTS), np.int64), np.zeros((room, LOG_FLOATS))
    ints = np.zeros((wakes * case["assets"], WAKE_INTS), np.int64)
    floats = np.zeros((wakes * case["assets"], WAKE_FLOATS))
    counters = np.zeros(4, np.int64)
    drive(
        build(case, data),
        case["assets"],
        (case["way"], case["strategy"], case["levels"], case["anchor"]),
        data[f"pauses{case['number']}"],
        data[f"script{case['number']}"],
        (case["tick_size"], case["lot_size"]),
        np.zeros(orders, np.int64),
        log_ints,
        log_floats,
        ints,
        floats,
        counters,
    )
    _, seen, rows, _ = counters
    log_ints, log_floats = log_ints[:rows], log_floats[:rows]
    log_ints[:, 4] = REQUESTS[log_ints[:, 4]]
    return log_ints, log_floats, ints[: seen * case["assets"]], floats[: seen * case["assets"]], counters


def main():
    data = dict(np.load(sys.argv[1]))
    results = {}
    for case in json.loads(str(data["cases"])):
        names = ("log_ints", "log_floats", "ints", "floats", "counters")
        for name, array in zip(names, run(case, data), strict=True):
            results[f"{name}{case['number']}"] = array
    np.savez(sys.argv[2], **results)


main()
