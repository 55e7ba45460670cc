"""Whatever the times: training labels end before the test starts, and tests do not overlap."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from marketprism.core.errors import DataError
from marketprism.evaluate import PurgedWalkForward


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(-2, 15)), min_size=1, max_size=80),
    st.integers(1, 5),
    st.integers(0, 6),
    st.sampled_from(["expanding", "rolling"]),
)
def test_no_training_label_reaches_the_test(rows, n_splits, embargo, window):
    times = np.array([time for time, _ in rows])
    ends = times + np.array([length for _, length in rows])
    splitter = PurgedWalkForward(n_splits, window=window, embargo=embargo, event_times=times, label_end_times=ends)
    try:
        folds = list(splitter.split(np.zeros(len(rows))))
    except DataError:
        assume(False)
    tested = []
    for train, test in folds:
        start = times[test].min()
        assert (times[train] < start - embargo).all()
        assert (ends[train] < start - embargo).all()
        # Nothing that could have been used was thrown away.
        if window == "expanding":
            usable = (times < start - embargo) & (ends < start - embargo)
            assert usable.sum() == train.size
        tested.extend(test.tolist())
    assert len(tested) == len(set(tested))
    first = times[folds[0][1]].min()
    assert set(tested) == set(np.flatnonzero(times >= first).tolist())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=8, max_size=40), st.randoms(use_true_random=False))
def test_row_order_does_not_matter(times, random):
    base = np.array(times)
    assume(np.unique(base).size >= 8)
    order = np.arange(base.size)
    random.shuffle(order)
    try:
        first = list(PurgedWalkForward(2).split(base, groups=np.column_stack((base, base + 1))))
    except DataError:
        assume(False)
    second = list(PurgedWalkForward(2).split(base, groups=np.column_stack((base, base + 1))[order]))
    for (train, test), (train_shuffled, test_shuffled) in zip(first, second, strict=True):
        assert set(train) == set(order[train_shuffled])
        assert set(test) == set(order[test_shuffled])
