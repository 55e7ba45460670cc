"""Probability of backtest overfitting, and backtest paths."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate.backtest_paths import backtest_paths
from marketprism.evaluate.overfitting import backtest_overfitting


def test_by_brute_force():
    table = np.random.default_rng(0).standard_normal((6, 5))
    below, kept = [], []
    for half in combinations(range(6), 3):
        rest = [s for s in range(6) if s not in half]
        inside, outside = table[list(half)].mean(axis=0), table[rest].mean(axis=0)
        best = int(np.argmax(inside))
        rank = sorted(outside).index(outside[best]) + 1
        below.append(1.0 if rank < 3 else 0.5 if rank == 3 else 0.0)
        kept.append(outside[best])
    found = backtest_overfitting(table)
    assert found.probability == pytest.approx(np.mean(below))
    assert found.out_of_sample == pytest.approx(np.median(kept))
    assert found.loss_share == pytest.approx(np.mean(np.array(kept) <= 0))
    assert (found.splits, found.trials) == (20, 5)


def test_noise_is_a_coin_and_skill_carries_over():
    random = np.random.default_rng(1)
    noise = [backtest_overfitting(random.standard_normal((8, 20))).probability for _ in range(200)]
    # Halves of one sample are opposites: what won in one has lost in the other, so somewhat above one half.
    assert 0.45 < np.mean(noise) < 0.65
    skill = random.standard_normal((8, 20)) * 0.1 + np.arange(20)
    assert backtest_overfitting(skill).probability == 0
    assert backtest_overfitting(np.ones((4, 2))).probability == 0.5


def test_a_trial_may_be_turned_round():
    table = np.tile([-1.0, 0.2, 0.1], (4, 1))
    assert backtest_overfitting(table).in_sample == pytest.approx(0.2)
    turned = backtest_overfitting(table, either_sign=True)
    assert turned.in_sample == turned.out_of_sample == pytest.approx(1.0)
    assert turned.probability == 0


def test_bad_input():
    with pytest.raises(ConfigError, match="5 stretches"):
        backtest_overfitting(np.zeros((5, 3)))
    with pytest.raises(DataError, match="1 trials"):
        backtest_overfitting(np.zeros((4, 1)))


def test_paths_of_a_case(case):
    found = backtest_paths(case, "logistic")
    assert (found.splits, found.paths.height) == (15, 5)
    assert found.paths["ic"].min() > 0.05
    assert found.negative_share == 0
    assert found.rows == int(case.problem.labelled.sum())
    capped = backtest_paths(case, "logistic", max_rows=300)
    assert capped.rows == 300
    # A path is one full history: with one test stretch each row is tested once, in a single path.
    single = backtest_paths(case, "logistic", 4, 1)
    assert (single.splits, single.paths.height) == (4, 1)


def test_paths_do_not_depend_on_jobs(case):
    import dataclasses

    judgement = dataclasses.replace(case.judgement, config=case.judgement.config.replace(jobs=2))
    two = dataclasses.replace(case, judgement=judgement)
    assert backtest_paths(two, "logistic", 3, 1).paths.equals(backtest_paths(case, "logistic", 3, 1).paths)
