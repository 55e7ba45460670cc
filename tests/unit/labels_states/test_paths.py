"""Smoothed labels, barriers, meta-labels and path shapes on hand-made tapes and against plain loops."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.labels import (
    PATH_NAMES,
    LabelConfig,
    make_labels,
    meta_labels,
    past_volatility,
    path_labels,
    price_bounce,
    price_targets,
    smoothed_labels,
    triple_barrier_labels,
)

NS = 10**9
WALK = 100 * np.exp(np.cumsum(np.random.default_rng(0).normal(size=300)) / 1000)


def test_smoothed_change_is_the_formula(tape):
    labels = smoothed_labels(tape(WALK, delay=3), 5, 0.002)
    view = labels.view("5_buckets")
    t = 100
    expected = math.log(WALK[t + 1 : t + 6].mean() / WALK[t - 4 : t + 1].mean())
    assert view.returns[t] == pytest.approx(expected)
    assert np.isnan(view.returns[[0, 3, 295, 299]]).all()
    assert np.isfinite(view.returns[[4, 294]]).all()
    assert view.label_end_ts[t] == (t + 6) * 10 * NS
    assert view.label_known_ts[t] == (t + 6) * 10 * NS + 3
    known = np.isfinite(view.returns)
    assert np.array_equal(view.classes[known], np.sign(view.returns[known]) * (np.abs(view.returns[known]) > 0.002))
    assert set(view.classes[known].tolist()) == {-1, 0, 1}
    one = smoothed_labels(tape(WALK), 5, 0.002, past=1)
    assert one.view("5_buckets").returns[t] == pytest.approx(math.log(WALK[t + 1 : t + 6].mean() / WALK[t]))
    assert one.hash != labels.hash
    assert labels.scheme == "raw"


def test_smoothed_labels_do_not_cross_a_gap(tape):
    returns = smoothed_labels(tape([1.0] * 8, segments=[0] * 4 + [1] * 4), 2).view("2_buckets").returns
    assert np.isfinite(returns).tolist() == [False, True] + [False] * 3 + [True, False, False]
    missing = smoothed_labels(tape([1.0, 1.0, 1.0, None, 1.0, 1.0, 1.0]), 2).view("2_buckets").returns
    assert np.isfinite(missing).tolist() == [False] * 7


def test_past_volatility(tape):
    volatility = past_volatility(tape(WALK), span=50, least=5)
    assert np.isnan(volatility[:5]).all()
    assert np.isfinite(volatility[5:]).all()
    moves = np.diff(np.log(WALK))
    weights = (1 - 2 / 51) ** np.arange(100)[::-1]
    assert volatility[100] == pytest.approx(np.sqrt((weights * moves[:100] ** 2).sum() / weights.sum()))
    halves = past_volatility(tape(WALK, segments=[0] * 150 + [1] * 150), span=50, least=5)
    assert np.isnan(halves[150:155]).all()
    assert np.array_equal(halves[155:], past_volatility(tape(WALK[150:]), span=50, least=5)[5:])


def barrier_by_loop(logs, i, up, down, steps):
    for j in range(i + 1, i + steps + 1):
        if j >= logs.size:
            return -1, 0
        if logs[j] - logs[i] >= up:
            return j, 1
        if logs[j] - logs[i] <= -down:
            return j, -1
    return i + steps, 0


def test_triple_barrier_against_a_loop(tape):
    volatility = np.full(300, 0.001)
    labels = triple_barrier_labels(tape(WALK, delay=3), 9, 0.5, 1.0, volatility=volatility)
    view, logs = labels.view("9_buckets"), np.log(WALK)
    seen = set()
    for i in range(300):
        j, side = barrier_by_loop(logs, i, 0.0015, 0.003, 9)
        if j < 0:
            assert np.isnan(view.returns[i])
            assert (view.classes[i], view.label_end_ts[i], view.label_known_ts[i]) == (-128, -1, -1)
            continue
        seen.add(side)
        assert view.returns[i] == pytest.approx(logs[j] - logs[i])
        assert (view.classes[i], view.label_end_ts[i]) == (side, (j + 1) * 10 * NS)
        assert view.label_known_ts[i] == view.label_end_ts[i] + 3
        assert view.threshold[i] == pytest.approx(0.0015)
    assert seen == {-1, 0, 1}


def test_triple_barrier_defaults_and_gaps(tape):
    frame = tape(WALK, segments=[0] * 150 + [1] * 150)
    labels = triple_barrier_labels(frame, 5).frame
    inside = labels.filter(pl.col("class_5_buckets").is_not_null())
    assert inside.height > 150
    ends = {0: 150 * 10 * NS, 1: 300 * 10 * NS}
    for segment, end in ends.items():
        assert inside.filter(segment=segment)["label_end_ts_5_buckets"].max() <= end
    assert labels["class_5_buckets"][149] is None
    holes = triple_barrier_labels(tape([1.0, None, 1.0, 1.0]), 2, volatility=[1.0, 1.0, 1.0, 0.0]).frame
    assert holes["class_2_buckets"].to_list() == [None] * 4


def test_meta_labels_say_whether_the_trade_paid(tape):
    mids = np.exp([0.0, 0.01, 0.02, 0.03, 0.02, 0.01, 0.0])
    side = [1, -1, 0, -1, np.nan, -1, 1]
    labels = meta_labels(tape(mids), side, 2, 9.0, 9.0, volatility=np.ones(7), cost=0.015)
    view = labels.view("2_buckets")
    assert view.returns[[0, 1, 3]] == pytest.approx([0.02, -0.02, 0.02])
    assert view.classes.tolist() == [1, 0, -128, 1, -128, -128, -128]
    close = meta_labels(tape(mids), side, 2, 0.005, 9.0, volatility=np.ones(7)).view("2_buckets")
    assert close.returns[[0, 3]] == pytest.approx([0.01, 0.01])  # the profit barrier ends the trade early
    stop = meta_labels(tape(mids), side, 2, 9.0, 0.005, volatility=np.ones(7)).view("2_buckets")
    assert stop.returns[1] == pytest.approx(-0.01)
    assert stop.label_end_ts[1] == 30 * NS
    with pytest.raises(DataError, match="side had shape"):
        meta_labels(tape(mids), [2] * 7)
    with pytest.raises(DataError, match="volatility had shape"):
        meta_labels(tape(mids), side, volatility=[1.0])


@pytest.mark.parametrize(
    ("logs", "name"),
    [
        ([0, 1, 2, 3, 4], "monotone_up"),
        ([0, -1, -2, -1.9, -4], "monotone_down"),
        ([0, -1, -2, -1, 0], "v"),
        ([0, 1, 2, 1, 0], "inverted_v"),
        ([0, 1, 0, 1, 0], "oscillating"),
        ([0, 0, 0, 0, 0], "oscillating"),
    ],
)
def test_path_shapes(tape, logs, name):
    frame = path_labels(tape(np.exp(np.array(logs) / 100)), 4)
    assert PATH_NAMES[frame["path_4_buckets"][0]] == name
    assert frame["path_4_buckets"].to_list()[1:] == [None] * 4
    assert frame["label_end_ts_4_buckets"].to_list() == [50 * NS] + [None] * 4
    assert 0 <= frame["path_share_4_buckets"][0] <= 1


def test_paths_do_not_cross_gaps_or_holes(tape):
    frame = path_labels(tape([1.0, 2.0, 3.0, None, 4.0, 5.0, 6.0, 7.0], segments=[0] * 6 + [1] * 2), 2)
    assert frame["path_2_buckets"].to_list() == [1] + [None] * 7
    with pytest.raises(ConfigError, match="steps was 1"):
        path_labels(tape([1.0]), 1)
    with pytest.raises(ConfigError, match="share was 0"):
        path_labels(tape([1.0]), 2, 0.0)


def test_bounce_shows_only_in_trade_prices(tape):
    rng = np.random.default_rng(0)
    fair = 100 + np.cumsum(rng.normal(size=3000)) / 100
    frame = tape(fair, microprice=fair + 0.0001 * rng.normal(size=3000), close=fair + 0.02 * rng.choice([-1, 1], 3000))
    bounce = price_bounce(frame)
    assert bounce["trade"] < -0.3
    assert abs(bounce["mid"]) < 0.06
    assert abs(bounce["micro"]) < 0.06
    targets = price_targets(frame, LabelConfig(bucket_horizons=(1,)))
    assert list(targets) == ["mid", "micro", "trade"]
    assert len({labels.hash for labels in targets.values()}) == 3
    assert targets["mid"].hash == make_labels(frame, LabelConfig(bucket_horizons=(1,))).hash
    close = frame["close"]
    assert targets["trade"].view("1_buckets").returns[7] == pytest.approx(math.log(close[8] / close[7]))
    assert list(price_targets(tape([1.0, 2.0]))) == ["mid"]
    assert math.isnan(price_bounce(tape([1.0] * 9))["mid"])


def test_bad_sizes(tape):
    with pytest.raises(ConfigError, match="steps was 0"):
        smoothed_labels(tape([1.0]), 0)
    with pytest.raises(ConfigError, match="upper was -1"):
        triple_barrier_labels(tape([1.0]), 2, -1.0)
    with pytest.raises(DataError, match="no column 'microprice'"):
        smoothed_labels(tape([1.0]), price="microprice")
