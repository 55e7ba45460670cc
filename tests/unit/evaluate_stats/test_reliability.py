"""Calibration with its null, and the best Brier score for an IC."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import best_possible_brier, calibration_test, expected_calibration_error


def test_either_order_of_arguments():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=500)
    up = rng.random(500) < p
    assert expected_calibration_error(p, up) == expected_calibration_error(up, p)
    assert expected_calibration_error(p, up, debias=False) > 0


@pytest.mark.parametrize("n", [1000, 30_000])
def test_null_is_uniform_under_perfect_calibration(n):
    rng = np.random.default_rng(0)
    p = []
    for i in range(200):
        probability = rng.uniform(0.2, 0.8, n)
        p.append(calibration_test(probability, rng.random(n) < probability, replications=199, seed=i).p_value)
    assert np.mean(p) == pytest.approx(0.5, abs=0.07)
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.04)


def test_overconfidence_is_found():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.1, 0.9, 5000)
    found = calibration_test(p, rng.random(5000) < 0.5 + 0.7 * (p - 0.5))
    assert found.p_value < 0.01
    assert found.raw > found.null_high > found.null_mean
    assert found.raw > found.debiased > 0.03


def test_best_brier_of_the_outcome_is_reached():
    """A forecast that takes two values and is calibrated reaches the bound exactly."""
    up = np.repeat([1, 0, 1, 0], [60, 40, 40, 60])
    forecast = np.repeat([0.6, 0.4], 100)
    r = np.corrcoef(up, forecast)[0, 1]
    assert np.mean((forecast - up) ** 2) == pytest.approx(best_possible_brier(r))
    assert best_possible_brier(1) == 0
    assert best_possible_brier(0.0, 0.1) == pytest.approx(0.09)


def test_best_brier_of_the_return_is_reached():
    from scipy.special import ndtr

    rng = np.random.default_rng(0)
    r = 0.6
    score = rng.normal(size=1_000_000)
    up = r * score + math.sqrt(1 - r * r) * rng.normal(size=score.size) > 0
    forecast = ndtr(r * score / math.sqrt(1 - r * r))
    assert np.mean((forecast - up) ** 2) == pytest.approx(best_possible_brier(r, of="return"), abs=5e-4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: expected_calibration_error([0.5], [0.5]), DataError, "outcome was 0.5"),
        (lambda: expected_calibration_error([1.5], [1]), DataError, "probability was 1.5"),
        (lambda: expected_calibration_error([0.5], [1], 0), ConfigError, "bins was 0"),
        (lambda: calibration_test([0.5], [1, 0]), DataError, "shape"),
        (lambda: calibration_test([0.5], [1], replications=0), ConfigError, "replications was 0"),
        (lambda: best_possible_brier(1.1), ConfigError, "correlation was 1.1"),
        (lambda: best_possible_brier(0.1, of="x"), ConfigError, "of was 'x'"),
        (lambda: best_possible_brier(0.1, 0.4, of="return"), ConfigError, "base_rate"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
