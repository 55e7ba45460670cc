"""Performance: definitions by hand, and intervals that cover."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import performance as p
from marketprism.evaluate.bootstrap import block_length, plan_blocks
from marketprism.evaluate.resample import resample_rows
from marketprism.evaluate.sharpe import serial_sharpe_ratio, sharpe_ratio

RETURNS = np.random.default_rng(0).normal(0.02, 1, 700)


def test_values_are_those_of_the_plain_functions():
    found = p.performance_metrics(RETURNS, 250, replications=50)
    plain = {
        "sharpe": sharpe_ratio(RETURNS, 250),
        "sharpe_serial": serial_sharpe_ratio(RETURNS, 250),
        "sortino": p.sortino_ratio(RETURNS, 250),
        "calmar": p.calmar_ratio(RETURNS, 250),
        "max_drawdown": p.maximum_drawdown(RETURNS),
        "hit_rate": p.return_hit_rate(RETURNS),
    }
    assert {name: metric.value for name, metric in found.items()} == pytest.approx(plain)
    for metric in found.values():
        assert metric.low < metric.high


def test_replications_equal_resampled_rows():
    plan = plan_blocks(700, block_length(700), 20, 0)
    total, depth = p._paths(RETURNS, plan.starts, plan.length)
    for r, rows in enumerate(resample_rows(plan)):
        assert total[r] == pytest.approx(RETURNS[rows].sum())
        assert depth[r] == pytest.approx(p.maximum_drawdown(RETURNS[rows]))


def test_sharpe_interval_covers():
    rng = np.random.default_rng(0)
    true = 0.1 * math.sqrt(250)
    inside = 0
    for seed in range(200):
        metric = p.performance_metrics(rng.normal(0.1, 1, 600), 250, replications=200, seed=seed)["sharpe"]
        inside += metric.low < true < metric.high
    assert inside / 200 == pytest.approx(0.95, abs=0.05)


def test_drawdowns_by_hand():
    np.testing.assert_allclose(p.drawdowns([-0.1, 0.2, -0.3]), [0.1, 0.0, 0.3])
    np.testing.assert_allclose(p.drawdowns([1.0, -0.5, 1.0], compound=True), [0, 0.5, 0], atol=1e-15)
    assert p.calmar_ratio([0.1, -0.5, 0.2], 1, compound=True) == pytest.approx(((1.1 * 0.5 * 1.2) ** (1 / 3) - 1) / 0.5)
    with pytest.raises(DataError, match="above -1"):
        p.drawdowns([-1.0], compound=True)


def test_undefined_ratios():
    assert math.isnan(p.sortino_ratio([0.1, 0.2]))
    assert math.isnan(p.calmar_ratio([0.1, 0.2], 250))
    assert math.isnan(p.return_hit_rate([0.0]))
    found = p.performance_metrics(np.zeros(10), 250, replications=20)
    assert all(math.isnan(found[name].value) for name in ("sharpe", "sharpe_serial", "sortino", "calmar", "hit_rate"))
    assert "few" in found["calmar"].note
    assert p.sortino_ratio([0.02, 0.0], target=0.01) == 0


def test_refusals():
    with pytest.raises(ConfigError, match="periods_per_year was 0"):
        p.performance_metrics(RETURNS, 0)
    with pytest.raises(DataError, match="returns had shape"):
        p.performance_metrics([1.0], 250)
