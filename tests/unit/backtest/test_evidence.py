"""Luck and skill in the P&L of lanes: intervals cover, the best of many is deflated, pairs cancel the market."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.backtest.evidence import paired_pnl, track_records
from marketprism.core.errors import DataError

RNG = np.random.default_rng


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng, inside = RNG(0), 0
    for _ in range(200):
        record = track_records([rng.normal(0.05, 1.0, 400)], replications=200)[0]
        inside += record.pnl.low <= 0.05 * 400 <= record.pnl.high
    assert 180 <= inside <= 199


def test_the_best_of_many_lucky_lanes_is_not_called_skill() -> None:
    rng = RNG(1)
    lanes = [rng.normal(0, 1, 1000) for _ in range(50)]
    records = track_records(lanes, replications=50)
    best = max(records, key=lambda one: one.sharpe)
    assert best.psr > 0.95
    assert best.dsr < 0.9
    assert best.trials == 50
    assert best.sharpe == pytest.approx(best.luckiest, rel=0.5)


def test_trials_made_before_count_and_one_alone_is_not_deflated() -> None:
    lane = RNG(2).normal(0.05, 1.0, 2000)
    alone, after = (track_records([lane], trials=n, replications=50)[0] for n in (None, 1000))
    assert alone.luckiest == 0.0
    assert alone.dsr == alone.psr
    assert after.dsr < alone.dsr
    known = track_records([lane], trials=1000, trial_variance=0.0, replications=50)[0]
    assert known.dsr == alone.psr
    assert set(alone.summary()) >= {"pnl", "deflated_sharpe", "trials"}


def test_serial_correlation_widens_blocks_and_intervals() -> None:
    steps = RNG(3).normal(size=2000)
    smooth = np.convolve(steps, np.ones(20) / 20, "same")
    rough, calm = track_records([steps, smooth], replications=200)
    assert calm.block > rough.block


def test_pairs_see_what_the_market_hides() -> None:
    rng = RNG(4)
    market = rng.normal(0, 1, 1000)
    better = market + rng.normal(0.02, 0.1, 1000)
    assert not track_records([better], replications=200)[0].pnl.star
    found = paired_pnl(better, market, replications=200)
    assert found.difference.star
    assert found.p < 0.05
    assert paired_pnl(market, better, replications=200).difference.value == pytest.approx(-found.difference.value)


def test_lanes_that_say_nothing() -> None:
    still = track_records([np.zeros(100), np.ones(5)], replications=50)
    assert [math.isnan(one.dsr) for one in still] == [True, True]
    assert "without movement" in still[0].pnl.note
    assert "too few" in still[1].pnl.note
    assert still[0].summary()["deflated_sharpe"] is None
    same = paired_pnl(np.ones(50), np.ones(50), replications=50)
    assert math.isnan(same.p)
    assert same.difference.value == 0.0
    assert "few samples" in track_records([RNG(5).normal(size=40)], replications=50)[0].pnl.note
    with pytest.raises(DataError, match="finite"):
        track_records([[1.0, math.nan]])
    with pytest.raises(DataError, match="50 and 40 bars"):
        paired_pnl(np.zeros(50), np.zeros(40))
