"""hftbacktest 2.x event arrays: their layout, and records to event rows.

https://hftbacktest.readthedocs.io/en/latest/data.html (2026-11): a record takes effect at the exchange at ``exch_ts``
if flagged EXCH, and at the local machine at ``local_ts`` if flagged LOCAL; EXCH records are in order of ``exch_ts``
and LOCAL records in order of ``local_ts``, so a record is written twice where the two orders differ.
"""

from __future__ import annotations

import numpy as np

from marketprism.core.kinds import EventKind, Flag, Side
from marketprism.core.rows import NO_ID, ROW_DTYPE, empty_rows
from marketprism.ingest.row_builders import ReceiveOrder
from marketprism.ingest.source import Source
from marketprism.ingest.text_columns import PriceGrid

__all__ = [
    "ADD_ORDER_EVENT",
    "BUY_EVENT",
    "CANCEL_ORDER_EVENT",
    "DEPTH_BBO_EVENT",
    "DEPTH_CLEAR_EVENT",
    "DEPTH_EVENT",
    "DEPTH_SNAPSHOT_EVENT",
    "EVENT_DTYPE",
    "EXCH_EVENT",
    "FILL_EVENT",
    "LOCAL_EVENT",
    "MODIFY_ORDER_EVENT",
    "SELL_EVENT",
    "TRADE_EVENT",
    "RecordReader",
]

DEPTH_EVENT, TRADE_EVENT, DEPTH_CLEAR_EVENT, DEPTH_SNAPSHOT_EVENT, DEPTH_BBO_EVENT = 1, 2, 3, 4, 5
ADD_ORDER_EVENT, CANCEL_ORDER_EVENT, MODIFY_ORDER_EVENT, FILL_EVENT = 10, 11, 12, 13
EXCH_EVENT, LOCAL_EVENT, BUY_EVENT, SELL_EVENT = 1 << 31, 1 << 30, 1 << 29, 1 << 28

EVENT_DTYPE = np.dtype(
    [
        ("ev", "u8"),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("px", "f8"),
        ("qty", "f8"),
        ("order_id", "u8"),
        ("ival", "i8"),
        ("fval", "f8"),
    ],
    align=True,
)
"""hftbacktest's record."""

_KINDS = np.zeros(256, np.uint8)
_KINDS[[DEPTH_EVENT, TRADE_EVENT, DEPTH_BBO_EVENT]] = EventKind.BOOK_DELTA, EventKind.TRADE, EventKind.QUOTE
_KINDS[[DEPTH_CLEAR_EVENT, DEPTH_SNAPSHOT_EVENT]] = EventKind.BOOK_SNAPSHOT
_KINDS[[ADD_ORDER_EVENT, MODIFY_ORDER_EVENT]] = EventKind.ORDER_ADD, EventKind.ORDER_MODIFY
_KINDS[[CANCEL_ORDER_EVENT, FILL_EVENT]] = EventKind.ORDER_DELETE, EventKind.ORDER_EXECUTE

_ONE_ROW = (
    EventKind.TRADE,
    EventKind.ORDER_ADD,
    EventKind.ORDER_MODIFY,
    EventKind.ORDER_DELETE,
    EventKind.ORDER_EXECUTE,
)
_NOISE = 1e-9
_FIRST_TIME, _LAST_TIME = 10**17, 9 * 10**18


