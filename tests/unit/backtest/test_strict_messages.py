"""Messages: latency by type, recorded, jittered or a user's; refusals with their reasons; clocks of several markets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from marketprism.backtest import actions
from marketprism.backtest.codes import OrderKind, TimeInForce
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.backtest.latency import RecordedLatency
from marketprism.backtest.models import MarketModels
from marketprism.core.errors import ConfigError, DataError

START = 1_700_000_000_000_000_000
MS = 1_000_000


def journeys(play: Any) -> list[tuple[float, float]]:
    """Milliseconds from request to exchange, and from there back."""
    rows = play.log("sent_ts", "exchange_ts", "ts")
    return [((reached - sent) / MS, (heard - reached) / MS) for sent, reached, heard in rows]


def test_every_type_of_message_has_its_latency(scene: type) -> None:
    def journey(mode: str) -> list[tuple[float, float]]:
        latency = {"entry_latency_ms": 3.0, "modify_latency_ms": 2.0, "cancel_latency_ms": 1.0}
        play = scene(mode=mode, response_latency_ms=4.0, **latency)
        slot = play.send(1, 99, 2.0)
        play.to(10)
        play.modify(slot, 99, 1.0)
        play.to(20)
        play.cancel(slot)
        play.to(30)
        return journeys(play)

    assert journey("strict") == [(3.0, 4.0), (2.0, 4.0), (1.0, 4.0)]
    assert journey("compat") == [(3.0, 4.0)] * 3


def test_a_cancellation_may_overtake_its_order(scene: type) -> None:
    play = scene(entry_latency_ms=10.0, cancel_latency_ms=1.0)
    slot = play.send(1, 99, 1.0)
    play.to(2)
    assert play.cancel(slot)
    play.to(20)
    assert play.log("status", "request", "reason") == [("none", "rejected", "unknown_order"), ("new", "none", "none")]
    old = scene(mode="compat", entry_latency_ms=10.0)
    slot = old.send(1, 99, 1.0)
    old.to(2)
    assert not old.cancel(slot), "the peer waits for the acknowledgement"


def arrivals(scene: type, **config: Any) -> list[int]:
    """Send ten orders half a millisecond apart; return their numbers in the order in which the exchange got them."""
    play = scene(**config)
    for at in range(10):
        play.to(0.5 * at)
        play.send(1, 90 + at, 1.0)
    play.to(100)
    rows = sorted((reached, number) for reached, number in play.log("exchange_ts", "id"))
    return [number for _, number in rows]


def test_messages_overtake_each_other_under_jitter_and_the_seed_decides(scene: type) -> None:
    in_order = list(range(1, 11))
    assert arrivals(scene, jitter_ms=0.0) == in_order
    first = arrivals(scene, jitter_ms=5.0, seed=1)
    assert first != in_order
    assert sorted(first) == in_order
    assert arrivals(scene, jitter_ms=5.0, seed=1) == first
    assert arrivals(scene, jitter_ms=5.0, seed=2) != first
    assert arrivals(scene, jitter_ms=5.0, seed=1, mode="compat") == in_order, "the peer's bus keeps the order"


def test_jitter_has_the_mean_it_is_given(scene: type) -> None:
    play = scene(jitter_ms=2.0)
    for at in range(200):
        play.to(at)
        play.send(1, 90, 1.0)
    play.to(400)
    there, back = np.array(journeys(play)).T
    assert 1.6 < there.mean() - 1.0 < 2.4
    assert 1.6 < back.mean() - 1.0 < 2.4
    assert min(there.min(), back.min()) >= 1.0


def test_responses_heard_out_of_order_count_once(scene: type) -> None:
    trades = [(20 + at, "SELL_TRADE", 99, 1.0) for at in range(8)]
    play = scene((10, "BID", 99, 0.0), *trades, jitter_ms=6.0, seed=3)
    play.to(11)
    slot = play.send(1, 99, 8.0)
    known = []
    for ms in range(20, 90):
        play.to(ms)
        known.append(float(play.order(slot)["known_leaves"]))
    assert known == sorted(known, reverse=True), "what is known only moves on"
    play.to(200)
    heard = [leaves for leaves, executed in play.log("leaves", "executed") if executed > 0]
    assert sorted(heard, reverse=True) != heard, "the seed lets some overtake"
    assert play.position() == 8.0 == play.engine.ledgers[0, 0]["held"]
    assert play.order(slot)["known_leaves"] == 0.0
    assert play.order(slot)["status"] == 3


def test_each_agent_has_its_own_distance(scene: type) -> None:
    play = scene((20, "BUY_TRADE", 100, 1.0), agents=3, agent_latency_ms=(5.0, 0.5))
    for lane in range(3):
        play.send(-1, 100, 1.0, lane=lane)
    play.to(40)
    assert [play.position(lane) for lane in range(3)] == [0.0, 0.0, -1.0]
    rows = play.log("agent", "exchange_ts", "ts")[:3]
    assert [(agent, (ts - START) / MS, (heard - START) / MS) for agent, ts, heard in rows] == [
        (2, 1.0, 2.0),
        (1, 1.5, 3.0),
        (0, 6.0, 12.0),
    ]


RECORDED = RecordedLatency(
    np.array([START, START + 10 * MS, START + 20 * MS]),
    np.array([START + 1 * MS, START + 13 * MS, START + 22 * MS]),
    np.array([START + 2 * MS, START + 17 * MS, START + 23 * MS]),
)


def test_recorded_latencies_are_interpolated_by_time(scene: type) -> None:
    play = scene(models=MarketModels(latency=RECORDED))
    for ms in (0, 5, 10, 15, 30):
        play.to(ms)
        play.send(1, 90, 1.0)
    play.to(60)
    there, back = np.array(sorted(play.log("sent_ts", "exchange_ts", "ts"))).T[1:] - np.array(
        [[START + ms * MS for ms in (0, 5, 10, 15, 30)]]
    )
    assert there.tolist() == [1 * MS, 2 * MS, 3 * MS, 2.5 * MS, 2 * MS]
    assert (back - there).tolist() == [1 * MS, round(2.5 * MS), 4 * MS, round(MS * (4 - 3 * 4.5 / 9)), 1 * MS]


def test_a_user_sees_time_kind_number_and_chance(scene: type) -> None:
    def latency(now: int, request: int, number: int, uniform: float) -> int:
        if number > 3:
            return -5 * MS
        return request * MS + number * 1000 if 0.0 < uniform < 1.0 and now >= START else 0

    play = scene(models=MarketModels(latency=latency))
    slot = play.send(1, 99, 2.0)
    play.to(10)
    play.modify(slot, 99, 1.0)
    play.to(20)
    play.cancel(slot)
    play.to(30)
    assert journeys(play) == [(1.001, 0.001), (6.002, 0.002), (4.003, 0.003)]
    late = play.send(1, 99, 1.0)
    play.to(40)
    assert play.order(late)["status"] == 7, "a negative latency refuses"
    assert play.log("ts")[-1] == (START + 35 * MS,)


@pytest.mark.parametrize("mode", ["strict", "compat"])
def test_a_negative_entry_latency_refuses_everything(scene: type, mode: str) -> None:
    play = scene(mode=mode, entry_latency_ms=-3.0)
    slot = play.send(1, 99, 1.0)
    play.to(10)
    assert play.log("ts", "request") == [(START + 3 * MS, "rejected")]
    assert play.order(slot)["status"] == (7 if mode == "strict" else 2)


def test_recordings_and_models_are_checked() -> None:
    good = np.array([1, 2])
    with pytest.raises(DataError, match="recorded times"):
        RecordedLatency(good, good[:1], good)
    with pytest.raises(DataError, match="recorded times"):
        RecordedLatency(good[:0], good[:0], good[:0])
    with pytest.raises(DataError, match="runs backwards"):
        RecordedLatency(good[::-1], good + 9, good + 9)
    with pytest.raises(DataError, match="negative"):
        RecordedLatency(good, good - 0, good - 1)


@pytest.mark.parametrize(
    ("tick", "quantity", "reason"),
    [
        (99, 0.5, "not_lots"),
        (99, 0.0, "not_lots"),
        (99, -1.0, "not_lots"),
        (99, float("nan"), "not_lots"),
        (99, 1.0, "too_small"),
        (99_999, 2.0, "outside_ladder"),
    ],
)
def test_refusals_say_why(scene: type, tick: int, quantity: float, reason: str) -> None:
    play = scene(min_quantity=2.0)
    slot = play.send(1, tick, quantity)
    play.to(10)
    assert play.log("status", "reason") == [("rejected", reason)]
    assert play.order(slot)["status"] == 7
    old = scene(mode="compat", min_quantity=2.0)
    old.send(1, tick, quantity)
    old.to(10)
    assert old.log("status", "reason") != [("rejected", reason)], "the peer takes anything"


def test_prices_off_the_grid_are_refused_in_strict_mode_and_rounded_in_the_other(scene: type) -> None:
    for mode, expected in (("strict", ("rejected", "off_grid", -(1 << 31))), ("compat", ("new", "none", 99))):
        play = scene(mode=mode)
        for price in (49.5, 49.6):
            actions.submit_at(play.engine.pointer, 0, 0, 1, price, 1.0, 0, 0)
        play.to(10)
        assert play.log("status", "reason", "tick") == [("new", "none", 99), expected]


def test_modifications_and_cancellations_of_what_is_gone_are_refused(scene: type) -> None:
    play = scene((20, "SELL_TRADE", 98, 9.0), response_latency_ms=20.0)
    first, second = play.send(1, 99, 1.0), play.send(1, 99, 1.0)
    play.to(25)
    assert play.cancel(first)
    assert play.modify(second, 98, 1.0)
    play.to(60)
    assert play.log("id", "request", "reason")[-2:] == [
        (1, "rejected", "unknown_order"),
        (2, "rejected", "unknown_order"),
    ]
    assert play.position() == 2.0
    assert not play.cancel(first)


def test_a_refused_modification_leaves_the_order_alone(scene: type) -> None:
    play = scene(min_quantity=2.0)
    slot = play.send(1, 99, 3.0)
    play.to(5)
    play.modify(slot, 99, 1.0)
    play.to(10)
    assert play.log("request", "reason")[-1] == ("rejected", "too_small")
    assert play.order(slot)["known_leaves"] == 3.0
    assert play.modify(slot, 99, 2.0)


def test_rate_limits_refuse_new_orders_and_modifications_by_window(scene: type) -> None:
    def sent(mode: str) -> list[str]:
        play = scene(mode=mode, rate_limit=2, rate_interval_ms=100.0)
        slots = [play.send(1, 99, 2.0) for _ in range(3)]
        play.to(20)
        play.modify(slots[0], 99, 1.0)
        play.cancel(slots[1])
        play.to(40)
        play.to(120)
        play.send(1, 99, 2.0)
        play.to(140)
        return [reason for (reason,) in play.log("reason")]

    assert sent("strict") == ["none", "none", "rate_limit", "rate_limit", "none", "none"]
    assert sent("compat") == ["none"] * 6


def test_agents_have_their_own_rate(scene: type) -> None:
    play = scene(agents=2, rate_limit=1)
    for lane in (0, 1, 0):
        play.send(1, 99, 1.0, lane=lane)
    play.to(10)
    assert sorted(play.log("agent", "status")) == [(0, "new"), (0, "rejected"), (1, "new")]


def two_markets(scene: type, mode: str) -> Engine:
    """Two venues: the second one's events are heard 30 ms late, and orders take 20 ms there."""
    module = __import__("sys").modules[scene.__module__]
    near, far = module.tape([*module.BOOK, module.END]), module.tape([*module.BOOK, (50, "BID", 100, 1.0), module.END])
    far.events["local_ts"] += 30 * MS
    configs = [
        MarketConfig(entry_latency_ms=1.0, response_latency_ms=2.0),
        MarketConfig(entry_latency_ms=20.0, response_latency_ms=25.0),
    ]
    return Engine([near, far], configs, mode=mode)


