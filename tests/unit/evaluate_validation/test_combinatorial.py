"""Purged k-fold and combinatorial purged cross-validation: no training label overlaps a test label."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import cross_val_predict, cross_validate

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import CombinatorialPurgedCV, PurgedKFold
from marketprism.pipelines.selfcheck import oracles
from marketprism.pipelines.selfcheck.crossvalidation import ORACLES


def folds(splitter, n, groups=None):
    return [(train.tolist(), test.tolist()) for train, test in splitter.split(np.zeros(n), groups=groups)]


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: oracle.piece)
def test_oracles(oracle):
    assert oracle in oracles()
    assert oracle.check().passed


def test_labels_overlapping_the_test_are_purged_on_both_sides():
    times = np.arange(12)
    splitter = PurgedKFold(3, event_times=times, label_end_times=times + 2)
    # Test 4..7: the labels of 2 and 3 end at 4 and 5; the test's labels end at 9, so 8 and 9 overlap them.
    assert folds(splitter, 12)[1] == ([0, 1, 10, 11], [4, 5, 6, 7])


def test_embargo_widens_both_sides():
    times = np.arange(12)
    splitter = PurgedKFold(3, embargo=1, event_times=times, label_end_times=times + 2)
    assert folds(splitter, 12)[1] == ([0, 11], [4, 5, 6, 7])


def test_the_label_end_counts_not_the_event():
    times = np.arange(9)
    ends = times.copy()
    ends[0] = 4  # an early row whose label ends inside the test
    ends[3] = 7  # a test row whose label ends late
    assert folds(PurgedKFold(3), 9, np.column_stack((times, ends)))[1] == ([1, 2, 8], [3, 4, 5])


def test_no_training_label_overlaps_any_test_label():
    rng = np.random.default_rng(3)
    times = rng.integers(0, 80, 150)
    ends = times + rng.integers(0, 6, 150)
    splits = list(CombinatorialPurgedCV(6, 2, embargo=1).split(times, groups=np.column_stack((times, ends))))
    assert len(splits) == 15
    for train, test in splits:
        assert train.size
        gap = np.maximum(
            times[test][:, None] - ends[train], times[train] - ends[test][:, None]
        )  # distance of the two intervals; not above 0 where they overlap
        assert gap.min() > 1
        assert not np.intersect1d(times[train], times[test]).size


def test_every_row_is_tested_once_or_as_often_as_there_are_paths():
    tested = np.concatenate([test for _, test in PurgedKFold(4).split(np.zeros(22))])
    assert sorted(tested.tolist()) == list(range(22))
    tested = np.concatenate([test for _, test in CombinatorialPurgedCV(5, 3).split(np.zeros(22))])
    assert np.bincount(tested).tolist() == [6] * 22


def test_paths_use_each_tested_stretch_of_each_split_once():
    splitter = CombinatorialPurgedCV(6, 2)
    paths = splitter.paths()
    assert paths.shape == (5, 6)
    used = {(int(s), g) for path in paths for g, s in enumerate(path)}
    assert len(used) == 30
    tests = [set(np.asarray(test).tolist()) for _, test in splitter.split(np.zeros(6))]
    assert all(g in tests[s] for s, g in used)
    assert PurgedKFold(4).paths().tolist() == [[0, 1, 2, 3]]


def test_assembled_paths_hold_the_predictions_of_their_splits():
    splitter, X = CombinatorialPurgedCV(4, 2), np.zeros(9)
    predictions = [100.0 * s + test for s, (_, test) in enumerate(splitter.split(X))]
    joined = splitter.assemble(predictions, X)
    assert joined.shape == (3, 9)
    assert (joined % 100 == np.arange(9)).all()
    assert [np.unique(path // 100).tolist() for path in joined] == [np.unique(p).tolist() for p in splitter.paths()]
    with pytest.raises(DataError, match="5 predictions came for 6 splits"):
        splitter.assemble(predictions[1:], X)
    with pytest.raises(DataError, match="split 0"):
        splitter.assemble([predictions[0][1:], *predictions[1:]], X)


def test_works_in_sklearn():
    rng = np.random.default_rng(0)
    X, y, times = rng.normal(size=(60, 2)), rng.integers(0, 2, 60), np.arange(60)
    groups = np.column_stack((times, times + 1))
    by_groups = cross_validate(DummyClassifier(), X, y, cv=CombinatorialPurgedCV(), groups=groups)["test_score"]
    own = CombinatorialPurgedCV(event_times=times, label_end_times=times + 1)
    assert len(by_groups) == own.get_n_splits() == 15
    assert by_groups.tolist() == cross_validate(DummyClassifier(), X, y, cv=own)["test_score"].tolist()
    assert cross_val_predict(DummyClassifier(), X, y, cv=PurgedKFold(5)).shape == (60,)


@pytest.mark.parametrize(
    "make",
    [
        lambda: CombinatorialPurgedCV(1, 1),
        lambda: CombinatorialPurgedCV(6, 0),
        lambda: CombinatorialPurgedCV(4, 4),
        lambda: CombinatorialPurgedCV(embargo=-1),
        lambda: CombinatorialPurgedCV(event_times=[1, 2]),
        lambda: PurgedKFold(1),
    ],
)
def test_wrong_options(make):
    with pytest.raises(ConfigError, match=r"was|given"):
        make()


def test_too_few_times():
    with pytest.raises(DataError, match="too few for 6 stretches"):
        next(CombinatorialPurgedCV().split(np.zeros(4)))
