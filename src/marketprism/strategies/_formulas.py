"""Distances of optimal quotes from the mid, as kernels; docstrings and sources stand with the public functions.

``q`` counts inventory in orders, distances are in the unit of ``1 / k`` (ticks in the maker loop), and the second
result is the mirror image of the first: what a short inventory asks is what a long one bids.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types

from marketprism.core.kernels import caller, inner, kernel

__all__ = [
    "TABLE",
    "asymptotic",
    "base_distance",
    "call_table",
    "exact_table",
    "finite",
    "interpolated",
    "stationary",
]

TABLE = types.none(types.float64, types.float64, types.float64, types.float64, types.float64[::1])
call_table = caller(TABLE)
"""Call :func:`exact_table` by address: it is large, and the maker loop seldom needs it."""

_ITERATIONS = 200
_CONVERGED = 1e-14


@kernel
def base_distance(gamma: float, k: float) -> float:
    """Distance that pays for the chance to trade: ``log(1 + gamma / k) / gamma``, ``1 / k`` without risk aversion."""
    if gamma * 1e9 < k:
        return 1.0 / k
    return math.log1p(gamma / k) / gamma


@kernel
def finite(q: float, gamma: float, sigma: float, k: float, remaining: float) -> tuple[float, float]:
    """Avellaneda-Stoikov with ``remaining`` time: distances of bid and ask."""
    risk = gamma * sigma * sigma * remaining
    middle = 0.5 * risk + base_distance(gamma, k)
    return middle + q * risk, middle - q * risk


@kernel
def stationary(q: float, gamma: float, sigma: float, k: float, bound: float) -> tuple[float, float]:
    """Avellaneda-Stoikov without end: distances of bid and ask for ``|q| <= bound``."""
    base = base_distance(gamma, k)
    if gamma == 0.0 or sigma == 0.0:
        return base, base
    q = min(max(q, -bound), bound)
    rest = (bound + 1.0) * (bound + 1.0) - q * q
    return base + _reservation(2.0 * q + 1.0, rest) / gamma, base + _reservation(1.0 - 2.0 * q, rest) / gamma


@inner
def _reservation(step: float, rest: float) -> float:
    """Return ``-log(1 - step / rest)``: infinite at the bound."""
    return math.inf if step >= rest else -math.log1p(-step / rest)


@kernel
def asymptotic(q: float, gamma: float, sigma: float, k: float, rate: float) -> tuple[float, float]:
    """Gueant-Lehalle-Fernandez-Tapia, closed form far from the end: distances of bid and ask."""
    power = math.e if gamma * 1e9 < k else math.exp((1.0 + k / gamma) * math.log1p(gamma / k))
    slope = math.sqrt(sigma * sigma * gamma / (2.0 * k * rate) * power)
    base = base_distance(gamma, k)
    return base + (q + 0.5) * slope, base - (q - 0.5) * slope


@kernel
def exact_table(gamma: float, sigma: float, k: float, rate: float, out: np.ndarray) -> None:
    """Fill ``out`` with the exact stationary bid distances of inventories ``-Q`` to ``Q - 1``; its length is ``2 Q``.

    The ground state of the tridiagonal matrix with ``k gamma sigma^2 q^2 / 2`` on the diagonal and ``-eta`` beside it,
    ``eta = rate (1 + gamma / k)^-(1 + k / gamma)``, by inverse iteration from below its spectrum.
    """
    n = len(out) + 1
    bound = len(out) // 2
    power = math.e if gamma * 1e9 < k else math.exp((1.0 + k / gamma) * math.log1p(gamma / k))
    eta = rate / power
    alpha = 0.5 * k * gamma * sigma * sigma
    state = np.ones(n)
    diagonal = np.empty(n)
    before = np.empty(n)
    for _ in range(_ITERATIONS):
        before[:] = state
        # Shifted by 2 eta the matrix is a discrete Laplacian with a potential: positive definite.
        diagonal[0] = alpha * bound * bound + 2.0 * eta
        for i in range(1, n):
            factor = -eta / diagonal[i - 1]
            diagonal[i] = alpha * (i - bound) * (i - bound) + 2.0 * eta + factor * eta
            state[i] -= factor * state[i - 1]
        state[n - 1] /= diagonal[n - 1]
        for i in range(n - 2, -1, -1):
            state[i] = (state[i] + eta * state[i + 1]) / diagonal[i]
        most = state.max()
        change = 0.0
        for i in range(n):
            state[i] /= most
            change = max(change, abs(state[i] - before[i]) / state[i])
        if change < _CONVERGED:
            break
    base = base_distance(gamma, k)
    for i in range(n - 1):
        out[i] = math.log(state[i] / state[i + 1]) / k + base


@kernel
def interpolated(q: float, table: np.ndarray) -> tuple[float, float]:
    """Distances of bid and ask from a table of :func:`exact_table`, linear between whole inventories.

    At the bounds the side that would go beyond is as far as the last one inside.
    """
    bound = len(table) // 2
    return _between(q + bound, table), _between(bound - q, table)


@inner
def _between(at: float, table: np.ndarray) -> float:
    at = min(max(at, 0.0), len(table) - 1.0)
    low = math.floor(at)
    high = min(low + 1, len(table) - 1)
    share = at - low
    return float(table[low] * (1.0 - share) + table[high] * share)