@pytest.mark.parametrize("mode", ["strict", "compat"])
def test_every_market_has_its_own_clock_and_distance(scene: type, mode: str) -> None:
    engine = two_markets(scene, mode)
    actions.advance(engine.pointer, 40 * MS)
    for index in range(2):
        actions.submit(engine.pointer, 0, index, 1, 98, 1.0, 0, 0)
    actions.advance(engine.pointer, 20 * MS)
    assert [int(bid) for bid in engine.markets["known_bid"]] == [99, 99], "the far bid of 50 ms is not heard at 60"
    assert int(engine.markets["bid"][1]) == 100
    actions.advance(engine.pointer, 40 * MS)
    assert int(engine.markets["known_bid"][1]) == 100
    rows = engine.responses().select("market", "exchange_ts", "ts").rows()
    assert [(m, (a - START) / MS, (b - START) / MS) for m, a, b in rows] == [(0, 41.0, 43.0), (1, 60.0, 85.0)]


@pytest.mark.parametrize("mode", ["strict", "compat"])
def test_advancing_to_the_feed_stops_at_responses_if_that_is_asked(scene: type, mode: str) -> None:
    def stops(responses: bool) -> list[float]:
        play = scene((20, "SELL_TRADE", 99, 9.0), mode=mode)
        play.send(1, 99, 1.0)
        times = []
        while actions.advance_to_feed(play.engine.pointer, 100_000 * MS, responses) == 1:
            times.append((int(play.engine.clock["now"][0]) - START) / MS)
        return times

    assert stops(False) == [20.0]
    assert stops(True) == [2.0, 20.0, 21.0]


def test_models_belong_to_strict_mode_and_must_compile(scene: type) -> None:
    with pytest.raises(ConfigError, match="compat mode"):
        scene(mode="compat", models=MarketModels(latency=lambda now, request, number, uniform: 1))
    with pytest.raises(ConfigError, match="did not compile"):
        scene(models=MarketModels(fee=lambda value, quantity, price, maker, traded: "free"))
    with pytest.raises(ConfigError, match="agent latencies"):
        scene(agent_latency_ms=(1.0, 2.0))
    with pytest.raises(ConfigError, match="agent_latency_ms was"):
        MarketConfig(agent_latency_ms=(-1.0,))


def test_lots_are_exact_in_decimals(scene: type) -> None:
    play = scene((20, "SELL_TRADE", 99, 5.3), lot="0.1")
    play.send(1, 99, 0.7)
    play.to(30)
    assert play.fills() == [(pytest.approx(0.3), 99)]
    assert float(Decimal("0.1")) == float(play.engine.markets["lot_size"][0])


def test_kinds_of_orders_have_the_peers_numbers() -> None:
    assert (OrderKind.LIMIT, OrderKind.MARKET) == (0, 1)
    assert [force.value for force in TimeInForce] == [0, 1, 2, 3]
