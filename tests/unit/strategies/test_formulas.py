"""Closed forms: symmetries, limits, and the exact solution against another way of computing it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.core.errors import ConfigError
from marketprism.strategies._formulas import interpolated
from marketprism.strategies.almgren_chriss import almgren_chriss
from marketprism.strategies.avellaneda_stoikov import (
    optimal_spread,
    quote_distances,
    reservation_price,
    simulate_dealer,
    stationary_distances,
)
from marketprism.strategies.glft import closed_form_distances, exact_distances, finite_horizon_distances

MARKET = {"gamma": 0.05, "sigma": 0.8, "k": 0.9, "A": 1.4}


@pytest.mark.parametrize("q", [-7, 0, 2.5])
def test_quotes_stand_around_the_reservation_price(q: float) -> None:
    bid, ask = quote_distances(q, gamma=0.1, sigma=2.0, k=1.5, remaining=0.4)
    assert bid + ask == pytest.approx(optimal_spread(gamma=0.1, sigma=2.0, k=1.5, remaining=0.4))
    fair = reservation_price(100.0, q, gamma=0.1, sigma=2.0, remaining=0.4)
    assert (100 - bid + 100 + ask) / 2 == pytest.approx(fair)
    assert (ask, bid) == pytest.approx(quote_distances(-q, gamma=0.1, sigma=2.0, k=1.5, remaining=0.4))


def test_without_risk_aversion_quotes_ignore_inventory() -> None:
    assert quote_distances(9, gamma=0.0, sigma=2.0, k=1.5, remaining=1.0) == pytest.approx((1 / 1.5, 1 / 1.5))
    assert quote_distances(9, gamma=1e-8, sigma=0.0, k=1.5, remaining=1.0) == pytest.approx((1 / 1.5, 1 / 1.5))
    assert stationary_distances(3, gamma=0.0, sigma=2.0, k=1.5, bound=5) == (1 / 1.5, 1 / 1.5)


def test_without_end_the_bound_is_never_passed() -> None:
    bid, ask = stationary_distances(5, gamma=0.1, sigma=2.0, k=1.5, bound=5)
    assert math.isinf(bid)
    assert ask < 1 / 1.5
    at_zero = stationary_distances(0, gamma=0.1, sigma=2.0, k=1.5, bound=5)
    assert at_zero[0] == at_zero[1] == pytest.approx(math.log1p(0.1 / 1.5) / 0.1 - math.log1p(-1 / 36) / 0.1)
    distances = [stationary_distances(q, gamma=0.1, sigma=2.0, k=1.5, bound=5)[0] for q in range(-5, 5)]
    assert (np.diff(distances) > 0).all()


def test_exact_solution_is_the_limit_of_the_finite_horizon() -> None:
    bid, ask = exact_distances(**MARKET, bound=12)
    late = finite_horizon_distances(2000.0, **MARKET, bound=12)
    np.testing.assert_allclose(bid[:-1], late[0][:-1], atol=1e-9)
    np.testing.assert_allclose(ask[1:], late[1][1:], atol=1e-9)
    assert np.isinf([bid[-1], ask[0], late[0][-1]]).all()
    base = math.log1p(MARKET["gamma"] / MARKET["k"]) / MARKET["gamma"]
    np.testing.assert_allclose(finite_horizon_distances(0.0, **MARKET, bound=12)[0][:-1], base, rtol=1e-12)


def test_closed_form_is_near_the_exact_solution() -> None:
    exact = exact_distances(**MARKET, bound=40)[0][35:46]
    closed = [closed_form_distances(q, **MARKET)[0] for q in range(-5, 6)]
    np.testing.assert_allclose(exact, closed, atol=0.012)


def test_interpolation_between_inventories() -> None:
    table = exact_distances(**MARKET, bound=3)[0][:-1]
    bid, ask = interpolated(0.5, table)
    assert bid == pytest.approx((table[3] + table[4]) / 2)
    assert ask == pytest.approx((table[2] + table[3]) / 2)
    assert interpolated(99.0, table) == pytest.approx((table[-1], table[0]))


def test_dealers_are_drawn_from_the_seed() -> None:
    one, two = (simulate_dealer(gamma=0.1, paths=50, steps=20, seed=seed) for seed in (1, 1))
    assert (one.profit == two.profit).all()
    assert (one.profit != simulate_dealer(gamma=0.1, paths=50, steps=20, seed=2).profit).any()


def test_execution_plans_without_risk_aversion_are_equal_pieces() -> None:
    market = {"sigma": 0.95, "fixed_cost": 0.0625, "permanent": 2.5e-7, "temporary": 2.5e-6}
    plan = almgren_chriss(1e6, horizon=5, steps=5, risk_aversion=0.0, **market)
    np.testing.assert_allclose(plan.trades, 2e5)
    assert almgren_chriss(1e6, horizon=5, steps=5, risk_aversion=1.0, **market).holdings[1] < 1e3
    with pytest.raises(ConfigError, match="more steps"):
        almgren_chriss(1e6, horizon=50, steps=2, risk_aversion=0.0, **market)
    with pytest.raises(ConfigError, match="steps was 0"):
        almgren_chriss(1e6, horizon=5, steps=0, risk_aversion=0.0, **market)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: optimal_spread(gamma=0.1, sigma=1.0, k=0.0, remaining=1.0), "k was 0"),
        (lambda: stationary_distances(0, gamma=0.1, sigma=1.0, k=1.0, bound=-1), "bound was -1"),
        (lambda: simulate_dealer(gamma=math.nan), "gamma was nan"),
        (lambda: exact_distances(gamma=0.0, sigma=1.0, k=1.0, A=1.0, bound=3), "gamma was 0"),
        (lambda: finite_horizon_distances(-1.0, **MARKET, bound=3), "remaining was -1"),
    ],
)
def test_values_out_of_range_are_named(call, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        call()
