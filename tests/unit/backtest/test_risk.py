"""Every risk limit refuses what it says, says why, and costs nothing where it is not set."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest

from marketprism.backtest import actions
from marketprism.backtest.codes import Reason, TimeInForce
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.backtest.risk import RiskLimits
from marketprism.core.errors import ConfigError

IOC = TimeInForce.IOC
MS = 1_000_000
MODES = pytest.mark.parametrize("mode", ["strict", "compat"])


def refusals(play: Any) -> list[str]:
    return [reason for status, reason, ts in play.log("status", "reason", "exchange_ts") if ts == 0]


def limit(play: Any, name: str, lane: int = 0) -> float:
    return float(play.engine.limits[0, lane][name])


@MODES
def test_without_limits_nothing_is_checked(scene: type, mode: str) -> None:
    play = scene(mode=mode)
    assert int(play.engine.clock["limited"][0]) == 0
    play.send(1, 99, 1e6)
    play.to(10)
    assert limit(play, "last_ts") == 0.0
    assert math.isnan(limit(play, "equity"))
    assert not RiskLimits(flatten=True).limited


@MODES
def test_position_limit_counts_open_orders_and_lets_the_position_be_reduced(scene: type, mode: str) -> None:
    play = scene(risk=RiskLimits(max_position=5.0), mode=mode)
    play.send(1, 101, 3.0, force=IOC)
    play.to(5)
    play.send(1, 99, 2.0)
    refused = play.send(1, 98, 1.0)
    assert play.order(refused)["status"] == 7, "at once"
    assert play.log("id", "status", "reason", "tick", "quantity")[-1] == (3, "rejected", "position_limit", 98, 1.0)
    for quantity in (3.0, 5.0, 1.0):
        play.send(-1, 103, quantity)
    play.to(10)
    assert refusals(play) == ["position_limit"] * 2, "3 and 5 sold take 3 to -5; one more does not fit"
    assert play.engine.accounts[0, 0]["orders"] == 4, "the refused never left"
    assert limit(play, "refused") == 2.0


def test_a_cancelled_order_gives_its_room_back_when_that_is_heard(scene: type) -> None:
    play = scene(risk=RiskLimits(max_position=5.0))
    slot = play.send(1, 99, 5.0)
    play.to(5)
    play.cancel(slot)
    play.send(1, 98, 5.0)
    play.to(10)
    play.send(1, 98, 5.0)
    play.to(20)
    assert refusals(play) == ["position_limit"]


@MODES
def test_modifications_are_checked_with_the_order_they_replace(scene: type, mode: str) -> None:
    play = scene(risk=RiskLimits(max_position=5.0), mode=mode)
    slot = play.send(1, 99, 4.0)
    play.to(5)
    assert not play.modify(slot, 99, 6.0)
    assert play.log("id", "status", "reason", "quantity")[-1] == (1, "rejected", "position_limit", 6.0)
    assert play.order(slot)["status"] == 1, "the order stays"
    assert play.modify(slot, 98, 5.0)
    play.to(10)
    assert play.order(slot)["tick"] == 98


@MODES
@pytest.mark.parametrize("inverse", [False, True])
def test_leverage_is_exposure_over_equity(scene: type, mode: str, inverse: bool) -> None:
    """Equity 100 (2 of the base currency): three times that are 6 at a mid of 50 (6 / 50 of it: 50 contracts)."""
    config: dict[str, Any] = {"inverse": True, "multiplier": 50.0, "capital": 2.0} if inverse else {"capital": 100.0}
    play = scene(risk=RiskLimits(max_leverage=3.0), mode=mode, **config)
    play.send(1, 98, 6.0)
    play.send(1, 97, 1.0)
    play.send(-1, 110, 6.0)
    assert refusals(play) == ["leverage_limit"]
    play.to(10)
    assert play.log("status")[-2:] == [("new",), ("new",)]


def test_leverage_needs_a_mid_and_capital(scene: type) -> None:
    gone = [(1, "NO_ASK", tick, 0.0) for tick in (101, 102, 103)]
    play = scene(*gone, risk=RiskLimits(max_leverage=3.0), capital=100.0)
    play.to(2)
    play.send(1, 98, 1.0)
    assert refusals(play) == ["leverage_limit"]
    with pytest.raises(ConfigError, match="needs capital"):
        scene(risk=RiskLimits(max_leverage=3.0))


DROP = [(20, "BID", 95, 50.0), (20, "NO_BID", 99, 0.0), (20, "NO_BID", 98, 0.0), (20, "ASK", 97, 50.0)]
"""The mid falls from 50 to 48."""
BACK = [(60, "BID", 99, 5.0), (60, "ASK", 101, 5.0), (60, "NO_ASK", 97, 0.0)]


def bought(scene: type, risk: RiskLimits, mode: str = "strict", rows: tuple[Any, ...] = (), **config: Any) -> Any:
    """Buy 4 at 50.5, quote 90, and let the mid fall."""
    play = scene(*DROP, *rows, risk=risk, mode=mode, **config)
    play.send(1, 101, 4.0, force=IOC)
    play.send(1, 90, 1.0)
    for ms in (5, 15, 25, 30):
        play.to(ms)
    return play


@MODES
def test_loss_per_trade_pulls_the_orders_and_only_lets_the_position_shrink(scene: type, mode: str) -> None:
    assert refusals(bought(scene, RiskLimits(max_loss_per_trade=10.1), mode)) == []
    play = bought(scene, RiskLimits(max_loss_per_trade=9.9), mode)
    assert limit(play, "stopped") == Reason.TRADE_LOSS
    assert play.log("status")[-1] == ("cancelled",)
    play.send(1, 96, 1.0)
    assert refusals(play) == ["trade_loss"]
    play.send(-1, 95, 4.0, force=IOC)
    for ms in (35, 40):
        play.to(ms)
    assert play.position() == 0.0
    play.send(1, 90, 1.0)
    play.to(50)
    assert play.log("status")[-1] == ("new",), "the next trade is a new one"
    assert limit(play, "stops") == 1.0


def test_a_trade_begins_when_the_position_turns(scene: type) -> None:
    """Short 1 from long 4: what the long lost belongs to the trade before."""
    play = bought(scene, RiskLimits(max_loss_per_trade=12.5))
    play.send(-1, 95, 5.0, force=IOC)
    for ms in (35, 40):
        play.to(ms)
    assert play.position() == -1.0
    assert limit(play, "stopped") == 0.0
    assert limit(play, "trade_start") == pytest.approx(4 * (48.0 - 50.5))


@MODES
def test_flatten_closes_the_position_with_market_orders(scene: type, mode: str) -> None:
    play = bought(scene, RiskLimits(max_loss_per_trade=9.9, flatten=True), mode)
    play.to(40)
    play.to(50)
    assert play.position() == 0.0
    assert play.fills()[1:] == [(4.0, 95)]
    assert limit(play, "stopped") == 0.0


def test_flattening_goes_on_until_the_book_has_taken_all(scene: type) -> None:
    rows = ((22, "BID", 95, 1.0), (60, "BID", 94, 9.0))
    play = bought(scene, RiskLimits(max_loss_per_trade=9.9, flatten=True), rows=rows)
    for ms in range(31, 80):
        play.to(ms)
    assert sum(quantity for quantity, _ in play.fills()[1:]) == 4.0
    assert {tick for _, tick in play.fills()[1:]} == {95, 94}
    assert play.position() == 0.0


@MODES
def test_loss_per_day_lasts_until_the_next_day(scene: type, mode: str) -> None:
    day = 86_400_000
    to_midnight = day - 1_700_000_000_000 % day
    play = bought(scene, RiskLimits(max_loss_per_day=9.9), mode, rows=((2 * to_midnight, "BID", 90, 1.0),), end=False)
    assert limit(play, "stopped") == Reason.DAY_LOSS
    play.send(1, 96, 1.0)
    play.send(-1, 97, 5.0)
    play.send(-1, 97, 4.0)
    assert refusals(play) == ["day_loss", "day_loss"], "less is allowed, turning is not"
    play.to(to_midnight - 1)
    assert limit(play, "stopped") == Reason.DAY_LOSS
    play.to(to_midnight + 1)
    assert limit(play, "stopped") == 0.0
    play.send(1, 90, 1.0)
    assert len(refusals(play)) == 2


@MODES
def test_order_rate_refuses_new_orders_and_modifications_but_no_cancellation(scene: type, mode: str) -> None:
    play = scene(risk=RiskLimits(max_orders_per_s=2), mode=mode)
    slots = [play.send(1, 99, 2.0) for _ in range(3)]
    play.to(10)
    assert not play.modify(slots[0], 99, 1.0)
    assert play.cancel(slots[1])
    assert refusals(play) == ["order_rate", "order_rate"]
    play.to(1000)
    assert play.modify(slots[0], 99, 1.0)
    assert refusals(play) == ["order_rate", "order_rate"]


@MODES
def test_sizes_shrink_with_volatility(scene: type, mode: str) -> None:
    """The mid falls by 4 % in 10 ms: 40 % by the square root of a second, less what two half-lives forget."""
    risk = RiskLimits(volatility_target=0.2, volatility_half_life_s=0.01)
    play = bought(scene, risk, mode)
    assert limit(play, "variance") > 0.04
    share = 0.2 / math.sqrt(limit(play, "variance"))
    sent = play.send(1, 90, 100.0)
    assert play.order(sent)["quantity"] == math.floor(100.0 * share)
    play.send(1, 90, 1.0)
    assert refusals(play) == ["volatility"]
    sold = play.send(-1, 96, 4.0)
    assert play.order(sold)["quantity"] == 4.0, "what reduces is left alone"
    calm = scene(risk=risk, mode=mode)
    calm.to(5)
    assert calm.order(calm.send(1, 90, 100.0))["quantity"] == 100.0


def test_volatility_is_an_average_with_a_half_life(scene: type) -> None:
    play = scene(*DROP, risk=RiskLimits(volatility_target=1e-9, volatility_half_life_s=0.01))
    for ms in (10, 20, 30):
        play.to(ms)
    square = math.log(48 / 50) ** 2 / 0.01
    assert limit(play, "variance") == pytest.approx(square / 4), "from 0 to the square, and back by the half"


@MODES
def test_the_kill_switch_cancels_everything_and_refuses_ever_after(scene: type, mode: str) -> None:
    play = bought(scene, RiskLimits(kill_switch_drawdown=9.9), mode, rows=tuple(BACK))
    assert limit(play, "stopped") == Reason.KILL_SWITCH
    assert play.log("status")[-1] == ("cancelled",)
    play.to(5000)
    play.send(1, 90, 1.0)
    play.send(-1, 110, 1.0)
    assert refusals(play) == ["kill_switch", "kill_switch"]
    assert play.position() == 4.0, "it does not sell unless it is told to"
    flat = bought(scene, RiskLimits(kill_switch_drawdown=9.9, flatten=True), mode)
    flat.to(40)
    assert flat.position() == 0.0


@MODES
def test_a_strategy_can_throw_the_kill_switch_itself(scene: type, mode: str) -> None:
    play = scene(lanes=2, mode=mode)
    resting = play.send(1, 99, 1.0)
    play.to(5)
    flying = play.send(1, 98, 1.0)
    actions.kill(play.engine.pointer, 0)
    play.send(1, 97, 1.0)
    play.send(1, 97, 1.0, lane=1)
    for ms in (10, 15, 20, 25):
        play.to(ms)
    assert [int(play.order(slot)["status"]) for slot in (resting, flying)] == [4, 4]
    assert refusals(play) == ["kill_switch"]
    assert play.log("lane", "status", lane=1) == [(1, "new")]


def test_the_kill_switch_reaches_every_market_of_the_agent(scene: type) -> None:
    module = sys.modules[scene.__module__]
    tapes = [module.tape([*module.BOOK, module.END]) for _ in range(2)]
    engine = Engine(tapes, agents=2, risk=[RiskLimits(kill_switch_drawdown=1.0), RiskLimits()])
    actions.advance(engine.pointer, MS)
    for lane in range(2):
        for index in range(2):
            actions.submit(engine.pointer, lane, index, 1, 98, 1.0, 0, 0)
    actions.submit(engine.pointer, 0, 0, 1, 101, 4.0, 0, 3)
    for _ in range(8):
        actions.advance(engine.pointer, MS)
    rows = engine.responses().select("agent", "market", "status").rows()
    assert sorted(row for row in rows if row[2] == "cancelled") == [(0, 0, "cancelled"), (0, 1, "cancelled")]
    assert engine.limits["stopped"].tolist() == [[Reason.KILL_SWITCH, 0], [Reason.KILL_SWITCH, 0]]


def test_losses_wait_where_there_is_no_mid(scene: type) -> None:
    rows = ((20, "NO_ASK", 97, 0.0), *((20, "NO_ASK", tick, 0.0) for tick in (101, 102, 103)), (50, "ASK", 97, 5.0))
    play = bought(scene, RiskLimits(kill_switch_drawdown=9.9), rows=rows)
    assert limit(play, "stopped") == 0.0
    play.to(60)
    assert limit(play, "stopped") == Reason.KILL_SWITCH


def test_flattening_waits_for_the_end_of_a_gap(scene: type) -> None:
    rows = (
        (22, "BID", 95, 1.0),
        (26, "GAP", 0, 0.0),
        (60, "CLEAR", 0, 0.0),
        (60, "BID", 95, 9.0),
        (60, "ASK", 97, 5.0),
    )
    play = scene(*DROP, *rows, risk=RiskLimits(max_loss_per_trade=9.9, flatten=True))
    play.send(1, 101, 4.0, force=IOC)
    for ms in (15, 23, 27, 40, 55):
        play.to(ms)
    assert play.position() == 3.0
    assert "gap" not in {reason for (reason,) in play.log("reason")}, "nothing is sent into the gap"
    for ms in (61, 70):
        play.to(ms)
    assert play.position() == 0.0


def test_flattening_ends_with_the_data(scene: type) -> None:
    rows = ((22, "NO_BID", 95, 0.0), (23, "BID", 94, 0.5))
    play = bought(scene, RiskLimits(max_loss_per_trade=9.9, flatten=True), rows=rows)
    play.finish()
    assert play.position() == 4.0


def test_limits_belong_to_agents_or_to_each_of_them_in_each_lane(scene: type) -> None:
    tight, loose = RiskLimits(max_position=1.0), RiskLimits(max_position=9.0)

    def allowed(risk: Any, **more: Any) -> list[bool]:
        play = scene(risk=risk, **more)
        width = play.engine.lanes * play.engine.agents
        return [int(play.order(play.send(1, 99, 5.0, lane=which))["status"]) == 0 for which in range(width)]

    assert allowed(tight, agents=2) == [False, False]
    assert allowed([tight, loose], agents=2, lanes=2) == [False, True, False, True]
    assert allowed([tight, loose, loose, tight], agents=2, lanes=2) == [False, True, True, False]
    with pytest.raises(ConfigError, match="3 risk limits for 2 agents in 1 lanes"):
        scene(risk=[tight] * 3, agents=2)


@pytest.mark.parametrize("name", ["max_position", "max_orders_per_s", "kill_switch_drawdown", "volatility_half_life_s"])
def test_limits_are_positive(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        RiskLimits(**{name: 0})


def test_a_run_with_limits_far_away_is_the_run_without(scene: type) -> None:
    def run(**risk: Any) -> Any:
        play = bought(scene, RiskLimits(**risk))
        play.finish()
        return play.engine

    far = run(
        max_position=1e9, max_loss_per_trade=1e9, max_loss_per_day=1e9, max_orders_per_s=10**9, volatility_target=1e9
    )
    free = run()
    assert far.responses().equals(free.responses())
    assert MarketConfig().capital == 0.0
