"""A small language for hand-made streams: tests list events, the fixture makes rows and views."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from marketprism.book.views import VIEW_DTYPE, BookViews, ViewStatus
from marketprism.buckets import BucketClock, BucketConfig
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import empty_rows

S = 1_000_000_000
WHOLE = Flag.FIRST | Flag.LAST
GOOD = ViewStatus.HAS_BID | ViewStatus.HAS_ASK | ViewStatus.SYNCED | ViewStatus.VALID


class Feed:
    """Rows and views by hand; times in seconds, book 100 / 102 ticks of 0.5 unless told."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def add(self, kind: EventKind, t: float, **fields: Any) -> Feed:
        self.events.append({"kind": kind, "t": t, "flags": WHOLE, "bid": 100, "ask": 102, "status": GOOD, **fields})
        return self

    def trade(self, t: float, quantity: float, side: int = 1, price: int = 101, **fields: Any) -> Feed:
        return self.add(EventKind.TRADE, t, quantity=quantity, side=side, price=price, **fields)

    def book(self, t: float, **fields: Any) -> Feed:
        return self.add(EventKind.BOOK_DELTA, t, **fields)

    def slow(self, t: float) -> Feed:
        return self.add(EventKind.FUNDING_RATE, t)

    def gap(self, t: float) -> Feed:
        return self.add(EventKind.GAP, t, status=0)

    def arrays(self) -> tuple[np.ndarray, BookViews]:
        rows = empty_rows(len(self.events))
        top = np.zeros(len(self.events), VIEW_DTYPE)
        for i, event in enumerate(self.events):
            rows["ts_event"][i] = round(event.get("ts", event["t"] * S))
            rows["ts_recv"][i] = round(event["t"] * S) + 1000
            for name in ("kind", "flags", "quantity", "side", "price"):
                rows[name][i] = event.get(name, 0)
            for name in ("bid", "ask", "status"):
                top[name][i] = event[name]
        return rows, BookViews(top, np.zeros((1, 2, 1), np.int64), np.zeros((1, 2, 1)))

    def run(self, **config: Any) -> Run:
        clock = BucketClock(INSTRUMENT, BucketConfig(**config))
        rows, views = self.arrays()
        cuts, buckets = clock.push(rows, views)
        return Run(cuts, np.concatenate([buckets, clock.flush()]), clock)


class Run:
    def __init__(self, cuts: np.ndarray, buckets: np.ndarray, clock: BucketClock) -> None:
        self.cuts, self.buckets, self.clock = cuts.tolist(), buckets, clock

    def __getattr__(self, name: str) -> list[Any]:
        return self.buckets[name].tolist()

    @property
    def seconds(self) -> list[tuple[float, float]]:
        return [(a / S, b / S) for a, b in zip(self.ts_start, self.ts_end, strict=True)]


INSTRUMENT = Instrument(exchange="sim", market_type="spot", symbol="BTC-USDT", tick_size=Decimal("0.5"))


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def instrument() -> Instrument:
    return INSTRUMENT
