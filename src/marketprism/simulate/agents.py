"""A market of agents: noise traders, informed traders, market makers and spoofers on one book, with names on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError
from marketprism.core.kinds import EventKind
from marketprism.core.timebase import NS
from marketprism.simulate.agents_kernel import (
    AGENT_DTYPE,
    AGENTS_DTYPE,
    DOWN,
    INFORMED,
    MAKER,
    MAX_LAYERS,
    MAX_ROWS,
    NOISE,
    ORDER_DTYPE,
    SPOOFER,
    Floor,
    generate,
    rest,
)
from marketprism.simulate.feed import FeedConfig, at_least
from marketprism.simulate.ring import MASK
from marketprism.simulate.stream import Market, RingBook

if TYPE_CHECKING:
    import polars as pl

__all__ = ["AgentMarket", "AgentMarketConfig", "agent_accounts"]

_BURN_IN_NS = 60 * NS
_POOL = 1 << 15
_ROLES = ("noise", "informed", "maker", "spoofer")
_OPENING_LEVELS = 15


class AgentMarketConfig(FeedConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who trades, and how; seed, length, price and latency as in :class:`FeedConfig`. Rates are a second.

    Parameters
    ----------
    noise_traders, informed_traders, makers, spoofers : int
        How many of each; there is at least one noise trader. Agents are numbered in this order from 0.
    noise_market, noise_limit : float
        Market and limit orders of all noise traders together.
    noise_cancel : float
        Cancellations of each resting noise order.
    noise_lots : float
        Mean size, lots (geometric).
    noise_distance : float
        Mean distance of their limit orders from the opposite best quote, ticks (geometric, at most 60).
    herding : float
        How far the shown imbalance (five ticks a side) tilts the side of noise market orders, in [0, 1].
    news : float
        Jumps of the fundamental value, which informed traders alone see.
    news_ticks : float
        Standard deviation of a jump, ticks.
    informed_rate, informed_lots, informed_edge : float
        Each informed trader looks at this rate and trades, with this mean size, where value and best quote differ by
        more than the edge, ticks.
    maker_rate : float
        Requotes of each maker.
    maker_lots, maker_limit : int
        Size of its quotes and its largest inventory, lots.
    maker_half_spread : float
        Half-spread of the first maker around its fair price, ticks; each further one quotes half a tick wider.
    maker_skew : float
        How far a lot of inventory moves its quotes, ticks.
    maker_tilt : float
        How far the shown imbalance moves its fair price, ticks.
    spoofer_rate : float
        How often each spoofer looks at its position.
    spoof_lots, spoof_layers, spoof_distance : int
        Its wall: size of each layer, their number, and the distance of the first from the best quote, ticks.
    spoof_hold_s : float
        It takes the wall down after this long, or when its small order was filled, or when a layer has become best.
    genuine_lots : int
        Size of that small order on the other side.
    """

    noise_traders: int = 20
    informed_traders: int = 2
    makers: int = 3
    spoofers: int = 1
    noise_market: float = 1.2
    noise_limit: float = 16.0
    noise_cancel: float = 0.15
    noise_lots: float = 3.0
    noise_distance: float = 6.0
    herding: float = 0.6
    news: float = 0.05
    news_ticks: float = 2.0
    informed_rate: float = 0.4
    informed_lots: float = 6.0
    informed_edge: float = 0.5
    maker_rate: float = 4.0
    maker_lots: int = 8
    maker_limit: int = 80
    maker_half_spread: float = 0.75
    maker_skew: float = 0.02
    maker_tilt: float = 0.8
    spoofer_rate: float = 1.0
    spoof_lots: int = 40
    spoof_layers: int = 3
    spoof_distance: int = 2
    spoof_hold_s: float = 6.0
    genuine_lots: int = 4

    def __post_init__(self) -> None:
        for name in ("noise_market", "noise_limit", "noise_cancel", "informed_rate", "maker_rate", "spoofer_rate"):
            at_least(name, getattr(self, name), 1e-6)
        for name in ("noise_lots", "informed_lots", "noise_distance", "maker_lots", "spoof_lots", "genuine_lots"):
            at_least(name, getattr(self, name), 1)
        for name in ("news", "news_ticks", "informed_edge", "maker_limit", "maker_half_spread", "maker_skew"):
            at_least(name, getattr(self, name), 0)
        at_least("maker_tilt", self.maker_tilt, 0)
        at_least("spoof_hold_s", self.spoof_hold_s, 0)
        at_least("noise_traders", self.noise_traders, 1)
        for name in ("informed_traders", "makers", "spoofers"):
            at_least(name, getattr(self, name), 0)
        if not 0 <= self.herding <= 1:
            raise ConfigError(f"herding was {self.herding}", hint="it lies in [0, 1]")
        if not (1 <= self.spoof_layers <= MAX_LAYERS and 1 <= self.spoof_distance <= 50):
            raise ConfigError(
                f"spoof_layers was {self.spoof_layers}, spoof_distance {self.spoof_distance}",
                hint=f"1 to {MAX_LAYERS} layers, 1 to 50 ticks away",
            )
        if self.agents > 1000:
            raise ConfigError(f"there were {self.agents} agents", hint="at most 1000")
        if self.noise_limit / self.noise_cancel > _POOL / 4:
            raise ConfigError(
                f"noise_limit / noise_cancel was {self.noise_limit / self.noise_cancel:.0f} resting orders",
                hint=f"at most {_POOL // 4}",
            )
        super().__post_init__()

    @property
    def agents(self) -> int:
        """How many agents there are."""
        return self.noise_traders + self.informed_traders + self.makers + self.spoofers

    @property
    def roles(self) -> tuple[str, ...]:
        """Role of each agent by its number: ``noise``, ``informed``, ``maker`` or ``spoofer``."""
        counts = (self.noise_traders, self.informed_traders, self.makers, self.spoofers)
        return tuple(role for role, count in zip(_ROLES, counts, strict=True) for _ in range(count))


