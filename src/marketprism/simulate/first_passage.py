"""Exact probability that the next mid move is up, given the two best queues.

At spread S a limit order joins a best queue at rate ``limit(S)``; a market order or the cancellation of one of its
n orders shortens it at rate ``market + n cancel(S)``. The mid rises when the ask queue empties or a bid arrives
inside the spread (rate ``limit(1) + ... + limit(S - 1)``), and falls in the mirrored cases. The hitting probability
of this two-dimensional chain solves a sparse linear system; at S = 1 it is the race of two independent birth-death
queues to zero (Cont, Stoikov and Talreja 2010, section 4.2, who invert a Laplace transform).
"""

from __future__ import annotations

import numpy as np

from marketprism.core.errors import ConfigError
from marketprism.simulate.cst import QueueRates

__all__ = ["mid_up_table", "race_to_zero"]


def mid_up_table(spread: int, size: int = 5, rates: QueueRates | None = None, *, truncation: int = 60) -> np.ndarray:
    """Return P(next mid move is up), rows bid queue 1..size, columns ask queue 1..size.

    Parameters
    ----------
    spread : int
        In ticks, 1 or more.
    size : int, default 5
        Longest queue reported, in unit orders.
    rates : QueueRates, optional
        Default: the published ones.
    truncation : int, default 60
        Longest queue solved for; arrivals at it are ignored. With the published rates a queue of 60 is out of
        reach to machine precision.

    Returns
    -------
    ndarray, shape (size, size)
        Probabilities; never NaN. ``table + table.T == 1`` by symmetry.

    Raises
    ------
    ConfigError
        ``spread`` below 1 or ``size`` above ``truncation``.

    Examples
    --------
    >>> round(float(mid_up_table(1)[0, 0]), 6)
    0.5
    """
    if spread < 1 or not 1 <= size <= truncation:
        raise ConfigError(f"spread was {spread}, size {size}", hint=f"spread >= 1, 1 <= size <= {truncation}")
    rates = rates if rates is not None else QueueRates()
    birth = np.full(truncation, rates.limit_at(spread))
    death = rates.market + np.arange(1, truncation + 1) * rates.cancel_at(spread)
    inside = float(rates.limits(spread - 1).sum())
    return np.ascontiguousarray(race_to_zero(birth, death, birth, death, inside)[:size, :size])


def race_to_zero(
    bid_birth: np.ndarray, bid_death: np.ndarray, ask_birth: np.ndarray, ask_death: np.ndarray, inside: float = 0.0
) -> np.ndarray:
    """Return P(ask queue empties, or a bid arrives inside the spread, before the mirrored cases).

    Parameters
    ----------
    bid_birth, bid_death, ask_birth, ask_death : float ndarray, shape (n,)
        Rates by queue size 1..n, a second; births at n are ignored (truncation).
    inside : float, default 0
        Rate of orders inside the spread, each side, a second.

    Returns
    -------
    ndarray, shape (n, n)
        Probabilities, rows bid queue 1..n, columns ask queue 1..n; never NaN.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import spsolve

    n = len(bid_birth)
    bid, ask = (index.ravel() for index in np.meshgrid(np.arange(1, n + 1), np.arange(1, n + 1), indexing="ij"))
    state = np.arange(n * n)
    down, up_one = bid_death[bid - 1], ask_death[ask - 1]
    bid_up, ask_up = bid_birth[bid - 1] * (bid < n), ask_birth[ask - 1] * (ask < n)
    total = down + up_one + bid_up + ask_up + 2 * inside
    steps = ((bid < n, n, bid_up), (ask < n, 1, ask_up), (bid > 1, -n, down), (ask > 1, -1, up_one))
    row = np.concatenate([state, *(state[inner] for inner, _, _ in steps)])
    column = np.concatenate([state, *(state[inner] + move for inner, move, _ in steps)])
    value = np.concatenate([total, *(-rate[inner] for inner, _, rate in steps)])
    up = inside + np.where(ask == 1, up_one, 0.0)
    matrix = coo_matrix((value, (row, column)), shape=(n * n, n * n)).tocsc()
    return np.asarray(spsolve(matrix, up)).reshape(n, n)
