"""Any sklearn estimator can be judged, or the error says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from marketprism.core.errors import ConfigError, DataError
from marketprism.models import (
    RegressorAsClassifier,
    VotesAsProbabilities,
    as_classifier,
    fit_model,
    predict_classes,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 3))
X[::7, 1] = np.nan
Y = np.sign(np.round(X[:, 0] + RNG.normal(size=600))).astype(np.int8)


class Odd(BaseEstimator):
    """Fits and predicts, and says neither of which kind."""

    def fit(self, X: Any, y: Any) -> Odd:
        return self

    def predict(self, X: Any) -> Any:
        return np.zeros(len(X))


class Bare:
    """A classifier that owes nothing to sklearn."""

    def fit(self, X: Any, y: Any) -> Bare:
        self.classes_ = np.unique(y)
        return self

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {}

    def predict_proba(self, X: Any) -> Any:
        return np.full((len(X), self.classes_.size), 1 / self.classes_.size)


@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(),
        RandomForestRegressor(5, random_state=0),
        HistGradientBoostingRegressor(max_iter=5),
        LogisticRegression(),
        LinearSVC(),
        RidgeClassifier(),
        KNeighborsClassifier(50),
        HistGradientBoostingClassifier(max_iter=5),
    ],
)
def test_every_kind_gives_probabilities_that_know_something(model: BaseEstimator) -> None:
    adapted = as_classifier(model)
    probabilities = predict_classes(fit_model(adapted, X[:400], Y[:400]), X[400:])
    assert probabilities.shape == (200, 3)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert (probabilities >= 0).all()
    assert np.corrcoef(probabilities[:, 2] - probabilities[:, 0], Y[400:])[0, 1] > 0.4
    clone(adapted)


def test_what_needs_nothing_stays_itself() -> None:
    model = HistGradientBoostingClassifier()
    assert as_classifier(model) is model
    assert isinstance(as_classifier(HistGradientBoostingRegressor()), RegressorAsClassifier)
    wrapped = as_classifier(RidgeClassifier(), by_series=True)
    assert isinstance(wrapped, Pipeline)
    assert wrapped[0].by_series
    assert isinstance(wrapped[1], VotesAsProbabilities)


def test_the_score_of_a_regressor_is_its_prediction() -> None:
    full = np.nan_to_num(X)
    plain = LinearRegression().fit(full, Y.astype(float)).predict(full)
    adapted = RegressorAsClassifier(LinearRegression()).fit(full, Y)
    most = 1 - (Y == 0).mean()
    p = adapted.predict_proba(full)
    inside = np.abs(plain) < most
    assert inside.mean() > 0.7
    assert np.allclose((p[:, 2] - p[:, 0])[inside], plain[inside])
    assert np.allclose(p[:, 1], (Y == 0).mean())
    assert (adapted.predict(full) == np.array([-1, 0, 1])[p.argmax(axis=1)]).all()


def test_votes_follow_the_decision_function_or_the_vote() -> None:
    full = np.nan_to_num(X)
    three = VotesAsProbabilities(RidgeClassifier()).fit(full, Y)
    assert (three.predict(full) == three.classes_[three.predict_proba(full).argmax(axis=1)]).all()
    two = VotesAsProbabilities(LinearSVC()).fit(full[Y != 0], Y[Y != 0])
    margin = two.classifier_.decision_function(full)
    assert np.allclose(two.predict_proba(full)[:, 1], 1 / (1 + np.exp(-margin)))

    class Voter(KNeighborsClassifier):
        predict_proba = None

    votes = VotesAsProbabilities(Voter(5)).fit(full, Y)
    assert (votes.predict_proba(full).max(axis=1) == 1).all()
    assert (votes.classes_[votes.predict_proba(full).argmax(axis=1)] == votes.predict(full)).all()


def test_models_that_owe_nothing_to_sklearn_are_taken_as_they_are() -> None:
    bare = Bare().fit(X, Y)
    assert predict_classes(bare, X[:2]).tolist() == [[1 / 3] * 3] * 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LinearRegression(), r"LinearRegression is a regressor.*as_classifier\(model\)"),
        (LinearSVC(), r"LinearSVC gives no probabilities.*as_classifier\(model\).*CalibratedClassifierCV"),
        (LogisticRegression, r"the class LogisticRegression .*LogisticRegression\(\)"),
        (lambda X: X, "model was a function"),
    ],
)
def test_what_cannot_be_judged_says_what_to_do(model: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit_model(model, X, Y)


def test_what_has_no_kind_cannot_be_adapted() -> None:
    with pytest.raises(ConfigError, match="Odd is neither classifier nor regressor"):
        as_classifier(Odd())
    with pytest.raises(ConfigError, match="Bare is neither classifier nor regressor"):
        as_classifier(Bare())  # type: ignore[arg-type]


def test_missing_values_are_explained_in_training_and_in_the_test() -> None:
    with pytest.raises(
        DataError, match=r"LogisticRegression takes no missing values; feature 1 .from 0. has 86 in 600"
    ):
        fit_model(LogisticRegression(), X, Y)
    fitted = fit_model(LogisticRegression(), np.nan_to_num(X), Y)
    with pytest.raises(DataError, match=r"feature 1 .*SimpleImputer"):
        predict_classes(fitted, X[:20])


def test_other_errors_of_a_model_pass_through() -> None:
    with pytest.raises(ValueError, match=r"penalty|C"):
        fit_model(LogisticRegression(C=-1.0), X, Y)
