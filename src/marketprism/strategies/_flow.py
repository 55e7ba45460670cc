"""What happened in a market since the last wake: market orders by depth, the move of the mid, new rows of signals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from marketprism.backtest import _views as view
from marketprism.backtest._layout import NO_ASK, NO_BID
from marketprism.backtest._rules import rule_of
from marketprism.core.kernels import inner

__all__ = ["NEAREST", "known_mid", "watch"]

_NO_BID, _NO_ASK = int(NO_BID), int(NO_ASK)
NEAREST = 0.5
"""Depth from which market orders count, ticks from the mid."""
_NS = 1e-9


@inner
def known_mid(e: Any, index: int) -> float:
    """Return the mid as the local side knows it, ticks; NaN where a side is empty or the market is not observed."""
    market = view.market(e, index)
    if market.known_bid == _NO_BID or market.known_ask == _NO_ASK or market.known_ask <= market.known_bid:
        return math.nan
    if view.clock(e).strict and rule_of(e, index).known_blind:
        return math.nan
    return float(0.5 * (market.known_bid + market.known_ask))


@inner
def _count(flow: Any, depth: float, histogram: np.ndarray) -> None:
    if depth >= NEAREST:
        further = math.floor(depth - NEAREST)
        flow.hits += 1.0
        flow.beyond += further
        histogram[int(min(further, len(histogram) - 1))] += 1


@inner
def _walk(e: Any, market: Any, flow: Any, histogram: np.ndarray) -> None:
    """Count the market orders heard since the last wake by how far from the mid of then they went.

    Trades of one side and one exchange time are one order.
    """
    last_ts, last_side, deepest = -1, 0, -math.inf
    for at in range(flow.event_at, market.local_at):
        event = view.event(e, at)
        kind = event.kind & 63
        if not event.kind & 128 or kind < 4 or kind > 6:
            continue
        away = event.tick - flow.mid
        side = 1 if kind == 4 or (kind == 6 and away > 0.0) else -1
        if event.exchange_ts != last_ts or side != last_side:
            _count(flow, deepest, histogram)
            last_ts, last_side, deepest = event.exchange_ts, side, -math.inf
        deepest = max(deepest, side * away)
    _count(flow, deepest, histogram)


@inner
def watch(e: Any, index: int, flow: Any, sample_ns: int, signal_ts: np.ndarray, histogram: np.ndarray) -> float:
    """Bring the record of one market up to date; return its mid, ticks."""
    market, now = view.market(e, index), view.clock(e).now
    flow.hits = 0.0
    flow.beyond = 0.0
    flow.seconds = 0.0
    flow.square = 0.0
    flow.square_seconds = 0.0
    mid: float = known_mid(e, index)
    if not math.isnan(flow.mid):
        _walk(e, market, flow, histogram)
        flow.seconds = (now - flow.last_ts) * _NS
    flow.event_at = market.local_at
    flow.last_ts = now
    flow.mid = mid
    if math.isnan(mid):
        flow.sample_mid = math.nan
    elif math.isnan(flow.sample_mid):
        flow.sample_mid = mid
        flow.sample_ts = now
    elif now - flow.sample_ts >= sample_ns:
        flow.square = (mid - flow.sample_mid) ** 2
        flow.square_seconds = (now - flow.sample_ts) * _NS
        flow.sample_mid = mid
        flow.sample_ts = now
    flow.signal_from = flow.signal_to
    while flow.signal_to < flow.signal_end and signal_ts[flow.signal_to] <= now:
        flow.signal_to += 1
    return mid
