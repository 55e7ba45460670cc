"""Takers walk the book and consume it; nobody trades with an empty side, with himself, or without a trade."""

from __future__ import annotations

import pytest

from marketprism.backtest._layout import NO_ASK
from marketprism.backtest.codes import OrderKind, TimeInForce

MARKET = {"kind": OrderKind.MARKET, "force": TimeInForce.IOC}
IOC, FOK, POST = TimeInForce.IOC, TimeInForce.FOK, TimeInForce.POST_ONLY


def test_a_taker_walks_the_book_and_rests_with_what_is_left(scene: type) -> None:
    def fills(mode: str) -> tuple[list[tuple[float, int]], float]:
        play = scene(mode=mode)
        play.send(1, 102, 12.0)
        play.to(10)
        return play.fills(), play.position()

    assert fills("strict") == ([(5.0, 101), (5.0, 102)], 10.0)
    assert fills("compat") == ([(12.0, 101)], 12.0)


def test_what_a_taker_took_is_gone_until_the_level_is_updated(scene: type) -> None:
    def fills(mode: str) -> list[tuple[float, int]]:
        play = scene((20, "ASK", 101, 2.0), mode=mode)
        for ms, quantity in ((0, 4.0), (5, 4.0), (30, 4.0)):
            play.to(ms)
            play.send(1, 101, quantity, force=IOC)
        play.to(40)
        return play.fills()

    assert fills("strict") == [(4.0, 101), (1.0, 101), (2.0, 101)]
    assert fills("compat") == [(4.0, 101), (4.0, 101), (4.0, 101)]


def test_what_a_taker_took_shortens_the_queue_of_orders_behind_it(scene: type) -> None:
    play = scene((20, "BUY_TRADE", 101, 3.0), agents=2)
    play.send(-1, 101, 4.0, lane=1)
    play.to(5)
    play.send(1, 101, 4.0, force=IOC)
    play.to(30)
    assert (play.position(0), play.position(1)) == (4.0, -2.0)


def test_lanes_do_not_see_what_another_one_took(scene: type) -> None:
    play = scene(lanes=2)
    for lane in range(2):
        play.send(1, 101, 4.0, lane=lane, force=IOC)
    play.to(10)
    assert (play.position(0), play.position(1)) == (4.0, 4.0)


def test_a_market_order_takes_what_there_is_and_nothing_of_an_empty_side(scene: type) -> None:
    def market(mode: str, *rows: tuple[object, ...]) -> list[tuple[float, int]]:
        play = scene(*rows, mode=mode)
        play.to(5)
        play.send(1, 0, 20.0, **MARKET)
        play.to(15)
        return play.fills() if mode == "compat" else [*play.fills(), play.log("status", "reason")[-1]]

    empty = tuple((1, "NO_ASK", tick, 0.0) for tick in (101, 102, 103))
    assert market("strict") == [(5.0, 101), (5.0, 102), (5.0, 103), ("expired", "no_liquidity")]
    assert market("compat") == [(20.0, 101)]
    assert market("strict", *empty) == [("expired", "no_liquidity")]
    assert market("compat", *empty) == [(20.0, NO_ASK)], "the peer's sentinel price"


def test_nothing_is_filled_where_the_best_prices_cross_an_own_order_unless_that_is_asked(scene: type) -> None:
    def positions(mode: str, cross: bool = False) -> tuple[float, float]:
        play = scene((20, "ASK", 99, 2.0), (40, "BID", 102, 2.0), mode=mode, fill_on_cross=cross)
        play.send(1, 99, 6.0)
        play.to(30)
        play.send(-1, 102, 6.0)
        bought = play.position()
        play.to(50)
        return bought, play.position() - bought

    assert positions("strict") == (0.0, 0.0)
    assert positions("strict", cross=True) == (2.0, -2.0), "not more than crossed"
    assert positions("compat") == (6.0, -6.0)


def test_a_bid_that_crosses_own_asks_fills_the_best_first(scene: type) -> None:
    play = scene((20, "BID", 103, 4.0), fill_on_cross=True)
    play.send(-1, 103, 3.0)
    play.send(-1, 102, 3.0)
    play.to(30)
    assert play.fills() == [(3.0, 102), (1.0, 103)]


def test_a_trade_without_an_aggressor_is_read_from_the_book(scene: type) -> None:
    def position(tick: int, *rows: tuple[object, ...], mode: str = "strict") -> float:
        play = scene(*rows, (20, "TRADE", tick, 8.0), mode=mode)
        play.send(1, 99, 1.0)
        play.send(-1, 101, 1.0)
        play.to(30)
        return play.position()

    assert position(99) == 1.0
    assert position(101) == -1.0
    assert position(100) == 0.0, "between the best prices nobody knows"
    empty = ((10, "NO_BID", 99, 0.0), (10, "NO_BID", 98, 0.0))
    assert position(99, *empty) == 0.0
    assert position(99, mode="compat") == 0.0, "the peer passes over it"


