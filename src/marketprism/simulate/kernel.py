"""The simulated queue book, event by event, into rows.

Between refreshes (every 100 ms of exchange time) the latent drift and the activity are constant, so that waiting
times are exponential and the next event is drawn exactly. Randomness comes as uniforms of three generators, drawn
in event order only: where a block ends changes nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from marketprism.core.kinds import EventKind, Flag

__all__ = ["MARKET_DTYPE", "MASK", "MAX_EVENT_ROWS", "REFRESH_NS", "generate", "refresh"]

MASK = 4095
"""The ladder is a ring of 4096 ticks: what is farther from the quotes has long been cancelled."""
_SWEEP_LEVELS = 16
MAX_EVENT_ROWS = 2 * _SWEEP_LEVELS
"""Most rows that one event writes: a market order stops after 16 levels."""
REFRESH_NS = 100_000_000
"""Grid on which drift and activity move."""

MARKET_DTYPE = np.dtype(
    [
        ("now_ns", np.int64),  # since the opening
        ("refresh_ns", np.int64),  # next refresh; never for the pure model
        ("bid", np.int64),  # best quotes, ticks
        ("ask", np.int64),
        ("bid_lots", np.int64),  # resting on the whole side
        ("ask_lots", np.int64),
        ("update_id", np.int64),
        ("trade_id", np.int64),
        ("ts_recv", np.int64),
        ("drift", np.float64),
        ("log_activity", np.float64),
        ("activity", np.float64),  # times the rate scale
        ("buy_tilt", np.float64),  # market buys
        ("sell_tilt", np.float64),
        ("limit_buy_tilt", np.float64),
        ("limit_sell_tilt", np.float64),
        ("cancel_buy_tilt", np.float64),
        ("cancel_sell_tilt", np.float64),
        ("buy_excitation", np.float64),  # a second
        ("sell_excitation", np.float64),
        ("excited_ns", np.int64),  # when they were last decayed
        ("start_ns", np.int64),
        ("lots_per_unit", np.int64),
        ("market", np.float64),  # base rate of market orders a side
        ("limit_total", np.float64),
        ("order_lots", np.float64),
        ("market_loading", np.float64),
        ("limit_loading", np.float64),
        ("cancel_loading", np.float64),
        ("drift_decay", np.float64),  # over one refresh
        ("activity_decay", np.float64),
        ("activity_sd", np.float64),
        ("rate_scale", np.float64),
        ("excitation_jump", np.float64),
        ("excitation_decay", np.float64),  # a second
        ("latency_ns", np.float64),
        ("jitter_ns", np.float64),
    ],
    align=True,
)

_TRADE, _DELTA = int(EventKind.TRADE), int(EventKind.BOOK_DELTA)
_FIRST, _LAST = int(Flag.FIRST), int(Flag.LAST)
_SPIKE_SHARE, _SPIKE = 1e-3, 20.0


@njit(cache=True)
def _exponential(uniforms: np.random.Generator) -> float:
    return -math.log(1.0 - uniforms.random())


@njit(cache=True)
def _normal(uniforms: np.random.Generator) -> float:
    radius = math.sqrt(2.0 * _exponential(uniforms))
    return radius * math.cos(2.0 * math.pi * uniforms.random())


@njit(cache=True)
def refresh(state: Any, drift_rng: np.random.Generator) -> None:
    """Move drift and activity one refresh on, and set the tilts that follow from them."""
    state["drift"] = state["drift_decay"] * state["drift"] + math.sqrt(1 - state["drift_decay"] ** 2) * _normal(
        drift_rng
    )
    spread = state["activity_sd"] * math.sqrt(1 - state["activity_decay"] ** 2)
    state["log_activity"] = state["activity_decay"] * state["log_activity"] + spread * _normal(drift_rng)
    # The mean of the log-normal is one.
    state["activity"] = state["rate_scale"] * math.exp(state["log_activity"] - 0.5 * state["activity_sd"] ** 2)
    tilt = math.exp(state["market_loading"] * state["drift"])
    state["buy_tilt"], state["sell_tilt"] = tilt, 1.0 / tilt
    tilt = math.exp(state["limit_loading"] * state["drift"])
    state["limit_buy_tilt"], state["limit_sell_tilt"] = tilt, 1.0 / tilt
    tilt = math.exp(state["cancel_loading"] * state["drift"])
    state["cancel_buy_tilt"], state["cancel_sell_tilt"] = 1.0 / tilt, tilt


@njit(cache=True)
def _size(state: Any, rng: np.random.Generator) -> int:
    """Draw an order size in lots: geometric, or one."""
    if state["order_lots"] <= 1.0:
        return 1
    return 1 + int(_exponential(rng) / -math.log(1.0 - 1.0 / state["order_lots"]))


@njit(cache=True)
def _cancel_rate(queue: np.ndarray, cancel: np.ndarray, best: int, away: int, lots: int) -> Any:
    """Sum of cancellation rates of one side, in lots; ``best`` is the opposite quote, ``away`` points from it."""
    last = len(cancel) - 1
    rate = cancel[last] * lots
    for i in range(last):
        rate += (cancel[i] - cancel[last]) * queue[(best + away * (i + 1)) & MASK]
    return rate


@njit(cache=True)
def _emit(state: Any, out: np.ndarray, n: int, kind: int, side: int, price: int, lots: int, flags: int) -> None:
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
def _receive(state: Any, rng: np.random.Generator) -> None:
    """Draw when the next message arrives; messages of one connection keep their order."""
    jitter = state["jitter_ns"] * _exponential(rng)
    if rng.random() < _SPIKE_SHARE:
        jitter *= _SPIKE
    arrival = state["start_ns"] + state["now_ns"] + int(state["latency_ns"] + jitter)
    state["ts_recv"] = max(state["ts_recv"], arrival)


@njit(cache=True)
def _market_order(
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
            _receive(state, rng)
            _emit(state, out, n, _TRADE, side, price, taken, _FIRST | _LAST)
            n += 1
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
        _receive(state, rng)
        state["update_id"] += 1
    for k in range(trades):
        level = out[first_row + k]["price"]
        flags = (_FIRST if k == 0 else 0) | (_LAST if k == trades - 1 else 0)
        _emit(state, out, n, _DELTA, -side, level, queue[level & MASK], flags)
        n += 1
    return n


@njit(cache=True)
def _cancel(
    state: Any,
    bid: np.ndarray,
    ask: np.ndarray,
    cancel: np.ndarray,
    buy: bool,
    at: float,
    buys: float,
    size: int,
    out: np.ndarray,
    n: int,
) -> int:
    """Cancel at the level where the running sum of rates passes ``at`` (bids first); a side's last order stays."""
    queue = bid if buy else ask
    at = at / state["cancel_buy_tilt"] if buy else (at - buys) / state["cancel_sell_tilt"]
    away = -1 if buy else 1
    opposite = state["ask"] if buy else state["bid"]
    resting = state["bid_lots"] if buy else state["ask_lots"]
    last = len(cancel) - 1
    distance, level = 0, 0
    for i in range(1, MASK):
        lots = queue[(opposite + away * i) & MASK]
        if lots > 0:
            # Rounding may leave a remainder beyond the last level: that level takes it.
            distance, level = i, lots
            at -= lots * cancel[min(i - 1, last)]
            if at < 0.0:
                break
    taken = min(size, level, resting - 1)
    if taken <= 0:
        return n
    price = opposite + away * distance
    queue[price & MASK] = level - taken
    best = state["bid"] if buy else state["ask"]
    while queue[best & MASK] == 0:
        best += away
    if buy:
        state["bid"], state["bid_lots"] = best, resting - taken
    else:
        state["ask"], state["ask_lots"] = best, resting - taken
    state["update_id"] += 1
    _emit(state, out, n, _DELTA, -away, price, level - taken, _FIRST | _LAST)
    return n + 1


