"""Trend states: fit on the past, filter online, pass the quality gates or fall back to a plain state machine."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from marketprism.core.errors import ConfigError, DataError, did_you_mean
from marketprism.core.random import child_seed
from marketprism.labels.state_filter import StateFilter
from marketprism.labels.state_models import NamedModel, fit_hmm, fit_jump, fit_rules
from marketprism.labels.state_quality import NO_STATE, STATE_NAMES, StateGates, StateQuality, state_quality

__all__ = ["TrendStates"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_METHODS = ("jump", "sparse_jump", "hmm", "rules")
_LEAST_ROWS = 30
_USUAL = 0.9
"""Quantile of the absolute evidence in training that counts as its usual strength."""


class TrendStates(BaseEstimator):  # type: ignore[misc]
    """States down (-1), neutral (0) and up (1) of a series of buckets, filtered online.

    ``fit`` learns from a stretch of the past, judges the labelling out of sample (expanding walk-forward inside that
    stretch), and refuses one that fails its gates: the causal state machine (``rules``) then takes its place, and
    ``refused_`` says why. ``predict_online`` filters: the state of a row depends on no later row.

    Parameters
    ----------
    method : {"jump", "sparse_jump", "hmm", "rules"}
        Statistical jump model, the same with selection of inputs, Gaussian hidden Markov model (baseline), or the
        state machine: fast minus slow EWMA of the cumulated return, over its usual size.
    n_states : {2, 3}
        2: down and up, with neutral where the evidence between them is below the gate. 3: the middle one is neutral.
    jump_penalty : float or "auto"
        Cost of a change of state against half squared distances of standardised inputs; "auto" tries
        ``penalty_grid`` by walk-forward and keeps the passing one with the best forward IC.
    max_features : float, optional
        Effective number of inputs kept by the sparse model; half of them by default.
    neutral_gate : float
        Evidence at which a direction is entered (at which a state is left, for three states), in units of its usual
        strength: the 90th percentile of its absolute value in training. 0 switches it off.
    filter_window : int or None
        Buckets that the filter sees, 30 to 60; None for all of the segment.
    delay : {0, 1}
        1: each row gets the state of the row before it.
    fast, slow : int
        Spans of the averages of the state machine, in buckets.
    dwell : int
        Buckets for which the state machine holds a state at least.
    rule_column : int, optional
        Input of the state machine; by default the one most correlated with the return of its row.
    gates : StateGates, optional
        Quality gates; the defaults of :class:`StateGates` if None.
    refuse : bool
        False keeps a labelling that fails its gates (``failures_`` still lists them).
    penalty_grid : sequence of float
        What "auto" tries.
    folds : int
        Test stretches of the inner walk-forward.
    n_init : int
        Starts of the jump model's coordinate descent.
    clip : float
        Standardised inputs are clipped at plus and minus this.
    seed : int
        Of the starts; equal seeds give equal states.

    Attributes
    ----------
    method_ : str
        The method in use: ``method``, or ``rules`` after a refusal.
    refused_ : tuple of str
        Why ``method`` was refused; empty where it was not.
    quality_, failures_ : StateQuality, tuple of str
        Of the labelling in use, and the gates that it fails.
    quality_scope_ : {"walk_forward", "in_sample"}
        Where the quality was measured; in sample (still filtered online) only where rows are too few for folds.
    refused_quality_ : StateQuality or None
        Of the refused labelling.
    jump_penalty_ : float
        The penalty in use; NaN for other methods.
    trials_ : dict of float to StateQuality
        Quality at each penalty tried: each one is a trial for multiple-testing corrections.
    moments_ : dict of str to tuple of float
        Mean return, volatility and share of each state in training; empty for rules.
    feature_weights_ : ndarray of shape (F,)
        Weight of each input.

    Notes
    -----
    States are ordered by mean return, so a code means the same after every refit. ``predict`` of ``jumpmodels`` and
    Viterbi paths look ahead; they serve inside ``fit`` only. Fitting costs about half a millisecond a row with the
    default folds (the library's loop is Python): some thousand rows are enough.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> drift = np.repeat([1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0], 60)
    >>> returns = drift + rng.normal(size=drift.size)
    >>> states = TrendStates(method="rules").fit(returns[:, None], returns).predict_online(returns[:, None])
    >>> sorted(set(states.tolist()))
    [-1, 0, 1]
    """

    def __init__(
        self,
        method: Literal["jump", "sparse_jump", "hmm", "rules"] = "jump",
        n_states: int = 2,
        jump_penalty: float | Literal["auto"] = 50.0,
        max_features: float | None = None,
        *,
        neutral_gate: float = 0.25,
        filter_window: int | None = 60,
        delay: int = 0,
        fast: int = 5,
        slow: int = 20,
        dwell: int = 20,
        rule_column: int | None = None,
        gates: StateGates | None = None,
        refuse: bool = True,
        penalty_grid: Sequence[float] = (5.0, 15.0, 50.0, 150.0),
        folds: int = 3,
        n_init: int = 3,
        clip: float = 3.0,
        seed: int = 0,
    ) -> None:
        self.method = method
        self.n_states = n_states
        self.jump_penalty = jump_penalty
        self.max_features = max_features
        self.neutral_gate = neutral_gate
        self.filter_window = filter_window
        self.delay = delay
        self.fast = fast
        self.slow = slow
        self.dwell = dwell
        self.rule_column = rule_column
        self.gates = gates
        self.refuse = refuse
        self.penalty_grid = penalty_grid
        self.folds = folds
        self.n_init = n_init
        self.clip = clip
        self.seed = seed

    def fit(self, X: Any, returns: npt.ArrayLike, segments: npt.ArrayLike | None = None) -> Self:
        """Learn the states from a stretch of the past.

        Parameters
        ----------
        X : array or data frame of shape (n, F)
            Causal inputs in time order (see :func:`~marketprism.labels.trend_inputs`); rows with a missing value are
            not learnt from.
        returns : array-like of shape (n,)
            Return of each bucket, known with its row; NaN where unknown.
        segments : array-like of int, optional
            Changes where a gap or another series begins: nothing is carried across.

        Raises
        ------
        ConfigError
            A parameter is out of range.
        DataError
            Lengths differ, or fewer than 30 rows are complete.
        """
        self._check()
        inputs = _matrix(X)
        moves = np.asarray(returns, np.float64)
        segment = _segments(segments, len(inputs))
        if moves.shape != (len(inputs),):
            raise DataError(f"X had {len(inputs)} rows, returns shape {moves.shape}", hint="pass one return for each")
        complete = int(np.isfinite(inputs).all(axis=1).sum())
        if complete < _LEAST_ROWS:
            raise DataError(f"{complete} rows of X were complete", hint=f"at least {_LEAST_ROWS} are needed")
        self.n_features_in_ = inputs.shape[1]
        self.quality_scope_ = "walk_forward" if complete >= 2 * _LEAST_ROWS * (self.folds + 1) else "in_sample"
        gates = self.gates or StateGates()
        self.trials_: dict[float, StateQuality] = {}
        self.refused_: tuple[str, ...] = ()
        self.refused_quality_: StateQuality | None = None
        self.method_, penalty = self.method, self._choose_penalty(inputs, moves, segment, gates)
        try:
            self._take(inputs, moves, segment, penalty)
            quality = self.trials_.get(penalty) or self._measure(inputs, moves, segment, self.method, penalty)
            reasons = quality.failures(gates) if self.refuse else ()
        except DataError as error:
            quality, reasons = None, (str(error),)
        if reasons and self.method != "rules":
            self.refused_, self.refused_quality_ = reasons, quality
            self.method_, penalty = "rules", float("nan")
            self._take(inputs, moves, segment, penalty)
            quality = None
        self.quality_ = quality or self._measure(inputs, moves, segment, "rules", penalty)
        self.failures_ = self.quality_.failures(gates)
        self.jump_penalty_ = penalty
        return self

    def online(self) -> StateFilter:
        """Return a fresh filter that takes rows as they come, with memory that can be saved."""
        check_is_fitted(self, "filter_")
        return StateFilter.load(self.filter_)

    def predict_online(self, X: Any, segments: npt.ArrayLike | None = None) -> _Ints:
        """Return the state of each row, from this row and earlier ones of ``X`` only.

        Parameters
        ----------
        X : array or data frame of shape (n, F)
            Inputs in time order; the filter starts with the first row.
        segments : array-like of int, optional
            The filter starts afresh where it changes.

        Returns
        -------
        ndarray of int64, shape (n,)
            -1 down, 0 neutral, 1 up; ``NO_STATE`` where no complete row lies in the filter window, and for the first
            row of a segment with ``delay=1``.
        """
        inputs = self._inputs(X)
        return self.online().push(inputs, _segments(segments, len(inputs)))

    def margin_online(self, X: Any, segments: npt.ArrayLike | None = None) -> _Floats:
        """Return the evidence for up against down at each row, in units of its usual strength: a causal factor.

        NaN where :meth:`predict_online` knows no state; never delayed.
        """
        inputs = self._inputs(X)
        return self.online().push_with_margin(inputs, _segments(segments, len(inputs)))[1]

    def describe(self) -> str:
        """Return what is in use, its quality and any refusal in a few lines."""
        check_is_fitted(self, "filter_")
        quality = self.quality_
        shares = ", ".join(f"{name} {share:.0%}" for name, share in quality.shares.items())
        scope = self.quality_scope_.replace("_", " ")
        lines = [f"states by {self.method_}" + (f", jump penalty {self.jump_penalty_:g}" if self.trials_ else "")]
        lines.append(
            f"{quality.flips_per_100:.2f} flips per 100 buckets, dwell mean {quality.mean_dwell:.1f} p90 "
            f"{quality.p90_dwell:.1f}, forward IC {quality.mean_ic:.3f} ({scope}); {shares}"
        )
        if self.refused_:
            lines.append(f"{self.method} was refused: {'; '.join(self.refused_)}")
        if self.failures_:
            lines.append(f"gates failed by {self.method_}: {'; '.join(self.failures_)}")
        return "\n".join(lines)

    def _inputs(self, X: Any) -> _Floats:
        check_is_fitted(self, "filter_")
        inputs = _matrix(X)
        if inputs.shape[1] != self.n_features_in_:
            raise DataError(f"X had {inputs.shape[1]} columns", hint=f"the states were fitted on {self.n_features_in_}")
        return inputs

    def _check(self) -> None:
        if self.method not in _METHODS:
            raise ConfigError(f"method was {self.method!r}", hint=did_you_mean(str(self.method), _METHODS))
        penalty: object = self.jump_penalty
        if penalty != "auto" and not (isinstance(penalty, int | float) and penalty >= 0):
            raise ConfigError(f"jump_penalty was {self.jump_penalty!r}", hint="use a number of at least 0, or 'auto'")
        ranges = {
            "n_states": (2, 3),
            "max_features": (1, np.inf),
            "neutral_gate": (0, np.inf),
            "filter_window": (30, 60),
            "delay": (0, 1),
            "fast": (1, self.slow - 1),
            "slow": (2, np.inf),
            "dwell": (0, np.inf),
            "rule_column": (0, np.inf),
            "folds": (1, np.inf),
            "n_init": (1, np.inf),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ConfigError(f"{name} was {value}", hint=f"expected {low:g} to {high:g}")
        if not self.clip > 0:
            raise ConfigError(f"clip was {self.clip}", hint="it must be positive")
        if self.jump_penalty == "auto" and len(self.penalty_grid) == 0:
            raise ConfigError("penalty_grid was empty", hint="list the penalties to try")

    def _choose_penalty(self, X: _Floats, returns: _Floats, segment: _Ints, gates: StateGates) -> float:
        """Penalty to use; with "auto" the best of the grid: fewest gates failed, then highest forward IC."""
        if self.method not in {"jump", "sparse_jump"}:
            return float("nan")
        if self.jump_penalty != "auto":
            return float(self.jump_penalty)
        ranked = []
        for penalty in map(float, self.penalty_grid):
            try:
                quality = self._measure(X, returns, segment, self.method, penalty)
            except DataError:
                continue
            self.trials_[penalty] = quality
            ranked.append((-len(quality.failures(gates)), np.nan_to_num(quality.mean_ic, nan=-1.0), penalty))
        return max(ranked)[2] if ranked else float(self.penalty_grid[0])

    def _take(self, X: _Floats, returns: _Floats, segment: _Ints, penalty: float) -> None:
        """Fit the method in use on all rows and keep its filter."""
        fitted, state_filter = self._fit(X, returns, segment, self.method_, penalty)
        self.filter_ = state_filter.save()
        self.moments_: dict[str, tuple[float, float, float]] = {}
        self.feature_weights_ = np.ones(X.shape[1])
        if fitted is not None:
            names = ("down", "up") if self.n_states == 2 else tuple(STATE_NAMES.values())
            values = zip(fitted.means, fitted.volatilities, fitted.shares, strict=True)
            self.moments_ = dict(zip(names, values, strict=True))
            self.feature_weights_ = fitted.weights

    def _fit(
        self, X: _Floats, returns: _Floats, segment: _Ints, method: str, penalty: float
    ) -> tuple[NamedModel | None, StateFilter]:
        use = np.isfinite(X).all(axis=1)
        window = self.filter_window or 0
        seed = child_seed(self.seed, "trend_states", method) % 2**32
        fitted: NamedModel | None = None
        if method == "rules":
            if self.rule_column is not None and self.rule_column >= X.shape[1]:
                raise ConfigError(f"rule_column was {self.rule_column}", hint=f"X has {X.shape[1]} columns")
            rules = fit_rules(X, returns, self.fast, self.slow, self.rule_column)
            probe = StateFilter(rules, 0.0, 1.0)
        elif method == "hmm":
            fitted = fit_hmm(
                X[use], returns[use], self.n_states, segments=segment[use], clip=self.clip, window=window, seed=seed
            )
            probe = StateFilter(fitted.model, 0.0, 1.0)
        else:
            features = self.max_features or max(1.0, X.shape[1] / 2)
            fitted = fit_jump(
                X[use],
                returns[use],
                self.n_states,
                penalty,
                max_features=features if method == "sparse_jump" else None,
                clip=self.clip,
                window=window,
                n_init=self.n_init,
                seed=seed,
            )
            probe = StateFilter(fitted.model, 0.0, 1.0)
        margin = np.abs(probe.push_with_margin(X, segment)[1])
        margin = margin[np.isfinite(margin) & (margin > 0)]
        scale = float(np.quantile(margin, _USUAL)) if margin.size else 1.0
        dwell = self.dwell if method == "rules" else 0
        return fitted, StateFilter(probe.model, self.neutral_gate, scale, dwell, self.delay)

    def _measure(self, X: _Floats, returns: _Floats, segment: _Ints, method: str, penalty: float) -> StateQuality:
        """Quality of the states filtered online: of later stretches by models fitted on the rows before them."""
        n = len(X)
        if self.quality_scope_ == "in_sample":
            states = self._fit(X, returns, segment, method, penalty)[1].push(X, segment)
            return state_quality(states, returns, segment)
        complete = np.flatnonzero(np.isfinite(X).all(axis=1))
        edges = [int(complete[k * complete.size // (self.folds + 1)]) for k in range(self.folds + 1)] + [n]
        states, last = np.full(n, NO_STATE, np.int64), None
        for start, stop in itertools.pairwise(edges[1:]):
            try:
                fitted = self._fit(X[:start], returns[:start], segment[:start], method, penalty)[1]
            except DataError as error:
                last = error
                continue  # too early to know all states: these rows have none, as they would have had live
            states[start:stop] = fitted.push(X[:stop], segment[:stop])[start:]
        if last is not None and not (states != NO_STATE).any():
            raise last
        return state_quality(states, returns, segment)


def _matrix(X: Any) -> _Floats:
    array = np.asarray(X.to_numpy() if hasattr(X, "to_numpy") else X)
    try:
        array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"X could not be read as numbers: {error}", hint="pass columns of numbers") from error
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.size == 0:
        raise DataError(f"X had shape {array.shape}", hint="pass rows in time order, one column for each input")
    return np.ascontiguousarray(array)


def _segments(segments: npt.ArrayLike | None, n: int) -> _Ints:
    if segments is None:
        return np.zeros(n, np.int64)
    result = np.asarray(segments, np.int64)
    if result.shape != (n,):
        raise DataError(f"segments had shape {result.shape}", hint=f"X has {n} rows")
    return result
