"""How far from the mid a maker at a fixed distance quotes, so that it makes sense on the instrument at hand."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["typical_distances", "volatility"]

_WIDER = 3.0
_DEVIATIONS = 4.0
_LEAST = 0.5


def typical_distances(spread: float, sigma: float, number: int = 4) -> tuple[float, ...]:
    """Return distances in equal ratios, from the touch to where the price goes within seconds.

    A grid to look at what distance does, chosen by the scale of the instrument and not by what it earned.

    Parameters
    ----------
    spread : float
        Typical spread, ticks. The nearest distance is half of it, half a tick at least.
    sigma : float
        Volatility of the mid, ticks a root second. The furthest distance is four times it (what the mid moves in 16
        seconds), at least three times the nearest.
    number : int, default 4
        Of distances, fewer where rounding makes them equal.

    Returns
    -------
    tuple of float
        Rising, ticks: in halves below ten, else with two digits. Without a spread ``(0.5, 1, 2, 4)``.

    Examples
    --------
    >>> typical_distances(1.0, 1.0), typical_distances(31.0, 6.0), typical_distances(1.0, 50.0)
    ((0.5, 1.0, 2.0, 4.0), (16.0, 22.0, 32.0, 46.0), (0.5, 3.5, 27.0, 200.0))
    """
    if not 0 < spread < math.inf:
        return (0.5, 1.0, 2.0, 4.0)
    nearest = max(0.5 * spread, _LEAST)
    furthest = max(_WIDER * nearest, _DEVIATIONS * sigma if math.isfinite(sigma) else 0.0)
    found = np.geomspace(nearest, furthest, number)
    return tuple(sorted({_rounded(float(distance)) for distance in found}))


def _rounded(distance: float) -> float:
    if distance < 10:
        return math.floor(2.0 * distance + 0.5) / 2.0
    step = 10.0 ** (math.floor(math.log10(distance)) - 1)
    return round(distance / step) * step


def volatility(ts: npt.NDArray[np.int64], mid: npt.NDArray[np.float64]) -> float:
    """Return the root of the mean squared move a second, in the unit of the mid; NaN with fewer than two.

    Parameters
    ----------
    ts : ndarray of int64
        Times of the mids, ns, rising.
    mid : ndarray of float64
        NaN where there is none: moves from and to it are left out.
    """
    moves, seconds = np.diff(mid), np.diff(ts) / 1e9
    known = np.isfinite(moves) & (seconds > 0)
    return math.sqrt(float((moves[known] ** 2).sum() / seconds[known].sum())) if known.any() else math.nan
