"""Integrity rules: what may reach a book, and when it is invalid."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.book import ViewStatus
from marketprism.core.kinds import GapReason

TWO_SIDED = ((1, 100, 1.0), (-1, 102, 3.0))


def valid(view):
    return bool(view["status"] & ViewStatus.VALID)


def test_locked_is_valid(new_book, message, feed):
    book = new_book()
    view = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED), message("BOOK_DELTA", ((1, 102, 1.0),)))
    assert view["status"] & ViewStatus.LOCKED
    assert valid(view)
    assert view["status"] & ViewStatus.DEPTH_VALID
    feed(book, message("BOOK_DELTA", ((1, 102, 2.0),)))
    assert book.counters["locked"] == 1, "counted when it becomes locked, not while it stays"


def test_crossed_has_no_mid_and_recovers_within_tolerance(new_book, message, feed):
    book = new_book(crossed_tolerance_ns=100)
    cross = message("BOOK_DELTA", ((1, 103, 1.0),), ts=10)
    view = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED), cross)
    assert view["status"] & ViewStatus.CROSSED
    assert not valid(view)
    assert not view["status"] & ViewStatus.DEPTH_VALID
    assert valid(feed(book, message("BOOK_DELTA", ((1, 103, 0.0),), ts=110)))
    assert (book.counters["crossed"], book.counters["crossed_too_long"], len(book.drain_gaps())) == (1, 0, 0)


@pytest.mark.parametrize("kind", ["BOOK_DELTA", "TRADE"])
def test_crossed_beyond_tolerance_is_a_gap(new_book, message, feed, kind):
    book = new_book(crossed_tolerance_ns=100)
    feed(book, message("BOOK_SNAPSHOT", TWO_SIDED), message("BOOK_DELTA", ((1, 103, 1.0),), ts=10))
    assert feed(book, message(kind, ((1, 1, 1.0),), ts=110))["status"] & ViewStatus.SYNCED
    view = feed(book, message(kind, ((1, 1, 1.0),), ts=111))
    assert view["status"] == 0
    (gap,) = book.drain_gaps()
    assert (gap["reason"], gap["ts_event"], gap["lost"]) == (GapReason.CROSSED, 111, -1)
    # Without a sequencing rule it is valid again once uncrossed.
    assert valid(feed(book, message("BOOK_DELTA", ((1, 103, 0.0),), ts=120)))


def test_a_sequenced_book_crossed_too_long_waits_for_a_snapshot(new_book, message, feed):
    book = new_book("deribit", crossed_tolerance_ns=100)
    feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=1))
    feed(book, message("BOOK_DELTA", ((1, 103, 1.0),), u=2, pu=1, ts=10))
    assert feed(book, message("BOOK_DELTA", ((1, 1, 1.0),), u=3, pu=2, ts=1000))["status"] == 0
    assert feed(book, message("BOOK_DELTA", ((1, 103, 0.0),), u=4, pu=3, ts=1001))["status"] == 0
    assert valid(feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=9)))


def test_removal_of_an_unknown_level_is_ignored_and_counted(new_book, message, feed):
    book = new_book()
    before = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED))
    view = feed(book, message("BOOK_DELTA", ((1, 50, 0.0), (-1, 9_000_000, 0.0), (1, 99, 1.0), (1, 99, 1.0))))
    assert view == before | {"depth": 1}
    assert book.counters["unknown_level_removed"] == 2


def test_an_empty_side_has_no_mid(new_book, message, feed):
    book = new_book()
    view = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED), message("BOOK_DELTA", ((-1, 102, 0.0),)))
    assert view["status"] == ViewStatus.HAS_BID | ViewStatus.SYNCED
    view = feed(book, message("BOOK_DELTA", ((1, 100, 0.0),)))
    assert view["status"] == ViewStatus.SYNCED
    view = feed(book, message("BOOK_DELTA", ((-1, 105, 1.0),)))
    assert view["status"] == ViewStatus.HAS_ASK | ViewStatus.SYNCED


def test_a_snapshot_level_without_quantity_is_ignored(new_book, message, feed):
    book = new_book()
    view = feed(book, message("BOOK_SNAPSHOT", ((1, 101, 0.0), *TWO_SIDED)))
    assert view["bid"] == 100
    assert book.counters["empty_snapshot_levels"] == 1


def test_a_snapshot_alone_is_applied_and_kept(new_book, message, feed):
    assert valid(feed(new_book("binance_spot"), message("BOOK_SNAPSHOT", TWO_SIDED, u=3)))


def test_an_empty_snapshot_clears(new_book, message, feed):
    view = feed(new_book(), message("BOOK_SNAPSHOT", TWO_SIDED), message("BOOK_SNAPSHOT"))
    assert view["status"] == ViewStatus.SYNCED


@pytest.mark.parametrize(
    "level",
    [
        (1, 101, np.nan),
        (1, 101, np.inf),
        (1, 101, -1.0),
        (1, 0, 1.0),
        (1, -5, 1.0),
        (1, 2**62, 1.0),
        (1, -(2**63), 1.0),
    ],
)
def test_what_must_never_reach_a_book(new_book, message, feed, level):
    book = new_book()
    before = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED))
    assert feed(book, message("BOOK_DELTA", (level,))) == before | {"depth": 0}
    assert book.counters["bad_rows"] == 1


@pytest.mark.parametrize("level", [(1, 101, np.nan), (1, -101, 1.0), (0, 101, 1.0)])
def test_bad_quotes_are_ignored(new_book, message, feed, level):
    book = new_book()
    before = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED))
    assert feed(book, message("QUOTE", (level,))) == before | {"depth": 0}
    assert book.counters["bad_rows"] == 1


def test_a_gap_row_invalidates_until_the_next_snapshot(new_book, message, feed):
    book = new_book()
    delta = message("BOOK_DELTA", ((1, 99, 1.0),))
    assert feed(book, message("BOOK_SNAPSHOT", TWO_SIDED), message("GAP"))["status"] == 0
    assert feed(book, delta)["status"] == 0
    assert book.counters["before_snapshot"] == 1
    assert valid(feed(book, message("BOOK_SNAPSHOT", TWO_SIDED)))
    assert len(book.levels(1)[0]) == 1
    assert (book.counters["gap_rows"], len(book.drain_gaps())) == (1, 0)


def test_a_gap_row_forgets_quotes(new_book, message, feed):
    book = new_book()
    assert feed(book, message("QUOTE", ((1, 101, 9.0), (-1, 102, 2.0))), message("GAP"))["status"] == 0
    view = feed(book, message("QUOTE", ((1, 101, 9.0),)))
    assert view["status"] == ViewStatus.HAS_BID | ViewStatus.SYNCED
    assert valid(feed(book, message("QUOTE", ((-1, 102, 9.0),))))


def test_no_snapshot_stays_invalid_unless_told_otherwise(new_book, message, feed):
    delta = message("BOOK_DELTA", ((1, 99, 1.0), (-1, 101, 1.0)), u=7, U=7, pu=6)
    for rule in ("none", "binance_spot", "binance_futures", "okx", "deribit"):
        assert feed(new_book(rule), delta)["status"] == 0
        book = new_book(rule, start="first_update")
        assert valid(feed(book, delta))
        assert book.counters["first_update_starts"] == 1


def test_first_update_start_begins_anew_after_a_gap(new_book, message, feed):
    book = new_book("deribit", start="first_update")
    feed(book, message("BOOK_DELTA", ((1, 99, 1.0), (-1, 101, 1.0)), u=7, pu=6))
    view = feed(book, message("BOOK_DELTA", ((1, 98, 1.0), (-1, 103, 1.0)), u=9, pu=8))
    assert (view["bid"], view["ask"]) == (98, 103)
    assert len(book.drain_gaps()) == 1
