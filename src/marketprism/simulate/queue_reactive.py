"""Queue-reactive market of Huang, Lehalle and Rosenbaum (2015): intensities that depend on the size of each queue."""

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

__all__ = ["QueueReactiveConfig", "QueueReactiveMarket", "ReactiveRates", "stationary_queue"]

_BURN_IN_NS = 60 * NS
_MOST_LEVELS = 10
_ROWS = 4 * _MOST_LEVELS + 4
_DTYPE = np.dtype(
    [*RING_FIELDS, ("reference", np.int64), ("follow", np.float64), ("renew", np.float64)],
    align=True,
)
Table = tuple[tuple[float, ...], ...]


def _table(sizes: int, levels: tuple[tuple[float, float, float], ...]) -> Table:
    """Rates by size: ``floor + height exp(-n / 8)``, or ``height n**growth`` where a growth is given."""
    rows = []
    for height, floor, growth in levels:
        row = [floor + height * math.exp(-n / 8) if not growth else height * n**growth for n in range(sizes)]
        rows.append(tuple(round(rate, 4) for rate in row))
    return tuple(rows)


def _market_row(sizes: int) -> tuple[float, ...]:
    return (0.0, *(round(0.25 + 0.75 * math.exp(-n / 4), 4) for n in range(1, sizes)))


