"""Avellaneda and Stoikov, "High-frequency trading in a limit order book", Quantitative Finance 8(3), 2008.

A dealer with exponential utility (risk aversion ``gamma``), a Brownian mid (``sigma``) and market orders that reach the
distance ``d`` from the mid at the rate ``A exp(-k d)`` on each side. Prices, ``1 / gamma``, ``1 / k`` and
``sigma * sqrt(time)`` are in one unit, inventory in orders.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numba import njit

from marketprism.core.errors import ConfigError
from marketprism.core.random import stream
from marketprism.strategies._formulas import base_distance, finite, stationary

__all__ = [
    "DealerRuns",
    "optimal_spread",
    "quote_distances",
    "reservation_price",
    "simulate_dealer",
    "stationary_distances",
]


def reservation_price(mid: float, inventory: float, *, gamma: float, sigma: float, remaining: float) -> float:
    """Return the price at which the dealer is indifferent: ``mid - q gamma sigma^2 remaining``.

    Examples
    --------
    >>> reservation_price(100.0, 3, gamma=0.1, sigma=2.0, remaining=0.5)
    99.4
    """
    return mid - inventory * gamma * sigma * sigma * remaining


def optimal_spread(*, gamma: float, sigma: float, k: float, remaining: float) -> float:
    """Return ask minus bid: ``gamma sigma^2 remaining + (2 / gamma) log(1 + gamma / k)``.

    Examples
    --------
    >>> round(optimal_spread(gamma=0.1, sigma=2.0, k=1.5, remaining=1.0), 4)
    1.6908
    """
    _check(gamma=gamma, k=k)
    return float(gamma * sigma * sigma * remaining + 2.0 * base_distance(float(gamma), float(k)))


def quote_distances(inventory: float, *, gamma: float, sigma: float, k: float, remaining: float) -> tuple[float, float]:
    """Return how far bid and ask are from the mid, ``remaining`` time before the end."""
    _check(gamma=gamma, k=k)
    bid, ask = finite(float(inventory), float(gamma), float(sigma), float(k), float(remaining))
    return float(bid), float(ask)


def stationary_distances(
    inventory: float, *, gamma: float, sigma: float, k: float, bound: float
) -> tuple[float, float]:
    """Return how far bid and ask are from the mid in the solution without end.

    The discount rate is the paper's ``gamma^2 sigma^2 (bound + 1)^2 / 2``, with which volatility cancels; at the
    largest inventory ``bound`` the side that would add to it is infinitely far. The ask is the mirror image of the bid,
    as the value function has it; the paper prints ``log(1 + x)`` for ``-log(1 - x)`` there, equal to first order.
    """
    _check(gamma=gamma, k=k)
    if not bound >= 0:
        raise ConfigError(f"bound was {bound}", hint="the largest inventory, 0 or more")
    bid, ask = stationary(float(inventory), float(gamma), float(sigma), float(k), float(bound))
    return float(bid), float(ask)


class DealerRuns(NamedTuple):
    """Final profit and inventory of simulated dealers, one of each a path, and the mean spread they quoted."""

    profit: np.ndarray
    inventory: np.ndarray
    spread: float


@njit(cache=True)
def _paths(
    draws: np.random.Generator,
    profit: np.ndarray,
    inventory: np.ndarray,
    gamma: float,
    sigma: float,
    k: float,
    rate: float,
    horizon: float,
    steps: int,
    fixed: float,
) -> None:
    dt = horizon / steps
    move = sigma * math.sqrt(dt)
    for path in range(len(profit)):
        away, cash, q = 0.0, 0.0, 0.0
        for step in range(steps):
            if fixed > 0.0:
                bid = ask = 0.5 * fixed
            else:
                bid, ask = finite(q, gamma, sigma, k, horizon - step * dt)
            bought = draws.random() < rate * math.exp(-k * bid) * dt
            sold = draws.random() < rate * math.exp(-k * ask) * dt
            if bought:
                q += 1.0
                cash -= away - bid
            if sold:
                q -= 1.0
                cash += away + ask
            away += move if draws.random() < 0.5 else -move
        profit[path] = cash + q * away
        inventory[path] = q


def simulate_dealer(
    strategy: Literal["inventory", "symmetric"] = "inventory",
    *,
    gamma: float,
    sigma: float = 2.0,
    k: float = 1.5,
    A: float = 140.0,
    horizon: float = 1.0,
    steps: int = 200,
    paths: int = 60_000,
    seed: int = 0,
) -> DealerRuns:
    """Simulate the paper's section 3.3: the mid moves by ``+-sigma sqrt(dt)`` a step, fills come with ``lambda dt``.

    Parameters
    ----------
    strategy : {"inventory", "symmetric"}
        Optimal quotes, or quotes around the mid with the mean of the optimal spread over time.
    gamma, sigma, k, A, horizon : float
        The model.
    steps, paths, seed : int
        Steps a path, paths, and the seed of both strategies' random numbers (the same draws for both).

    Examples
    --------
    >>> runs = simulate_dealer(gamma=0.1, paths=2000)
    >>> bool(runs.inventory.std() < simulate_dealer("symmetric", gamma=0.1, paths=2000).inventory.std())
    True
    """
    _check(gamma=gamma, k=k, A=A, horizon=horizon, steps=steps, paths=paths)
    times = horizon - np.arange(steps) * horizon / steps
    spread = float(gamma * sigma**2 * times.mean() + 2.0 * base_distance(float(gamma), float(k)))
    profit, inventory = np.empty(paths), np.empty(paths)
    fixed = spread if strategy == "symmetric" else 0.0
    draws = stream(seed, "avellaneda stoikov")
    _paths(draws, profit, inventory, float(gamma), float(sigma), float(k), float(A), float(horizon), int(steps), fixed)
    return DealerRuns(profit, inventory, spread)


def _check(**values: float) -> None:
    for name, value in values.items():
        if not (0 < value < math.inf or (name == "gamma" and value == 0)):
            raise ConfigError(f"{name} was {value}", hint="finite and positive")
