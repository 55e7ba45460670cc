"""What holds for any market and any orders in strict mode."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from marketprism.backtest import actions
from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.backtest.tape import EVENT_DTYPE, Tape

START = 1_700_000_000_000_000_000
MS = 1_000_000
AGENTS = 3
BOTH = TapeFlag.EXCHANGE | TapeFlag.LOCAL

bids = st.tuples(st.sampled_from(["BID", "BID", "NO_BID"]), st.integers(98, 100), st.integers(1, 4))
asks = st.tuples(st.sampled_from(["ASK", "ASK", "NO_ASK"]), st.integers(100, 102), st.integers(1, 4))
trades = st.tuples(st.sampled_from(["BUY_TRADE", "SELL_TRADE", "TRADE"]), st.integers(97, 103), st.integers(1, 9))
others = st.tuples(
    st.sampled_from(["GAP", "GAP", "CLEAR", "CLEAR_BIDS", "CLEAR_ASKS", "FUNDING"]), st.just(100), st.just(0)
)
markets = st.lists(st.one_of(bids, asks, trades, trades, others), min_size=30, max_size=60)
requests = st.tuples(
    st.integers(0, 40),  # when, ms
    st.integers(0, AGENTS - 1),
    st.sampled_from(["submit", "submit", "submit", "cancel", "modify"]),
    st.sampled_from([1, -1]),
    st.integers(98, 102),
    st.integers(1, 8),
    st.sampled_from([(0, 0), (0, 0), (0, 0), (0, 1), (0, 2), (0, 3), (1, 3)]),
)
scripts = st.lists(requests, min_size=10, max_size=40)
configs = st.builds(
    MarketConfig,
    entry_latency_ms=st.just(0.25),
    response_latency_ms=st.sampled_from([0.0, 3.0]),
    queue=st.sampled_from(["risk_averse", "power", "log"]),
    self_trade=st.sampled_from(["allow", "cancel_newest", "cancel_oldest", "cancel_both"]),
    maker_fee_bps=st.just(-1.0),
    taker_fee_bps=st.just(4.0),
)
several = settings(max_examples=40, deadline=None, derandomize=True)


def tape(rows: list[tuple[str, int, int]]) -> Tape:
    """One event a millisecond, so that its time names it; the last one comes when all is done."""
    book = [("BID", 99, 5), ("ASK", 101, 5)]
    events = np.zeros(len(book) + len(rows) + 1, EVENT_DTYPE)
    for at, (event, (kind, tick, quantity)) in enumerate(zip(events, [*book, *rows, ("BID", 60, 1)], strict=True)):
        event["exchange_ts"] = event["local_ts"] = START + max(at - 1, 0) * MS
        event["kind"], event["tick"] = TapeKind[kind] | BOTH, tick
        event["quantity"] = 0.0 if kind.startswith("NO_") else 0.001 if kind == "FUNDING" else float(quantity)
    events["exchange_ts"][-1] = events["local_ts"][-1] = START + 400 * MS
    return Tape(events, Decimal("0.5"), Decimal(1))


def play(market: Tape, config: MarketConfig, lanes: list[list[tuple[Any, ...]]]) -> Engine:
    """Let every lane's script run; agents of a lane share its world."""
    engine = Engine([market], [config], lanes=len(lanes), agents=AGENTS)
    sent: dict[int, list[int]] = defaultdict(list)

    def to(ms: int) -> None:
        now = int(engine.clock["now"][0]) or START
        while actions.advance(engine.pointer, START + ms * MS - now) == 2:
            engine.grow()

    to(0)
    due = [(request[0], lane, request) for lane, script in enumerate(lanes) for request in script]
    for ms, lane, (_, agent, what, side, tick, quantity, (kind, force)) in sorted(due, key=lambda one: one[:2]):
        to(ms)
        which = lane * AGENTS + agent
        if what == "submit":
            at = 0 if kind == 1 else tick
            sent[which].append(actions.submit(engine.pointer, which, 0, side, at, float(quantity), kind, force))
        elif sent[which]:
            slot = sent[which][quantity % len(sent[which])]
            if what == "cancel":
                actions.cancel(engine.pointer, slot)
            else:
                actions.modify(engine.pointer, slot, tick, float(quantity))
    to(500)
    return engine


@several
@given(markets, scripts, configs)
def test_executions_stay_within_trades_depth_and_limits_and_add_up(
    rows: list[tuple[str, int, int]], script: list[tuple[Any, ...]], config: MarketConfig
) -> None:
    market = tape(rows)
    engine = play(market, config, [script])
    log = engine.responses()
    fills = log.filter(pl.col("executed") > 0)
    limited = fills.filter(pl.col("tick") != 0)
    assert (limited["side"] * (limited["tick"] - limited["executed_tick"]) >= 0).all(), "worse than the limit"
    for agent in range(AGENTS):
        own = fills.filter(pl.col("agent") == agent)
        account, ledger = engine.accounts[0, agent], engine.ledgers[0, agent]
        signed = own["executed"] * own["side"]
        assert account["position"] == ledger["held"] == signed.sum()
        assert account["cash"] == ledger["cash"] == -(signed * own["executed_tick"] * 0.5).sum()
        assert abs(account["fees"] - own["fee"].sum()) < 1e-9
        value = (own["executed"] * own["executed_tick"] * 0.5).to_numpy()
        rate = np.where(own["maker"].to_numpy(), config.maker_fee_bps, config.taker_fee_bps) * 1e-4
        assert np.allclose(own["fee"].to_numpy(), value * rate)
        assert not (own["leaves"] < 0).any()
    _check_against_the_tape(market, fills)


