"""Weights against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.labels import (
    average_uniqueness,
    combine_weights,
    confidence_weights,
    cost_aware_classes,
    cost_aware_weights,
    smooth_classes,
)
from marketprism.labels.labelset import NO_CLASS


def test_soft_classes():
    soft = smooth_classes([-1, 0, 1, NO_CLASS], 0.3)
    assert soft[:3].sum(axis=1) == pytest.approx(1)
    assert soft[:3].argmax(axis=1).tolist() == [0, 1, 2]
    assert np.isnan(soft[3]).all()
    ordinal = smooth_classes([-1, 0, 1], 0.3, ordinal=True)
    assert ordinal.tolist() == [[0.7, 0.3, 0.0], pytest.approx([0.15, 0.7, 0.15]), [0.0, 0.3, 0.7]]
    assert smooth_classes([1], 0.0).tolist() == [[0, 0, 1]]
    with pytest.raises(ConfigError, match="amount was 1"):
        smooth_classes([1], 1.0)
    with pytest.raises(DataError, match="other values"):
        smooth_classes([2])


def test_confidence_grows_with_distance_from_the_boundary():
    weights = confidence_weights([0.99, 1.01, 1.8, -1.8, 50.0, np.nan, 1.0], [1, 1, 1, 1, 1, 1, 0])
    assert weights[:5] == pytest.approx([0.1, 0.1, 0.8, 0.8, 1.0])
    assert np.isnan(weights[5:]).all()
    with pytest.raises(ConfigError, match="floor was 2"):
        confidence_weights([1.0], [1.0], floor=2.0)


def test_uniqueness_against_a_count_on_a_grid():
    rng = np.random.default_rng(0)
    start = rng.integers(0, 200, 60)
    end = start + rng.integers(1, 40, 60)
    grid = np.arange(300)
    alive = (start[:, None] <= grid) & (grid < end[:, None])
    count = alive.sum(axis=0)
    expected = [np.mean(1 / count[row]) for row in alive]
    assert average_uniqueness(start, end) == pytest.approx(expected)
    assert max(expected) > 3 * min(expected)


def test_uniqueness_of_series_and_missing_labels():
    assert average_uniqueness([0, 0], [4, 4], ["a", "b"]).tolist() == [1, 1]
    assert average_uniqueness([0, 0], [4, 4], ["a", "a"]).tolist() == [0.5, 0.5]
    result = average_uniqueness([0, 0, 5], [4, -1, 5])
    assert result[[0, 2]].tolist() == [1, 1]
    assert np.isnan(result[1])
    assert average_uniqueness([], []).size == 0
    with pytest.raises(DataError, match="before its start"):
        average_uniqueness([5], [3])
    with pytest.raises(DataError, match="one per label"):
        average_uniqueness([5], [3, 4])


def test_costs():
    assert cost_aware_classes([0.2, np.nan, -5.0], [0.2, 0.1, 0.0]).tolist() == [0, NO_CLASS, -1]
    weights = cost_aware_weights([0.0, 1.0, -3.0, np.nan], 1.0, floor=0.5)
    assert weights[:3] == pytest.approx([0.5 + 1, 0.5, 0.5 + 2])
    assert np.isnan(weights[3])
    assert cost_aware_weights([1.0, -1.0], 1.0).tolist() == [1.1, 1.1]
    with pytest.raises(DataError, match="a cost was -1"):
        cost_aware_weights([1.0], -1.0)
    with pytest.raises(ConfigError, match="floor"):
        cost_aware_weights([1.0], 1.0, floor=-1.0)


def test_combined_weights_have_mean_one():
    weights = combine_weights([1.0, 2.0, np.nan], [2.0, 4.0, 1.0])
    assert weights.tolist() == pytest.approx([0.4, 1.6, 0.0])
    for bad in ([], [[-1.0, 2.0]], [[0.0, 0.0]]):
        with pytest.raises(DataError):
            combine_weights(*bad)
