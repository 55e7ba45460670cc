"""Compat mode: when things happen, one scene for each rule taken over from hftbacktest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from marketprism.backtest import actions
from marketprism.backtest.codes import TapeFlag, Wake
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.backtest.latency import RecordedLatency
from marketprism.backtest.models import MarketModels
from marketprism.backtest.tape import Tape
from marketprism.core.errors import ConfigError

BUY, SELL, POST_ONLY = 1, -1, 1
MS = 1_000_000


@pytest.fixture
def play(scene: Any) -> Any:
    """Return a scene in compat mode; the book is 99 x 101, five at each level."""
    return lambda *rows, **options: scene(*rows, mode="compat", **options)


def _start(s: Any) -> int:
    return int(s.engine.tapes[0].events["exchange_ts"][0])


def _ms(s: Any, column: str) -> list[float]:
    return [(ts - _start(s)) / MS for (ts,) in s.log(column)]


def test_time_passes_up_to_and_including_the_last_instant(play: Any) -> None:
    s = play((10, "BID", 100, 1.0))
    s.to(9.999999)
    assert int(s.engine.markets[0]["known_bid"]) == 99
    s.to(10)
    assert int(s.engine.markets[0]["known_bid"]) == 100


def test_feed_events_of_one_time_are_one_wake(play: Any) -> None:
    s = play((10, "BID", 100, 1.0), (10, "BID", 99, 7.0), (10, "SELL_TRADE", 100, 1.0), (12, "NO_BID", 100, 0.0))
    assert actions.advance_to_feed(s.engine.pointer, 1000 * MS) == Wake.TIME
    market = s.engine.markets[0]
    assert (int(s.engine.clock["now"][0]) - _start(s)) / MS == 10
    assert (int(market["known_bid"]), int(market["trade_tick"]), int(market["trade_side"])) == (100, 100, -1)


def test_waiting_for_the_feed_ends_at_the_timeout(play: Any) -> None:
    s = play((10, "BID", 100, 1.0))
    assert actions.advance_to_feed(s.engine.pointer, 3 * MS) == Wake.TIME
    assert (int(s.engine.clock["now"][0]) - _start(s)) / MS == 3


@pytest.mark.parametrize(("responses", "wake"), [(True, 2.0), (False, 10.0)])
def test_waiting_can_end_with_a_response(play: Any, responses: bool, wake: float) -> None:
    s = play((10, "BID", 100, 1.0))
    s.send(BUY, 98, 1.0)
    actions.advance_to_feed(s.engine.pointer, 1000 * MS, responses)
    assert (int(s.engine.clock["now"][0]) - _start(s)) / MS == wake


def test_a_request_and_its_answer_take_their_latencies(play: Any) -> None:
    s = play(entry_latency_ms=3.0, response_latency_ms=4.0)
    s.to(1)
    s.send(BUY, 98, 1.0)
    s.to(20)
    assert (_ms(s, "sent_ts"), _ms(s, "exchange_ts"), _ms(s, "ts")) == ([1.0], [4.0], [8.0])


def test_what_the_exchange_does_by_itself_is_heard_a_response_later(play: Any) -> None:
    s = play((10, "SELL_TRADE", 98, 1.0), response_latency_ms=4.0)
    s.send(BUY, 99, 1.0)
    s.to(13.9)
    assert s.position() == 0.0  # filled at 10, known at 14
    s.to(14)
    assert s.position() == 1.0
    assert (_ms(s, "exchange_ts")[-1], _ms(s, "ts")[-1]) == (10.0, 14.0)


def test_an_event_precedes_a_request_that_arrives_at_the_same_time(play: Any) -> None:
    s = play((1, "ASK", 100, 1.0))
    s.send(BUY, 100, 1.0, force=POST_ONLY)
    s.to(5)
    assert s.log("status") == [("expired",)]


def test_a_request_precedes_an_event_a_nanosecond_later(play: Any) -> None:
    s = play((1.000001, "ASK", 100, 1.0))
    s.send(BUY, 100, 1.0, force=POST_ONLY)
    s.to(5)
    assert s.log("status", "maker") == [("new", False), ("filled", True)]


def test_a_negative_latency_refuses_and_tells_after_that_time(play: Any) -> None:
    s = play(entry_latency_ms=-3.0)
    order = s.send(BUY, 98, 1.0)
    s.to(2.9)
    assert (s.order(order)["status"], s.order(order)["request"]) == (0, 1)
    s.to(3)
    assert (s.order(order)["status"], s.order(order)["request"]) == (2, 0)
    actions.forget(s.engine.pointer, 0, 0)
    assert int(s.engine.accounts[0, 0]["first"]) == -1


def test_a_refused_cancellation_leaves_the_order(play: Any) -> None:
    start = 1_700_000_000_000_000_000
    times = np.array([0, 10, 20, 30], np.int64) * MS + start
    reached = np.array([times[0] + MS, 0, 0, times[3] + MS])
    recorded = RecordedLatency(times, reached, times + 2 * MS)
    s = play(models=MarketModels(latency=recorded))
    order = s.send(BUY, 98, 1.0)
    s.to(12)
    assert s.order(order)["status"] == 2  # between a record that arrived and one that did not: refused
    assert _ms(s, "ts") == [2.0]


def _recorded(pairs: list[tuple[float, float, float]]) -> MarketModels:
    rows = (np.array(pairs) * MS).astype(np.int64).T + 1_700_000_000_000_000_000
    return MarketModels(latency=RecordedLatency(*rows))


def test_recorded_latencies_are_interpolated_and_held_at_both_ends(play: Any) -> None:
    s = play(models=_recorded([(10, 12, 15), (20, 26, 27)]))
    for ms in (5, 15, 40):
        s.to(ms)
        s.send(BUY, 98, 1.0)
    s.to(100)
    assert _ms(s, "exchange_ts") == [7.0, 19.0, 46.0]  # 2, 4 and 6 ms
    assert _ms(s, "ts") == [10.0, 21.0, 47.0]  # 3 before the first record, 2 half way, 1 after the last


def test_a_message_does_not_overtake_the_one_before_it(play: Any) -> None:
    """The answer to the first request is under way until 31 ms; the refusal of the second waits for it."""
    start = 1_700_000_000_000_000_000
    sent = np.array([0, 10, 11, 12], np.int64) * MS + start
    reached = np.array([sent[0] + MS, sent[1] + MS, 0, 0])
    heard = np.array([31, 41, 13, 14], np.int64) * MS + start
    s = play(models=MarketModels(latency=RecordedLatency(sent, reached, heard)))
    s.send(BUY, 98, 1.0)
    s.to(11.5)
    s.send(BUY, 98, 1.0)
    s.to(50)
    assert s.log("status", "request") == [("new", "none"), ("none", "rejected")]
    assert _ms(s, "ts") == [31.0, 31.0]


def test_the_lower_market_is_first_and_each_has_its_own_clock_of_data(play: Any) -> None:
    s = play((10, "BID", 100, 1.0))
    tape = s.engine.tapes[0]
    late = tape.events.copy()
    late["exchange_ts"] += 3 * MS
    late["local_ts"] += 5 * MS
    engine = Engine([tape, Tape(late, tape.tick_size, tape.lot_size)], [MarketConfig()] * 2, mode="compat")
    times = []
    while actions.advance_to_feed(engine.pointer, 60_000 * MS) == Wake.TIME:
        times.append((int(engine.clock["now"][0]) - _start(s)) // MS)
    assert times[:5] == [0, 5, 10, 15, 10_000]
    for market in (0, 1):
        actions.submit(engine.pointer, 0, market, BUY, 98, 1.0, 0, 0)
    assert [int(x) for x in engine._arrays["orders"]["market"][:2]] == [0, 1]


def test_the_two_sides_of_the_wire_read_their_own_events(play: Any) -> None:
    """The exchange sees the bid at 10; the local side hears of it at 30, in another order than it happened."""
    s = play()
    tape = s.engine.tapes[0]
    both, end = tape.events[:-1], tape.events[-1:]
    there, here = end.copy(), end.copy()
    for row, flag in ((there, TapeFlag.EXCHANGE), (here, TapeFlag.LOCAL)):
        row["tick"], row["kind"] = 100, flag
        row["exchange_ts"], row["local_ts"] = _start(s) + 10 * MS, _start(s) + 30 * MS
    engine = Engine([Tape(np.concatenate([both, there, here, end]), tape.tick_size, tape.lot_size)], mode="compat")
    seen = []
    for _ in range(3):
        actions.advance(engine.pointer, 15 * MS)
        seen.append((int(engine.markets[0]["bid"]), int(engine.markets[0]["known_bid"])))
    assert seen == [(100, 99), (100, 100), (100, 100)]


@pytest.mark.parametrize("inverse", [False, True])
def test_money_of_a_fill(play: Any, inverse: bool) -> None:
    s = play(taker_fee_bps=10.0, multiplier=2.0, inverse=inverse)
    s.send(BUY, 101, 3.0)
    s.to(10)
    account, price = s.engine.accounts[0, 0], 50.5
    value = 2.0 * 3.0 / price if inverse else 2.0 * 3.0 * price
    assert (account["position"], account["trades"], account["volume"]) == (3.0, 1, 3.0)
    assert account["value"] == pytest.approx(value)
    assert account["cash"] == pytest.approx(value if inverse else -value)
    assert account["fees"] == pytest.approx(1e-3 * value)


def test_the_end_of_the_data_ends_it_even_with_orders_resting(play: Any) -> None:
    s = play(end=False)
    s.send(BUY, 98, 1.0)
    assert s.to(1000) == Wake.END


def test_pools_grow_where_many_orders_rest(play: Any) -> None:
    s = play((50, "SELL_TRADE", 90, 1.0))
    for k in range(3000):
        s.to(k / 100)
        s.send(BUY, 98 - k % 5, 1.0)
    s.to(100)
    assert (s.position(), len(s.log("status"))) == (3000.0, 6000)


def test_without_a_log_the_accounts_are_the_same(play: Any) -> None:
    s = play((50, "SELL_TRADE", 90, 1.0))
    engine = Engine(s.engine.tapes, s.engine.configs, mode="compat", log=False)
    for wake in range(3000):
        while actions.advance(engine.pointer, MS // 100) == Wake.GROW:
            engine.grow()
        actions.submit(engine.pointer, 0, 0, BUY, 98 - wake % 5, 1.0, 0, 0)
    while actions.advance(engine.pointer, 30 * MS) == Wake.GROW:
        engine.grow()
    assert float(engine.accounts[0, 0]["position"]) == 3000.0
    with pytest.raises(ConfigError, match="no log"):
        engine.responses()
