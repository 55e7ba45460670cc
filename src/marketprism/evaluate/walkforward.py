"""Walk-forward: fit on the past of each fold, predict its test stretch, and keep every out-of-sample prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.core.timebase import NS
from marketprism.evaluate.config import JudgeConfig
from marketprism.evaluate.exclusions import ExclusionMasks, Exclusions
from marketprism.evaluate.splitters import PurgedWalkForward
from marketprism.labels.forward import SERIES_KEY
from marketprism.labels.labelset import NO_CLASS, LabelSet
from marketprism.models.baselines import CLASSES, fit_model, predict_classes
from marketprism.models.features import factor_names, feature_matrix, series_names

if TYPE_CHECKING:
    import polars as pl
    from sklearn.base import BaseEstimator

__all__ = ["Fold", "Problem", "WalkForward", "prepare", "run_folds", "walk_forward", "walk_forward_splitter"]

Relabel = Callable[[int, npt.NDArray[np.int8]], npt.NDArray[np.int8]]
"""``(fold, training classes) -> classes to train on``: how controls disturb the labels."""


@dataclass(frozen=True)
class Fold:
    """One fold: its test span (ns UTC), how many rows trained and tested, and how many were purged.

    ``purged`` counts labelled rows before the test whose label was not known in time (or that fell in the embargo);
    ``excluded`` those before the test that touch an excluded span (outage, abnormal jump). ``parameters`` are those
    that the model chose for itself on the training rows (``best_params_``), if it did.
    """

    number: int
    test_start: int
    test_end: int
    train_rows: int
    test_rows: int
    purged: int
    note: str = ""
    excluded: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WalkForward:
    """Result of :func:`walk_forward`.

    Attributes
    ----------
    predictions : polars.DataFrame
        One row per tested bucket, by ``ts_known``: series key, ``bucket_id``, ``segment``, ``ts_end``, ``ts_known``,
        ``model``, ``horizon``, ``scheme``, ``fold``, ``return``, ``class``, ``label_end_ts``, ``threshold`` (null where
        undefined), ``excluded`` (the label touches an excluded span),
        ``p_down, p_flat, p_up``, ``base_down, base_flat, base_up`` (class shares of the fold's training rows) and
        ``score = p_up - p_down``. Probabilities and score are null where the mid is invalid.
    folds : tuple of Fold
        In time order.
    """

    predictions: pl.DataFrame
    folds: tuple[Fold, ...]


@dataclass(frozen=True)
class Problem:
    """Features and labels of one horizon, sorted by the time at which each row was known."""

    rows: pl.DataFrame
    X: npt.NDArray[np.float64]
    returns: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int8]
    threshold: npt.NDArray[np.float64]
    label_end: npt.NDArray[np.int64]
    label_known: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    tradable: npt.NDArray[np.bool_]
    """The mid was valid when the bucket closed."""
    factors: tuple[str, ...]
    series: tuple[str, ...]
    """Panel series in code order; empty for one instrument."""
    horizon: str
    scheme: str
    excluded: npt.NDArray[np.bool_]
    """The label touches an excluded span: not in the headline."""
    barred: npt.NDArray[np.bool_]
    """The label touches a span that was known by the time the label was: not trained on."""

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Rows that have a class and could be traded."""
        return np.asarray((self.classes != NO_CLASS) & self.tradable)

    @property
    def trainable(self) -> npt.NDArray[np.bool_]:
        """Labelled rows that may train: no excluded span known by then touches their label."""
        return np.asarray(self.labelled & ~self.barred)

    @property
    def times(self) -> npt.NDArray[np.int64]:
        """Time at which each row, and its label, was known, shape ``(n, 2)``: the groups of a splitter."""
        return np.column_stack((self.known, np.maximum(self.known, self.label_known)))

    @property
    def scaled_returns(self) -> npt.NDArray[np.float64]:
        """Returns as correlated with scores: as they are, or over the past-only threshold in a panel.

        Instruments of a panel differ in volatility; unscaled, the wildest one would make the pooled IC.
        """
        if not self.series:
            return self.returns
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.threshold > 0, self.returns / self.threshold, np.nan)


