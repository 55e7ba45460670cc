"""Drift statistics: known values, atoms and missing rows, and honest null distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ks_2samp

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import drift_test, kolmogorov_smirnov, population_stability_index


def test_ks_agrees_with_scipy():
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.3):
        a, b = rng.normal(size=300).round(1), rng.normal(shift, size=200).round(1)
        assert kolmogorov_smirnov(a, b) == pytest.approx(ks_2samp(a, b).statistic)
        ours = drift_test(a, b, statistic="ks", replications=0)
        assert ours.p_value == pytest.approx(ks_2samp(a, b, method="asymp").pvalue, abs=0.05)


def test_psi_by_hand_and_symmetric_direction():
    expected, actual = np.repeat([1, 2], 50), np.repeat([1, 2], [80, 20])
    by_hand = 0.3 * math.log(0.8 / 0.5) - 0.3 * math.log(0.2 / 0.5)
    assert population_stability_index(expected, actual, 2) == pytest.approx(by_hand)


def test_atoms_have_their_own_bins():
    """A factor that is mostly 0 and moves below 0 has drifted, though its quantiles are all 0."""
    expected = np.zeros(1000)
    assert population_stability_index(expected, np.full(1000, -1e-9)) > 5
    assert population_stability_index(expected, np.full(1000, 1e-9)) > 5
    assert population_stability_index(expected, np.zeros(7)) == 0


def test_missing_rows_are_drift_and_infinities_are_values():
    x = np.random.default_rng(0).normal(size=1000)
    holes = np.where(np.arange(1000) % 2 == 0, np.nan, x)
    assert population_stability_index(x, holes) > 0.5
    assert population_stability_index(holes, holes) == 0
    assert population_stability_index(x, np.append(x[:500], np.full(500, np.inf))) > 0.5


@pytest.mark.parametrize("statistic", ["psi", "ks"])
@pytest.mark.parametrize("replications", [0, 199])
def test_size_and_power(statistic, replications):
    rng = np.random.default_rng(0)
    p = [
        drift_test(
            rng.normal(size=400), rng.normal(size=300), statistic=statistic, replications=replications, seed=i
        ).p_value
        for i in range(400)
    ]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)
    moved = drift_test(rng.normal(size=400), rng.normal(0.5, size=300), statistic=statistic, replications=replications)
    assert moved.p_value < 0.01
    assert moved.statistic > moved.null_high > moved.null_mean > 0


def _memory(rng, n):
    noise = rng.normal(size=n + 50)
    return np.convolve(noise, np.ones(20) / 20, "valid")[:n]


@pytest.mark.parametrize("statistic", ["psi", "ks"])
def test_blocks_keep_the_size_of_slow_factors(statistic):
    rng = np.random.default_rng(1)
    pairs = [(_memory(rng, 2000), _memory(rng, 2000)) for _ in range(100)]
    naive = np.mean([drift_test(a, b, statistic=statistic, replications=99).p_value <= 0.05 for a, b in pairs])
    blocked = np.array([drift_test(a, b, statistic=statistic, replications=99, block=80).p_value for a, b in pairs])
    assert naive > 0.5
    assert np.mean(blocked <= 0.05) < 0.15
    assert np.mean(blocked) == pytest.approx(0.5, abs=0.12)
    a, b = pairs[0]
    assert drift_test(a, b + 0.3, statistic=statistic, replications=99, block=80).p_value <= 0.02


def test_psi_null_is_the_chi_squared_law():
    rng = np.random.default_rng(0)
    values = [population_stability_index(rng.normal(size=2000), rng.normal(size=1000)) for _ in range(600)]
    null = drift_test(rng.normal(size=2000), rng.normal(size=1000), replications=0)
    assert np.mean(values) == pytest.approx(null.null_mean, rel=0.06)
    assert np.quantile(values, 0.95) == pytest.approx(null.null_high, rel=0.12)
    assert null.null_mean == pytest.approx(9 * (1 / 2000 + 1 / 1000))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: population_stability_index([], [1.0]), DataError, "expected had shape"),
        (lambda: population_stability_index([1.0], [np.nan]), DataError, "actual had shape"),
        (lambda: population_stability_index([1.0], [1.0], 1), ConfigError, "bins was 1"),
        (lambda: kolmogorov_smirnov([1.0], [np.nan]), DataError, "not finite"),
        (lambda: drift_test([1.0], [1.0], statistic="x"), ConfigError, "statistic was 'x'"),
        (lambda: drift_test([1.0], [1.0], block=2), ConfigError, "block was 2"),
        (lambda: drift_test([1.0, 2.0], [1.0, 3.0], block=2, replications=0), ConfigError, "blocks need"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
