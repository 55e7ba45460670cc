"""Compat mode: what fills an order and when it waits, one scene for each rule taken over from hftbacktest."""

from __future__ import annotations

import math
from typing import Any

import pytest

BUY, SELL = 1, -1
GTC, POST_ONLY, FOK, IOC = range(4)
MARKET = 1
NO_PRICE = (1 << 63) - 1


@pytest.fixture
def play(scene: Any) -> Any:
    """Return a scene in compat mode; the book is 99 x 101, five at each level."""
    return lambda *rows, **options: scene(*rows, mode="compat", **options)


def test_an_own_order_waits_behind_what_the_level_showed_when_it_arrived(play: Any) -> None:
    s = play((10, "SELL_TRADE", 99, 5.0), (20, "SELL_TRADE", 99, 1.0))
    s.send(BUY, 99, 3.0)
    s.to(15)
    assert s.fills() == []  # five traded, five stood ahead: at the front, but not beyond it
    s.to(25)
    assert s.fills() == [(3.0, 99)]  # all of it, although only one more traded


def test_less_than_half_a_lot_beyond_the_queue_fills_nothing(play: Any) -> None:
    s = play((10, "SELL_TRADE", 99, 5.4), (20, "SELL_TRADE", 99, 0.1))
    s.send(BUY, 99, 1.0)
    s.to(15)
    assert s.fills() == []
    s.to(25)
    assert s.fills() == [(1.0, 99)]  # half a lot rounds away from zero


def test_one_trade_fills_every_own_order_that_it_reaches(play: Any) -> None:
    s = play((10, "SELL_TRADE", 99, 6.0))
    s.send(BUY, 99, 3.0)
    s.send(BUY, 99, 4.0)
    s.to(15)
    assert s.fills() == [(3.0, 99), (4.0, 99)]


def test_a_trade_through_an_order_fills_it_at_its_own_price(play: Any) -> None:
    s = play((10, "SELL_TRADE", 97, 0.1))
    s.send(BUY, 98, 2.0)
    s.to(15)
    assert s.log("executed", "executed_tick", "maker")[-1] == (2.0, 98, True)


def test_cancellations_ahead_shorten_the_queue_by_the_models_share(play: Any) -> None:
    """Two of five leave at a level with three behind: risk averse says behind, the share model says two fifths."""
    rows = [(10, "BID", 99, 8.0), (20, "BID", 99, 6.0)]
    s = play(*rows, queue="risk_averse")
    order = s.send(BUY, 99, 1.0)
    s.to(30)
    assert s.order(order)["front"] == 5.0
    s = play(*rows, queue="power", queue_exponent=1.0)
    order = s.send(BUY, 99, 1.0)
    s.to(30)
    assert s.order(order)["front"] == pytest.approx(5.0 - 2.0 * 5.0 / 8.0)


@pytest.mark.parametrize(
    ("queue", "behind"),
    [
        ("log", math.log(4) / (math.log(4) + math.log(6))),
        ("log_total", math.log(4) / math.log(9)),
        ("power", 9 / 34),
        ("power_total", 9 / 64),
        ("power_share", 1 - 25 / 64),
    ],
)
def test_each_model_splits_a_cancellation(play: Any, queue: str, behind: float) -> None:
    s = play((10, "BID", 99, 8.0), (20, "BID", 99, 7.0), queue=queue, queue_exponent=2.0)
    order = s.send(BUY, 99, 1.0)
    s.to(30)
    assert s.order(order)["front"] == pytest.approx(5.0 - (1.0 - behind))


def test_a_decrease_that_trades_explain_moves_nobody(play: Any) -> None:
    s = play((10, "SELL_TRADE", 99, 2.0), (11, "BID", 99, 3.0), (20, "BID", 99, 2.0), queue="power")
    order = s.send(BUY, 99, 1.0)
    s.to(15)
    assert (s.order(order)["front"], s.order(order)["traded"]) == (3.0, 0.0)
    s.to(25)
    assert s.order(order)["front"] == 2.0  # now one left, all of it ahead


