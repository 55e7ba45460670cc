"""Baselines: deterministic, configured, and honest about classes they never saw."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.models import (
    ModelConfig,
    build_model,
    factor_names,
    factor_signature,
    feature_matrix,
    fit_model,
    predict_classes,
)


def problem(n=600, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    move = X[:, 0] + 0.5 * rng.normal(size=n)
    X[rng.random(X.shape) < 0.05] = np.nan
    return X, ((move > 0.4).astype(np.int8) - (move < -0.4).astype(np.int8))


@pytest.mark.parametrize("kind", ["logistic", "lightgbm"])
def test_learns_and_repeats_itself(kind):
    X, y = problem()
    first, second = (predict_classes(fit_model(build_model(ModelConfig(kind=kind), 0), X, y), X) for _ in range(2))
    assert (first == second).all()
    assert first.sum(axis=1) == pytest.approx(1)
    assert np.corrcoef(first[:, 2] - first[:, 0], y)[0, 1] > 0.7


def test_lightgbm_does_not_depend_on_threads_but_on_the_seed():
    X, y = problem()
    one, two, other = (
        predict_classes(fit_model(build_model(ModelConfig(kind="lightgbm", threads=threads), seed), X, y), X)
        for threads, seed in ((1, 0), (2, 0), (1, 1))
    )
    assert (one == two).all()
    assert (one != other).any()


@pytest.mark.parametrize("kind", ["logistic", "lightgbm"])
def test_class_never_seen_has_probability_zero(kind):
    X, y = problem()
    model = fit_model(build_model(ModelConfig(kind=kind)), X, np.where(y == 0, np.int8(-1), y))
    p = predict_classes(model, X)
    assert (p[:, 1] == 0).all()
    assert p[:, [0, 2]].sum(axis=1) == pytest.approx(1)
    assert predict_classes(model, X[:0]).shape == (0, 3)


def test_fitting_leaves_the_model_unfitted():
    X, y = problem()
    model = build_model(ModelConfig())
    fit_model(model, X, y)
    assert not hasattr(model.named_steps["model"], "classes_")


def test_solver_that_stops_early_is_no_error():
    X, y = problem()
    model = build_model(ModelConfig()).set_params(model__max_iter=1)
    assert fit_model(model, X, y).named_steps["model"].n_iter_[0] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"inverse_penalty": 0.0},
        {"learning_rate": float("nan")},
        {"clip": -1.0},
        {"trees": 0},
        {"leaves": 1},
        {"row_share": 1.5},
        {"threads": 0},
    ],
)
def test_bad_configuration(change):
    with pytest.raises(ConfigError, match=f"{next(iter(change))} was"):
        ModelConfig(**change)


def frame():
    return pl.DataFrame(
        {
            "exchange": ["x", "x"],
            "market_type": ["spot", "spot"],
            "symbol": ["B", "A"],
            "bucket_id": [0, 0],
            "volume": [1.0, 2.0],
            "ofi": [0.5, None],
            "depth": [1.0, 2.0],
        }
    )


def test_factor_columns_and_matrix():
    assert factor_names(frame()) == ("ofi", "depth")
    X = feature_matrix(frame(), ("depth", "ofi"), ("x:spot:A",))
    assert X[:, 0].tolist() == [1.0, 2.0]
    assert np.isnan(X[1, 1])
    assert X[:, 2].tolist() == [0.0, 1.0]
    with pytest.raises(DataError, match="did you mean 'ofi'"):
        feature_matrix(frame(), ("ofo",))
    with pytest.raises(DataError, match="no factor column"):
        factor_names(frame().drop("ofi", "depth"))


def test_signature_covers_order_and_definitions():
    assert factor_signature(["a", "b"]) != factor_signature(["b", "a"])
    assert factor_signature(["a"], {"a": "v1"}) != factor_signature(["a"], {"a": "v2"})
