"""A market whose intensities depend on the imbalance of the best queues and on the spread.

The second queue-reactive variant: where :mod:`marketprism.simulate.queue_reactive` lets every queue answer to its own
size, here market orders, arrivals and cancellations at the best quotes answer to ``I = (q_bid - q_ask) / (q_bid +
q_ask)`` and to the spread, and the levels behind are a plain Markov queue book.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numba import njit

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.core.timebase import NS
from marketprism.simulate.feed import FeedConfig
from marketprism.simulate.ring import MASK, RING_FIELDS, change, tell, trade, wait
from marketprism.simulate.stream import Market, RingBook

__all__ = ["ImbalanceRates", "ImbalanceReactiveConfig", "ImbalanceReactiveMarket"]

_BURN_IN_NS = 60 * NS
_ROWS = 4
_DTYPE = np.dtype([*RING_FIELDS, ("deep_limit", np.float64), ("deep_cancel", np.float64)], align=True)
_JOIN, _CANCEL, _IMPROVE, _MARKET, _DEEP_LIMIT, _DEEP_CANCEL = range(6)
Table = tuple[tuple[float, ...], ...]


class ImbalanceRates(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates a second of the bid side (market: of sells, which hit the bid) by spread and imbalance.

    Row s is a spread of s + 1 ticks, the last row any wider one; columns split [-1, 1], the imbalance as the side's
    owner sees it (near 1: my queue is the longer one), into equal parts. The ask side mirrors the bid.

    Parameters
    ----------
    market : tuple of tuples of float
        Market orders that hit this side's best queue: fewest where it is the long one.
    join : tuple of tuples of float
        Limit orders at this side's best quote.
    improve : tuple of tuples of float
        Limit orders one tick inside the spread; not used at a spread of one tick.
    cancel : tuple of tuples of float
        Cancellations of each order of the best queue.
    deep_limit : float
        Arrivals at each level behind the best.
    deep_cancel : float
        Cancellations of each order behind the best.
    """

    market: Table = ((1.6, 0.9, 0.6, 0.4, 0.25), (1.0, 0.6, 0.4, 0.3, 0.2), (0.6, 0.4, 0.3, 0.2, 0.15))
    join: Table = ((1.5, 1.9, 2.2, 2.3, 2.2), (1.4, 1.6, 1.7, 1.7, 1.6), (1.2, 1.3, 1.3, 1.3, 1.2))
    improve: Table = ((0.0, 0.0, 0.0, 0.0, 0.0), (1.2, 1.6, 2.2, 3.2, 4.5), (2.0, 2.5, 3.2, 4.2, 5.5))
    cancel: Table = ((0.45, 0.35, 0.28, 0.24, 0.22), (0.45, 0.35, 0.3, 0.26, 0.24), (0.45, 0.38, 0.33, 0.3, 0.28))
    deep_limit: float = 1.0
    deep_cancel: float = 0.2

    def __post_init__(self) -> None:
        tables = (self.market, self.join, self.improve, self.cancel)
        shapes = {tuple(map(len, table)) for table in tables}
        if len(shapes) != 1 or len(self.market) == 0 or len(set(map(len, self.market))) != 1 or not self.market[0]:
            raise ConfigError(f"rate tables had shapes {sorted(shapes)}", hint="one rectangle for all four tables")
        values = [*(v for table in tables for row in table for v in row), self.deep_limit, self.deep_cancel]
        if not all(math.isfinite(v) and v >= 0 for v in values):
            raise ConfigError(f"rates were {values}", hint="each must be finite and not negative")
        if min(self.deep_limit, self.deep_cancel, *(v for row in self.join for v in row)) <= 0:
            raise ConfigError("deep_limit, deep_cancel or a join rate was 0", hint="the book would run empty or stop")

    def tables(self) -> np.ndarray:
        """Return join, cancel, improve and market rates, shape (4, spreads, imbalances)."""
        return np.array([self.join, self.cancel, self.improve, self.market])


