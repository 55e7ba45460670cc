"""The rebuilt best quotes against the venue's own bookTicker, joined by update id."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.book import Book, BookConfig, ViewStatus
from marketprism.core.block import concat
from marketprism.core.kinds import EventKind, Flag
from marketprism.ingest.registry import open_source

FILES = ("usdm_btcusdt_20240808", "spot_btcusdt_20240808", "cm_btcusd_perp_20240808")


@pytest.fixture(scope="module", params=FILES)
def capture(request, data_dir):
    source = open_source(f"binance-ws:{data_dir}/binance_ws_20240808/{request.param}.gz")
    return source.instrument, concat(list(source)).rows


def quotes(rows):
    quote = rows[rows["kind"] == EventKind.QUOTE]
    bid, ask = quote[quote["side"] == 1], quote[quote["side"] == -1]
    assert (bid["event_id"] == ask["event_id"]).all()
    assert (np.diff(bid["event_id"]) > 0).all()
    return bid, ask


def test_rebuilt_quotes_equal_the_book_ticker(capture):
    instrument, rows = capture
    depth = rows[np.isin(rows["kind"], (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA))].copy()
    book = Book(instrument)
    views = book.push(depth).top
    ends = (depth["flags"] & Flag.LAST != 0) & (views["status"] & ViewStatus.VALID != 0)
    update, top = depth["event_id"][ends], views[ends]
    bid, ask = quotes(rows)

    def equal(at, of):
        return (
            (bid["price"][at] == of["bid"])
            & (ask["price"][at] == of["ask"])
            & (bid["quantity"][at] == of["bid_quantity"])
            & (ask["quantity"][at] == of["ask_quantity"])
        )

    _, at_update, at_quote = np.intersect1d(update, bid["event_id"], return_indices=True)
    assert len(at_update) > 500
    assert equal(at_quote, top[at_update]).all(), "the same update id, the same quotes"
    latest = np.searchsorted(bid["event_id"], update, side="right") - 1
    known = latest >= 0
    assert equal(latest[known], top[known]).mean() > 0.999, "the last quote at or before the update"
    counters = book.counters
    assert (counters["gaps"], counters["snapshots"], counters["crossed"]) == (0, 1, 0)
    assert counters["applied"] > 3000


def test_freshest_quotes_follow_the_book_ticker_between_updates(capture):
    instrument, rows = capture
    book = Book(instrument)
    views = book.push(rows).top
    asks = np.flatnonzero((rows["kind"] == EventKind.QUOTE) & (rows["side"] == -1))
    asks = asks[views["status"][asks] & ViewStatus.DEPTH_VALID != 0]
    taken = rows["quantity"][asks] == views["ask_quantity"][asks]
    assert taken.mean() > 0.95
    assert book.counters["quotes_applied"] > 20 * book.counters["quotes_stale"]


@pytest.mark.parametrize("size", [1, 37, 4096])
def test_chunks_of_the_capture_leave_no_trace(capture, size):
    instrument, rows = capture
    rows = rows[: 20_000 if size > 1 else 6_000].copy()
    whole, book = Book(instrument), Book(instrument)
    expected = whole.push(rows)
    tops, depths = [], []
    for start in range(0, len(rows), size):
        views = book.push(rows[start : start + size])
        tops.append(views.top)
        depths.append(views.depth_quantity[views.top["depth"]].sum(axis=(1, 2)))
        if start == size * 5:
            book = Book.load(book.save())
    found = np.concatenate(tops)
    for name in ("bid", "ask", "bid_quantity", "ask_quantity", "status"):
        np.testing.assert_array_equal(expected.top[name], found[name])
    np.testing.assert_array_equal(
        expected.depth_quantity.sum(axis=(1, 2))[expected.top["depth"]], np.concatenate(depths)
    )
    assert (found["status"] & ViewStatus.VALID != 0).any()
    assert whole.save() == book.save()


def test_a_small_depth_agrees_with_a_large_one(capture):
    instrument, rows = capture
    rows = rows[:30_000].copy()
    small = Book(instrument, BookConfig(depth_levels=3)).push(rows)
    large = Book(instrument, BookConfig(depth_levels=20)).push(rows)
    np.testing.assert_array_equal(
        small.depth_price[small.top["depth"]], large.depth_price[large.top["depth"]][:, :, :3]
    )
    assert len(small.depth_price) < len(large.depth_price)
