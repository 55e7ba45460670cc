"""Diebold-Mariano: size with overlapping errors, power, and the long-run variance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import diebold_mariano
from marketprism.evaluate.compare import newey_west_variance


@pytest.mark.parametrize(
    ("kernel", "horizon"), [("bartlett", 1), ("rectangular", 1), ("bartlett", 3), ("rectangular", 3)]
)
def test_size(kernel, horizon):
    rng = np.random.default_rng(0)
    p = []
    for _ in range(800):
        noise = rng.normal(size=(2, 300 + horizon - 1))
        a, b = (np.convolve(x, np.ones(horizon), "valid") for x in noise)
        p.append(diebold_mariano(a, b, horizon, kernel=kernel).p_value)
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_ignoring_overlap_rejects_too_often():
    rng = np.random.default_rng(0)
    p = []
    for _ in range(300):
        a, b = (np.convolve(x, np.ones(10), "valid") for x in rng.normal(size=(2, 309)))
        p.append([diebold_mariano(a, b, lags=0).p_value, diebold_mariano(a, b, 10).p_value])
    naive, honest = (np.array(p) < 0.05).mean(axis=0)
    assert naive > 0.3
    assert honest < 0.13


def test_sign_and_agreement_with_the_t_test():
    rng = np.random.default_rng(0)
    better, worse = rng.normal(0, 1, 100), rng.normal(0.5, 1, 100)
    found = diebold_mariano(worse, better, lags=0)
    difference = worse - better
    assert found.statistic == pytest.approx(math.sqrt(99) * difference.mean() / difference.std(), rel=1e-12)
    assert found.p_value < 0.01
    assert diebold_mariano(better, worse, lags=0).statistic == -found.statistic


def test_newey_west_agrees_with_statsmodels():
    import statsmodels.api as sm

    x = np.random.default_rng(0).normal(size=200).cumsum() * 0.1
    fit = sm.OLS(x, np.ones(200)).fit(cov_type="HAC", cov_kwds={"maxlags": 5})
    assert newey_west_variance(x, 5) / 200 == pytest.approx(float(fit.bse[0]) ** 2)


def test_equal_forecasts_are_undefined_and_negative_variances_fall_back():
    same = diebold_mariano(np.ones(20), np.ones(20))
    assert math.isnan(same.p_value)
    assert same.mean_difference == 0
    assert math.isnan(diebold_mariano(np.full(20, 2.0), np.ones(20)).statistic)
    swing = np.tile([1.0, -1.0], 20) + 0.01
    assert newey_west_variance(swing, 1, taper=False) < 0
    assert math.isfinite(diebold_mariano(swing, np.zeros(40), 2, kernel="rectangular").statistic)


def test_refusals():
    with pytest.raises(DataError, match="lengths were"):
        diebold_mariano(np.ones(10), np.ones(11))
    with pytest.raises(ConfigError, match="kernel was 'x'"):
        diebold_mariano(np.ones(10), np.zeros(10), kernel="x")
    with pytest.raises(ConfigError, match="horizon was 9"):
        diebold_mariano(np.ones(10), np.zeros(10), 9)