class AgentMarket(Market):
    """Agents on one book as a stream, with a second stream that says who did what.

    Orders have owners and trade in price-time priority; a trade message is one match. What agents see is the book; the
    fundamental value is known to informed traders alone. A side's last order cannot be withdrawn.

    Parameters
    ----------
    config : AgentMarketConfig, optional
        The market.

    Examples
    --------
    >>> market = AgentMarket(AgentMarketConfig(duration_s=60.0))
    >>> block, labels = list(market.labelled_blocks())[-1]
    >>> labels.shape == (len(block), 2), market.config.roles[-1]
    (True, 'spoofer')
    """

    max_event_rows: ClassVar[int] = MAX_ROWS

    def __init__(self, config: AgentMarketConfig | None = None) -> None:
        self.config = config if config is not None else AgentMarketConfig()
        super().__init__(self.config)

    def start(self) -> RingBook:
        """Return a fresh pass."""
        return _Book(self.config)

    def labelled_blocks(self, size: int = 65_536) -> Iterator[tuple[EventBlock, np.ndarray]]:
        """Yield the stream of :meth:`blocks` with its labels.

        Yields
        ------
        block : EventBlock
            As :meth:`blocks` yields it.
        labels : int16 ndarray, shape (n, 2)
            For each row the agent that acted and, for a trade, the owner of the order that was taken; -1 is nobody
            (the opening snapshot, the second column of updates). ``config.roles`` names agents by number.
        """
        for book, rows in self._passes(size):
            snapshot = rows["kind"][0] == EventKind.BOOK_SNAPSHOT
            labels = np.full((len(rows), 2), -1, np.int16)
            if not snapshot and isinstance(book, _Book):
                labels[:] = book.labels[: len(rows)]
            yield EventBlock(rows, (self.instrument,)), labels


