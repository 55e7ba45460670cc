"""Orders collected in a call auction, withheld until continuous trading begins with what is left of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import empty_rows

__all__ = ["CallAuction"]

_Order = tuple[int, int, float, int]  # side, price in ticks, quantity left, sequence number of its arrival


@dataclass(slots=True)
class CallAuction:
    """The orders of one call auction, kept from ORDER_* rows.

    An auction's orders overlap (bids above asks) until the cross: shown as they come they would make a crossed, or
    worse a plausible book. Removals of unknown orders change nothing and are counted in ``unknown``.
    """

    unknown: int = 0
    _orders: dict[int, _Order] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._orders)

    def take(self, rows: np.ndarray) -> None:
        """Apply ORDER_ADD, ORDER_DELETE and ORDER_EXECUTE rows."""
        names = ["kind", "event_id", "side", "price", "quantity", "first_id"]
        for kind, order_id, side, price, quantity, sequence in rows[names].tolist():
            if kind == EventKind.ORDER_ADD:
                self._orders[order_id] = (side, price, quantity, sequence)
            elif order_id not in self._orders:
                self.unknown += 1
            else:
                own = self._orders.pop(order_id)
                left = own[2] - quantity
                if kind == EventKind.ORDER_EXECUTE and left > 0:
                    self._orders[order_id] = (own[0], own[1], left, own[3])

    def resting(self, ts_event: int, ts_recv: int) -> np.ndarray:
        """Return the orders left, as one message of ORDER_ADD rows in order of arrival, and forget them."""
        rows = empty_rows(len(self._orders))
        ordered = sorted(self._orders.items(), key=lambda item: (item[1][3], item[0]))
        for index, (order_id, (side, price, quantity, sequence)) in enumerate(ordered):
            row = rows[index]
            row["event_id"], row["side"], row["price"] = order_id, side, price
            row["quantity"], row["first_id"] = quantity, sequence
        rows["kind"], rows["ts_event"], rows["ts_recv"] = EventKind.ORDER_ADD, ts_event, ts_recv
        if len(rows):
            rows["flags"][0] |= Flag.FIRST
            rows["flags"][-1] |= Flag.LAST
        self._orders.clear()
        return rows
