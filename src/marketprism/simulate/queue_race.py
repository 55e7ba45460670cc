"""The market of Cont and de Larrard (2013): two best queues, one tick apart, that race to empty."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numba import njit

from marketprism.simulate.feed import FeedConfig, at_least
from marketprism.simulate.ring import MASK, RING_FIELDS, geometric, tell, trade, wait
from marketprism.simulate.stream import Market, RingBook

__all__ = ["QueueRaceConfig", "QueueRaceMarket"]

_ROWS = 5
_DTYPE = np.dtype(
    [
        *RING_FIELDS,
        ("limit", np.float64),
        ("market", np.float64),
        ("cancel", np.float64),
        ("advancing", np.float64),
        ("retreating", np.float64),
    ],
    align=True,
)


class QueueRaceConfig(FeedConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A market of two racing queues; seed, length, price and latency as in :class:`FeedConfig`.

    Parameters
    ----------
    limit, market, cancel : float
        Unit orders that join, are taken from and leave each best queue, a second; balanced flow has
        ``limit = market + cancel``, and the defaults are balanced.
    advancing_mean, retreating_mean : float
        Means, in orders, of the geometric queues drawn after a price move: on the side that moved into the emptied
        price (the bid after a rise), and on the side that moved away. A short advancing queue makes prices revert.
    """

    limit: float = 2.0
    market: float = 0.8
    cancel: float = 1.2
    advancing_mean: float = 4.0
    retreating_mean: float = 6.0

    def __post_init__(self) -> None:
        for name in ("limit", "market", "cancel"):
            at_least(name, getattr(self, name), 1e-9)
        for name in ("advancing_mean", "retreating_mean"):
            at_least(name, getattr(self, name), 1.0)
        super().__post_init__()


class QueueRaceMarket(Market):
    """The queue race as a stream: the book shows the two best quotes, always one tick apart.

    A removal that empties a queue moves both quotes by a tick in one update message, with fresh queues.
    :func:`marketprism.simulate.up_probability` is the exact probability that the next move is up.

    Parameters
    ----------
    config : QueueRaceConfig, optional
        The market.

    Examples
    --------
    >>> blocks = list(QueueRaceMarket(QueueRaceConfig(duration_s=60.0)).blocks())
    >>> sum(map(len, blocks)) > 300
    True
    """

    max_event_rows: ClassVar[int] = _ROWS

    def __init__(self, config: QueueRaceConfig | None = None) -> None:
        self.config = config if config is not None else QueueRaceConfig()
        super().__init__(self.config)

    def start(self) -> RingBook:
        """Return a fresh pass."""
        return _Book(self.config)


class _Book(RingBook):
    def __init__(self, config: QueueRaceConfig) -> None:
        super().__init__(config, _DTYPE, ("race", "latency"))
        state = self.state
        state["limit"], state["market"], state["cancel"] = config.limit, config.market, config.cancel
        state["advancing"], state["retreating"] = config.advancing_mean, config.retreating_mean
        self.place(1, config.first_bid, math.ceil(config.advancing_mean))
        self.place(-1, config.first_bid + 1, math.ceil(config.advancing_mean))
        self._sides, self._prices = np.zeros(4, np.int64), np.zeros(4, np.int64)

    def run(self, end_ns: int, out: np.ndarray) -> int:
        n: int = _generate(self.state, self.bid, self.ask, self._sides, self._prices, end_ns, *self.rngs, out)
        return n


@njit(cache=True)
def _move(state: Any, bid: np.ndarray, ask: np.ndarray, up: bool, rng: np.random.Generator) -> None:
    """Step both quotes one tick and draw both queues."""
    bid[state["bid"] & MASK] = 0
    ask[state["ask"] & MASK] = 0
    step = 1 if up else -1
    state["bid"] += step
    state["ask"] += step
    advancing = geometric(state["advancing"], rng)
    retreating = geometric(state["retreating"], rng)
    state["bid_lots"], state["ask_lots"] = (advancing, retreating) if up else (retreating, advancing)
    bid[state["bid"] & MASK] = state["bid_lots"]
    ask[state["ask"] & MASK] = state["ask_lots"]


@njit(cache=True)
def _generate(
    states: np.ndarray,
    bid: np.ndarray,
    ask: np.ndarray,
    sides: np.ndarray,
    prices: np.ndarray,
    end_ns: int,
    rng: np.random.Generator,
    latency_rng: np.random.Generator,
    out: np.ndarray,
) -> int:
    state = states[0]
    n = 0
    removal = state["market"] + state["cancel"]
    total = 2.0 * (state["limit"] + removal)
    while n + _ROWS <= len(out) and state["now_ns"] < end_ns:
        wait(state, total, rng)
        if state["now_ns"] >= end_ns:
            break
        at = rng.random() * total
        bid_side = at < 0.5 * total
        if not bid_side:
            at -= 0.5 * total
        side = 1 if bid_side else -1
        price = state["bid"] if bid_side else state["ask"]
        sides[0], prices[0] = side, price
        queue = bid if bid_side else ask
        if at < state["limit"] or at >= state["limit"] + state["market"]:
            lots = 1 if at < state["limit"] else -1
        else:
            lots = -1
            n = trade(state, -side, price, 1, latency_rng, out, n)
        queue[price & MASK] += lots
        if bid_side:
            state["bid_lots"] += lots
        else:
            state["ask_lots"] += lots
        levels = 1
        if queue[price & MASK] == 0:
            sides[1], prices[1] = -side, state["ask"] if bid_side else state["bid"]
            _move(state, bid, ask, not bid_side, rng)
            sides[2], prices[2] = 1, state["bid"]
            sides[3], prices[3] = -1, state["ask"]
            levels = 4
        n = tell(state, bid, ask, sides, prices, levels, latency_rng, out, n)
    return n
