"""Seeded faults in a generated diff stream: every one is noticed or harmless, and the control notices none."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from marketprism.book import Book, ViewStatus
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import empty_rows

RULES = ("binance_spot", "binance_futures", "okx", "deribit")


def instrument(rule):
    return Instrument(
        exchange="sim", market_type="linear", symbol="BTC-USDT", tick_size=Decimal("0.1"), sequencing=rule
    )


def stream(rule, seed, n=200):
    """A snapshot and ``n`` diffs with ids as the venue would number them."""
    rng = np.random.default_rng(seed)
    rows = empty_rows(20)
    rows["kind"] = EventKind.BOOK_SNAPSHOT
    rows["side"] = np.repeat([1, -1], 10)
    rows["price"] = np.concatenate([1000 - np.arange(10), 1002 + np.arange(10)])
    rows["quantity"] = 5.0
    last = 1000
    rows["event_id"] = last
    rows["flags"][0], rows["flags"][-1] = Flag.FIRST, Flag.LAST
    messages = [rows]
    for i in range(n):
        step = int(rng.integers(1, 9))
        diff = empty_rows(int(rng.integers(1, 6)))
        diff["kind"] = EventKind.BOOK_DELTA
        diff["side"] = rng.choice([1, -1], len(diff))
        diff["price"] = 1001 - diff["side"] * rng.integers(1, 12, len(diff))
        diff["quantity"] = rng.integers(0, 9, len(diff))
        diff["first_id"] = last + 1 if i else last
        diff["previous_id"] = last
        last += step
        diff["event_id"], diff["ts_event"] = last, i
        diff["flags"][0] |= np.uint8(Flag.FIRST)
        diff["flags"][-1] |= np.uint8(Flag.LAST)
        messages.append(diff)
    return messages


def run(rule, messages):
    book = Book(instrument(rule))
    return book, book.push(np.concatenate(messages))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(3))
def test_control_nothing_is_noticed(rule, seed):
    book, views = run(rule, stream(rule, seed))
    assert len(book.drain_gaps()) == 0
    assert views.top["status"][-1] & ViewStatus.SYNCED
    assert book.counters["applied"] == 201


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("lost", [1, 2, 7, 50])
def test_lost_messages_invalidate_at_once_until_a_snapshot(rule, lost):
    messages = stream(rule, 11)
    book, views = run(rule, messages[:100] + messages[100 + lost :])
    seen = sum(len(m) for m in messages[:100])
    first_after = len(messages[100 + lost])
    assert (views.top["status"][: seen - 1][30:] & ViewStatus.SYNCED != 0).all()
    assert (views.top["status"][seen + first_after - 1 :] == 0).all()
    assert len(book.drain_gaps()) == 1
    # A fresh full book resyncs it: the state equals one that never lost anything.
    whole, _ = run(rule, messages)
    fresh = Book(instrument(rule))
    prices = [whole.levels(side) for side in (1, -1)]
    snapshot = empty_rows(sum(len(p) for p, _ in prices))
    snapshot["kind"] = EventKind.BOOK_SNAPSHOT
    snapshot["side"] = np.repeat([1, -1], [len(p) for p, _ in prices])
    snapshot["price"] = np.concatenate([p for p, _ in prices])
    snapshot["quantity"] = np.concatenate([q for _, q in prices])
    snapshot["event_id"] = messages[-1]["event_id"][0]
    snapshot["flags"][0], snapshot["flags"][-1] = Flag.FIRST, Flag.LAST
    view = book.push(snapshot).top[-1]
    assert view["status"] & ViewStatus.SYNCED
    assert view["bid"] == fresh.push(snapshot).top["bid"][-1] == whole.levels(1)[0][0]


@pytest.mark.parametrize("rule", RULES)
def test_duplicates_and_late_copies_change_nothing(rule):
    messages = stream(rule, 12)
    rng = np.random.default_rng(1)
    doubled = messages[:1]
    for i, message in enumerate(messages[1:], start=1):
        doubled.append(message)
        if rng.random() < 0.5:
            doubled.append(messages[int(rng.integers(1, i + 1))])
    book, views = run(rule, doubled)
    plain, expected = run(rule, messages)
    assert views.top[-1][["bid", "ask", "status"]] == expected.top[-1][["bid", "ask", "status"]]
    for side in (1, -1):
        for found, wanted in zip(book.levels(side), plain.levels(side), strict=True):
            np.testing.assert_array_equal(found, wanted)
    counters = book.counters
    assert counters["duplicates"] + counters["stale_dropped"] == len(doubled) - len(messages)
    assert counters["gaps"] == 0


@pytest.mark.parametrize("rule", RULES)
def test_two_messages_swapped_are_a_gap_never_a_silent_reorder(rule):
    messages = stream(rule, 13)
    messages[60], messages[61] = messages[61], messages[60]
    book, views = run(rule, messages)
    assert len(book.drain_gaps()) == 1
    assert views.top["status"][-1] == 0


@pytest.mark.parametrize("rule", ["binance_spot", "binance_futures"])
def test_a_late_snapshot_joins_the_held_updates(rule):
    messages = stream(rule, 14)
    late = messages[1:40] + messages[:1] + messages[40:]
    book, views = run(rule, late)
    plain, _ = run(rule, messages)
    for side in (1, -1):
        for found, wanted in zip(book.levels(side), plain.levels(side), strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert views.top["status"][-1] & ViewStatus.SYNCED
    assert book.counters["buffered"] == 39