def agent_accounts(market: AgentMarket) -> pl.DataFrame:
    """Run the market once and return what each agent earned.

    Returns
    -------
    polars.DataFrame
        One row an agent: ``agent``, ``role``, ``bought`` and ``sold`` (base units), ``position`` (base units, from 0 at
        the opening), ``cash`` and ``profit`` (quote currency; profit marks the position at the last trade price).
        Profits sum to zero: there are no fees. ``as_maker`` is the share of the volume in which the agent's own
        resting order was taken (NaN without a trade).
    """
    import polars as pl

    n = market.config.agents
    bought, sold, cash, rested = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    last, tick = 0.0, market.instrument.tick
    for block, labels in market.labelled_blocks():
        trades = block.rows["kind"] == EventKind.TRADE
        rows, who = block.rows[trades], labels[trades]
        value = rows["price"] * tick * rows["quantity"]
        for column, sign in ((0, 1), (1, -1)):
            buys = rows["side"] * sign > 0
            agents = who[:, column]
            bought += np.bincount(agents[buys], rows["quantity"][buys], n)
            sold += np.bincount(agents[~buys], rows["quantity"][~buys], n)
            cash += np.bincount(agents, np.where(buys, -value, value), n)
        rested += np.bincount(who[:, 1], rows["quantity"], n)
        last = float(rows["price"][-1] * tick) if len(rows) else last
    volume = bought + sold
    return pl.DataFrame(
        {
            "agent": np.arange(n),
            "role": market.config.roles,
            "bought": bought,
            "sold": sold,
            "position": bought - sold,
            "cash": cash,
            "profit": cash + (bought - sold) * last,
            "as_maker": np.divide(rested, volume, out=np.full(n, np.nan), where=volume > 0),
        }
    )


class _Book(RingBook):
    def __init__(self, config: AgentMarketConfig) -> None:
        super().__init__(config, AGENTS_DTYPE, ("agents", "latency"), _BURN_IN_NS)
        state = self.state
        for name, value in (
            ("market_rate", config.noise_market), ("limit_rate", config.noise_limit),
            ("cancel_rate", config.noise_cancel), ("news_rate", config.news), ("distance", config.noise_distance),
            ("maker_limit", config.maker_limit), ("spoof_hold_ns", int(config.spoof_hold_s * NS / config.rate_scale)),
        ):  # fmt: skip
            state[name] = value
        for name in (
            "news_ticks", "herding", "noise_lots", "informed_rate", "informed_lots", "informed_edge", "maker_rate",
            "maker_lots", "maker_skew", "maker_tilt", "spoofer_rate", "spoof_lots", "spoof_layers", "spoof_distance",
            "genuine_lots",
        ):  # fmt: skip
            state[name] = getattr(config, name)
        agents = np.zeros(config.agents, AGENT_DTYPE)
        roles = np.array([_ROLES.index(role) for role in config.roles])
        agents["role"], agents["orders"], agents["since_ns"] = roles, -1, DOWN
        agents["half_spread"][roles == MAKER] = config.maker_half_spread + 0.5 * np.arange(config.makers)
        first = np.searchsorted(roles, [NOISE, INFORMED, MAKER, SPOOFER, SPOOFER + 1])
        queues = np.full((2, 2, MASK + 1), -1, np.int64)
        scratch = np.zeros((2, MAX_ROWS), np.int64)
        self._floor = Floor(
            self.bid, self.ask, queues[0], queues[1], np.zeros(_POOL, ORDER_DTYPE), np.arange(_POOL)[::-1].copy(),
            np.zeros(_POOL, np.int64), agents, first, scratch[0], scratch[1],
        )  # fmt: skip
        self.labels = np.zeros((0, 2), np.int16)
        state["free"] = _POOL
        state["bid"], state["ask"] = config.first_bid, config.first_bid + 1
        state["value"] = config.first_bid + 0.5
        for i in range(_OPENING_LEVELS):
            for side, price in ((1, config.first_bid - i), (-1, config.first_bid + 1 + i)):
                for k in range(4):
                    owner = (i * 4 + k) % config.noise_traders
                    rest(state[0], self._floor, side, price, max(1, round(config.noise_lots)), owner, 0)

    def run(self, end_ns: int, out: np.ndarray) -> int:
        if len(self.labels) < len(out):
            self.labels = np.full((len(out), 2), -1, np.int16)
        n: int = generate(self.state, self._floor, end_ns, *self.rngs, out, self.labels)
        return n