class ReactiveRates(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates a second by level and queue size; both sides alike.

    Row i is level i (1 is next to the reference price), column n the queue's size in orders from 0 on; a longer queue
    has the last column's rate. The defaults have the shapes of the paper's figures (arrivals fall with size,
    cancellations rise concavely, market orders fall), not its numbers: use
    :func:`marketprism.simulate.calibrate` for those of a market.

    Parameters
    ----------
    limit : tuple of tuples of float
        Arrivals.
    cancel : tuple of tuples of float
        Cancellations of the whole queue; nothing leaves an empty queue, whatever column 0 says.
    market : tuple of float
        Market orders that hit the best queue, by its size.
    """

    limit: Table = _table(31, ((0.9, 0.7, 0), (0.7, 0.6, 0), (0.4, 0.5, 0), (0.3, 0.4, 0), (0.2, 0.35, 0)))
    cancel: Table = _table(31, ((0.2, 0, 0.7), (0.2, 0, 0.7), (0.16, 0, 0.7), (0.14, 0, 0.7), (0.12, 0, 0.7)))
    market: tuple[float, ...] = _market_row(31)

    def __post_init__(self) -> None:
        if not 1 <= len(self.limit) == len(self.cancel) <= _MOST_LEVELS:
            raise ConfigError(
                f"rates had {len(self.limit)} limit and {len(self.cancel)} cancel levels",
                hint=f"the same number of each, 1 to {_MOST_LEVELS}",
            )
        rows = (*self.limit, *self.cancel, self.market)
        if min(map(len, rows)) < 2 or not all(math.isfinite(v) and v >= 0 for row in rows for v in row):
            raise ConfigError("rates were not finite and non-negative, at least for queues 0 and 1")
        for level, (limit, cancel) in enumerate(zip(self.limit, self.cancel, strict=True), 1):
            if limit[0] <= 0 or limit[-1] >= cancel[-1]:
                raise ConfigError(
                    f"level {level}: arrivals {limit[0]} at an empty queue, {limit[-1]} against {cancel[-1]} "
                    "cancellations at the longest",
                    hint="an empty queue needs arrivals, and the longest more cancellations than arrivals",
                )

    def padded(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return limit and cancel, shape (levels, sizes), and market, shape (sizes,), padded to one length."""
        sizes = max(map(len, (*self.limit, *self.cancel, self.market)))

        def pad(row: tuple[float, ...]) -> list[float]:
            return [*row, *[row[-1]] * (sizes - len(row))]

        market = np.array(pad(self.market))
        cancel = np.array([pad(row) for row in self.cancel])
        market[0] = 0.0
        cancel[:, 0] = 0.0
        return np.array([pad(row) for row in self.limit]), cancel, market


class QueueReactiveConfig(FeedConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A queue-reactive market; seed, length, price and latency as in :class:`FeedConfig`.

    Parameters
    ----------
    rates : ReactiveRates
        Intensities; its rows are the levels a side that the model has.
    follow : float
        Probability that the reference price moves with the mid when the queue next to it is empty (theta).
    renew : float
        Probability that the whole book is drawn anew, from the stationary law of each queue, when the reference
        price moves (theta reinit): information arrives.
    """

    rates: ReactiveRates = ReactiveRates()
    follow: float = 0.7
    renew: float = 0.15

    def __post_init__(self) -> None:
        for name in ("follow", "renew"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="a probability lies in [0, 1]")
        super().__post_init__()


def stationary_queue(limit: np.ndarray, removal: np.ndarray, *, tail: float = 1e-12) -> np.ndarray:
    """Return the stationary law of one birth-death queue.

    ``pi(n) = pi(0) prod_{k=1..n} limit(k - 1) / removal(k)``; rates beyond the tables are those of the last column.

    Parameters
    ----------
    limit, removal : float ndarray, shape (sizes,)
        Rates by size 0, 1, ..., a second; ``removal[0]`` is not used.
    tail : float, default 1e-12
        Sizes less likely than this, relative to the most likely, end the table.

    Returns
    -------
    ndarray
        Probabilities of sizes 0, 1, ...; they sum to 1.

    Raises
    ------
    ConfigError
        Arrivals do not fall below removals: the queue grows for ever; or a queue of some size cannot shrink.

    Examples
    --------
    >>> stationary_queue(np.array([1.0, 1.0]), np.array([0.0, 2.0]))[:3].round(6).tolist()
    [0.5, 0.25, 0.125]
    """
    if not limit[-1] < removal[-1]:
        raise ConfigError(f"arrivals were {limit[-1]}, removals {removal[-1]}", hint="the longest queue must shrink")
    if not removal[1:].min() > 0:
        raise ConfigError(f"removals were {removal[1:].min()} at some size", hint="every queue must be able to shrink")
    weights = [1.0]
    while len(weights) <= len(removal) or weights[-1] > tail * max(weights):
        n = len(weights)
        weights.append(weights[-1] * limit[min(n - 1, len(limit) - 1)] / removal[min(n, len(removal) - 1)])
    law = np.array(weights)
    law /= law.sum()
    return law


class QueueReactiveMarket(Market):
    """The queue-reactive book as a stream (model III of the paper).

    Levels 1 to K on each side of a reference price that lies between ticks. Unit orders join level i at rate
    ``limit[i][q_i]``, leave it at ``cancel[i][q_i]``, and market orders take from the best queue at ``market[q]``. When
    the mid moves and the level next to the reference on that side is empty, the reference follows with probability
    ``follow``: levels are renumbered, the farthest one is drawn from its stationary law, and with probability
    ``renew`` all are. A side's last order stays.

    Parameters
    ----------
    config : QueueReactiveConfig, optional
        The market.

    References
    ----------
    Huang, Lehalle and Rosenbaum, "Simulating and analyzing order book data: the queue-reactive model", Journal of the
    American Statistical Association 110(509), 2015.

    Examples
    --------
    >>> blocks = list(QueueReactiveMarket(QueueReactiveConfig(duration_s=60.0)).blocks())
    >>> sum(map(len, blocks)) > 500
    True
    """

    max_event_rows: ClassVar[int] = _ROWS

    def __init__(self, config: QueueReactiveConfig | None = None) -> None:
        self.config = config if config is not None else QueueReactiveConfig()
        super().__init__(self.config)

    def start(self) -> RingBook:
        """Return a fresh pass."""
        return _Book(self.config)


class _Book(RingBook):
    def __init__(self, config: QueueReactiveConfig) -> None:
        super().__init__(config, _DTYPE, ("queues", "latency"), _BURN_IN_NS)
        self._limit, self._cancel, self._market = config.rates.padded()
        removal = self._cancel.copy()
        removal[0] += self._market
        laws = [stationary_queue(*rates) for rates in zip(self._limit, removal, strict=True)]
        self._laws = np.ones((len(laws), max(map(len, laws))))
        for i, law in enumerate(laws):
            self._laws[i, : len(law)] = np.cumsum(law)
            lots = max(1, round(float(law @ np.arange(len(law)))))
            self.place(1, config.first_bid - i, lots)
            self.place(-1, config.first_bid + 1 + i, lots)
        self.state["reference"] = config.first_bid
        self.state["follow"], self.state["renew"] = config.follow, config.renew
        self._rates = np.zeros((2, len(laws), 2))
        self._sides, self._prices = np.zeros(_ROWS, np.int64), np.zeros(_ROWS, np.int64)

    def run(self, end_ns: int, out: np.ndarray) -> int:
        tables = (self._limit, self._cancel, self._market, self._laws)
        n: int = _generate(
            self.state, self.bid, self.ask, *tables, self._rates, self._sides, self._prices, end_ns, *self.rngs, out
        )
        return n


@njit(cache=True)
def _draw(law: np.ndarray, rng: np.random.Generator) -> int:
    return int(np.searchsorted(law, rng.random(), side="right"))


@njit(cache=True)
def _redraw(
    state: Any,
    bid: np.ndarray,
    ask: np.ndarray,
    laws: np.ndarray,
    rng: np.random.Generator,
    sides: Any,
    prices: Any,
    m: int,
) -> int:
    """Draw every queue of the window; new lots first, so that no side runs empty, crossed levels last to none."""
    levels = len(laws)
    reference = state["reference"]
    for i in range(levels):
        for side in (1, -1):
            queue = bid if side > 0 else ask
            price = reference - i if side > 0 else reference + 1 + i
            lots = _draw(laws[i], rng)
            resting = state["bid_lots"] if side > 0 else state["ask_lots"]
            before = queue[price & MASK]
            lots = max(lots, before - resting + 1)
            if lots != before:
                change(state, bid, ask, side, price, lots - before)
                sides[m], prices[m] = side, price
                m += 1
    return m


@njit(cache=True)
def _shift(
    state: Any,
    bid: np.ndarray,
    ask: np.ndarray,
    laws: np.ndarray,
    up: bool,
    rng: np.random.Generator,
    sides: np.ndarray,
    prices: np.ndarray,
    m: int,
) -> int:
    """Move the reference price a tick: one far level enters, the opposite one leaves; maybe all are drawn anew."""
    levels = len(laws)
    reference = state["reference"]
    enters = reference + levels + 1 if up else reference - levels
    leaves = reference - levels + 1 if up else reference + levels
    into, out_of = (-1, 1) if up else (1, -1)
    state["reference"] = reference + 1 if up else reference - 1
    lots = _draw(laws[levels - 1], rng)
    if lots > 0:
        change(state, bid, ask, into, enters, lots)
        sides[m], prices[m] = into, enters
        m += 1
    gone = (bid if out_of > 0 else ask)[leaves & MASK]
    if gone > 0:
        if gone == (state["bid_lots"] if out_of > 0 else state["ask_lots"]):
            # A side's last order stays: it follows the window.
            edge = leaves + 1 if up else leaves - 1
            change(state, bid, ask, out_of, edge, 1)
            sides[m], prices[m] = out_of, edge
            m += 1
        change(state, bid, ask, out_of, leaves, -gone)
        sides[m], prices[m] = out_of, leaves
        m += 1
    if rng.random() < state["renew"]:
        m = _redraw(state, bid, ask, laws, rng, sides, prices, m)
    return m


@njit(cache=True)
def _set_rates(
    state: Any, bid: np.ndarray, ask: np.ndarray, limit: np.ndarray, cancel: np.ndarray, rates: np.ndarray
) -> float:
    """Fill rates[side, level, (limit, cancel)] and return their sum; side 0 is the bid."""
    last = limit.shape[1] - 1
    total = 0.0
    reference = state["reference"]
    for i in range(len(limit)):
        q = min(bid[(reference - i) & MASK], last)
        p = min(ask[(reference + 1 + i) & MASK], last)
        rates[0, i, 0], rates[1, i, 0] = limit[i, q], limit[i, p]
        rates[0, i, 1], rates[1, i, 1] = cancel[i, q], cancel[i, p]
        total += rates[0, i, 0] + rates[1, i, 0] + rates[0, i, 1] + rates[1, i, 1]
    return total


@njit(cache=True)
def _generate(
    states: np.ndarray,
    bid: np.ndarray,
    ask: np.ndarray,
    limit: np.ndarray,
    cancel: np.ndarray,
    market: np.ndarray,
    laws: np.ndarray,
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
    last = len(market) - 1
    while n + _ROWS <= len(out) and state["now_ns"] < end_ns:
        sells = market[min(bid[state["bid"] & MASK], last)]
        buys = market[min(ask[state["ask"] & MASK], last)]
        total = _set_rates(state, bid, ask, limit, cancel, rates) + buys + sells
        wait(state, total, rng)
        if state["now_ns"] >= end_ns:
            break
        at = rng.random() * total
        mid = state["bid"] + state["ask"]
        if at < buys + sells:
            side = -1 if at < buys else 1  # of the queue that is hit
            price = state["ask"] if side < 0 else state["bid"]
            lots = -1
            if (state["bid_lots"] if side > 0 else state["ask_lots"]) <= 1:
                continue
            n = trade(state, -side, price, 1, latency_rng, out, n)
        else:
            at -= buys + sells
            s, i, k = 0, 0, 0
            for code in range(4 * len(limit)):
                s, i, k = code & 1, code >> 2, (code >> 1) & 1
                at -= rates[s, i, k]
                if at < 0.0:
                    break
            side = 1 if s == 0 else -1
            price = state["reference"] - i if side > 0 else state["reference"] + 1 + i
            lots = 1 if k == 0 else -1
            queue = bid if side > 0 else ask
            resting = state["bid_lots"] if side > 0 else state["ask_lots"]
            if lots < 0 and (resting <= 1 or queue[price & MASK] == 0):
                continue
        change(state, bid, ask, side, price, lots)
        sides[0], prices[0] = side, price
        m = 1
        moved = state["bid"] + state["ask"] - mid
        reference = state["reference"]
        open_up = moved > 0 and ask[(reference + 1) & MASK] == 0
        open_down = moved < 0 and bid[reference & MASK] == 0
        if (open_up or open_down) and rng.random() < state["follow"]:
            m = _shift(state, bid, ask, laws, open_up, rng, sides, prices, m)
        n = tell(state, bid, ask, sides, prices, m, latency_rng, out, n)
    return n
