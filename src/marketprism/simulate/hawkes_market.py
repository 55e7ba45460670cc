"""An order book driven by a Hawkes process: market and limit orders excite each other, cancellations do not."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numba import njit

from marketprism.core.errors import ConfigError
from marketprism.core.timebase import NS
from marketprism.simulate.cst import QueueRates
from marketprism.simulate.feed import FeedConfig, at_least
from marketprism.simulate.hawkes import HawkesParameters
from marketprism.simulate.kernel import TILT_FIELDS, cancel_order, cancel_rate, limit_order
from marketprism.simulate.ring import MASK, MAX_EVENT_ROWS, RING_FIELDS, exponential, geometric, market_order, receive
from marketprism.simulate.stream import Market, RingBook

__all__ = ["FLOW_TYPES", "HawkesMarket", "HawkesMarketConfig"]

FLOW_TYPES = ("market buy", "market sell", "limit bid", "limit ask")
"""Event types of the order flow, in the order of the parameters."""
_BURN_IN_NS = 60 * NS
_DTYPE = np.dtype([*RING_FIELDS, *TILT_FIELDS, ("order_lots", np.float64)], align=True)


def _default_flow() -> HawkesParameters:
    """Branching ratio about .6; market orders call for more of their kind and for liquidity, on their side first."""
    children = np.array(
        [[0.40, 0.05, 0.8, 0.4], [0.05, 0.40, 0.4, 0.8], [0.015, 0.005, 0.35, 0.1], [0.005, 0.015, 0.1, 0.35]]
    )
    decay = np.array([[2.0, 2.0, 10.0, 10.0]] * 2 + [[5.0, 5.0, 10.0, 10.0]] * 2)
    return HawkesParameters.from_arrays([0.25, 0.25, 6.0, 6.0], children * decay, decay)


class HawkesMarketConfig(FeedConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Hawkes order book; seed, length, price and latency as in :class:`FeedConfig`.

    Parameters
    ----------
    flow : HawkesParameters
        The process of :data:`FLOW_TYPES`. With X > 1 states the state is the imbalance of the best queues, in X equal
        parts of [-1, 1] from ask-heavy to bid-heavy, as each event leaves it; the book decides it, and the
        parameters' transition probabilities are not used.
    rates : QueueRates
        Where limit orders go (its arrivals by distance, as proportions) and how fast each order is cancelled.
    depth : int
        Farthest distance of new limit orders, ticks.
    order_lots : float
        Mean order size in lots (geometric); 1 is unit orders.
    """

    flow: HawkesParameters = _default_flow()
    rates: QueueRates = QueueRates()
    depth: int = 20
    order_lots: float = 3.0

    def __post_init__(self) -> None:
        if self.flow.types != len(FLOW_TYPES):
            raise ConfigError(f"flow had {self.flow.types} event types", hint=f"4: {', '.join(FLOW_TYPES)}")
        if not 2 <= self.depth <= 200:
            raise ConfigError(f"depth was {self.depth}", hint="2 to 200 ticks")
        at_least("order_lots", self.order_lots, 1.0)
        super().__post_init__()
        self._room(10 * self.depth)


class HawkesMarket(Market):
    """The Hawkes order book as a stream: exact simulation by thinning, one event after the other.

    Parameters
    ----------
    config : HawkesMarketConfig, optional
        The market.

    References
    ----------
    Large, "Measuring the resiliency of an electronic limit order book", Journal of Financial Markets 10(1), 2007;
    Bacry, Mastromatteo and Muzy, "Hawkes processes in finance", Market Microstructure and Liquidity 1(1), 2015.

    Examples
    --------
    >>> blocks = list(HawkesMarket(HawkesMarketConfig(duration_s=60.0)).blocks())
    >>> sum(map(len, blocks)) > 1000
    True
    """

    max_event_rows: ClassVar[int] = MAX_EVENT_ROWS

    def __init__(self, config: HawkesMarketConfig | None = None) -> None:
        self.config = config if config is not None else HawkesMarketConfig()
        super().__init__(self.config)

    def start(self) -> RingBook:
        """Return a fresh pass."""
        return _Book(self.config)


