"""Levels exactly at the edges of the ladder's range, and ranges that move far."""

from __future__ import annotations

import pytest

from marketprism.book._bits import SLOTS

HOME = SLOTS * 3 // 4
START = 10**6


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("offset", [SLOTS - HOME - 1, SLOTS - HOME, SLOTS - HOME + 1, -HOME + 1, -HOME, -HOME - 1])
def test_edges_of_the_range(new_book, message, side, offset):
    book = new_book(depth_levels=3)
    price = START + side * offset
    views = book.push(message("BOOK_SNAPSHOT", ((side, START, 1.0), (side, price, 2.0))))
    best, worst = sorted((START, price), reverse=side > 0)
    name = "bid" if side > 0 else "ask"
    assert views.top[name][-1] == best
    index = 0 if side > 0 else 1
    assert views.depth_price[-1, index].tolist() == [best, worst, 0]
    assert book.levels(side)[0].tolist() == [best, worst]
    gone = book.push(message("BOOK_DELTA", ((side, best, 0.0),)))
    assert gone.top[name][-1] == worst
    assert book.levels(side)[0].tolist() == [worst]


def test_levels_left_behind_come_back(new_book, message, feed):
    book = new_book()
    feed(book, message("BOOK_SNAPSHOT", tuple((1, START - i, 1.0 + i) for i in range(50))))
    far = START + 10 * SLOTS
    assert feed(book, message("BOOK_DELTA", ((1, far, 9.0),)))["bid"] == far
    feed(book, message("BOOK_DELTA", ((1, START - 3, 0.0), (1, START - 4, 7.5))))
    view = feed(book, message("BOOK_DELTA", ((1, far, 0.0),)))
    assert (view["bid"], view["bid_quantity"]) == (START, 1.0)
    prices, quantities = book.levels(1)
    assert prices.tolist() == [START - i for i in range(50) if i != 3]
    assert quantities[3] == 7.5
    assert book.counters["range_moves"] >= 2


def test_a_level_far_away_grows_the_overflow_without_limit(new_book, message):
    book = new_book()
    n = 6000
    book.push(message("BOOK_SNAPSHOT", ((1, START, 1.0), *((1, 1 + 7 * i, 1.0) for i in range(n)))))
    book.push(message("BOOK_DELTA", tuple((1, 1 + 7 * i, 0.0) for i in range(0, n, 2))))
    assert len(book.levels(1)[0]) == n // 2 + 1
