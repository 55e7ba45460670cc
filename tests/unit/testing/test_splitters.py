"""Every splitter keeps its promises, a broken one is caught, and sklearn's searches take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  # makes HalvingGridSearchCV importable
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    TimeSeriesSplit,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)

from marketprism.evaluate import CombinatorialPurgedCV, PurgedKFold, PurgedWalkForward
from marketprism.testing.factors import CheckError
from marketprism.testing.splitters import SPLITTER_CHECKS, check_splitter, splitters

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "PurgedWalkForward": [{}, {"embargo": 7}, {"window": "rolling", "train_stretches": 2}, {"n_splits": 1}],
    "PurgedKFold": [{}, {"embargo": 7}, {"n_splits": 2}],
    "CombinatorialPurgedCV": [{}, {"embargo": 7}, {"n_groups": 5, "n_test_groups": 1}],
}


@pytest.mark.parametrize("name", splitters())
def test_every_splitter_keeps_its_promises(name: str) -> None:
    for arguments in VARIANTS.get(name, [{}]):
        assert check_splitter(splitters()[name](**arguments)) == tuple(SPLITTER_CHECKS)


def test_all_splitters_are_found() -> None:
    assert set(splitters()) >= set(VARIANTS)


class ByRows(KFold):
    """Sklearn's own: no purge at all."""


class LabelStart(PurgedWalkForward):
    """Purges by event time alone."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        return super().split(X, y, np.asarray(groups)[:, [0, 0]])


class ForgetsEmbargo(PurgedKFold):
    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        return PurgedKFold(self.n_splits).split(X, y, groups)


class Torn(PurgedWalkForward):
    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        for train, test in super().split(X, y, groups):
            yield train, test[:-1]


class Stops(PurgedWalkForward):
    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        return list(super().split(X, y, groups))[:-1]


class Repeats(PurgedKFold):
    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        parts = list(super().split(X, y, groups))
        return [*parts, parts[0]]


class Twice(PurgedKFold):
    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        for train, test in super().split(X, y, groups):
            yield train, np.append(test, test[0])


class Nothing(PurgedKFold):
    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        for train, test in super().split(X, y, groups):
            yield train, test[:0]


class PurgesAll(PurgedKFold):
    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        for train, test in super().split(X, y, groups):
            yield train[:0], test


class Moody(PurgedKFold):
    calls = 0

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        self.calls += 1
        for train, test in super().split(X, y, groups):
            yield train[self.calls % 2 :], test


class ByOrder(PurgedKFold):
    """Leaves out the first row that it is given, whichever that is."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        for train, test in super().split(X, y, groups):
            yield train[train > 0], test


class Miscounts(PurgedKFold):
    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return 99


class Masks(PurgedKFold):
    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        for train, test in super().split(X, y, groups):
            yield train.astype(float), test


BROKEN = [
    (ByRows(3), "no_overlap", r"trains on row \d+ .* and tests row \d+"),
    (TimeSeriesSplit(3), "no_overlap", "trains on row"),
    (LabelStart(3), "no_overlap", "label END time"),
    (ForgetsEmbargo(4, embargo=9), "no_overlap", "embargo 9"),
    (Torn(3), "whole_times", "some rows of a time only"),
    (Stops(4), "coverage", "never tested"),
    (Repeats(3), "coverage", "tested 1 to 2 times"),
    (Twice(3), "coverage", "test rows twice"),
    (Nothing(3), "coverage", "tests no row"),
    (PurgesAll(3), "trains", "no split has a training row"),
    (Moody(3), "deterministic", "a second call gave other splits"),
    (ByOrder(3), "deterministic", "rows in another order"),
    (Miscounts(3), "sklearn", "get_n_splits"),
    (Masks(3), "sklearn", "float64"),
]


@pytest.mark.parametrize(("splitter", "check", "message"), BROKEN, ids=[type(one[0]).__name__ for one in BROKEN])
def test_broken_splitters_are_caught_by_the_check_for_it(splitter: Any, check: str, message: str) -> None:
    with pytest.raises(CheckError, match=message):
        check_splitter(splitter, checks=[check])
    with pytest.raises(CheckError, match=type(splitter).__name__):
        check_splitter(splitter)


def test_your_own_rows() -> None:
    groups = np.column_stack((np.arange(50), np.arange(50) + 3))
    assert check_splitter(PurgedKFold(5), groups, checks=["no_overlap"]) == ("no_overlap",)
    with pytest.raises(CheckError):
        check_splitter(KFold(5), groups, checks=["no_overlap"])


RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3))
Y = (X[:, 0] + RNG.normal(size=300) > 0).astype(int)
TIMES = np.arange(300) * 10
ENDS = TIMES + 35
BY_GROUPS = [PurgedWalkForward(4), PurgedKFold(4), CombinatorialPurgedCV(5, 2)]
BY_CONSTRUCTOR = [
    type(one)(*arguments, event_times=TIMES, label_end_times=ENDS)
    for one, arguments in zip(BY_GROUPS, ((4,), (4,), (5, 2)), strict=True)
]


@pytest.mark.parametrize("i", range(3))
def test_cross_validation_and_searches_take_them(i: int) -> None:
    groups = np.column_stack((TIMES, ENDS))
    n = BY_GROUPS[i].get_n_splits()
    score = cross_val_score(LogisticRegression(), X, Y, cv=BY_GROUPS[i], groups=groups)
    assert len(score) == n
    assert score.mean() > 0.6
    assert cross_val_score(LogisticRegression(), X, Y, cv=BY_CONSTRUCTOR[i]).tolist() == score.tolist()
    both = cross_validate(LogisticRegression(), X, Y, cv=BY_CONSTRUCTOR[i], return_train_score=True, n_jobs=1)
    assert both["test_score"].tolist() == score.tolist()
    grid = {"C": [1e-6, 1.0]}
    search = GridSearchCV(LogisticRegression(), grid, cv=BY_GROUPS[i]).fit(X, Y, groups=groups)
    assert search.n_splits_ == n
    assert search.cv_results_["mean_test_score"][1] == pytest.approx(score.mean())
    assert GridSearchCV(LogisticRegression(), grid, cv=BY_CONSTRUCTOR[i]).fit(X, Y).best_params_ == search.best_params_


def test_halving_searches_take_rows_as_times() -> None:
    """Halving subsamples rows, so that only groups could follow: it hands on none, and rows count as times."""
    search = HalvingGridSearchCV(
        LogisticRegression(), {"C": [1e-6, 1e-2, 1.0]}, cv=PurgedKFold(3, label_horizon=4), resource="n_samples",
        min_resources=60, random_state=0,
    )  # fmt: skip
    assert search.fit(X, Y).best_params_["C"] > 1e-6
    grown = HalvingGridSearchCV(
        LogisticRegression(), {"fit_intercept": [True, False]}, cv=BY_CONSTRUCTOR[1], resource="max_iter",
        min_resources=20, max_resources=80,
    )  # fmt: skip
    assert grown.fit(X, Y).n_splits_ == 4


def test_predictions_of_every_row_need_a_partition() -> None:
    assert cross_val_predict(LogisticRegression(), X, Y, cv=BY_CONSTRUCTOR[1]).shape == (300,)
    with pytest.raises(ValueError, match="partitions"):
        cross_val_predict(LogisticRegression(), X, Y, cv=BY_CONSTRUCTOR[2])
