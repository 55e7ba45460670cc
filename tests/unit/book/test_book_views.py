"""Views and depth records of L2 messages and quotes."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.book import Book, BookConfig, ViewStatus
from marketprism.book.views import VIEW_DTYPE
from marketprism.core.errors import ConfigError, DataError, StateError
from marketprism.core.kinds import EventKind
from marketprism.core.rows import empty_rows

TWO_SIDED = ((1, 100, 1.0), (1, 99, 2.0), (-1, 102, 3.0), (-1, 104, 4.0))
GOOD = ViewStatus.HAS_BID | ViewStatus.HAS_ASK | ViewStatus.SYNCED | ViewStatus.VALID | ViewStatus.DEPTH_VALID


def test_snapshot_then_delta(new_book, message, feed):
    book = new_book()
    view = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED))
    assert (view["bid"], view["ask"], view["bid_quantity"], view["ask_quantity"]) == (100, 102, 1.0, 3.0)
    assert view["status"] == GOOD
    view = feed(book, message("BOOK_DELTA", ((1, 100, 0.0), (-1, 101, 0.5))))
    assert (view["bid"], view["ask"], view["bid_quantity"], view["ask_quantity"]) == (99, 101, 2.0, 0.5)
    prices, quantities = book.levels(-1)
    assert (prices.tolist(), quantities.tolist()) == ([101, 102, 104], [0.5, 3.0, 4.0])


def test_views_inside_a_message_repeat_the_previous_one(new_book, message):
    book = new_book()
    book.push(message("BOOK_SNAPSHOT", TWO_SIDED))
    rows = message("BOOK_DELTA", ((1, 100, 0.0), (1, 99, 0.0), (1, 98, 7.0)))
    first, rest = book.push(rows[:2]).top, book.push(rows[2:]).top
    assert first["bid"].tolist() == [100, 100]
    assert first["bid_quantity"].tolist() == [1.0, 1.0]
    assert (rest["bid"][0], rest["bid_quantity"][0]) == (98, 7.0)


def test_a_snapshot_clears_what_was_there(new_book, message, feed):
    book = new_book()
    feed(book, message("BOOK_SNAPSHOT", TWO_SIDED))
    view = feed(book, message("BOOK_SNAPSHOT", ((1, 90, 1.0), (-1, 91, 1.0))))
    assert (view["bid"], view["ask"]) == (90, 91)
    assert len(book.levels(1)[0]) == len(book.levels(-1)[0]) == 1


def test_depth_records_only_where_the_top_levels_changed(new_book, message):
    book = new_book(depth_levels=2)
    snapshot = message("BOOK_SNAPSHOT", (*TWO_SIDED, (1, 90, 1.0)))
    deep = message("BOOK_DELTA", ((1, 80, 5.0),))
    undone = message("BOOK_DELTA", ((1, 101, 5.0), (1, 101, 0.0)))
    near = message("BOOK_DELTA", ((-1, 103, 5.0),))
    uncovers = message("BOOK_DELTA", ((1, 99, 0.0),))
    trade = message("TRADE", ((1, 102, 1.0),))
    views = book.push(np.concatenate([snapshot, deep, undone, trade, near, uncovers]))
    assert views.top["depth"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 3]
    assert views.depth_price[:, 0].tolist() == [[0, 0], [100, 99], [100, 99], [100, 90]]
    assert views.depth_price[:, 1].tolist() == [[0, 0], [102, 104], [102, 103], [102, 103]]
    assert views.depth_quantity[2, 1].tolist() == [3.0, 5.0]
    carried = book.push(trade)
    assert carried.depth_price.tolist() == [[[100, 90], [102, 103]]]
    assert carried.top["depth"].tolist() == [0]


def test_without_depth_levels_there_is_no_depth(new_book, message, feed):
    book = new_book(depth_levels=0)
    view = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED))
    assert view["status"] == GOOD & ~ViewStatus.DEPTH_VALID
    assert book.push(message("TRADE", ((1, 102, 1.0),))).depth_price.shape == (1, 2, 0)


def test_views_are_never_overwritten_by_later_pushes(new_book, message):
    book = new_book()
    first = book.push(message("BOOK_SNAPSHOT", TWO_SIDED))
    kept = first.top.copy(), first.depth_price.copy(), first.depth_quantity.copy()
    for i in range(1500):
        book.push(message("BOOK_DELTA", ((1, 99, 1.0 + i), (-1, 103, 1.0 + i))))
    for was, now in zip(kept, first, strict=True):
        np.testing.assert_array_equal(was, now)
    assert book.levels(-1)[1].tolist() == [3.0, 1500.0, 4.0]


def test_one_large_block_equals_many_small_ones(new_book, message):
    messages = [message("BOOK_SNAPSHOT", TWO_SIDED)]
    messages += [message("BOOK_DELTA", ((1, 90 + i % 7, i % 3 * 1.0), (-1, 103, 1.0 + i))) for i in range(900)]
    rows = np.concatenate(messages)
    whole = new_book().push(rows)
    book = new_book()
    parts = [book.push(rows[i : i + 1]) for i in range(len(rows))]
    for name in ("bid", "ask", "bid_quantity", "ask_quantity", "status"):
        np.testing.assert_array_equal(whole.top[name], [part.top[name][0] for part in parts])
    one = whole.depth_price[whole.top["depth"]]
    np.testing.assert_array_equal(one, [part.depth_price[part.top["depth"][0]] for part in parts])


@pytest.mark.parametrize("cut", range(1, 12))
def test_restored_anywhere_it_goes_on_bit_for_bit(new_book, message, cut):
    rows = np.concatenate(
        [
            message("BOOK_DELTA", ((1, 100, 1.0), (1, 97, 1.0)), u=5, U=4, pu=3),
            message("BOOK_SNAPSHOT", TWO_SIDED, u=4),
            message("QUOTE", ((1, 101, 1.0), (-1, 102, 1.0)), u=9),
            message("BOOK_DELTA", ((1, 400_000, 2.0), (1, 5, 2.0), (-1, 700_000, 1.0)), u=8, U=6, pu=5),
            message("BOOK_DELTA", ((1, 400_000, 0.0),), u=12, U=9, pu=8),
        ]
    )
    plain, book = new_book("binance_futures"), new_book("binance_futures")
    whole = plain.push(rows)
    before = book.push(rows[:cut])
    again = Book.load(book.save())
    assert again.save() == book.save()
    after = again.push(rows[cut:])
    for name in ("bid", "ask", "bid_quantity", "ask_quantity", "status"):
        np.testing.assert_array_equal(whole.top[name], np.concatenate([before.top[name], after.top[name]]))
    assert again.save() == plain.save()
    assert whole.top["bid"][-1] == 100
    assert len(plain.levels(1)[0]) == 4


def test_quote_newer_than_the_book_overrides_it(new_book, message, feed):
    book = new_book("binance_futures")
    view = feed(
        book,
        message("BOOK_SNAPSHOT", TWO_SIDED, u=10),
        message("QUOTE", ((1, 101, 9.0), (-1, 102, 2.0)), u=12),
    )
    assert (view["bid"], view["bid_quantity"], view["ask_quantity"]) == (101, 9.0, 2.0)
    view = feed(book, message("BOOK_DELTA", ((1, 100, 5.0),), u=11, U=9, pu=8))
    assert view["bid"] == 101, "the quote is still newer"
    view = feed(book, message("BOOK_DELTA", ((1, 101, 4.0),), u=13, U=12, pu=11))
    assert (view["bid"], view["bid_quantity"]) == (101, 4.0)


def test_quote_older_than_the_book_is_ignored(new_book, message, feed):
    book = new_book("binance_spot")
    view = feed(
        book,
        message("BOOK_SNAPSHOT", TWO_SIDED, u=10),
        message("QUOTE", ((1, 90, 9.0), (-1, 92, 2.0)), u=10),
    )
    assert (view["bid"], view["ask"]) == (100, 102)
    view = feed(book, message("QUOTE", ((1, 90, 9.0), (-1, 92, 2.0)), u=12), message("QUOTE", ((1, 1, 1.0),), u=11))
    assert view["bid"] == 90, "an earlier quote does not replace a later one"
    assert (book.counters["quotes_stale"], book.counters["quotes_applied"]) == (2, 1)


def test_without_ids_the_latest_arrival_holds(new_book, message, feed):
    book = new_book()
    view = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED), message("QUOTE", ((1, 101, 9.0), (-1, 102, 2.0))))
    assert view["bid"] == 101
    view = feed(book, message("BOOK_DELTA", ((1, 98, 1.0),)))
    assert view["bid"] == 100


def test_best_quote_book_ignores_quotes_once_there_is_depth(new_book, message, feed):
    book = new_book(best_quote="book")
    quote = message("QUOTE", ((1, 101, 9.0), (-1, 102, 2.0)))
    assert feed(book, quote)["bid"] == 101
    assert feed(book, message("BOOK_SNAPSHOT", TWO_SIDED), quote)["bid"] == 100


def test_level_one_source_with_one_side_a_message(new_book, message, feed):
    book = new_book()
    view = feed(book, message("QUOTE", ((1, 101, 9.0),)))
    assert view["status"] == ViewStatus.HAS_BID | ViewStatus.SYNCED
    view = feed(book, message("QUOTE", ((-1, 102, 2.0),)))
    assert view["status"] == GOOD & ~ViewStatus.DEPTH_VALID
    assert (view["bid"], view["ask"]) == (101, 102)
    view = feed(book, message("QUOTE", ((-1, 0, 0.0),)))
    assert view["status"] == ViewStatus.HAS_BID | ViewStatus.SYNCED


def test_quotes_before_the_first_snapshot_keep_the_view_synced(new_book, message, feed):
    book = new_book("binance_spot")
    delta = message("BOOK_DELTA", ((1, 100, 1.0),), u=5, U=5)
    view = feed(book, message("QUOTE", ((1, 101, 9.0), (-1, 102, 2.0)), u=4), delta)
    assert view["status"] == GOOD & ~ViewStatus.DEPTH_VALID
    view = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED, u=5))
    assert (view["status"], view["bid"]) == (GOOD, 100)


def test_rows_of_another_layout_are_refused(new_book):
    with pytest.raises(DataError, match="dtype"):
        new_book().push(np.zeros(3))


def test_rows_of_an_equal_layout_are_taken(new_book, message):
    rows = message("BOOK_SNAPSHOT", TWO_SIDED)
    fields = {name: rows.dtype.fields[name] for name in rows.dtype.names}
    names = list(fields)
    other = np.dtype(
        {
            "names": names,
            "formats": [fields[n][0] for n in names],
            "offsets": [fields[n][1] for n in names],
            "itemsize": rows.dtype.itemsize,
        }
    )
    foreign = np.frombuffer(rows.tobytes(), other)
    assert new_book().push(foreign).top["bid"][-1] == 100
    assert new_book().push(np.repeat(rows, 2)[::2]).top["bid"][-1] == 100


def test_empty_push(new_book):
    views = new_book().push(empty_rows(0))
    assert len(views.top) == 0
    assert views.top.dtype == VIEW_DTYPE
    assert len(views.depth_price) == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"depth_levels": 21},
        {"depth_levels": -1},
        {"best_quote": "x"},
        {"start": "x"},
        {"crossed_tolerance_ns": -1},
        {"buffer_rows": 0},
    ],
)
def test_config_ranges(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        BookConfig(**bad)


def test_state_of_something_else_is_refused(new_book, monkeypatch):
    blob = new_book().save()
    with pytest.raises(StateError):
        Book.load(blob[:-1])
    monkeypatch.setattr("marketprism.book.book.STATE_DTYPE", np.dtype([("x", np.int64)]))
    with pytest.raises(StateError, match="layout"):
        Book.load(blob)


def test_slow_kinds_leave_the_view_alone(new_book, message, feed):
    book = new_book()
    before = feed(book, message("BOOK_SNAPSHOT", TWO_SIDED))
    assert feed(book, message("FUNDING_RATE")) == before | {"depth": 0}
    assert EventKind.FUNDING_RATE == 16
