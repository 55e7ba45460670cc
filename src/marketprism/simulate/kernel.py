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
from marketprism.simulate.ring import (
    MASK,
    MAX_EVENT_ROWS,
    RING_FIELDS,
    emit,
    exponential,
    geometric,
    market_order,
    normal,
    receive,
)

__all__ = [
    "MARKET_DTYPE",
    "REFRESH_NS",
    "TILT_FIELDS",
    "cancel_order",
    "cancel_rate",
    "generate",
    "limit_order",
    "refresh",
]

REFRESH_NS = 100_000_000
"""Grid on which drift and activity move."""

TILT_FIELDS: list[tuple[str, Any]] = [
    ("limit_buy_tilt", np.float64),
    ("limit_sell_tilt", np.float64),
    ("cancel_buy_tilt", np.float64),
    ("cancel_sell_tilt", np.float64),
]
"""What :func:`limit_order` and :func:`cancel_order` read besides the ring: factors on the rates of each side."""

MARKET_DTYPE = np.dtype(
    [
        *RING_FIELDS,
        *TILT_FIELDS,
        ("refresh_ns", np.int64),  # next refresh; never for the pure model
        ("drift", np.float64),
        ("log_activity", np.float64),
        ("activity", np.float64),  # times the rate scale
        ("buy_tilt", np.float64),  # market buys
        ("sell_tilt", np.float64),
        ("buy_excitation", np.float64),  # a second
        ("sell_excitation", np.float64),
        ("excited_ns", np.int64),  # when they were last decayed
        ("market", np.float64),  # base rate of market orders a side
        ("limit_total", np.float64),
        ("order_lots", np.float64),
        ("market_loading", np.float64),
        ("limit_loading", np.float64),
        ("cancel_loading", np.float64),
        ("drift_decay", np.float64),  # over one refresh
        ("activity_decay", np.float64),
        ("activity_sd", np.float64),
        ("excitation_jump", np.float64),
        ("excitation_decay", np.float64),  # a second
    ],
    align=True,
)

_DELTA = int(EventKind.BOOK_DELTA)
_FIRST, _LAST = int(Flag.FIRST), int(Flag.LAST)


@njit(cache=True)
def refresh(state: Any, drift_rng: np.random.Generator) -> None:
    """Move drift and activity one refresh on, and set the tilts that follow from them."""
    state["drift"] = state["drift_decay"] * state["drift"] + math.sqrt(1 - state["drift_decay"] ** 2) * normal(
        drift_rng
    )
    spread = state["activity_sd"] * math.sqrt(1 - state["activity_decay"] ** 2)
    state["log_activity"] = state["activity_decay"] * state["log_activity"] + spread * normal(drift_rng)
    # The mean of the log-normal is one.
    state["activity"] = state["rate_scale"] * math.exp(state["log_activity"] - 0.5 * state["activity_sd"] ** 2)
    tilt = math.exp(state["market_loading"] * state["drift"])
    state["buy_tilt"], state["sell_tilt"] = tilt, 1.0 / tilt
    tilt = math.exp(state["limit_loading"] * state["drift"])
    state["limit_buy_tilt"], state["limit_sell_tilt"] = tilt, 1.0 / tilt
    tilt = math.exp(state["cancel_loading"] * state["drift"])
    state["cancel_buy_tilt"], state["cancel_sell_tilt"] = 1.0 / tilt, tilt


@njit(cache=True)
def cancel_rate(queue: np.ndarray, cancel: np.ndarray, best: int, away: int, lots: int) -> Any:
    """Sum of cancellation rates of one side, in lots; ``best`` is the opposite quote, ``away`` points from it."""
    last = len(cancel) - 1
    rate = cancel[last] * lots
    for i in range(last):
        rate += (cancel[i] - cancel[last]) * queue[(best + away * (i + 1)) & MASK]
    return rate


@njit(cache=True)
def cancel_order(
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
    emit(state, out, n, _DELTA, -away, price, level - taken, _FIRST | _LAST)
    return n + 1


@njit(cache=True)
def limit_order(
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
    emit(state, out, n, _DELTA, -away, price, queue[price & MASK], _FIRST | _LAST)
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
        bid_rate = cancel_rate(bid, cancel, state["ask"], -1, state["bid_lots"])
        ask_rate = cancel_rate(ask, cancel, state["bid"], 1, state["ask_lots"])
        cancel_buys = bid_rate * state["cancel_buy_tilt"]
        cancel_sells = ask_rate * state["cancel_sell_tilt"]
        total = buys + sells + limit_buys + limit_sells + cancel_buys + cancel_sells
        wait = exponential(event_rng) / (total * state["activity"]) * 1e9
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
        size = geometric(state["order_lots"], event_rng)
        if at < buys + sells:
            buy = at < buys
            _decay_excitation(state)
            n = market_order(state, bid, ask, buy, size, latency_rng, out, n)
            if buy:
                state["buy_excitation"] += state["excitation_jump"]
            else:
                state["sell_excitation"] += state["excitation_jump"]
            continue
        receive(state, latency_rng)
        at -= buys + sells
        if at < limit_buys + limit_sells:
            n = limit_order(state, bid, ask, limit_sum, at < limit_buys, at, limit_buys, size, out, n)
        else:
            at -= limit_buys + limit_sells
            n = cancel_order(state, bid, ask, cancel, at < cancel_buys, at, cancel_buys, size, out, n)
    return n
