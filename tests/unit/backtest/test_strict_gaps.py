"""Gaps and the end of data; queue models, a user's own, and exact queues of order-by-order tapes."""

from __future__ import annotations

import math
from typing import Any

import pytest

from marketprism.backtest import actions
from marketprism.backtest.codes import TimeInForce
from marketprism.backtest.models import MarketModels

MS = 1_000_000
SNAPSHOT = [(60, "CLEAR", 0, 0.0), (60, "BID", 99, 20.0), (60, "ASK", 101, 5.0)]


def test_nothing_is_filled_across_a_gap(scene: type) -> None:
    rows = [(20, "GAP", 0, 0.0), (30, "SELL_TRADE", 98, 50.0), *SNAPSHOT, (70, "SELL_TRADE", 99, 22.0)]

    def positions(mode: str) -> tuple[float, float]:
        play = scene(*rows, mode=mode)
        play.send(1, 99, 3.0)
        play.to(65)
        before = play.position()
        play.to(80)
        return before, play.position()

    assert positions("strict") == (0.0, 2.0), "and it starts again behind all that the snapshot shows"
    assert positions("compat") == (3.0, 3.0)


def test_between_a_gap_and_the_snapshot_nothing_is_accepted_but_cancellations(scene: type) -> None:
    play = scene((20, "GAP", 0, 0.0), *SNAPSHOT)
    slot = play.send(1, 99, 3.0)
    play.to(25)
    assert int(play.engine.rules[0]["known_blind"]) == 1
    play.send(1, 101, 3.0)
    play.cancel(slot)
    play.to(40)
    assert sorted(play.log("status", "reason")[1:]) == [("cancelled", "none"), ("rejected", "gap")]
    play.to(61)
    rule = play.engine.rules[0]
    assert (int(rule["gaps"]), int(rule["blind_ns"]), int(rule["known_blind"])) == (1, 40 * MS, 0)
    play.send(1, 101, 3.0)
    play.to(70)
    assert play.fills() == [(3.0, 101)]


def test_a_second_gap_before_the_snapshot_is_counted_and_no_time_is_lost(scene: type) -> None:
    play = scene((20, "GAP", 0, 0.0), (40, "GAP", 0, 0.0), *SNAPSHOT)
    play.to(70)
    assert (int(play.engine.rules[0]["gaps"]), int(play.engine.rules[0]["blind_ns"])) == (2, 40 * MS)


def test_orders_do_not_cross_nor_liquidations_happen_in_a_gap(scene: type) -> None:
    rows = [
        (20, "GAP", 0, 0.0),
        (30, "NO_BID", 99, 0.0),
        (30, "NO_BID", 98, 0.0),
        (30, "ASK", 97, 9.0),
        (60, "CLEAR", 0, 0.0),
        (60, "BID", 60, 20.0),
        (60, "ASK", 61, 5.0),
    ]
    play = scene(*rows, capital=30.0, maintenance_margin=0.05, fill_on_cross=True)
    play.send(1, 101, 5.0, force=TimeInForce.IOC)
    play.send(1, 98, 1.0)
    play.to(50)
    assert play.position() == 5.0
    play.to(70)
    assert play.position() == 0.0, "once the market is seen again, the account is below its margin"


def test_a_clear_without_a_gap_keeps_own_orders_and_their_place(scene: type) -> None:
    play = scene((20, "CLEAR", 0, 0.0), (20, "BID", 99, 20.0), (20, "ASK", 101, 5.0))
    slot = play.send(1, 99, 3.0)
    play.to(30)
    assert play.order(slot)["front"] == 5.0