@njit(cache=True)
def _limit_order(
    state: Any,
    bid: np.ndarray,
    ask: np.ndarray,
    limit_sum: np.ndarray,
    buy: bool,
    at: float,
    buys: float,
    size: int,
    out: np.ndarray,
    n: int,
) -> int:
    """Rest at the distance where the running sum of arrival rates passes ``at`` (bids first)."""
    queue = bid if buy else ask
    at = at / state["limit_buy_tilt"] if buy else (at - buys) / state["limit_sell_tilt"]
    away = -1 if buy else 1
    found = int(np.searchsorted(limit_sum, at, side="right"))
    distance = min(found, len(limit_sum) - 1) + 1
    price = (state["ask"] if buy else state["bid"]) + away * distance
    queue[price & MASK] += size
    if buy:
        state["bid"] = max(state["bid"], price)
        state["bid_lots"] += size
    else:
        state["ask"] = min(state["ask"], price)
        state["ask_lots"] += size
    state["update_id"] += 1
    _emit(state, out, n, _DELTA, -away, price, queue[price & MASK], _FIRST | _LAST)
    return n + 1


@njit(cache=True)
def _decay_excitation(state: Any) -> None:
    if state["excitation_jump"] > 0.0:
        # In activity time, like the arrivals: the branching ratio holds in busy and in quiet times.
        elapsed_s = (state["now_ns"] - state["excited_ns"]) * 1e-9
        factor = math.exp(-state["excitation_decay"] * state["activity"] * elapsed_s)
        state["buy_excitation"] *= factor
        state["sell_excitation"] *= factor
    state["excited_ns"] = state["now_ns"]


