"""The agents' market, event by event: orders with owners in price-time priority, and what each kind of agent does.

Orders at one price form a linked list, first come first served. Every row is labelled with who acted and, for a trade,
whose resting order was taken.
"""

# mypy: disable-error-code="no-any-return"
# Kernels read records and array items, whose static type is Any.

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from marketprism.simulate.ring import MASK, RING_FIELDS, change, geometric, normal, tell, trade, wait

__all__ = [
    "AGENTS_DTYPE",
    "AGENT_DTYPE",
    "DOWN",
    "INFORMED",
    "MAKER",
    "MAX_ROWS",
    "NOISE",
    "ORDER_DTYPE",
    "SPOOFER",
    "Floor",
    "generate",
    "rest",
]

NOISE, INFORMED, MAKER, SPOOFER = range(4)
_MATCHES = 16
MAX_LAYERS = 8
MAX_ROWS = 2 * _MATCHES + 4
_NEAR = 5
DOWN = np.iinfo(np.int64).min
"""``since_ns`` of a spoofer whose wall is down (times before the opening are negative)."""

AGENTS_DTYPE = np.dtype(
    [
        *RING_FIELDS,
        ("value", np.float64),  # fundamental, in ticks
        ("noise_orders", np.int64),
        ("free", np.int64),  # orders left in the pool
        ("market_rate", np.float64),
        ("limit_rate", np.float64),
        ("cancel_rate", np.float64),
        ("news_rate", np.float64),
        ("news_ticks", np.float64),
        ("herding", np.float64),
        ("distance", np.float64),
        ("noise_lots", np.float64),
        ("informed_rate", np.float64),
        ("informed_lots", np.float64),
        ("informed_edge", np.float64),
        ("maker_rate", np.float64),
        ("maker_lots", np.int64),
        ("maker_skew", np.float64),
        ("maker_tilt", np.float64),
        ("maker_limit", np.int64),
        ("spoofer_rate", np.float64),
        ("spoof_lots", np.int64),
        ("spoof_layers", np.int64),
        ("spoof_distance", np.int64),
        ("spoof_hold_ns", np.int64),
        ("genuine_lots", np.int64),
    ],
    align=True,
)
AGENT_DTYPE = np.dtype(
    [
        ("role", np.int64),
        ("inventory", np.int64),  # lots
        ("half_spread", np.float64),  # makers, ticks
        ("orders", np.int64, (1 + MAX_LAYERS,)),  # makers: bid, ask; spoofers: genuine, layers; -1 is none
        ("since_ns", np.int64),  # spoofers: when the layers were put up, or DOWN
    ],
    align=True,
)
ORDER_DTYPE = np.dtype(
    [
        ("price", np.int64),
        ("lots", np.int64),
        ("side", np.int64),
        ("owner", np.int64),
        ("slot", np.int64),  # place in the owner's orders, or in the list of noise orders
        ("next", np.int64),
        ("previous", np.int64),
    ],
    align=True,
)


class Floor(NamedTuple):
    """The arrays of one pass: ring book, queues of orders, pool, agents, and scratch for one message."""

    bid: np.ndarray
    ask: np.ndarray
    head: np.ndarray
    tail: np.ndarray
    orders: np.ndarray
    free: np.ndarray
    noise: np.ndarray
    agents: np.ndarray
    first: np.ndarray
    sides: np.ndarray
    prices: np.ndarray


@njit(cache=True)
def rest(state: Any, floor: Floor, side: int, price: int, lots: int, owner: int, slot: int) -> int:
    """Rest an order at the end of its queue; return its place in the pool, or -1 where the pool is full."""
    if state["free"] == 0:
        return -1
    state["free"] -= 1
    k = floor.free[state["free"]]
    order = floor.orders[k]
    order["price"], order["lots"], order["side"] = price, lots, side
    order["owner"], order["slot"] = owner, slot
    s, at = (0 if side > 0 else 1), price & MASK
    order["next"], order["previous"] = -1, floor.tail[s, at]
    if floor.tail[s, at] >= 0:
        floor.orders[floor.tail[s, at]]["next"] = k
    else:
        floor.head[s, at] = k
    floor.tail[s, at] = k
    change(state, floor.bid, floor.ask, side, price, lots)
    if floor.agents[owner]["role"] == NOISE:
        order["slot"] = state["noise_orders"]
        floor.noise[state["noise_orders"]] = k
        state["noise_orders"] += 1
    else:
        floor.agents[owner]["orders"][slot] = k
    return k


@njit(cache=True)
def _forget(state: Any, floor: Floor, k: int) -> None:
    """Unlink an order without lots and give its place back."""
    order = floor.orders[k]
    s, at = (0 if order["side"] > 0 else 1), order["price"] & MASK
    if order["previous"] >= 0:
        floor.orders[order["previous"]]["next"] = order["next"]
    else:
        floor.head[s, at] = order["next"]
    if order["next"] >= 0:
        floor.orders[order["next"]]["previous"] = order["previous"]
    else:
        floor.tail[s, at] = order["previous"]
    owner = floor.agents[order["owner"]]
    if owner["role"] == NOISE:
        state["noise_orders"] -= 1
        last = floor.noise[state["noise_orders"]]
        floor.noise[order["slot"]] = last
        floor.orders[last]["slot"] = order["slot"]
    else:
        owner["orders"][order["slot"]] = -1
    floor.free[state["free"]] = k
    state["free"] += 1


