"""Training again on another past and other inputs: what each change does to signals whose nature is known."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError
from marketprism.evaluate import JudgeConfig, judge
from marketprism.evaluate import counterfactual as module
from marketprism.evaluate.case import Case
from marketprism.evaluate.counterfactual import CounterfactualConfig, retrain_counterfactuals
from marketprism.labels import LabelConfig
from marketprism.models import ModelConfig

NAMES = [
    "without_wild", "without_third_1", "without_third_2", "without_third_3", "late", "noise", "clipped",
    "without_strongest",
]  # fmt: skip


@pytest.fixture(scope="module")
def result(case):
    return retrain_counterfactuals(case)


def by_name(result, model="logistic"):
    return {row.name: row for row in result.rows if row.model == model}


def test_every_change_of_the_first_model_is_judged(case, result):
    assert [row.name for row in result.rows] == NAMES
    assert {row.model for row in result.rows} == {case.names[0]}
    summary = result.summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert list(summary["models"]["logistic"]) == NAMES


def test_original_is_the_judged_number(case, result):
    headline = case.judgement.models["logistic"].horizons[case.judgement.primary].metrics
    for row in result.rows:
        if row.folds == len(case.judgement.folds):
            assert row.original.value == pytest.approx(headline["ic"].value, abs=1e-12)
            assert row.ic.value - row.original.value == pytest.approx(row.change.value, abs=1e-12)
            assert row.net.value - row.net_change.value == pytest.approx(headline["net_pnl_bps"].value, abs=1e-6)


def test_a_signal_of_one_bucket_dies_late_and_lives_through_the_rest(result):
    found = by_name(result)
    assert found["late"].broken
    assert abs(found["late"].ic.value) < 0.1
    for name in ("without_wild", "without_third_2", "noise", "clipped"):
        assert not found[name].broken
        assert found[name].ic.value > 0.12
    # The signal is the strongest of four factors, half of which are taken away.
    assert found["without_strongest"].broken
    assert found["without_strongest"].change.high < 0


def test_training_rows_leave_and_tested_rows_stay(case, monkeypatch):
    seen = {}

    def spy(problem, model, splitter, **options):
        done = original(problem, model, splitter, **options)
        seen[len(seen)] = (problem, done)
        return done

    original = module.run_folds
    monkeypatch.setattr(module, "run_folds", spy)
    retrain_counterfactuals(case)
    tested = case.judgement.predictions.filter((pl.col("model") == "logistic") & (pl.col("horizon") == "1_buckets"))
    n = len(case.problem.X)
    for number, (problem, (_, _, fold, _)) in seen.items():
        assert (fold >= 0).sum() == tested.height
        lost = np.flatnonzero(problem.barred & ~case.problem.barred)
        if NAMES[number].startswith("without_third"):
            third = int(NAMES[number][-1]) - 1
            assert lost.tolist() == np.flatnonzero(np.arange(n) * 3 // n == third).tolist()
        elif NAMES[number] == "without_wild":
            assert lost.size == pytest.approx(0.1 * n, abs=2)
            squares = np.nan_to_num(case.problem.returns) ** 2
            assert squares[lost].mean() > squares[np.setdiff1d(np.arange(n), lost)].mean()
        else:
            assert lost.size == 0
    late = seen[NAMES.index("late")][0]
    segment = case.problem.rows["segment"].to_numpy()
    same = segment[1:] == segment[:-1]
    assert np.array_equal(late.X[1:][same], case.problem.X[:-1][same], equal_nan=True)
    assert np.isnan(late.X[1:][~same]).all()
    noisy = seen[NAMES.index("noise")][0]
    added = noisy.X - case.problem.X
    assert np.nanstd(added, axis=0) == pytest.approx(0.1 * np.nanstd(case.problem.X, axis=0), rel=0.3)
    clipped = seen[NAMES.index("clipped")][0].X
    assert np.nanmax(np.abs(clipped)) < 2.5 < np.nanmax(np.abs(case.problem.X))
    assert "signal" not in seen[NAMES.index("without_strongest")][0].factors


def test_same_seed_same_numbers_with_more_jobs(case, result):
    from dataclasses import replace

    config = case.judgement.config.replace(jobs=2)
    again = retrain_counterfactuals(replace(case, judgement=replace(case.judgement, config=config)))
    assert again == result


def test_models_can_be_chosen(case):
    every = retrain_counterfactuals(case, CounterfactualConfig(all_models=True))
    assert {row.model for row in every.rows} == set(case.names)
    one = retrain_counterfactuals(case, CounterfactualConfig(models=("loose",)))
    assert {row.model for row in one.rows} == {"loose"}
    with pytest.raises(ConfigError, match="lose"):
        retrain_counterfactuals(case, CounterfactualConfig(models=("lose",)))


def test_panel(panel_case):
    found = by_name(retrain_counterfactuals(panel_case))
    headline = panel_case.judgement.models["logistic"].horizons["1_buckets"].metrics["ic"]
    assert found["noise"].original.value == pytest.approx(headline.value, abs=1e-12)
    assert list(found) == NAMES
    assert found["late"].broken


def small(make_tape, instruments, tape, **options):
    config = JudgeConfig(
        labels=LabelConfig(bucket_horizons=(1,)), models={"logistic": ModelConfig()}, replications=100,
        control_repeats=3, **options,
    )  # fmt: skip
    return Case(tape, judge(tape, config, instruments=instruments[:1]), instruments[:1])


def test_nothing_judged_is_a_note(make_tape, instruments):
    result = retrain_counterfactuals(small(make_tape, instruments, make_tape(60)))
    assert result.rows == ()
    assert result.notes == ("no model was judged, so none could be trained again",)


def test_one_factor_and_one_fold_are_notes(make_tape, instruments):
    tape = make_tape(240, noise=1).with_columns(noise_0=pl.lit(None, pl.Float64))
    one = small(make_tape, instruments, tape, factors=("signal",), folds=1, min_rows=40)
    result = retrain_counterfactuals(one)
    assert "without_strongest" not in by_name(result)
    assert "only one factor: none could be taken away" in result.notes
    constant = tape.with_columns(signal=pl.lit(1.0))
    result = retrain_counterfactuals(small(make_tape, instruments, constant))
    assert not by_name(result)["noise"].original.significant
    assert not any(row.broken for row in result.rows)


def test_a_past_that_is_all_left_out_is_a_note(make_tape, instruments):
    config = CounterfactualConfig(wild_share=0.99)
    result = retrain_counterfactuals(small(make_tape, instruments, make_tape(300), folds=1), config)
    assert any("nothing was left to train on" in note for note in result.notes)


@pytest.mark.parametrize(
    "wrong", [{"stretches": 0}, {"wild_share": 1.0}, {"noise": 0.0}, {"clip": float("inf")}, {"drop": 0}]
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        CounterfactualConfig(**wrong)
