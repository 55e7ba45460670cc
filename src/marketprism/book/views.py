"""What the book stage says about every row: the best quotes and a pointer to the depth behind them."""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

import numpy as np

__all__ = ["DEPTH_LEVELS", "VIEW_DTYPE", "BookViews", "ViewStatus"]

DEPTH_LEVELS = 20
"""Most levels a side that depth records carry; the book's configuration chooses how many are filled."""


class ViewStatus(IntFlag):
    """Bits of a view's ``status``."""

    HAS_BID = 1
    HAS_ASK = 2
    SYNCED = 4
    """The book follows its venue's sequence: a snapshot was applied and no gap came since."""
    LOCKED = 8
    CROSSED = 16
    VALID = 32
    """Two-sided, synced and not crossed: a mid exists. Locked is valid."""
    DEPTH_VALID = 64
    """The depth record exists and is itself two-sided, synced and not crossed (level-1 sources have none)."""


VIEW_DTYPE = np.dtype(
    [
        ("bid", np.int64),  # ticks; meaningful only with HAS_BID
        ("ask", np.int64),
        ("bid_quantity", np.float64),  # base units
        ("ask_quantity", np.float64),
        ("depth", np.int32),  # index of the depth record in force
        ("status", np.uint8),
    ],
    align=True,
)


class BookViews(NamedTuple):
    """The book after each row of a block.

    Attributes
    ----------
    top : ndarray of VIEW_DTYPE, shape (n,)
        Best quotes after row i. Inside a message (rows not flagged LAST) it repeats the view after the
        previous complete message: a half-applied update is never visible.
    depth_price : int64 ndarray, shape (m, 2, levels)
        Depth records, bids then asks, best first, in ticks. Record 0 is the one in force before the block.
        A missing level has quantity 0.
    depth_quantity : float64 ndarray, shape (m, 2, levels)
        Quantities of the same levels, base units.
    """

    top: np.ndarray
    depth_price: np.ndarray
    depth_quantity: np.ndarray
