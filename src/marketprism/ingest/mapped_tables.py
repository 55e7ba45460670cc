"""One file read by one table of a CSV mapping."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import numpy as np

from marketprism.core.errors import SourceError
from marketprism.core.kinds import EventKind, Flag
from marketprism.ingest.level_tables import WideLevels
from marketprism.ingest.mapping import InstrumentMapping, TableMapping, TimeMapping
from marketprism.ingest.merge import Chunk
from marketprism.ingest.row_builders import MessageGrouper, ReceiveOrder, base_units, build_rows, quote_rows
from marketprism.ingest.source import Source
from marketprism.ingest.text_columns import (
    Checks,
    Clock,
    PriceGrid,
    duration_ns,
    integers,
    quantities,
    sides,
)
from marketprism.ingest.text_table import BATCH_BYTES, TextBatch, TextTable, check_columns
from marketprism.ingest.time_jumps import JumpFilter

__all__ = ["MappedTable", "open_table"]

_DATE = re.compile(r"(?<!\d)(\d{4})[-_.]?(\d\d)[-_.]?(\d\d)(?!\d)")


def open_table(mapping: TableMapping, path: str, member: str = "", batch_bytes: int = BATCH_BYTES) -> TextTable:
    """Open a file as a mapping says, and check its columns.

    Raises
    ------
    SourceError
        A column that the mapping names is not there, or one is there that it neither names nor ignores.
    """
    columns = () if isinstance(mapping.header, bool) else mapping.header
    if mapping.header is False:
        raise SourceError(f"{path}: header is false", hint="list the column names under header:")
    table = TextTable(
        path,
        member=member,
        columns=columns,
        comment=mapping.comment,
        separator=mapping.separator,
        batch_bytes=batch_bytes,
    )
    needed = list(mapping.columns())
    optional = table.columns if "*" in mapping.ignore else mapping.ignore
    check_columns(f"{table.name}:{table.first_line}", table.columns, needed, optional)
    return table


class MappedTable:
    """Events of one file under one table of the mapping.

    Parameters
    ----------
    source : Source
        Whose report counts.
    mapping : TableMapping
        What the columns mean.
    table : TextTable
        The file.
    traded : InstrumentMapping
        Its instrument.
    index : int
        Number of the instrument in the source.
    grid : PriceGrid
        Ticks of the source's instruments.
    """

    def __init__(
        self,
        source: Source,
        mapping: TableMapping,
        table: TextTable,
        traded: InstrumentMapping,
        index: int,
        grid: PriceGrid,
    ) -> None:
        self._source = source
        self._mapping = mapping
        self._table = table
        self._traded = traded
        self._index = index
        self._grid = grid
        self._order = ReceiveOrder(source, table.name)
        self._grouper = MessageGrouper()
        self._latency = duration_ns(mapping.latency)
        self._receive = self._clock(mapping.receive_time)
        self._event = self._clock(mapping.event_time)
        self._jumps = JumpFilter(duration_ns(mapping.max_time_jump, "max_time_jump")) if mapping.max_time_jump else None
        wide = mapping.levels
        self._wide = WideLevels(wide.pairs("bid"), wide.pairs("ask")) if wide is not None else None

    def _clock(self, mapping: TimeMapping | None) -> Clock | None:
        if mapping is None:
            return None
        base = _midnight(mapping, self._table.name) if mapping.base_date else None
        return Clock(self._table.name, mapping.column, mapping.unit, base, mapping.timezone)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the events, whole messages at a time."""
        for batch, final in self._held_back():
            yield self._decode(batch, final=final)
        yield self._grouper.flush()
        for clock in (self._receive, self._event):
            if clock is not None and clock.found:
                self._source.report.facts[f"time unit of {clock.column} in {self._table.name}"] = clock.found

    def _held_back(self) -> Iterator[tuple[TextBatch, bool]]:
        """Yield batches; where time jumps are checked, a batch ends before its last time, which opens the next."""
        import polars as pl

        if self._jumps is None:
            for batch in self._table.batches():
                yield batch, False
            return
        clock = self._mapping.receive_time or self._mapping.event_time
        held: TextBatch | None = None
        for batch in self._table.batches():
            joined = (
                batch if held is None else TextBatch(batch.name, held.first_line, pl.concat([held.frame, batch.frame]))
            )
            times = joined.frame[clock.column] if clock is not None else joined.frame.to_series()
            known = times.drop_nulls()
            others = (times.is_not_null() & (times != known[-1])).arg_true() if len(known) else None
            cut = int(others[-1]) + 1 if others is not None and len(others) else 0
            if cut:
                yield TextBatch(joined.name, joined.first_line, joined.frame.head(cut)), False
            held = TextBatch(joined.name, joined.first_line + cut, joined.frame.slice(cut))
        if held is not None:
            yield held, True

    def _decode(self, batch: TextBatch, *, final: bool) -> Chunk:
        checks = Checks(batch, self._skip(batch))
        ts_event, ts_recv = self._times(checks)
        decode = {
            "trades": self._trades,
            "deltas": self._levels,
            "snapshots": self._levels,
            "wide_snapshots": self._wide_snapshots,
            "quotes": self._quotes,
            "last_prices": self._last_prices,
        }[self._mapping.kind]
        self._final = final
        chunk = decode(checks, ts_event, ts_recv)
        return self._grouper.push(chunk) if self._mapping.kind in {"deltas", "snapshots"} else chunk

    def _skip(self, batch: TextBatch) -> np.ndarray:
        keep = self._table.content_mask(batch)
        for column, words in self._mapping.where.items():
            wanted = [str(word).strip().lower() for word in words]
            keep &= batch.frame[column].str.to_lowercase().is_in(wanted).fill_null(value=False)
        mask: np.ndarray = ~keep.to_numpy()
        return mask

    def _times(self, checks: Checks) -> tuple[np.ndarray, np.ndarray]:
        if self._event is None:
            ts_recv = self._receive.times(checks) if self._receive is not None else np.zeros(0, np.int64)
            return ts_recv, ts_recv
        ts_event = self._event.times(checks)
        return ts_event, self._receive.times(checks) if self._receive is not None else ts_event + self._latency

    def _finish(
        self, checks: Checks, ts_event: np.ndarray, ts_recv: np.ndarray
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Report the batch; return the mask of good rows and their clocks and ids."""
        if self._jumps is not None:
            rows = np.flatnonzero(checks.good)
            refused = np.zeros(len(checks.batch), np.bool_)
            refused[rows[self._jumps.unconfirmed(ts_recv[rows], final=self._final)]] = True
            checks.fail(refused, "time jump that no later record confirms", hint="see max_time_jump in the mapping")
        names = {name: getattr(self._mapping, name) for name in ("event_id", "first_id", "previous_id")}
        ids = {name: integers(checks, column) for name, column in names.items() if column}
        good = checks.report(self._source)
        columns = {name: values[good] for name, values in ids.items()}
        columns |= {"ts_event": ts_event[good], "ts_recv": self._order.raise_times(ts_recv[good])}
        return good, columns

    def _instrument(self, n: int) -> np.ndarray:
        return np.full(n, self._index, np.int16)

    def _base(self, amount: np.ndarray, price: np.ndarray, instrument: np.ndarray) -> np.ndarray:
        del instrument
        return base_units(amount, price, self._traded.contract_multiplier, inverse=self._traded.inverse)

    def _side(self, checks: Checks) -> np.ndarray:
        mapping = self._mapping.side
        return (
            sides(checks, mapping.column, mapping.words())
            if mapping is not None
            else np.zeros(len(checks.batch), np.int8)
        )

    def _trades(self, checks: Checks, ts_event: np.ndarray, ts_recv: np.ndarray) -> Chunk:
        return Chunk(self._priced(checks, ts_event, ts_recv, EventKind.TRADE))

    def _levels(self, checks: Checks, ts_event: np.ndarray, ts_recv: np.ndarray) -> Chunk:
        kind = EventKind.BOOK_DELTA if self._mapping.kind == "deltas" else EventKind.BOOK_SNAPSHOT
        return Chunk(self._priced(checks, ts_event, ts_recv, kind))

    def _priced(self, checks: Checks, ts_event: np.ndarray, ts_recv: np.ndarray, kind: EventKind) -> np.ndarray:
        mapping = self._mapping
        instrument = self._instrument(len(checks.batch))
        ticks, price = self._grid.ticks(checks, mapping.price, instrument)
        amount = quantities(checks, mapping.quantity, positive=kind == EventKind.TRADE)
        side = self._side(checks)
        good, columns = self._finish(checks, ts_event, ts_recv)
        base = self._base(amount[good], price[good], instrument[good])
        own = {"price": ticks[good], "quantity": base, "side": side[good], "instrument": instrument[good]}
        return build_rows(kind, int(good.sum()), **columns, **own)

    def _last_prices(self, checks: Checks, ts_event: np.ndarray, ts_recv: np.ndarray) -> Chunk:
        instrument = self._instrument(len(checks.batch))
        ticks, _ = self._grid.ticks(checks, self._mapping.price, instrument)
        good, columns = self._finish(checks, ts_event, ts_recv)
        rows = build_rows(EventKind.TRADE, int(good.sum()), price=ticks[good], instrument=instrument[good], **columns)
        rows["flags"] |= np.uint8(Flag.DERIVED)
        return Chunk(rows)

    def _quotes(self, checks: Checks, ts_event: np.ndarray, ts_recv: np.ndarray) -> Chunk:
        mapping = self._mapping
        instrument = self._instrument(len(checks.batch))
        parsed = []
        for side in ("bid", "ask"):
            ticks, price = self._grid.ticks(checks, getattr(mapping, f"{side}_price"), instrument, required=False)
            if mapping.unit_quantity is None:
                amount = quantities(checks, getattr(mapping, f"{side}_quantity"), required=False)
            else:
                amount = np.full(len(ticks), mapping.unit_quantity)
            parsed.append((ticks, price, amount))
        checks.fail(np.isnan(parsed[0][1]) & np.isnan(parsed[1][1]), "both sides are blank")
        good, columns = self._finish(checks, ts_event, ts_recv)
        bid, ask = ((t[good], self._base(a[good], p[good], instrument[good])) for t, p, a in parsed)
        if mapping.unit_quantity is not None:
            self._source.report.note(f"quotes without sizes (quantity set to {mapping.unit_quantity})", int(good.sum()))
        times = columns["ts_event"], columns["ts_recv"]
        return Chunk(quote_rows(*times, instrument[good], bid, ask, columns.get("event_id", -1)))

    def _wide_snapshots(self, checks: Checks, ts_event: np.ndarray, ts_recv: np.ndarray) -> Chunk:
        if self._wide is None:
            return Chunk(build_rows(EventKind.BOOK_SNAPSHOT, 0))
        instrument = self._instrument(len(checks.batch))
        levels = self._wide.check(checks, self._grid, instrument)
        good, columns = self._finish(checks, ts_event, ts_recv)
        return Chunk(self._wide.rows(levels, good, instrument, self._base, **columns))


def _midnight(mapping: TimeMapping, name: str) -> int:
    """Return ns UTC of the midnight that a column counts from."""
    text = mapping.base_date
    if text == "from_name":
        found = _DATE.search(name)
        if found is None:
            raise SourceError(f"{name} has no date in its name", hint="give base_date: 2014-05-05")
        text = "-".join(found.groups())
    try:
        day = dt.date.fromisoformat(text)
    except ValueError as error:
        raise SourceError(f"{name}: date was {text!r}", hint="give base_date: 2014-05-05") from error
    midnight = dt.datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(mapping.timezone))
    return int(midnight.timestamp()) * 10**9
