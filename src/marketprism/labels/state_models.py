"""Fit the models behind trend states: jump and sparse jump models (jumpmodels), HMM (hmmlearn), and the rules."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.labels.state_filter import FilterModel, RulesModel

__all__ = ["NamedModel", "fit_hmm", "fit_jump", "fit_rules"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

_TINY = 1e-12
_SEPARATION = 2.0
"""Standard errors between the extreme mean returns below which states are named by their volatility."""


@dataclass(frozen=True)
class NamedModel:
    """A fitted model whose states are ordered by their moments.

    Attributes
    ----------
    model : FilterModel
        Ready for the online filter; states by increasing mean return.
    means, volatilities, shares : tuple of float
        Mean and standard deviation of the return in each state, and its share of the training rows.
    weights : ndarray of shape (F,)
        Weight of each input; 0 where the sparse jump model dropped it.
    """

    model: FilterModel
    means: tuple[float, ...]
    volatilities: tuple[float, ...]
    shares: tuple[float, ...]
    weights: _Floats


def fit_jump(
    X: _Floats,
    returns: _Floats,
    n_states: int,
    penalty: float,
    *,
    max_features: float | None = None,
    clip: float = 3.0,
    window: int = 60,
    n_init: int = 3,
    seed: int = 0,
) -> NamedModel:
    """Fit a statistical jump model, or a sparse one where ``max_features`` is given, on complete rows.

    Parameters
    ----------
    X, returns : ndarray of shape (n, F) and (n,)
        Finite inputs in time order, and the return of each row, used only to order the states.
    n_states : int
        2 or 3.
    penalty : float
        Cost of a jump, against half squared distances of standardised inputs; the sparse model divides it by
        ``sqrt(F)``, as its weighted inputs are smaller.
    max_features : float, optional
        Effective number of inputs that the sparse model keeps, at least 1.
    clip, window, n_init, seed
        As in :class:`~marketprism.labels.TrendStates`.

    Raises
    ------
    DataError
        The model cannot be fitted, or does not use all its states.

    Notes
    -----
    Nystrup, Lindstrom and Madsen (2020); Nystrup, Kolm and Lindstrom (2021) for the sparse model. Rows of several
    segments are fitted as one chain: each seam costs at most one penalty.
    """
    from jumpmodels.jump import JumpModel
    from jumpmodels.sparse_jump import SparseJumpModel

    mean, spread, scaled = _standardise(X, clip)
    varying = int((scaled.std(axis=0) > 0).sum())
    fitted: Any
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if max_features is not None and varying > 1:
                sparse = SparseJumpModel(
                    n_states, min(max_features, varying), penalty, random_state=seed, n_init_jm=n_init, max_iter=10
                )
                fitted = sparse.fit(scaled).jm_ins
            else:
                fitted = JumpModel(n_states, penalty, random_state=seed, n_init=n_init).fit(scaled)
        except (AssertionError, IndexError, ValueError, FloatingPointError) as error:
            raise DataError(f"the jump model could not be fitted: {error}", hint="check the inputs") from error
    weights = np.ones(X.shape[1]) if fitted.feat_weights is None else np.asarray(fitted.feat_weights, np.float64)
    order, moments = _order(np.asarray(fitted.labels_, np.int64), returns, n_states)
    # The library's centres are those of the weighted inputs; the filter weighs the squared distance instead.
    centres = np.divide(
        np.asarray(fitted.centers_, np.float64), weights, out=np.zeros((n_states, X.shape[1])), where=weights > 0
    )
    model = FilterModel(
        mean,
        spread,
        clip,
        np.ascontiguousarray(centres[order]),
        np.tile(weights**2, (n_states, 1)),
        np.zeros(n_states),
        float(fitted.jump_penalty) * (1.0 - np.eye(n_states)),
        np.zeros(n_states),
        False,
        window,
    )
    return NamedModel(model, *moments, weights)


def fit_hmm(
    X: _Floats,
    returns: _Floats,
    n_states: int,
    *,
    segments: _Ints | None = None,
    clip: float = 3.0,
    window: int = 60,
    seed: int = 0,
) -> NamedModel:
    """Fit a Gaussian hidden Markov model with diagonal covariances on complete rows, each segment a chain of its own.

    Raises
    ------
    DataError
        The model cannot be fitted, or does not use all its states.
    """
    from hmmlearn.hmm import GaussianHMM

    mean, spread, scaled = _standardise(X, clip)
    segment = np.zeros(len(X), np.int64) if segments is None else segments
    starts = np.append(0, np.flatnonzero(np.diff(segment)) + 1)
    lengths = np.diff(np.append(starts, len(X)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fitted = GaussianHMM(n_states, covariance_type="diag", n_iter=100, tol=1e-3, random_state=seed)
            labels = fitted.fit(scaled, lengths).predict(scaled, lengths)
        except (ValueError, FloatingPointError) as error:
            raise DataError(f"the HMM could not be fitted: {error}", hint="check the inputs") from error
    order, moments = _order(np.asarray(labels, np.int64), returns, n_states)
    variance = np.diagonal(np.asarray(fitted.covars_, np.float64), axis1=1, axis2=2)[order]
    model = FilterModel(
        mean,
        spread,
        clip,
        np.ascontiguousarray(fitted.means_[order]),
        np.ascontiguousarray(1.0 / variance),
        0.5 * np.log(variance).sum(axis=1),
        np.ascontiguousarray(-np.log(fitted.transmat_[np.ix_(order, order)] + _TINY)),
        -np.log(np.asarray(moments[2]) + _TINY),
        True,
        window,
    )
    return NamedModel(model, *moments, np.ones(X.shape[1]))


def fit_rules(X: _Floats, returns: _Floats, fast: int, slow: int, column: int | None = None) -> RulesModel:
    """Choose the input of the state machine: the column most correlated with the return of its own row.

    Parameters
    ----------
    X, returns : ndarray of shape (n, F) and (n,)
        Inputs and returns, NaN allowed.
    fast, slow : int
        Spans of the averages.
    column : int, optional
        Use this column instead.

    Returns
    -------
    RulesModel
        Always neutral where no column varies.
    """
    slope, intercept, best = 0.0, 0.0, -1.0
    chosen = 0 if column is None else column
    for place in range(X.shape[1]) if column is None else (column,):
        both = np.isfinite(X[:, place]) & np.isfinite(returns)
        x, r = X[both, place], returns[both]
        if x.size < 3 or not x.std() > 0 or not r.std() > 0:
            continue
        correlation = float(np.mean((x - x.mean()) * (r - r.mean())) / (x.std() * r.std()))
        if abs(correlation) > best:
            best, chosen = abs(correlation), place
            slope = correlation * float(r.std() / x.std())
            intercept = float(r.mean()) - slope * float(x.mean())
    return RulesModel(chosen, intercept, slope, fast, slow)


def _standardise(X: _Floats, clip: float) -> tuple[_Floats, _Floats, _Floats]:
    mean, spread = X.mean(axis=0), X.std(axis=0)
    spread = np.where(spread > _TINY * (1.0 + np.abs(mean)), spread, 1.0)
    return mean, spread, np.clip((X - mean) / spread, -clip, clip)


def _order(
    labels: _Ints, returns: _Floats, n_states: int
) -> tuple[_Ints, tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]]:
    """Order of the states by mean return, and their moments in that order.

    Where the lowest and the highest mean are less than two standard errors apart, chance would order them: the states
    are then ordered by falling volatility.
    """
    members = [returns[(labels == k) & np.isfinite(returns)] for k in range(n_states)]
    if min(len(part) for part in members) == 0:
        used = sum(len(part) > 0 for part in members)
        raise DataError(f"only {used} of {n_states} states were used", hint="lower the jump penalty or add rows")
    order = sorted(range(n_states), key=lambda k: float(members[k].mean()))
    low, high = members[order[0]], members[order[-1]]
    error = np.sqrt(low.var() / low.size + high.var() / high.size)
    if not high.mean() - low.mean() > _SEPARATION * error:
        order = sorted(range(n_states), key=lambda k: -float(members[k].std()))
    means = tuple(float(members[k].mean()) for k in order)
    volatilities = tuple(float(members[k].std()) for k in order)
    shares = tuple(float((labels == k).mean()) for k in order)
    return np.array(order, np.int64), (means, volatilities, shares)
