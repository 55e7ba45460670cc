"""Typed tables back to block rows: the inverse of :mod:`marketprism.core.tables`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import IntegrityError
from marketprism.core.fixed_point import decimals_to_floats, decimals_to_ticks
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import NO_ID, empty_rows
from marketprism.core.schema import EVENT_TYPES, EventType, Field, payload_dtype
from marketprism.core.tables import ROW_COLUMN

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TableRows", "decode_table", "join_rows", "tables_to_block"]


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of one table in stream order.

    Attributes
    ----------
    rows : ndarray of ROW_DTYPE, shape (n,)
        The rows; ``payload`` indexes ``records``.
    ordinal : int64 ndarray, shape (n,)
        Position of each row among the stream's rows of equal ``ts_recv``.
    records : record ndarray
        Payload records of the rows, empty where the kind has none.
    """

    rows: np.ndarray
    ordinal: np.ndarray
    records: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: slice) -> TableRows:
        return TableRows(self.rows[index], self.ordinal[index], self.records)


def tables_to_block(tables: Mapping[str, pl.DataFrame], instruments: tuple[Instrument, ...]) -> EventBlock:
    """Return the stream that ``tables`` were made of, rows and payloads in the original order.

    Parameters
    ----------
    tables : mapping of str to polars.DataFrame
        Event type name -> table, in any row order, as from :func:`marketprism.core.tables.block_to_tables`.
    instruments : tuple of Instrument
        Instruments of the stream; every series in the tables must be among them.

    Returns
    -------
    EventBlock
        Payload records are numbered by stream order within their kind.

    Raises
    ------
    IntegrityError
        A series is unknown, a price is off its instrument's grid, or a table does not have our columns.
    """
    parts = [decode_table(frame, EVENT_TYPES[name], instruments) for name, frame in tables.items()]
    return join_rows(parts, instruments)


def join_rows(parts: Sequence[TableRows], instruments: tuple[Instrument, ...]) -> EventBlock:
    """Return the rows of several tables as one block ordered by ``(ts_recv, ordinal)``."""
    parts = [part for part in parts if len(part)]
    rows = np.concatenate([part.rows for part in parts]) if parts else empty_rows(0)
    if not parts:
        return EventBlock(rows, instruments)
    tables: dict[int, list[np.ndarray]] = {}
    start = 0
    for part in parts:
        piece = rows[start : start + len(part)]
        start += len(part)
        has = piece["payload"] >= 0
        if has.any():
            kept = tables.setdefault(int(piece["kind"][has][0]), [])
            piece["payload"][has] += sum(map(len, kept))
            kept.append(part.records)
    if len(parts) > 1:
        ordinal = np.concatenate([part.ordinal for part in parts])
        rows = rows[np.lexsort((ordinal, rows["ts_recv"]))]
    payloads: dict[int, np.ndarray] = {}
    for kind, kept in tables.items():
        has = (rows["kind"] == kind) & (rows["payload"] >= 0)
        index, first, inverse = np.unique(rows["payload"][has], return_index=True, return_inverse=True)
        rank = np.empty(len(index), np.int64)
        rank[np.argsort(first)] = np.arange(len(index))
        rows["payload"][has] = rank[inverse]
        payloads[kind] = np.concatenate(kept)[index[np.argsort(first)]]
    return EventBlock(rows, instruments, payloads)


def decode_table(frame: pl.DataFrame, event_type: EventType, instruments: tuple[Instrument, ...]) -> TableRows:
    """Return the rows of one table, ordered by ``(ts_recv, ordinal)``.

    Parameters and errors are those of :func:`tables_to_block`.
    """
    reader = _Reader(frame, event_type, instruments)
    head = reader.head()
    records = reader.records(head)
    ordinal = reader.integers("ordinal")
    if event_type.kinds == (EventKind.BOOK_SNAPSHOT,):
        rows, ordinal = _expand_levels(reader, head, ordinal)
    elif event_type.kinds == (EventKind.QUOTE,):
        rows, ordinal = _expand_quotes(reader, head, ordinal)
    else:
        rows = head
    order = np.lexsort((ordinal, rows["ts_recv"]))
    if (order != np.arange(len(order))).any():
        rows, ordinal = rows[order], ordinal[order]
    return TableRows(rows, ordinal, records)


