"""The book around the sequencing machines: holding, joining, gaps and resyncs at message level."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.book import Book, ViewStatus
from marketprism.core.kinds import GapReason

TWO_SIDED = ((1, 100, 1.0), (-1, 102, 3.0))


def bid(side_price, quantity=1.0):
    return ((1, side_price, quantity),)


def test_held_updates_join_the_snapshot(new_book, message, feed):
    book = new_book("binance_spot")
    view = feed(
        book,
        message("BOOK_DELTA", bid(90), u=3, U=1),
        message("BOOK_DELTA", bid(91), u=5, U=4),
        message("BOOK_DELTA", bid(92), u=8, U=6),
    )
    assert view["status"] == 0
    view = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=4))
    assert view["status"] & ViewStatus.VALID
    assert book.levels(1)[0].tolist() == [100, 92, 91], "the first is older than the snapshot, the others join"
    counters = book.counters
    assert (counters["buffered"], counters["stale_dropped"], counters["snapshots"]) == (3, 1, 1)


def test_a_snapshot_older_than_the_first_held_update_is_never_applied(new_book, message, feed):
    for rule in ("binance_spot", "binance_futures"):
        book = new_book(rule)
        view = feed(book, message("BOOK_DELTA", bid(90), u=9, U=7, pu=6), message("BOOK_SNAPSHOT", TWO_SIDED, u=5))
        assert view["status"] == 0
        assert book.counters["snapshots_refused"] == 1
        view = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=8))
        assert view["status"] & ViewStatus.VALID
        assert book.levels(1)[0].tolist() == [100, 90]


def test_a_gap_invalidates_at_once_and_is_told(new_book, message, feed):
    book = new_book("binance_spot")
    feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=5, ts=50), message("BOOK_DELTA", bid(99), u=6, U=6, ts=60))
    view = feed(book, message("BOOK_DELTA", bid(98), u=12, U=10, ts=70))
    assert view["status"] == 0
    (gap,) = book.drain_gaps()
    assert gap.item() == (70, 75, 60, 3, GapReason.SEQUENCE)
    assert len(book.drain_gaps()) == 0
    # The update that showed the gap is held; a snapshot that spans it resyncs.
    view = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=11))
    assert view["status"] & ViewStatus.VALID
    assert book.levels(1)[0].tolist() == [100, 98]


def test_a_gap_among_held_updates_keeps_the_rest_held(new_book, message, feed):
    book = new_book("binance_spot")
    feed(book, message("BOOK_DELTA", bid(90), u=3, U=1), message("BOOK_DELTA", bid(91), u=9, U=7))
    assert feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=2))["status"] == 0
    assert book.drain_gaps()["lost"].tolist() == [3]
    assert feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=8))["status"] & ViewStatus.VALID
    assert book.levels(1)[0].tolist() == [100, 91]


def test_duplicates_change_nothing_and_are_counted(new_book, message, feed):
    book = new_book("binance_futures")
    update = message("BOOK_DELTA", bid(101), u=8, U=5, pu=4)
    once = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=5), update)
    again = feed(book, update, message("BOOK_DELTA", bid(150), u=7, U=6, pu=5))
    assert again == once | {"depth": 0}
    assert (book.counters["duplicates"], book.counters["stale_dropped"], book.counters["gaps"]) == (1, 1, 0)


def test_futures_chain_break_resyncs_where_spot_ids_would_fit(new_book, message, feed):
    book = new_book("binance_futures")
    feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=5), message("BOOK_DELTA", bid(99), u=8, U=5, pu=4))
    view = feed(book, message("BOOK_DELTA", bid(98), u=10, U=9, pu=7))
    assert view["status"] == 0
    assert book.drain_gaps()["reason"].tolist() == [GapReason.SEQUENCE]


def test_other_books_are_untouched_by_a_gap(new_book, message, feed):
    one, two = new_book("okx"), new_book("okx")
    for book in (one, two):
        feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=5))
    assert feed(one, message("BOOK_DELTA", bid(98), u=10, pu=9))["status"] == 0
    assert feed(two, message("BOOK_DELTA", bid(98), u=10, pu=5))["status"] & ViewStatus.VALID


def test_okx_reset_is_counted_and_goes_on(new_book, message, feed):
    book = new_book("okx")
    view = feed(
        book,
        message("BOOK_SNAPSHOT", TWO_SIDED, u=500),
        message("BOOK_DELTA", bid(99), u=3, pu=500),
        message("BOOK_DELTA", bid(98), u=7, pu=3),
    )
    assert view["status"] & ViewStatus.VALID
    assert (book.counters["resets"], book.counters["applied"]) == (1, 3)


def test_messages_without_ids_apply_in_order_of_arrival(new_book, message, feed):
    book = new_book("okx")
    view = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED), message("BOOK_DELTA", bid(101)))
    assert (view["bid"], bool(view["status"] & ViewStatus.VALID)) == (101, True)


def test_the_buffer_is_bounded_and_drops_its_oldest_messages(new_book, message, feed):
    book = new_book("binance_spot", buffer_rows=8)
    for i in range(20):
        feed(book, message("BOOK_DELTA", ((1, 50 + i, 1.0), (-1, 150 + i, 1.0)), u=i, U=i))
    assert book.counters["buffer_dropped"] == 2 * 17 - 2
    assert feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=15))["status"] == 0, "older than what is left"
    assert feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=17))["status"] & ViewStatus.VALID
    assert book.levels(1)[0].tolist() == [100, 69, 68]


def test_a_message_larger_than_the_buffer_is_dropped_whole(new_book, message, feed):
    book = new_book("binance_spot", buffer_rows=4)
    levels = tuple((1, 10 + i, 1.0) for i in range(9))
    feed(book, message("BOOK_DELTA", levels, u=1, U=1), message("BOOK_DELTA", bid(60), u=2, U=2))
    assert feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=2))["status"] & ViewStatus.VALID
    assert book.levels(1)[0].tolist() == [100]


def test_the_buffer_grows_inside_one_push(new_book, message):
    book = new_book("binance_spot")
    updates = [message("BOOK_DELTA", ((1, 1 + i, 1.0),), u=i, U=i) for i in range(1000)]
    book.push(np.concatenate([*updates, message("BOOK_SNAPSHOT", TWO_SIDED, u=500)]))
    assert len(book.levels(1)[0]) == 500
    assert len(Book.load(book.save()).levels(1)[0]) == 500


def test_many_gaps_in_one_push_are_all_told(new_book, message):
    book = new_book("deribit")
    rows = []
    for i in range(50):
        rows += [message("BOOK_SNAPSHOT", TWO_SIDED, u=10 * i), message("BOOK_DELTA", bid(99), u=10 * i + 5, pu=3)]
    book.push(np.concatenate(rows[2:]))
    assert len(book.drain_gaps()) == 49


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_sequencing_is_chunk_invariant(new_book, message, size):
    rows = np.concatenate(
        [
            message("BOOK_DELTA", ((1, 90, 1.0), (1, 89, 1.0)), u=3, U=1),
            message("BOOK_DELTA", ((1, 91, 1.0), (1, 88, 1.0), (-1, 140, 1.0)), u=5, U=4),
            message("BOOK_SNAPSHOT", TWO_SIDED, u=4),
            message("BOOK_DELTA", ((1, 87, 1.0), (1, 86, 1.0)), u=9, U=8),
            message("BOOK_DELTA", ((1, 85, 1.0), (1, 84, 1.0)), u=10, U=10),
            message("BOOK_SNAPSHOT", TWO_SIDED, u=9),
            message("BOOK_DELTA", ((1, 83, 1.0), (1, 82, 1.0)), u=11, U=11),
        ]
    )
    whole, parts = new_book("binance_spot"), new_book("binance_spot")
    expected = whole.push(rows).top
    found = np.concatenate([parts.push(rows[i : i + size]).top for i in range(0, len(rows), size)])
    for name in ("bid", "ask", "bid_quantity", "ask_quantity", "status"):
        np.testing.assert_array_equal(expected[name], found[name])
    assert whole.save() == parts.save()
    assert whole.levels(1)[0].tolist() == [100, 85, 84, 83, 82]
