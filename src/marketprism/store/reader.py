"""Reading a stream: the tables of one source, merged back into the blocks that were written."""

from __future__ import annotations

from collections.abc import Iterator

from marketprism.core.arrow_schema import fields_of
from marketprism.core.block import EventBlock
from marketprism.core.errors import StoreError, did_you_mean
from marketprism.core.instrument import Instrument
from marketprism.core.merge import merge_tables
from marketprism.core.schema import EVENT_TYPES
from marketprism.core.table_rows import TableRows, decode_table
from marketprism.store.sql import quote, time_literal, where_series
from marketprism.store.store import Database, Store

__all__ = ["StoreReader"]

_WINDOW_ROWS = 1_000_000
"""Table rows that one query may return: days are grouped up to it, so memory does not grow with the stream."""

_DAY_NS = 86_400_000_000_000


class StoreReader:
    """Reads one source, or some of its instruments, in stream order.

    Parameters
    ----------
    store : Store
        Where from.
    source : str, default ""
        Name it was written under; empty if the store holds only one.
    exchange, market_type, symbol : str, optional
        Only instruments with these.
    start, end : int, optional
        Only rows with ``start <= ts_recv < end``, ns UTC.
    database : {"hot", "cold"}, default "hot"
        Where from.

    Raises
    ------
    StoreError
        The source or instrument is unknown, or several sources would fit.
    """

    def __init__(
        self,
        store: Store,
        source: str = "",
        *,
        exchange: str = "",
        market_type: str = "",
        symbol: str = "",
        start: int | None = None,
        end: int | None = None,
        database: Database = "hot",
    ) -> None:
        self.store = store
        self.database: Database = database
        self._span = (start, end)
        wanted = {"exchange": exchange, "market_type": market_type, "symbol": symbol}
        fitting: dict[str, tuple[Instrument, ...]] = {}
        names = store.sources()
        if source and source not in names:
            raise StoreError(f"the store has no source {source!r}", hint=did_you_mean(source, names))
        for name in [source] if source else names:
            instruments = tuple(
                instrument
                for instrument in store.instruments(name)
                if all(not value or getattr(instrument, key) == value for key, value in wanted.items())
            )
            if instruments:
                fitting[name] = instruments
        if not fitting:
            given = ", ".join(f"{key} {value!r}" for key, value in wanted.items() if value) or "any instrument"
            raise StoreError(f"the store {store.connection.address} holds no source with {given}", hint="see `sources`")
        if len(fitting) > 1:
            raise StoreError(
                f"{len(fitting)} sources fit: {', '.join(sorted(fitting)[:6])}", hint="choose one with source=..."
            )
        ((self.source, self.instruments),) = fitting.items()
        self._all = self.instruments == store.instruments(self.source)

    def blocks(self) -> Iterator[EventBlock]:
        """Yield the stream; blocks are as large as they come."""
        pieces = {name: self._pieces(name) for name in EVENT_TYPES}
        yield from merge_tables(pieces, self.instruments)

    def _pieces(self, name: str) -> Iterator[TableRows]:
        event_type = EVENT_TYPES[name]
        skipped = {"source"}
        columns = ", ".join(f"`{field.name}`" for field in fields_of(event_type) if field.name not in skipped)
        table = f"{self.store.database(self.database)}.{name}"
        for first, last in self._windows(table):
            sql = (
                f"SELECT {columns} FROM {table} FINAL WHERE {self._where()} "
                f"AND ts_recv >= {time_literal(first)} AND ts_recv < {time_literal(last)} ORDER BY ts_recv, ordinal"
            )
            for frame in self.store.connection.stream(sql):
                yield decode_table(frame, event_type, self.instruments)

    def _where(self) -> str:
        start, end = self._span
        terms = [f"source = {quote(self.source)}", where_series(self.instruments)]
        if start is not None:
            terms.append(f"ts_recv >= {time_literal(start)}")
        if end is not None:
            terms.append(f"ts_recv < {time_literal(end)}")
        return " AND ".join(terms)

    def _windows(self, table: str) -> list[tuple[int, int]]:
        """Return spans of whole days, ns UTC, each of about a million rows or one day."""
        days = self.store.connection.query(
            f"SELECT toInt64(intDiv(toUnixTimestamp64Nano(ts_recv), {_DAY_NS})) AS day, toInt64(count()) AS n "
            f"FROM {table} WHERE {self._where()} GROUP BY day ORDER BY day"
        )
        windows: list[tuple[int, int]] = []
        weight = 0
        for day, rows in days.iter_rows():
            if windows and weight + rows <= _WINDOW_ROWS:
                windows[-1] = (windows[-1][0], (day + 1) * _DAY_NS)
                weight += rows
            else:
                windows.append((day * _DAY_NS, (day + 1) * _DAY_NS))
                weight = rows
        return windows
