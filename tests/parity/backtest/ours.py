"""Our twin of peer_driver.py: a venue on the engine in compat mode, driven call by call."""

from __future__ import annotations

from decimal import Decimal
from operator import itemgetter
from typing import Any

import numpy as np

from marketprism.backtest import actions
from marketprism.backtest._layout import ORDER_DTYPE
from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.backtest.latency import RecordedLatency
from marketprism.backtest.models import MarketModels
from marketprism.backtest.tape import EVENT_DTYPE, Tape

BUY, SELL, EXCHANGE, LOCAL = 1 << 29, 1 << 28, 1 << 31, 1 << 30
TRADE, CLEAR = 2, 3
QUEUES = ("risk_averse", "log", "log_total", "power", "power_total", "power_share")
_SUMS = ("fees", "volume", "value")
_FIELDS = list(ORDER_DTYPE.names or ())


def _pick(names: str) -> itemgetter[Any]:
    return itemgetter(*(_FIELDS.index(name) for name in names.split()))


_WHOLE = _pick("id status request tick known_ts sent_ts executed_tick maker side")
_FLOATS = _pick("quantity known_leaves executed")
_NEXT = _FIELDS.index("local_next")


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


def engine_of(case: dict[str, Any], data: dict[str, np.ndarray]) -> Engine:
    """Return the engine of a case."""
    number, sizes = case["number"], (case["tick_size"], case["lot_size"])
    models = MarketModels()
    if case["recorded"]:
        rows = data[f"latency{number}"]
        models = MarketModels(latency=RecordedLatency(rows["req_ts"], rows["exch_ts"], rows["resp_ts"]))
    tapes = [
        Tape(pack(data[f"events{number}_{asset}"], *sizes), *(Decimal(str(size)) for size in sizes))
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
    return Engine(tapes, [config] * case["assets"], models=[models] * case["assets"], mode="compat")


class Ours:
    """A venue of ours."""

    def __init__(self, case: dict[str, Any], data: dict[str, np.ndarray]) -> None:
        self.engine = engine_of(case, data)
        self.slots: dict[int, int] = {}
        self._inverse = case["inverse"]

    def step(self, way: int, pause: int) -> bool:
        while True:
            e = self.engine.pointer
            code = actions.advance(e, pause) if way == 0 else actions.advance_to_feed(e, pause, way == 2)
            if code != 2:
                return code == 0
            self.engine.grow()

    def now(self) -> int:
        return int(self.engine.clock["now"][0])

    def best(self, asset: int) -> tuple[int, int, float, float]:
        market = self.engine.markets[asset]
        bid, ask = int(market["known_bid"]), int(market["known_ask"])
        known, at, low = self.engine._arrays["known"], 2 * int(market["offset"]), int(market["low"])
        return (
            bid,
            ask,
            float(known[at + bid - low]) if bid > 0 else 0.0,
            float(known[at + int(market["size"]) + ask - low]) if ask < 10**9 else 0.0,
        )

    def totals(self, asset: int) -> tuple[int, float, float, float, float, float]:
        account = self.engine.accounts[asset, 0]
        cash = float(account["cash"]) * (-1.0 if self._inverse else 1.0)
        return int(account["trades"]), float(account["position"]), cash, *(float(account[k]) for k in _SUMS)

    def orders(self, asset: int) -> dict[int, tuple[tuple[int, ...], tuple[float, ...]]]:
        found, slot, orders = {}, int(self.engine.accounts[asset, 0]["first"]), self.engine._arrays["orders"]
        while slot >= 0:
            order = orders[slot].item()
            whole = _WHOLE(order)
            found[whole[0]] = (whole, _FLOATS(order))
            slot = order[_NEXT]
        return found

    def submit(self, asset: int, number: int, side: int, tick: int, quantity: float, kind: int, force: int) -> None:
        self.slots[number] = actions.submit(self.engine.pointer, 0, asset, side, tick, quantity, kind, force)

    def cancel(self, asset: int, number: int) -> None:
        assert actions.cancel(self.engine.pointer, self.slots[number])

    def modify(self, asset: int, number: int, tick: int, quantity: float) -> None:
        assert actions.modify(self.engine.pointer, self.slots[number], tick, quantity)

    def forget(self, asset: int) -> None:
        actions.forget(self.engine.pointer, 0, asset)
