"""Steadiness: periods, drift that was planted and none that was not, persistence, paths, and what is left out."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError
from marketprism.evaluate.case import Case
from marketprism.evaluate.config import JudgeConfig
from marketprism.evaluate.judge import judge
from marketprism.evaluate.slices import DAY_NS
from marketprism.evaluate.slicing import scored_rows
from marketprism.evaluate.stability_report import StabilityConfig, assess_stability
from marketprism.labels.config import LabelConfig
from marketprism.models.baselines import ModelConfig


def _case(frame, instruments, **settings):
    config = JudgeConfig(
        labels=LabelConfig(bucket_horizons=(1,)),
        models={"logistic": ModelConfig()},
        replications=200,
        control_repeats=3,
        **settings,
    )
    return Case(frame, judge(frame, config, instruments=instruments[:1]), instruments[:1])


@pytest.fixture(scope="module")
def report(case):
    return assess_stability(case)


def test_equal_runs_of_a_short_span(case, report):
    rows = scored_rows(case, case.best)
    assert report.period_name == "run"
    assert report.periods.height == 8
    assert report.periods["n"].sum() == rows.height
    assert report.periods["n"].max() - report.periods["n"].min() <= 1
    first = rows.head(report.periods["n"][0])
    assert report.periods["ic"][0] == pytest.approx(np.corrcoef(first["score"], first["target"])[0, 1])
    assert report.periods["start"][0] == first["ts_known"][0]
    assert report.periods["end"][0] == first["ts_known"][-1]
    ics = report.periods["ic"].to_numpy()
    assert report.ratio.value == pytest.approx(ics.mean() / ics.std(ddof=1))
    assert report.positive_share == np.mean(ics > 0)
    assert report.positive_p == pytest.approx(0.5**8 * (1 if report.positive_share == 1 else 9), rel=1e-9)


def test_days_and_weeks(make_tape, instruments):
    frame = make_tape(1200)
    first = frame["ts_known"][0]
    for stretch, name in ((6, "day"), (45, "week")):
        factor = stretch * DAY_NS / (frame["ts_known"][-1] - first)
        times = {
            column: first + ((frame[column] - first) * factor).cast(pl.Int64)
            for column in ("ts_start", "ts_end", "ts_known")
        }
        report = assess_stability(_case(frame.with_columns(**times), instruments))
        assert report.period_name == name
        assert report.periods.height >= 4


def test_the_signal_goes_on_working(report):
    assert report.across.value > 0.2
    assert report.overfitting.probability < 0.2
    assert report.overfitting.out_of_sample > 0.05
    assert report.paths.negative_share == 0
    assert report.paths.model == "logistic"


def test_no_drift_where_nothing_changed(report):
    assert report.drift.height >= 5
    assert report.drift["p_holm"].min() > 0.05
    assert {"score", "signal"} <= set(report.drift["name"])
    assert set(report.drift["comparison"]) == {"train to test", "first to second half"}
    assert (report.drift["psi_null"] > 0).all()


def test_planted_drift_is_found(make_tape, instruments):
    frame = make_tape(1200)
    later = pl.int_range(pl.len()) >= 700
    frame = frame.with_columns(noise_1=pl.when(later).then(pl.col("noise_1") + 2.0).otherwise("noise_1"))
    found = assess_stability(_case(frame, instruments)).drift
    hit = found.filter(pl.col("name") == "noise_1", pl.col("comparison") == "first to second half").row(0, named=True)
    assert hit["psi"] > hit["psi_null"]
    assert hit["ks"] > hit["ks_null"]
    assert hit["p_holm"] < 0.05
    assert found.filter(pl.col("name") == "signal")["p_holm"].min() > 0.05


def test_summary_is_plain(report):
    text = json.loads(json.dumps(report.summary(), allow_nan=False))
    assert text["period"] == "run"
    assert len(text["paths"]["paths"]) == 5
    assert text["overfitting"]["splits"] == 70


def test_result_does_not_depend_on_jobs(case, report):
    judgement = dataclasses.replace(case.judgement, config=case.judgement.config.replace(jobs=2))
    assert assess_stability(dataclasses.replace(case, judgement=judgement)).summary() == report.summary()


def test_panel(panel_case):
    report = assess_stability(panel_case)
    assert report.periods["n"].sum() == scored_rows(panel_case, panel_case.best).height
    assert report.paths.paths.height == 5
    json.dumps(report.summary(), allow_nan=False)


def test_without_models(make_tape, instruments):
    report = assess_stability(_case(make_tape(60), instruments))
    assert report.model == ""
    assert report.periods.is_empty()
    assert "no model was judged" in report.notes[0]
    json.dumps(report.summary(), allow_nan=False)


def test_few_rows_and_constant_factors(make_tape, instruments):
    frame = make_tape(175).with_columns(noise_0=pl.lit(1.0), noise_1=pl.lit(None, pl.Float64))
    report = assess_stability(_case(frame, instruments))
    assert report.overfitting is None
    assert report.paths is None
    assert report.drift.is_empty()
    assert np.isnan(report.across.value)
    told = " ".join(report.notes)
    for what in ("overfitting by choice", "backtest paths", "drift"):
        assert what in told
    json.dumps(report.summary(), allow_nan=False)


def test_caps_are_said(case):
    report = assess_stability(case, StabilityConfig(path_rows=300))
    assert "the last 300 of" in " ".join(report.notes)
    assert report.paths.rows == 300


def test_settings_are_checked():
    for wrong in ({"runs": 5}, {"runs": 2}, {"top_factors": 0}, {"path_groups": 2}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            StabilityConfig(**wrong)
