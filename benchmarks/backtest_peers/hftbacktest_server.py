"""Runs under hftbacktest's own Python: replays the stream with the same strategies, one run per line of input.

``python hftbacktest_server.py EVENTS.npy``. Each line ``CASE AWAY`` is answered by a line of JSON: processor time of
the run in seconds, and what became of the account.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from hftbacktest import GTX, LIMIT, BacktestAsset, ROIVectorMarketDepthBacktest
from numba import njit

TICK, SIZE, MOST = 0.1, 0.5, 50.0


@njit
def replay(h):
    while h.elapse(60_000_000_000) == 0:
        pass


@njit
def quote(h, levels, away):
    h.clear_inactive_orders(0)
    depth = h.depth(0)
    if depth.best_bid_tick < 0 or depth.best_ask_tick > 10**9:
        return
    bid, ask = depth.best_bid_tick - away, depth.best_ask_tick + away
    orders = h.orders(0)
    values = orders.values()
    while values.has_next():
        order = values.get()
        behind = bid - order.price_tick if order.side == 1 else order.price_tick - ask
        if not 0 <= behind < levels and order.cancellable:
            h.cancel(0, order.order_id, False)
    position = h.position(0)
    for k in range(levels):
        if position < MOST and (bid - k) not in orders:
            h.submit_buy_order(0, bid - k, (bid - k) * TICK, SIZE, GTX, LIMIT, False)
        if position > -MOST and (10_000_000 + ask + k) not in orders:
            h.submit_sell_order(0, 10_000_000 + ask + k, (ask + k) * TICK, SIZE, GTX, LIMIT, False)


@njit
def grid(h, step, levels, away):
    while h.elapse(step) == 0:
        quote(h, levels, away)


@njit
def touch(h):
    while True:
        code = h.wait_next_feed(False, 1_000_000_000_000_000_000)
        if code != 0 and code != 2:
            return
        quote(h, 1, 0)


def run(events, low, high, case, away):
    asset = BacktestAsset().data(events).linear_asset(1.0).constant_order_latency(1_000_000, 1_000_000)
    asset = asset.power_prob_queue_model(2.0).no_partial_fill_exchange().trading_value_fee_model(-0.00005, 0.0007)
    venue = ROIVectorMarketDepthBacktest([asset.tick_size(TICK).lot_size(0.001).roi_lb(low).roi_ub(high)])
    begin = time.process_time()
    if case == "replay":
        replay(venue)
    elif case == "touch":
        touch(venue)
    else:
        grid(venue, {"grid_100_ms": 100_000_000, "grid_10_ms": 10_000_000, "grid_1_ms": 1_000_000}[case], 10, away)
    seconds = time.process_time() - begin
    state = venue.state_values(0)
    account = [float(x) for x in (state.num_trades, state.position, state.balance, state.fee)]
    venue.close()
    return {"seconds": seconds, "account": account}


def main():
    events = np.load(sys.argv[1])
    low, high = events["px"].min() - 50, events["px"].max() + 50
    few = events[:2000].copy()
    for case in ("replay", "grid_1_ms", "touch"):
        run(few, low, high, case, 0)
    print("ready", flush=True)
    for line in sys.stdin:
        case, away = line.split()
        print(json.dumps(run(events, low, high, case, int(away))), flush=True)


main()
