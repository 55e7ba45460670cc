"""Each policy on a stream made for it, and the causal calibration."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.buckets import BucketClock, BucketConfig, Cut, Trigger
from marketprism.buckets.policies import policies, policy
from marketprism.buckets.rates import estimate, ring_slots
from marketprism.buckets.rule import Rates, volume_target
from marketprism.core.errors import ConfigError

S = 1_000_000_000


def test_every_policy_is_found():
    assert list(policies()) == ["adaptive", "count", "event", "hybrid", "reference", "time", "volume"]
    assert all(entry.description for entry in policies().values())
    with pytest.raises(ConfigError, match="did you mean 'hybrid'"):
        policy("hibrid")


def test_time_policy_is_aligned_to_utc(feed):
    run = feed.book(47).trade(59, 500).book(61).book(200).run(policy="time", t_target_s=60.0)
    assert run.seconds == [(47, 60), (60, 120), (180, 200)]
    assert run.trigger == [Trigger.TIME, Trigger.TIME, Trigger.END]
    assert run.volume == [500.0, 0.0, 0.0]


def test_count_policy(feed):
    run = feed.trade(0, 1).book(1).trade(2, 1).trade(3, 1).trade(4, 1).run(policy="count", target_trades=2)
    assert run.cuts == [0, 0, 0, Cut.BEFORE, 0]
    assert run.seconds == [(0, 2), (2, 4)]
    assert run.trigger == [Trigger.COUNT, Trigger.COUNT]


def test_event_policy_counts_messages_not_rows(feed):
    feed.book(0, flags=1).book(0, flags=0).book(0, flags=2).trade(1, 5).book(2).book(3)
    run = feed.run(policy="event", target_updates=2)
    assert run.cuts == [0, 0, 0, 0, 0, Cut.BEFORE]
    assert run.updates == [2, 1]
    assert run.trigger == [Trigger.EVENT, Trigger.END]


def test_hybrid_needs_volume_and_trades(feed):
    feed.trade(0, 100).trade(1, 1).trade(2, 1).trade(3, 1).trade(4, 1)
    run = feed.run(policy="hybrid", target_volume=10.0, min_trades=3)
    assert run.trades == [3, 2]
    assert run.trigger == [Trigger.VOLUME, Trigger.END]


def test_adaptive_closes_at_the_score(feed):
    """min(volume/10, elapsed/30 s, trades/5) first reaches .8 at the book message after 24 s."""
    feed.book(0).trade(1, 8)
    for k in range(2, 5):
        feed.trade(k, 0.01)
    feed.book(23.9).book(24).book(25)
    run = feed.run(policy="adaptive", target_volume=10.0, min_trades=5)
    assert run.seconds == [(0, 24), (24, 25)]
    assert run.trigger == [Trigger.QUALITY, Trigger.END]


def test_adaptive_cap_follows_the_rate():
    rule = policy("adaptive").rule
    config = BucketConfig(policy="adaptive", target_volume=10.0)
    assert rule(config, None).cap_ns == 120 * S
    assert rule(config, Rates(0.25, 1, 1)).cap_ns == 60 * S
    assert rule(config, Rates(100.0, 1, 1)).cap_ns == 30 * S
    assert rule(config, Rates(0.001, 1, 1)).cap_ns == 120 * S


def test_reference_edges(feed):
    edges = tuple(round(t * S) for t in (10, 20, 30, 40))
    run = (
        feed.book(5)
        .trade(9, 1)
        .trade(20, 2)
        .book(35)
        .book(90)
        .book(95)
        .run(policy="reference", reference_edges_ns=edges)
    )
    assert run.seconds == [(5, 10), (20, 30), (30, 40), (40, 95)]
    assert run.trigger == [Trigger.REFERENCE] * 3 + [Trigger.END]
    assert run.volume == [1.0, 2.0, 0.0, 0.0]


def test_volume_target_is_clipped():
    config = BucketConfig(min_volume=5.0, max_volume=50.0)
    assert [volume_target(config, Rates(r, 0, 0)) for r in (0.0, 1.0, 9.0)] == [5.0, 30.0, 50.0]
    assert volume_target(config, None) == 0.0
    assert volume_target(BucketConfig(target_volume=3.0), None) == 3.0


def test_estimate_clips_and_forgets():
    config = BucketConfig(t_target_s=60.0, calibration_half_life_s=60.0, calibration_clip=(0.0, 1.0))
    ring = np.zeros((15, 3))
    ring[:3, 0] = 60.0, 120.0, 240.0
    # Newest first 240, 120, 60 with weights 1, 1/2, 1/4.
    assert estimate(ring, 3, config).volume == pytest.approx((240 + 60 + 15) / 1.75 / 60)
    spike = np.ones((15, 3))
    spike[3, 0] = 1e9
    clipped = config.replace(calibration_clip=(0.05, 0.9))
    assert estimate(spike, 15, clipped).volume == pytest.approx(1 / 60)


def test_ring_overwrites_the_oldest():
    config = BucketConfig(t_target_s=60.0)
    ring = np.full((ring_slots(config), 3), 60.0)
    assert len(ring) == 15
    assert estimate(ring, 1000, config) == pytest.approx((1.0, 1.0, 1.0))


@pytest.mark.parametrize(("name", "trigger"), [("volume", "VOLUME"), ("count", "COUNT"), ("event", "EVENT")])
def test_calibration_on_the_stream(feed, name, trigger):
    """2 units, 1 trade and 1 update a second: 30 s buckets, time buckets for the first 300 s."""
    for k in range(900):
        feed.trade(k + 0.5, 2.0).book(k + 0.75)
    run = feed.run(policy=name)
    warm = run.buckets["ts_start"] >= 330 * S
    assert set(run.buckets["trigger"][run.buckets["ts_start"] < 300 * S]) == {Trigger.TIME}
    assert set(run.buckets["trigger"][warm][:-1]) == {Trigger[trigger]}
    durations = run.buckets["duration_ns"][warm][:-1] / S
    np.testing.assert_allclose(durations, 30, atol=1.01)
    assert run.clock.rates == pytest.approx((2.0, 1.0, 1.0))
    if name == "volume":
        assert run.clock.target_volume == pytest.approx(60.0)


def test_calibration_uses_the_past_only(feed):
    """A tape cut at any time has the same buckets before the cut."""
    rng = np.random.default_rng(3)
    for k in range(1200):
        feed.trade(k, float(rng.exponential(1 + k / 100)))
    whole = feed.run()
    rows, views = feed.arrays()
    cut = 700
    clock = BucketClock(whole.clock.instrument, BucketConfig())
    _, head = clock.push(rows[:cut], views._replace(top=views.top[:cut]))
    assert len(head) > 15
    for name in head.dtype.names:
        assert head[name].tobytes() == whole.buckets[name][: len(head)].tobytes()


@pytest.mark.parametrize("name", ["volume", "count", "event", "hybrid", "adaptive"])
def test_silent_market_stays_on_time_buckets(feed, name):
    for k in range(40):
        feed.slow(20 * k)
    run = feed.run(policy=name)
    assert set(run.trigger) == {Trigger.TIME, Trigger.END}
    assert set(run.duration_ns[:-1]) == {30 * S}


def test_silent_slots_count_as_zeros(feed):
    """Ten slots of 30 units, then ten of which nine are silent: newest first 0 x 9, 0.5, 30 x 10."""
    for k in range(300):
        feed.trade(k, 1.0)
    run = feed.trade(300, 0.5).book(600).run(calibration_clip=(0.0, 1.0))
    weights = 0.5 ** (np.arange(20) / 10)
    expected = (weights[9] * 0.5 + weights[10:].sum() * 30) / weights.sum() / 30
    assert run.clock.rates.volume == pytest.approx(expected, rel=1e-12)


def test_gap_drops_the_unfinished_slot(feed):
    feed.book(0)
    for k in range(5):
        feed.trade(k + 1, 1000.0)
    feed.gap(10)
    for k in range(301):
        feed.trade(100 + k, 1.0).book(100.5 + k)
    assert feed.run(calibration_clip=(0.0, 1.0)).clock.rates == pytest.approx((1.0, 1.0, 1.0))


def test_gap_does_not_count_as_silence(feed):
    for k in range(600):
        feed.trade(k, 1.0)
    feed.gap(600)
    for k in range(600):
        feed.trade(10_000 + k, 1.0)
    assert feed.run().clock.rates.volume == pytest.approx(1.0)