@njit(cache=True)
def _note(floor: Floor, m: int, side: int, price: int) -> int:
    """Add a level to the message unless it is there already."""
    for j in range(m):
        if floor.sides[j] == side and floor.prices[j] == price:
            return m
    floor.sides[m], floor.prices[m] = side, price
    return m + 1


@njit(cache=True)
def _withdraw(state: Any, floor: Floor, k: int, m: int) -> int:
    """Cancel an order, unless it is all that its side has; return the levels of the message."""
    order = floor.orders[k]
    side, price, lots = order["side"], order["price"], order["lots"]
    if lots >= (state["bid_lots"] if side > 0 else state["ask_lots"]):
        return m
    change(state, floor.bid, floor.ask, side, price, -lots)
    _forget(state, floor, k)
    return _note(floor, m, side, price)


@njit(cache=True)
def _take(
    state: Any, floor: Floor, side: int, lots: int, taker: int, rng: np.random.Generator, out: Any, labels: Any, n: int
) -> int:
    """Send a market order: trades in price-time priority, then one update of the levels."""
    m = 0
    resting = state["ask_lots"] if side > 0 else state["bid_lots"]
    left = min(lots, resting - 1)
    for _ in range(_MATCHES):
        if left <= 0:
            break
        price = state["ask"] if side > 0 else state["bid"]
        k = floor.head[1 if side > 0 else 0, price & MASK]
        order = floor.orders[k]
        owner = order["owner"]
        done = min(left, order["lots"])
        labels[n, 0], labels[n, 1] = taker, owner
        n = trade(state, side, price, done, rng, out, n)
        left -= done
        order["lots"] -= done
        floor.agents[taker]["inventory"] += side * done
        floor.agents[owner]["inventory"] -= side * done
        m = _note(floor, m, -side, price)
        gone = order["lots"] == 0
        change(state, floor.bid, floor.ask, -side, price, -done)
        if gone:
            _forget(state, floor, k)
    return _say(state, floor, m, taker, rng, out, labels, n)


@njit(cache=True)
def _say(state: Any, floor: Floor, m: int, actor: int, rng: np.random.Generator, out: Any, labels: Any, n: int) -> int:
    """Write the message of ``m`` levels, labelled with who acted."""
    for j in range(m):
        labels[n + j, 0], labels[n + j, 1] = actor, -1
    return tell(state, floor.bid, floor.ask, floor.sides, floor.prices, m, rng, out, n) if m else n


@njit(cache=True)
def _pressure(state: Any, floor: Floor) -> float:
    """Imbalance of what both sides show within five ticks of their best, in [-1, 1]."""
    bids, asks = 0, 0
    for i in range(_NEAR):
        bids += floor.bid[(state["bid"] - i) & MASK]
        asks += floor.ask[(state["ask"] + i) & MASK]
    return (bids - asks) / (bids + asks)


@njit(cache=True)
def _quote(state: Any, floor: Floor, who: int) -> int:
    """Requote a maker around mid, pressure and inventory; return the levels of the message."""
    agent = floor.agents[who]
    fair = 0.5 * (state["bid"] + state["ask"]) + state["maker_tilt"] * _pressure(state, floor)
    fair -= state["maker_skew"] * agent["inventory"]
    m = 0
    for slot in range(2):
        side = 1 if slot == 0 else -1
        if side > 0:
            price = min(math.floor(fair - agent["half_spread"]), state["ask"] - 1)
        else:
            price = max(math.ceil(fair + agent["half_spread"]), state["bid"] + 1)
        wanted = side * agent["inventory"] < state["maker_limit"]
        k = agent["orders"][slot]
        if k >= 0 and wanted and floor.orders[k]["price"] == price:
            continue
        if k >= 0:
            m = _withdraw(state, floor, k, m)
        if (
            wanted
            and agent["orders"][slot] < 0
            and rest(state, floor, side, price, state["maker_lots"], who, slot) >= 0
        ):
            m = _note(floor, m, side, price)
    return m


