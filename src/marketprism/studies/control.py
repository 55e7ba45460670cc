"""Whether an inventory is under control: does it come back to zero, or wander like a random walk."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError

__all__ = ["InventoryControl", "inventory_control"]

_CRITICAL = -2.57
"""One-percent critical value of the Dickey-Fuller test without a constant, large samples (MacKinnon 2010)."""
_LEAST = 30


@dataclass(frozen=True, slots=True)
class InventoryControl:
    """How a position behaves.

    Attributes
    ----------
    largest, mean_size, deviation : float
        Of the position, base units.
    flat : float
        Share of bars without a position.
    at_largest : float
        Share of bars with at least nine tenths of the largest one.
    half_life_s : float
        After which half of a position is gone, from its first-order autoregression; infinite where it does not fall.
    t : float
        Dickey-Fuller statistic without constant: change of the position on its level; NaN where nothing moved.
    critical : float
        Below this a random walk is rejected at one percent.
    growth : float
        Root mean square of the position in the second half of the sample over that in the first; NaN without one.
    """

    largest: float
    mean_size: float
    deviation: float
    flat: float
    at_largest: float
    half_life_s: float
    t: float
    critical: float
    growth: float

    @property
    def moved(self) -> bool:
        """Whether there was ever a position."""
        return self.largest > 0

    @property
    def controlled(self) -> bool:
        """Whether a random walk is rejected in favour of coming back to zero."""
        return self.t < self.critical


def inventory_control(position: npt.ArrayLike, bar_s: float) -> InventoryControl:
    """Measure a position that was sampled evenly in time.

    Parameters
    ----------
    position : array of float, shape (n,)
        Base units at the end of each bar.
    bar_s : float
        Length of a bar, seconds.

    Raises
    ------
    DataError
        Not one finite column.

    Examples
    --------
    >>> steps = np.random.default_rng(0).normal(size=2000)
    >>> inventory_control(np.cumsum(steps), 1.0).controlled, inventory_control(steps, 1.0).controlled
    (False, True)
    """
    q = np.asarray(position, dtype=np.float64)
    if q.ndim != 1 or not np.isfinite(q).all():
        raise DataError(f"position had shape {q.shape}", hint="one finite column")
    size = np.abs(q)
    largest = float(size.max(initial=0.0))
    if largest == 0:
        return InventoryControl(0.0, 0.0, 0.0, 1.0, 0.0, math.nan, math.nan, _CRITICAL, math.nan)
    slope, t = _autoregression(q)
    half_life = math.inf if slope >= 0 else math.nan
    if slope < 0:
        half_life = math.log(0.5) / math.log1p(slope) * bar_s if slope > -1 else 0.0
    first, second = (float(np.sqrt(np.mean(part**2))) if len(part) else 0.0 for part in np.array_split(q, 2))
    return InventoryControl(
        largest=largest,
        mean_size=float(size.mean()),
        deviation=float(q.std()),
        flat=float((size == 0).mean()),
        at_largest=float((size >= 0.9 * largest).mean()),
        half_life_s=half_life,
        t=t,
        critical=_CRITICAL,
        growth=second / first if first > 0 else math.nan,
    )


def _autoregression(q: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Slope and t statistic of the change of q on q, without a constant; NaN for too few rows."""
    level, change = q[:-1], np.diff(q)
    sum_squares = float(level @ level)
    if len(level) < _LEAST or sum_squares == 0:
        return math.nan, math.nan
    slope = float(level @ change) / sum_squares
    residual = change - slope * level
    error = math.sqrt(float(residual @ residual) / (len(level) - 1) / sum_squares)
    return slope, slope / error if error > 0 else math.nan
