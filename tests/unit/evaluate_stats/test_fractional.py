"""Fractional differencing: exact weights, plain difference as a special case, causality."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.labels.fractional import fractional_difference, fractional_weights


def test_published_weights():
    assert fractional_weights(0.4, 6).tolist() == pytest.approx([1, -0.4, -0.12, -0.064, -0.0416, -0.029952], abs=1e-16)
    assert fractional_weights(1.0, 4).tolist() == [1, -1, 0, 0]
    assert fractional_weights(0.0, 3).tolist() == [1, 0, 0]


def test_half_twice_is_the_difference():
    x = np.random.default_rng(0).normal(size=60)
    w = fractional_weights(0.5, 60)
    np.testing.assert_allclose(np.convolve(w, w)[:60], fractional_weights(1.0, 60), atol=1e-15)
    np.testing.assert_allclose(fractional_difference(x, 1.0, 2)[1:], np.diff(x))


def test_causal_and_nan():
    x = np.random.default_rng(0).normal(size=50)
    full, part = fractional_difference(x, 0.4, 10), fractional_difference(x[:30], 0.4, 10)
    np.testing.assert_array_equal(full[:30], part)
    assert np.isnan(full[:9]).all()
    assert np.isfinite(full[9:]).all()
    x[20] = np.nan
    assert np.flatnonzero(np.isnan(fractional_difference(x, 0.4, 10))[9:]).tolist() == list(range(11, 21))
    assert np.isnan(fractional_difference([1.0], 0.4, 2)).all()


def test_refusals():
    with pytest.raises(ConfigError, match="size 0"):
        fractional_weights(0.4, 0)
    with pytest.raises(ConfigError, match="d was nan"):
        fractional_weights(float("nan"), 3)
    with pytest.raises(DataError, match="shape"):
        fractional_difference(np.zeros((2, 2)), 0.4, 2)