class RecordReader:
    """Turns records into event rows, whole messages at a time.

    Only LOCAL records become rows: the stream is what the local machine saw, in its order. Records of equal
    clocks are one message: updates together, a snapshot with its clears together. Prices may be off the grid
    by float noise (hftbacktest's own snapshots are ticks times a float tick size).

    A group with a clear is a BOOK_SNAPSHOT; so are snapshot records before any other depth. Later snapshot
    records without a clear only set levels, as in hftbacktest, and come as BOOK_DELTA. A clear alone empties the
    book: one BOOK_SNAPSHOT row of quantity 0.

    Parameters
    ----------
    source : Source
        Whose report counts.
    name : str
        File, for messages.
    grid : PriceGrid
        Tick size of the only instrument.
    """

    def __init__(self, source: Source, name: str, grid: PriceGrid) -> None:
        self._source = source
        self._grid = grid
        self._order = ReceiveOrder(source, name)
        self._open = np.zeros(0, ROW_DTYPE)
        self._open_codes = np.zeros(0, np.uint8)
        self._has_book = False
        self.name = name
        self._record = 0

    def begin(self, name: str) -> None:
        """Start on the next file."""
        self.name = name
        self._record = 0

    def push(self, records: np.ndarray) -> np.ndarray:
        """Return the rows of the messages that are complete now."""
        self._source.report.records += len(records)
        rows, codes = self._rows(records)
        rows = np.concatenate([self._open, rows])
        codes = np.concatenate([self._open_codes, codes])
        if not len(rows):
            return rows
        starts = _starts(rows)
        cut = int(np.flatnonzero(starts)[-1])
        self._open, self._open_codes = rows[cut:], codes[cut:]
        return self._messages(rows[:cut], codes[:cut], starts[:cut])

    def flush(self) -> np.ndarray:
        """Return the open message."""
        rows, codes = self._open, self._open_codes
        self._open, self._open_codes = rows[:0], codes[:0]
        return self._messages(rows, codes, _starts(rows))

    def _rows(self, records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        local = (records["ev"] & LOCAL_EVENT) != 0
        exchange = (records["ev"] & EXCH_EVENT) != 0
        if only := int((exchange & ~local).sum()):
            self._source.report.note("exchange-only records (their local twins are the events)", only)
        good = local & self._checked(records, local, exchange)
        self._record += len(records)
        kept = records[good]
        codes = (kept["ev"] & 0xFF).astype(np.uint8)
        rows = empty_rows(len(kept))
        rows["kind"] = _KINDS[codes]
        rows["ts_event"], rows["ts_recv"] = kept["exch_ts"], self._order.raise_times(kept["local_ts"])
        ticks, _ = self._grid.nearest(kept["px"], np.zeros(len(kept), np.int64))
        rows["price"] = np.where(np.isfinite(ticks), ticks, 0).astype(np.int64)
        rows["quantity"] = np.where(codes == DEPTH_CLEAR_EVENT, 0.0, kept["qty"])
        buy, sell = (kept["ev"] & BUY_EVENT) != 0, (kept["ev"] & SELL_EVENT) != 0
        rows["side"] = np.where(buy, int(Side.BID), np.where(sell, int(Side.ASK), int(Side.NONE)))
        rows["event_id"] = np.where(codes >= ADD_ORDER_EVENT, kept["order_id"].astype(np.int64), NO_ID)
        return rows, codes

    def _checked(self, records: np.ndarray, local: np.ndarray, exchange: np.ndarray) -> np.ndarray:
        """Reject malformed records; return the mask of the others."""
        code = records["ev"] & 0xFF
        clear, quote, order = code == DEPTH_CLEAR_EVENT, code == DEPTH_BBO_EVENT, code >= ADD_ORDER_EVENT
        px, qty = records["px"], records["qty"]
        ticks, nearest = self._grid.nearest(px, np.zeros(len(px), np.int64))
        buy, sell = (records["ev"] & BUY_EVENT) != 0, (records["ev"] & SELL_EVENT) != 0
        empty_quote = quote & (qty == 0)
        priced = ~clear & ~empty_quote
        times = [(records[name] < _FIRST_TIME) | (records[name] > _LAST_TIME) for name in ("exch_ts", "local_ts")]
        with np.errstate(invalid="ignore"):
            checks = (
                ("neither EXCH nor LOCAL", ~local & ~exchange),
                ("unknown event code", _KINDS[code.astype(np.int64)] == 0),
                ("time is not in ns", times[0] | times[1]),
                ("both BUY and SELL", buy & sell),
                ("no side", ~buy & ~sell & ~clear & (code != TRADE_EVENT)),
                ("px is not a number", priced & ~np.isfinite(px)),
                ("px is not positive", priced & (px <= 0)),
                ("px is out of range", priced & (np.abs(ticks) >= 2.0**53)),
                ("px is off tick", priced & (np.abs(px - nearest) > _NOISE * np.abs(px))),
                ("qty is not a number", ~clear & ~np.isfinite(qty)),
                ("qty is negative", ~clear & (qty < 0)),
                ("qty is out of range", ~clear & (qty > 1e18)),
                ("trade qty is zero", (code == TRADE_EVENT) & (qty == 0)),
                ("order_id is out of range", order & (records["order_id"] >= np.uint64(2**63))),
            )
            noise = priced & np.isfinite(px) & (px != nearest)
        good = np.ones(len(records), np.bool_)
        for reason, bad in checks:
            for row in np.flatnonzero(bad & good).tolist():
                self._source.reject(reason, f"{self.name}: record {self._record + row}", records[row])
            good &= ~bad
        if rounded := int((noise & good & local).sum()):
            self._source.report.note("prices off the grid by float noise (rounded)", rounded)
        return good

    def _messages(self, rows: np.ndarray, codes: np.ndarray, starts: np.ndarray) -> np.ndarray:
        if not len(rows):
            return rows
        message = np.cumsum(starts) - 1
        count = int(message[-1]) + 1
        depth = np.isin(rows["kind"], (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA))
        cleared = np.bincount(message, codes == DEPTH_CLEAR_EVENT, count) > 0
        levels = np.bincount(message, depth & (codes != DEPTH_CLEAR_EVENT), count) > 0
        is_snapshot = (np.bincount(message, rows["kind"] == EventKind.BOOK_SNAPSHOT, count) > 0)[message]
        first_depth = np.flatnonzero(depth)[:1] if not self._has_book else np.zeros(0, np.int64)
        opening = np.zeros(count, np.bool_)
        opening[message[first_depth]] = True
        self._has_book |= bool(depth.any())
        whole = (cleared | opening)[message]
        rows["kind"] = np.where(is_snapshot & ~whole, np.uint8(EventKind.BOOK_DELTA), rows["kind"])
        sides = np.bincount(message, (codes == DEPTH_CLEAR_EVENT) & (rows["side"] != 0), count)
        if one := int((cleared & (sides == 1)).sum()):
            self._source.report.note("snapshots that clear one side (taken as whole books)", one)
        # A clear beside levels is the FIRST flag; alone, one of them stays as the empty book.
        keep = (codes != DEPTH_CLEAR_EVENT) | (~levels[message] & starts)
        alone = keep & (codes == DEPTH_CLEAR_EVENT)
        rows["side"][alone], rows["price"][alone] = Side.BID, 1
        rows, message = rows[keep], message[keep]
        changes = message[1:] != message[:-1]
        rows["flags"] = np.where(np.append(True, changes), int(Flag.FIRST), 0)
        rows["flags"] |= np.where(np.append(changes, True), int(Flag.LAST), 0).astype(np.uint8)
        return rows


def _starts(rows: np.ndarray) -> np.ndarray:
    """Return where messages begin; clears and snapshots are one kind here."""
    starts = np.ones(len(rows), np.bool_)
    if len(rows) > 1:
        before, after = rows[:-1], rows[1:]
        same = (before["ts_event"] == after["ts_event"]) & (before["ts_recv"] == after["ts_recv"])
        same &= before["kind"] == after["kind"]
        same &= ~np.isin(after["kind"], _ONE_ROW)
        same &= (after["kind"] != EventKind.QUOTE) | ((before["side"] > 0) & (after["side"] < 0))
        starts[1:] = ~same
    return starts
