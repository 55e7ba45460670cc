"""One book as an array ladder: set a level, find the next one, clear a side."""

from __future__ import annotations

import numpy as np

from marketprism.backtest._layout import NO_ASK, NO_BID
from marketprism.core.kernels import inner

__all__ = ["next_ask", "next_bid", "wipe"]

_NO_BID, _NO_ASK = int(NO_BID), int(NO_ASK)


@inner
def next_bid(levels: np.ndarray, base: int, low: int, start: int, lowest: int) -> int:
    """Return the best tick below ``start`` and not below ``lowest`` that holds a quantity, or NO_BID."""
    if lowest >= start:  # the difference of the marks of an empty side overflows a range
        return _NO_BID
    for tick in range(start - 1, max(lowest, low) - 1, -1):
        if levels[base + tick - low] > 0.0:
            return tick
    return _NO_BID


@inner
def next_ask(levels: np.ndarray, base: int, high: int, low: int, start: int, highest: int) -> int:
    """Return the best tick above ``start`` and not above ``highest`` that holds a quantity, or NO_ASK."""
    if highest <= start:
        return _NO_ASK
    for tick in range(start + 1, min(highest, high) + 1):
        if levels[base + tick - low] > 0.0:
            return tick
    return _NO_ASK


@inner
def wipe(levels: np.ndarray, base: int, low: int, first: int, last: int) -> None:
    """Empty the levels from ``first`` to ``last``."""
    if first > last:
        return
    for tick in range(first, last + 1):
        levels[base + tick - low] = 0.0
