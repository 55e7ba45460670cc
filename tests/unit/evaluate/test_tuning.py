"""Nested tuning: it finds a planted optimum, repeats itself, and never sees a row that is tested."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from marketprism.core.errors import ConfigError
from marketprism.evaluate import JudgeConfig, judge
from marketprism.evaluate.splitters import PurgedWalkForward
from marketprism.evaluate.tuning import SPACES, NestedSearch, Range, build_judged_model, lighter
from marketprism.evaluate.walkforward import prepare, run_folds
from marketprism.labels import LabelConfig, make_labels
from marketprism.models import ModelConfig, feature_matrix, to_onnx_bytes
from marketprism.models.baselines import TuningConfig

TUNED = ModelConfig(tuning=TuningConfig(trials=5, inner_folds=2))


class Planted(LogisticRegression):
    """Predicts the truth the better, the nearer ``sharpness`` is to .7: the optimum is known."""

    def __init__(self, sharpness: float = 0.1) -> None:
        super().__init__()
        self.sharpness = sharpness

    def predict_proba(self, X):
        truth = X[:, :1].astype(int) + 1 == np.arange(3)
        weight = 1 - abs(self.sharpness - 0.7)
        return weight * (0.9 * truth + 0.1 / 3) + (1 - weight) / 3


def labels_of(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, 2, n)


def test_planted_optimum_is_found():
    y = labels_of(400)
    search = NestedSearch(Planted(), {"sharpness": Range(0.0, 1.0)}, trials=30, seed=3).fit(y[:, None], y)
    assert search.best_params_["sharpness"] == pytest.approx(0.7, abs=0.05)
    assert search.best_loss_ < search.first_loss_
    assert search.best_estimator_.sharpness == search.best_params_["sharpness"]
    assert (search.predict(y[:, None]) == y).all()


def test_own_parameters_are_tried_first():
    y = labels_of(400)
    only = NestedSearch(Planted(0.65), {"sharpness": Range(0.0, 1.0)}, trials=1).fit(y[:, None], y)
    assert only.best_params_ == {"sharpness": 0.65}
    assert only.best_loss_ == only.first_loss_


@pytest.mark.parametrize("kind", ["logistic", "lightgbm"])
def test_same_seed_same_choice_in_the_space(kind, make_tape):
    X = feature_matrix(make_tape(400), ("signal", "noise_0"))
    y = labels_of(400)
    config = ModelConfig(kind=kind, trees=20, min_leaf_rows=20, tuning=TuningConfig(trials=4, inner_folds=2))
    first, again, other = (build_judged_model(config, seed).fit(X, y) for seed in (1, 1, 2))
    assert first.best_params_ == again.best_params_
    assert first.best_params_ != other.best_params_
    assert set(first.best_params_) == set(SPACES[kind])
    for name, value in first.best_params_.items():
        assert SPACES[kind][name].low <= value <= SPACES[kind][name].high
    assert np.array_equal(first.predict_proba(X), again.predict_proba(X))


def test_test_rows_never_influence_the_choice(make_tape):
    """Scramble everything from the first test on: the first fold's choice and the fits before it stay as they were."""
    tape = make_tape(500, ic=0.4)
    problem = prepare(tape, make_labels(tape, LabelConfig(bucket_horizons=(2,))), "2_buckets")
    splitter, model = PurgedWalkForward(2), build_judged_model(TUNED, 1)
    folds = run_folds(problem, model, splitter)[3]
    train, _ = next(splitter.split(problem.X, None, problem.times))
    rows = np.setdiff1d(np.arange(len(problem.X)), train)
    rng = np.random.default_rng(0)
    X, classes = problem.X.copy(), problem.classes.copy()
    X[rows] = 1e3 * rng.standard_normal((rows.size, X.shape[1]))
    classes[rows] = rng.integers(-1, 2, rows.size)
    from dataclasses import replace

    scrambled = run_folds(replace(problem, X=X, classes=classes), model, splitter)[3]
    assert folds[0].parameters
    assert folds[0].parameters == scrambled[0].parameters
    # The control: rows that do train change the choice of the fold that trains on them.
    assert folds[1].parameters != scrambled[1].parameters


