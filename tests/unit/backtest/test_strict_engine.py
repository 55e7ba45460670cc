"""Pools that grow, lanes and agents, and what an engine refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from marketprism.backtest import actions, engine
from marketprism.backtest.codes import OrderKind, TimeInForce
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.core.errors import ConfigError, DataError

MS = 1_000_000


def busy(scene: type, **more: Any) -> Any:
    """Forty ladders of orders, and trades that fill some of them."""
    trades = [(10 + at, "SELL_TRADE" if at % 2 else "BUY_TRADE", 99 if at % 2 else 101, 9.0) for at in range(80)]
    play = scene(*trades, (95, "BUY_TRADE", 103, 500.0), jitter_ms=3.0, seed=5, **more)
    for step in range(40):
        for depth in range(4):
            for lane in range(play.engine.lanes * play.engine.agents):
                play.send(1, 99 - depth, 2.0, lane=lane)
                play.send(-1, 101 + depth, 2.0, lane=lane)
        play.to(2 * step + 1)
    play.finish()
    return play


def test_a_run_whose_pools_grow_is_the_same_run(scene: type, monkeypatch: pytest.MonkeyPatch) -> None:
    roomy = busy(scene)
    assert len(roomy.engine._arrays["orders"]) == 1024
    monkeypatch.setattr(engine, "_POOL", 128)
    small = busy(scene)
    assert len(small.engine._arrays["orders"]) > 128
    assert small.engine.responses().equals(roomy.engine.responses())
    assert small.engine.ledgers.tobytes() == roomy.engine.ledgers.tobytes()
    assert len(roomy.fills()) > 20


def test_pools_grow_within_a_step_where_an_order_walks_far(scene: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """400 levels, and a pool of 300 orders: what it took of each level is remembered."""
    levels = [(1, "ASK", 110 + at, 1.0) for at in range(400)]

    def run(pool: int) -> Any:
        monkeypatch.setattr(engine, "_POOL", pool)
        play = scene(*levels)
        play.to(2)
        play.send(1, 0, 380.0, kind=OrderKind.MARKET, force=TimeInForce.IOC)
        play.to(10)
        return play

    small, roomy = run(300), run(4096)
    assert small.position() == 380.0
    assert small.engine.responses().equals(roomy.engine.responses())
    assert len(small.engine._arrays["orders"]) == 600


def test_the_log_is_put_aside_while_a_step_waits(scene: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_POOL", 300)
    play = scene(*((at, "SELL_TRADE", 99, 1.0) for at in range(10, 6000)))
    slot = play.send(1, 99, 5990.0)
    play.to(9)
    play.engine._arrays["orders"][slot]["front"] = 0.0
    play.to(7000)
    assert play.position() == 5990.0
    assert len(play.fills()) == 5990


def test_more_orders_than_fit_in_one_decision_are_an_error(scene: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_POOL", 128)
    play = scene()

    def drive(e: Any) -> int:
        for _ in range(200):
            actions.submit(e, 0, 0, 1, 99, 1.0, 0, 0)
        return int(actions.advance(e, MS))

    with pytest.raises(DataError, match="one decision sent more orders"):
        play.engine.run(drive)


def test_run_calls_a_strategy_until_the_data_are_over(scene: type) -> None:
    play = scene(agents=2, lanes=2)
    steps = np.zeros(1, np.int64)

    def drive(e: Any, steps: np.ndarray) -> int:
        while True:
            code = actions.advance(e, 1000 * MS)
            if code != 1:
                return int(code)
            steps[0] += 1

    play.engine.run(drive, steps)
    assert steps[0] == 9
    assert play.engine.accounts.shape == play.engine.ledgers.shape == play.engine.limits.shape == (1, 4)


def test_run_grows_the_pools_and_calls_the_strategy_again(scene: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_POOL", 128)
    play = scene()
    calls: list[int] = []

    def drive(e: Any) -> int:
        if not calls:
            for _ in range(70):
                actions.submit(e, 0, 0, 1, 99, 1.0, 0, 0)
        calls.append(int(actions.advance(e, 30_000 * MS)))
        return calls[-1]

    play.engine.run(drive)
    assert (calls[0], calls[-1]) == (2, 0)
    assert len(play.log()) == 70


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"multiplier": float("inf")}, "multiplier was inf"),
        ({"response_latency_ms": -1.0}, "response_latency_ms was -1"),
        ({"rate_limit": -1}, "rate_limit was -1"),
        ({"capital": -1.0}, "capital was -1"),
        ({"maintenance_margin": 1.0}, "maintenance_margin was 1"),
        ({"cancel_latency_ms": float("nan")}, "cancel_latency_ms was nan"),
        ({"rate_interval_ms": 0.0}, "rate_interval_ms was 0"),
    ],
)
def test_market_configurations_are_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MarketConfig(**values)


def test_the_log_names_lane_and_agent(scene: type) -> None:
    play = scene(lanes=2, agents=3)
    for which in range(6):
        play.send(1, 99, 1.0, lane=which)
    play.to(10)
    assert sorted(play.log("lane", "agent")) == [(lane, agent) for lane in range(2) for agent in range(3)]


def test_done_orders_are_forgotten(scene: type) -> None:
    play = scene((20, "SELL_TRADE", 99, 9.0))
    slots = [play.send(1, 99, 1.0), play.send(1, 98, 1.0), play.send(1, 99, 2.0)]
    play.to(30)
    actions.forget(play.engine.pointer, 0, 0)
    account = play.engine.accounts[0, 0]
    assert (int(account["active"]), int(account["first"]), int(account["last"])) == (1, slots[1], slots[1])
    assert int(play.engine.clock["orders_free"][0]) == 1023


def test_engines_say_what_is_wrong(scene: type) -> None:
    tape = scene().engine.tapes[0]
    for arguments, message in (
        ({"tapes": []}, "no tape"),
        ({"configs": [None, None]}, "2 configurations for 1 tapes"),
        ({"lanes": 0}, "lanes was 0"),
        ({"agents": 0}, "agents was 0"),
        ({"models": [None, None]}, "2 models for 1 tapes"),
        ({"agents": 2, "mode": "compat"}, "compat mode has neither agents"),
        ({"agents": 2, "owners": (1,)}, "1 owners for 2 agents"),
    ):
        with pytest.raises(ConfigError, match=message):
            Engine(**{"tapes": [tape], **arguments})