@njit(cache=True)
def _spoof(state: Any, floor: Floor, who: int, rng: np.random.Generator) -> int:
    """Put up layers against a small order of the other side, or take everything down; levels of the message."""
    agent = floor.agents[who]
    m = 0
    if agent["since_ns"] == DOWN:
        # The small order brings the inventory back; flat, a coin decides.
        side = -1 if agent["inventory"] > 0 else 1
        if agent["inventory"] == 0 and rng.random() < 0.5:
            side = -side
        best = state["bid"] if side > 0 else state["ask"]
        if rest(state, floor, side, best, state["genuine_lots"], who, 0) >= 0:
            m = _note(floor, m, side, best)
        # A bid that should be hit wants sellers: the wall stands among the asks.
        far = state["ask"] if side > 0 else state["bid"]
        for i in range(state["spoof_layers"]):
            price = far + side * (state["spoof_distance"] + i)
            if rest(state, floor, -side, price, state["spoof_lots"], who, 1 + i) >= 0:
                m = _note(floor, m, -side, price)
        agent["since_ns"] = state["now_ns"]
        return m
    close = False
    for i in range(state["spoof_layers"]):
        k = agent["orders"][1 + i]
        if k >= 0:
            order = floor.orders[k]
            close |= order["price"] == (state["bid"] if order["side"] > 0 else state["ask"])
    if close or agent["orders"][0] < 0 or state["now_ns"] - agent["since_ns"] > state["spoof_hold_ns"]:
        for slot in range(1 + state["spoof_layers"]):
            if agent["orders"][slot] >= 0:
                m = _withdraw(state, floor, agent["orders"][slot], m)
        standing = False
        for slot in range(1 + state["spoof_layers"]):
            standing |= agent["orders"][slot] >= 0
        if not standing:
            agent["since_ns"] = DOWN
    return m


@njit(cache=True)
def _noise(
    state: Any,
    floor: Floor,
    at: float,
    rng: np.random.Generator,
    late: np.random.Generator,
    out: Any,
    labels: Any,
    n: int,
) -> int:
    """Act as a noise trader: market order, limit order or cancellation, as ``at`` says."""
    first, last = floor.first[NOISE], floor.first[NOISE + 1]
    who = first + int(rng.random() * (last - first))
    if at < state["market_rate"]:
        buy = rng.random() < 0.5 * (1.0 + state["herding"] * _pressure(state, floor))
        return _take(state, floor, 1 if buy else -1, geometric(state["noise_lots"], rng), who, late, out, labels, n)
    if at < state["market_rate"] + state["limit_rate"]:
        side = 1 if rng.random() < 0.5 else -1
        distance = min(geometric(state["distance"], rng), 60)
        price = state["ask"] - distance if side > 0 else state["bid"] + distance
        if rest(state, floor, side, price, geometric(state["noise_lots"], rng), who, 0) < 0:
            return n
        return _say(state, floor, _note(floor, 0, side, price), who, late, out, labels, n)
    k = floor.noise[int(rng.random() * state["noise_orders"])]
    who = floor.orders[k]["owner"]
    return _say(state, floor, _withdraw(state, floor, k, 0), who, late, out, labels, n)


@njit(cache=True)
def generate(
    states: np.ndarray,
    floor: Floor,
    end_ns: int,
    rng: np.random.Generator,
    late: np.random.Generator,
    out: np.ndarray,
    labels: np.ndarray,
) -> int:
    """Write rows and their labels until ``out`` has no room for another event or the market closes.

    Parameters
    ----------
    states : ndarray of AGENTS_DTYPE, shape (1,)
        The market (changed).
    floor : Floor
        Its arrays (changed).
    end_ns : int
        Close, ns since the opening.
    rng, late : Generator
        Streams of uniforms: events and latency.
    out : ndarray of ROW_DTYPE
        Rows.
    labels : int16 ndarray, shape (len(out), 2)
        Who acted, and whose order was taken (-1: none).

    Returns
    -------
    int
        Rows written; 0 once the market has closed.
    """
    state = states[0]
    n = 0
    informed, makers = floor.first[INFORMED + 1] - floor.first[INFORMED], floor.first[MAKER + 1] - floor.first[MAKER]
    spoofers = floor.first[SPOOFER + 1] - floor.first[SPOOFER]
    while n + MAX_ROWS <= len(out) and state["now_ns"] < end_ns:
        noise = state["market_rate"] + state["limit_rate"] + state["cancel_rate"] * state["noise_orders"]
        total = noise + state["news_rate"] + state["informed_rate"] * informed
        total += state["maker_rate"] * makers + state["spoofer_rate"] * spoofers
        wait(state, total, rng)
        if state["now_ns"] >= end_ns:
            break
        at = rng.random() * total
        if at < noise:
            n = _noise(state, floor, at, rng, late, out, labels, n)
            continue
        at -= noise
        if at < state["news_rate"]:
            state["value"] += state["news_ticks"] * normal(rng)
            continue
        at -= state["news_rate"]
        if at < state["informed_rate"] * informed:
            who = floor.first[INFORMED] + min(int(at / state["informed_rate"]), informed - 1)
            lots = geometric(state["informed_lots"], rng)
            if state["value"] > state["ask"] + state["informed_edge"]:
                n = _take(state, floor, 1, lots, who, late, out, labels, n)
            elif state["value"] < state["bid"] - state["informed_edge"]:
                n = _take(state, floor, -1, lots, who, late, out, labels, n)
            continue
        at -= state["informed_rate"] * informed
        if at < state["maker_rate"] * makers:
            who = floor.first[MAKER] + min(int(at / state["maker_rate"]), makers - 1)
            n = _say(state, floor, _quote(state, floor, who), who, late, out, labels, n)
        elif spoofers > 0:
            at -= state["maker_rate"] * makers
            who = floor.first[SPOOFER] + min(int(at / state["spoofer_rate"]), spoofers - 1)
            n = _say(state, floor, _spoof(state, floor, who, rng), who, late, out, labels, n)
    return n
