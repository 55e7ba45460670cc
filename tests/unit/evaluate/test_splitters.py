"""Purged walk-forward: nothing known after the test starts ever trains."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import cross_validate

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import PurgedWalkForward


def folds(splitter, n, groups=None):
    return [(train.tolist(), test.tolist()) for train, test in splitter.split(np.zeros(n), groups=groups)]


def test_labels_that_end_at_or_after_the_test_start_are_purged():
    times = np.arange(8)
    ends = times + 2
    splitter = PurgedWalkForward(1, event_times=times, label_end_times=ends)
    # Test starts at 4: the label of row 2 ends at 4, not before it.
    assert folds(splitter, 8) == [([0, 1], [4, 5, 6, 7])]


def test_embargo_widens_the_gap():
    times = np.arange(8)
    splitter = PurgedWalkForward(1, embargo=1, event_times=times, label_end_times=times + 2)
    assert folds(splitter, 8) == [([0], [4, 5, 6, 7])]


def test_label_end_counts_not_the_order_of_rows():
    times = np.arange(9)
    ends = times.copy()
    ends[0] = 100  # an early row whose label ends late
    splitter = PurgedWalkForward(2, event_times=times, label_end_times=ends)
    assert folds(splitter, 9) == [([1, 2], [3, 4, 5]), ([1, 2, 3, 4, 5], [6, 7, 8])]


def test_rolling_window_forgets():
    splitter = PurgedWalkForward(3, window="rolling", label_horizon=0)
    assert folds(splitter, 8) == [([0, 1], [2, 3]), ([2, 3], [4, 5]), ([4, 5], [6, 7])]
    wider = PurgedWalkForward(3, window="rolling", train_stretches=2, label_horizon=0)
    assert folds(wider, 8)[2] == ([2, 3, 4, 5], [6, 7])


def test_rows_of_one_time_stay_together():
    times = np.repeat(np.arange(6), 3)
    order = np.random.default_rng(0).permutation(18)
    groups = np.column_stack((times, times))[order]
    for train, test in PurgedWalkForward(2).split(np.zeros(18), groups=groups):
        assert not set(groups[train, 0]) & set(groups[test, 0])
        assert groups[train, 0].max() < groups[test, 0].min()
        for time in np.unique(groups[test, 0]):
            assert (groups[test, 0] == time).sum() == 3


def test_every_row_after_the_first_stretch_is_tested_once():
    times = np.random.default_rng(1).integers(0, 50, 200)
    groups = np.column_stack((times, times + 3))
    tested = np.concatenate([test for _, test in PurgedWalkForward(4).split(np.zeros(200), groups=groups)])
    assert np.unique(tested).size == tested.size
    assert times[np.setdiff1d(np.arange(200), tested)].max() < times[tested].min()


def test_works_in_cross_validate():
    rng = np.random.default_rng(0)
    X, y, times = rng.normal(size=(60, 2)), rng.integers(0, 2, 60), np.arange(60)
    by_groups = cross_validate(
        DummyClassifier(), X, y, cv=PurgedWalkForward(3), groups=np.column_stack((times, times + 1))
    )
    by_constructor = cross_validate(
        DummyClassifier(), X, y, cv=PurgedWalkForward(3, event_times=times, label_end_times=times + 1)
    )
    assert len(by_groups["test_score"]) == 3
    assert by_groups["test_score"].tolist() == by_constructor["test_score"].tolist()
    assert PurgedWalkForward(3).get_n_splits() == 3


@pytest.mark.parametrize(
    "change",
    [
        {"n_splits": 0},
        {"window": "sliding"},
        {"embargo": -1},
        {"train_stretches": 0},
        {"label_horizon": -1},
        {"event_times": [1]},
    ],
)
def test_bad_arguments(change):
    with pytest.raises(ConfigError, match=r"was|given"):
        PurgedWalkForward(**change)


@pytest.mark.parametrize(
    ("n", "groups", "message"),
    [
        (3, np.zeros((3, 3)), "groups had shape"),
        (3, np.zeros((2, 2)), "3 rows came with 2 times"),
        (3, np.zeros((3, 2)), "1 distinct times are too few"),
        (0, None, "0 distinct times"),
    ],
)
def test_bad_times(n, groups, message):
    with pytest.raises(DataError, match=message):
        folds(PurgedWalkForward(2), n, groups)
