"""States of panels: series apart, past only, and usable as labels and regimes."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.labels import NO_STATE, TrendStates, make_labels, walk_forward_states
from marketprism.labels.config import LabelConfig

N = 500
MODEL = TrendStates("rules", dwell=5)


def prices(seed, n=N):
    rng = np.random.default_rng(seed)
    drift = np.repeat(np.resize([0.5, -0.5], -(-n // 50)), 50)[:n]
    return 100 * np.exp(np.cumsum(drift + rng.normal(size=n)) / 1000)


def test_series_are_apart_in_any_row_order(tape):
    one, two = tape(prices(0)), tape(prices(1), symbol="B")
    both = walk_forward_states(pl.concat([two, one]).sample(fraction=1.0, shuffle=True, seed=0), MODEL)
    alone = walk_forward_states(one, MODEL)
    mine = both.frame.filter(symbol="A").sort("bucket_id")
    assert mine.equals(alone.frame)
    assert both.methods == {"x:spot:A": ("rules",) * 4, "x:spot:B": ("rules",) * 4}
    assert both.quality["x:spot:A"] == alone.quality["x:spot:A"]
    assert alone.frame["state"].head(100).null_count() == 100
    assert alone.frame["state"].tail(400).null_count() == 0
    assert set(alone.codes[100:].tolist()) == {-1, 0, 1}


def test_a_state_uses_the_past_only(tape):
    whole = prices(0)
    changed = np.where(np.arange(N) < 320, whole, whole[::-1])
    first = walk_forward_states(tape(whole), MODEL)
    second = walk_forward_states(tape(changed), MODEL)
    assert first.frame.head(320).equals(second.frame.head(320))
    assert not first.frame.equals(second.frame)


def test_jump_models_on_any_inputs(tape):
    rng = np.random.default_rng(0)
    index = np.repeat(np.resize([10.0, 30.0], 10), 50) + rng.normal(size=N)
    model = TrendStates("jump", 2, 5.0, n_init=1, refuse=False)
    states = walk_forward_states(tape(prices(0), volatility_index=index), model, ["volatility_index"], refits=2)
    later = states.codes[200:]
    assert abs(np.corrcoef(later, index[200:])[0, 1]) > 0.9
    masks = states.regime().masks()
    assert masks["unknown"].sum() == N // 3
    assert np.array_equal(masks["up"], states.codes == 1)


def test_refusals_are_reported(tape):
    rng = np.random.default_rng(0)
    states = walk_forward_states(tape(np.exp(rng.normal(size=300) / 1000)), TrendStates("jump", n_init=1), refits=1)
    assert states.methods["x:spot:A"] == ("rules",)
    assert states.refusals["x:spot:A"]
    short = walk_forward_states(tape(prices(0, 40)), MODEL, refits=2)
    assert short.methods["x:spot:A"] == ()
    assert "complete" in short.refusals["x:spot:A"][0]
    assert set(short.codes.tolist()) == {NO_STATE}


def test_labels_carry_scheme_end_and_hash(tape):
    frame = tape(prices(0), segments=[0] * 250 + [1] * 250, delay=5)
    states = walk_forward_states(frame, MODEL)
    labels = states.labels(frame, 3)
    view = labels.view("3_buckets")
    returns = make_labels(frame, LabelConfig(bucket_horizons=(3,), scheme="per_second")).view("3_buckets")
    known = view.classes != -128
    assert known.sum() > 300
    assert not known[247:250].any()
    assert np.array_equal(view.classes[known], states.codes[np.flatnonzero(known) + 3])
    assert view.returns[known] == pytest.approx(returns.returns[known])
    assert np.array_equal(view.label_end_ts[known], returns.label_end_ts[known])
    assert np.array_equal(view.label_known_ts[known], returns.label_known_ts[known])
    raw = walk_forward_states(frame, MODEL, scheme="raw")
    assert (labels.scheme, raw.labels(frame, 3).scheme) == ("per_second", "raw")
    assert labels.hash != raw.labels(frame, 3).hash
    with pytest.raises(DataError, match="other rows"):
        states.labels(frame.head(9), 3)
    with pytest.raises(ConfigError, match="steps was 0"):
        states.labels(frame, 0)


def test_bad_calls(tape):
    with pytest.raises(ConfigError, match="refits was 0"):
        walk_forward_states(tape([1.0]), MODEL, refits=0)
    with pytest.raises(DataError, match="no column 'fear'"):
        walk_forward_states(tape(prices(0)), MODEL, ["fear"])