class _Reader:
    """Columns of one frame as NumPy arrays."""

    def __init__(self, frame: pl.DataFrame, event_type: EventType, instruments: tuple[Instrument, ...]) -> None:
        import polars as pl

        self.event_type = event_type
        missing = [field.name for field in event_type.fields if field.name not in frame.columns]
        if missing:
            raise IntegrityError(
                f"the table {event_type.name} has no column {missing[0]!r}", hint="it was not written by this version"
            )
        self.tick_sizes = [instrument.tick_size for instrument in instruments]
        self.instrument = self._instrument(frame, instruments)
        names = [name for name in frame.columns if name not in {"exchange", "market_type", "symbol", "source"}]
        self._columns: dict[str, Any] = {}
        table = frame.select(names).to_arrow(compat_level=pl.CompatLevel.oldest())
        for name in names:
            self._columns[name] = table.column(name).combine_chunks()
        self.n = frame.height

    def _instrument(self, frame: pl.DataFrame, instruments: tuple[Instrument, ...]) -> np.ndarray:
        import polars as pl

        if len(instruments) == 1:
            only = instruments[0]
            names = ("exchange", "market_type", "symbol")
            if all((frame[name] == getattr(only, name)).all() for name in names):
                return np.zeros(frame.height, np.int64)
        key = pl.concat_str("exchange", "market_type", "symbol", separator=":")
        seen = frame.select(key.unique(maintain_order=True)).to_series().to_list()
        index = {instrument.key: i for i, instrument in enumerate(instruments)}
        unknown = [series for series in seen if series not in index]
        if unknown:
            raise IntegrityError(
                f"the table {self.event_type.name} holds {unknown[0]}, which is no instrument of the stream",
                hint=f"known: {', '.join(list(index)[:8])}",
            )
        if len(seen) <= 1:
            return np.full(frame.height, index[seen[0]] if seen else 0, np.int64)
        codes = key.replace_strict(list(index), list(index.values()), return_dtype=pl.Int64)
        return frame.select(codes).to_series().to_numpy()

    def integers(self, name: str) -> np.ndarray:
        import pyarrow as pa

        column = self._columns[name]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        if column.null_count:
            column = column.fill_null(NO_ID)
        result: np.ndarray = column.to_numpy(zero_copy_only=False)
        return result

    def ticks(self, column: Any, instrument: np.ndarray) -> np.ndarray:
        return decimals_to_ticks(column, instrument, self.tick_sizes, f"price in {self.event_type.name}")

    def column(self, name: str) -> Any:
        return self._columns[name]

    def lists(self, name: str) -> tuple[np.ndarray, Any]:
        """Return the length of every list, and their values in one array."""
        column = self._columns[name]
        offsets = np.asarray(column.offsets)
        return np.diff(offsets), column.flatten()

    def head(self) -> np.ndarray:
        """Return one row for every table row with all columns that are no levels."""
        rows = empty_rows(self.n)
        rows["kind"] = self.event_type.kinds[0]
        rows["instrument"] = self.instrument
        for name in ("ts_event", "ts_recv", "flags"):
            rows[name] = self.integers(name)
        for field in self.event_type.fields:
            if field.origin != "row":
                continue
            if field.name == "price":
                rows["price"] = self.ticks(self._columns["price"], self.instrument)
            elif field.name == "quantity":
                rows["quantity"] = decimals_to_floats(self._columns["quantity"])
            else:
                rows[ROW_COLUMN[field.name]] = self.integers(field.name)
        if not np.isin(rows["kind"], self.event_type.kinds).all():
            raise IntegrityError(
                f"the table {self.event_type.name} holds an action of another table", hint="see EventKind"
            )
        return rows

    def records(self, head: np.ndarray) -> np.ndarray:
        """Return the payload records, and set ``head["payload"]`` to their index (in place)."""
        fields = self.event_type.payload_fields
        kind = self.event_type.kinds[0]
        records = np.zeros(self.n if fields else 0, payload_dtype(kind))
        for field in fields:
            records[field.name] = self._own(field)
        if not fields:
            return records
        if kind != EventKind.QUOTE:
            head["payload"] = np.arange(self.n)
            return records
        has = np.zeros(self.n, bool)
        for field in fields:
            has |= ~np.isnan(records[field.name])
        head["payload"][has] = np.arange(int(has.sum()))
        return records[has]

    def _own(self, field: Field) -> Any:
        column = self._columns[field.name]
        if field.type == "decimal":
            return decimals_to_floats(column)
        if field.type == "float":
            return column.fill_null(float("nan")).to_numpy(zero_copy_only=False)
        if field.type == "bool":
            return column.to_numpy(zero_copy_only=False)
        if field.type == "text":
            return [text.encode() for text in column.to_pylist()]
        values = self.integers(field.name)
        if field.type == "time" and column.null_count:
            values = np.where(column.is_null().to_numpy(zero_copy_only=False), 0, values)
        return values


