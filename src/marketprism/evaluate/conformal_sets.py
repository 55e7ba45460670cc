"""Prediction sets over down, flat and up: conformity scores, split conformal by mapie, and the adaptive online form."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from marketprism.core.errors import DataError
from marketprism.models.baselines import CLASSES

__all__ = ["AdaptiveSets", "ConformalScore", "adaptive_sets", "label_scores", "split_sets"]

ConformalScore = Literal["lac", "aps"]
"""``lac``: 1 - P(class). ``aps``: probability of the classes at least as likely, the class itself in part."""

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]
_EPSILON = 1e-8
"""Slack of the comparison, as in mapie: ties in the last bits belong to the set."""


class AdaptiveSets(NamedTuple):
    """Result of :func:`adaptive_sets`.

    Attributes
    ----------
    sets : ndarray of bool, shape (n, 3)
        Whether down, flat, up belong to the row's set; all three where nothing was known yet.
    alpha : ndarray of float, shape (n,)
        Miscoverage that was aimed at on each row; it leaves [0, 1] when it must (all classes below 0, none above 1).
    limit : ndarray of float, shape (n,)
        Largest score that belonged to the set; infinite where all did.
    """

    sets: _Flags
    alpha: _Floats
    limit: _Floats


def label_scores(p: _Floats, score: ConformalScore, chance: _Floats | None = None) -> _Floats:
    """How strange each class would be: the larger, the less it conforms.

    ``lac`` is ``1 - p_c`` (Sadinle, Lei and Wasserman): smallest sets on average. ``aps`` sums the probabilities from
    the likeliest class down to c, less ``u p_c`` (Romano, Sesia and Candes): sets that widen where the model is unsure.

    Parameters
    ----------
    p : ndarray of shape (n, 3)
        Probabilities of down, flat, up; NaN gives NaN.
    score : {"lac", "aps"}
        See above.
    chance : ndarray of shape (n,), optional
        ``u`` of ``aps``, uniform on [0, 1]; 0 (conservative) by default.

    Returns
    -------
    ndarray of shape (n, 3)
    """
    if score == "lac":
        return 1.0 - p
    # Ascending and reversed, so that ties fall as in mapie.
    order = np.fliplr(np.argsort(p, axis=1))
    total = np.cumsum(np.take_along_axis(p, order, axis=1), axis=1)
    result = np.empty_like(total)
    np.put_along_axis(result, order, total, axis=1)
    return result if chance is None else np.asarray(result - chance[:, None] * p)


class _Given:
    """The classifier that says what it was given: mapie calibrates probabilities that exist already."""

    def __init__(self) -> None:
        self.classes_ = np.array(CLASSES)
        self.n_features_in_ = len(CLASSES)

    def fit(self, X: Any, y: Any) -> _Given:  # noqa: ARG002
        return self

    def predict_proba(self, X: Any) -> _Floats:
        return np.asarray(X, np.float64)

    def predict(self, X: Any) -> _Ints:
        return np.asarray(self.classes_[np.argmax(X, axis=1)], np.int64)


def split_sets(
    calibration: _Floats, classes: npt.ArrayLike, p: _Floats, alpha: float, score: ConformalScore = "lac", seed: int = 0
) -> _Flags:
    """Split conformal sets by ``mapie``: one limit from calibration rows, kept for ever.

    Parameters
    ----------
    calibration : ndarray of shape (m, 3)
        Probabilities of rows whose class is known.
    classes : array of int, shape (m,)
        Their classes -1, 0, 1.
    p : ndarray of shape (n, 3)
        Probabilities to make sets of; finite.
    alpha : float
        Share of rows whose class may lie outside.
    score : {"lac", "aps"}
        See :func:`label_scores`; ``aps`` is randomised.
    seed : int
        Of ``aps``.

    Returns
    -------
    ndarray of bool, shape (n, 3)

    Raises
    ------
    DataError
        There are no calibration rows.
    """
    truth = np.asarray(classes)
    if not len(calibration) or truth.shape != (len(calibration),):
        raise DataError(
            f"{len(calibration)} calibration rows came with {truth.size} classes", hint="give one class for each row"
        )
    if not len(p):
        return np.zeros((0, len(CLASSES)), np.bool_)
    if np.ceil((len(truth) + 1) * (1 - alpha)) > len(truth):
        return np.ones((len(p), len(CLASSES)), np.bool_)  # too few rows to leave anything out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mapie.classification import SplitConformalClassifier

        conformal = SplitConformalClassifier(
            _Given(), confidence_level=1 - alpha, conformity_score=score, prefit=True, random_state=seed % 2**32
        )
        conformal.conformalize(_sums_to_one(calibration), truth)
        options = {"include_last_label": "randomized"} if score == "aps" else {}
        _, sets = conformal.predict_set(_sums_to_one(p), options)
    return np.asarray(sets[:, :, 0], np.bool_)


def _sums_to_one(p: _Floats) -> _Floats:
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def adaptive_sets(
    scores: _Floats,
    classes: npt.ArrayLike,
    decided: _Ints,
    known: _Ints,
    alpha: float,
    *,
    rate: float = 0.02,
    window: int = 500,
    least: int = 30,
) -> AdaptiveSets:
    """Adaptive conformal inference online, with feedback that comes as late as the labels do.

    At each decision, the labels that have become known since the last one are taken in, oldest first: the score of
    the true class joins the last ``window`` of them, and the aim moves by
    ``alpha_now += rate (alpha - [class was outside its set])``. A class belongs to the set if its score is at most
    the ``ceil((m + 1)(1 - alpha_now))``-th smallest of the m kept ones (all classes where that exceeds m, none
    where ``alpha_now`` reaches 1). Over many rows coverage tends to ``1 - alpha`` whatever the market does.

    Parameters
    ----------
    scores : ndarray of shape (n, 3)
        From :func:`label_scores`, rows by time of decision; rows with NaN get all classes and teach nothing.
    classes : array of int, shape (n,)
        -1, 0, 1; anything else where undefined.
    decided : ndarray of int64, shape (n,)
        Time of each decision, non-decreasing.
    known : ndarray of int64, shape (n,)
        When each class became known; used from the first decision at or after it.
    alpha : float
        Share of rows whose class may lie outside.
    rate : float, default .02
        Step of the aim; 0 keeps it at ``alpha``.
    window : int, default 500
        Scores kept.
    least : int, default 30
        Known scores before sets leave anything out and the aim begins to move.

    References
    ----------
    Gibbs and Candes (2021), "Adaptive conformal inference under distribution shift", NeurIPS.
    """
    truth = np.asarray(classes, np.int64)
    usable = np.isin(truth, CLASSES) & np.isfinite(scores).all(axis=1)
    arrival = np.flatnonzero(usable)
    arrival = arrival[np.argsort(known[arrival], kind="stable")]
    sets, used, limit = _adapt(
        np.ascontiguousarray(scores),
        truth + 1,
        decided.astype(np.int64),
        known.astype(np.int64),
        arrival.astype(np.int64),
        alpha,
        rate,
        window,
        least,
        _EPSILON,
    )
    return AdaptiveSets(sets, used, limit)


@njit(cache=True)
def _adapt(
    scores: _Floats,
    column: _Ints,
    decided: _Ints,
    known: _Ints,
    arrival: _Ints,
    alpha: float,
    rate: float,
    window: int,
    least: int,
    slack: float,
) -> tuple[_Flags, _Floats, _Floats]:
    n, width = scores.shape
    sets = np.ones((n, width), np.bool_)
    used, limit = np.empty(n), np.full(n, np.inf)
    ordered, ring = np.empty(window + 1), np.empty(window)
    kept, taken, aim, arrived = 0, 0, alpha, 0
    open_row = np.zeros(n, np.bool_)  # its set was made by a quantile, so it says something about the aim
    for t in range(n):
        while arrived < arrival.size and arrival[arrived] < t and known[arrival[arrived]] <= decided[t]:
            row = arrival[arrived]
            arrived += 1
            value = scores[row, column[row]]
            if open_row[row]:
                outside = 0.0 if sets[row, column[row]] else 1.0
                aim += rate * (alpha - outside)
            if kept == window:  # forget the oldest
                place = np.searchsorted(ordered[:kept], ring[taken % window])
                for i in range(place, kept - 1):
                    ordered[i] = ordered[i + 1]
                kept -= 1
            place = np.searchsorted(ordered[:kept], value)
            for i in range(kept, place, -1):
                ordered[i] = ordered[i - 1]
            ordered[place] = value
            kept += 1
            ring[taken % window] = value
            taken += 1
        used[t] = aim
        if kept < least or np.isnan(scores[t]).any():
            continue
        open_row[t] = True
        rank = int(np.ceil((kept + 1) * (1.0 - aim) - 1e-9))
        limit[t] = -np.inf if rank < 1 else (np.inf if rank > kept else ordered[rank - 1])
        for c in range(width):
            sets[t, c] = scores[t, c] - limit[t] <= slack
    return sets, used, limit
