"""Points 1 and 2: partial fills count at once, and one trade fills no more than its size."""

from __future__ import annotations

import pytest


def test_partial_fill_reaches_the_position_at_once_and_keeps_its_place(scene: type) -> None:
    trades = [(50, "SELL_TRADE", 99, 7.0), (60, "SELL_TRADE", 99, 4.0)]
    play = scene(*trades)
    slot = play.send(1, 99, 6.0)
    play.to(55)
    assert play.position() == 2.0
    assert play.order(slot)["known_leaves"] == 4.0
    assert play.log("status")[-1] == ("partially_filled",)
    play.to(65)
    assert play.position() == 6.0
    assert play.log() == [("new", 0.0, 0, 6.0), ("partially_filled", 2.0, 99, 4.0), ("filled", 4.0, 99, 0.0)]

    old = scene(*trades, mode="compat")
    old.send(1, 99, 6.0)
    old.to(55)
    assert old.position() == 6.0


def test_a_trade_of_seven_behind_a_queue_of_five_fills_two_not_twelve(scene: type) -> None:
    def filled(mode: str) -> float:
        play = scene((50, "SELL_TRADE", 99, 7.0), mode=mode)
        play.send(1, 99, 6.0)
        play.send(1, 99, 6.0)
        play.to(60)
        return play.position()

    assert filled("strict") == 2.0
    assert filled("compat") == 12.0


def test_agents_of_one_world_share_the_trade_in_time_order(scene: type) -> None:
    play = scene((50, "SELL_TRADE", 99, 8.0), agents=3)
    for ms, lane in ((1, 2), (2, 0), (3, 1)):
        play.to(ms)
        play.send(1, 99, 2.0, lane=lane)
    play.to(60)
    assert [play.position(lane) for lane in range(3)] == [1.0, 0.0, 2.0]


def test_lanes_do_not_see_each_other(scene: type) -> None:
    play = scene((50, "SELL_TRADE", 99, 8.0), lanes=3)
    for lane in range(3):
        play.send(1, 99, 2.0 + lane, lane=lane)
    play.to(60)
    assert [play.position(lane) for lane in range(3)] == [2.0, 3.0, 3.0]


def test_trade_through_the_price_fills_better_orders_first_up_to_its_size(scene: type) -> None:
    rows = [(20, "NO_BID", 99, 0.0), (50, "SELL_TRADE", 97, 5.0)]

    def fills(mode: str) -> list[tuple[float, int]]:
        play = scene(*rows, mode=mode)
        play.send(1, 98, 3.0)
        play.send(1, 100, 3.0)
        play.to(60)
        return play.fills()

    assert fills("strict") == [(3.0, 100), (2.0, 98)]
    assert fills("compat") == [(3.0, 100), (3.0, 98)]


def test_what_own_orders_take_of_a_trade_does_not_move_the_queue_behind(scene: type) -> None:
    """Queue: own 4, market 3 that joined later, own 4: the trade of 5 leaves market 2 ahead of the last."""
    play = scene(
        (10, "BID", 100, 0.0),
        (20, "BID", 100, 3.0),
        (50, "SELL_TRADE", 100, 5.0),
        (60, "SELL_TRADE", 100, 3.0),
        agents=2,
        queue="power",
    )
    play.to(11)
    play.send(1, 100, 4.0)
    play.to(30)
    behind = play.send(1, 100, 4.0, lane=1)
    play.to(55)
    assert play.position(0) == 4.0
    assert play.order(behind)["front"] == 2.0
    play.to(65)
    assert play.position(1) == 1.0


def test_front_of_risk_averse_queue_shrinks_with_the_level_only(scene: type) -> None:
    play = scene((20, "BID", 99, 9.0), (30, "BID", 99, 3.0))
    slot = play.send(1, 99, 1.0)
    play.to(25)
    assert play.order(slot)["front"] == 5.0
    play.to(35)
    assert play.order(slot)["front"] == 3.0


def test_modify_down_keeps_the_place_and_up_or_away_loses_it(scene: type) -> None:
    def front(tick: int, quantity: float) -> float:
        play = scene((20, "BID", 99, 9.0), (25, "SELL_TRADE", 99, 2.0))
        slot = play.send(1, 99, 4.0)
        play.to(30)
        assert play.order(slot)["front"] == 3.0
        assert play.modify(slot, tick, quantity)
        assert play.order(slot)["tick"] == 99
        play.to(40)
        assert play.order(slot)["tick"] == tick
        assert play.order(slot)["known_leaves"] == quantity
        return float(play.order(slot)["front"])

    assert front(99, 2.0) == 3.0
    assert front(99, 5.0) == 9.0
    assert front(98, 4.0) == 5.0


def test_a_modification_that_queues_anew_asks_for_its_quantity(scene: type) -> None:
    def bought(mode: str) -> float:
        play = scene((20, "NO_BID", 99, 0.0), (20, "SELL_TRADE", 97, 50.0), mode=mode)
        slot = play.send(1, 99, 4.0)
        play.to(5)
        assert play.modify(slot, 98, 6.0)
        play.to(30)
        return play.position()

    assert bought("strict") == 6.0
    assert bought("compat") == 4.0, "the peer forgets what was asked"


def test_after_a_side_is_cleared_up_to_a_level_the_next_one_is_the_best(scene: type) -> None:
    def bests(mode: str) -> tuple[int, int]:
        play = scene((20, "CLEAR_ASKS", 101, 0.0), (20, "BID", 97, 5.0), (20, "CLEAR_BIDS", 99, 0.0), mode=mode)
        play.to(30)
        market = play.engine.markets[0]
        assert (market["bid"], market["ask"]) == (market["known_bid"], market["known_ask"])
        return int(market["bid"]), int(market["ask"])

    assert bests("strict") == (98, 102)
    assert bests("compat") == (97, 103), "the peer passes over it"


def test_cancel_and_replace_goes_to_the_back(scene: type) -> None:
    play = scene((30, "SELL_TRADE", 99, 6.0), agents=2)
    first = play.send(1, 99, 1.0)
    play.send(1, 99, 1.0, lane=1)
    play.to(5)
    assert play.cancel(first)
    play.to(10)
    play.send(1, 99, 1.0)
    play.to(40)
    assert [play.position(0), play.position(1)] == [0.0, 1.0]


def test_a_small_order_at_a_better_price_jumps_the_queue(scene: type) -> None:
    play = scene((30, "SELL_TRADE", 99, 6.0), agents=2)
    play.send(1, 99, 3.0)
    play.to(5)
    play.send(1, 100, 1.0, lane=1)
    play.to(40)
    assert play.fills(lane=1) == [(1.0, 100)]
    assert play.position(0) == 0.0


def test_modification_to_what_was_executed_cancels_the_rest(scene: type) -> None:
    play = scene((20, "SELL_TRADE", 99, 7.0))
    slot = play.send(1, 99, 6.0)
    play.to(30)
    assert play.modify(slot, 99, 2.0)
    play.to(40)
    assert play.log("status", "reason")[-1] == ("cancelled", "reduced")
    assert play.position() == 2.0


@pytest.mark.parametrize("mode", ["strict", "compat"])
def test_without_own_orders_both_modes_replay_the_same_book(scene: type, mode: str) -> None:
    play = scene((20, "BID", 100, 1.0), (30, "NO_BID", 100, 0.0), mode=mode)
    play.to(25)
    assert play.engine.markets[0]["known_bid"] == 100
    play.to(35)
    assert play.engine.markets[0]["bid"] == 99
