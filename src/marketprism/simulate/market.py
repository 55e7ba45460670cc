"""The Markov queue book as a simulated market."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from marketprism.core.timebase import NS
from marketprism.simulate.config import MarketConfig
from marketprism.simulate.kernel import MARKET_DTYPE, REFRESH_NS, generate
from marketprism.simulate.ring import MAX_EVENT_ROWS
from marketprism.simulate.stream import Market, RingBook

__all__ = ["MarkovMarket"]

_BURN_IN_NS = 60 * NS
_NEVER = np.iinfo(np.int64).max


class MarkovMarket(Market):
    """A Cont-Stoikov-Talreja queue book with optional correlated order flow.

    The stream opens with one snapshot of the book (after a burn-in of 60 simulated seconds) and goes on with one
    update message an order, and trades ahead of the update of the levels they took from. Quantities are multiples
    of a lot. The same configuration gives the same rows, whatever the block size.

    Parameters
    ----------
    config : MarketConfig, optional
        The market.

    Examples
    --------
    >>> market = MarkovMarket(MarketConfig(duration_s=60.0))
    >>> blocks = list(market.blocks(4096))
    >>> blocks[0].instrument.key, sum(map(len, blocks)) > 1000
    ('sim:spot:SIM-USDT', True)
    """

    max_event_rows: ClassVar[int] = MAX_EVENT_ROWS

    def __init__(self, config: MarketConfig | None = None) -> None:
        self.config = config if config is not None else MarketConfig()
        super().__init__(self.config)

    def start(self) -> RingBook:
        """Return a fresh pass."""
        return _Book(self.config)


class _Book(RingBook):
    """State of one pass."""

    def __init__(self, config: MarketConfig) -> None:
        super().__init__(config, MARKET_DTYPE, ("events", "drift", "latency"), _BURN_IN_NS)
        rates, flow, state = config.rates, config.flow, self.state
        self._limit_sum = np.cumsum(rates.limits(config.depth))
        self._cancel = np.array(rates.cancel) / flow.order_lots
        for i in range(1, config.depth + 1):
            lots = math.ceil(flow.order_lots * rates.limit_at(i) / rates.cancel_at(i))
            self.place(1, config.first_bid + 1 - i, lots)
            self.place(-1, config.first_bid + i, lots)
        state["excited_ns"] = -_BURN_IN_NS
        state["order_lots"] = flow.order_lots
        state["limit_total"] = self._limit_sum[-1]
        state["market"] = rates.market * (1 - flow.excitation)
        state["market_loading"], state["limit_loading"] = flow.market_tilt, flow.limit_tilt
        state["cancel_loading"], state["activity_sd"] = flow.cancel_tilt, flow.activity_sd
        state["activity"] = config.rate_scale
        step_s = REFRESH_NS / NS
        state["drift_decay"] = 0.5 ** (step_s / flow.drift_half_life_s)
        state["activity_decay"] = 0.5 ** (step_s / flow.activity_half_life_s)
        decay = math.log(2) / flow.excitation_half_life_s
        state["excitation_decay"], state["excitation_jump"] = decay, flow.excitation * decay
        for name in ("buy", "sell", "limit_buy", "limit_sell", "cancel_buy", "cancel_sell"):
            state[f"{name}_tilt"] = 1.0
        moving = flow.market_tilt or flow.limit_tilt or flow.cancel_tilt or flow.activity_sd
        state["refresh_ns"] = -_BURN_IN_NS if moving else _NEVER

    def run(self, end_ns: int, out: np.ndarray) -> int:
        """Write the next rows up to ``end_ns``; return how many."""
        n: int = generate(self.state, self.bid, self.ask, self._limit_sum, self._cancel, end_ns, *self.rngs, out)
        return n