@njit(cache=True)
def generate(
    states: np.ndarray,
    bid: np.ndarray,
    ask: np.ndarray,
    limit_sum: np.ndarray,
    cancel: np.ndarray,
    end_ns: int,
    event_rng: np.random.Generator,
    drift_rng: np.random.Generator,
    latency_rng: np.random.Generator,
    out: np.ndarray,
) -> int:
    """Write rows until ``out`` has no room for another event or the market closes.

    Parameters
    ----------
    states : ndarray of MARKET_DTYPE, shape (1,)
        The market (changed).
    bid, ask : int64 ndarray, shape (MASK + 1,)
        Lots at ``price & MASK`` (changed).
    limit_sum : float64 ndarray, shape (depth,)
        Running sum of arrival rates by distance.
    cancel : float64 ndarray
        Cancellation rates of a lot by distance.
    end_ns : int
        Close, ns since the opening.
    event_rng, drift_rng, latency_rng : Generator
        Streams of uniforms.
    out : ndarray of ROW_DTYPE, at least MAX_EVENT_ROWS long
        Rows (written from the beginning).

    Returns
    -------
    int
        Rows written; 0 once the market has closed.
    """
    state = states[0]
    n = 0
    while n + MAX_EVENT_ROWS <= len(out) and state["now_ns"] < end_ns:
        _decay_excitation(state)
        buys = state["market"] * state["buy_tilt"] + state["buy_excitation"]
        sells = state["market"] * state["sell_tilt"] + state["sell_excitation"]
        limit_buys = state["limit_total"] * state["limit_buy_tilt"]
        limit_sells = state["limit_total"] * state["limit_sell_tilt"]
        bid_rate = _cancel_rate(bid, cancel, state["ask"], -1, state["bid_lots"])
        ask_rate = _cancel_rate(ask, cancel, state["bid"], 1, state["ask_lots"])
        cancel_buys = bid_rate * state["cancel_buy_tilt"]
        cancel_sells = ask_rate * state["cancel_sell_tilt"]
        total = buys + sells + limit_buys + limit_sells + cancel_buys + cancel_sells
        wait = _exponential(event_rng) / (total * state["activity"]) * 1e9
        if state["now_ns"] + wait >= state["refresh_ns"]:
            state["now_ns"] = state["refresh_ns"]
            state["refresh_ns"] += REFRESH_NS
            _decay_excitation(state)
            refresh(state, drift_rng)
            continue
        state["now_ns"] += max(int(wait), 1)
        if state["now_ns"] >= end_ns:
            break
        at = event_rng.random() * total
        size = _size(state, event_rng)
        if at < buys + sells:
            buy = at < buys
            _decay_excitation(state)
            n = _market_order(state, bid, ask, buy, size, latency_rng, out, n)
            if buy:
                state["buy_excitation"] += state["excitation_jump"]
            else:
                state["sell_excitation"] += state["excitation_jump"]
            continue
        _receive(state, latency_rng)
        at -= buys + sells
        if at < limit_buys + limit_sells:
            n = _limit_order(state, bid, ask, limit_sum, at < limit_buys, at, limit_buys, size, out, n)
        else:
            at -= limit_buys + limit_sells
            n = _cancel(state, bid, ask, cancel, at < cancel_buys, at, cancel_buys, size, out, n)
    return n