def _check_against_the_tape(market: Tape, fills: pl.DataFrame) -> None:
    """A trade fills at most its size, takers find at most what a level showed since its last update, gaps nothing."""
    at_times = {key[0]: frame for key, frame in fills.group_by("exchange_ts", maintain_order=True)}
    depth: dict[tuple[int, int], float] = defaultdict(float)
    taken: dict[tuple[int, int], float] = defaultdict(float)
    blind = False
    times = sorted({*market.events["exchange_ts"].tolist(), *at_times})
    events = defaultdict(list)
    for event in market.events:
        events[int(event["exchange_ts"])].append(event)
    for time in times:
        found = at_times.get(time)
        traded = 0.0
        for event in events[time]:
            kind = TapeKind(event["kind"] & 63)
            side = 1 if kind in {TapeKind.BID, TapeKind.NO_BID} else -1
            if kind <= TapeKind.NO_ASK:
                depth[side, int(event["tick"])] = float(event["quantity"])
                taken[side, int(event["tick"])] = 0.0
            elif kind <= TapeKind.TRADE:
                traded += float(event["quantity"])
            blind = (blind or kind == TapeKind.GAP) and kind != TapeKind.CLEAR
        if found is None:
            continue
        assert not blind, "filled in a gap"
        makers, takers = found.filter(pl.col("maker")), found.filter(~pl.col("maker"))
        if events[time]:
            assert makers["executed"].sum() <= traded
            assert takers.is_empty()
            continue
        for (tick, sign), here in takers.group_by("executed_tick", "side"):
            side = -int(sign)
            matched = makers.filter(pl.col("executed_tick") == tick, pl.col("side") == side)["executed"].sum()
            taken[side, int(tick)] += here["executed"].sum() - matched
            assert here["executed"].sum() >= matched, "makers were filled by nobody"
            assert taken[side, int(tick)] <= depth[side, int(tick)], "more than the level showed"


@several
@given(markets, st.lists(scripts, min_size=2, max_size=3), configs, st.integers(0, 99))
def test_lanes_are_separate_runs_bit_for_bit(
    rows: list[tuple[str, int, int]], lanes: list[list[tuple[Any, ...]]], config: MarketConfig, seed: int
) -> None:
    market = tape(rows)
    config = config.replace(jitter_ms=1.5, seed=seed, capital=3.0, maintenance_margin=0.05, rate_limit=12)
    together = play(market, config, lanes)
    log = together.responses().drop("id")
    names = [name for name in together.ledgers.dtype.names or () if name not in {"world", "due"}]
    for lane, script in enumerate(lanes):
        alone = play(market, config, [script])
        mine = slice(lane * AGENTS, (lane + 1) * AGENTS)
        for name in names:
            assert together.ledgers[0, mine][name].tobytes() == alone.ledgers[0][name].tobytes(), name
        for name in ("position", "cash", "fees", "value", "trades", "orders"):
            assert together.accounts[0, mine][name].tobytes() == alone.accounts[0][name].tobytes(), name
        one = alone.responses().drop("id", "lane")
        columns = one.columns
        assert log.filter(pl.col("lane") == lane).drop("lane").sort(columns).equals(one.sort(columns))


@several
@given(scripts, configs)
def test_what_agents_trade_with_each_other_is_conserved(script: list[tuple[Any, ...]], config: MarketConfig) -> None:
    """Nobody else is near: positions and cash add up to nothing, and every quantity sold was bought."""
    events = np.zeros(3, EVENT_DTYPE)
    events["kind"] = np.array([TapeKind.BID, TapeKind.ASK, TapeKind.BID]) | BOTH
    events["tick"], events["quantity"] = [60, 150, 60], 1.0
    events["exchange_ts"] = events["local_ts"] = START + np.array([0, 0, 400 * MS])
    near = [request for request in script if request[-1] != (1, 3)]
    engine = play(Tape(events, Decimal("0.5"), Decimal(1)), config, [near])
    ledgers = engine.ledgers[0]
    assert ledgers["held"].sum() == 0.0
    assert ledgers["cash"].sum() == 0.0
    fills = engine.responses().filter(pl.col("executed") > 0)
    taken = fills.filter(~pl.col("maker"))["executed"].sum()
    assert taken == fills.filter(pl.col("maker"))["executed"].sum()