def test_the_end_of_data_is_said(scene: type) -> None:
    def last(mode: str) -> tuple[str, str]:
        play = scene((20, "BID", 98, 6.0), end=False, mode=mode, response_latency_ms=50.0)
        slot = play.send(1, 99, 3.0)
        play.to(19.5)
        play.send(1, 101, 3.0)
        play.cancel(slot)
        play.to(200)
        return max(play.log("status", "reason"))

    assert last("strict") == ("rejected", "end_of_data")
    assert last("compat") != ("rejected", "end_of_data")
    play = scene(end=False)
    play.send(1, 99, 3.0)
    assert play.to(10) == 0
    assert int(play.engine.rules[0]["over"]) == 1


def fronts(scene: type, queue: str, mode: str = "strict", **more: Any) -> list[float]:
    """Front of an order that finds 8, after 10 more came and 6 left, and after a trade of 1 and 3 that left besides."""
    rows = [(10, "BID", 99, 18.0), (20, "BID", 99, 12.0), (30, "SELL_TRADE", 99, 1.0), (31, "BID", 99, 8.0)]
    play = scene((0, "BID", 99, 8.0), *rows, queue=queue, mode=mode, queue_exponent=2.0, **more)
    slot = play.send(1, 99, 4.0)
    found = []
    for ms in (5, 25, 40):
        play.to(ms)
        found.append(float(play.order(slot)["front"]))
    return found


def moved(behind: Any) -> list[float]:
    first = 8.0 - (1 - behind(8.0, 10.0)) * 6.0
    second = first - 1.0
    return [8.0, first, second - (1 - behind(second, 12.0 - second)) * 3.0]


@pytest.mark.parametrize("mode", ["strict", "compat"])
@pytest.mark.parametrize(
    ("queue", "behind"),
    [
        ("log", lambda f, b: math.log1p(b) / (math.log1p(b) + math.log1p(f))),
        ("log_total", lambda f, b: math.log1p(b) / math.log1p(b + f)),
        ("power", lambda f, b: b**2 / (b**2 + f**2)),
        ("power_total", lambda f, b: b**2 / (b + f) ** 2),
        ("power_share", lambda f, b: 1 - (f / (f + b)) ** 2),
        ("risk_averse", lambda _f, _b: 1.0),
    ],
)
def test_queue_models_do_what_they_say(scene: type, queue: str, behind: Any, mode: str) -> None:
    """Both modes: the models are the peer's; an order that asked for nothing else is alone in its queue."""
    assert fronts(scene, queue, mode) == [pytest.approx(front) for front in moved(behind)]


def test_a_users_queue_model_is_asked(scene: type) -> None:
    def queue(front: float, before: float, after: float, traded: float, exponent: float) -> float:
        return front - exponent * max(before - after - traded, 0.0) / 10.0

    assert fronts(scene, "log", models=MarketModels(queue=queue)) == [8.0, 8.0 - 1.2, 8.0 - 1.2 - 1.0 - 0.6]


BUY = 128
ORDERS = [
    *((10, "ORDER_ADD", 99, 2.0, BUY, slot) for slot in (1, 2)),
    (10, "BID", 99, 4.0),
    (20, "ORDER_ADD", 99, 3.0, BUY, 3),
    (20, "BID", 99, 7.0),
    (30, "ORDER_DELETE", 99, 2.0, BUY, 1),
    (30, "BID", 99, 5.0),
    (40, "ORDER_DELETE", 99, 3.0, BUY, 3),
    (40, "BID", 99, 2.0),
    (50, "ORDER_REDUCE", 99, 1.0, BUY, 2),
    (50, "BID", 99, 1.0),
]


def place_in_queue(scene: type, *rows: tuple[Any, ...], **more: Any) -> list[float]:
    """Front of an order sent at 15 ms, at every ten after it."""
    play = scene((1, "BID", 99, 0.0), *rows, **more)
    play.to(14)
    slot = play.send(1, 99, 1.0)
    found = []
    for ms in (16, 25, 35, 45, 55):
        play.to(ms)
        found.append(float(play.order(slot)["front"]))
    return found


