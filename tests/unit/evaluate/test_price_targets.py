"""Bounce planted in the trade price is called bounce, and skill on the mid is not."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import JudgeConfig, judge
from marketprism.evaluate.bootstrap import plan_blocks
from marketprism.evaluate.case import Case
from marketprism.evaluate.metrics import information_coefficient
from marketprism.evaluate.paired import paired_information
from marketprism.evaluate.price_targets import PriceTargetsConfig, compare_targets
from marketprism.labels.config import LabelConfig
from marketprism.labels.targets import price_bounce
from marketprism.models.baselines import ModelConfig
from marketprism.pipelines.judgement_sections.price_targets import price_targets_section

HALF_SPREAD = 3e-4


def bouncing(frame, seed=9):
    """Add a trade price at bid or ask by the toss of a coin, its side as a factor, and a micro-price near the mid."""
    rng = np.random.default_rng(seed)
    side = rng.choice([-1.0, 1.0], frame.height)
    mid = frame["mid_last"].to_numpy()
    return frame.with_columns(
        close=mid * (1 + HALF_SPREAD * side),
        microprice=mid * (1 + 1e-6 * rng.standard_normal(frame.height)),
        last_side=side,
    )


def judged(frame, instruments, factors=(), **changes):
    config = JudgeConfig(
        labels=LabelConfig(bucket_horizons=(1,)), models={"logistic": ModelConfig()}, factors=factors,
        replications=200, control_repeats=3, folds=3,
    ).replace(**changes)  # fmt: skip
    return Case(frame, judge(frame, config, instruments=instruments), instruments)


@pytest.fixture(scope="module")
def bounced(make_tape, instruments):
    frame = bouncing(make_tape(1200, 0.25))
    return judged(frame, instruments[:1], ("signal", "noise_1", "noise_2", "last_side"))


@pytest.fixture(scope="module")
def found(bounced):
    return compare_targets(bounced)


def skill(found, name):
    return next(one for one in found.skills if one.name == name)


def test_planted_bounce_is_told_from_skill(found):
    assert found.targets == ("mid", "micro", "trade")
    side, signal = skill(found, "last_side"), skill(found, "signal")
    # Half of the trade move is the side turning: r = -h s + ..., whose correlation is known.
    variance = (3e-4) ** 2 + 2 * HALF_SPREAD**2
    assert side.information["trade"].value == pytest.approx(-HALF_SPREAD / math.sqrt(variance), abs=0.06)
    assert abs(side.information["mid"].value) < 0.08
    assert side.bounce
    assert side.excess.value == pytest.approx(side.information["mid"].value - side.information["trade"].value)
    assert signal.information["mid"].value == pytest.approx(0.25, abs=0.07)
    assert signal.information["micro"].value == pytest.approx(signal.information["mid"].value, abs=0.01)
    assert not signal.bounce
    assert not skill(found, "logistic").bounce
    assert skill(found, "logistic").kind == "model"


def test_moves_and_the_spread_they_imply(found, bounced):
    for target, value in price_bounce(bounced.frame).items():
        assert found.moves[target]["autocorrelation"].value == pytest.approx(value)
    trade = found.moves["trade"]
    assert trade["bounce_spread_bps"].value == pytest.approx(2e4 * HALF_SPREAD, rel=0.1)
    assert trade["autocorrelation"].value == pytest.approx(
        -(HALF_SPREAD**2) / ((3e-4) ** 2 + 2 * HALF_SPREAD**2), abs=0.06
    )
    assert trade["autocorrelation"].significant
    assert not found.moves["mid"]["autocorrelation"].significant
    assert found.moves["mid"]["rms_bps"].value == pytest.approx(3.0, rel=0.1)


def test_a_model_that_lives_on_bounce_is_called_out(bounced):
    table = bounced.judgement.predictions.drop("score").join(
        bounced.frame.select("bucket_id", score="last_side"), on="bucket_id", how="left"
    )
    fooled = dataclasses.replace(bounced, judgement=dataclasses.replace(bounced.judgement, predictions=table))
    result = compare_targets(fooled)
    assert skill(result, "logistic").bounce
    assert "is bounce" in price_targets_section(result, fooled).items[0].text
    assert price_targets_section(result, fooled).items[0].tone == "bad"


def test_score_ic_on_the_mid_is_the_judgements(found, bounced):
    metrics = bounced.judgement.models["logistic"].horizons["1_buckets"].metrics
    assert skill(found, "logistic").information["mid"].value == pytest.approx(metrics["ic"].value, abs=0.01)


def test_choice_of_factors(bounced):
    chosen = compare_targets(bounced, PriceTargetsConfig(strongest=1, bounciest=1))
    assert [one.name for one in chosen.skills] == ["logistic", "signal", "last_side"]


def test_without_trades_or_micro_price(case):
    result = compare_targets(case)
    assert result.targets == ("mid",)
    assert len([note for note in result.notes if "no column 'microprice'" in note or "no trades" in note]) == 2
    assert math.isnan(result.skills[0].excess.value)
    assert not result.skills[0].bounce
    section = price_targets_section(result, case)
    assert [item.kind for item in section.items] == ["note", "note", "table", "table"]
    empty = dataclasses.replace(case, frame=case.frame.with_columns(close=pl.lit(None, pl.Float64)))
    assert compare_targets(empty).targets == ("mid",)


def test_few_trades_and_excluded_rows(bounced):
    holes = bounced.frame.with_columns(close=pl.when(pl.col("bucket_id") % 4 > 0).then("close"))
    result = compare_targets(dataclasses.replace(bounced, frame=holes))
    assert result.shared == pytest.approx(0.5, abs=0.02)
    assert any("have every target" in note for note in result.notes)
    table = bounced.judgement.predictions.with_columns(excluded=pl.lit(True))
    none = dataclasses.replace(bounced, judgement=dataclasses.replace(bounced.judgement, predictions=table))
    assert skill(compare_targets(none), "logistic").information["mid"].n == 0
    assert "Too few rows" in price_targets_section(compare_targets(none), none).items[0].text


def test_nothing_moves(make_tape, instruments):
    frame = bouncing(make_tape(60)).with_columns(mid_last=pl.lit(100.0), mid_open=pl.lit(100.0), close=pl.lit(100.0))
    flat = judged(frame, instruments[:1], min_rows=1000)
    result = compare_targets(flat)
    assert math.isnan(result.moves["mid"]["rms_bps"].value)
    assert any("no model was judged" in note for note in result.notes)
    price_targets_section(result, flat)
    assert json.dumps(result.summary(), allow_nan=False)
    tiny = judged(frame[:2], instruments[:1])
    assert compare_targets(tiny).skills == ()
    price_targets_section(compare_targets(tiny), tiny)


def test_seconds_and_panel(make_tape, instruments):
    frame = pl.concat([bouncing(make_tape(400, 0.3, 1)), bouncing(make_tape(400, 0.3, 2, symbol="ETH-USDT"), 3)])
    panel = judged(frame, instruments, ("signal", "noise_1", "last_side"))
    result = compare_targets(panel)
    assert skill(result, "last_side").bounce
    assert not skill(result, "signal").bounce
    labels = LabelConfig(bucket_horizons=(), time_horizons_s=(30.0,))
    timed = judged(frame, instruments, ("signal", "last_side"), labels=labels.to_mapping())
    assert any("last bucket end" in note for note in compare_targets(timed).notes)


def test_section_and_summary(found, bounced):
    section = price_targets_section(found, bounced)
    assert section.slug == "price-targets"
    assert section.items[0].tone in {"good", "warn"}
    assert [item.kind for item in section.items] == ["note", "figure", "table", "table"]
    summary = json.loads(json.dumps(found.summary(), allow_nan=False))
    assert summary["skills"][0]["kind"] == "model"
    assert summary["targets"]["trade"]["autocorrelation"]["value"] < -0.2


def test_a_blind_model_is_said_to_be_blind(bounced):
    noise = np.random.default_rng(1).standard_normal(bounced.judgement.predictions.height)
    table = bounced.judgement.predictions.with_columns(score=pl.Series(noise))
    blind = dataclasses.replace(bounced, judgement=dataclasses.replace(bounced.judgement, predictions=table))
    assert "no skill on the mid" in price_targets_section(compare_targets(blind), blind).items[0].text


def test_paired_information_is_the_usual_ic():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(500), rng.standard_normal((500, 2))
    plan = plan_blocks(500, 8, 300, 1)
    found = paired_information(x, y, plan)
    for place, metric in enumerate(found.metrics):
        alone = information_coefficient(x, y[:, place], plan)
        assert (metric.value, metric.low, metric.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert np.isnan(paired_information(np.ones(500), y, plan).values).all()
    with pytest.raises(DataError, match="align the rows"):
        paired_information(x, y[:, 0], plan)


@pytest.mark.parametrize("name", ["strongest", "bounciest"])
def test_bad_settings(name):
    with pytest.raises(ConfigError, match="was -1"):
        PriceTargetsConfig(**{name: -1})
