"""Bitstamp BTCUSD of 2015-05-01, order by order, checked against the order books that the feed sent along."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketprism.core.block import EventBlock, concat
from marketprism.core.kinds import EventKind, Flag
from marketprism.ingest import tabular
from marketprism.ingest.registry import open_source
from marketprism.ingest.source import Source

FOLDER = "bitstamp_l3_20150501"
LOG, TABLE = f"{FOLDER}/2015-05-01.log.xz", f"{FOLDER}/orders.csv.xz"


@pytest.fixture(scope="module")
def log(data_dir: Path) -> tuple[Source, EventBlock]:
    source = open_source(f"bitstamp-l3:{data_dir / LOG}")
    return source, concat(source)


@pytest.fixture(scope="module")
def lines(data_dir: Path) -> list[tuple[int, str, dict[str, Any]]]:
    with lzma.open(data_dir / LOG, "rt") as stream:
        parts = (line.rstrip("\n").split(" ", 2) for line in stream)
        return [(int(ms) * 10**6, what, json.loads(body)) for ms, what, body in parts]


def _trades(block: EventBlock) -> np.ndarray:
    return block.rows[block.rows["kind"] == EventKind.TRADE]


def test_counts(log: tuple[Source, EventBlock], lines: list) -> None:
    source, block = log
    assert len(lines) == source.report.records == 56_000
    assert source.report.rejected == {}
    assert source.report.notes == {
        "changes and removals of orders from before the recording": 208,
        "changes of orders already gone, left out": 1,
        "order_book messages, not used": 5_011,
    }
    kinds = Counter(EventKind(kind).name for kind in block.rows["kind"].tolist())
    sent = Counter(what for _, what, _ in lines)
    assert kinds["ORDER_ADD"] == sent["order_created"] == 24_894
    assert kinds["TRADE"] == sent["trade"] == 575
    assert kinds["ORDER_DELETE"] + kinds["ORDER_EXECUTE"] + kinds["ORDER_MODIFY"] >= 24_918 + 602 - 1
    assert block.counts() == {"orderbook_delta": 50_413, "trade": 575}
    assert source.instrument.key == "bitstamp:spot:BTC-USD"


def test_trades_are_those_of_the_feed(log: tuple[Source, EventBlock], lines: list) -> None:
    rows = _trades(log[1])
    sent = [(ts, body) for ts, what, body in lines if what == "trade"]
    assert rows["event_id"].tolist() == [body["id"] for _, body in sent]
    assert rows["ts_recv"].tolist() == [ts for ts, _ in sent]
    assert rows["price"].tolist() == [round(body["price"] * 100) for _, body in sent]
    amounts = [round(Decimal(body["amount"]), 8) for _, body in sent]
    assert rows["quantity"].tolist() == [float(amount) for amount in amounts]
    assert float(sum(amounts)) == 847.65711841
    assert Counter(rows["side"].tolist()) == {1: 309, -1: 266}
    assert (rows["ts_event"] == rows["ts_recv"]).all()


def test_trades_lie_on_the_side_of_the_book_that_they_hit(log: tuple[Source, EventBlock], lines: list) -> None:
    rows = _trades(log[1])
    books = [(ts, body) for ts, what, body in lines if what == "order_book"]
    times = np.array([ts for ts, _ in books])
    before = np.searchsorted(times, rows["ts_recv"] - 500_000_000) - 1
    right = total = 0
    for row, at in zip(rows, before.tolist(), strict=True):
        if at < 0 or row["ts_recv"] - times[at] > 5 * 10**9:
            continue
        bid, ask = (float(books[at][1][side][0][0]) * 100 for side in ("bids", "asks"))
        if row["price"] != (bid + ask) / 2:
            total += 1
            right += (row["price"] > (bid + ask) / 2) == (row["side"] > 0)
    assert total > 300
    assert right / total > 0.85  # the book is up to 5 s old: a random side would be right half the time


def test_the_rebuilt_book_is_the_one_that_the_feed_sent(log: tuple[Source, EventBlock], lines: list) -> None:
    """Compare the best quotes with every order_book message (a snapshot of some moment in the 3 s before it)."""
    rows = log[1].rows
    books = [(ts, body) for ts, what, body in lines if what == "order_book"]
    orders: dict[int, list[float]] = {}
    levels: dict[int, dict[float, int]] = {1: {}, -1: {}}
    seen: list[tuple[int, float, float]] = []

    def shift(side: float, price: float, number: int) -> None:
        own = levels[int(side)]
        own[price] = own.get(price, 0) + number
        if not own[price]:
            del own[price]

    names = ["kind", "event_id", "side", "price", "quantity", "ts_recv", "flags"]
    for kind, order_id, side, price, quantity, ts, flags in rows[names].tolist():
        old = orders.get(order_id)
        if kind in {EventKind.ORDER_ADD, EventKind.ORDER_MODIFY}:
            assert kind == EventKind.ORDER_MODIFY or old is None
            if old is not None:
                shift(old[0], old[1], -1)
            orders[order_id] = [side, price, round(quantity * 1e8)]
            shift(side, price, 1)
        elif kind != EventKind.TRADE and old is not None:
            left = old[2] - round(quantity * 1e8)
            assert left >= 0
            old[2] = left
            if left == 0 or kind == EventKind.ORDER_DELETE:
                assert left == 0
                shift(old[0], old[1], -1)
                del orders[order_id]
        if flags & Flag.LAST:
            seen.append((ts, max(levels[1], default=0), min(levels[-1], default=0)))
    times = np.array([ts for ts, _, _ in seen])
    found = []
    for ts, body in books:
        wanted = tuple(round(float(body[side][0][0]) * 100) for side in ("bids", "asks"))
        start, stop = np.searchsorted(times, [ts - 3 * 10**9, ts + 1])
        found.append(any(state[1:] == wanted for state in seen[max(start - 1, 0) : stop]))
    after = np.array([ts for ts, _ in books]) > lines[0][0] + 3600 * 10**9
    assert np.array(found)[after].all()  # the first hour still lacks orders from before the recording
    assert after.sum() > 3_900
    assert np.mean(found) > 0.98


def test_the_table_derives_nearly_all_trades(data_dir: Path, log: tuple[Source, EventBlock]) -> None:
    source = open_source(f"bitstamp-l3:{data_dir / TABLE}")
    block = concat(source)
    assert source.report.records == 50_414
    assert source.report.rejected == {}
    derived, sent = _trades(block), _trades(log[1])
    assert ((derived["flags"] & Flag.DERIVED) != 0).all()

    def key(rows: np.ndarray) -> Counter[tuple[int, int, int]]:
        lots = np.round(rows["quantity"] * 1e7).astype(int)
        return Counter(zip(rows["price"].tolist(), lots.tolist(), rows["side"].tolist(), strict=True))

    assert len(derived) == 566
    assert (key(derived) & key(sent)).total() >= 540
    mine, theirs = (b.rows[b.rows["kind"] != EventKind.TRADE] for b in (block, log[1]))
    assert np.array_equal(
        mine[["ts_recv", "event_id", "price", "side"]], theirs[["ts_recv", "event_id", "price", "side"]]
    )
    assert np.abs(mine["quantity"] - theirs["quantity"]).max() < 3e-8


@pytest.mark.parametrize("file", [LOG, TABLE])
def test_batches_do_not_matter(data_dir: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = open_source(f"bitstamp-l3:{data_dir / file}")
    expected = concat(whole)
    monkeypatch.setattr(tabular, "BATCH_LINES", 333)
    parts = open_source(f"bitstamp-l3:{data_dir / file}")
    assert np.array_equal(concat(parts).rows, expected.rows)
    assert parts.report == whole.report
