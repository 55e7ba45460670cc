"""Any sklearn estimator as a judged classifier: regressors, classifiers without probabilities, models without NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_classifier, is_regressor
from sklearn.utils import get_tags

from marketprism.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

__all__ = [
    "RegressorAsClassifier",
    "VotesAsProbabilities",
    "as_classifier",
    "check_estimator",
    "missing_values_explained",
]


class RegressorAsClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor of the class (-1, 0, 1) whose prediction is the score.

    The prediction s estimates ``P(up) - P(down)``. With f the share of flat rows in training,
    ``P(flat) = f, P(up) = (1 - f + s) / 2, P(down) = (1 - f - s) / 2`` with s clipped to ``[f - 1, 1 - f]``: the score
    P(up) - P(down) is the prediction itself. IC, rank IC, AUC and trading judge the regressor; Brier, log loss and
    calibration judge this simple map too.

    Parameters
    ----------
    regressor : estimator
        Unfitted; cloned.

    Attributes
    ----------
    classes_ : ndarray
        -1, 0 and 1, also where training had not all of them.
    flat_share_ : float
        Share of flat rows in training.
    regressor_ : estimator
        Fitted.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> X, y = np.array([[-1.0], [0.0], [0.0], [1.0]]), np.array([-1, 0, 0, 1])
    >>> RegressorAsClassifier(LinearRegression()).fit(X, y).predict_proba([[0.2]]).round(3).tolist()
    [[0.15, 0.5, 0.35]]
    """

    def __init__(self, regressor: BaseEstimator) -> None:
        self.regressor = regressor

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Fit the regressor on the classes as numbers."""
        target = np.asarray(y, np.float64)
        self.classes_ = np.array([-1, 0, 1])
        self.flat_share_ = float((target == 0).mean())
        self.regressor_ = clone(self.regressor).fit(X, target)
        self.n_features_in_ = np.shape(X)[1]
        return self

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return ``float64[n, 3]``: probabilities of down, flat and up."""
        most = 1.0 - self.flat_share_
        score = np.clip(np.asarray(self.regressor_.predict(X), np.float64).reshape(-1), -most, most)
        return np.column_stack((0.5 * (most - score), np.full(score.size, self.flat_share_), 0.5 * (most + score)))

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the class of the largest probability."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = _takes_nan(self.regressor)
        return tags


