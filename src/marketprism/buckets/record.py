"""The bucket record and the cut codes: what the clock tells the factor families and the store."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

__all__ = ["BUCKET_DTYPE", "Cut", "Trigger"]


class Trigger(IntEnum):
    """Why a bucket closed."""

    VOLUME = 1
    TIME = 2
    QUALITY = 3
    GAP = 4
    END = 5
    COUNT = 6
    EVENT = 7
    REFERENCE = 8


class Cut(IntEnum):
    """Where a bucket closes relative to a row; bits of the clock's ``cuts`` array."""

    NONE = 0
    BEFORE = 1
    """The open bucket closes with the state before this row; the row opens the next one. Every cut of the clock."""
    AFTER = 2
    """The row belongs to the bucket that it closes. The clock makes no such cut (a full bucket waits for the event time
    to move on); families obey it, for cuts of your own."""


BUCKET_DTYPE = np.dtype(
    [
        ("bucket_id", np.int64),  # strictly increasing, contiguous
        ("segment", np.int64),  # increments at every gap: nothing may be compared across segments
        ("ts_start", np.int64),  # event clock, ns UTC
        ("ts_end", np.int64),
        ("ts_known", np.int64),  # ts_recv of the row that closed it: before then nobody could know the bucket
        ("duration_ns", np.int64),
        ("trades", np.int64),
        ("updates", np.int64),  # book messages
        ("volume", np.float64),  # base units
        ("buy_volume", np.float64),
        ("sell_volume", np.float64),
        ("notional", np.float64),  # quote currency
        ("vwap", np.float64),  # NaN without trades
        ("open", np.float64),  # trade prices, quote currency, NaN without trades
        ("high", np.float64),
        ("low", np.float64),
        ("close", np.float64),
        ("mid_open", np.float64),  # mid in force when the bucket opened, NaN where the book was invalid
        ("mid_last", np.float64),  # last mid at or before ts_end, NaN where the book was invalid then
        ("spread_last_ticks", np.int64),  # spread in ticks then, -1 where invalid
        ("trigger", np.uint8),
    ],
    align=True,
)