def test_order_by_order_tapes_give_the_exact_place_in_the_queue(scene: type) -> None:
    """Only what left from ahead counts: 2 of 4 at 30 ms, nothing of the 3 behind, 1 of 2 at 50 ms."""
    assert place_in_queue(scene, *ORDERS) == [4.0, 4.0, 2.0, 2.0, 1.0]
    levels = [row for row in ORDERS if not row[1].startswith("ORDER")]
    assert place_in_queue(scene, *levels, queue="power")[2:] != [2.0, 2.0, 1.0], "levels alone can only guess"
    assert place_in_queue(scene, *ORDERS, mode="compat", queue="risk_averse") == [4.0, 4.0, 4.0, 2.0, 1.0]


def test_executions_are_told_by_their_trade(scene: type) -> None:
    rows = [
        (30, "SELL_TRADE", 99, 1.0),
        (30, "ORDER_EXECUTE", 99, 1.0, BUY, 1),
        (30, "BID", 99, 6.0),
        (33, "ORDER_REDUCE", 99, 1.0, BUY, 3),
        (33, "BID", 99, 5.0),
        (40, "SELL_TRADE", 99, 4.0),
        (40, "ORDER_EXECUTE", 99, 1.0, BUY, 1),
        (40, "ORDER_EXECUTE", 99, 2.0, BUY, 2),
        (40, "ORDER_EXECUTE", 99, 1.0, BUY, 3),
        (40, "BID", 99, 2.0),
    ]
    play = scene((1, "BID", 99, 0.0), *ORDERS[:5], *rows)
    play.to(14)
    slot = play.send(1, 99, 3.0)
    play.to(35)
    assert play.order(slot)["front"] == 3.0, "what came later and leaves is no matter, before a trade and after it"
    play.to(45)
    assert play.fills() == [(1.0, 99)]


def test_slots_are_used_again_and_sides_are_apart(scene: type) -> None:
    rows = [
        *ORDERS[:3],
        (20, "ORDER_DELETE", 101, 2.0, 0, 1),
        (30, "ORDER_DELETE", 99, 2.0, BUY, 1),
        (30, "BID", 99, 2.0),
        (32, "ORDER_ADD", 99, 2.0, BUY, 1),
        (32, "BID", 99, 4.0),
        (40, "ORDER_DELETE", 99, 2.0, BUY, 1),
        (40, "BID", 99, 2.0),
    ]
    assert place_in_queue(scene, *rows) == [4.0, 4.0, 2.0, 2.0, 2.0]


def test_after_a_gap_an_order_stands_behind_the_snapshot_of_an_order_by_order_tape(scene: type) -> None:
    rows = [
        *ORDERS[:3],
        (20, "GAP", 0, 0.0),
        (22, "CLEAR", 0, 0.0),
        (22, "ORDER_ADD", 99, 6.0, BUY, 1),
        (22, "BID", 99, 6.0),
        (22, "ASK", 101, 6.0),
        (40, "ORDER_REDUCE", 99, 5.0, BUY, 1),
        (40, "BID", 99, 1.0),
    ]
    assert place_in_queue(scene, *rows) == [4.0, 6.0, 6.0, 1.0, 1.0]


def test_slots_of_orders_have_23_bits(scene: type) -> None:
    play = scene((5, "ORDER_ADD", 99, 1.0, 255, 65_535), (6, "ORDER_ADD", 101, 1.0, 1, 0))
    play.to(10)
    slots = play.engine._arrays["slots"]
    assert (len(slots), int(slots[8_388_607]), int(slots[65_536])) == (8_388_608, 1, 2)


def test_the_data_end_for_a_strategy_that_goes_on_sending(scene: type) -> None:
    play = scene()
    play.to(9_999)
    wakes = 0
    while actions.advance(play.engine.pointer, 500_000) == 1:
        play.send(1, 98, 1.0)
        wakes += 1
        assert wakes < 10
    assert wakes == 1
    assert int(play.engine.markets[0]["response_ts"]) == (1 << 63) - 1
