"""Purged k-fold and combinatorial purged cross-validation: no training label overlaps a test label in time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate.splitters import check_options, row_times, stretch_edges

__all__ = ["CombinatorialPurgedCV", "PurgedKFold"]

_Ints = npt.NDArray[np.int64]


class CombinatorialPurgedCV:
    """Test every choice of ``n_test_groups`` out of ``n_groups`` stretches of time, and train on what is left.

    The event times are cut into stretches of equal row counts (rows of one time stay together). A row may train only
    if, for every tested stretch, its label ends strictly before ``stretch start - embargo`` or its event time lies
    strictly after ``last label end of the stretch + embargo``. There are ``C(N, k)`` splits, and each stretch is
    tested in ``C(N - 1, k - 1)`` of them: that many backtest paths through the whole history. Works with sklearn's
    ``cross_validate``; ``cross_val_predict`` refuses it (for k > 1), since rows are tested more than once: use
    :meth:`assemble`.

    Parameters
    ----------
    n_groups : int, default 6
        N, at least 2.
    n_test_groups : int, default 2
        k, from 1 to N - 1.
    embargo : int, default 0
        Extra distance (ns, in the unit of the times) on both sides of each tested stretch.
    event_times, label_end_times : array of int, optional
        Per row: when it could be acted upon, and when its label became known. Without them, ``groups`` of ``split``
        must give both as an ``(n, 2)`` array; without either, rows are taken as times 0, 1, 2, ...
    label_horizon : int, default 1
        Only for rows as times: how many rows a label looks ahead.

    References
    ----------
    Lopez de Prado (2018), Advances in Financial Machine Learning, chapters 7 and 12.

    Examples
    --------
    >>> splitter = CombinatorialPurgedCV(6, 2)
    >>> splitter.get_n_splits(), splitter.paths().shape
    (15, (5, 6))
    >>> [(train.tolist(), test.tolist()) for train, test in CombinatorialPurgedCV(3, 2).split(np.zeros(6))]
    [([5], [0, 1, 2, 3]), ([], [0, 1, 4, 5]), ([0], [2, 3, 4, 5])]
    """

    def __init__(
        self,
        n_groups: int = 6,
        n_test_groups: int = 2,
        *,
        embargo: int = 0,
        event_times: npt.ArrayLike | None = None,
        label_end_times: npt.ArrayLike | None = None,
        label_horizon: int = 1,
    ) -> None:
        lowest = {"n_groups": 2, "n_test_groups": 1, "embargo": 0, "label_horizon": 0}
        given = {
            "n_groups": n_groups,
            "n_test_groups": n_test_groups,
            "embargo": embargo,
            "label_horizon": label_horizon,
        }
        check_options(lowest, given, event_times, label_end_times)
        if n_test_groups >= n_groups:
            raise ConfigError(f"n_test_groups was {n_test_groups} of {n_groups} groups", hint="leave some to train on")
        self.n_groups = n_groups
        self.n_test_groups = n_test_groups
        self.embargo = embargo
        self.event_times = event_times
        self.label_end_times = label_end_times
        self.label_horizon = label_horizon

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002
        """Return the number of splits, C(N, k)."""
        return math.comb(self.n_groups, self.n_test_groups)

    def split(self, X: Any, y: Any = None, groups: npt.ArrayLike | None = None) -> Iterator[tuple[_Ints, _Ints]]:  # noqa: ARG002
        """Yield training and test row numbers of each split, both increasing.

        Parameters
        ----------
        X : array-like
            Only its length is used.
        y : ignored
            For sklearn.
        groups : array of shape (n, 2), optional
            Event time and label end time of each row, instead of those of the constructor.

        Raises
        ------
        DataError
            Times do not match the rows, or there are too few distinct times.
        """
        times, ends, group = self._grouped(len(X), groups)
        windows = [(times[group == g].min(), ends[group == g].max()) for g in range(self.n_groups)]
        for chosen in self._choices():
            test = np.isin(group, chosen)
            train = ~test
            for g in chosen:
                start, last = windows[g]
                train &= (ends < start - self.embargo) | (times > last + self.embargo)
            yield np.flatnonzero(train), np.flatnonzero(test)

    def paths(self) -> _Ints:
        """Return the backtest paths: which split's model predicts which stretch.

        Returns
        -------
        ndarray of shape (C(N - 1, k - 1), N)
            Split number for each path (row) and stretch of time (column); each pair of split and tested stretch
            stands in exactly one path.
        """
        tested = [[s for s, chosen in enumerate(self._choices()) if g in chosen] for g in range(self.n_groups)]
        return np.array(tested, np.int64).T

    def assemble(
        self, predictions: Sequence[npt.ArrayLike], X: Any, groups: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.float64]:
        """Join the test predictions of all splits into one full series for each backtest path.

        Parameters
        ----------
        predictions : sequence of array-like
            For each split in order, one value for each of its test rows.
        X, groups : array-like
            As given to :meth:`split`.

        Returns
        -------
        ndarray of shape (paths, n)
            Predictions of every row on every path.

        Raises
        ------
        DataError
            Not one prediction for each test row of each split.
        """
        _, _, group = self._grouped(len(X), groups)
        choices = list(self._choices())
        if len(predictions) != len(choices):
            raise DataError(f"{len(predictions)} predictions came for {len(choices)} splits", hint="one per split")
        full = np.full((len(choices), len(group)), np.nan)
        for s, chosen in enumerate(choices):
            values, test = np.asarray(predictions[s], np.float64), np.isin(group, chosen)
            if values.shape != (int(test.sum()),):
                raise DataError(f"split {s}: shape {values.shape} for {int(test.sum())} test rows", hint="one per row")
            full[s, test] = values
        return np.stack([full[path[group], np.arange(len(group))] for path in self.paths()])

    def _choices(self) -> Iterator[tuple[int, ...]]:
        return combinations(range(self.n_groups), self.n_test_groups)

    def _grouped(self, n: int, groups: npt.ArrayLike | None) -> tuple[_Ints, _Ints, _Ints]:
        times, ends = row_times(n, groups, self.event_times, self.label_end_times, self.label_horizon)
        edges = stretch_edges(times, self.n_groups)
        return times, ends, np.searchsorted(np.array(edges[1:-1], np.int64), times, side="right").astype(np.int64)


class PurgedKFold(CombinatorialPurgedCV):
    """K folds by time, each tested once; training labels that overlap the test in time are purged, on both sides.

    Unlike :class:`PurgedWalkForward` it also trains on what came after the test: more data, but no backtest.

    Parameters
    ----------
    n_splits : int, default 5
        Number of folds, at least 2.
    embargo, event_times, label_end_times, label_horizon
        As in :class:`CombinatorialPurgedCV`.

    Examples
    --------
    >>> [(train.tolist(), test.tolist()) for train, test in PurgedKFold(3).split(np.zeros(6))]
    [([3, 4, 5], [0, 1]), ([0, 5], [2, 3]), ([0, 1, 2], [4, 5])]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        embargo: int = 0,
        event_times: npt.ArrayLike | None = None,
        label_end_times: npt.ArrayLike | None = None,
        label_horizon: int = 1,
    ) -> None:
        check_options({"n_splits": 2}, {"n_splits": n_splits}, event_times, label_end_times)
        super().__init__(
            n_splits,
            1,
            embargo=embargo,
            event_times=event_times,
            label_end_times=label_end_times,
            label_horizon=label_horizon,
        )
        self.n_splits = n_splits