def test_an_increase_leaves_the_queue_ahead_as_it_was(play: Any) -> None:
    s = play((10, "BID", 99, 9.0), (20, "BID", 99, 2.0), queue="log")
    order = s.send(BUY, 99, 1.0)
    s.to(15)
    assert s.order(order)["front"] == 5.0
    s.to(25)
    assert s.order(order)["front"] <= 2.0  # never more than the level holds


@pytest.mark.parametrize(("side", "kind", "tick"), [(SELL, "BID", 102), (BUY, "ASK", 98)])
def test_the_other_sides_best_reaching_an_order_fills_all_of_it_at_its_own_price(
    play: Any, side: int, kind: str, tick: int
) -> None:
    s = play((10, kind, tick, 0.5))
    own = tick - 1 if side == SELL else tick + 1
    s.send(side, own, 4.0, force=POST_ONLY)
    s.to(15)
    assert s.log("executed", "executed_tick", "maker")[-1] == (4.0, own, True)


def test_a_taker_gets_all_of_it_at_the_best_whatever_is_shown_there(play: Any) -> None:
    s = play()
    s.send(BUY, 105, 40.0)
    s.to(5)
    assert s.log("executed", "executed_tick", "maker") == [(40.0, 101, False)]


@pytest.mark.parametrize(("force", "outcome"), [(GTC, "new"), (POST_ONLY, "new"), (FOK, "expired"), (IOC, "expired")])
def test_an_order_that_finds_nobody_rests_or_expires(play: Any, force: int, outcome: str) -> None:
    s = play()
    s.send(BUY, 100, 1.0, force=force)
    s.to(5)
    assert s.log("status") == [(outcome,)]


@pytest.mark.parametrize(
    ("force", "outcome"), [(GTC, "filled"), (POST_ONLY, "expired"), (FOK, "filled"), (IOC, "filled")]
)
def test_an_order_that_finds_somebody_trades_or_expires(play: Any, force: int, outcome: str) -> None:
    s = play()
    s.send(SELL, 99, 7.0, force=force)
    s.to(5)
    assert s.log("status") == [(outcome,)]


def test_a_market_order_on_an_empty_side_trades_at_no_price(play: Any) -> None:
    s = play((0.5, "CLEAR_ASKS", 103, 0.0))
    s.send(BUY, 100, 1.0, kind=MARKET)
    s.to(5)
    assert s.log("status", "executed_tick") == [("filled", NO_PRICE)]


def test_less_at_the_same_price_keeps_the_place(play: Any) -> None:
    s = play((10, "BID", 99, 9.0), (30, "SELL_TRADE", 99, 6.0))
    order = s.send(BUY, 99, 3.0)
    s.to(12)
    assert s.modify(order, 99, 2.0)
    s.to(35)
    assert s.fills() == [(2.0, 99)]


@pytest.mark.parametrize(("tick", "quantity"), [(99, 4.0), (98, 3.0)])
def test_more_or_another_price_queues_anew_with_what_was_left(play: Any, tick: int, quantity: float) -> None:
    s = play((10, "BID", 99, 9.0), (11, "BID", 98, 9.0), (30, "SELL_TRADE", tick, 10.0))
    order = s.send(BUY, 99, 3.0)
    s.to(12)
    assert s.modify(order, tick, quantity)
    s.to(20)
    assert s.order(order)["front"] == 9.0
    s.to(35)
    assert s.fills() == [(3.0, tick)]


def test_a_modification_through_the_book_takes_or_expires(play: Any) -> None:
    s = play()
    takes, expires = s.send(BUY, 99, 3.0), s.send(BUY, 98, 3.0, force=POST_ONLY)
    s.to(5)
    assert s.modify(takes, 102, 3.0)
    assert s.modify(expires, 102, 3.0)
    s.to(10)
    assert s.log("status", "executed_tick")[2:] == [("filled", 101), ("expired", 0)]


@pytest.mark.parametrize("verb", ["cancel", "modify"])
def test_what_comes_after_the_fill_is_refused_and_changes_nothing(play: Any, verb: str) -> None:
    s = play((10, "SELL_TRADE", 98, 1.0), response_latency_ms=5.0)
    order = s.send(BUY, 99, 3.0)
    s.to(10)  # filled, and not heard yet
    assert s.cancel(order) if verb == "cancel" else s.modify(order, 100, 3.0)
    s.to(30)
    assert s.log("status", "request")[1:] == [("filled", "none"), ("new", "rejected")]
    assert (s.order(order)["status"], s.order(order)["request"], s.position()) == (3, 0, 3.0)


