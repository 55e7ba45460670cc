"""The simulated market as a stream of blocks, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError
from marketprism.core.kinds import EventKind, Flag, Side
from marketprism.core.random import stream
from marketprism.core.rows import ROW_DTYPE, empty_rows
from marketprism.core.timebase import NS
from marketprism.simulate.config import MarketConfig
from marketprism.simulate.kernel import MARKET_DTYPE, MASK, MAX_EVENT_ROWS, REFRESH_NS, generate

__all__ = ["MarkovMarket"]

_BURN_IN_NS = 60 * NS
_NEVER = np.iinfo(np.int64).max


class MarkovMarket:
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

    def __init__(self, config: MarketConfig | None = None) -> None:
        self.config = config if config is not None else MarketConfig()
        self.instrument = self.config.instrument

    def blocks(self, size: int = 65_536) -> Iterator[EventBlock]:
        """Yield the whole stream from the opening, in blocks of at most ``size`` rows.

        Raises
        ------
        ConfigError
            ``size`` is too small for one event, or the price wandered down to zero.
        """
        if size < MAX_EVENT_ROWS:
            raise ConfigError(f"block size was {size}", hint=f"at least {MAX_EVENT_ROWS} rows")
        config = self.config
        book = _Book(config)
        scratch = np.zeros(size, ROW_DTYPE)
        while book.run(0, scratch):
            pass  # burn-in: nobody sees these rows
        opening = book.snapshot()
        for start in range(0, len(opening), size):
            yield EventBlock(opening[start : start + size], (self.instrument,))
        end = round(config.duration_s * NS)
        while n := book.run(end, scratch):
            lowest = int(scratch["price"][:n].min())
            if lowest <= 0:
                raise ConfigError(f"the simulated price fell to {lowest} ticks", hint="raise initial_price")
            yield EventBlock(scratch[:n].copy(), (self.instrument,))


class _Book:
    """State of one pass: arrays for the kernel, and its random streams."""

    def __init__(self, config: MarketConfig) -> None:
        rates, flow = config.rates, config.flow
        self._limit_sum = np.cumsum(rates.limits(config.depth))
        self._cancel = np.array(rates.cancel) / flow.order_lots
        self._rngs = tuple(stream(config.seed, "simulate", name) for name in ("events", "drift", "latency"))
        self._bid, self._ask = np.zeros(MASK + 1, np.int64), np.zeros(MASK + 1, np.int64)
        self._state = state = np.zeros(1, MARKET_DTYPE)
        first_bid = int(config.initial_price / config.tick_size)
        for i in range(1, config.depth + 1):
            lots = math.ceil(flow.order_lots * rates.limit_at(i) / rates.cancel_at(i))
            self._bid[(first_bid + 1 - i) & MASK] = self._ask[(first_bid + i) & MASK] = lots
        state["bid"], state["ask"] = first_bid, first_bid + 1
        state["bid_lots"] = state["ask_lots"] = self._bid.sum()
        state["start_ns"], state["ts_recv"] = config.start_ns, 0
        state["now_ns"] = state["excited_ns"] = -_BURN_IN_NS
        state["lots_per_unit"], state["order_lots"] = config.lots_per_unit, flow.order_lots
        state["limit_total"] = self._limit_sum[-1]
        state["market"] = rates.market * (1 - flow.excitation)
        state["market_loading"], state["limit_loading"] = flow.market_tilt, flow.limit_tilt
        state["cancel_loading"], state["activity_sd"] = flow.cancel_tilt, flow.activity_sd
        state["rate_scale"] = state["activity"] = config.rate_scale
        step_s = REFRESH_NS / NS
        state["drift_decay"] = 0.5 ** (step_s / flow.drift_half_life_s)
        state["activity_decay"] = 0.5 ** (step_s / flow.activity_half_life_s)
        decay = math.log(2) / flow.excitation_half_life_s
        state["excitation_decay"], state["excitation_jump"] = decay, flow.excitation * decay
        state["latency_ns"], state["jitter_ns"] = config.latency_ms * 1e6, config.jitter_ms * 1e6
        for name in ("buy", "sell", "limit_buy", "limit_sell", "cancel_buy", "cancel_sell"):
            state[f"{name}_tilt"] = 1.0
        moving = flow.market_tilt or flow.limit_tilt or flow.cancel_tilt or flow.activity_sd
        state["refresh_ns"] = -_BURN_IN_NS if moving else _NEVER

    def run(self, end_ns: int, out: np.ndarray) -> int:
        """Write the next rows up to ``end_ns``; return how many."""
        n: int = generate(self._state, self._bid, self._ask, self._limit_sum, self._cancel, end_ns, *self._rngs, out)
        return n

    def snapshot(self) -> np.ndarray:
        """Return the whole book as one snapshot message, best levels first, bids then asks."""
        state = self._state[0]
        levels: list[tuple[int, int, int]] = []
        for side, queue, best, total in (
            (Side.BID, self._bid, int(state["bid"]), int(state["bid_lots"])),
            (Side.ASK, self._ask, int(state["ask"]), int(state["ask_lots"])),
        ):
            price, left = best, total
            while left > 0:
                lots = int(queue[price & MASK])
                if lots:
                    levels.append((int(side), price, lots))
                    left -= lots
                price -= int(side)
        rows = empty_rows(len(levels))
        rows["side"], rows["price"], lots_column = np.array(levels).T
        rows["quantity"] = lots_column / state["lots_per_unit"]
        rows["ts_event"] = state["start_ns"]
        self._state["ts_recv"] = rows["ts_recv"] = int(state["start_ns"]) + int(state["latency_ns"])
        rows["kind"], rows["event_id"] = EventKind.BOOK_SNAPSHOT, state["update_id"]
        rows["flags"][0] |= Flag.FIRST
        rows["flags"][-1] |= Flag.LAST
        return rows