@pytest.mark.parametrize(
    ("side", "tick", "quantity", "force", "expected"),
    [
        (1, 101, 6.0, IOC, [(5.0, 101)]),
        (1, 101, 6.0, FOK, []),
        (1, 102, 6.0, FOK, [(5.0, 101), (1.0, 102)]),
        (1, 101, 1.0, POST, []),
        (-1, 98, 12.0, IOC, [(5.0, 99), (5.0, 98)]),
        (-1, 99, 6.0, FOK, []),
        (-1, 99, 1.0, POST, []),
    ],
)
def test_times_in_force(
    scene: type, side: int, tick: int, quantity: float, force: int, expected: list[tuple[float, int]]
) -> None:
    play = scene()
    play.send(side, tick, quantity, force=force)
    play.to(10)
    assert play.fills() == expected
    status, reason = play.log("status", "reason")[-1]
    if force == FOK:
        assert (status, reason) == (("filled", "none") if expected else ("expired", "not_all"))
    else:
        assert (status, reason) == ("expired", "would_take" if force == POST else "no_liquidity")


def test_a_post_only_order_that_does_not_touch_rests(scene: type) -> None:
    play = scene()
    play.send(1, 100, 1.0, force=POST)
    play.to(10)
    assert play.log("status") == [("new",)]


def test_ioc_of_less_than_the_level_differs_from_compat_in_price_and_size(scene: type) -> None:
    def fills(mode: str) -> list[tuple[float, int]]:
        play = scene(mode=mode)
        play.send(1, 102, 7.0, force=FOK)
        play.to(10)
        return play.fills()

    assert fills("strict") == [(5.0, 101), (2.0, 102)]
    assert fills("compat") == [(7.0, 101)]


def test_a_modified_post_only_order_that_would_take_ends(scene: type) -> None:
    play = scene()
    slot = play.send(1, 99, 1.0, force=POST)
    play.to(5)
    assert play.modify(slot, 101, 1.0)
    play.to(10)
    assert play.log("status", "reason")[-1] == ("expired", "would_take")
    assert not play.modify(slot, 99, 1.0)


def test_a_modified_order_takes(scene: type) -> None:
    play = scene()
    slot = play.send(1, 99, 7.0)
    play.to(5)
    assert play.modify(slot, 101, 7.0)
    play.to(10)
    assert play.fills() == [(5.0, 101)]
    assert play.order(slot)["known_leaves"] == 2.0


def trade_with_oneself(scene: type, how: str, owners: tuple[int, ...] = (), **more: object) -> list[tuple[object, ...]]:
    """Agent 0 asks 2 at 100, agent 1 asks 2 there too, then agent 0 buys 3 at 100."""
    play = scene(agents=2, owners=owners, self_trade=how)
    play.send(-1, 100, 2.0)
    play.to(1)
    play.send(-1, 100, 2.0, lane=1)
    play.to(5)
    play.send(1, 100, 3.0, **more)
    play.to(10)
    return play.log("agent", "side", "status", "executed", "reason")[2:]


def test_self_trade_prevention(scene: type) -> None:
    stop = (0, 1, "expired", 0.0, "self_trade")
    gone = (0, -1, "cancelled", 0.0, "self_trade")
    assert trade_with_oneself(scene, "cancel_newest") == [stop]
    assert trade_with_oneself(scene, "cancel_both") == [gone, stop]
    assert trade_with_oneself(scene, "cancel_oldest") == [
        gone,
        (0, 1, "partially_filled", 2.0, "none"),
        (1, -1, "filled", 2.0, "none"),
    ]
    assert trade_with_oneself(scene, "allow") == [
        (0, -1, "filled", 2.0, "none"),
        (0, 1, "filled", 3.0, "none"),
        (1, -1, "partially_filled", 1.0, "none"),
    ]


def test_agents_of_one_owner_do_not_trade_with_each_other(scene: type) -> None:
    assert trade_with_oneself(scene, "cancel_newest", owners=(7, 7)) == [(0, 1, "expired", 0.0, "self_trade")]


def test_fill_or_kill_does_not_count_what_self_trade_prevention_withholds(scene: type) -> None:
    assert trade_with_oneself(scene, "cancel_newest", force=FOK) == [(0, 1, "expired", 0.0, "not_all")]
    assert trade_with_oneself(scene, "cancel_oldest", force=FOK) == [(0, 1, "expired", 0.0, "not_all")]
    assert trade_with_oneself(scene, "allow", force=FOK)[1] == (0, 1, "filled", 3.0, "none")


def test_compat_lets_everyone_trade_with_the_market_alone(scene: type) -> None:
    play = scene(mode="compat")
    play.send(-1, 100, 2.0)
    play.to(5)
    play.send(1, 100, 3.0)
    play.to(10)
    assert play.fills() == []


def test_a_post_only_order_does_not_take_from_its_owner_either(scene: type) -> None:
    assert trade_with_oneself(scene, "cancel_oldest", force=POST) == [(0, 1, "expired", 0.0, "would_take")]


def test_a_taker_meets_market_and_own_orders_in_the_order_of_the_queue(scene: type) -> None:
    """Market 5, agent 1's 2, market 3 that joined later, agent 2's 2: a taker of 9 leaves agent 2 one."""
    play = scene((10, "ASK", 101, 8.0), agents=3)
    play.send(-1, 101, 2.0, lane=1)
    play.to(20)
    play.send(-1, 101, 2.0, lane=2)
    play.to(30)
    play.send(1, 101, 9.0, force=IOC)
    play.to(40)
    assert [play.position(lane) for lane in range(3)] == [9.0, -2.0, 0.0]
    play.send(1, 101, 2.0, force=IOC)
    play.to(50)
    assert [play.position(lane) for lane in range(3)] == [11.0, -2.0, -1.0]
