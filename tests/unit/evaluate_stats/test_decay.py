"""Signal decay on rows and on the clock: a planted half-life comes back, and nothing crosses a run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import effective_sharpe, information_by_delay, information_by_rows


def test_planted_lifetime_comes_back():
    """An AR(1) signal drives returns: the IC falls by its coefficient with every row of delay."""
    rng = np.random.default_rng(0)
    n, rho = 60_000, 0.8
    signal = np.zeros(n)
    noise = rng.normal(size=n)
    for i in range(1, n):
        signal[i] = rho * signal[i - 1] + noise[i]
    returns = 0.5 * signal + rng.normal(size=n)
    decay = information_by_rows(signal, returns, range(6), replications=50)
    np.testing.assert_allclose(decay.values / decay.values[0], rho ** np.arange(6), atol=0.03)
    assert decay.lifetime() == pytest.approx(-1 / math.log(rho), rel=0.05)
    assert all(metric.star for metric in decay.metrics)


def test_delays_stay_inside_a_run():
    x = np.arange(40.0) % 7
    run = np.repeat([0, 1], 20)
    decay = information_by_rows(x, x, [0, 5], series=run, replications=20)
    assert [metric.n for metric in decay.metrics] == [40, 30]
    holes = np.where(np.arange(40) == 3, np.nan, x)
    assert information_by_rows(holes, x, [0], replications=20).metrics[0].n == 39


def test_lifetime_of_no_decay_and_of_nothing():
    x = np.random.default_rng(0).normal(size=300)
    flat = information_by_rows(np.repeat(x, 3), np.repeat(x, 3), [0, 900 - 1], replications=20)
    assert math.isnan(flat.lifetime())
    trend = np.arange(300.0)
    assert information_by_rows(trend, trend, [0, 1, 2], replications=20).lifetime() > 1e6
    assert math.isnan(information_by_rows(np.ones(50), x[:50], [0, 1], replications=20).lifetime())
    assert math.isnan(information_by_rows(x, x, [], replications=20).lifetime())


def _path():
    """A price that moves once a second, by what the score said half a second before."""
    rng = np.random.default_rng(0)
    score = rng.normal(size=5000)
    second = 10**9
    known = np.arange(5000) * second
    price_ts = np.append(0, known + second // 2)
    price = np.exp(np.append(0.0, np.cumsum(score * 1e-4)))
    return score, known, price_ts, price, second


def test_late_orders_miss_the_move():
    score, known, price_ts, price, second = _path()
    delays = [0, second // 4, second * 6 // 10]
    decay = information_by_delay(score, known, price_ts, price, second * 9 // 10, delays, replications=20)
    assert decay.values[0] == pytest.approx(1.0)
    assert decay.values[1] == pytest.approx(1.0)
    assert math.isnan(decay.values[2])
    later = information_by_delay(
        score, known, price_ts, price, second * 9 // 10, delays, until="fixed_length", replications=20
    )
    assert abs(later.values[2]) < 0.05
    assert len({metric.n for metric in later.metrics}) == 1


def test_rows_beyond_the_path_are_left_out():
    score, known, price_ts, price, second = _path()
    cut = information_by_delay(score, known, price_ts[:101], price[:101], second, [0], replications=20)
    assert cut.metrics[0].n == 99
    none = information_by_delay(score, known, price_ts[:1], price[:1], second, [0], replications=20)
    assert none.metrics[0].n == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: effective_sharpe(1, -1, 5), ConfigError, "latency was -1"),
        (lambda: effective_sharpe(1, 1, 0), ConfigError, "half_life was 0"),
        (lambda: information_by_rows([1.0], [1.0, 2.0], [0]), DataError, "shape"),
        (lambda: information_by_rows([1.0, 2.0], [1.0, 2.0], [2]), ConfigError, "delay was 2"),
        (lambda: information_by_rows([1.0, 2.0], [1.0, 2.0], [0], series=[1]), DataError, "series had shape"),
        (lambda: information_by_delay([1.0], [0, 1], [0], [1.0], 1, [0]), DataError, "known"),
        (lambda: information_by_delay([1.0, 1.0], [1, 0], [0], [1.0], 1, [0]), DataError, "backwards"),
        (lambda: information_by_delay([1.0], [0], [0], [1.0], 1, [0], until="x"), ConfigError, "until was 'x'"),
        (lambda: information_by_delay([1.0], [0], [0], [1.0], 1, [1]), ConfigError, "delay was 1"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_no_latency_costs_nothing():
    assert effective_sharpe(2.0, 0, 10) == 2.0
    assert effective_sharpe(2.0, 10, math.inf) == 2.0
    assert effective_sharpe(2.0, 10, 10) == pytest.approx(2 / math.e)
