"""The row layout shared by sources, kernels and stores.

Rows are one aligned NumPy record array: a slice is one pointer move, a kernel takes one argument, and a
single pushed event costs no per-column work (see ``docs/adr/0001-rows-are-records.md``).
"""

from __future__ import annotations

import numpy as np

from marketprism.core.kinds import EventKind

__all__ = ["NO_ID", "PAYLOAD_KINDS", "ROW_DTYPE", "empty_rows"]

NO_ID = -1
"""Value of an id column that the venue does not give."""

ROW_DTYPE = np.dtype(
    [
        ("ts_event", np.int64),  # exchange clock, ns UTC
        ("ts_recv", np.int64),  # when we could know it, ns UTC; the stream is ordered by it
        ("price", np.int64),  # ticks; 0 where the kind has no price
        ("quantity", np.float64),  # base units
        ("event_id", np.int64),  # last update id (L2, quote), order id (L3), trade id (trade)
        ("first_id", np.int64),  # first update id (L2), exchange sequence number (L3, trade)
        ("previous_id", np.int64),  # previous update id (L2), aggressor's or other order id where known
        ("payload", np.int32),  # row of the payload table of this kind, -1 for none
        ("instrument", np.int16),  # index into the block's instruments
        ("side", np.int8),  # Side
        ("kind", np.uint8),  # EventKind
        ("flags", np.uint8),  # Flag
    ],
    align=True,
)

PAYLOAD_KINDS = frozenset(
    {
        EventKind.FUNDING_RATE,
        EventKind.OPEN_INTEREST,
        EventKind.LIQUIDATION,
        EventKind.LONG_SHORT_RATIO,
        EventKind.VOLATILITY_INDEX,
        EventKind.OPTION_TICKER,
        EventKind.GAP,
    }
)
"""Kinds whose own columns live in a payload table; such an event is exactly one row, flagged FIRST and LAST."""


def empty_rows(n: int) -> np.ndarray:
    """Return ``n`` zeroed rows whose id and payload columns say "none"."""
    rows = np.zeros(n, ROW_DTYPE)
    for name in ("event_id", "first_id", "previous_id", "payload"):
        rows[name] = NO_ID
    return rows
