"""SHAP values add up, agree with the library, and know the important inputs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from marketprism.models.baselines import ModelConfig, build_model, fit_model, predict_classes
from marketprism.models.explain import explain, input_view
from marketprism.models.scaler import FactorScaler


def planted(n: int = 900, holes: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Input 0 matters most, 1 less, 2 and 3 only together, the rest not at all."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((n, 7))
    pull = 2.0 * X[:, 0] + 0.8 * X[:, 1] + 1.2 * X[:, 2] * X[:, 3] + rng.standard_normal(n)
    y = np.where(pull > 0.8, 1, np.where(pull < -0.8, -1, 0)).astype(np.int8)
    if holes:
        X[rng.random(X.shape) < 0.05] = np.nan
    return X, y


@pytest.mark.parametrize("kind", ["logistic", "lightgbm"])
@pytest.mark.parametrize("holes", [False, True])
def test_values_add_up_to_the_log_odds(kind: str, holes: bool) -> None:
    X, y = planted(holes=holes)
    model = fit_model(build_model(ModelConfig(kind=kind)), X, y)  # type: ignore[arg-type]
    found = explain(model, X)
    probabilities = predict_classes(model, X)
    truth = np.log(probabilities[:, 2] / probabilities[:, 0])
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), truth, rtol=0, atol=1e-9)
    assert found.kind == {"logistic": "linear", "lightgbm": "tree"}[kind]
    strength = np.abs(found.values).mean(axis=0)
    assert strength[0] > strength[1] > strength[4:].max()
    assert found.interactions is None
    assert found.note == ""


def test_linear_values_are_slope_times_distance() -> None:
    X, y = planted()
    model = LogisticRegression().fit(X, y)
    found = explain(model, X)
    slope = model.coef_[2] - model.coef_[0]
    np.testing.assert_allclose(found.values, slope * (X - X.mean(axis=0)), atol=1e-12)


def test_tree_values_are_lightgbms_own() -> None:
    X, y = planted()
    model = LGBMClassifier(n_estimators=20, num_leaves=7, verbose=-1, n_jobs=1).fit(X, y)
    own = np.asarray(model.booster_.predict(X, pred_contrib=True)).reshape(len(X), 3, 8)
    found = explain(model, X)
    np.testing.assert_allclose(found.values, own[:, 2, :7] - own[:, 0, :7], atol=1e-12)
    assert found.base == pytest.approx(float(own[0, 2, 7] - own[0, 0, 7]), abs=1e-12)


def test_interactions_find_the_pair_and_say_their_cap() -> None:
    X, y = planted()
    model = fit_model(build_model(ModelConfig(kind="lightgbm", min_leaf_rows=20, learning_rate=0.1)), X, y)
    leaves = sum(int(tree["num_leaves"]) for tree in model[-1].booster_.dump_model()["tree_info"])
    found = explain(model, X, interaction_budget=40 * leaves)
    pairs = found.interactions
    assert pairs is not None
    upper = np.triu(pairs, 1)
    assert np.unravel_index(int(upper.argmax()), upper.shape) == (2, 3)
    assert found.interaction_rows == 40
    assert "40 of 900 rows" in found.note
    assert f"{40 * leaves:,}" in found.note
    assert explain(model, X, interaction_budget=leaves - 1).interactions is None


def test_interactions_add_up_to_the_values() -> None:
    X, y = planted(200)
    model = LGBMClassifier(n_estimators=5, num_leaves=5, verbose=-1, n_jobs=1).fit(X, y)
    found = explain(model, X, interaction_budget=10**9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap

        raw = np.asarray(shap.TreeExplainer(model).shap_interaction_values(X))
    edge = raw[..., 2] - raw[..., 0]
    np.testing.assert_allclose(edge.sum(axis=2), found.values, atol=1e-9)
    assert found.interactions is not None
    assert found.interactions[2, 3] == pytest.approx(2 * np.abs(edge[:, 2, 3]).mean(), abs=1e-12)
    assert found.interactions[0, 0] == pytest.approx(np.abs(edge[:, 0, 0]).mean(), abs=1e-12)
    assert found.note == ""


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(15, max_depth=4, random_state=0),
        DecisionTreeClassifier(max_depth=3, random_state=0),
        HistGradientBoostingClassifier(max_iter=15, random_state=0),
        LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1),
        make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
    ],
)
@pytest.mark.parametrize("drop", [None, 0, 1, -1])
def test_users_models_and_two_classes(model: object, drop: int | None) -> None:
    X, y = planted()
    rows = y != drop if drop is not None else np.ones(len(y), bool)
    found = explain(model.fit(X[rows], y[rows]), X, interaction_budget=2_000)  # type: ignore[attr-defined]
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), found.output, atol=1e-9)
    assert found.kind in {"linear", "tree"}
    edge = predict_classes(model, X)  # type: ignore[arg-type]
    # The larger what is explained, the larger the score that is traded.
    assert np.corrcoef(found.output, edge[:, 2] - edge[:, 0])[0, 1] > 0.7


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), PCA(4, random_state=0), LogisticRegression()),
        make_pipeline(FactorScaler(), StandardScaler(), LogisticRegression()),
        make_pipeline("passthrough", DummyClassifier()),
    ],
)
def test_other_models_are_sampled_within_their_budget(model: object) -> None:
    X, y = planted()
    model.fit(X, y)  # type: ignore[attr-defined]
    found = explain(model, X, seed=3, sample_budget=4_000)
    assert found.kind == "sampled"
    assert found.rows.size == 4_000 // (2 * 8 * 5)
    assert "sampled on 50 of 900 rows" in found.note
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), found.output, atol=1e-12)
    assert found.values.tobytes() == explain(model, X, seed=3, sample_budget=4_000).values.tobytes()


def test_sampled_values_are_exact_for_sums() -> None:
    class Sum:
        classes_ = np.array((-1, 0, 1))

        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            up = 0.5 + 0.01 * (3 * X[:, 0] - X[:, 1])
            return np.column_stack((1 - up, np.zeros_like(up), up))

    X = planted(6)[0]
    found = explain(Sum(), X)
    background = X[[0, 1, 2, 3, 5]].mean(axis=0)
    np.testing.assert_allclose(found.values[:, 0], 0.06 * (X[:, 0] - background[0]), atol=1e-12)
    np.testing.assert_allclose(found.values[:, 1], -0.02 * (X[:, 1] - background[1]), atol=1e-12)
    assert found.note == "sampled"
    np.testing.assert_array_equal(found.values[:, 2:], 0.0)


def test_no_rows_give_no_values() -> None:
    X, y = planted()
    found = explain(LogisticRegression().fit(X, y), X[:0])
    assert found.values.shape == (0, 7)


def test_indicators_count_for_their_input() -> None:
    X, y = planted(holes=True)
    view = input_view(fit_model(build_model(ModelConfig()), X, y), 7)
    assert view.source.tolist() == [*range(7), *range(7)]
    dropped = make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression()).fit(X, y)
    assert input_view(dropped, 7).transform is None


def test_series_code_of_a_panel_moves_nothing_by_itself() -> None:
    X, y = planted()
    panel = np.column_stack((X, np.arange(len(X)) % 2 + 1.0))
    model = fit_model(build_model(ModelConfig(), by_series=True), panel, y)
    found = explain(model, panel)
    assert found.values.shape == (len(X), 8)
    assert not found.values[:, 7].any()
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), found.output, atol=1e-9)
