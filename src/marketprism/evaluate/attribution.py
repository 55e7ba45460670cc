"""What a model listens to: attributions, permutation importance, interactions, and how much of it a few inputs say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.core.random import child_seed
from marketprism.evaluate.arrays import in_range

__all__ = ["explainability_coverage"]

_Floats = npt.NDArray[np.float64]
_SURROGATE_FOLDS = 5
_SURROGATE_ROWS = 4000


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
