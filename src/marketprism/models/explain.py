"""What moved a prediction: SHAP values of linear models, trees, and anything else that gives probabilities."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.random import stream
from marketprism.models.baselines import CLASSES, predict_classes

__all__ = ["Explanation", "InputView", "explain", "input_view"]

_Floats = npt.NDArray[np.float64]
_LINEAR = {"LogisticRegression", "LogisticRegressionCV"}
_TREES = {
    "DecisionTreeClassifier",
    "ExtraTreesClassifier",
    "HistGradientBoostingClassifier",
    "LGBMClassifier",
    "RandomForestClassifier",
}
_BY_COLUMN = {"MaxAbsScaler", "MinMaxScaler", "QuantileTransformer", "RobustScaler", "SimpleImputer", "StandardScaler"}
_LOG_ODDS = "log odds of up against down"
_EDGE = "P(up) - P(down)"
_EXACT = 1e-6
_MAX_INTERACTION_ROWS = 200


class InputView(NamedTuple):
    """A model seen behind its preprocessing.

    Attributes
    ----------
    transform : pipeline or None
        Preprocessing whose every output column comes from one input; None where there is none, or it mixes inputs.
    final : estimator
        What stands behind ``transform``.
    source : ndarray of int
        Input of each column that ``final`` sees.
    """

    transform: Any
    final: Any
    source: npt.NDArray[np.int64]

    def columns(self, X: _Floats) -> _Floats:
        """Return what ``final`` sees of ``X``."""
        return X if self.transform is None else np.asarray(self.transform.transform(X))


class Explanation(NamedTuple):
    """SHAP values: how far each input moved each prediction from the base.

    Attributes
    ----------
    values : ndarray of shape (n, inputs)
        In the units of ``explains``; ``base + values.sum(axis=1)`` is ``output``.
    base : float
        Output without any input known: mean over the rows (linear, sampled) or over the training data (trees).
    output : ndarray of shape (n,)
        What was explained, as the model itself computes it.
    kind : {"linear", "tree", "sampled"}
        Exact for linear models with independent inputs, exact for trees (path-dependent), or sampled.
    explains : str
        ``log odds of up against down`` or ``P(up) - P(down)``.
    rows : ndarray of int
        Rows of the input that were explained (fewer than given where sampling costs too much).
    interactions : ndarray of shape (inputs, inputs), optional
        Mean absolute SHAP interaction of each pair (both halves together), main effects on the diagonal; trees only.
    interaction_rows : int
        Rows behind it.
    note : str
        What was capped.
    """

    values: _Floats
    base: float
    output: _Floats
    kind: Literal["linear", "tree", "sampled"]
    explains: str
    rows: npt.NDArray[np.int64]
    interactions: _Floats | None = None
    interaction_rows: int = 0
    note: str = ""


def input_view(model: Any, width: int) -> InputView:
    """Look behind a pipeline's preprocessing where each column it makes comes from one input.

    Parameters
    ----------
    model : fitted classifier or pipeline
        Any.
    width : int
        Columns of its input.
    """
    from sklearn.pipeline import Pipeline

    from marketprism.models.scaler import FactorScaler

    whole = InputView(None, model, np.arange(width))
    if not isinstance(model, Pipeline):
        return whole
    steps = [step for _, step in model.steps[:-1] if step is not None and step != "passthrough"]
    scalers = [step for step in steps if isinstance(step, FactorScaler)]
    if not all(isinstance(step, FactorScaler) or type(step).__name__ in _BY_COLUMN for step in steps):
        return whole
    if not steps or not scalers:
        made = width if not steps else int(model[:-1].transform(np.zeros((1, width))).shape[1])
        # An imputer that drops empty columns or adds indicators loses the order.
        return InputView(model[:-1] if steps else None, model[-1], np.arange(width)) if made == width else whole
    if len(steps) > 1:
        return whole
    factors = scalers[0].center_.shape[1]
    return InputView(model[:-1], model[-1], np.concatenate((np.arange(factors), scalers[0].indicators_)))


def explain(
    model: Any, X: _Floats, *, seed: int = 0, interaction_budget: int = 0, sample_budget: int = 40_000
) -> Explanation:
    """Explain a fitted classifier over down, flat, up.

    Logistic regressions and tree ensembles (LightGBM, and sklearn's forests and histogram boosting) are explained by
    ``shap`` in their own units behind column-wise preprocessing; an indicator of missing values counts for its input.
    Anything else is explained by Monte Carlo: inputs are switched from a background row to the explained row in a
    random order and its reverse (Strumbelj and Kononenko), on fewer rows.

    Parameters
    ----------
    model : fitted classifier or pipeline
        Gives ``predict_proba`` over classes among -1, 0, 1.
    X : ndarray of shape (n, inputs)
        Its input rows.
    seed : int
        Fixes sampled explanations.
    interaction_budget : int
        SHAP interactions cost rows times leaves; at most this many (0: none), and at most 200 rows.
    sample_budget : int
        Most rows that a sampled explanation may have predicted.

    References
    ----------
    Lundberg and Lee (2017), "A unified approach to interpreting model predictions", NeurIPS. Lundberg et al. (2020),
    "From local explanations to global understanding with explainable AI for trees", Nature Machine Intelligence.
    """
    view = input_view(model, X.shape[1])
    kind = type(view.final).__name__
    found = None
    if len(X) and kind in _LINEAR:
        found = _linear(view, X)
    elif len(X) and kind in _TREES:
        found = _trees(view, X, interaction_budget)
    if found is not None and np.allclose(found.base + found.values.sum(axis=1), found.output, rtol=_EXACT, atol=_EXACT):
        return found
    return _sampled(model, X, seed, sample_budget)


def _fold(values: _Floats, source: npt.NDArray[np.int64], inputs: int) -> _Floats:
    """Add up the columns of each input."""
    result = np.zeros((len(values), inputs))
    for column, place in enumerate(source.tolist()):
        result[:, place] += values[:, column]
    return result


def _up_less_down(parts: npt.ArrayLike, classes: Any) -> _Floats:
    """Last axis: classes, or nothing (two classes); the later class rises against the earlier one."""
    values, known = np.asarray(parts, np.float64), [int(label) for label in classes]
    if len(known) == len(CLASSES):
        return np.asarray(values[..., known.index(1)] - values[..., known.index(-1)])
    return np.asarray(values[..., 1] - values[..., 0]) if values.shape[-1:] == (2,) else values


def _linear(view: InputView, X: _Floats) -> Explanation:
    z = view.columns(X).astype(np.float64)
    weights, shift = np.asarray(view.final.coef_, np.float64), np.asarray(view.final.intercept_, np.float64)
    if len(weights) == 1:
        slope, constant = weights[0], float(shift[0])
    else:
        slope = _up_less_down(weights.T, view.final.classes_)
        constant = float(_up_less_down(shift[None, :], view.final.classes_)[0])
    centre = z.mean(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap

        # Mean and covariance in place of data: shap would draw 100 rows of it; independent inputs need no covariance.
        explainer = shap.LinearExplainer((slope, constant), (centre, np.eye(z.shape[1])))
        values = np.asarray(explainer.shap_values(z), np.float64)
    raw = np.asarray(view.final.decision_function(z), np.float64)
    output = raw if raw.ndim == 1 else _up_less_down(raw, view.final.classes_)
    return Explanation(
        values=_fold(values, view.source, X.shape[1]),
        base=float(centre @ slope + constant),
        output=output,
        kind="linear",
        explains=_LOG_ODDS,
        rows=np.arange(len(X)),
    )


def _trees(view: InputView, X: _Floats, budget: int) -> Explanation:
    z, classes = view.columns(X), view.final.classes_
    boosted = type(view.final).__name__ in {"LGBMClassifier", "HistGradientBoostingClassifier"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap

        explainer = shap.TreeExplainer(view.final)
        values = _up_less_down(explainer.shap_values(z, check_additivity=False), classes)
        base = float(np.ravel(_up_less_down(np.atleast_1d(explainer.expected_value), classes))[-1])
        # An even choice over time, not the first rows.
        leaves = _leaves(view.final)
        wanted = min(len(z), _MAX_INTERACTION_ROWS, budget // max(1, leaves))
        few = np.unique(np.linspace(0, len(z) - 1, wanted).astype(np.int64)) if wanted else np.empty(0, np.int64)
        pairs = _pairs(explainer, z[few], view.source, X.shape[1], classes) if few.size else None
    note = ""
    if budget and few.size < len(z):
        note = (
            f"interactions of {few.size:,} of {len(z):,} rows: they cost rows times leaves, "
            f"capped at {budget:,} ({leaves:,} leaves)"
        )
    return Explanation(
        values=_fold(values, view.source, X.shape[1]),
        base=base,
        output=_tree_output(view.final, z, boosted=boosted),
        kind="tree",
        explains=_LOG_ODDS if boosted else _EDGE,
        rows=np.arange(len(X)),
        interactions=pairs,
        interaction_rows=int(few.size),
        note=note,
    )


def _tree_output(final: Any, z: npt.NDArray[Any], *, boosted: bool) -> _Floats:
    if not boosted:
        return _up_less_down(final.predict_proba(z), final.classes_)
    raw = final.decision_function(z) if hasattr(final, "decision_function") else final.predict_proba(z, raw_score=True)
    values = np.asarray(raw, np.float64)
    return values if values.ndim == 1 else _up_less_down(values, final.classes_)


def _leaves(final: Any) -> int:
    """Leaves of all trees together."""
    if hasattr(final, "booster_"):
        return sum(int(tree["num_leaves"]) for tree in final.booster_.dump_model()["tree_info"])
    if hasattr(final, "_predictors"):  # histogram boosting has no public view of its trees
        return sum(tree.get_n_leaf_nodes() for trees in final._predictors for tree in trees)  # noqa: SLF001
    trees = getattr(final, "estimators_", [final])
    return sum(int(tree.get_n_leaves()) for tree in trees)


def _pairs(explainer: Any, z: npt.NDArray[Any], source: npt.NDArray[np.int64], inputs: int, classes: Any) -> _Floats:
    raw = _up_less_down(explainer.shap_interaction_values(z), classes)
    halves = np.zeros((len(raw), raw.shape[1], inputs))
    for column, place in enumerate(source.tolist()):
        halves[:, :, place] += raw[:, :, column]
    whole = np.zeros((len(raw), inputs, inputs))
    for column, place in enumerate(source.tolist()):
        whole[:, place] += halves[:, column]
    strength = np.abs(whole).mean(axis=0)
    # The library splits a pair's interaction into two equal halves.
    return np.asarray(2.0 * strength - np.diag(np.diag(strength)))


def _sampled(model: Any, X: _Floats, seed: int, budget: int) -> Explanation:
    """Monte Carlo Shapley values: antithetic orders, a few background rows, as many rows as the budget allows."""
    n, inputs = X.shape
    background = X[np.unique(np.linspace(0, n - 1, min(n, 5)).astype(np.int64))] if n else X
    each = 2 * (inputs + 1) * max(1, len(background))
    wanted = min(n, max(1, budget // each))
    rows = np.unique(np.linspace(0, n - 1, wanted).astype(np.int64)) if n else np.empty(0, np.int64)

    def edge(inputs_: _Floats) -> _Floats:
        probabilities = predict_classes(model, inputs_)
        return np.asarray(probabilities[:, 2] - probabilities[:, 0])

    values = np.zeros((rows.size, inputs))
    order = stream(seed, "explain", inputs).permutation(inputs)
    for place, row in enumerate(rows.tolist()):
        for path in (order, order[::-1]):
            steps = np.repeat(background[:, None, :], inputs + 1, axis=1)
            for step, column in enumerate(path.tolist()):
                steps[:, step + 1 :, column] = X[row, column]
            along = edge(steps.reshape(-1, inputs)).reshape(len(background), inputs + 1).mean(axis=0)
            values[place, path] += 0.5 * np.diff(along)
    base = float(edge(background).mean()) if n else 0.0
    note = f"sampled on {rows.size:,} of {n:,} rows: at most {budget:,} predictions" if rows.size < n else "sampled"
    return Explanation(values, base, edge(X[rows]), "sampled", _EDGE, rows, note=note)