class ImbalanceReactiveConfig(FeedConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A market that reacts to imbalance and spread; seed, length, price and latency as in :class:`FeedConfig`.

    Parameters
    ----------
    rates : ImbalanceRates
        Intensities.
    depth : int
        Levels a side that take limit orders, the best one included.
    """

    rates: ImbalanceRates = ImbalanceRates()
    depth: int = 10

    def __post_init__(self) -> None:
        if not 2 <= self.depth <= 200:
            raise ConfigError(f"depth was {self.depth}", hint="2 to 200 ticks")
        super().__post_init__()
        self._room(10 * self.depth)


class ImbalanceReactiveMarket(Market):
    """The imbalance-reactive book as a stream: unit orders, rates looked up after every event.

    Parameters
    ----------
    config : ImbalanceReactiveConfig, optional
        The market.

    References
    ----------
    Rates that depend on both best queues are model II.b of Huang, Lehalle and Rosenbaum (2015); conditioning on the
    spread follows Cont, Stoikov and Talreja (2010).

    Examples
    --------
    >>> blocks = list(ImbalanceReactiveMarket(ImbalanceReactiveConfig(duration_s=60.0)).blocks())
    >>> sum(map(len, blocks)) > 500
    True
    """

    max_event_rows: ClassVar[int] = _ROWS

    def __init__(self, config: ImbalanceReactiveConfig | None = None) -> None:
        self.config = config if config is not None else ImbalanceReactiveConfig()
        super().__init__(self.config)

    def start(self) -> RingBook:
        """Return a fresh pass."""
        return _Book(self.config)


class _Book(RingBook):
    def __init__(self, config: ImbalanceReactiveConfig) -> None:
        super().__init__(config, _DTYPE, ("imbalance", "latency"), _BURN_IN_NS)
        self._tables, self._depth = config.rates.tables(), config.depth
        lots = math.ceil(config.rates.deep_limit / config.rates.deep_cancel)
        for i in range(config.depth):
            self.place(1, config.first_bid - i, lots)
            self.place(-1, config.first_bid + 1 + i, lots)
        self.state["deep_limit"], self.state["deep_cancel"] = config.rates.deep_limit, config.rates.deep_cancel
        self._rates = np.zeros((2, 6))
        self._sides, self._prices = np.zeros(2, np.int64), np.zeros(2, np.int64)

    def run(self, end_ns: int, out: np.ndarray) -> int:
        n: int = _generate(
            self.state, self.bid, self.ask, self._tables, self._depth, self._rates, self._sides, self._prices, end_ns,
            *self.rngs, out,
        )  # fmt: skip
        return n


@njit(cache=True)
def _set_rates(state: Any, q: int, p: int, tables: np.ndarray, depth: int, rates: np.ndarray) -> float:
    """Fill rates[side, event] and return their sum; row 0 is the bid, ``q`` and ``p`` the best queues."""
    _, spreads, bins = tables.shape
    spread = state["ask"] - state["bid"]
    s = min(spread, spreads) - 1
    total = 0.0
    for side in range(2):
        own, other = (q, p) if side == 0 else (p, q)
        resting = state["bid_lots"] if side == 0 else state["ask_lots"]
        # (own - other) / (own + other) in [-1, 1] -> own / (own + other) in [0, 1].
        k = min(int(bins * (own / (own + other))), bins - 1)
        rates[side, _JOIN] = tables[0, s, k]
        rates[side, _CANCEL] = tables[1, s, k] * own
        rates[side, _IMPROVE] = tables[2, s, k] if spread > 1 else 0.0
        rates[side, _MARKET] = tables[3, s, k]
        rates[side, _DEEP_LIMIT] = state["deep_limit"] * (depth - 1)
        rates[side, _DEEP_CANCEL] = state["deep_cancel"] * (resting - own)
        for event in range(6):
            total += rates[side, event]
    return total


@njit(cache=True)
def _generate(
    states: np.ndarray,
    bid: np.ndarray,
    ask: np.ndarray,
    tables: np.ndarray,
    depth: int,
    rates: np.ndarray,
    sides: np.ndarray,
    prices: np.ndarray,
    end_ns: int,
    rng: np.random.Generator,
    latency_rng: np.random.Generator,
    out: np.ndarray,
) -> int:
    state = states[0]
    n = 0
    while n + _ROWS <= len(out) and state["now_ns"] < end_ns:
        total = _set_rates(state, bid[state["bid"] & MASK], ask[state["ask"] & MASK], tables, depth, rates)
        wait(state, total, rng)
        if state["now_ns"] >= end_ns:
            break
        at = rng.random() * total
        s, event = 0, 0
        for code in range(12):
            s, event = code // 6, code % 6
            at -= rates[s, event]
            if at < 0.0:
                break
        side = 1 if s == 0 else -1
        queue, best = (bid, state["bid"]) if side > 0 else (ask, state["ask"])
        resting = state["bid_lots"] if side > 0 else state["ask_lots"]
        lots, price = 1, best
        if event == _IMPROVE:
            price = best + side
        elif event == _DEEP_LIMIT:
            price = best - side * (1 + int(rng.random() * (depth - 1)))
        elif event != _JOIN:
            lots = -1
            if resting <= 1:
                continue
            if event == _MARKET:
                n = trade(state, -side, price, 1, latency_rng, out, n)
            elif event == _DEEP_CANCEL:
                which = int(rng.random() * (resting - queue[best & MASK]))
                price -= side
                while which >= queue[price & MASK]:
                    which -= queue[price & MASK]
                    price -= side
        change(state, bid, ask, side, price, lots)
        sides[0], prices[0] = side, price
        n = tell(state, bid, ask, sides, prices, 1, latency_rng, out, n)
    return n
