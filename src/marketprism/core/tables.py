"""Typed tables: a block of rows as one table for each event type, and back, bit for bit.

The row kinds of a block become the tables of :data:`marketprism.core.schema.EVENT_TYPES`. Snapshots and quotes are
one table row a message (levels as arrays), everything else one table row a block row. The key column
``ordinal`` keeps the order among rows of equal ``ts_recv``, so that the stream can be rebuilt from its tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from marketprism.core.arrow_schema import concat_frames, frame_schema
from marketprism.core.block import EventBlock, concat
from marketprism.core.errors import DataError, StateError
from marketprism.core.fixed_point import floats_to_decimals, multiply_decimals, ticks_to_decimals
from marketprism.core.identity import ingest_ids, messages_and_ordinals
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import NO_ID, PAYLOAD_KINDS, ROW_DTYPE
from marketprism.core.schema import EVENT_TYPES, EventType, Field, payload_dtype
from marketprism.core.state import pack_state, unpack_state
from marketprism.core.table_levels import level_columns, level_runs, quote_columns, quote_runs

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ROW_COLUMN", "TableEncoder", "block_to_tables"]

ROW_COLUMN: Mapping[str, str] = {
    "action": "kind",
    "exchange_sequence": "first_id",
    "first_update_id": "first_id",
    "last_update_id": "event_id",
    "liquidation_id": "event_id",
    "order_id": "previous_id",
    "previous_update_id": "previous_id",
    "price": "price",
    "quantity": "quantity",
    "side": "side",
    "trade_id": "event_id",
}
"""Table column of origin "row" -> column of a block row."""

_EMPTY: Mapping[str, int] = {
    "price": 0, "quantity": 0, "side": 0, "event_id": NO_ID, "first_id": NO_ID, "previous_id": NO_ID, "payload": NO_ID,
}  # fmt: skip
_MULTI_ROW = (EventKind.BOOK_SNAPSHOT, EventKind.QUOTE)


def block_to_tables(block: EventBlock, source_id: str) -> dict[str, pl.DataFrame]:
    """Return the rows of ``block`` as one table for each event type that occurs.

    The block is taken as a whole stream: ordinals begin at 0. For the consecutive blocks of one stream use
    :class:`TableEncoder`.

    Parameters
    ----------
    block : EventBlock
        Rows ordered by ``ts_recv``.
    source_id : str
        Value of the key column ``source``.

    Returns
    -------
    dict of str to polars.DataFrame
        Event type name -> key columns and the type's own columns, in stream order.

    Raises
    ------
    DataError
        A row holds a value that its table has no column for, or a number that no decimal column can hold.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from marketprism.core.rows import empty_rows
    >>> btc = Instrument(exchange="sim", market_type="spot", symbol="BTC-USDT", tick_size=Decimal("0.01"))
    >>> rows = empty_rows(1)
    >>> rows["kind"], rows["flags"], rows["price"], rows["quantity"] = EventKind.TRADE, 3, 2_500_000, 0.5
    >>> block_to_tables(EventBlock(rows, (btc,)), "demo")["trade"]["quote_quantity"].item()
    Decimal('12500.00000000')
    """
    encoder = TableEncoder(source_id, block.instruments)
    tables = encoder.push(block)
    rest = encoder.flush()
    if not rest:
        return tables
    return {
        name: concat_frames([frames[name] for frames in (tables, rest) if name in frames], event_type)
        for name, event_type in EVENT_TYPES.items()
        if name in tables or name in rest
    }


class TableEncoder:
    """Turns the consecutive blocks of one stream into typed tables; where blocks end does not matter.

    A snapshot or quote message that a block cuts is held back until it is complete.

    Parameters
    ----------
    source_id : str
        Value of the key column ``source``.
    instruments : tuple of Instrument
        Instruments of the stream.
    """

    def __init__(self, source_id: str, instruments: tuple[Instrument, ...]) -> None:
        self.source_id = source_id
        self.instruments = instruments
        self._tick_sizes = [instrument.tick_size for instrument in instruments]
        self._open: EventBlock | None = None
        self._last = (-(2**63), -1, -1)  # ts_recv, ordinal and position in its message of the last row written

    def push(self, block: EventBlock) -> dict[str, pl.DataFrame]:
        """Return the tables of the rows that ``block`` completes, by event type name.

        Raises
        ------
        DataError
            ``ts_recv`` runs backwards, instruments differ, or a value has no place in its table.
        """
        if block.instruments != self.instruments:
            raise DataError("a block of another stream was pushed", hint="use one encoder a stream")
        if self._open is not None:
            block = concat([self._open, block])
        complete = self._complete(block.rows)
        self._open = _compact(block[complete:]) if complete < len(block) else None
        return self._encode(block[:complete])

    def flush(self) -> dict[str, pl.DataFrame]:
        """Return the tables of an incomplete message at the end of the stream, if there is one."""
        block, self._open = self._open, None
        return self._encode(block) if block is not None else {}

    def save(self) -> bytes:
        """Return the state as bytes; :meth:`load` continues bit for bit."""
        held: dict[str, Any] = {"last": list(self._last), "source": self.source_id, "rows": None, "payloads": {}}
        if self._open is not None:
            held["rows"] = self._open.rows
            held["payloads"] = {str(kind): table for kind, table in self._open.payloads.items()}
        return pack_state("tables", 1, held)

    @classmethod
    def load(cls, blob: bytes, instruments: tuple[Instrument, ...]) -> TableEncoder:
        """Return an encoder that continues where :meth:`save` was called.

        Raises
        ------
        StateError
            The bytes are torn or of another kind.
        """
        held = unpack_state(blob, "tables", 1)
        encoder = cls(held["source"], instruments)
        recv, ordinal, position = held["last"]
        encoder._last = (recv, ordinal, position)
        if held["rows"] is not None:
            if held["rows"].dtype != ROW_DTYPE:
                raise StateError("the saved rows have another layout", hint="rebuild from raw events")
            payloads = {int(kind): table.astype(payload_dtype(int(kind))) for kind, table in held["payloads"].items()}
            encoder._open = EventBlock(held["rows"], instruments, payloads)
        return encoder

    @staticmethod
    def _complete(rows: np.ndarray) -> int:
        """Return how many rows can be written: all, unless the open message is a snapshot or a quote."""
        ends = np.flatnonzero((rows["flags"] & Flag.LAST) != 0)
        complete = int(ends[-1]) + 1 if len(ends) else 0
        return complete if np.isin(rows["kind"][complete:], _MULTI_ROW).any() else len(rows)

    def _encode(self, block: EventBlock) -> dict[str, pl.DataFrame]:
        rows = block.rows
        if len(rows) == 0:
            return {}
        recv = rows["ts_recv"]
        if recv[0] < self._last[0] or (recv[1:] < recv[:-1]).any():
            raise DataError("ts_recv ran backwards", hint="a stream is ordered by ts_recv")
        position, ordinal = messages_and_ordinals(rows, (rows["flags"] & Flag.FIRST) != 0, *self._last)
        self._last = (int(recv[-1]), int(ordinal[-1]), int(position[-1]))
        ids = ingest_ids(rows, position, self.instruments)
        tables: dict[str, pl.DataFrame] = {}
        known = np.zeros(len(rows), bool)
        for event_type in EVENT_TYPES.values():
            where = np.flatnonzero(np.isin(rows["kind"], event_type.kinds))
            if len(where):
                known[where] = True
                tables[event_type.name] = self._table(event_type, block, where, ordinal, ids)
        if not known.all():
            raise DataError(f"kind was {int(rows['kind'][np.argmin(known)])}", hint="see EventKind")
        return tables

    def _table(
        self, event_type: EventType, block: EventBlock, where: np.ndarray, ordinal: np.ndarray, ids: np.ndarray
    ) -> pl.DataFrame:
        import polars as pl
        import pyarrow as pa

        rows = block.rows[where]
        _check_columns(event_type, rows)
        start, flags, columns = np.arange(len(rows)), rows["flags"], {}
        if event_type.kinds == (EventKind.BOOK_SNAPSHOT,):
            start, flags = level_runs(rows, where)
            columns = level_columns(rows, start, self._tick_sizes)
        elif event_type.kinds == (EventKind.QUOTE,):
            rows = _share_records(rows, block)
            start, flags = quote_runs(rows, where)
            columns = quote_columns(rows, start, self._tick_sizes)
        head = rows[start]
        columns |= self._keys(head, ordinal[where][start], ids[where][start], flags)
        records = _records(event_type, block, head)
        for field in event_type.fields:
            if field.origin == "row":
                columns[field.name] = self._row_column(field, head)
            elif field.origin == "payload":
                columns[field.name] = own_column(field, records[field.name])
        if event_type.kinds == (EventKind.TRADE,):
            columns["is_maker_buyer"] = pa.array(head["side"] == -1, mask=head["side"] == 0)
            columns["quote_quantity"] = multiply_decimals(columns["price"], columns["quantity"])
        names = list(frame_schema(event_type))
        return pl.DataFrame(pa.table([columns[name] for name in names], names))

    def _keys(self, head: np.ndarray, ordinal: np.ndarray, ids: np.ndarray, flags: np.ndarray) -> dict[str, Any]:
        import pyarrow as pa

        columns: dict[str, Any] = {}
        index = pa.array(head["instrument"].astype(np.int64))
        for name in ("exchange", "market_type", "symbol"):
            texts = [getattr(instrument, name) for instrument in self.instruments]
            columns[name] = pa.array(texts, pa.string()).take(index)
        for name in ("ts_event", "ts_recv"):
            columns[name] = pa.array(head[name].copy()).cast(pa.timestamp("ns", "UTC"))
        columns["source"] = pa.repeat(self.source_id, len(head))
        columns["ingest_id"] = pa.array(ids)
        columns["ordinal"] = pa.array(ordinal)
        columns["flags"] = pa.array(flags.astype(np.int64))
        return columns

    def _row_column(self, field: Field, head: np.ndarray) -> Any:
        import pyarrow as pa

        values = head[ROW_COLUMN[field.name]]
        if field.name == "price":
            return ticks_to_decimals(values, head["instrument"], self._tick_sizes, "price")
        if field.name == "quantity":
            if np.isnan(values).any():
                raise DataError("quantity was NaN", hint="sources must reject such a record")
            return floats_to_decimals(np.ascontiguousarray(values), "quantity")
        values = values.astype(np.int64)
        return pa.array(values, mask=values == NO_ID) if field.nullable else pa.array(values)


def _compact(block: EventBlock) -> EventBlock:
    """Return a copy that holds no more payload records than it refers to."""
    rows = block.rows.copy()
    payloads: dict[int, np.ndarray] = {}
    for kind, table in block.payloads.items():
        used = (rows["kind"] == kind) & (rows["payload"] >= 0)
        if used.any():
            index, inverse = np.unique(rows["payload"][used], return_inverse=True)
            rows["payload"][used] = inverse
            payloads[kind] = table[index]
    return EventBlock(rows, block.instruments, payloads)


def _share_records(rows: np.ndarray, block: EventBlock) -> np.ndarray:
    """Return quote rows whose equal records have one index, also where a block boundary copied the record."""
    table = block.payloads.get(int(EventKind.QUOTE))
    has = rows["payload"] >= 0
    if table is None or not has.any():
        return rows
    raw = np.ascontiguousarray(table[rows["payload"][has]])
    _, inverse = np.unique(raw.view(f"V{table.dtype.itemsize}"), return_inverse=True)
    first = np.full(int(inverse.max()) + 1, len(table), np.int32)
    np.minimum.at(first, inverse, rows["payload"][has])
    rows = rows.copy()
    rows["payload"][has] = first[inverse]
    return rows


def _check_columns(event_type: EventType, rows: np.ndarray) -> None:
    """Refuse a value that the table has no column for: it would be lost silently."""
    held = {ROW_COLUMN[field.name] for field in event_type.fields if field.origin == "row"}
    if event_type.name in {"orderbook_snapshot", "quote"}:
        held |= {"price", "quantity", "side"}
    if event_type.payload_fields:
        held.add("payload")
    for name, empty in _EMPTY.items():
        if name not in held and (rows[name] != empty).any():
            i = int(np.argmax(rows[name] != empty))
            raise DataError(
                f"{name} of a {event_type.name} row was {rows[name][i]} at ts_recv {rows['ts_recv'][i]}",
                hint=f"the table {event_type.name} has no column for it: leave it at {empty}",
            )


def _records(event_type: EventType, block: EventBlock, head: np.ndarray) -> np.ndarray:
    """Return the payload records of the rows ``head``; a quote without one has nulls."""
    kind = event_type.kinds[0]
    records = np.zeros(len(head), payload_dtype(kind))
    if not event_type.payload_fields:
        return records
    for field in event_type.payload_fields:
        if field.type in {"decimal", "float"}:
            records[field.name] = np.nan
    has = head["payload"] >= 0
    table = block.payloads.get(int(kind), records[:0])
    if kind in PAYLOAD_KINDS and not has.all():
        raise DataError(f"a {event_type.name} row has no payload", hint="build it with payload_event")
    if has.any():
        if int(head["payload"].max()) >= len(table):
            raise DataError(f"payload of a {event_type.name} row was {head['payload'].max()} of {len(table)} records")
        records[has] = table[head["payload"][has]]
    return records


def own_column(field: Field, values: np.ndarray) -> Any:
    """Return payload values as an Arrow array of the column's type, with the in-memory null as null."""
    import pyarrow as pa

    values = np.ascontiguousarray(values)
    if field.type == "decimal":
        return floats_to_decimals(values, field.name)
    if field.type == "float":
        return pa.array(values, mask=np.isnan(values))
    if field.type == "bool":
        return pa.array(values)
    if field.type == "time":
        times = pa.array(values, mask=values == 0) if field.nullable else pa.array(values)
        return times.cast(pa.timestamp("ns", "UTC"))
    if field.type == "text":
        try:
            return pa.array(values.tolist(), pa.binary()).cast(pa.string())
        except pa.ArrowInvalid as error:
            raise DataError(f"{field.name} was not UTF-8: {error}") from error
    return pa.array(values, mask=values == NO_ID) if field.nullable else pa.array(values)