class VotesAsProbabilities(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier without probabilities: softmax of its decision function, or all on the class that it predicts.

    The score ranks rows as the classifier does; the probabilities are not calibrated, and the Brier, log-loss and
    calibration numbers will say so. ``sklearn.calibration.CalibratedClassifierCV(model, cv=PurgedKFold(3,
    label_horizon=k))`` calibrates without letting overlapping labels leak, at the price of three more fits.

    Parameters
    ----------
    classifier : estimator
        Unfitted; cloned.

    Examples
    --------
    >>> from sklearn.linear_model import RidgeClassifier
    >>> X, y = np.array([[-1.0], [0.0], [1.0], [2.0]]), np.array([-1, -1, 1, 1])
    >>> votes = VotesAsProbabilities(RidgeClassifier()).fit(X, y).predict_proba([[0.5], [2.0]])
    >>> votes[0].round(3).tolist(), bool(votes[1, 1] > 0.5)
    ([0.5, 0.5], True)
    """

    def __init__(self, classifier: BaseEstimator) -> None:
        self.classifier = classifier

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Fit the classifier."""
        self.classifier_ = clone(self.classifier).fit(X, y)
        self.classes_ = np.asarray(self.classifier_.classes_)
        self.n_features_in_ = np.shape(X)[1]
        return self

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return ``float64[n, classes]``, in the order of ``classes_``."""
        if not hasattr(self.classifier_, "decision_function"):
            return np.asarray(self.classifier_.predict(X)[:, None] == self.classes_, np.float64)
        margin = np.asarray(self.classifier_.decision_function(X), np.float64)
        if margin.ndim == 1:
            margin = np.column_stack((-0.5 * margin, 0.5 * margin))
        weight = np.exp(margin - margin.max(axis=1, keepdims=True))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return what the classifier predicts."""
        return np.asarray(self.classifier_.predict(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = _takes_nan(self.classifier)
        return tags


def as_classifier(model: BaseEstimator, *, by_series: bool = False) -> BaseEstimator | Pipeline:
    """Make any sklearn estimator judgeable: give it probabilities and, where it takes no NaN, the house's scaler.

    Parameters
    ----------
    model : estimator
        Unfitted classifier or regressor, or a pipeline that ends in one.
    by_series : bool, default False
        The last feature is a series code (a panel): the scaler then standardises each instrument by itself.

    Returns
    -------
    estimator
        ``model`` itself where nothing was missing; else wrapped in :class:`RegressorAsClassifier`,
        :class:`VotesAsProbabilities`, or a pipeline that begins with
        :class:`~marketprism.models.scaler.FactorScaler` (which imputes, scales and clips).

    Raises
    ------
    ConfigError
        It is not an estimator, or neither classifier nor regressor.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> as_classifier(Ridge())
    Pipeline(steps=[('scale', FactorScaler()),
                    ('model', RegressorAsClassifier(regressor=Ridge()))])
    """
    from sklearn.pipeline import Pipeline

    from marketprism.models.scaler import FactorScaler

    _check_object(model)
    ready = model
    if _is(is_regressor, model):
        ready = RegressorAsClassifier(model)
    elif not _is(is_classifier, model):
        raise ConfigError(
            f"model {type(model).__name__} is neither classifier nor regressor",
            hint="derive it from sklearn's ClassifierMixin or RegressorMixin, named before BaseEstimator",
        )
    elif not hasattr(model, "predict_proba"):
        ready = VotesAsProbabilities(model)
    if _takes_nan(model):
        return ready
    return Pipeline([("scale", FactorScaler(by_series=by_series)), ("model", ready)])


def check_estimator(model: Any) -> None:
    """Check that a model can be judged as it is, but for missing values, which only some data have.

    Raises
    ------
    ConfigError
        It is a class, no estimator, a regressor, or a classifier without probabilities; the hint says what to do.
    """
    _check_object(model)
    if hasattr(model, "predict_proba"):
        return
    name = type(model).__name__
    if _is(is_regressor, model):
        raise ConfigError(
            f"model {name} is a regressor; classes are judged",
            hint="wrap it: marketprism.models.as_classifier(model) makes its prediction the score",
        )
    raise ConfigError(
        f"model {name} gives no probabilities (no predict_proba)",
        hint="wrap it: marketprism.models.as_classifier(model), or calibrate it with CalibratedClassifierCV",
    )


@contextmanager
def missing_values_explained(model: BaseEstimator, X: npt.NDArray[np.float64]) -> Iterator[None]:
    """Turn the error of an estimator that takes no NaN into one that names the column and the remedy.

    Raises
    ------
    DataError
        Inside, a ValueError spoke of NaN, and ``X`` has some.
    """
    try:
        yield
    except ValueError as error:
        missing = np.isnan(X).any(axis=0)
        if not missing.any() or "NaN" not in str(error):
            raise
        column = int(np.argmax(missing))
        raise DataError(
            f"model {type(model).__name__} takes no missing values; feature {column} (from 0) has "
            f"{int(np.isnan(X[:, column]).sum())} in {len(X)} rows",
            hint="begin a pipeline with an imputer: make_pipeline(SimpleImputer(), model), or wrap it: "
            "marketprism.models.as_classifier(model)",
        ) from error


def _check_object(model: Any) -> None:
    if isinstance(model, type):
        raise ConfigError(f"model was the class {model.__name__}", hint=f"pass an instance: {model.__name__}()")
    if not (hasattr(model, "fit") and hasattr(model, "get_params")):
        raise ConfigError(f"model was a {type(model).__name__}", hint="pass an unfitted sklearn estimator")


def _is(kind: Callable[[Any], bool], model: Any) -> bool:
    try:
        return bool(kind(model))
    except AttributeError:  # no sklearn tags
        return False


def _takes_nan(model: Any) -> bool:
    return _is(lambda one: get_tags(one).input_tags.allow_nan, model)
