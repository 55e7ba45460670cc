"""Trend states of a case: gates, fall-backs, chance, and what is capped."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError
from marketprism.evaluate.case import Case
from marketprism.evaluate.config import JudgeConfig
from marketprism.evaluate.judge import judge
from marketprism.evaluate.trend_evidence import TrendEvidenceConfig, assess_trend_states
from marketprism.labels import NO_STATE, StateGates, bucket_returns, state_quality, stretches


@pytest.fixture(scope="module")
def trending(make_tape, instruments):
    """Clear trends of 30 to 90 buckets; no model is judged."""
    frame = make_tape(900, ic=0.0).with_columns(segment=pl.lit(0, pl.Int64), duration_ns=pl.lit(10 * 10**9))
    end = frame["ts_end"][0] + pl.Series(np.arange(900) * 10 * 10**9)
    rng = np.random.default_rng(0)
    drift = np.repeat(np.resize([1.0, -1.0], 30), rng.integers(30, 90, 30))[:900]
    mid = 60_000 * np.exp(np.cumsum(3e-4 * (drift + rng.standard_normal(900))))
    frame = frame.with_columns(ts_end=end, ts_known=end, mid_last=pl.Series(mid))
    config = JudgeConfig(min_rows=100_000, control_repeats=3)
    return Case(frame, judge(frame, config, instruments=instruments[:1]), instruments[:1])


@pytest.fixture(scope="module")
def evidence(trending):
    return assess_trend_states(trending)


def test_trends_pass_the_gates(evidence):
    assert evidence.table["method"].to_list() == ["jump 2", "rules"]
    jump = evidence.table.row(0, named=True)
    assert jump["passed"]
    assert jump["reasons"] == ""
    assert jump["mean_ic"] > 0.3
    assert jump["mean_ic"] > jump["ic_null"] > 0
    assert jump["share_down"] + jump["share_neutral"] + jump["share_up"] == pytest.approx(1)
    assert evidence.in_use == {"binance:linear:BTC-USDT": "jump 2"}
    assert evidence.notes == ()


def test_table_is_the_quality_of_the_states(trending, evidence):
    states = evidence.states.filter(pl.col("method") == "rules")["state"].fill_null(NO_STATE).to_numpy()
    quality = state_quality(states.astype(np.int64), bucket_returns(trending.frame), stretches(trending.frame))
    row = evidence.table.row(1, named=True)
    assert row["flips_per_100"] == pytest.approx(quality.flips_per_100)
    assert row["p90_dwell"] == pytest.approx(quality.p90_dwell)
    assert row["ic_3"] == pytest.approx(quality.forward_ic[3])
    assert row["rows"] == quality.rows == 675  # the first of four stretches is only learnt from


def test_a_refused_labelling_falls_back(trending):
    gates = StateGates(max_flips_per_100=0.01)
    found = assess_trend_states(trending, TrendEvidenceConfig(gates=gates))
    assert found.table["passed"].to_list() == [False, False]
    assert "flips per 100 buckets" in found.table["reasons"][0]
    assert found.in_use == {"binance:linear:BTC-USDT": "rules"}
    assert "jump 2 is refused" in found.notes[0]
    assert "the state machine is the fall-back, and fails too" in found.notes[1]


def test_noise_is_not_better_than_chance(case):
    found = assess_trend_states(case, TrendEvidenceConfig(methods=(), shifts=200))
    row = found.table.row(0, named=True)
    assert abs(row["mean_ic"]) < 0.12
    assert 0.01 < row["ic_null"] < 0.2


def test_a_labelling_that_cannot_be_fitted_is_named(case):
    found = assess_trend_states(case, TrendEvidenceConfig(methods=("jump 3",), jump_penalty=1e9))
    assert found.table["method"].to_list() == ["rules"]
    assert "jump 3: could not be fitted" in found.notes[0]


def test_caps_are_said(panel_case):
    found = assess_trend_states(panel_case, TrendEvidenceConfig(methods=(), max_series=1, max_rows=300))
    assert found.table["series"].to_list() == ["binance:linear:BTC-USDT"]
    assert found.states.height == 300
    told = " ".join(found.notes)
    assert "states of 1 of 2 series only" in told
    assert "the last 300 of 700 buckets only" in told


def test_too_short(make_tape, instruments):
    frame = make_tape(40)
    case = Case(frame, judge(frame, JudgeConfig(control_repeats=3), instruments=instruments[:1]), instruments[:1])
    found = assess_trend_states(case)
    assert found.table.is_empty()
    assert found.in_use == {}
    assert "no states" in found.notes[0]
    json.dumps(found.summary(), allow_nan=False)


def test_summary_is_plain(evidence):
    text = json.loads(json.dumps(evidence.summary(), allow_nan=False))
    assert text["labellings"][0]["method"] == "jump 2"
    assert text["gates"]["max_flips_per_100"] == 5.0


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="did you mean 'jump 2'"):
        TrendEvidenceConfig(methods=("jump2",))
    with pytest.raises(ConfigError, match="refits was 0"):
        TrendEvidenceConfig(refits=0)
    with pytest.raises(ConfigError, match="jump_penalty was -1"):
        TrendEvidenceConfig(jump_penalty=-1.0)
