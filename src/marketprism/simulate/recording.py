"""What calibration and stylised facts read: levels set, trades, books lost and found, of one market in one array."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from marketprism.core.kinds import EventKind
from marketprism.core.timebase import NS
from marketprism.simulate.stream import Market

__all__ = ["RECORD_DTYPE", "Recording", "What", "record_market", "record_rows"]

RECORD_DTYPE = np.dtype(
    [("ts", np.int64), ("tick", np.int64), ("quantity", np.float64), ("what", np.int64)], align=True
)


class What(IntEnum):
    """What a record says; the time is the exchange's, ns UTC."""

    BID = 1
    """The bid level at ``tick`` holds ``quantity`` now; 0: it is gone."""
    ASK = 2
    CLEAR = 3
    """A book begins here, without levels."""
    LOST = 4
    """From here on the book is not known, until the next CLEAR."""
    BUY = 5
    """A trade whose aggressor bought."""
    SELL = 6


class Recording(NamedTuple):
    """One market, recorded.

    Attributes
    ----------
    records : ndarray of RECORD_DTYPE
        Ordered by time; trades stand before the level changes that they cause.
    tick_size : Decimal
        Of the market.
    key : str
        Series key.
    """

    records: np.ndarray
    tick_size: Decimal
    key: str = ""

    @property
    def span_s(self) -> float:
        """Seconds from the first record to the last."""
        return float(self.records["ts"][-1] - self.records["ts"][0]) / NS if len(self.records) else 0.0


def record_rows(rows: np.ndarray) -> np.ndarray:
    """Return the records of a generator's rows: whole books first, then updates and trades, none missing.

    Parameters
    ----------
    rows : ndarray of ROW_DTYPE
        As generators write them; rows of a recorded venue go through a book first.
    """
    out = np.zeros(len(rows), RECORD_DTYPE)
    trade = rows["kind"] == EventKind.TRADE
    out["ts"], out["tick"], out["quantity"] = rows["ts_event"], rows["price"], rows["quantity"]
    buys = rows["side"] > 0
    out["what"] = np.where(trade, np.where(buys, What.BUY, What.SELL), np.where(buys, What.BID, What.ASK))
    return out


def record_market(market: Market) -> Recording:
    """Run a generator once and record it.

    Examples
    --------
    >>> from marketprism.simulate.models import market_config, open_market
    >>> recording = record_market(open_market("cst", market_config("cst", {"duration_s": 60.0})))
    >>> 50 < recording.span_s < 60
    True
    """
    begin = np.zeros(1, RECORD_DTYPE)
    begin["ts"], begin["what"] = market.feed.start_ns, What.CLEAR
    parts = [begin, *(record_rows(block.rows) for block in market.blocks())]
    return Recording(np.concatenate(parts), market.instrument.tick_size, market.instrument.key)
