"""What every simulated market promises: integrity of the stream, determinism, a valid book after every message."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.book.book import Book
from marketprism.book.views import ViewStatus
from marketprism.core.block import concat
from marketprism.core.errors import ConfigError
from marketprism.core.kinds import EventKind, Flag
from marketprism.simulate.agents import AgentMarket, AgentMarketConfig
from marketprism.simulate.hawkes_market import HawkesMarket, HawkesMarketConfig
from marketprism.simulate.imbalance_reactive import ImbalanceReactiveConfig, ImbalanceReactiveMarket
from marketprism.simulate.queue_race import QueueRaceConfig, QueueRaceMarket
from marketprism.simulate.queue_reactive import QueueReactiveConfig, QueueReactiveMarket

MARKETS = [
    (AgentMarket, AgentMarketConfig),
    (QueueRaceMarket, QueueRaceConfig),
    (QueueReactiveMarket, QueueReactiveConfig),
    (ImbalanceReactiveMarket, ImbalanceReactiveConfig),
    (HawkesMarket, HawkesMarketConfig),
]
each_market = pytest.mark.parametrize(("market", "config"), MARKETS, ids=lambda item: item.__name__)


def _rows(market, config, size=65_536, **values):
    return concat(market(config(**{"seed": 3, "duration_s": 60.0, **values})).blocks(size)).rows


@each_market
def test_block_size_changes_nothing(market, config):
    whole = _rows(market, config)
    assert len(whole) > 200
    for size in (market.max_event_rows, market.max_event_rows + 5, 777):
        np.testing.assert_array_equal(_rows(market, config, size), whole)
    with pytest.raises(ConfigError, match=f"block size was {market.max_event_rows - 1}"):
        _rows(market, config, market.max_event_rows - 1)


@each_market
def test_seeds_are_streams_of_their_own(market, config):
    tapes = {_rows(market, config, seed=seed)["quantity"].tobytes() for seed in (0, 1, 2)}
    assert len(tapes) == 3
    np.testing.assert_array_equal(_rows(market, config, seed=0), _rows(market, config, seed=0))


@each_market
def test_latency_changes_no_event(market, config):
    slow, fast = _rows(market, config, latency_ms=50.0), _rows(market, config, latency_ms=0.0, jitter_ms=0.0)
    for name in ("ts_event", "price", "quantity", "side", "kind", "event_id"):
        np.testing.assert_array_equal(slow[name], fast[name])
    assert (slow["ts_recv"] - slow["ts_event"]).min() >= 50_000_000
    np.testing.assert_array_equal(fast["ts_recv"], fast["ts_event"])


@each_market
def test_rate_scale_is_a_change_of_clock(market, config):
    one = _rows(market, config, duration_s=1200.0)
    two = _rows(market, config, duration_s=1200.0, rate_scale=2.0)
    assert len(two) / len(one) == pytest.approx(2.0, rel=0.25)


@each_market
def test_messages_times_and_ids(market, config):
    rows = _rows(market, config, duration_s=300.0)
    first, last = (rows["flags"] & Flag.FIRST) != 0, (rows["flags"] & Flag.LAST) != 0
    np.testing.assert_array_equal(first[1:], last[:-1])
    assert first[0]
    assert last[-1]
    assert (np.diff(rows["ts_recv"]) >= 0).all()
    assert (np.diff(rows["ts_event"]) >= 0).all()
    updates = rows[(rows["kind"] == EventKind.BOOK_DELTA) & first]
    assert (updates["previous_id"][1:] == updates["event_id"][:-1]).all()
    trades = rows[rows["kind"] == EventKind.TRADE]
    assert (np.diff(trades["event_id"]) == 1).all()
    assert set(np.unique(trades["side"])) == {-1, 1}
    assert (rows["payload"] == -1).all()


@each_market
def test_book_is_valid_and_whole_after_every_message(market, config):
    rows = _rows(market, config, duration_s=600.0)
    book = Book(market(config()).instrument)
    views = book.push(rows)
    whole = views.top[(rows["flags"] & Flag.LAST) != 0]
    assert ((whole["status"] & ViewStatus.VALID) != 0).all()
    assert (whole["ask"] > whole["bid"]).all()
    np.testing.assert_array_equal(rows["quantity"], np.rint(rows["quantity"] * 10) / 10)
    assert (rows["quantity"] >= 0).all()
    assert sum(book.counters[name] for name in book.counters if "unknown" in name or "gap" in name) == 0


@each_market
def test_trades_take_what_the_book_showed(market, config):
    """Replay levels in a dict: each trade hits the best quote of its side; its update leaves what remains."""
    book: dict[int, dict[int, int]] = {1: {}, -1: {}}
    taken: dict[int, int] = {}
    trades = 0
    for row in _rows(market, config, duration_s=300.0):
        side, price, lots = int(row["side"]), int(row["price"]), round(float(row["quantity"]) * 10)
        if row["kind"] == EventKind.TRADE:
            quotes = book[-side]
            live = [p for p, n in quotes.items() if n > taken.get(p, 0)]
            assert price == (min(live) if side > 0 else max(live))
            taken[price] = taken.get(price, 0) + lots
            assert 0 < taken[price] <= quotes[price]
            trades += 1
            continue
        if price in taken and side == next(s for s in (1, -1) if price in book[s]):
            assert lots == book[side][price] - taken.pop(price)
        book[side][price] = lots
        if lots == 0:
            del book[side][price]
        if row["flags"] & Flag.LAST:
            assert not taken
            assert max(book[1]) < min(book[-1])
    assert trades > 20
