"""Reality Check and SPA: agreement with arch, detection, and size by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import reality_check, superior_predictive_ability
from marketprism.evaluate.superior import long_run_variance


def models(seed, bad=0.3, n=400, k=20):
    returns = np.random.default_rng(seed).standard_normal((n, k))
    returns[:, k // 2 :] -= bad
    return returns


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_arch(seed):
    from arch.bootstrap import SPA

    returns = models(seed, 0.1, 200, 8)
    theirs = SPA(np.zeros(200), -returns, block_size=6, reps=2000, seed=seed)
    theirs.compute()
    ours = reality_check(returns, mean_length=6, replications=2000, seed=seed)
    np.testing.assert_allclose(ours[:3], theirs.pvalues.to_numpy(), atol=0.045)
    np.testing.assert_allclose(long_run_variance(returns, 6), theirs._loss_diff_var, rtol=1e-9)


@pytest.mark.parametrize("test", [reality_check, superior_predictive_ability])
def test_finds_the_one_good_model(test):
    returns = models(0)
    returns[:, 4] += 0.3
    found = test(returns)
    assert found.best == 4
    assert found.p_value < 0.01
    assert found.lower <= found.consistent <= found.upper
    assert found.model_p_values[4] < 0.01
    assert (np.delete(found.model_p_values, 4) > 0.05).all()
    assert test(returns)[:5] == found[:5]


def test_losses_and_benchmark():
    base = np.random.default_rng(9).standard_normal(400)
    returns = models(0)
    ours = reality_check(returns + base[:, None], base)
    same = reality_check(-(returns + base[:, None]), -base, losses=True)
    alone = reality_check(returns)
    assert ours.upper == same.upper == alone.upper
    assert ours.p_value == ours.upper


def test_wild_model_hides_a_good_one_from_the_reality_check_only():
    """Studentising: one useless model with tenfold noise must not drown the good one."""
    returns = models(0, k=4)
    returns[:, 0] += 0.2
    returns[:, 3] *= 10
    assert superior_predictive_ability(returns).p_value < 0.01
    assert reality_check(returns).p_value > 0.05


def test_no_advantage_anywhere_is_no_evidence():
    found = superior_predictive_ability(models(0) - 5)
    assert found.statistic == 0
    assert found.lower == found.consistent == found.upper == 1


def test_refusals():
    with pytest.raises(DataError, match="benchmark 399"):
        reality_check(models(0), np.zeros(399))
    with pytest.raises(DataError, match="models was not finite in row 2"):
        reality_check(np.where(np.arange(400)[:, None] == 2, np.nan, models(0)))
    constant = models(0)
    constant[:, 1] = 0.1
    with pytest.raises(DataError, match="model 1 differed"):
        superior_predictive_ability(constant)
    with pytest.raises(ConfigError, match="mean_length"):
        reality_check(models(0), mean_length=500)


@pytest.mark.slow
def test_size_with_half_the_models_bad():
    """ORACLES: lower .080, consistent .055, upper .035 at 5 %, T = 400, k = 20.

    They are multiples of 1/200: within two standard errors of 200 data sets.
    """
    trials = 1500
    p = np.array([reality_check(models(10_000 + i), replications=300, seed=i)[:3] for i in range(trials)])
    sizes = (p <= 0.05).mean(axis=0)
    for size, published in zip(sizes, (0.080, 0.055, 0.035), strict=True):
        assert size == pytest.approx(published, abs=2 * (published * (1 - published) / 200) ** 0.5)
    lower, consistent, upper = sizes
    assert lower > consistent > upper
