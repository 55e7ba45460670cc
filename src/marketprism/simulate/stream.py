"""From a model's kernel to a stream of blocks: the opening snapshot, the burn-in, the loop over blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError
from marketprism.core.kinds import EventKind, Flag, Side
from marketprism.core.random import stream
from marketprism.core.rows import ROW_DTYPE, empty_rows
from marketprism.core.timebase import NS
from marketprism.simulate.feed import FeedConfig
from marketprism.simulate.ring import MASK

__all__ = ["Market", "RingBook"]


class RingBook(ABC):
    """State of one pass over a simulated market: the ring book, the model's record and its random streams.

    Parameters
    ----------
    config : FeedConfig
        The market.
    dtype : dtype
        The model's record; it begins with :data:`marketprism.simulate.ring.RING_FIELDS`.
    names : tuple of str
        Random streams; the last one is the latency's.
    burn_in_ns : int
        Simulated time before the opening.
    """

    def __init__(self, config: FeedConfig, dtype: np.dtype, names: tuple[str, ...], burn_in_ns: int = 0) -> None:
        self.config = config
        self.rngs = tuple(stream(config.seed, "simulate", name) for name in names)
        self.bid, self.ask = np.zeros(MASK + 1, np.int64), np.zeros(MASK + 1, np.int64)
        self.state = state = np.zeros(1, dtype)
        state["start_ns"], state["now_ns"] = config.start_ns, -burn_in_ns
        state["lots_per_unit"], state["rate_scale"] = config.lots_per_unit, config.rate_scale
        state["latency_ns"], state["jitter_ns"] = config.latency_ms * 1e6, config.jitter_ms * 1e6

    def place(self, side: int, price: int, lots: int) -> None:
        """Put lots on the book before anything runs."""
        state = self.state[0]
        queue, best = (self.bid, "bid") if side > 0 else (self.ask, "ask")
        if lots and (state[f"{best}_lots"] == 0 or side * (price - int(state[best])) > 0):
            state[best] = price
        queue[price & MASK] += lots
        state[f"{best}_lots"] += lots

    @abstractmethod
    def run(self, end_ns: int, out: np.ndarray) -> int:
        """Write the next rows up to ``end_ns`` (ns since the opening) into ``out``; return how many."""

    def snapshot(self) -> np.ndarray:
        """Return the whole book as one snapshot message, best levels first, bids then asks."""
        state = self.state[0]
        levels: list[tuple[int, int, int]] = []
        for side, queue, best, total in (
            (Side.BID, self.bid, int(state["bid"]), int(state["bid_lots"])),
            (Side.ASK, self.ask, int(state["ask"]), int(state["ask_lots"])),
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
        self.state["ts_recv"] = rows["ts_recv"] = int(state["start_ns"]) + int(state["latency_ns"])
        rows["kind"], rows["event_id"] = EventKind.BOOK_SNAPSHOT, state["update_id"]
        rows["flags"][0] |= Flag.FIRST
        rows["flags"][-1] |= Flag.LAST
        return rows


class Market(ABC):
    """A simulated market: a configuration in, blocks of events out, as often as needed.

    The stream opens with one snapshot of the book and goes on with trades and updates; the same configuration gives
    the same rows, whatever the block size.

    Parameters
    ----------
    config : FeedConfig
        The market.
    """

    max_event_rows: ClassVar[int]
    """Most rows that one event writes; a block is at least as long."""

    def __init__(self, config: FeedConfig) -> None:
        self.feed = config
        self.instrument = config.instrument

    @abstractmethod
    def start(self) -> RingBook:
        """Return a fresh pass."""

    def blocks(self, size: int = 65_536) -> Iterator[EventBlock]:
        """Yield the whole stream from the opening, in blocks of at most ``size`` rows.

        Raises
        ------
        ConfigError
            ``size`` is too small for one event, or the price wandered down to zero.
        """
        for _, rows in self._passes(size):
            yield EventBlock(rows, (self.instrument,))

    def _passes(self, size: int) -> Iterator[tuple[RingBook, np.ndarray]]:
        """Yield the pass and the rows of each block, the snapshot first."""
        if size < self.max_event_rows:
            raise ConfigError(f"block size was {size}", hint=f"at least {self.max_event_rows} rows")
        book = self.start()
        scratch = np.zeros(size, ROW_DTYPE)
        while book.run(0, scratch):
            pass  # burn-in: nobody sees these rows
        opening = book.snapshot()
        for first in range(0, len(opening), size):
            yield book, opening[first : first + size]
        end = round(self.feed.duration_s * NS)
        while n := book.run(end, scratch):
            lowest = int(scratch["price"][:n].min())
            if lowest <= 0:
                raise ConfigError(f"the simulated price fell to {lowest} ticks", hint="raise initial_price")
            yield book, scratch[:n].copy()