def prepare(
    frame: pl.DataFrame,
    labels: LabelSet,
    horizon: str,
    factors: Sequence[str] | None = None,
    exclusions: Exclusions | None = None,
) -> Problem:
    """Align features and labels of one horizon, by ``ts_known``; without ``exclusions`` every label counts.

    Raises
    ------
    DataError
        Labels do not belong to the frame, or a factor is missing.
    """
    import polars as pl

    keys = [*SERIES_KEY, "bucket_id"]
    if frame.height != labels.frame.height or not frame.select(keys).equals(labels.frame.select(keys)):
        raise DataError(
            f"labels have {labels.frame.height} rows, the frame {frame.height}, or their keys differ",
            hint="make the labels from this very frame",
        )
    view = labels.view(horizon)
    order = (
        frame.select("ts_known", *keys).with_columns(pl.int_range(pl.len()).alias("_row")).sort("ts_known", *keys)
    )["_row"].to_numpy()
    chosen = tuple(factors) if factors else factor_names(frame)
    series = series_names(frame)
    series = series if len(series) > 1 else ()
    columns = [*SERIES_KEY, "bucket_id", "segment", "ts_end", "ts_known"]
    mid = frame["mid_last"].fill_null(float("nan")).to_numpy()[order]
    rows, end, known = frame.select(columns)[order], view.label_end_ts[order], view.label_known_ts[order]
    nothing = ExclusionMasks(np.zeros(rows.height, bool), np.zeros(rows.height, bool))
    masks = nothing if exclusions is None else exclusions.masks(rows, end, known)
    return Problem(
        rows=rows,
        X=feature_matrix(frame, chosen, series)[order],
        returns=view.returns[order],
        classes=view.classes[order],
        threshold=view.threshold[order],
        label_end=end,
        label_known=known,
        known=frame["ts_known"].to_numpy().astype(np.int64)[order],
        tradable=np.isfinite(mid) & (mid > 0),
        factors=chosen,
        series=series,
        horizon=horizon,
        scheme=view.scheme,
        excluded=masks.excluded,
        barred=masks.barred,
    )


def walk_forward_splitter(config: JudgeConfig, folds: int) -> PurgedWalkForward:
    """Return the splitter that a judgement with this configuration uses, with ``folds`` folds."""
    return PurgedWalkForward(
        folds, window=config.window, embargo=round(config.embargo_s * NS), train_stretches=config.train_stretches
    )


def run_folds(
    problem: Problem,
    model: BaseEstimator,
    splitter: Any,
    *,
    X: npt.NDArray[np.float64] | None = None,
    relabel: Relabel | None = None,
    jobs: int = 1,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64], tuple[Fold, ...]]:
    """Fit and predict every fold.

    Parameters
    ----------
    problem : Problem
        Rows by time.
    model : estimator
        Unfitted sklearn classifier over -1, 0, 1; cloned for each fold.
    splitter : object with ``split(X, y, groups)``
        Gets event and label end times as ``groups``.
    X : ndarray, optional
        Features instead of the problem's own (controls).
    relabel : callable, optional
        Disturbs the training classes (controls).
    jobs : int
        Folds at a time.

    Returns
    -------
    probabilities, base : ndarray of shape (n, 3)
        NaN where not tested.
    fold : ndarray of int
        Fold of each row, -1 where not tested.
    folds : tuple of Fold
    """
    features = problem.X if X is None else X
    n = len(features)
    probabilities, base = np.full((n, 3), np.nan), np.full((n, 3), np.nan)
    fold_of = np.full(n, -1, np.int64)
    splits = list(splitter.split(features, problem.classes, problem.times))
    work = [(number, train[problem.trainable[train]], test) for number, (train, test) in enumerate(splits)]
    if jobs > 1 and len(work) > 1:
        from joblib import Parallel, delayed

        done = Parallel(n_jobs=jobs)(delayed(_one_fold)(problem, features, model, item, relabel) for item in work)
    else:
        done = [_one_fold(problem, features, model, item, relabel) for item in work]
    folds = []
    for (number, train, test), (predicted, shares, note, chosen) in zip(work, done, strict=True):
        probabilities[test], base[test], fold_of[test] = predicted, shares, number
        start, end = int(problem.known[test].min()), int(problem.known[test].max())
        before = int((problem.trainable & (problem.known < start)).sum())
        left_out = int((problem.labelled & problem.barred & (problem.label_known < start)).sum())
        purged = (
            before - train.size
            if getattr(splitter, "window", "expanding") == "expanding"
            else _late(problem, start, train)
        )
        folds.append(Fold(number, start, end, train.size, test.size, purged, note, left_out, chosen))
    return probabilities, base, fold_of, tuple(folds)


