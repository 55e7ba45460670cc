"""Gueant, Lehalle and Fernandez-Tapia, "Dealing with the inventory risk", Mathematics and Financial Economics 7, 2013.

The model of Avellaneda and Stoikov with bounded inventory, solved: a change of variables makes the equation linear,
with the tridiagonal matrix ``M``: ``alpha q^2`` on the diagonal, ``-eta`` beside it, ``alpha = k gamma sigma^2 / 2``,
``eta = A (1 + gamma / k)^-(1 + k / gamma)``. Distances in the unit of ``1 / k``, inventory in orders.
"""

from __future__ import annotations

import math

import numpy as np

from marketprism.core.errors import ConfigError
from marketprism.strategies._formulas import asymptotic, base_distance, exact_table

__all__ = ["closed_form_distances", "exact_distances", "finite_horizon_distances"]


def closed_form_distances(inventory: float, *, gamma: float, sigma: float, k: float, A: float) -> tuple[float, float]:
    """Return how far bid and ask are from the mid, far from the end, in closed form.

    ``bid = log(1 + gamma / k) / gamma + (q + 1/2) sqrt(sigma^2 gamma / (2 k A) (1 + gamma / k)^(1 + k / gamma))``; the
    ask is that of ``-q``.

    Examples
    --------
    >>> bid, ask = closed_form_distances(0, gamma=0.01, sigma=0.3, k=0.3, A=0.9)
    >>> round(bid, 4), bid == ask
    (3.3129, True)
    """
    _check(gamma=gamma, sigma=sigma, k=k, A=A)
    bid, ask = asymptotic(float(inventory), float(gamma), float(sigma), float(k), float(A))
    return float(bid), float(ask)


def exact_distances(*, gamma: float, sigma: float, k: float, A: float, bound: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how far bid and ask are from the mid, far from the end, exactly.

    Returns
    -------
    bid, ask : ndarray, shape (2 bound + 1,)
        For inventories ``-bound`` to ``bound``; infinite for the side that would go beyond.

    Examples
    --------
    >>> bid, ask = exact_distances(gamma=0.01, sigma=0.3, k=0.3, A=0.9, bound=30)
    >>> round(float(bid[30]), 4), round(float(bid[35]), 4)
    (3.313, 3.6535)
    """
    _check(gamma=gamma, sigma=sigma, k=k, A=A, bound=bound)
    table = np.empty(2 * int(bound))
    exact_table(float(gamma), float(sigma), float(k), float(A), table)
    bid = np.append(table, np.inf)
    return bid, bid[::-1].copy()


def finite_horizon_distances(
    remaining: float, *, gamma: float, sigma: float, k: float, A: float, bound: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return how far bid and ask are from the mid, ``remaining`` time before the end: ``v = exp(-M remaining) 1``.

    Returns
    -------
    bid, ask : ndarray, shape (2 bound + 1,)
        As :func:`exact_distances`, to which they tend far from the end; at the end ``log(1 + gamma / k) / gamma``.
    """
    from scipy.linalg import eigh_tridiagonal

    _check(gamma=gamma, sigma=sigma, k=k, A=A, bound=bound)
    if not 0 <= remaining < math.inf:
        raise ConfigError(f"remaining was {remaining}", hint="finite, 0 or more")
    q = np.arange(-int(bound), int(bound) + 1)
    eta = A / math.exp((1.0 + k / gamma) * math.log1p(gamma / k))
    values, vectors = eigh_tridiagonal(0.5 * k * gamma * sigma**2 * q**2.0, np.full(len(q) - 1, -eta))
    v = vectors @ (np.exp(-(values - values[0]) * remaining) * vectors.sum(axis=0))
    bid = np.append(np.log(v[:-1] / v[1:]) / k + base_distance(float(gamma), float(k)), np.inf)
    return bid, bid[::-1].copy()


def _check(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ConfigError(f"{name} was {value}", hint="finite and positive")