class _Book(RingBook):
    def __init__(self, config: HawkesMarketConfig) -> None:
        super().__init__(config, _DTYPE, ("hawkes flow", "latency"), _BURN_IN_NS)
        rates = config.rates
        self._flow = config.flow.pairs()
        self._excitation = np.zeros_like(self._flow[1])
        self._limit_sum = np.cumsum(rates.limits(config.depth))
        self._cancel = np.array(rates.cancel) / config.order_lots
        for i in range(1, config.depth + 1):
            lots = math.ceil(config.order_lots * rates.limit_at(i) / rates.cancel_at(i))
            self.place(1, config.first_bid + 1 - i, lots)
            self.place(-1, config.first_bid + i, lots)
        self.state["order_lots"] = config.order_lots
        for name, _ in TILT_FIELDS:
            self.state[name] = 1.0

    def run(self, end_ns: int, out: np.ndarray) -> int:
        n: int = _generate(
            self.state, self.bid, self.ask, *self._flow, self._excitation, self._limit_sum, self._cancel, end_ns,
            *self.rngs, out,
        )  # fmt: skip
        return n


@njit(cache=True)
def _fade(excitation: np.ndarray, decay: np.ndarray, wait_s: float) -> None:
    pairs, kinds = excitation.shape
    for s in range(pairs):
        for e in range(kinds):
            excitation[s, e] *= math.exp(-decay[s, e] * wait_s)


@njit(cache=True)
def _imbalance_state(state: Any, bid: np.ndarray, ask: np.ndarray, states: int) -> int:
    q, p = bid[state["bid"] & MASK], ask[state["ask"] & MASK]
    return min(int(states * (q / (q + p))), states - 1)


@njit(cache=True)
def _generate(
    records: np.ndarray,
    bid: np.ndarray,
    ask: np.ndarray,
    base: np.ndarray,
    impact: np.ndarray,
    decay: np.ndarray,
    excitation: np.ndarray,
    limit_sum: np.ndarray,
    cancel: np.ndarray,
    end_ns: int,
    rng: np.random.Generator,
    latency_rng: np.random.Generator,
    out: np.ndarray,
) -> int:
    state = records[0]
    pairs, kinds = impact.shape
    n = 0
    while n + MAX_EVENT_ROWS <= len(out) and state["now_ns"] < end_ns:
        cancel_buys = cancel_rate(bid, cancel, state["ask"], -1, state["bid_lots"])
        cancels = cancel_buys + cancel_rate(ask, cancel, state["bid"], 1, state["ask_lots"])
        bound = cancels + base.sum()
        for s in range(pairs):
            for e in range(kinds):
                bound += excitation[s, e]
        wait = exponential(rng) / bound
        state["now_ns"] += max(int(wait / state["rate_scale"] * 1e9), 1)
        _fade(excitation, decay, wait)
        if state["now_ns"] >= end_ns:
            break
        at = rng.random() * bound
        if at < cancels:
            receive(state, latency_rng)
            size = geometric(state["order_lots"], rng)
            n = cancel_order(state, bid, ask, cancel, at < cancel_buys, at, cancel_buys, size, out, n)
            continue
        at -= cancels
        chosen = -1
        for e in range(kinds):
            at -= base[e]
            for s in range(pairs):
                at -= excitation[s, e]
            if at < 0.0:
                chosen = e
                break
        if chosen < 0:
            continue  # thinned: the rates have fallen below the bound
        size = geometric(state["order_lots"], rng)
        buy = chosen % 2 == 0
        if chosen < 2:
            n = market_order(state, bid, ask, buy, size, latency_rng, out, n)
        else:
            receive(state, latency_rng)
            where = rng.random() * limit_sum[-1]
            n = limit_order(state, bid, ask, limit_sum, buy, where, 0.0, size, out, n)
        states = pairs // kinds
        pair = chosen * states + _imbalance_state(state, bid, ask, states)
        for e in range(kinds):
            excitation[pair, e] += impact[pair, e]
    return n
