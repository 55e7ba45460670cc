"""Slices, stability and event studies find what was planted and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.core.errors import DataError
from marketprism.core.timebase import NS
from marketprism.evaluate import (
    event_study,
    hour_of_day,
    information_by,
    periodic_information,
    regression_discontinuity,
    stability,
)
from marketprism.evaluate.slices import WEEK_NS


def test_the_hour_that_works_is_found():
    rng = np.random.default_rng(0)
    ts = np.arange(12_000) * 60 * NS
    score = rng.normal(size=12_000)
    hours = hour_of_day(ts)
    assert hours[:61].tolist() == [0] * 60 + [1]
    returns = np.where(hours == 9, 0.4, 0.0) * score + rng.normal(size=12_000)
    returns[5] = np.nan
    table = information_by(score, returns, hours, replications=200)
    assert table.height == 24
    assert table["slice"].to_list() == list(range(24))
    assert table["n"].sum() == 11_999
    best = table.filter(table["p_holm"] < 0.01)
    assert best["slice"].to_list() == [9]
    assert best["low"][0] > 0.2


def test_small_slices_are_said_to_be_small():
    x = np.random.default_rng(0).normal(size=52)
    table = information_by(x, x, np.array(["a"] * 50 + ["b"] * 2), replications=20)
    assert table["p"].to_list() == table["p_holm"].to_list() == [None, None]
    assert "few" in table["note"][0]
    assert "only 2 rows" in table["note"][1]
    with pytest.raises(DataError, match="slices"):
        information_by(x, x, [1])


def test_weekly_information_equals_corrcoef():
    rng = np.random.default_rng(0)
    ts = 4 * 86_400 * NS + np.sort(rng.integers(0, 5 * WEEK_NS, 3000))
    scores, returns = rng.normal(size=(3000, 3)), rng.normal(size=3000)
    scores[:, 2] = 1.0
    starts, ics = periodic_information(scores, returns, ts)
    assert ics.shape == (5, 3)
    assert (np.diff(starts) == WEEK_NS).all()
    assert starts[0] == 4 * 86_400 * NS  # a Monday
    inside = (ts >= starts[1]) & (ts < starts[2])
    assert ics[1, 0] == pytest.approx(np.corrcoef(scores[inside, 0], returns[inside])[0, 1])
    assert np.isnan(ics[:, 2]).all()
    assert len(periodic_information(scores, returns, ts, least=10_000)[0]) == 0
    with pytest.raises(DataError, match="backwards"):
        periodic_information(scores, returns, ts[::-1])
    with pytest.raises(DataError, match="rows"):
        periodic_information(scores, returns[:-1], ts)


def test_stability_tells_lasting_from_fleeting():
    rng = np.random.default_rng(0)
    lasting = np.linspace(-0.1, 0.1, 12) + rng.normal(0, 0.01, (30, 12))
    fleeting = rng.normal(0, 0.05, (30, 12))
    good, bad = stability(lasting), stability(fleeting)
    assert good.across.value > 0.9
    assert good.across.low > 0.8
    assert abs(bad.across.value) < 0.25
    assert good.same_sign[0] == 1.0
    assert good.ratio[-1] > 3
    assert good.periods == 30
    # A week-to-week swing of one factor is seen in its own persistence.
    assert stability(np.tile([0.1, -0.1], 10)).persistence[0] == pytest.approx(-1)


def test_stability_of_little():
    one = stability([0.1, 0.2, np.nan, 0.1])
    assert math.isnan(one.across.value)
    assert np.isnan(one.persistence).all()
    assert one.same_sign[0] == 1
    assert one.periods == 3
    empty = stability(np.full((4, 1), np.nan))
    assert np.isnan(empty.ratio).all()
    assert np.isnan(empty.same_sign).all()
    assert np.isnan(stability(np.full((8, 1), 0.1)).persistence).all()
    with pytest.raises(DataError, match="ics had shape"):
        stability([])


def _tape(jump, n=40_000, seed=0):
    rng = np.random.default_rng(seed)
    ts = np.arange(n) * NS
    events = np.arange(1000, n - 500, 1000) * NS + NS // 2
    since = (ts[:, None] >= events).sum(axis=1)
    return ts, events, np.cumsum(rng.normal(size=n)) * 0.02, since * jump


def test_event_study_finds_a_planted_drift_only():
    ts, events, walk, steps = _tape(0.5)
    found = event_study(ts, walk + steps, events, 50 * NS, 100 * NS, placebos=200)
    assert found.p_value < 0.02
    assert found.events == events.size
    assert found.offsets[0] == -50 * NS
    after = found.offsets > 0
    assert found.mean[after].mean() == pytest.approx(0.5, abs=0.1)
    assert (found.mean[after] > found.high[after]).all()
    assert (found.p_values[after] < 0.05).all()


def test_event_study_without_effect_is_silent():
    p = []
    for seed in range(40):
        ts, events, walk, _ = _tape(0.0, 20_000, seed)
        p.append(event_study(ts, walk, events, 50 * NS, 100 * NS, placebos=99, seed=seed).p_value)
    assert np.mean(np.array(p) <= 0.05) <= 0.15
    assert 0.3 < np.mean(p) < 0.7


@pytest.mark.parametrize("events", [(2000,), (700, 1500, 2600, 3500), tuple(range(300, 3800, 350)), (1000, 1010, 1030)])
def test_event_study_of_few_events_does_not_cry_wolf(events):
    """One place in a short sample is the most extreme of a few dozen at best: overlapping placebos add no proof."""
    ts, p = np.arange(4000) * NS, []
    for seed in range(60):
        walk = np.cumsum(np.random.default_rng(seed).normal(size=4000))
        at = np.array(events) * NS
        p.append(event_study(ts, walk, at, 50 * NS, 50 * NS, placebos=100, seed=seed).p_value)
    assert np.mean(np.array(p) <= 0.05) <= 0.12
    assert 0.35 < np.mean(p) < 0.65
    assert len(events) > 1 or min(p) >= 1 / 40


def test_discontinuity_finds_a_planted_jump_only():
    ts, events, _, steps = _tape(0.5)
    rng = np.random.default_rng(1)
    # A smooth cycle must not look like a jump.
    cycle = np.sin(2 * np.pi * ts / (700 * NS))
    noise = 0.2 * rng.normal(size=ts.size)
    found = regression_discontinuity(ts, cycle + noise + steps, events, 60 * NS)
    assert found.jump == pytest.approx(0.5, abs=4 * found.error)
    assert found.error < 0.05
    assert found.p_value < 1e-6
    assert found.placebo_p_value < 0.02
    assert found.events == events.size
    none = regression_discontinuity(ts, cycle + noise, events, 60 * NS, degree=2, donut_ns=NS)
    assert none.p_value > 0.01
    assert none.placebo_p_value > 0.02
    assert none.rows < found.rows
    assert math.isnan(regression_discontinuity(ts, noise, events, 60 * NS, placebos=0).placebo_p_value)


def test_discontinuity_has_its_size_and_error():
    found = []
    for seed in range(200):
        ts, events, _, _ = _tape(0.0, 20_000, seed)
        noise = np.random.default_rng(seed).normal(size=ts.size)
        found.append(regression_discontinuity(ts, noise, events, 40 * NS, placebos=0))
    assert np.mean([one.p_value <= 0.05 for one in found]) == pytest.approx(0.05, abs=0.045)
    assert np.mean([one.p_value for one in found]) == pytest.approx(0.5, abs=0.08)
    assert np.mean([one.error for one in found]) == pytest.approx(np.std([one.jump for one in found]), rel=0.15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ts, x, e: event_study(ts, x, e, 10**15, NS), "complete window"),
        (lambda ts, x, e: event_study(ts, x, np.arange(0, 40_000, 20) * NS, 20 * NS, 20 * NS), "placebo shifts"),
        (lambda ts, x, e: event_study(ts[::-1], x, e, NS, NS), "backwards"),
        (lambda ts, x, e: event_study(ts, x[:-1], e, NS, NS), "lengths were"),
        (lambda ts, x, e: event_study(ts, x, [], NS, NS), "0 events"),
        (lambda ts, x, e: regression_discontinuity(ts, x, [10**18], 60 * NS), "too few rows"),
        (lambda ts, x, e: regression_discontinuity(ts, x, e, NS), "too few rows"),
    ],
)
def test_refusals(call, message):
    ts, events, walk, _ = _tape(0.0)
    with pytest.raises(DataError, match=message):
        call(ts, walk, events)
