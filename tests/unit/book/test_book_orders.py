"""L3: orders summed into levels."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.book import Book, ViewStatus


def order(message, kind, order_id, side, price, quantity):
    return message(f"ORDER_{kind}", ((side, price, quantity),), u=order_id)


def test_orders_add_up_and_leave_nothing_behind(new_book, message, feed):
    book = new_book()
    view = feed(
        book,
        order(message, "ADD", 1, 1, 100, 0.1),
        order(message, "ADD", 2, 1, 100, 0.2),
        order(message, "ADD", 3, -1, 102, 0.7),
    )
    assert (view["bid_quantity"], view["ask_quantity"]) == (0.3, 0.7)
    assert view["status"] & ViewStatus.VALID
    view = feed(book, order(message, "DELETE", 1, 1, 100, 0.1))
    assert view["bid_quantity"] == 0.2
    view = feed(book, order(message, "DELETE", 2, 1, 100, 0.2))
    assert not view["status"] & ViewStatus.HAS_BID
    assert len(book.levels(1)[0]) == 0


def test_execution_shrinks_then_removes(new_book, message, feed):
    book = new_book()
    feed(book, order(message, "ADD", 1, 1, 100, 0.3), order(message, "ADD", 2, -1, 101, 1.0))
    assert feed(book, order(message, "EXECUTE", 1, 1, 100, 0.1))["bid_quantity"] == 0.2
    assert feed(book, order(message, "EXECUTE", 1, 1, 100, 0.1))["bid_quantity"] == 0.1
    assert not feed(book, order(message, "EXECUTE", 1, 1, 100, 0.1))["status"] & ViewStatus.HAS_BID
    feed(book, order(message, "EXECUTE", 1, 1, 100, 0.1))
    assert book.counters["unknown_orders"] == 1


def test_modify_moves_the_order(new_book, message, feed):
    book = new_book()
    view = feed(book, order(message, "ADD", 1, -1, 105, 0.5), order(message, "MODIFY", 1, -1, 104, 0.4))
    assert (view["ask"], view["ask_quantity"]) == (104, 0.4)
    assert len(book.levels(-1)[0]) == 1
    feed(book, order(message, "MODIFY", 1, 0, 103, 0.2))
    assert book.levels(-1)[0].tolist() == [103], "a modification that names no side keeps the order's"
    feed(book, order(message, "MODIFY", 1, -1, 103, 0.0))
    assert len(book.levels(-1)[0]) == 0


def test_unknown_and_repeated_orders(new_book, message, feed):
    book = new_book()
    feed(book, order(message, "DELETE", 7, 1, 100, 0.1), order(message, "MODIFY", 8, 1, 100, 0.1))
    assert book.counters["unknown_orders"] == 2
    assert book.levels(1)[1].tolist() == [0.1], "a modification of an unknown order makes it known"
    feed(book, order(message, "ADD", 8, 1, 99, 0.2))
    assert book.counters["duplicate_orders"] == 1
    assert book.levels(1)[0].tolist() == [99]
    feed(book, order(message, "ADD", 9, 1, 0, 0.2), order(message, "ADD", 9, 1, 100, np.nan))
    assert len(book.levels(1)[0]) == 1, "a market order does not rest"
    assert book.counters["bad_rows"] == 1


def test_thousands_of_orders_survive_growth_and_restore(new_book, message):
    rng = np.random.default_rng(5)
    book = new_book()
    live: dict[int, tuple[int, int, int]] = {}
    rows = []
    for _ in range(6000):
        if live and rng.random() < 0.45:
            key = list(live)[int(rng.integers(len(live)))]
            side, price, lots = live.pop(key)
            rows.append(order(message, "DELETE", key, side, price, lots / 1000))
        else:
            key = int(rng.integers(2**62))
            side = 1 if rng.random() < 0.5 else -1
            price = int(1000 + side * -rng.integers(1, 50))
            live[key] = (side, price, int(rng.integers(1, 500)))
            rows.append(order(message, "ADD", key, side, price, live[key][2] / 1000))
    stream = np.concatenate(rows)
    book.push(stream[:3000])
    again = Book.load(book.save())
    assert again.save() == book.save()
    again.push(stream[3000:])
    for side in (1, -1):
        totals: dict[int, int] = {}
        for s, price, lots in live.values():
            if s == side:
                totals[price] = totals.get(price, 0) + lots
        prices, quantities = again.levels(side)
        assert dict(zip(prices.tolist(), quantities.tolist(), strict=True)) == {
            price: lots / 1000 for price, lots in totals.items()
        }
        assert prices.tolist() == sorted(totals, reverse=side > 0)
    assert again.counters["unknown_orders"] == 0


def test_an_order_book_goes_on_after_a_gap_row(new_book, message, feed):
    book = new_book()
    feed(book, order(message, "ADD", 1, 1, 100, 0.3), order(message, "ADD", 2, -1, 101, 1.0))
    assert feed(book, message("GAP"))["status"] == 0
    view = feed(book, order(message, "ADD", 3, 1, 99, 0.3))
    assert (view["bid"], bool(view["status"] & ViewStatus.VALID)) == (100, True)


def test_a_snapshot_forgets_the_orders(new_book, message, feed):
    book = new_book()
    feed(book, order(message, "ADD", 1, 1, 100, 0.3), message("BOOK_SNAPSHOT", ((1, 90, 1.0),)))
    feed(book, order(message, "DELETE", 1, 1, 100, 0.3))
    assert book.levels(1)[0].tolist() == [90]
    assert book.counters["unknown_orders"] == 1


@pytest.mark.parametrize("lot", ["0.00000001", "0.001", "1", "100"])
def test_sums_are_exact_in_lots(instrument_of, message, feed, lot):
    book = Book(instrument_of(lot=lot))
    size = float(lot)
    for i in range(1, 60):
        feed(book, order(message, "ADD", i, 1, 100, size * i if float(lot) >= 1 else round(size * i, 8)))
    for i in range(1, 59):
        feed(book, order(message, "DELETE", i, 1, 100, 0.0))
    assert book.levels(1)[1].tolist() == [size * 59 if float(lot) >= 1 else round(size * 59, 8)]
