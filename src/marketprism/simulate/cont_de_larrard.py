"""Queue race of Cont and de Larrard (2013): probability that the next price move is up, and the market itself.

Spread one tick; unit orders join each best queue at rate ``limit`` and leave it (market orders and cancellations) at
rate ``removal``. The price moves up when the ask queue is the first to empty, down when the bid queue is. Then both
queues are drawn anew.

The first-passage density of a queue of n orders is, with a = limit, m = removal and w(x) = a + m - 2 sqrt(a m) cos x,

    f_n(t) = (m / a)^(n/2) (2 / pi) int_0^pi sqrt(a m) sin(x) sin(n x) exp(-w(x) t) dx,

and E exp(-s T_p) = ((a + m + s - sqrt((a + m + s)^2 - 4 a m)) / 2 a)^p =: g_p(s). Integrating P(bid alive at t) against
the ask's density over t leaves one integral over x:

    P(up | n, p) = P(bid never empties) P(ask empties)
                   + (m / a)^(n/2) (2 / pi) int_0^pi sqrt(a m) sin(x) sin(n x) g_p(w(x)) / w(x) dx.

In balanced flow this is the closed form of the paper's proposition 1.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from marketprism.core.errors import ConfigError
from marketprism.simulate.first_passage import race_to_zero

__all__ = ["up_probability", "up_probability_table"]

_LOST_DIGITS = 1e5
_OVERSHOOT = 1e-13


def up_probability(
    bid: int,
    ask: int,
    *,
    limit: float = 1.0,
    removal: float = 1.0,
    ask_limit: float | None = None,
    ask_removal: float | None = None,
) -> float:
    """Return the probability that the ask queue empties before the bid queue.

    Parameters
    ----------
    bid, ask : int
        Orders in the best queues, 1 or more.
    limit, removal : float, default 1
        Rates of arrivals and of removals, each queue, a second; only their ratios matter.
    ask_limit, ask_removal : float, optional
        Rates of the ask queue where they differ from the bid's.

    Returns
    -------
    float
        P(up) to about 1e-10; never NaN. Where queues grow (``limit > removal``) the price may never move, and
        P(up) and P(down) sum to less than one.

    Raises
    ------
    ConfigError
        An empty queue, or a rate that is not positive.

    Notes
    -----
    Where removals are much faster than arrivals the integral cancels (factor ``(removal / limit)^(n/2)``): long queues
    are then solved as a linear system, exact to the same accuracy.

    References
    ----------
    Cont and de Larrard, "Price dynamics in a Markovian limit order market", SIAM Journal on Financial Mathematics
    4(1), 2013.

    Examples
    --------
    >>> round(up_probability(1, 1), 12), round(up_probability(10, 2), 5)
    (0.5, 0.87397)
    >>> round(up_probability(1, 3, limit=1e-9), 6)  # without arrivals: heads before three tails
    0.125
    """
    from scipy.integrate import quad

    a, m = limit, removal
    b, d = limit if ask_limit is None else ask_limit, removal if ask_removal is None else ask_removal
    if bid < 1 or ask < 1:
        raise ConfigError(f"queues were bid {bid}, ask {ask}", hint="at least one order each")
    if not all(math.isfinite(rate) and rate > 0 for rate in (a, m, b, d)):
        raise ConfigError(f"rates were {(a, m, b, d)}", hint="each must be finite and positive")
    scale = (m / a) ** (bid / 2) if bid * math.log(m / a) < 2 * math.log(_LOST_DIGITS) else math.inf
    if scale > _LOST_DIGITS:
        return _solved(bid, ask, (a, m, b, d))

    def ask_transform(s: float) -> float:
        root = math.sqrt(max((b + d + s) ** 2 - 4 * b * d, 0.0))
        # The same as (b + d + s - root) / (2 b), without the cancellation of near-equal numbers.
        return float((2 * d / (b + d + s + root)) ** ask)

    def integrand(x: float) -> float:
        # a + m - 2 sqrt(a m) cos x, written so that it is exact at x = 0 in balanced flow.
        w = (math.sqrt(a) - math.sqrt(m)) ** 2 + 4 * math.sqrt(a * m) * math.sin(x / 2) ** 2
        return math.sqrt(a * m) * math.sin(x) * math.sin(bid * x) / w * ask_transform(w)

    pieces = np.linspace(0.0, math.pi, 2 + bid // 8)
    near = [0.0, *(float(x) for x in np.geomspace(1e-4, pieces[1], 4)), *(float(x) for x in pieces[2:])]
    integral = math.fsum(quad(integrand, lo, hi, epsabs=1e-14, limit=200)[0] for lo, hi in itertools.pairwise(near))
    never = max(0.0, 1 - (m / a) ** bid)
    value = never * ask_transform(0.0) + scale * 2 / math.pi * integral
    return min(1.0, max(0.0, value))


def _solved(bid: int, ask: int, rates: tuple[float, float, float, float]) -> float:
    """Solve the race as a linear system, truncated where queues do not reach."""
    a, m, b, d = rates
    worst = max(a / m, b / d)
    if worst >= 1:
        raise ConfigError(
            f"rates were {rates} with {bid} bids: outside what can be computed exactly",
            hint="shorter queues, or arrivals slower than removals on both sides",
        )
    n = max(bid, ask) + math.ceil(math.log(_OVERSHOOT) / math.log(worst))
    ones = np.ones(n)
    return float(race_to_zero(a * ones, m * ones, b * ones, d * ones)[bid - 1, ask - 1])


def up_probability_table(size: int = 5, *, limit: float = 1.0, removal: float = 1.0) -> np.ndarray:
    """Return P(up), rows bid queue 1..size, columns ask queue 1..size, as :func:`up_probability` gives it.

    Examples
    --------
    >>> up_probability_table(2).round(5).tolist()
    [[0.5, 0.30235], [0.69765, 0.5]]
    """
    sizes = range(1, size + 1)
    return np.array([[up_probability(i, j, limit=limit, removal=removal) for j in sizes] for i in sizes])
