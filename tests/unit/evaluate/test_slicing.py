"""Slices by hour, session, instrument and regime: they add up, find what was planted, and say what is missing."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError
from marketprism.evaluate.case import Case
from marketprism.evaluate.config import JudgeConfig
from marketprism.evaluate.economics import trade
from marketprism.evaluate.judge import judge
from marketprism.evaluate.slicing import SlicingConfig, assess_slices, frame_regimes, scored_rows
from marketprism.labels.config import LabelConfig
from marketprism.models.baselines import ModelConfig

NS = 10**9


@pytest.fixture(scope="module")
def slices(case):
    return assess_slices(case)


def test_every_row_is_in_one_slice_of_a_dimension(case, slices):
    n = scored_rows(case, case.best).height
    for row in slices.dimensions.iter_rows(named=True):
        part = slices.table.filter(pl.col("dimension") == row["dimension"])
        assert part["n"].sum() == pytest.approx(n * row["known"])
        assert part.height == row["slices"]
    assert slices.dimensions.height >= 3
    assert slices.overall_ic == pytest.approx(
        case.judgement.models[case.best].horizons[case.judgement.primary].metrics["ic"].value
    )


def test_ic_of_a_slice_by_hand(case, slices):
    rows = scored_rows(case, case.best)
    hour = rows["ts_known"] // (3600 * NS) % 24
    part = slices.table.filter(pl.col("dimension") == "hour (UTC)", pl.col("ic").is_not_null())
    assert part.height > 2
    for row in part.iter_rows(named=True):
        own = rows.filter(hour == int(row["slice"]))
        assert row["n"] == own.height
        assert row["ic"] == pytest.approx(np.corrcoef(own["score"], own["target"])[0, 1])
        assert row["low"] < row["ic"] < row["high"]


def test_net_of_the_slices_adds_up_to_the_book(case):
    part = assess_slices(case, SlicingConfig(min_rows=3)).table.filter(pl.col("dimension") == "hour (UTC)")
    predictions = case.predictions(case.best)
    done = trade(predictions, case.executions, case.judgement.config.costs)["binance:linear:BTC-USDT"]
    net = np.append(done.gross[1:], 0.0) - done.cost
    assert net.sum() == pytest.approx(done.net.sum())
    rows = scored_rows(case, case.best)
    hit = predictions["bucket_id"].is_in(rows["bucket_id"].implode()).to_numpy()
    assert part["total_bps"].sum() == pytest.approx(1e4 * net[hit].sum())
    for row in part.drop_nulls("net_bps").iter_rows(named=True):
        assert row["net_bps"] * row["n"] == pytest.approx(row["total_bps"])
        assert row["net_low"] <= row["net_bps"] <= row["net_high"]


def test_adjusted_for_all_slices(slices):
    known = slices.table.drop_nulls("p")
    assert slices.tests == known.height > 2
    assert (known["p_holm"] >= known["p"]).all()
    assert known["p_holm"].max() <= 1
    assert known["p_holm"].min() == pytest.approx(min(1.0, known["p"].min() * slices.tests))


def test_missing_dimensions_are_named(slices):
    assert "no column" in slices.missing["volatility x intensity"]
    assert "known:" not in slices.missing["volatility x intensity"]
    assert "only 'binance:linear:BTC-USDT'" in slices.missing["instrument"]
    assert slices.missing["spread state"] == "only 'one_tick' among the scored rows"


def test_summary_is_plain(slices):
    text = json.loads(json.dumps(slices.summary(), allow_nan=False))
    assert text["tests"] == slices.tests
    assert len(text["slices"]) == slices.table.height


def test_a_signal_of_one_regime_is_found(make_tape, instruments):
    frame = make_tape(2400, ic=0.0, seed=3, noise=1)
    # The signal works while open interest rises, and only then.
    rng = np.random.default_rng(0)
    rises = np.repeat(rng.random(24) < 0.5, 100)
    signal = rng.standard_normal(2400)
    strength = np.where(np.append(False, rises[:-1]), 0.5, 0.0)
    move = 3e-4 * (strength * np.append(0, signal[:-1]) + rng.standard_normal(2400))
    frame = frame.with_columns(
        signal=pl.Series(signal),
        mid_last=pl.Series(60_000 * np.exp(np.cumsum(move))),
        funding_rate=pl.Series(rng.standard_normal(2400)),
        open_interest=pl.Series(np.cumsum(np.where(rises, 1.0, -1.0))),
    )
    config = JudgeConfig(
        labels=LabelConfig(bucket_horizons=(1,)),
        models={"logistic": ModelConfig()},
        factors=("signal", "noise_0"),
        replications=200,
        control_repeats=3,
    )
    case = Case(frame, judge(frame, config, instruments=instruments[:1]), instruments[:1])
    found = assess_slices(case)
    table = found.table.filter(pl.col("dimension") == "funding x open interest").drop_nulls("p")
    rising = table.filter(pl.col("slice").str.ends_with("oi_rising"))
    falling = table.filter(pl.col("slice").str.ends_with("oi_falling"))
    assert rising.height >= 2
    assert rising["ic"].min() > 0.2 > falling["ic"].max()
    assert rising["p_holm"].max() < 0.01
    equal = found.dimensions.filter(pl.col("dimension") == "funding x open interest")
    assert equal["p_equal_holm"][0] < 0.01


def test_panel(panel_case):
    found = assess_slices(panel_case)
    part = found.table.filter(pl.col("dimension") == "instrument")
    assert part["slice"].to_list() == ["binance:linear:BTC-USDT", "binance:linear:ETH-USDT"]
    assert part["ic"].is_not_null().all()
    assert "instrument" not in found.missing


def test_without_models_or_rows(make_tape, instruments, case):
    frame = make_tape(60)
    empty = Case(frame, judge(frame, JudgeConfig(control_repeats=3), instruments=instruments[:1]), instruments[:1])
    found = assess_slices(empty)
    assert found.model == ""
    assert found.table.is_empty()
    assert "no model was judged" in found.notes[0]
    json.dumps(found.summary(), allow_nan=False)
    few = assess_slices(case, SlicingConfig(min_rows=10_000))
    assert "too few to slice" in few.notes[0]
    assert math.isnan(few.overall_ic)


def test_large_slices_only(case):
    found = assess_slices(case, SlicingConfig(min_rows=80, max_slices=2, trend_states=False))
    assert "trend state" not in found.dimensions["dimension"]
    hours = found.table.filter(pl.col("dimension") == "hour (UTC)")
    assert hours.height == 2
    assert any("smaller slices are not shown" in note for note in found.notes)
    few = assess_slices(case, SlicingConfig(min_rows=300))
    small = few.table.filter(pl.col("n") < 300)
    assert small.height
    assert small["ic"].null_count() == small.height
    assert set(small["note"]) == {"fewer than 300 rows"}


def test_regimes_of_a_frame_that_knows_nothing(make_tape):
    frame = make_tape(40).with_columns(funding_rate=pl.lit(1.0), open_interest=pl.lit(None, pl.Float64))
    regimes, missing = frame_regimes(frame)
    assert "session" in regimes
    assert missing["funding x open interest"].startswith("unknown at every row")


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="least_past was 9"):
        SlicingConfig(least_past=9, past_rows=5)
    with pytest.raises(ConfigError, match="min_rows was 1"):
        SlicingConfig(min_rows=1)
