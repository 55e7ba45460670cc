"""Sharpe ratios: identities, coverage by simulation, and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import sharpe as s


def test_a_constant_has_no_sharpe_ratio():
    assert math.isnan(s.sharpe_ratio([0.1, 0.1, 0.1]))
    assert math.isnan(s.probabilistic_sharpe_ratio(math.nan, 10))


def test_probability_covers_the_truth():
    """With true Sharpe ratio .1 the estimate exceeds its 95 % bound against .1 in 5 % of samples."""
    x = np.random.default_rng(0).normal(0.1, 1, (4000, 200))
    ratios = x.mean(1) / x.std(1, ddof=1)
    p = np.array([s.probabilistic_sharpe_ratio(r, 200, benchmark=0.1) for r in ratios])
    assert (p > 0.95).mean() == pytest.approx(0.05, abs=0.012)
    assert (p > 0.5).mean() == pytest.approx(0.5, abs=0.03)


def test_bad_shape_lowers_the_probability():
    plain = s.probabilistic_sharpe_ratio(0.1, 500)
    assert s.probabilistic_sharpe_ratio(0.1, 500, skew=-2, kurtosis=10) < plain
    assert s.probabilistic_sharpe_ratio(0.1, 500, benchmark=0.05) < plain
    assert s.probabilistic_sharpe_ratio(0.0, 500) == 0.5


def test_expected_maximum_matches_simulation():
    best = np.random.default_rng(0).standard_normal((20_000, 50)).max(axis=1).mean()
    assert s.expected_maximum_sharpe(50, 1.0) == pytest.approx(best, rel=0.02)  # the formula is asymptotic
    assert s.expected_maximum_sharpe(1, 1.0) == 0
    assert s.expected_maximum_sharpe(1.5, 1.0) >= 0


def test_one_trial_is_not_deflated():
    assert s.deflated_sharpe_ratio(0.1, 100, 1, 0.01) == s.probabilistic_sharpe_ratio(0.1, 100)
    values = [s.deflated_sharpe_ratio(0.1, 1000, trials, 1e-3) for trials in (1, 10, 100, 1000)]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]


def test_track_record_length():
    n = s.minimum_track_record(0.05, -1, 5, benchmark=0.01, confidence=0.9)
    assert s.probabilistic_sharpe_ratio(0.05, n, -1, 5, 0.01) == pytest.approx(0.9)
    assert s.minimum_track_record(0.0) == math.inf


@pytest.mark.parametrize(("rho", "periods"), [(0.3, 12.0), (-0.3, 250.0)])
def test_serial_correlation_factor_is_the_variance_of_sums(rho, periods):
    """AR(1): the factor equals q over the standard deviation of a sum of q unit-variance terms."""
    lag = np.abs(np.subtract.outer(np.arange(int(periods)), np.arange(int(periods))))
    exact = periods / math.sqrt((rho**lag).sum())
    assert s.annualisation_factor(rho ** np.arange(1, int(periods)), periods) == pytest.approx(exact)


def test_serial_sharpe_ratio_undoes_smoothing():
    rng = np.random.default_rng(1)
    noise = rng.normal(0.02, 1, 50_000)
    smooth = np.convolve(noise, [0.5, 0.5], "valid")
    plain, corrected = s.sharpe_ratio(smooth, 250), s.serial_sharpe_ratio(smooth, 250, lags=1, taper=False)
    true = s.sharpe_ratio(noise, 250)
    assert plain > 1.3 * true
    assert corrected == pytest.approx(true, rel=0.02)


def test_no_variance_is_nan_and_lags_are_checked():
    assert math.isnan(s.annualisation_factor([-1.0], 100))
    assert math.isfinite(s.annualisation_factor([-0.9], 100, taper=True))
    assert np.isnan(s.autocorrelations([1.0, 1.0, 1.0], 2)).all()
    assert s.newey_west_lags(1) == 0
    with pytest.raises(ConfigError, match="lags was 3"):
        s.autocorrelations([1.0, 2.0, 1.0], 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: s.sharpe_ratio([0.1, math.nan]), "not finite in row 1"),
        (lambda: s.sharpe_ratio([0.1]), "shape"),
        (lambda: s.sharpe_ratio(["a", "b"]), "numbers"),
        (lambda: s.probabilistic_sharpe_ratio(0.5, 1), "n was 1"),
        (lambda: s.probabilistic_sharpe_ratio(1.0, 10, skew=3, kurtosis=1), "kurtosis"),
        (lambda: s.expected_maximum_sharpe(0, 1), "trials was 0"),
        (lambda: s.expected_maximum_sharpe(5, -1), "trial_variance was -1"),
        (lambda: s.expected_maximum_sharpe(5, math.nan), "trial_variance was nan"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((DataError, ConfigError), match=message):
        call()
