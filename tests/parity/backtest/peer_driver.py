"""Runs under hftbacktest's own Python: plays the cases and writes what became of every order.

``python peer_driver.py CASES.npz RESULTS.npz``. Calls the peer's compiled library directly, so nothing is compiled.
Knows nothing of marketprism; ours.py is its twin.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys
from typing import Any

import numpy as np
from hftbacktest import BacktestAsset, build_hashmap_backtest, build_roivec_backtest
from hftbacktest.binding import lib, orders_values, orders_values_next
from hftbacktest.types import order_dtype, state_values_dtype
from play import Player

_ORDER = struct.Struct("<dddqqdqqQQQ?BBBbB")
_STATE = struct.Struct("<dddqdd")
_REQUESTS = (0, 1, 2, 3, 4, 5, 7, 6)
"""The peer's codes of requests as ours: there 6 is a rejection and 7 a replacement."""
assert order_dtype.names[:2] == ("qty", "leaves_qty")
assert state_values_dtype.names[3] == "num_trades"
assert _STATE.size == state_values_dtype.itemsize


class Peer:
    """A venue of the peer."""

    def __init__(self, case: dict[str, Any], data: dict[str, np.ndarray]) -> None:
        assets = [_asset(case, data, asset) for asset in range(case["assets"])]
        kind = "hashmap" if case["hashed"] else "roivec"
        self.at = (build_hashmap_backtest if case["hashed"] else build_roivec_backtest)(assets)
        self.calls = {name: getattr(lib, f"{kind}bt_{name}") for name in _CALLS}
        self.looks = {name: getattr(lib, f"{kind}depth_{name}") for name in _LOOKS}
        self.tick_size = case["tick_size"]

    def step(self, way: int, pause: int) -> bool:
        if way == 0:
            code = self.calls["elapse"](self.at, pause)
        else:
            code = self.calls["wait_next_feed"](self.at, way == 2, pause)
        if code not in (0, 1, 2, 3):
            raise RuntimeError(f"the peer returned {code}")
        return code == 1

    def now(self) -> int:
        return self.calls["current_timestamp"](self.at)

    def best(self, asset: int) -> tuple[int, int, float, float]:
        book = self.calls["depth"](self.at, asset)
        bid, ask = self.looks["best_bid_tick"](book), self.looks["best_ask_tick"](book)
        return (
            bid,
            ask,
            self.looks["bid_qty_at_tick"](book, bid) if bid > 0 else 0.0,
            self.looks["ask_qty_at_tick"](book, ask) if ask < 10**9 else 0.0,
        )

    def totals(self, asset: int) -> tuple[int, float, float, float, float, float]:
        state = ctypes.string_at(self.calls["state_values"](self.at, asset), _STATE.size)
        position, balance, fee, trades, volume, value = _STATE.unpack(state)
        return trades, position, balance, fee, volume, value

    def orders(self, asset: int) -> dict[int, tuple[tuple[int, ...], tuple[float, ...]]]:
        found = {}
        values = orders_values(self.calls["orders"](self.at, asset))
        while at := orders_values_next(values):
            fields = _ORDER.unpack(ctypes.string_at(at, _ORDER.size))
            quantity, leaves, executed, executed_tick, tick, _, exchange_ts, sent_ts, number = fields[:9]
            maker, _, request, status, side, _ = fields[11:]
            request = _REQUESTS[request]
            whole = (number, status, request, tick, exchange_ts, sent_ts, executed_tick, int(maker), side)
            found[number] = (whole, (quantity, leaves, executed))
        return found

    def submit(self, asset: int, number: int, side: int, tick: int, quantity: float, kind: int, force: int) -> None:
        call = self.calls["submit_buy_order" if side > 0 else "submit_sell_order"]
        _succeed(call(self.at, asset, number, tick * self.tick_size, quantity, force, kind, False))

    def cancel(self, asset: int, number: int) -> None:
        _succeed(self.calls["cancel"](self.at, asset, number, False))

    def modify(self, asset: int, number: int, tick: int, quantity: float) -> None:
        _succeed(self.calls["modify"](self.at, asset, number, tick * self.tick_size, quantity, False))

    def forget(self, asset: int) -> None:
        self.calls["clear_inactive_orders"](self.at, asset)

    def close(self) -> None:
        self.calls["close"](self.at)


_CALLS = (
    "elapse",
    "wait_next_feed",
    "current_timestamp",
    "depth",
    "state_values",
    "orders",
    "submit_buy_order",
    "submit_sell_order",
    "cancel",
    "modify",
    "clear_inactive_orders",
    "close",
)
_LOOKS = ("best_bid_tick", "best_ask_tick", "bid_qty_at_tick", "ask_qty_at_tick")


def _succeed(code: int) -> None:
    if code:
        raise RuntimeError(f"the peer returned {code}")


def _asset(case: dict[str, Any], data: dict[str, np.ndarray], asset: int) -> BacktestAsset:
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
    built = built.tick_size(case["tick_size"]).lot_size(case["lot_size"])
    return built.roi_lb(0.0).roi_ub(case["roi"] * case["tick_size"])


def main() -> None:
    data = dict(np.load(sys.argv[1]))
    results: dict[str, np.ndarray] = {}
    for case in json.loads(str(data["cases"])):
        peer = Peer(case, data)
        for name, array in Player(peer, case, data).run().items():
            results[f"{name}{case['number']}"] = array
        peer.close()
    np.savez(sys.argv[2], **results)


main()
