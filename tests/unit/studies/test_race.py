"""Makers of one queue: who stands first by latency, how the fills split, and what a slow or fast one gains."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest

from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.result import summarize
from marketprism.backtest.tape import EVENT_DTYPE, Tape
from marketprism.core.errors import ConfigError
from marketprism.ingest.registry import open_source
from marketprism.pipelines.market_tape import read_market
from marketprism.studies.config import StudyConfig
from marketprism.studies.lanes import Ground, Maker, replay
from marketprism.studies.race import run_duels, run_race
from marketprism.studies.standing import first_in_line, standings

START = 1_700_000_000_000_000_000
KEEPER = Maker("keeper", "fixed_quote", {"max_inventory": 10.0})
JUMPER = Maker("jumper", "queue_jumper", {"max_inventory": 10.0})
pytestmark = pytest.mark.xdist_group("backtest")


BOOK = [(0, "BID", 99, 5.0), (0, "BID", 98, 5.0), (0, "ASK", 101, 5.0), (0, "ASK", 102, 5.0)]


def hand_made() -> Tape:
    """A still book of five at the best prices, and two sales at the bid: seven after a second, two after two."""
    return tape_of(
        *BOOK,
        (1000, "SELL_TRADE", 99, 7.0), (1000, "BID", 99, 3.0),
        (2000, "SELL_TRADE", 99, 2.0), (2000, "BID", 99, 4.0), (3000, "BID", 98, 4.0),
    )  # fmt: skip


def tape_of(*rows: tuple[float, str, int, float]) -> Tape:
    events = np.zeros(len(rows), EVENT_DTYPE)
    for event, (ms, kind, tick, quantity) in zip(events, rows, strict=True):
        event["exchange_ts"] = event["local_ts"] = START + ms * 1_000_000
        event["kind"] = TapeKind[kind] | TapeFlag.EXCHANGE | TapeFlag.LOCAL
        event["tick"], event["quantity"] = tick, quantity
    return Tape(events, Decimal("0.5"), Decimal(1))


@pytest.fixture(scope="module")
def scene() -> Ground:
    return Ground(hand_made(), StudyConfig(warmup_s=0.0, replications=20), 2.0)


@pytest.fixture(scope="module")
def ground() -> Ground:
    market = read_market(open_source("sim:?seed=5&minutes=4"))
    config = StudyConfig(warmup_s=20.0, replications=200, latencies_ms=(50.0, 1.0))
    return Ground(market.tape, config, 0.2)


def test_the_faster_one_is_filled_first_and_the_other_next(scene: Ground) -> None:
    engine = replay(scene, [[KEEPER, KEEPER]], latency_ms=1.0, agent_latency_ms=(0.0, 49.0))
    fast, slow = summarize(engine)
    log = engine.responses()
    filled = log.filter(log["executed"] > 0).sort("exchange_ts")
    # The market's five go first, then the faster one's two; the slower one's two wait for the next sale.
    assert filled["agent"].to_list() == [0, 1]
    assert ((filled["exchange_ts"] - START) // 1_000_000).to_list() == [1000, 2000]
    assert (fast.volume, slow.volume) == (2.0, 2.0)
    found = standings(engine)
    # Fast: both sides alone, then anew behind the slow one, at its latency.
    assert (found[0].joins, found[0].behind) == (3, pytest.approx(1 / 3))
    assert (found[1].joins, found[1].behind) == (3, 1.0)


def test_time_in_front_is_counted_on_both_sides(scene: Ground) -> None:
    engine = replay(scene, [[KEEPER, KEEPER]], latency_ms=1.0, agent_latency_ms=(0.0, 49.0))
    log = engine.responses()
    joined = {
        (agent, side): (log.filter((log["agent"] == agent) & (log["side"] == side) & (log["status"] == "new")))[
            "exchange_ts"
        ].to_list()
        for agent in (0, 1)
        for side in (1, -1)
    }
    end = START + 3_000_000_000
    sold, sold_again = START + 1_000_000_000, START + 2_000_000_000
    assert [len(joined[who]) for who in ((0, 1), (0, -1), (1, 1), (1, -1))] == [2, 1, 2, 1]
    bids_ahead = (sold - joined[1, 1][0]) + (end - joined[1, 1][1])
    bids_behind = sold_again - joined[0, 1][1]
    asks_ahead = end - joined[1, -1][0]
    seconds, share = first_in_line(engine)
    assert seconds == pytest.approx((bids_ahead + bids_behind + asks_ahead) / 1e9)
    assert share == pytest.approx((bids_ahead + asks_ahead) / (bids_ahead + bids_behind + asks_ahead))


def test_swapping_the_latencies_swaps_the_makers(scene: Ground) -> None:
    there, back = (
        replay(scene, [[KEEPER, KEEPER]], latency_ms=1.0, agent_latency_ms=extra)
        for extra in ((0.0, 49.0), (49.0, 0.0))
    )
    assert first_in_line(there)[1] + first_in_line(back)[1] == pytest.approx(1)
    assert standings(there) == standings(back)[::-1]
    filled = back.responses().filter(back.responses()["executed"] > 0).sort("exchange_ts")
    assert filled["agent"].to_list() == [1, 0]


def test_what_expires_where_it_was_moved_to_has_not_stood_there() -> None:
    # The bid rises, the keeper follows it; before its message arrives the bid is gone and an ask stands there.
    tape = tape_of(*BOOK, (1010, "BID", 100, 5.0), (1120, "NO_BID", 100, 0.0), (1120, "ASK", 100, 5.0),
                   (1121, "NO_ASK", 100, 0.0), (3000, "BID", 98, 4.0))  # fmt: skip
    scene = Ground(tape, StudyConfig(warmup_s=0.0, replications=20), 2.0)
    engine = replay(scene, [[KEEPER, KEEPER]], latency_ms=20.5)
    log = engine.responses().filter(engine.responses()["agent"] == 0)
    moved = log.filter(log["status"] == "modified")
    expired = log.filter(log["status"] == "expired")
    assert moved["exchange_ts"].to_list()[:1] == expired["exchange_ts"].to_list() != []
    stays = len(log.filter(log["status"] == "new")) + len(moved) - len(expired)
    assert standings(engine)[0].joins == stays


def test_makers_that_never_rest_stand_nowhere(scene: Ground) -> None:
    far = Maker("far", "symmetric", {"half_spread_ticks": 1e6})
    engine = replay(scene, [[far, KEEPER]], latency_ms=1.0)
    nobody, keeper = standings(engine)
    assert (nobody.joins, math.isnan(nobody.behind)) == (0, True)
    assert (keeper.joins, keeper.behind) == (3, 0.0)
    assert first_in_line(engine) == (0.0, pytest.approx(math.nan, nan_ok=True))
    assert [one.joins for one in standings(replay(scene, [[far], [far]]))] == [0, 0]


def test_twins_share_one_queue(ground: Ground) -> None:
    alone, (equal, slower) = run_duels(ground, KEEPER)
    assert (equal.latencies_ms, slower.latencies_ms) == ((1.0, 1.0), (1.0, 50.0))
    for duel in (equal, slower):
        assert alone.volume < duel.volume < 2 * alone.volume
        assert duel.share.value == pytest.approx(duel.accounts[1].volume / duel.volume)
        assert duel.share.low < duel.share.value < duel.share.high
        assert duel.met_s > 60
        assert duel.pnl.difference.value == pytest.approx(duel.accounts[0].pnl - duel.accounts[1].pnl)
    assert equal.share.low < 0.5 < equal.share.high
    assert 0.4 < equal.first < 0.6
    assert slower.share.high < 0.5
    assert slower.first > 0.8


def test_the_odd_one_out(ground: Ground) -> None:
    slow, fast = (run_race(ground, [KEEPER, JUMPER], slow=slow) for slow in (True, False))
    assert slow.latencies_ms == (1.0, 50.0)
    for name in ("keeper", "jumper"):
        (equal, slower), (also, faster) = slow.entrants[name], fast.entrants[name]
        assert (slower.own_ms, slower.others_ms, faster.own_ms, faster.others_ms) == (50.0, 1.0, 1.0, 50.0)
        # At the lowest latency both races are the same world, which need not be run twice.
        assert equal.account.split == also.account.split
        assert (equal.pnl_more, equal.spread_more) == (None, None)
        assert math.isnan(equal.pnl_p)
        assert slower.account.volume < equal.account.volume < faster.account.volume
        assert slower.standing.behind > equal.standing.behind > faster.standing.behind
        for one in (slower, faster):
            assert one.pnl_more.difference.value == pytest.approx(one.account.pnl - equal.account.pnl)
            gained = one.account.spread_capture - equal.account.spread_capture
            assert one.spread_more.difference.value == pytest.approx(gained)
            assert one.pnl_more.p <= one.pnl_p <= 1
            assert one.spread_more.p <= one.spread_p <= 1


def test_a_race_starts_where_another_one_did(ground: Ground) -> None:
    slow, fast = (run_race(ground, [KEEPER, JUMPER], slow=slow) for slow in (True, False))
    again = run_race(ground, [KEEPER, JUMPER], slow=False, equals=slow)
    for name, found in again.entrants.items():
        assert [one.account.split for one in found] == [one.account.split for one in fast.entrants[name]]
        assert [one.standing for one in found] == [one.standing for one in fast.entrants[name]]
        assert [(one.own_ms, one.others_ms) for one in found] == [(1.0, 1.0), (1.0, 50.0)]
        assert found[1].pnl_p == fast.entrants[name][1].pnl_p


def test_some_agents_are_reported_as_all_of_them_are(ground: Ground) -> None:
    engine = replay(ground, [[KEEPER, JUMPER], [JUMPER, KEEPER]], agent_latency_ms=(0.0, 5.0))
    everybody, seconds = summarize(engine), summarize(engine, agents=[1])
    assert [(one.lane, one.agent) for one in seconds] == [(0, 1), (1, 1)]
    assert [one.split for one in seconds] == [everybody[1].split, everybody[3].split]
    with pytest.raises(ConfigError, match="agents were"):
        summarize(engine, agents=[2])
