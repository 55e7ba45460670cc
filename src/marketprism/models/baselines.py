"""The two baselines: logistic regression and LightGBM, each a deterministic sklearn pipeline."""

from __future__ import annotations

import functools
import math
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.core.random import child_seed

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import Pipeline
    from threadpoolctl import ThreadpoolController

__all__ = ["CLASSES", "ModelConfig", "TuningConfig", "build_model", "fit_model", "predict_classes"]

CLASSES = (-1, 0, 1)
"""Down, flat, up: the order of every probability triple."""


class TuningConfig(Config, frozen=True):
    """How parameters are chosen inside each training set.

    Parameters
    ----------
    trials : int
        Parameter sets tried.
    inner_folds : int
        Purged walk-forward folds inside the training rows on which each is tested.
    """

    trials: int = 20
    inner_folds: int = 3

    def __post_init__(self) -> None:
        for name in ("trials", "inner_folds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be at least 1")


class ModelConfig(Config, frozen=True):
    """One baseline and its parameters.

    Parameters
    ----------
    kind : {"logistic", "lightgbm"}
        Multinomial logistic regression (L2) or gradient boosted trees.
    inverse_penalty : float
        Logistic: sklearn's ``C``. The default is strict: factors are many and correlated, signals weak.
    trees, leaves, min_leaf_rows, learning_rate : int, int, int, float
        LightGBM: number of rounds, leaves a tree, rows a leaf at least, shrinkage.
    column_share, row_share : float
        LightGBM: share of factors per tree and of rows per round.
    clip : float
        Winsorising limit in robust standard deviations.
    threads : int
        LightGBM threads; the result does not depend on it.
    tuning : TuningConfig, optional
        Choose penalty (logistic) or leaves, rows a leaf, rate and trees (LightGBM) anew inside each training set; the
        values given here are the first that are tried. None: take them as they are.
    """

    kind: Literal["logistic", "lightgbm"] = "logistic"
    inverse_penalty: float = 0.003
    trees: int = 60
    leaves: int = 7
    min_leaf_rows: int = 50
    learning_rate: float = 0.03
    column_share: float = 0.6
    row_share: float = 0.8
    clip: float = 5.0
    threads: int = 1
    tuning: TuningConfig | None = None

    def __post_init__(self) -> None:
        for name in ("inverse_penalty", "learning_rate", "clip"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} was {value}", hint="it must be positive")
        for name in ("trees", "min_leaf_rows", "threads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be at least 1")
        if self.leaves < 2:
            raise ConfigError(f"leaves was {self.leaves}", hint="it must be at least 2")
        for name in ("column_share", "row_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be in (0, 1]")


def build_model(config: ModelConfig, seed: int = 0, *, by_series: bool = False) -> Pipeline:
    """Return an unfitted pipeline: :class:`~marketprism.models.scaler.FactorScaler`, then the classifier.

    Parameters
    ----------
    config : ModelConfig
        Kind and parameters.
    seed : int
        Fixes everything random.
    by_series : bool
        The last feature is a series code (panels).
    """
    from sklearn.pipeline import Pipeline

    from marketprism.models.scaler import FactorScaler

    state = child_seed(seed, "model", config.kind) % 2**31
    estimator: Any
    if config.kind == "logistic":
        from sklearn.linear_model import LogisticRegression

        estimator = LogisticRegression(C=config.inverse_penalty, max_iter=500, tol=1e-5, random_state=state)
    else:
        from lightgbm import LGBMClassifier

        estimator = LGBMClassifier(
            n_estimators=config.trees,
            num_leaves=config.leaves,
            min_child_samples=config.min_leaf_rows,
            learning_rate=config.learning_rate,
            colsample_bytree=config.column_share,
            subsample=config.row_share,
            subsample_freq=1,
            reg_lambda=5.0,
            deterministic=True,
            force_row_wise=True,
            n_jobs=config.threads,
            random_state=state,
            importance_type="gain",
            verbose=-1,
        )
    dtype = "float64" if config.kind == "logistic" else "float32"
    scaler = FactorScaler(config.clip, by_series=by_series, dtype=dtype)
    return Pipeline([("scale", scaler), ("model", estimator)])


def fit_model(
    model: BaseEstimator,
    X: npt.NDArray[np.float64],
    y: npt.NDArray[np.int8],
    *,
    times: npt.NDArray[np.int64] | None = None,
) -> BaseEstimator:
    """Fit a clone of ``model`` on one BLAS thread (the bits then do not depend on the machine's cores).

    A solver that stops before convergence is not an error here: the penalised fit is usable, and judged out of
    sample like any other.

    Parameters
    ----------
    model : estimator
        Unfitted sklearn classifier.
    X, y : ndarray
        Features (NaN where missing) and classes.
    times : ndarray of shape (n, 2), optional
        When each row, and its label, was known, ns UTC; handed to an estimator whose ``fit`` takes ``times``.

    Raises
    ------
    ConfigError
        It is no estimator, or one that gives no probabilities.
    DataError
        It takes no NaN, and there are some.
    """
    from sklearn.base import clone
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.validation import has_fit_parameter

    from marketprism.models.adapters import check_estimator, missing_values_explained

    check_estimator(model)
    fitted = clone(model)
    more = {"times": times} if times is not None and has_fit_parameter(fitted, "times") else {}
    with _one_thread().limit(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        with missing_values_explained(fitted, X):
            fitted.fit(X, y, **more)
    return fitted


def predict_classes(model: BaseEstimator, X: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return ``float64[n, 3]``: probabilities of down, flat and up, 0 for a class never seen in training."""
    result = np.zeros((len(X), len(CLASSES)))
    if len(X) == 0:
        return result
    from marketprism.models.adapters import missing_values_explained

    with _one_thread().limit(limits=1), missing_values_explained(model, X):
        probabilities = np.asarray(model.predict_proba(X), np.float64)
    for position, label in enumerate(model.classes_):
        result[:, CLASSES.index(int(label))] = probabilities[:, position]
    return result


@functools.cache
def _one_thread() -> ThreadpoolController:
    """Control of the BLAS libraries, found once: looking for them takes longer than a small fit."""
    from sklearn import linear_model  # noqa: F401  # loads what is to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
