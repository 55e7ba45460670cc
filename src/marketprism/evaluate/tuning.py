"""Nested tuning: parameters are chosen on purged inner folds of the training rows, never on a row that is tested."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from marketprism.core.errors import ConfigError
from marketprism.core.random import child_seed
from marketprism.evaluate.splitters import PurgedWalkForward
from marketprism.models.baselines import CLASSES, ModelConfig, build_model, fit_model, predict_classes

if TYPE_CHECKING:
    from optuna import Trial

__all__ = ["SPACES", "NestedSearch", "Range", "build_judged_model", "lighter"]

_FLOOR = 1e-6
_LEAST_ROWS = 20
"""Rows that each inner stretch must hold for anything to be chosen."""


@dataclass(frozen=True)
class Range:
    """Values that a parameter may take, both ends included.

    Parameters
    ----------
    low, high : float
        Ends; low below high, and above 0 where ``log``.
    log : bool
        Search the logarithm.
    whole : bool
        Whole numbers only.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigError(f"range was {self.low} to {self.high}", hint="the low end must lie below the high end")
        if self.log and self.low <= 0:
            raise ConfigError(f"range of logarithms began at {self.low}", hint="it must be positive")


SPACES: dict[str, dict[str, Range]] = {
    "logistic": {"model__C": Range(1e-5, 1.0, log=True)},
    "lightgbm": {
        "model__num_leaves": Range(2, 31, log=True, whole=True),
        "model__min_child_samples": Range(20, 200, log=True, whole=True),
        "model__learning_rate": Range(0.01, 0.2, log=True),
        "model__n_estimators": Range(20, 200, log=True, whole=True),
    },
}
"""What is searched for each kind of baseline."""


