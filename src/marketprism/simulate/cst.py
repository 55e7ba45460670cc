"""Order-flow rates of the Cont-Stoikov-Talreja (2010) queue book."""

from __future__ import annotations

import math

import numpy as np

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError

__all__ = ["QueueRates"]


class QueueRates(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates a second of unit orders, by distance in ticks from the opposite best quote.

    The defaults are the estimates published by Cont, Stoikov and Talreja, "A stochastic model for order book
    dynamics", Operations Research 58(3), 2010 (Sky Perfect Communications).

    Parameters
    ----------
    limit : tuple of float
        Arrivals at distance 1, 2, ... a side.
    cancel : tuple of float
        Cancellations of each resting order at distance 1, 2, ...; further out as at the last one.
    market : float
        Market orders a side.
    tail_scale, tail_exponent : float
        Arrivals beyond the table: ``tail_scale / distance ** tail_exponent``.

    Examples
    --------
    >>> rates = QueueRates()
    >>> rates.limit_at(1), rates.cancel_at(9), round(rates.limit_at(9), 3)
    (1.85, 0.47, 0.612)
    """

    limit: tuple[float, ...] = (1.85, 1.51, 1.09, 0.88, 0.77)
    cancel: tuple[float, ...] = (0.71, 0.81, 0.68, 0.56, 0.47)
    market: float = 0.94
    tail_scale: float = 1.92
    tail_exponent: float = 0.52

    def __post_init__(self) -> None:
        values = (*self.limit, *self.cancel, self.market, self.tail_scale)
        if not self.limit or not self.cancel or not all(math.isfinite(v) and v > 0 for v in values):
            raise ConfigError(f"queue rates were {values}", hint="every rate must be finite and positive")

    def limit_at(self, distance: int) -> float:
        """Return the arrival rate of limit orders at ``distance`` ticks (1 or more), a second."""
        if distance <= len(self.limit):
            return self.limit[distance - 1]
        return float(self.tail_scale / distance**self.tail_exponent)

    def cancel_at(self, distance: int) -> float:
        """Return the cancellation rate of one order at ``distance`` ticks, a second."""
        return self.cancel[min(distance, len(self.cancel)) - 1]

    def limits(self, depth: int) -> np.ndarray:
        """Return arrival rates at distances 1 to ``depth``, shape (depth,)."""
        return np.array([self.limit_at(i) for i in range(1, depth + 1)])
