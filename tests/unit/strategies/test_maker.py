"""The compiled maker loop: what it holds to whatever happens, and that each strategy does what it says."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

import marketprism.backtest.engine as engine_module
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.backtest.signals import SignalTape
from marketprism.backtest.tape import Tape
from marketprism.core.errors import ConfigError
from marketprism.strategies.avellaneda_stoikov import quote_distances, stationary_distances
from marketprism.strategies.glft import closed_form_distances
from marketprism.strategies.order_size import median_trade
from marketprism.strategies.runner import Simulation, simulate

ONE = {"order_quantity": 1.0, "warmup_s": 10.0}
KINDS: list[dict[str, Any]] = [
    {"strategy": "symmetric", "half_spread_ticks": 1.5},
    {"strategy": "avellaneda_stoikov", "gamma": 0.05, "horizon_s": None},
    {"strategy": "avellaneda_stoikov", "gamma": 0.02, "horizon_s": 60.0},
    {"strategy": "glft", "gamma": 0.05},
    {"strategy": "glft", "gamma": 0.05, "solution": "exact"},
    {"strategy": "inventory", "levels": 3, "max_inventory": 4, "soft_inventory": 2, "volatility_power": 1.0},
    {"strategy": "inventory", "beyond_soft": "one_sided", "max_inventory": 4, "soft_inventory": 2, "loss_scale": 5.0},
    {"strategy": "fixed_quote"},
    {"strategy": "queue_jumper"},
    {"strategy": "cancel_replace", "levels": 2},
]
HARD = MarketConfig(queue="risk_averse", entry_latency_ms=30.0, response_latency_ms=30.0, jitter_ms=40.0)


def log(engine: Engine, lane: int = 0, agent: int = 0) -> pl.DataFrame:
    frame = engine.responses().filter((pl.col("lane") == lane) & (pl.col("agent") == agent))
    return frame.drop("id", "lane", "agent")


def held(engine: Engine, lane: int) -> np.ndarray:
    """Position at the exchange after each execution."""
    frame = engine.responses().filter((pl.col("lane") == lane) & (pl.col("executed") > 0)).sort("exchange_ts")
    return np.cumsum(frame["side"].to_numpy() * frame["executed"].to_numpy())


@pytest.fixture(scope="module")
def hard(tape: Tape) -> Simulation:
    """All kinds, far from the exchange, with messages that overtake each other."""
    run = Simulation([tape], "symmetric", [{**ONE, **kind} for kind in KINDS], markets=[HARD], interval_ms=20.0)
    run.run()
    return run


@pytest.fixture(scope="module")
def plain(tape: Tape) -> Simulation:
    run = Simulation([tape], "symmetric", [{**ONE, **kind} for kind in KINDS])
    run.run()
    return run


def books(frame: pl.DataFrame) -> list[tuple[dict[int, int], dict[int, int]]]:
    """Own orders at the exchange after each of its answers: id to tick, buys and sells."""
    open_orders: dict[int, tuple[int, int]] = {}
    done: set[int] = set()
    result = []
    for row in frame.sort("exchange_ts", maintain_order=True).iter_rows(named=True):
        if row["status"] in ("cancelled", "filled", "expired", "rejected"):
            open_orders.pop(row["id"], None)
            done.add(row["id"])
        elif row["id"] not in done:  # two answers of one time may have overtaken each other
            open_orders[row["id"]] = (row["side"], row["tick"])
        sides = tuple({i: t for i, (s, t) in open_orders.items() if s == side} for side in (1, -1))
        result.append(sides)
    return result


@pytest.mark.parametrize("lane", range(len(KINDS)), ids=lambda n: f"{n}-{KINDS[n]['strategy']}")
def test_never_more_orders_than_levels_and_never_against_itself(hard: Simulation, lane: int) -> None:
    frame = hard.engine.responses().filter((pl.col("lane") == lane) & (pl.col("request") != "rejected"))
    assert (frame["executed"] > 0).sum() > 10
    assert "self_trade" not in frame["reason"].to_list()
    levels = hard.configs[lane].levels
    for buys, sells in books(frame):
        assert len(buys) <= levels
        assert len(sells) <= levels
        if buys and sells:
            assert max(buys.values()) < min(sells.values())


@pytest.mark.parametrize("lane", [5, 6])
def test_no_fill_breaks_the_hard_limit(tape: Tape, plain: Simulation, lane: int) -> None:
    far = HARD.replace(jitter_ms=0.0)
    late = simulate([tape], "inventory", {**ONE, **KINDS[lane]}, markets=[far], interval_ms=20.0)
    for position in (held(late, 0), held(plain.engine, lane)):
        assert np.abs(position).max() <= 4.0 + 1e-9
        assert np.abs(position).max() >= 1.0
    assert np.abs(held(plain.engine, 0)).max() > 4.0


def test_optimal_quotes_hold_inventory_tighter(plain: Simulation) -> None:
    spread = [float(np.std(held(plain.engine, lane))) for lane in range(6)]
    assert all(s < 0.6 * spread[0] for s in spread[1:])


def test_estimates_are_those_of_the_market(plain: Simulation) -> None:
    state = plain.states[0, 1]
    assert state["k"] == pytest.approx(0.7, abs=0.2)
    assert state["rate"] == pytest.approx(1.2, abs=0.25)
    assert state["sigma"] == pytest.approx(1.5, abs=0.2)


def test_risk_aversion_that_is_not_given_moves_quotes_as_asked(tape: Tape) -> None:
    kinds = [
        {"strategy": "avellaneda_stoikov"},
        {"strategy": "avellaneda_stoikov", "horizon_s": None},
        {"strategy": "glft"},
        {"strategy": "glft", "solution": "exact"},
    ]
    run = Simulation([tape], "glft", [{**ONE, **kind, "skew_per_order": 0.3} for kind in kinds])
    run.run()
    for state, lane in zip(run.states[0], range(4), strict=True):
        market = {"gamma": float(state["gamma"]), "sigma": float(state["sigma"]), "k": float(state["k"])}
        if lane == 0:
            distances = [quote_distances(q, remaining=30.0, **market)[0] for q in (0, 1)]
        elif lane == 1:
            distances = [stationary_distances(q, bound=10, **market)[0] for q in (0, 1)]
        else:
            distances = [closed_form_distances(q, A=float(state["rate"]), **market)[0] for q in (0, 1)]
        assert distances[1] - distances[0] == pytest.approx(0.3 / state["k"], rel=0.15)
        assert np.std(held(run.engine, lane)) < 2.5


@pytest.mark.parametrize("which", [3, 5])
def test_a_lane_alone_does_what_it_does_among_others(plain: Simulation, tape: Tape, which: int) -> None:
    alone = simulate([tape], "symmetric", {**ONE, **KINDS[which]})
    assert log(alone).equals(log(plain.engine, which))


def test_growth_of_the_pools_leaves_no_trace(plain: Simulation, tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_POOL", 80)
    small = simulate([tape], "symmetric", [{**ONE, **kind} for kind in KINDS])
    assert len(small.array("orders")) > 80 * len(KINDS) or len(small.heard(0)) > 1
    assert small.responses().equals(plain.engine.responses())


def test_agents_share_one_queue(tape: Tape) -> None:
    pair = simulate([tape], ["fixed_quote", "queue_jumper"], [[ONE, {**ONE, "order_quantity": 0.5}]])
    alone = simulate([tape], "fixed_quote", ONE)
    first, second = pair.accounts[0]
    assert second["trades"] > 0
    assert first["volume"] < alone.accounts[0, 0]["volume"]


def test_requotes_only_when_the_target_moves(tape: Tape) -> None:
    still = {**ONE, "half_spread_ticks": 1.5}
    sent = simulate([tape], "symmetric", [still, {**still, "requote_ticks": 2}, {**still, "move_by": "cancel"}])
    exact, loose, by_cancel = sent.accounts[0]["orders"]
    assert loose < 0.7 * exact
    assert by_cancel > exact
    assert "modified" not in log(sent, 2)["status"].to_list()


def test_compat_mode_and_every_event(tape: Tape) -> None:
    for mode in ("compat", "strict"):
        engine = simulate([tape], "glft", {**ONE, "max_inventory": 3}, mode=mode, interval_ms=0)
        assert engine.accounts[0, 0]["trades"] > 10
        assert np.abs(held(engine, 0)).max() <= 3.0 + 1e-9


def test_two_markets_are_quoted_each_by_itself(tape: Tape) -> None:
    both = simulate([tape, tape], "symmetric", ONE)
    one = simulate([tape], "symmetric", ONE)
    for market in range(2):
        mine = both.responses().filter(pl.col("market") == market).drop("id", "market")
        assert mine.equals(one.responses().drop("id", "market"))


def signals(tape: Tape, values: Sequence[float], at: Sequence[float], names: tuple[str, ...] = ("a",)) -> SignalTape:
    start = int(tape.events["local_ts"][0])
    ts = np.array([start + round(s * 1e9) for s in at], np.int64)
    return SignalTape(ts, np.array(values, np.float64).reshape(len(at), -1), names)


def test_signals_move_the_quotes_once_they_are_known(tape: Tape) -> None:
    raw = {**ONE, "base": "symmetric", "standardize": False, "weights": [1.0], "strategy": "signal_skew"}
    plain = simulate([tape], "symmetric", ONE)
    late = simulate([tape], "signal_skew", raw, signals=signals(tape, [3.0], [1e6]))
    assert log(late).equals(log(plain))
    known = simulate([tape], "signal_skew", raw, signals=signals(tape, [3.0], [100.0]))
    cut = int(tape.events["local_ts"][0]) + 100_000_000_000
    early = pl.col("ts") < cut
    assert log(known).filter(early).equals(log(plain).filter(early))
    after = log(known).filter(~early)
    assert not after.equals(log(plain).filter(~early))
    bought = after.filter((pl.col("executed") > 0) & (pl.col("side") > 0))["executed"].sum()
    sold = after.filter((pl.col("executed") > 0) & (pl.col("side") < 0))["executed"].sum()
    assert bought > 2 * sold


def test_scores_are_standardised_by_earlier_rows_alone(tape: Tape) -> None:
    random = np.random.default_rng(5)
    at = np.arange(1.0, 230.0, 0.5)
    values = random.normal(10.0, 3.0, (len(at), 2))
    values[3, 0] = np.nan
    settings = {**ONE, "base": "symmetric", "signal_warmup": 20, "weights": [1.0, -0.5]}
    tapes = [signals(tape, values.ravel(), at, ("a", "b"))]
    changed = values.copy()
    changed[300:] = 50 * random.normal(size=changed[300:].shape)
    tapes.append(signals(tape, changed.ravel(), at, ("a", "b")))
    runs = [simulate([tape], "signal_skew", settings, signals=s) for s in tapes]
    early = pl.col("ts") < int(tape.events["local_ts"][0]) + round(at[300] * 1e9)
    assert log(runs[0]).filter(early).equals(log(runs[1]).filter(early))
    assert not log(runs[0]).equals(log(runs[1]))
    assert not log(runs[0]).filter(early).equals(log(simulate([tape], "symmetric", ONE)).filter(early))


def test_order_quantity_defaults_to_the_median_trade(tape: Tape) -> None:
    run = Simulation([tape], "symmetric", {"warmup_s": 20.0})
    assert run.configs[0].order_quantity is None
    run.run()
    sizes = run.engine.responses().filter(pl.col("status") == "new")["quantity"]
    assert sizes.unique().to_list() == pytest.approx([2.0])
    assert median_trade(tape, 20.0) == 2.0
    coarse = Tape(tape.events, tape.tick_size, Decimal(3))
    assert median_trade(coarse, 20.0) == 3.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"strategy": "glft", "parameters": {"gama": 1}}, "did you mean 'gamma'"),
        ({"parameters": {"warmup_s": 1e6}}, "shorten the warm-up"),
        ({"parameters": {"warmup_s": 0.0}}, "give order_quantity"),
        ({"parameters": {"order_quantity": 0.25}}, "a multiple of the lot"),
        ({"strategy": "signal_skew", "parameters": ONE}, "was not given any signals"),
        ({"interval_ms": -1}, "interval_ms was -1"),
        ({"agents": 0}, "agents was 0"),
        ({"agents": 2, "parameters": [[ONE]]}, "settings for 1 agents of 2"),
        ({"strategy": ["symmetric", "no.py:Such"]}, "were mixed"),
    ],
)
def test_wrong_settings_are_named(tape: Tape, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        simulate([tape], **{"strategy": "symmetric", **arguments})


def test_wrong_signals_are_named(tape: Tape) -> None:
    nine = signals(tape, [0.0] * 9, [1.0], tuple("abcdefghi"))
    for settings, said in (
        ({"signals": ["x"]}, "no signal 'x'"),
        ({}, "at most 8"),
        ({"signals": ["a", "b"], "weights": [1.0]}, "1 weights for 2 signals"),
    ):
        with pytest.raises(ConfigError, match=said):
            simulate([tape], "signal_skew", {**ONE, **settings}, signals=nine)
