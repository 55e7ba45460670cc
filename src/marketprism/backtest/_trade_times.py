"""When the trades of an order-by-order stream happened, where the stream reports them after the executions they are."""

from __future__ import annotations

from collections import deque

import numpy as np

from marketprism.core.kinds import EventKind

__all__ = ["TradeTimes"]

_RECENT = 64
_WINDOW_NS = 1_000_000_000
_ROUNDING = 2e-8
_EXECUTE, _TRADE = int(EventKind.ORDER_EXECUTE), int(EventKind.TRADE)
Deal = tuple[int, int, int, float]  # time, price, side of the resting order (0: either), quantity


class TradeTimes:
    """Pairs trades with executions of resting orders: same price, same quantity, opposite side, within a second.

    A trade that follows its execution is told one nanosecond before it, so that a queue model sees the trade first; one
    that comes first, or has no execution, keeps its time.
    """

    def __init__(self) -> None:
        self._executed: deque[Deal] = deque(maxlen=_RECENT)
        self._announced: deque[Deal] = deque(maxlen=_RECENT)

    def times(self, rows: np.ndarray) -> np.ndarray:
        """Return the exchange times of rows, corrected."""
        times: np.ndarray = rows["ts_event"].copy()
        kinds = rows["kind"]
        for i in np.flatnonzero((kinds == _EXECUTE) | (kinds == _TRADE)).tolist():
            row = rows[i]
            side = int(row["side"])
            if kinds[i] == _TRADE:
                deal = (int(row["ts_event"]), int(row["price"]), -side, float(row["quantity"]))
                found = _claim(self._executed, deal)
                if found is None:
                    self._announced.append(deal)
                else:
                    times[i] = found[0] - 1
            else:
                deal = (int(row["ts_event"]), int(row["price"]), side, float(row["quantity"]))
                if _claim(self._announced, deal) is None:
                    self._executed.append(deal)
        return times


def _claim(waiting: deque[Deal], deal: Deal) -> Deal | None:
    """Take the oldest deal that is this one out of those waiting."""
    ts, price, side, quantity = deal
    for other in waiting:
        same_side = 0 in (side, other[2]) or side == other[2]
        if other[1] == price and same_side and abs(other[3] - quantity) <= _ROUNDING and ts - other[0] <= _WINDOW_NS:
            waiting.remove(other)
            return other
    return None
