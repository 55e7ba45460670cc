"""Combinatorial purged cross-validation of one model: not one history but a distribution of backtest paths."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from marketprism.core.timebase import NS
from marketprism.evaluate.case import Case
from marketprism.evaluate.combinatorial import CombinatorialPurgedCV
from marketprism.evaluate.economics import pool, trade
from marketprism.evaluate.walkforward import Problem, prediction_frame
from marketprism.models.baselines import CLASSES, fit_model, predict_classes

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BacktestPaths", "backtest_paths"]

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BacktestPaths:
    """One model on every path of a combinatorial purged cross-validation.

    Attributes
    ----------
    model : str
        Which one.
    paths : polars.DataFrame
        ``path``, ``ic``, ``gross_bps``, ``net_bps``, ``net_sharpe`` (a year; null where nothing was traded).
    splits, groups, tested : int
        Fits, stretches of time, and stretches tested at once.
    rows : int
        Labelled rows behind it.
    negative_share : float
        Share of paths with an IC of at most 0.
    """

    model: str
    paths: pl.DataFrame
    splits: int
    groups: int
    tested: int
    rows: int
    negative_share: float


def backtest_paths(case: Case, model: str, groups: int = 6, tested: int = 2, max_rows: int = 3000) -> BacktestPaths:
    """Fit a model on every split and judge each path through the whole history.

    Parameters
    ----------
    case : Case
        Judged frame.
    model : str
        A judged model.
    groups, tested : int
        N and k of :class:`~marketprism.evaluate.CombinatorialPurgedCV`: 6 and 2 make 15 fits and 5 paths.
    max_rows : int
        Only the last so many labelled rows are used.

    Returns
    -------
    BacktestPaths

    Raises
    ------
    DataError
        No such model, or too few distinct times.

    Notes
    -----
    Unlike walk-forward, training rows may lie after the test: every path covers all the rows, but none could have
    been traded. Paths share most of their data, so their spread is no standard error.
    """
    problem = case.problem
    usable = problem.labelled & np.isfinite(problem.scaled_returns)
    at = np.flatnonzero(usable)[-max_rows:]
    splitter = CombinatorialPurgedCV(groups, tested, embargo=round(case.judgement.config.embargo_s * NS))
    times = np.column_stack((problem.known, np.maximum(problem.known, problem.label_known)))[at]
    work = list(splitter.split(problem.X[at], groups=times))
    estimator = case.estimator(model)
    jobs = case.judgement.config.jobs
    if jobs > 1:
        from joblib import Parallel, delayed

        found = Parallel(n_jobs=jobs)(delayed(_fit_predict)(problem, estimator, at[a], at[b]) for a, b in work)
    else:
        found = [_fit_predict(problem, estimator, at[a], at[b]) for a, b in work]
    parts = [splitter.assemble([p[:, place] for p in found], problem.X[at], times) for place in range(3)]
    probabilities = np.stack(parts, axis=-1)
    rows = [_judge_path(case, problem, at, number, path) for number, path in enumerate(probabilities)]
    return BacktestPaths(
        model, _table(rows), len(work), groups, tested, at.size, float(np.mean([not row[1] > 0 for row in rows]))
    )


def _fit_predict(problem: Problem, estimator: object, train: _Ints, test: _Ints) -> _Floats:
    from sklearn.base import clone

    classes = problem.classes[train]
    if np.unique(classes).size < 2:
        shares = [(classes == label).sum() + 1.0 for label in CLASSES]
        return np.tile(np.array(shares) / sum(shares), (test.size, 1))
    return predict_classes(fit_model(clone(estimator), problem.X[train], classes), problem.X[test])


def _judge_path(
    case: Case, problem: Problem, at: _Ints, number: int, path: _Floats
) -> tuple[int, float, float, float, float]:
    n = problem.known.size
    probabilities, fold = np.full((n, 3), np.nan), np.full(n, -1, np.int64)
    probabilities[at], fold[at] = path, number
    score, target = path[:, 2] - path[:, 0], problem.scaled_returns[at]
    varies = np.ptp(score) > 0 and np.ptp(target) > 0
    ic = float(np.corrcoef(score, target)[0, 1]) if varies else math.nan
    frame = prediction_frame(problem, probabilities, np.full((n, 3), np.nan), fold, case.names[0])
    book = pool(trade(frame, case.executions, case.judgement.config.costs))
    spread = float(book.net.std(ddof=1)) if book.net.size > 1 else 0.0
    sharpe = float(book.net.mean()) / spread * math.sqrt(book.periods_per_year) if spread > 0 else math.nan
    return number, ic, 1e4 * float(book.gross.sum()), 1e4 * float(book.net.sum()), sharpe


def _table(rows: list[tuple[int, float, float, float, float]]) -> pl.DataFrame:
    import polars as pl

    table = pl.DataFrame(rows, schema=["path", "ic", "gross_bps", "net_bps", "net_sharpe"], orient="row")
    return table.with_columns(pl.col("ic", "net_sharpe").cast(pl.Float64).fill_nan(None))