def _expand_levels(reader: _Reader, head: np.ndarray, ordinal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sides: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for name in ("bid", "ask"):
        count, prices = reader.lists(f"{name}_prices")
        same, quantities = reader.lists(f"{name}_quantities")
        if (count != same).any():
            raise IntegrityError(f"a snapshot has {name} prices without quantities", hint="the table is damaged")
        instrument = np.repeat(reader.instrument, count)
        sides[name] = count, reader.ticks(prices, instrument), decimals_to_floats(quantities)
    levels = sides["bid"][0] + sides["ask"][0]
    counts = np.maximum(levels, 1)  # an empty book is one row without a side
    start = np.cumsum(counts) - counts
    run = np.repeat(np.arange(len(head)), counts)
    rows = head[run]
    place = _level_places(reader, levels, counts, start)
    before = np.zeros(len(head), np.int64)
    for name, side in (("bid", 1), ("ask", -1)):
        count, prices, quantities = sides[name]
        inside = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        target = place[np.repeat(start + before, count) + inside]
        rows["side"][target], rows["price"][target], rows["quantity"][target] = side, prices, quantities
        before = count
    return rows, _spread(rows, head, ordinal, run, start)


def _level_places(reader: _Reader, levels: np.ndarray, counts: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the stream row of every level, for levels counted bids then asks."""
    place = np.arange(counts.sum())
    length, order = reader.lists("level_order")
    listed = length > 0
    if (length[listed] != levels[listed]).any():
        raise IntegrityError("level_order of a snapshot does not match its levels", hint="the table is damaged")
    if listed.any():
        mask = np.repeat(listed, counts)
        shifted = np.repeat(start[listed], length[listed]) + order.to_numpy(zero_copy_only=False)
        if not np.array_equal(np.sort(shifted), np.flatnonzero(mask)):
            raise IntegrityError("level_order of a snapshot is no permutation", hint="the table is damaged")
        place[mask] = shifted
    return place


def _expand_quotes(reader: _Reader, head: np.ndarray, ordinal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    columns = {name: reader.column(name) for name in ("bid_price", "bid_quantity", "ask_price", "ask_quantity")}
    has = {
        side: columns[f"{name}_price"].is_valid().to_numpy(zero_copy_only=False)
        for side, name in ((1, "bid"), (-1, "ask"))
    }
    counts = has[1].astype(np.int64) + has[-1]
    if (counts == 0).any():
        raise IntegrityError("a quote has neither side", hint="the table is damaged")
    start = np.cumsum(counts) - counts
    run = np.repeat(np.arange(len(head)), counts)
    rows = head[run]
    for side, name, target in ((1, "bid", start), (-1, "ask", start + counts - 1)):
        mask = has[side]
        prices, quantities = (columns[f"{name}_{what}"].drop_null() for what in ("price", "quantity"))
        if len(quantities) != len(prices):
            raise IntegrityError(f"a quote has a {name} price without a quantity", hint="the table is damaged")
        where = target[mask]
        rows["side"][where] = side
        rows["price"][where] = reader.ticks(prices, reader.instrument[mask])
        rows["quantity"][where] = decimals_to_floats(quantities)
    return rows, _spread(rows, head, ordinal, run, start)


def _spread(rows: np.ndarray, head: np.ndarray, ordinal: np.ndarray, run: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Give FIRST to the first and LAST to the last row of every run (in place); return their ordinals."""
    inside = np.arange(len(rows)) - start[run]
    ends = np.zeros(len(rows), bool)
    ends[np.append(start[1:], len(rows))[: len(start)] - 1] = True
    flags = head["flags"][run]
    flags[inside > 0] &= np.uint8(0xFF & ~Flag.FIRST)
    flags[~ends] &= np.uint8(0xFF & ~Flag.LAST)
    rows["flags"] = flags
    ordinals: np.ndarray = ordinal[run] + inside
    return ordinals
