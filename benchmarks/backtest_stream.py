"""The stream of the backtest benchmark: a book that walks, with trades, in the peer's records."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from numba import njit

from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.tape import EVENT_DTYPE, Tape

TICK, LOT = Decimal("0.1"), Decimal("0.001")
PEER_EVENT = np.dtype(
    [
        ("ev", "u8"),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("px", "f8"),
        ("qty", "f8"),
        ("order_id", "u8"),
        ("ival", "i8"),
        ("fval", "f8"),
    ]
)
"""hftbacktest's event: 64 bytes."""
_BUY, _SELL, _EXCHANGE, _LOCAL, _DEPTH, _TRADE = 1 << 29, 1 << 28, 1 << 31, 1 << 30, 1, 2


@njit(cache=True)
def _set(events, i, kind, side, tick, quantity):  # type: ignore[no-untyped-def]
    events[i].ev = np.uint64(kind | (_BUY if side > 0 else _SELL) | _EXCHANGE | _LOCAL)
    events[i].px = tick
    events[i].qty = quantity


@njit(cache=True)
def _fill(events, chance, away, size, buys):  # type: ignore[no-untyped-def]
    """One event in five is a trade at the best, followed by its level; the others set or empty a level near it."""
    width, middle = 40_000, 20_000
    bids, asks = np.zeros(width), np.zeros(width)
    bid, ask, i = middle, middle + 1, 0
    for k in range(20):
        bids[bid - k] = asks[ask + k] = 1.0 + 0.1 * k
        _set(events, i, _DEPTH, 1, bid - k, bids[bid - k])
        _set(events, i + 1, _DEPTH, -1, ask + k, asks[ask + k])
        i += 2
    while i + 1 < len(events):
        side = 1 if buys[i] else -1
        if chance[i] < 0.2:
            levels, tick = (asks, ask) if side > 0 else (bids, bid)
            quantity = min(size[i], levels[tick])
            _set(events, i, _TRADE, side, tick, quantity)
            left = round(levels[tick] - quantity, 3)
            levels[tick] = left
            _set(events, i + 1, _DEPTH, -side, tick, left)
            while asks[ask] <= 0.0:
                ask += 1
            while bids[bid] <= 0.0:
                bid -= 1
            i += 2
            continue
        levels, best = (bids, bid) if side > 0 else (asks, ask)
        tick = best + side if ask - bid > 1 and away[i] < 2 else best - side * away[i]
        quantity = 0.0 if chance[i] < 0.5 and levels[tick] > 0.0 and tick != best else size[i]
        levels[tick] = quantity
        _set(events, i, _DEPTH, side, tick, quantity)
        if quantity > 0.0:
            bid = max(bid, tick) if side > 0 else bid
            ask = min(ask, tick) if side < 0 else ask
        i += 1
    return i


def peer_events(count: int, seed: int = 0) -> np.ndarray:
    """Return ``count`` events, 80 us apart on average, heard a millisecond later."""
    rng = np.random.default_rng(seed)
    events = np.zeros(count, PEER_EVENT)
    filled = _fill(
        events,
        rng.random(count),
        rng.geometric(0.25, count) - 1,
        np.round(rng.exponential(2.0, count) + 0.001, 3),
        rng.random(count) < 0.5,
    )
    events = events[:filled]
    events["px"] = np.round((events["px"] + 80_000) * float(TICK), 1)
    times = 1_700_000_000_000_000_000 + np.cumsum(rng.exponential(80_000, len(events))).astype(np.int64)
    events["exch_ts"] = times
    events["local_ts"] = np.maximum.accumulate(times + 1_000_000 + rng.integers(0, 100_000, len(events)))
    return events


def tape_of(events: np.ndarray) -> Tape:
    """Return the same events as a tape."""
    out = np.zeros(len(events), EVENT_DTYPE)
    out["exchange_ts"], out["local_ts"], out["quantity"] = events["exch_ts"], events["local_ts"], events["qty"]
    out["tick"] = np.rint(events["px"] / float(TICK))
    buy = (events["ev"] & _BUY) != 0
    level = np.where(buy, TapeKind.BID, TapeKind.ASK) + 2 * (np.rint(events["qty"] / float(LOT)) == 0)
    trade = np.where(buy, TapeKind.BUY_TRADE, TapeKind.SELL_TRADE)
    out["kind"] = np.where(events["ev"] & 0xFF == _DEPTH, level, trade)
    out["kind"] |= np.uint8(TapeFlag.EXCHANGE | TapeFlag.LOCAL)
    return Tape(out, TICK, LOT)