def test_a_cancelled_order_leaves_its_queue(play: Any) -> None:
    s = play((10, "SELL_TRADE", 98, 1.0))
    order = s.send(BUY, 99, 3.0)
    s.to(5)
    assert s.cancel(order)
    assert not s.cancel(order)  # a request is in flight
    s.to(20)
    assert s.log("status") == [("new",), ("cancelled",)]
    assert s.fills() == []


def test_a_crossed_feed_pushes_the_other_sides_best_out(play: Any) -> None:
    """The bid jumps to 102: asks up to there are out of sight until the search for a best passes them again."""
    s = play((10, "BID", 102, 1.0), (20, "NO_BID", 102, 0.0))
    s.to(15)
    market = s.engine.markets[0]
    assert (int(market["known_bid"]), int(market["known_ask"])) == (102, 103)
    s.to(25)
    assert (int(market["known_bid"]), int(market["known_ask"])) == (99, 103)


def test_clearing_to_a_price_leaves_out_the_level_right_behind_it(play: Any) -> None:
    s = play((5, "BID", 96, 1.0), (10, "CLEAR_BIDS", 99, 0.0), (20, "CLEAR", 0, 0.0), (21, "BID", 90, 1.0))
    s.to(15)
    assert int(s.engine.markets[0]["bid"]) == 96  # 98 stands, and is not seen
    s.to(22)
    market = s.engine.markets[0]
    assert (int(market["bid"]), int(market["ask"])) == (90, NO_PRICE)


_PASSED = {
    SELL: [(1, "BID", 106, 1.0), (2, "ASK", 105, 1.0), (10, "CLEAR_BIDS", 108, 0.0)],
    BUY: [(1, "ASK", 94, 1.0), (2, "BID", 95, 1.0), (10, "CLEAR_ASKS", 92, 0.0)],
}
"""A crossing hides the level at 106 (94); once the ones in sight are cleared it is the best, past orders there."""


@pytest.mark.parametrize("side", [SELL, BUY])
@pytest.mark.parametrize(
    ("what", "ticks", "filled"), [("LEVEL", 1, 0), ("LEVEL", 4, 1), ("TRADE", 1, 0), ("TRADE", 4, 1)]
)
def test_an_order_that_the_best_passed_is_seen_only_where_all_orders_are(
    play: Any, side: int, what: str, ticks: int, filled: int
) -> None:
    """Between the old best and the new price the peer looks at each tick, or at all orders where those are fewer."""
    level, trade = ("BID", "BUY_TRADE") if side == SELL else ("ASK", "SELL_TRADE")
    own = 106 if side == SELL else 94
    s = play(*_PASSED[side], (20, level if what == "LEVEL" else trade, own - side * ticks, 1.0))
    s.to(5)
    s.send(side, own, 2.0)
    s.to(12)
    assert int(s.engine.markets[0]["bid" if side == SELL else "ask"]) == own
    assert s.fills() == []
    s.to(30)
    assert s.fills() == [(2.0, own)] * filled


def test_resting_orders_of_both_sides_count(play: Any) -> None:
    """With five orders resting a move by four ticks is walked tick by tick."""
    s = play(*_PASSED[SELL], (20, "BID", 110, 1.0))
    s.to(5)
    s.send(SELL, 106, 2.0)
    for tick in (90, 91, 92, 93):
        s.send(BUY, tick, 1.0)
    s.to(30)
    assert s.fills() == []


def test_orders_beyond_the_ladder_wait(play: Any) -> None:
    s = play((20, "ASK", 60, 1.0))
    s.send(BUY, -1_000_000, 1.0)
    low = s.send(SELL, 1_000_000, 1.0)
    s.to(5)
    assert s.cancel(low)
    s.to(30)
    assert s.log("status") == [("new",), ("new",), ("cancelled",)]
