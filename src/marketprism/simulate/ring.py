"""The ring book that every generator trades on: levels in lots at ``price & MASK``, and the rows that tell of them.

A model's state is a record whose dtype begins with :data:`RING_FIELDS`; the kernels here read and write those fields
and nothing else. Randomness comes as uniforms of the caller's generators, drawn in event order only.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from marketprism.core.kinds import EventKind, Flag

__all__ = [
    "MASK",
    "MAX_EVENT_ROWS",
    "RING_FIELDS",
    "change",
    "emit",
    "exponential",
    "geometric",
    "market_order",
    "normal",
    "receive",
    "tell",
    "trade",
    "wait",
]

MASK = 4095
"""The ladder is a ring of 4096 ticks: what is farther from the quotes has long been cancelled."""
_SWEEP_LEVELS = 16
MAX_EVENT_ROWS = 2 * _SWEEP_LEVELS
"""Most rows that a market order writes: it stops after 16 levels."""

RING_FIELDS: list[tuple[str, Any]] = [
    ("now_ns", np.int64),  # since the opening
    ("bid", np.int64),  # best quotes, ticks
    ("ask", np.int64),
    ("bid_lots", np.int64),  # resting on the whole side
    ("ask_lots", np.int64),
    ("update_id", np.int64),
    ("trade_id", np.int64),
    ("ts_recv", np.int64),
    ("start_ns", np.int64),
    ("lots_per_unit", np.int64),
    ("latency_ns", np.float64),
    ("jitter_ns", np.float64),
    ("rate_scale", np.float64),
]

_TRADE, _DELTA = int(EventKind.TRADE), int(EventKind.BOOK_DELTA)
_FIRST, _LAST = int(Flag.FIRST), int(Flag.LAST)
_SPIKE_SHARE, _SPIKE = 1e-3, 20.0


@njit(cache=True)
def exponential(uniforms: np.random.Generator) -> float:
    """Draw a standard exponential from one uniform."""
    return -math.log(1.0 - uniforms.random())


@njit(cache=True)
def normal(uniforms: np.random.Generator) -> float:
    """Draw a standard normal from two uniforms (Box and Muller)."""
    radius = math.sqrt(2.0 * exponential(uniforms))
    return radius * math.cos(2.0 * math.pi * uniforms.random())


@njit(cache=True)
def geometric(mean: float, uniforms: np.random.Generator) -> int:
    """Draw a geometric number, 1 or more, of the given mean; a mean of one draws nothing."""
    if mean <= 1.0:
        return 1
    return 1 + int(exponential(uniforms) / -math.log(1.0 - 1.0 / mean))


@njit(cache=True)
def emit(state: Any, out: np.ndarray, n: int, kind: int, side: int, price: int, lots: int, flags: int) -> None:
    """Write row ``n``: a trade with the next trade id, or a level of the current update."""
    row = out[n]
    row["ts_event"] = state["start_ns"] + state["now_ns"]
    row["ts_recv"] = state["ts_recv"]
    row["price"] = price
    row["quantity"] = lots / state["lots_per_unit"]
    row["payload"] = -1
    row["instrument"] = 0
    row["side"] = side
    row["kind"] = kind
    row["flags"] = flags
    row["first_id"] = -1
    row["previous_id"] = -1
    if kind == _TRADE:
        row["event_id"] = state["trade_id"]
        state["trade_id"] += 1
    else:
        row["event_id"] = state["update_id"]
        row["first_id"] = state["update_id"]
        row["previous_id"] = state["update_id"] - 1


@njit(cache=True)
def wait(state: Any, total: float, rng: np.random.Generator) -> None:
    """Let the time pass until the next event, where events come at the rate ``total`` a second."""
    seconds = exponential(rng) / (total * state["rate_scale"])
    state["now_ns"] += max(int(seconds * 1e9), 1)


@njit(cache=True)
def receive(state: Any, rng: np.random.Generator) -> None:
    """Draw when the next message arrives; messages of one connection keep their order."""
    jitter = state["jitter_ns"] * exponential(rng)
    if rng.random() < _SPIKE_SHARE:
        jitter *= _SPIKE
    arrival = state["start_ns"] + state["now_ns"] + int(state["latency_ns"] + jitter)
    state["ts_recv"] = max(state["ts_recv"], arrival)


@njit(cache=True)
def trade(state: Any, side: int, price: int, lots: int, rng: np.random.Generator, out: np.ndarray, n: int) -> int:
    """Write one trade message (``side`` is the aggressor's); return the next free row."""
    receive(state, rng)
    emit(state, out, n, _TRADE, side, price, lots, _FIRST | _LAST)
    return n + 1


@njit(cache=True)
def change(state: Any, bid: np.ndarray, ask: np.ndarray, side: int, price: int, lots: int) -> None:
    """Add ``lots`` (negative: take them away) at a level of ``side`` and keep the side's best quote and total.

    The caller sees to it that the side does not run empty. A new best quote passes over levels until one has lots.
    """
    queue = bid if side > 0 else ask
    queue[price & MASK] += lots
    if side > 0:
        state["bid_lots"] += lots
        if lots > 0:
            state["bid"] = max(state["bid"], price)
        while queue[state["bid"] & MASK] == 0:
            state["bid"] -= 1
    else:
        state["ask_lots"] += lots
        if lots > 0:
            state["ask"] = min(state["ask"], price)
        while queue[state["ask"] & MASK] == 0:
            state["ask"] += 1


@njit(cache=True)
def tell(
    state: Any,
    bid: np.ndarray,
    ask: np.ndarray,
    sides: np.ndarray,
    prices: np.ndarray,
    m: int,
    rng: np.random.Generator,
    out: np.ndarray,
    n: int,
) -> int:
    """Write one update message that says what now rests at the first ``m`` of the levels; return the next free row."""
    receive(state, rng)
    state["update_id"] += 1
    for k in range(m):
        queue = bid if sides[k] > 0 else ask
        flags = (_FIRST if k == 0 else 0) | (_LAST if k == m - 1 else 0)
        emit(state, out, n + k, _DELTA, sides[k], prices[k], queue[prices[k] & MASK], flags)
    return n + m


@njit(cache=True)
def market_order(
    state: Any,
    bid: np.ndarray,
    ask: np.ndarray,
    buy: bool,
    size: int,
    rng: np.random.Generator,
    out: np.ndarray,
    n: int,
) -> int:
    """Walk the opposite side; write its trades, then one update of the levels it took from."""
    queue = ask if buy else bid
    side = 1 if buy else -1
    resting = state["ask_lots"] if buy else state["bid_lots"]
    left = min(size, resting - 1)
    price = state["ask"] if buy else state["bid"]
    first_row = n
    while left > 0 and n - first_row < _SWEEP_LEVELS:
        taken = min(left, queue[price & MASK])
        if taken > 0:
            queue[price & MASK] -= taken
            left -= taken
            resting -= taken
            n = trade(state, side, price, taken, rng, out, n)
        if left > 0:
            price += side
    while queue[price & MASK] == 0:
        price += side
    if buy:
        state["ask"], state["ask_lots"] = price, resting
    else:
        state["bid"], state["bid_lots"] = price, resting
    trades = n - first_row
    if trades:
        receive(state, rng)
        state["update_id"] += 1
    for k in range(trades):
        level = out[first_row + k]["price"]
        flags = (_FIRST if k == 0 else 0) | (_LAST if k == trades - 1 else 0)
        emit(state, out, n, _DELTA, -side, level, queue[level & MASK], flags)
        n += 1
    return n
