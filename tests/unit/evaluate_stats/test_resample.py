"""The bootstrap plans resample what they say, and their variance is the textbook's."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.core.errors import ConfigError
from marketprism.evaluate import block_bootstrap, optimal_block_lengths, stationary_bootstrap
from marketprism.evaluate.bootstrap import plan_blocks
from marketprism.evaluate.resample import plan_stationary, resample_rows, resample_stationary_sums
from marketprism.evaluate.superior import long_run_variance


def test_plan_has_n_rows_a_replication_and_the_mean_length():
    plan = plan_stationary(1000, 8.0, 200, 0)
    sizes = np.add.reduceat(plan.lengths, plan.offsets[:-1])
    assert plan.replications == 200
    assert (sizes == 1000).all()
    assert plan.lengths.min() >= 1
    # The last block of a replication is cut, so the mean is a little below 8.
    assert plan.lengths.mean() == pytest.approx(8.0, rel=0.03)
    assert plan.starts.min() >= 0
    assert plan.starts.max() < 1000
    again = plan_stationary(1000, 8.0, 200, 0)
    assert (again.starts == plan.starts).all()
    assert (plan_stationary(1000, 8.0, 200, 1).starts[:50] != plan.starts[:50]).any()


def test_mean_length_one_is_the_ordinary_bootstrap():
    plan = plan_stationary(50, 1.0, 3, 0)
    assert (plan.lengths == 1).all()


@pytest.mark.parametrize("mean_length", [1.0, 7.5, 300.0])
def test_sums_equal_those_of_the_rows(mean_length):
    values = np.random.default_rng(0).normal(size=(300, 2))
    plan = plan_stationary(300, mean_length, 20, 3)
    rows = np.array(list(resample_rows(plan)))
    assert rows.shape == (20, 300)
    np.testing.assert_allclose(resample_stationary_sums(values, plan), values[rows].sum(axis=1), atol=1e-10)


def test_rows_of_a_block_plan_run_on_and_wrap():
    plan = plan_blocks(10, 4, 5, 0)
    rows = np.array(list(resample_rows(plan)))
    assert rows.shape == (5, 10)
    for starts, line in zip(plan.starts, rows, strict=True):
        expected = np.concatenate([(start + np.arange(4)) % 10 for start in starts])[:10]
        assert (line == expected).all()


def test_variance_of_the_mean_is_the_stationary_formula():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=2001)
    x = noise[1:] + 0.8 * noise[:-1]
    means = stationary_bootstrap(x, lambda sums: sums[:, 0] / 2000, 25, 4000, of_sums=True)
    assert 2000 * means.var() == pytest.approx(long_run_variance(x, 25)[0], rel=0.08)
    # and not that of independent rows
    assert 2000 * means.var() > 1.5 * x.var()


def test_any_statistic_of_rows_and_pairs_stay_together():
    x = np.random.default_rng(0).normal(size=200)
    pairs = np.column_stack((x, 2 * x))
    for method in (stationary_bootstrap, block_bootstrap):
        medians = method(x, np.median, replications=50, seed=1)
        assert medians.shape == (50,)
        assert medians.std() > 0
        correlations = method(pairs, lambda rows: np.corrcoef(rows.T)[0, 1], replications=10)
        np.testing.assert_allclose(correlations, 1.0)
    fast = block_bootstrap(x, lambda sums: sums[:, 0] / 200, 10, 50, 1, of_sums=True)
    np.testing.assert_allclose(fast, block_bootstrap(x, np.mean, 10, 50, 1))


def test_optimal_lengths_grow_with_memory():
    noise = np.random.default_rng(0).normal(size=3000)
    memory = np.empty(3000)
    memory[0] = 0
    for i in range(1, 3000):
        memory[i] = 0.9 * memory[i - 1] + noise[i]
    short, long = optimal_block_lengths(noise), optimal_block_lengths(memory)
    assert 1 <= short[0] < 10 < long[0] <= 3000
    assert short[1] < long[1] <= 3000
    assert optimal_block_lengths(np.column_stack((noise, memory)))[0] == long[0]


@pytest.mark.parametrize("bad", [0, 201])
def test_lengths_are_checked(bad):
    with pytest.raises(ConfigError, match=f"length was {bad}"):
        stationary_bootstrap(np.arange(200.0), np.mean, bad)
    with pytest.raises(ConfigError, match=f"length was {bad}"):
        block_bootstrap(np.arange(200.0), np.mean, bad)
