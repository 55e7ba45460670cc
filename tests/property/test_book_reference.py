"""The ladder against a book kept in plain dictionaries, over ranges far wider than the ladder."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketprism.book import Book, BookConfig, ViewStatus
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import empty_rows

INSTRUMENT = Instrument(exchange="sim", market_type="spot", symbol="BTC-USDT", tick_size=Decimal("0.1"))
LEVELS = 4

# Clusters a ladder apart, so that levels leave the range and come back when the best price moves.
price = st.one_of(
    st.integers(1, 40),
    st.integers(65_500, 65_600),
    st.integers(131_000, 131_100),
    st.integers(10**6, 10**6 + 40),
    st.integers(1, 2 * 10**6),
)
level = st.tuples(st.sampled_from([1, -1]), price, st.sampled_from([0.0, 0.0, 1.0, 2.5, 7.0]))
book_message = st.tuples(st.integers(0, 9).map(lambda i: i == 0), st.lists(level, min_size=1, max_size=12))


class DictBook:
    """The reference: one dictionary a side."""

    def __init__(self) -> None:
        self.sides: dict[int, dict[int, float]] = {1: {}, -1: {}}
        self.synced = False

    def apply(self, snapshot: bool, levels: list[tuple[int, int, float]]) -> None:
        if snapshot:
            self.sides = {1: {}, -1: {}}
            self.synced = True
        if not self.synced:
            return
        for side, ticks, quantity in levels:
            if quantity > 0:
                self.sides[side][ticks] = quantity
            elif not snapshot:
                self.sides[side].pop(ticks, None)

    def best(self, side: int, n: int) -> list[tuple[int, float]]:
        ranked = sorted(self.sides[side].items(), reverse=side > 0)[:n]
        return ranked + [(0, 0.0)] * (n - len(ranked))


def rows_of(messages):
    parts = []
    for i, (snapshot, levels) in enumerate(messages):
        rows = empty_rows(len(levels))
        rows["kind"] = EventKind.BOOK_SNAPSHOT if snapshot else EventKind.BOOK_DELTA
        rows["side"], rows["price"], rows["quantity"] = ([row[k] for row in levels] for k in range(3))
        rows["ts_event"] = i
        rows["flags"][0] |= Flag.FIRST
        rows["flags"][-1] |= Flag.LAST
        parts.append(rows)
    return np.concatenate(parts)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(book_message, min_size=1, max_size=40))
def test_every_view_and_depth_record_equals_the_reference(messages):
    messages = [(True, [(1, 50, 1.0)]), *messages]
    book, reference = Book(INSTRUMENT, BookConfig(depth_levels=LEVELS)), DictBook()
    views = book.push(rows_of(messages))
    at = -1
    for snapshot, levels in messages:
        before = views.top[at] if at >= 0 else None
        reference.apply(snapshot, levels)
        for i in range(at + 1, at + len(levels)):
            assert before is None or views.top[i] == before
        at += len(levels)
        top, record = views.top[at], views.top["depth"][at]
        bids, asks = reference.best(1, LEVELS), reference.best(-1, LEVELS)
        assert (int(top["bid"]), float(top["bid_quantity"])) == bids[0]
        assert (int(top["ask"]), float(top["ask_quantity"])) == asks[0]
        for side, expected in enumerate((bids, asks)):
            found = zip(
                views.depth_price[record, side].tolist(), views.depth_quantity[record, side].tolist(), strict=True
            )
            assert list(found) == expected
        two_sided = bids[0][1] > 0 and asks[0][1] > 0
        assert bool(top["status"] & ViewStatus.VALID) == (two_sided and bids[0][0] <= asks[0][0])
        assert bool(top["status"] & ViewStatus.CROSSED) == (two_sided and bids[0][0] > asks[0][0])
    for side in (1, -1):
        prices, quantities = book.levels(side)
        assert list(zip(prices.tolist(), quantities.tolist(), strict=True)) == reference.best(
            side, len(reference.sides[side])
        )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(book_message, min_size=2, max_size=30), st.integers(1, 37), st.integers(0, 400))
def test_chunks_and_restores_leave_no_trace(messages, size, restore_at):
    rows = rows_of(messages)
    config = BookConfig(depth_levels=LEVELS)
    whole, book = Book(INSTRUMENT, config), Book(INSTRUMENT, config)
    expected = whole.push(rows)
    tops, depths = [], []
    for start in range(0, len(rows), size):
        if start <= restore_at < start + size:
            book = Book.load(book.save())
        views = book.push(rows[start : start + size])
        tops.append(views.top)
        depths.append(views.depth_quantity[views.top["depth"]])
    found = np.concatenate(tops)
    for name in ("bid", "ask", "bid_quantity", "ask_quantity", "status"):
        np.testing.assert_array_equal(expected.top[name], found[name])
    np.testing.assert_array_equal(expected.depth_quantity[expected.top["depth"]], np.concatenate(depths))
    assert whole.save() == book.save()


@settings(max_examples=40, deadline=None)
@given(st.lists(book_message, min_size=1, max_size=30))
def test_a_record_follows_only_a_change(messages):
    views = Book(INSTRUMENT, BookConfig(depth_levels=LEVELS)).push(rows_of(messages))
    same_price = (views.depth_price[1:] == views.depth_price[:-1]).all(axis=(1, 2))
    same_quantity = (views.depth_quantity[1:] == views.depth_quantity[:-1]).all(axis=(1, 2))
    assert not (same_price & same_quantity).any()
    assert views.top["depth"][-1] == len(views.depth_price) - 1