def test_inner_folds_are_purged_by_label_end():
    """A label that ends after the inner test begins may not train there."""
    seen = []

    class Spy(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            seen.append(X[:, 0].copy())
            return super().fit(X, y, sample_weight)

    n = 200
    times = np.column_stack((np.arange(n), np.arange(n) + 30))
    X, y = np.arange(n, dtype=float)[:, None], labels_of(n)
    NestedSearch(Spy(), {"C": Range(0.1, 1.0)}, trials=1, inner_folds=2).fit(X, y, times=times)
    starts = [int(test[0]) for _, test in PurgedWalkForward(2).split(X, y, times)]
    assert [int(rows[-1]) for rows in seen] == [starts[0] - 31, starts[1] - 31, n - 1]
    seen.clear()
    NestedSearch(Spy(), {"C": Range(0.1, 1.0)}, trials=1, inner_folds=2).fit(X, y)
    assert int(seen[0][-1]) == starts[0] - 2


def test_too_few_rows_keep_the_own_parameters():
    y = labels_of(50)
    search = NestedSearch(Planted(0.2), {"sharpness": Range(0.0, 1.0)}).fit(y[:, None], y)
    assert search.best_params_ == {}
    assert np.isnan(search.best_loss_)
    assert search.best_estimator_.sharpness == 0.2


def test_an_inner_fold_of_one_class_scores_its_shares():
    y = np.r_[np.ones(60), labels_of(120)].astype(int)
    search = NestedSearch(Planted(), {"sharpness": Range(0.0, 1.0)}, trials=3, inner_folds=2).fit(y[:, None], y)
    assert np.isfinite(search.best_loss_)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Range(1.0, 1.0),
        lambda: Range(0.0, 1.0, log=True),
        lambda: TuningConfig(trials=0),
        lambda: NestedSearch(Planted(), {"sharpness": Range(0, 1)}, trials=0).fit([[1], [2]], [0, 1]),
        lambda: NestedSearch(Planted(), {}).fit([[1], [2]], [0, 1]),
    ],
)
def test_nonsense_is_refused(make):
    with pytest.raises(ConfigError):
        make()


def test_lighter_searches_less_and_leaves_others_alone():
    search = NestedSearch(Planted(), {"sharpness": Range(0, 1)}, trials=20)
    assert lighter(search).trials == 3
    assert search.trials == 20
    plain = Planted()
    assert lighter(plain) is plain
    assert clone(search).get_params()["trials"] == 20


def test_judged_exported_and_shown(make_tape, instruments):
    import onnxruntime

    tape = make_tape(500, ic=0.3)
    config = JudgeConfig(
        labels=LabelConfig(bucket_horizons=(1,)), models={"tuned": TUNED}, folds=2, replications=100, control_repeats=3
    )
    result = judge(tape, config, instruments=instruments)
    chosen = [dict(fold.parameters) for fold in result.folds]
    assert all(set(one) == {"model__C"} for one in chosen)
    assert result.summary()["parameters"] == {"tuned": chosen}
    assert all(control.passed for control in result.controls), result.notes
    fitted = result.fitted["tuned"]
    assert fitted.parameters["model__C"] == fitted.pipeline.named_steps["model"].C
    assert isinstance(fitted.estimator, NestedSearch)
    X = feature_matrix(tape, fitted.factors, fitted.series)
    session = onnxruntime.InferenceSession(to_onnx_bytes(fitted.pipeline))
    (served,) = session.run(None, {"factors": X})
    assert np.abs(served - fitted.pipeline.predict_proba(X)).max() <= 1e-5
    plain = judge(tape, config.replace(models={"plain": {}}), instruments=instruments)
    assert plain.summary()["parameters"] == {}
    assert plain.predictions.height == result.predictions.height
    assert isinstance(result.predictions, pl.DataFrame)
