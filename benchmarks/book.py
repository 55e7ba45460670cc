"""The order book on real depth updates, against bmoscon's order-book (C) and a SortedDict doing the same reads.

Rows are decoded beforehand for everyone; peers get their levels as Python tuples and check no sequence. All keep the
best quotes and read them after every message. Times are CPU time of this thread, the best of several repeats.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from marketprism.book import Book, BookConfig, ViewStatus
from marketprism.core.block import concat
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import empty_rows
from marketprism.ingest.registry import open_source

DATA = Path(os.environ.get("MARKETPRISM_DATA", Path(__file__).parents[2] / "shared" / "data"))
FILE = DATA / "binance_ws_20240808" / "usdm_btcusdt_20240808.gz"
BLOCK = 16_384
REPEATS = 7
PEER_REPEATS = 3
Message = tuple[bool, list[tuple[int, int, float]]]


def load() -> tuple[Instrument, np.ndarray]:
    """Return an instrument and its depth rows: the BTC capture, or a random walk where that is absent."""
    if not FILE.is_file():
        return _random_walk()
    source = open_source(f"binance-ws:{FILE}?channels=depth")
    rows = concat(list(source)).rows
    return source.instrument, rows[np.isin(rows["kind"], (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA))].copy()


def _random_walk() -> tuple[Instrument, np.ndarray]:
    rng = np.random.default_rng(1)
    n, width = 60_000, 6
    rows = empty_rows(n * width)
    middle = 600_000 + np.repeat(np.cumsum(rng.integers(-3, 4, n)), width)
    side = np.where(rng.random(n * width) < 0.5, 1, -1)
    rows["side"] = side
    rows["price"] = middle - side * (1 + rng.geometric(0.02, n * width))
    rows["quantity"] = np.where(rng.random(n * width) < 0.3, 0.0, rng.integers(1, 5000, n * width) / 1000)
    rows["kind"] = EventKind.BOOK_DELTA
    rows["kind"][:width] = EventKind.BOOK_SNAPSHOT
    rows["flags"][::width] |= np.uint8(Flag.FIRST)
    rows["flags"][width - 1 :: width] |= np.uint8(Flag.LAST)
    instrument = Instrument(exchange="sim", market_type="spot", symbol="BTC-USDT", tick_size=Decimal("0.1"))
    return instrument, rows


def messages_of(rows: np.ndarray) -> list[Message]:
    """Return (is snapshot, levels) of each message that belongs into the book, as Python values.

    Peers know no sequencing: the snapshot comes first, and updates that it contains are left out for them.
    """
    snapshot = rows["kind"] == EventKind.BOOK_SNAPSHOT
    updates = rows[~snapshot & (rows["event_id"] >= rows["event_id"][snapshot].max())]
    ordered = np.concatenate([rows[snapshot], updates])
    result: list[Message] = []
    columns = (ordered[name].tolist() for name in ("kind", "flags", "side", "price", "quantity"))
    for kind, flags, *level in zip(*columns, strict=True):
        if flags & Flag.FIRST:
            result.append((kind == EventKind.BOOK_SNAPSHOT, []))
        result[-1][1].append(tuple(level))
    return result


def run_ours(instrument: Instrument, rows: np.ndarray, levels: int, block: int = BLOCK) -> np.ndarray:
    """Push everything; return the last view."""
    book = Book(instrument, BookConfig(depth_levels=levels))
    for start in range(0, len(rows), block):
        views = book.push(rows[start : start + block])
    return views.top[-1]


def run_c_book(messages: list[Message]) -> tuple[float, float]:
    """Keep bmoscon's order-book and read its best quotes after every message."""
    from order_book import OrderBook

    book = OrderBook()
    bids, asks = book.bids, book.asks
    bid = ask = 0.0
    for snapshot, levels in messages:
        if snapshot:
            book.bids, book.asks = {}, {}
            bids, asks = book.bids, book.asks
        for side, price, quantity in levels:
            half = bids if side > 0 else asks
            if quantity > 0.0:
                half[price] = quantity
            elif price in half:
                del half[price]
        if len(bids) and len(asks):
            bid, ask = bids.index(0)[0], asks.index(0)[0]
    return bid, ask


def run_sorted_dict(messages: list[Message]) -> tuple[float, float]:
    """Keep a SortedDict a side and read the best quotes after every message."""
    from sortedcontainers import SortedDict

    bids, asks = SortedDict(), SortedDict()
    bid = ask = 0.0
    for snapshot, levels in messages:
        if snapshot:
            bids.clear()
            asks.clear()
        for side, price, quantity in levels:
            half = bids if side > 0 else asks
            if quantity > 0.0:
                half[price] = quantity
            else:
                half.pop(price, None)
        if bids and asks:
            bid, ask = bids.peekitem(-1)[0], asks.peekitem(0)[0]
    return bid, ask


def _times(call: Callable[[], Any], repeats: int) -> list[float]:
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    return sorted(times)


def single_push(instrument: Instrument, rows: np.ndarray) -> list[float]:
    """Return the seconds that each message took, pushed alone, sorted."""
    starts = np.flatnonzero(rows["flags"] & Flag.FIRST)[:20_000]
    ends = np.append(starts[1:], len(rows) if len(starts) < 20_000 else starts[-1] + 1)
    book = Book(instrument)
    parts = [rows[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    times = []
    for part in parts:
        start = time.perf_counter()
        book.push(part)
        times.append(time.perf_counter() - start)
    return sorted(times)


def measure() -> list[dict[str, Any]]:
    """Return nanoseconds a level row with and without depth, the peers' multiples, and the cost of one message."""
    instrument, rows = load()
    messages = messages_of(rows)
    last = run_ours(instrument, rows, 0)
    peers = {"order-book (C)": (run_c_book, 8), "SortedDict": (run_sorted_dict, 12)}
    result = []
    ours: dict[int, float] = {}
    for levels, target in ((0, "50 ns"), (10, "")):
        times = _times(lambda levels=levels: run_ours(instrument, rows, levels), REPEATS)
        per_row = [t / len(rows) * 1e9 for t in times]
        ours[levels] = times[0]
        case = "best quotes after every update" if levels == 0 else f"and the top {levels}"
        row = {"case": case, "value": per_row[0], "unit": "ns a level row", "spread": [per_row[0], per_row[-1]]}
        result.append({**row, "target": target})
    for name, (run, target) in peers.items():
        found = run(messages)
        if tuple(found) != (last["bid"], last["ask"]) or not last["status"] & ViewStatus.SYNCED:
            raise RuntimeError(f"{name} ended at {found}, ours at {last}")
        times = _times(lambda run=run: run(messages), PEER_REPEATS)
        result.append(
            {
                "case": f"best quotes: {name}",
                "value": times[0] / len(rows) * 1e9,
                "unit": "ns a level row",
                "spread": [times[0] / len(rows) * 1e9, times[-1] / len(rows) * 1e9],
                "ratio": times[0] / ours[0],
                "target": f"{target} times",
                "peer": name,
            }
        )
    alone = single_push(instrument, rows)
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        value = alone[int(share * len(alone))] * 1e6
        result.append({"case": f"one message pushed alone, top 10, {name}", "value": value, "unit": "us"})
    return result


if __name__ == "__main__":
    for entry in measure():
        print(f"{entry['case']:45} {entry['value']:10.1f} {entry['unit']:15} {entry.get('ratio', '')}")
