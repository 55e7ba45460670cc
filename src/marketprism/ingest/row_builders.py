"""Columns to event rows: the last step of every table format, vectorised."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from marketprism.core.block import payload_event
from marketprism.core.kinds import EventKind, Flag, GapReason, Side
from marketprism.core.rows import ROW_DTYPE, empty_rows
from marketprism.core.schema import event_type_of, payload_dtype
from marketprism.core.units import inverse_base_quantity
from marketprism.ingest.merge import Chunk, join
from marketprism.ingest.source import Source

__all__ = [
    "MessageGrouper",
    "ReceiveOrder",
    "base_units",
    "build_rows",
    "gap_row",
    "interleave",
    "payload_rows",
    "quote_rows",
]

_WHOLE = int(Flag.FIRST | Flag.LAST)
_MESSAGE_KEY = ("ts_recv", "ts_event", "event_id", "first_id", "previous_id", "instrument", "kind")


def build_rows(kind: EventKind | np.ndarray, n: int, **columns: np.ndarray | int) -> np.ndarray:
    """Return ``n`` one-row messages of ``kind`` with the given columns; ids that are not named say "none"."""
    rows = empty_rows(n)
    rows["kind"], rows["flags"] = kind, _WHOLE
    for name, values in columns.items():
        rows[name] = values
    return rows


def base_units(amount: np.ndarray, price: np.ndarray, multiplier: Decimal, *, inverse: bool) -> np.ndarray:
    """Return amounts in base units: ``amount x multiplier``, divided by the price where the contract is inverse.

    A linear amount times a decimal multiplier is the correctly rounded float of the exact product.

    Examples
    --------
    >>> base_units(np.array([3.0]), np.array([9.0]), Decimal("0.1"), inverse=False).tolist()
    [0.3]
    """
    if inverse:
        result: np.ndarray = inverse_base_quantity(amount, float(multiplier), np.where(price > 0, price, 1.0))
        return result
    if multiplier == 1:
        return amount
    top, bottom = multiplier.as_integer_ratio()
    scaled: np.ndarray = amount * top / bottom
    return scaled


def quote_rows(
    ts_event: np.ndarray,
    ts_recv: np.ndarray,
    instrument: np.ndarray,
    bid: tuple[np.ndarray, np.ndarray],
    ask: tuple[np.ndarray, np.ndarray],
    event_id: np.ndarray | int = -1,
) -> np.ndarray:
    """Return a bid and an ask row for each quote; an empty side has price and quantity 0.

    Parameters
    ----------
    ts_event, ts_recv : int64 ndarray, shape (n,)
        Clocks, ns UTC.
    instrument : int ndarray, shape (n,)
        Instrument index.
    bid, ask : tuple of (int64 ndarray, float64 ndarray)
        Price in ticks and quantity in base units; NaN quantity counts as 0.
    event_id : int64 ndarray or int
        Update id.
    """
    rows = empty_rows(2 * len(ts_event))
    for start, side, (ticks, quantity), flag in ((0, Side.BID, bid, Flag.FIRST), (1, Side.ASK, ask, Flag.LAST)):
        half = rows[start::2]
        empty = ~(quantity > 0) | (ticks == 0)
        half["ts_event"], half["ts_recv"], half["instrument"] = ts_event, ts_recv, instrument
        half["price"], half["quantity"] = np.where(empty, 0, ticks), np.where(empty, 0.0, quantity)
        half["event_id"], half["side"], half["kind"], half["flags"] = event_id, side, EventKind.QUOTE, flag
    return rows


def payload_rows(
    kind: EventKind,
    ts_event: np.ndarray,
    ts_recv: np.ndarray,
    instrument: np.ndarray,
    own: Mapping[str, np.ndarray | float | str | bool],
    row_columns: Mapping[str, np.ndarray] | None = None,
) -> Chunk:
    """Return slow events with their payload table; own columns that are not named are null."""
    n = len(ts_event)
    rows = build_rows(kind, n, ts_event=ts_event, ts_recv=ts_recv, instrument=instrument, **(row_columns or {}))
    rows["payload"] = np.arange(n)
    table = np.zeros(n, payload_dtype(kind))
    for column in event_type_of(kind).payload_fields:
        null = {"decimal": np.nan, "float": np.nan, "int": -1}.get(column.type)
        if column.name in own:
            table[column.name] = own[column.name]
        elif null is not None:
            table[column.name] = null
    return Chunk(rows, {int(kind): table})


def gap_row(
    gap_from: int, at: int, instrument: int, ts_event: int = 0, reason: GapReason = GapReason.DISCONNECT
) -> Chunk:
    """Return a GAP event known at ``at``, from the last complete moment to ``at``."""
    rows, table = payload_event(
        EventKind.GAP,
        ts_event=ts_event or at,
        ts_recv=at,
        instrument=instrument,
        gap_from=gap_from,
        gap_to=at,
        reason=int(reason),
    )
    return Chunk(rows, {int(EventKind.GAP): table})


def interleave(chunks: list[Chunk], record: list[np.ndarray]) -> Chunk:
    """Join chunks whose rows come from records ``record[i]``, in order of record (then of the list)."""
    order = np.argsort(np.concatenate(record), kind="stable")
    return join(chunks).take(order)


class ReceiveOrder:
    """Keeps ``ts_recv`` from running backwards: an earlier time is raised to the latest one seen, and counted.

    The order of the file is the order of arrival and is never touched; exchange times are left alone.
    """

    def __init__(self, source: Source, name: str) -> None:
        self._source = source
        self._name = name
        self._last = np.iinfo(np.int64).min
        self._worst = 0

    def raise_times(self, ts_recv: np.ndarray) -> np.ndarray:
        """Return the running maximum of the receive times, across calls."""
        if not len(ts_recv):
            return ts_recv
        latest = np.maximum(np.maximum.accumulate(ts_recv), self._last)
        late = latest - ts_recv
        if (back := int((late > 0).sum())) > 0:
            self._source.report.note("receive time ran backwards (raised to the latest seen)", back)
            self._worst = max(self._worst, int(late.max()))
            self._source.report.facts[f"largest step back of receive time in {self._name}"] = f"{self._worst} ns"
        self._last = int(latest[-1])
        result: np.ndarray = latest
        return result


class MessageGrouper:
    """Puts level rows of one update together: flags FIRST and LAST, holding the open message back.

    Rows are one message while receive time, exchange time, update ids, instrument and kind stay the same.
    Kinds that are one row (GAP) pass through in place.
    """

    def __init__(self) -> None:
        self._open = Chunk(np.zeros(0, ROW_DTYPE))

    def push(self, chunk: Chunk) -> Chunk:
        """Return the messages that are complete now."""
        if not len(chunk):
            return chunk
        joined = join([self._open, chunk]) if len(self._open) else chunk
        starts = self._starts(joined.rows)
        cut = int(np.flatnonzero(starts)[-1])
        self._open = joined.take(slice(cut, None))
        return _flagged(joined.take(slice(0, cut)), starts[:cut])

    def flush(self) -> Chunk:
        """Return the open message."""
        last, self._open = self._open, Chunk(np.zeros(0, ROW_DTYPE))
        return _flagged(last, self._starts(last.rows)) if len(last) else last

    @staticmethod
    def _starts(rows: np.ndarray) -> np.ndarray:
        starts = np.ones(len(rows), np.bool_)
        same = np.ones(len(rows) - 1, np.bool_)
        for name in _MESSAGE_KEY:
            same &= rows[name][1:] == rows[name][:-1]
        starts[1:] = ~same | (rows["kind"][1:] == EventKind.GAP)
        return starts


def _flagged(chunk: Chunk, starts: np.ndarray) -> Chunk:
    rows = chunk.rows.copy()
    ends = np.append(starts[1:], True) if len(rows) else starts
    others = rows["flags"] & np.uint8(0xFF ^ _WHOLE)
    rows["flags"] = others | np.where(starts, int(Flag.FIRST), 0) | np.where(ends, int(Flag.LAST), 0)
    return Chunk(rows, chunk.payloads)
