"""A plain book that reads tapes with the engine's rules: a new best price pushes the opposite best away."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sortedcontainers import SortedDict

from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.tape import Tape
from marketprism.book import Book, BookConfig, ViewStatus
from marketprism.core.block import EventBlock
from marketprism.core.kinds import Flag

Best = tuple[int | None, float, int | None, float]


class Replay:
    def __init__(self) -> None:
        self.known = False
        self._clear()

    def _clear(self) -> None:
        self.bids, self.asks = SortedDict(), SortedDict()
        self.bid: int | None = None
        self.ask: int | None = None

    def _next_bid(self, below: int) -> int | None:
        at = self.bids.bisect_left(below)
        return self.bids.keys()[at - 1] if at else None

    def _next_ask(self, above: int) -> int | None:
        at = self.asks.bisect_right(above)
        return self.asks.keys()[at] if at < len(self.asks) else None

    def take(self, kind: int, tick: int, quantity: float) -> None:
        if kind == TapeKind.CLEAR:
            self._clear()
            self.known = True
        elif kind == TapeKind.GAP:
            self.known = False
        elif kind == TapeKind.BID:
            self.bids[tick] = quantity
            if self.bid is None or tick > self.bid:
                self.bid = tick
                if self.ask is not None and tick >= self.ask:
                    self.ask = self._next_ask(tick)
        elif kind == TapeKind.ASK:
            self.asks[tick] = quantity
            if self.ask is None or tick < self.ask:
                self.ask = tick
                if self.bid is not None and tick <= self.bid:
                    self.bid = self._next_bid(tick)
        elif kind == TapeKind.NO_BID:
            self.bids.pop(tick, None)
            if tick == self.bid:
                self.bid = self._next_bid(tick)
        elif kind == TapeKind.NO_ASK:
            self.asks.pop(tick, None)
            if tick == self.ask:
                self.ask = self._next_ask(tick)

    def best(self) -> Best:
        return (self.bid, self.bids.get(self.bid, 0.0), self.ask, self.asks.get(self.ask, 0.0))


def times_and_bests(tape: Tape, side: TapeFlag = TapeFlag.LOCAL) -> Iterator[tuple[int, bool, Best]]:
    """Yield what the book is after the last event of each time, by one of the two clocks."""
    events = tape.events[(tape.events["kind"] & side) != 0]
    times = events["local_ts" if side == TapeFlag.LOCAL else "exchange_ts"]
    replay = Replay()
    kinds, ticks, quantities = (events["kind"] & 63).tolist(), events["tick"].tolist(), events["quantity"].tolist()
    ends = np.append(np.diff(times) > 0, True).tolist()
    for i, time in enumerate(times.tolist()):
        replay.take(kinds[i], ticks[i], quantities[i])
        if ends[i]:
            yield time, replay.known, replay.best()


def same_as_book(tape: Tape, block: EventBlock, shift: int = 0, config: BookConfig | None = None) -> int:
    """Compare the tape with a Book after every message that ends a receive time; return how many were compared."""
    book = Book(block.instrument, config or BookConfig(best_quote="book", depth_levels=0))
    views = book.push(block.rows).top
    times = block.rows["ts_recv"] + shift
    ends = ((block.rows["flags"] & Flag.LAST) != 0) & np.append(np.diff(times) > 0, True)
    told = iter(times_and_bests(tape))
    upcoming = next(told, None)
    known, best, compared = False, None, 0
    for i in np.flatnonzero(ends).tolist():
        while upcoming is not None and upcoming[0] <= times[i]:
            _, known, best = upcoming
            upcoming = next(told, None)
        view = views[i]
        status = int(view["status"])
        assert known == bool(status & ViewStatus.SYNCED), (i, known, status)
        if not known or status & (ViewStatus.CROSSED | ViewStatus.LOCKED):
            continue
        assert best is not None
        expected: list[object] = []
        for name, bit in (("bid", ViewStatus.HAS_BID), ("ask", ViewStatus.HAS_ASK)):
            expected += [int(view[name]), float(view[f"{name}_quantity"])] if status & bit else [None, 0.0]
        assert best == tuple(expected), (i, best, expected)
        compared += 1
    return compared