def _late(problem: Problem, start: int, train: npt.NDArray[np.int64]) -> int:
    """Labelled rows inside the rolling window that the purge took."""
    if not train.size:
        return 0
    inside = problem.trainable & (problem.known >= problem.known[train].min()) & (problem.known < start)
    return int(inside.sum()) - train.size


def _one_fold(
    problem: Problem,
    features: npt.NDArray[np.float64],
    model: BaseEstimator,
    item: tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]],
    relabel: Relabel | None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], str, dict[str, Any]]:
    number, train, test = item
    classes = problem.classes[train]
    counts = np.array([(classes == label).sum() for label in CLASSES], np.float64)
    shares = (counts + 1.0) / (counts.sum() + 3.0)  # one virtual row a class: a base rate is never exactly 0
    if relabel is not None:
        classes = relabel(number, classes)
    if np.unique(classes).size < 2:
        note = f"{train.size} training rows of one class: base rates only"
        return np.tile(shares, (test.size, 1)), shares, note, {}
    fitted = fit_model(model, features[train], classes, times=problem.times[train])
    return predict_classes(fitted, features[test]), shares, "", dict(getattr(fitted, "best_params_", {}))


def walk_forward(
    frame: pl.DataFrame,
    labels: LabelSet,
    horizon: str,
    model: BaseEstimator,
    splitter: Any | None = None,
    *,
    factors: Sequence[str] | None = None,
    name: str = "model",
    jobs: int = 1,
) -> WalkForward:
    """Predict every test stretch with a model fitted on its purged past.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows with factor columns.
    labels : LabelSet
        From :func:`~marketprism.labels.make_labels` on the same frame.
    horizon : str
        Name of the horizon.
    model : estimator
        Any sklearn classifier that takes NaN (or a pipeline that imputes); classes are -1, 0, 1. For panels the last
        feature is the series code (``build_model(..., by_series=True)`` uses it).
    splitter : object, optional
        ``PurgedWalkForward()`` by default; it gets event and label end times as ``groups``.
    factors : sequence of str, optional
        Factor columns; all by default.
    name : str
        Written into the predictions.
    jobs : int
        Folds fitted at a time; the result does not depend on it.
    """
    problem = prepare(frame, labels, horizon, factors)
    probabilities, base, fold, folds = run_folds(problem, model, splitter or PurgedWalkForward(), jobs=jobs)
    return WalkForward(prediction_frame(problem, probabilities, base, fold, name), folds)


def prediction_frame(
    problem: Problem,
    probabilities: npt.NDArray[np.float64],
    base: npt.NDArray[np.float64],
    fold: npt.NDArray[np.int64],
    name: str,
) -> pl.DataFrame:
    """Table of the tested rows (see :class:`WalkForward`)."""
    import polars as pl

    tested = fold >= 0
    shown = np.where(problem.tradable[:, None], probabilities, np.nan)
    columns = {
        "fold": fold,
        "return": problem.returns,
        "class": problem.classes.astype(np.int64),
        "label_end_ts": problem.label_end,
        "threshold": problem.threshold,
        "excluded": problem.excluded,
        **{f"p_{word}": shown[:, i] for i, word in enumerate(("down", "flat", "up"))},
        **{f"base_{word}": base[:, i] for i, word in enumerate(("down", "flat", "up"))},
        "score": shown[:, 2] - shown[:, 0],
    }
    frame = problem.rows.with_columns(
        pl.lit(name).alias("model"),
        pl.lit(problem.horizon).alias("horizon"),
        pl.lit(problem.scheme).alias("scheme"),
        **{column: pl.Series(values) for column, values in columns.items()},
    )
    floats = [column for column, dtype in frame.schema.items() if dtype.is_float()]
    frame = frame.with_columns(
        pl.col(floats).fill_nan(None),
        pl.col("class").replace(NO_CLASS, None).cast(pl.Int8),
        pl.col("label_end_ts").replace(-1, None),
        pl.col("fold").cast(pl.Int32),
    )
    return frame.filter(pl.Series(tested))
