"""What a model listens to: attributions, permutation importance, interactions, and how much of it a few inputs say."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError, DataError
from marketprism.core.random import child_seed
from marketprism.evaluate.arrays import in_range
from marketprism.evaluate.case import Case
from marketprism.evaluate.permutation import PermutedInput, factor_groups, permutation_importance
from marketprism.models.baselines import predict_classes
from marketprism.models.explain import Explanation, explain

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Attribution", "AttributionConfig", "ModelAttribution", "attribute", "explainability_coverage"]

_Floats = npt.NDArray[np.float64]
_SURROGATE_FOLDS = 5
_SURROGATE_ROWS = 4000
_POINTS = 300
_SHOWN = 12


class AttributionConfig(Config, frozen=True):
    """What :func:`attribute` may cost and shows.

    Parameters
    ----------
    top : int
        Inputs that the surrogate of the explainability coverage sees.
    rows : int
        Most rows explained, evenly spread over time.
    interaction_budget : int
        Rows times leaves that SHAP interactions may cost; 0 leaves them out.
    sample_budget : int
        Predictions that a sampled explanation (of an unknown kind of model) may cost.
    permuted : int
        Groups of near-duplicate inputs that are permuted, those of largest attribution.
    permutation_budget : int
        Predictions that permutation may cost; decides repeats (at most 5), then thins rows.
    """

    top: int = 10
    rows: int = 1000
    interaction_budget: int = 50_000
    sample_budget: int = 40_000
    permuted: int = 25
    permutation_budget: int = 60_000

    def __post_init__(self) -> None:
        for name in ("top", "rows", "sample_budget", "permuted", "permutation_budget"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be at least 1")
        if self.interaction_budget < 0:
            raise ConfigError(f"interaction_budget was {self.interaction_budget}", hint="0 leaves interactions out")


@dataclass(frozen=True)
class ModelAttribution:
    """What one model listens to.

    Attributes
    ----------
    kind : {"linear", "tree", "sampled"}
        How it was explained, see :class:`~marketprism.models.explain.Explanation`.
    explains : str
        Quantity that the attributions add up to.
    inputs : polars.DataFrame
        By mean absolute SHAP value, largest first: ``input, mean_abs, share`` (of the sum over inputs), ``direction``
        (``up``: larger values push the forecast up; ``down``; ``mixed``; ``none``), ``association`` (rank correlation
        of value and SHAP value), ``group`` (first of its near duplicates).
    permuted : tuple of PermutedInput
        IC lost when a group of near duplicates is shuffled out of sample, largest loss first.
    interactions : polars.DataFrame
        ``left, right, strength, share`` of the strongest pairs of a tree model; ``share`` is of all effects, main ones
        included. Empty for other models.
    coverage : dict of int to float
        Explainability coverage by number of inputs the surrogate saw.
    points : polars.DataFrame
        ``input, value, shap`` of the strongest inputs on some rows, for drawing; values as robust z-scores.
    rows, interaction_rows : int
        Rows explained.
    notes : tuple of str
        What was capped.
    """

    kind: str
    explains: str
    inputs: pl.DataFrame
    permuted: tuple[PermutedInput, ...]
    interactions: pl.DataFrame
    coverage: dict[int, float]
    points: pl.DataFrame
    rows: int
    interaction_rows: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attribution:
    """Result of :func:`attribute`: models by name (empty where none was judged) and what to know."""

    models: dict[str, ModelAttribution]
    config: AttributionConfig
    notes: tuple[str, ...] = field(default=())

    def summary(self) -> dict[str, Any]:
        """Plain data: the strongest inputs, permutation losses, interactions and coverage of every model."""

        def table(frame: pl.DataFrame) -> list[dict[str, Any]]:
            return frame.head(_SHOWN).fill_nan(None).to_dicts()

        return {
            "models": {
                name: {
                    "kind": one.kind,
                    "explains": one.explains,
                    "inputs": table(one.inputs),
                    "permuted": [
                        {"inputs": list(part.inputs), **part.loss.to_mapping()} for part in one.permuted[:_SHOWN]
                    ],
                    "interactions": table(one.interactions),
                    "coverage": {
                        str(top): value if math.isfinite(value) else None for top, value in one.coverage.items()
                    },
                    "rows": one.rows,
                    "interaction_rows": one.interaction_rows,
                    "notes": list(one.notes),
                }
                for name, one in self.models.items()
            },
            "notes": list(self.notes),
        }


def attribute(case: Case, config: AttributionConfig | None = None) -> Attribution:
    """Attribute the predictions of every judged model to its inputs.

    SHAP values, interactions and coverage are of the model fitted on all labelled rows (the one that is exported):
    they describe what it does, not whether it is right. Permutation importance asks that: each fold's model is fitted
    on its past again, near-duplicate inputs are shuffled together inside the test stretch (inside each instrument of
    a panel), and the loss of out-of-sample IC is measured with a paired block-bootstrap interval.

    Cost: about a second a model. Rows explained, interactions (rows times leaves), groups permuted and predictions
    are capped by the configuration, and every cap that bites is named in the notes.

    Parameters
    ----------
    case : Case
        What was judged.
    config : AttributionConfig, optional
        Caps.
    """
    config = config or AttributionConfig()
    if not case.names:
        return Attribution({}, config, ("no model was judged, so there is nothing to attribute",))
    groups = factor_groups(case)
    return Attribution({name: _attribute_model(case, name, groups, config) for name in case.names}, config)


def _attribute_model(
    case: Case, name: str, groups: tuple[tuple[int, ...], ...], config: AttributionConfig
) -> ModelAttribution:
    problem, seed = case.problem, case.judgement.config.seed
    model = case.judgement.fitted[name].pipeline
    tradable = np.flatnonzero(problem.tradable)
    chosen = tradable[:: max(1, -(-tradable.size // config.rows))]
    X = problem.X[chosen]
    found = explain(
        model,
        X,
        seed=child_seed(seed, "attribute", name),
        interaction_budget=config.interaction_budget,
        sample_budget=config.sample_budget,
    )
    names = (*problem.factors, *(("series",) if problem.series else ()))
    strength = np.abs(found.values).mean(axis=0)
    width = len(problem.factors)
    probabilities = predict_classes(model, X)
    said = probabilities[:, 2] - probabilities[:, 0]
    coverage = {
        top: explainability_coverage(said, X, strength[:width], top, seed)
        for top in sorted({min(3, config.top), config.top})
    }
    permuted, note = permutation_importance(
        case, name, groups, strength[:width], most=config.permuted, budget=config.permutation_budget
    )
    notes = [found.note, note]
    if chosen.size < tradable.size:
        notes.append(f"explained every {-(-tradable.size // config.rows)}th of {tradable.size:,} rows")
    inputs = _input_table(found, X, names, strength, groups)
    return ModelAttribution(
        kind=found.kind,
        explains=found.explains,
        inputs=inputs,
        permuted=permuted,
        interactions=_interaction_table(found, names),
        coverage=coverage,
        points=_points(found, X, names, inputs["input"].to_list()[:_SHOWN], by_series=bool(problem.series)),
        rows=int(found.rows.size),
        interaction_rows=found.interaction_rows,
        notes=tuple(filter(None, notes)),
    )


def _input_table(
    found: Explanation,
    X: _Floats,
    names: tuple[str, ...],
    strength: _Floats,
    groups: tuple[tuple[int, ...], ...],
) -> pl.DataFrame:
    import polars as pl

    leader = {member: names[group[0]] for group in groups for member in group}
    total = float(strength.sum())
    association = [_association(X[found.rows, column], found.values[:, column]) for column in range(len(names))]
    direction = [
        "none" if not used else "up" if rho > 0.5 else "down" if rho < -0.5 else "mixed"
        for used, rho in zip(strength > 0, association, strict=True)
    ]
    return pl.DataFrame(
        {
            "input": names,
            "mean_abs": strength,
            "share": strength / total if total > 0 else np.zeros_like(strength),
            "direction": direction,
            "association": association,
            "group": [leader.get(column, name) for column, name in enumerate(names)],
        }
    ).sort("mean_abs", descending=True, maintain_order=True)


def _association(value: _Floats, shap: _Floats) -> float:
    """Spearman correlation of an input with its SHAP value; NaN where one is constant."""
    from scipy.stats import rankdata

    present = np.isfinite(value)
    if present.sum() < 3:
        return math.nan
    left, right = rankdata(value[present]), rankdata(np.round(shap[present], 12))
    left, right = left - left.mean(), right - right.mean()
    size = math.sqrt(float((left * left).sum() * (right * right).sum()))
    return float((left * right).sum()) / size if size > 0 else math.nan


def _interaction_table(found: Explanation, names: tuple[str, ...]) -> pl.DataFrame:
    import polars as pl

    pairs = np.zeros((0, 0)) if found.interactions is None else found.interactions
    left, right = np.triu_indices(len(pairs), 1)
    strength = pairs[left, right]
    total = float(strength.sum() + np.trace(pairs))
    order = np.argsort(-strength, kind="stable")[:_SHOWN]
    order = order[strength[order] > 0]
    return pl.DataFrame(
        {
            "left": [names[place] for place in left[order]],
            "right": [names[place] for place in right[order]],
            "strength": strength[order],
            "share": strength[order] / total if total > 0 else strength[order],
        },
        schema={"left": pl.String, "right": pl.String, "strength": pl.Float64, "share": pl.Float64},
    )


def _points(
    found: Explanation, X: _Floats, names: tuple[str, ...], shown: list[str], *, by_series: bool
) -> pl.DataFrame:
    import polars as pl

    from marketprism.models.scaler import FactorScaler

    few = np.arange(found.rows.size)[:: max(1, -(-found.rows.size // _POINTS))]
    scaled = FactorScaler(by_series=by_series).fit_transform(X)[:, : X.shape[1] - by_series]
    missing = ~np.isfinite(X[:, : scaled.shape[1]])
    tables = [
        pl.DataFrame(
            {
                "input": [name] * few.size,
                "value": np.where(missing, np.nan, scaled)[found.rows[few], place],
                "shap": found.values[few, place],
            }
        )
        for name in shown
        if (place := names.index(name)) < scaled.shape[1]
    ]
    return pl.concat(tables) if tables else pl.DataFrame(schema={"input": pl.String, "value": pl.Float64})


def explainability_coverage(
    predictions: npt.ArrayLike, X: npt.ArrayLike, attributions: npt.ArrayLike, top: int = 10, seed: int = 0
) -> float:
    """Share of prediction variance that the ``top`` attributed inputs alone reproduce, out of sample.

    A surrogate of the model sees only the ``top`` inputs of largest mean absolute attribution. It is a ridge
    regression of the predictions on them (standardised, clipped and imputed by
    :class:`~marketprism.models.scaler.FactorScaler`), plus boosted trees on what the ridge leaves over, so that
    straight lines and steps are both within reach. Rows are cut into five runs in their order; each run is predicted
    by the surrogate of the other four (neighbours in time are alike: a random split would flatter)::

        coverage = max(0, 1 - sum((p - surrogate)^2) / sum((p - mean of the other runs)^2))

    1 says that the top inputs tell the whole story; 0 that the rest of the inputs do. It asks about the model, never
    about the market: a useless model can be explained fully.

    Parameters
    ----------
    predictions : array of float, shape (n,)
        What the model said, such as P(up) - P(down); rows that are not finite are left out.
    X : array of float, shape (n, F) or (n, F + 1)
        Its inputs in time order, NaN where missing. A column beyond the attributed ones is the series code of a
        panel (see :func:`~marketprism.models.features.feature_matrix`).
    attributions : array of float, shape (m, F) or (F,)
        Contribution of each input (SHAP values, say) on any rows, or one importance for each input; NaN counts as 0.
    top : int, default 10
        Inputs that the surrogate may see.
    seed : int
        Fixes the trees. Beyond 4,000 rows, every k-th one is used.

    Returns
    -------
    float
        In [0, 1]; NaN with fewer than 50 usable rows or constant predictions.

    Raises
    ------
    DataError
        Shapes do not fit together.
    ConfigError
        ``top`` is not positive.

    Examples
    --------
    >>> X = np.random.default_rng(0).standard_normal((1000, 4))
    >>> said = X @ [3.0, 1.0, 0.0, 0.0]
    >>> round(explainability_coverage(said, X, [3, 1, 0, 0], top=1), 1)
    0.9
    """
    in_range("top", top, 1)
    said, inputs, given = (np.asarray(values, np.float64) for values in (predictions, X, attributions))
    importance = np.abs(np.nan_to_num(given)).mean(axis=0) if given.ndim == 2 and len(given) else np.abs(given)
    if said.ndim != 1 or inputs.ndim != 2 or importance.ndim != 1 or len(inputs) != len(said):
        raise DataError(
            f"predictions, X and attributions had shapes {said.shape}, {inputs.shape}, {given.shape}",
            hint="expected (n,), (n, F) and (m, F)",
        )
    width = importance.size
    if not 0 <= inputs.shape[1] - width <= 1 or width == 0:
        raise DataError(f"{width} attributions came with {inputs.shape[1]} inputs", hint="give one for each input")
    rows = np.flatnonzero(np.isfinite(said))
    rows = rows[:: -(-rows.size // _SURROGATE_ROWS)] if rows.size else rows
    said = said[rows]
    if rows.size < 50 or not said.std() > 1e-12 * max(1e-300, float(np.abs(said).max())):
        return math.nan
    chosen = np.argsort(-np.nan_to_num(importance), kind="stable")[:top]
    by_series = inputs.shape[1] > width
    columns = np.append(chosen, width) if by_series else chosen
    return _surrogate_fit(said, inputs[np.ix_(rows, columns)], by_series=by_series, seed=seed)


def _surrogate_fit(said: _Floats, inputs: _Floats, *, by_series: bool, seed: int) -> float:
    """Out-of-sample R2 of the surrogate over runs of rows, at least 0."""
    missed, spread = 0.0, 0.0
    runs = np.array_split(np.arange(said.size), _SURROGATE_FOLDS)
    for number, test in enumerate(runs):
        train = np.concatenate([run for other, run in enumerate(runs) if other != number])
        guess = _surrogate(inputs[train], said[train], inputs[test], by_series=by_series, seed=seed)
        missed += float(((said[test] - guess) ** 2).sum())
        spread += float(((said[test] - said[train].mean()) ** 2).sum())
    return max(0.0, 1.0 - missed / spread)


def _surrogate(train: _Floats, said: _Floats, test: _Floats, *, by_series: bool, seed: int) -> _Floats:
    from lightgbm import LGBMRegressor
    from sklearn.linear_model import Ridge
    from threadpoolctl import threadpool_limits

    from marketprism.models.scaler import FactorScaler

    scaler = FactorScaler(by_series=by_series).fit(train)
    z, later = scaler.transform(train), scaler.transform(test)
    with threadpool_limits(limits=1):
        line = Ridge(alpha=1.0).fit(z, said)
        guess = np.asarray(line.predict(later), np.float64)
        left = said - line.predict(z)
    scale = float(left.std())
    if not scale > 1e-9 * float(said.std()):
        return guess
    trees: Any = LGBMRegressor(
        n_estimators=80,
        num_leaves=7,
        min_child_samples=max(5, len(z) // 100),
        learning_rate=0.1,
        reg_lambda=1.0,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        random_state=child_seed(seed, "surrogate") % 2**31,
        verbose=-1,
    )
    trees.fit(z, left / scale)
    return guess + scale * np.asarray(trees.predict(later), np.float64)