class NestedSearch(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that chooses its own parameters on the rows it is given to fit, by walking forward inside them.

    Optuna's TPE proposes parameters (the estimator's own come first); each proposal is fitted and tested on
    ``inner_folds`` purged walk-forward folds of the training rows, a label training only if it was known before the
    inner test began. The smallest log-loss over all inner test rows wins, and is refitted on every row. Used as the
    model of an outer walk-forward, no row of an outer test can influence the choice.

    Parameters
    ----------
    estimator : estimator
        Unfitted classifier over the classes -1, 0, 1.
    space : mapping of str to Range
        Parameters of ``estimator`` (as in ``set_params``) to choose.
    trials : int, default 20
        Proposals.
    inner_folds : int, default 3
        Inner walk-forward folds.
    seed : int
        Fixes the proposals.

    Attributes
    ----------
    best_params_ : dict
        The choice; empty where there were too few rows to choose (the estimator's own parameters then hold).
    best_loss_, first_loss_ : float
        Inner log-loss of the choice, which is too good to be expected again, and of the estimator's own parameters;
        NaN where nothing was chosen.
    best_estimator_ : estimator
        Fitted on every row: what is exported.
    classes_ : ndarray
        Its classes.

    References
    ----------
    Cawley and Talbot (2010), "On over-fitting in model selection", Journal of Machine Learning Research 11; Akiba et
    al. (2019), "Optuna", KDD.
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        space: Mapping[str, Range],
        *,
        trials: int = 20,
        inner_folds: int = 3,
        seed: int = 0,
    ) -> None:
        self.estimator = estimator
        self.space = space
        self.trials = trials
        self.inner_folds = inner_folds
        self.seed = seed

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, times: npt.ArrayLike | None = None) -> Self:
        """Choose, and refit the choice on all rows.

        Parameters
        ----------
        X, y : array-like
            Features and classes.
        times : array of shape (n, 2), optional
            When each row, and its label, was known, ns UTC; without it rows are taken to be in time order with labels
            that end one row later.

        Raises
        ------
        ConfigError
            ``trials`` or ``inner_folds`` is not positive, or the space is empty.
        """
        for name, value in (("trials", self.trials), ("inner_folds", self.inner_folds), ("space", len(self.space))):
            if value < 1:
                raise ConfigError(f"{name} was {value}", hint="it must be at least 1")
        features, classes = np.asarray(X, np.float64), np.asarray(y)
        order = np.arange(len(features), dtype=np.int64)
        when = np.column_stack((order, order + 1)) if times is None else np.asarray(times, np.int64)
        self.best_params_: dict[str, Any] = {}
        self.best_loss_ = self.first_loss_ = math.nan
        distinct = np.unique(when[:, 0]).size
        if distinct >= _LEAST_ROWS * (self.inner_folds + 1) and np.unique(classes).size > 1:
            splits = list(PurgedWalkForward(self.inner_folds).split(features, classes, when))
            self._search(features, classes, when, splits)
        chosen = clone(self.estimator).set_params(**self.best_params_)
        self.best_estimator_ = fit_model(chosen, features, classes, times=when)
        self.classes_ = self.best_estimator_.classes_
        return self

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probabilities of ``classes_`` by the chosen model."""
        return np.asarray(self.best_estimator_.predict_proba(X), np.float64)

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the most probable class of each row."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def _search(
        self,
        X: npt.NDArray[np.float64],
        y: npt.NDArray[Any],
        when: npt.NDArray[np.int64],
        splits: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
    ) -> None:
        import optuna

        def loss(trial: Trial) -> float:
            model = clone(self.estimator).set_params(**{name: _suggest(trial, name, one) for name, one in space})
            return _inner_loss(model, X, y, when, splits)

        space = sorted(self.space.items())
        own = self.estimator.get_params()
        start = {name: own[name] for name, one in space if name in own and _inside(own[name], one)}
        with _quiet():
            sampler = optuna.samplers.TPESampler(
                seed=child_seed(self.seed, "tuning") % 2**32, n_startup_trials=max(3, min(10, self.trials // 2))
            )
            study = optuna.create_study(direction="minimize", sampler=sampler)
            study.enqueue_trial(start)
            study.optimize(loss, n_trials=self.trials)
        self.best_params_ = dict(sorted(study.best_params.items()))
        self.best_loss_, self.first_loss_ = float(study.best_value), float(study.trials[0].value or math.nan)


def _suggest(trial: Trial, name: str, one: Range) -> float | int:
    if one.whole:
        return int(trial.suggest_int(name, round(one.low), round(one.high), log=one.log))
    return float(trial.suggest_float(name, one.low, one.high, log=one.log))


def _inside(value: Any, one: Range) -> bool:
    return isinstance(value, int | float) and one.low <= value <= one.high


def _inner_loss(
    model: BaseEstimator,
    X: npt.NDArray[np.float64],
    y: npt.NDArray[Any],
    when: npt.NDArray[np.int64],
    splits: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
) -> float:
    """Mean log-loss over the inner test rows; a fold whose training rows hold one class scores its shares."""
    total, rows = 0.0, 0
    for train, test in splits:
        column = np.searchsorted(np.array(CLASSES), y[test])
        if np.unique(y[train]).size < 2:
            counts = np.array([(y[train] == label).sum() for label in CLASSES]) + 1.0
            predicted = np.tile(counts / counts.sum(), (test.size, 1))
        else:
            predicted = predict_classes(fit_model(model, X[train], y[train], times=when[train]), X[test])
        total -= float(np.log(np.maximum(predicted[np.arange(test.size), column], _FLOOR)).sum())
        rows += test.size
    return total / rows


@contextmanager
def _quiet() -> Iterator[None]:
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def build_judged_model(config: ModelConfig, seed: int = 0, *, by_series: bool = False) -> BaseEstimator:
    """Return the unfitted baseline of a configuration, inside a nested search where it asks for one."""
    model = build_model(config, seed, by_series=by_series)
    if config.tuning is None:
        return model
    return NestedSearch(
        model,
        SPACES[config.kind],
        trials=config.tuning.trials,
        inner_folds=config.tuning.inner_folds,
        seed=child_seed(seed, "search", config.kind),
    )


def lighter(model: BaseEstimator, trials: int = 3) -> BaseEstimator:
    """Return the model with at most ``trials`` proposals if it searches, else as it is.

    Controls train dozens of models; whether labels leak into a search shows with a few proposals as well.
    """
    if not isinstance(model, NestedSearch) or model.trials <= trials:
        return model
    return clone(model).set_params(trials=trials)
