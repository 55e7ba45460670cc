"""``ashare-snapshot:`` level-2 snapshots of Shanghai and Shenzhen stocks, every 3 s, ten levels.

Two column layouts, told by the header; columns that are not named here are not read:

* ``SecurityID, DateTime, TotalVolumeTrade, TotalValueTrade, BidPrice0..9, BidOrderQty0..9, OfferPrice0..9,
  OfferOrderQty0..9``, and ``InstrumentStatus`` where there is one;
* ``SecurityID`` (``000001.SZ``), ``MDDate`` (20211201), ``MDTime`` (93003000), the same totals, ``BuyPrice1..10,
  BuyOrderQty1..10, SellPrice1..10, SellOrderQty1..10``, and ``TradingPhaseCode`` where there is one.

Rules, numbered for the tests:

1. Times are China time (UTC+8). There is no receive clock: ``ts_recv`` is ``ts_event`` plus ``?latency=`` (default 0).
2. A book is written (BOOK_SNAPSHOT) only in continuous trading: 9:30 to 11:30 and 13:00 to 14:57 by the clock, or to
   15:00 for Shanghai before 2018-08-20. Where the file gives a status, it must say continuous as well, and it
   alone decides about the closing call.
3. Other rows (auctions, breaks, halts) write no book and are counted. A gap ends the book: reason HALT where the
   status says so, else SESSION_BREAK; also over lunch and between days, whether or not rows lie in between.
4. Trades are derived (flagged DERIVED) from successive rows of one day: quantity is the growth of the cumulative
   volume, price the growth of turnover over it, rounded to the nearest tick (halves up). They precede the book.
5. Side by the quote rule: the unrounded price above the mid of the previous continuous snapshot is a buy, below it a
   sell; at the mid, after a break or with an empty side it is 0.
6. A trade of a row outside continuous trading, or of the first row after the opening call, is flagged AUCTION.
7. Volume that the first row of a day already shows is no trade: nobody knows when it was.
8. Price or quantity 0 is no level. Prices stand on the tick: 0.01 yuan, 0.001 for funds, bonds and B shares.
9. Several instruments are one stream ordered by time; at equal times, in the order of the file.
10. ``from`` and ``to`` take China clock times (``10:00``), or moments as elsewhere (UTC); ``to`` is excluded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, DataError, SourceError, did_you_mean
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, GapReason
from marketprism.core.rows import NO_ID, ROW_DTYPE
from marketprism.core.timebase import parse_time
from marketprism.ingest import _ashare_kernel as kernel
from marketprism.ingest import tabular
from marketprism.ingest.ashare_codes import (
    CLOSING_CALL_SINCE,
    MINUTE,
    SHANGHAI_OFFSET_NS,
    instrument_of,
    phase_of_text,
    sessions_of,
    split_code,
)
from marketprism.ingest.external_sort import TimeSorter
from marketprism.ingest.files_io import members
from marketprism.ingest.local_clock import BAD, parse_stamps
from marketprism.ingest.merge import Chunk, to_blocks
from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.sessions import gap_records, option_ns
from marketprism.ingest.source import Source

__all__ = ["FORMAT", "AshareSnapshotSource"]

_PRICE_UNIT = Decimal("0.0001")
_DAY_NS = 1440 * MINUTE
_MAX_PRICE = 10**12
_MAX_VALUE = 10**17
_LAYOUTS = (
    ("BidPrice", "BidOrderQty", "OfferPrice", "OfferOrderQty", 0),
    ("BuyPrice", "BuyOrderQty", "SellPrice", "SellOrderQty", 1),
)
_STATUS = ("InstrumentStatus", "TradingPhaseCode")
_TIMES = (("DateTime",), ("MDDate", "MDTime"))
_TOTALS = ("TotalVolumeTrade", "TotalValueTrade")


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    member: str
    header: tuple[str, ...]
    times: tuple[str, ...]
    status: str
    levels: tuple[tuple[str, ...], ...]  # names of bid prices, bid sizes, ask prices, ask sizes


class AshareSnapshotSource(Source):
    """Ten-level books and derived trades of one stock or a panel of them. Rules: see the module.

    Quantities are shares, prices in ticks of each instrument.
    """

    def __init__(self, spec: SourceSpec) -> None:
        self._files = [_file(path, m) for path in spec.paths for m in _members(path)]
        self._latency = option_ns(spec.option("latency"))
        self._digits = _digits(spec.option("price_scale", "1"))
        self._window = tuple(_bound(spec.option(name), name) for name in ("from", "to"))
        tick = _tick(spec.option("tick"))
        raw = sorted({t for f in self._files for t in tabular.scan_texts(f.path, f.member, "SecurityID", f.header)})
        self._index, instruments = _choose(raw, spec.option("symbol"), tick, spec.text)
        super().__init__(spec.text, instruments, strict=spec.flag("strict"))
        self._unit = np.array([int(i.tick_size / _PRICE_UNIT) for i in instruments], np.int64)
        self._call_since = np.array([CLOSING_CALL_SINCE[i.exchange] for i in instruments], np.int64)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the snapshot files."""
        return tuple(dict.fromkeys(file.path for file in self._files))

    def _blocks(self) -> Iterator[EventBlock]:
        self.report.facts["clock"] = f"China time; ts_recv = ts_event + {self._latency} ns"
        ticks = sorted({str(instrument.tick_size) for instrument in self.instruments})
        self.report.facts["tick"] = f"{', '.join(ticks)} yuan"
        chunks = self._chunks()
        if len(self.instruments) == 1:
            yield from to_blocks(chunks, self.instruments)
            return
        with TimeSorter() as sorter:
            for chunk in chunks:
                sorter.push(chunk)
            yield from to_blocks(sorter.chunks(), self.instruments)

    def _chunks(self) -> Iterator[Chunk]:
        n = len(self.instruments)
        state = np.zeros((n, kernel.STATE), np.int64)
        last = np.full((n, 3), -1, np.int64)
        notes = np.zeros(3, np.int64)
        for file in self._files:
            for batch in tabular.CsvFile(
                self, file.path, file.member, columns=_columns(file, self._digits), header=file.header
            ):
                yield self._convert(batch, file, state, last, notes)
        what = ("snapshots outside continuous trading", "days that begin with volume", "turnover without a price")
        for name, count in zip(what, notes.tolist(), strict=True):
            if count:
                self.report.note(name, count)

    def _convert(
        self,
        batch: tabular.CsvBatch,
        file: _File,
        state: np.ndarray,
        last: np.ndarray,
        notes: np.ndarray,
    ) -> Chunk:
        batch, instrument = self._mine(batch)
        days, ns = _clock(batch, file)
        good = (days != BAD) & (ns != BAD)
        batch, instrument = batch.keep(good, self, "no date and time"), instrument[good]
        days, ns = days[good], ns[good]
        price, size = _stack(batch, file.levels[0::2]), _stack(batch, file.levels[1::2])
        phase, half, opening = self._phases(batch, file, instrument, days, ns)
        good = self._check(batch, instrument, price, size, phase)
        batch, instrument, days, ns = batch.take(good), instrument[good], days[good], ns[good]
        price, size, phase, half, opening = price[good], size[good], phase[good], half[good], opening[good]
        ts = days * _DAY_NS + ns - SHANGHAI_OFFSET_NS
        good = self._in_order(batch, instrument, days, ts, last)
        ts, instrument = ts[good], instrument[good]
        local = self._inside(ts, ns[good])
        out = np.zeros(len(ts) * (2 + 2 * kernel.LEVELS), ROW_DTYPE)
        rows, gaps = kernel.convert(
            ts, days[good], 2 * days[good] + half[good], phase[good], opening[good], local, instrument,
            self._unit[instrument], batch["TotalVolumeTrade"][good], batch["TotalValueTrade"][good],
            price[good] // self._unit[instrument][:, None, None], size[good], state, self._latency, notes, out,
        )  # fmt: skip
        return _chunk(out[:rows], gaps)

    def _mine(self, batch: tabular.CsvBatch) -> tuple[tabular.CsvBatch, np.ndarray]:
        distinct, where = np.unique(batch["SecurityID"], return_inverse=True)
        index = np.array([self._index.get(text, _UNKNOWN) for text in distinct.tolist()], np.int64)[where]
        batch = batch.keep(index != _UNKNOWN, self, "SecurityID is no security id", hint="such as 600311 or 000001.SZ")
        index = index[index != _UNKNOWN]
        if (index == _OTHER).any():
            self.report.note("rows of other instruments", int((index == _OTHER).sum()))
        return batch.take(index != _OTHER), index[index != _OTHER]

    def _phases(
        self, batch: tabular.CsvBatch, file: _File, instrument: np.ndarray, days: np.ndarray, ns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        said = np.zeros(len(batch), np.int64)
        given = np.zeros(len(batch), np.bool_)
        if file.status:
            distinct, where = np.unique(batch[file.status], return_inverse=True)
            said = np.array([phase_of_text(text) for text in distinct.tolist()], np.int64)[where]
            given = batch[file.status] != b""
        closing_call = ~given & (days >= self._call_since[instrument])
        continuous, half, opening = sessions_of(ns, closing_call)
        by_clock = np.where(continuous, kernel.CONTINUOUS, kernel.AUCTION)
        return np.where(said == kernel.CONTINUOUS, by_clock, said), half, opening

    def _check(
        self, batch: tabular.CsvBatch, instrument: np.ndarray, price: np.ndarray, size: np.ndarray, phase: np.ndarray
    ) -> np.ndarray:
        """Reject rows with impossible numbers; empty levels get price 0. Return which rows are good."""
        n = len(batch)
        volume, value = batch["TotalVolumeTrade"], batch["TotalValueTrade"]
        unit = self._unit[instrument][:, None, None]
        none = (price == 0) | (size == 0)
        levels = np.where(none, 0, price)
        step = np.diff(levels, axis=2) * np.array([-1, 1])[None, :, None]
        ordered = (levels[:, :, 1:] == 0) | ((levels[:, :, :-1] != 0) & (step > 0))
        checks: tuple[tuple[str, Any], ...] = (
            ("price negative", price >= 0),
            ("price out of range", price < _MAX_PRICE),
            ("quantity negative", size >= 0),
            ("quantity out of range", size < 2.0**53),
            ("volume negative or out of range", ((volume >= 0) & (volume < 2**53)).reshape(n, 1, 1)),
            ("turnover negative or out of range", ((value >= 0) & (value < _MAX_VALUE)).reshape(n, 1, 1)),
            ("price off tick", price % unit == 0),
            ("levels out of order", ordered | (phase != kernel.CONTINUOUS)[:, None, None]),
        )
        good = np.ones(n, np.bool_)
        for reason, passed in checks:
            rows = np.logical_and.reduce(np.reshape(passed, (n, passed.shape[1] * passed.shape[2])), axis=1)
            if reason == "price off tick":
                self._reject_off_tick(batch, instrument, good & ~rows)
            else:
                batch.take(good).keep(rows[good], self, reason)
            good &= rows
        price[none] = 0
        return good

    def _reject_off_tick(self, batch: tabular.CsvBatch, instrument: np.ndarray, bad: np.ndarray) -> None:
        for i in np.flatnonzero(bad).tolist():
            tick = self.instruments[int(instrument[i])].tick_size
            self.reject(f"price off tick {tick}", batch.where(i), batch.raw(i), hint="another tick: ?tick=...")

    def _in_order(
        self, batch: tabular.CsvBatch, instrument: np.ndarray, days: np.ndarray, ts: np.ndarray, last: np.ndarray
    ) -> np.ndarray:
        fault = np.zeros(len(ts), np.int64)
        kernel.order_faults(ts, days, instrument, batch["TotalVolumeTrade"], last, fault)
        good: np.ndarray = fault == 0
        for code, reason in ((kernel.TIME_BACK, "time goes back"), (kernel.VOLUME_BACK, "cumulative volume goes back")):
            for i in np.flatnonzero(fault == code).tolist():
                self.reject(reason, batch.where(i), batch.raw(i))
        return good

    def _inside(self, ts: np.ndarray, ns: np.ndarray) -> np.ndarray:
        (start, start_is_clock), (stop, stop_is_clock) = self._window
        inside = np.ones(len(ts), np.bool_)
        if start is not None:
            inside &= (ns if start_is_clock else ts) >= start
        if stop is not None:
            inside &= (ns if stop_is_clock else ts) < stop
        return inside


_UNKNOWN, _OTHER = -1, -2


def _chunk(rows: np.ndarray, gaps: int) -> Chunk:
    if not gaps:
        return Chunk(rows)
    mine = rows["kind"] == EventKind.GAP
    marks = rows[mine]
    halted = marks["first_id"] == 1
    records = gap_records(
        [
            (start, 0 if halt else stop, GapReason.HALT if halt else GapReason.SESSION_BREAK)
            for start, stop, halt in zip(
                marks["previous_id"].tolist(), marks["ts_event"].tolist(), halted.tolist(), strict=True
            )
        ]
    )
    rows["first_id"][mine] = rows["previous_id"][mine] = NO_ID
    return Chunk(rows, {int(EventKind.GAP): records})


def _stack(batch: tabular.CsvBatch, names: Sequence[tuple[str, ...]]) -> np.ndarray:
    """Return (n, 2, 10) of the bid and the ask columns, zeros where the file has fewer levels."""
    kind = np.int64 if names[0][0].endswith(("Price0", "Price1")) else np.float64
    result = np.zeros((len(batch), 2, kernel.LEVELS), kind)
    for side, columns in enumerate(names):
        for level, name in enumerate(columns):
            result[:, side, level] = batch[name]
    return result


def _clock(batch: tabular.CsvBatch, file: _File) -> tuple[np.ndarray, np.ndarray]:
    if len(file.times) == 1:
        return parse_stamps(batch[file.times[0]], date=True, time=True)
    days, _ = parse_stamps(batch[file.times[0]], date=True, time=False)
    _, ns = parse_stamps(batch[file.times[1]], date=False, time=True)
    return days, ns


def _columns(file: _File, digits: int) -> list[tabular.Column]:
    columns = [tabular.Column(name, "text") for name in ("SecurityID", *file.times)]
    if file.status:
        columns.append(tabular.Column(file.status, "text", optional=True))
    columns += [tabular.Column("TotalVolumeTrade"), tabular.fixed_column("TotalValueTrade", 4)]
    for i, names in enumerate(file.levels):
        for name in names:
            is_price = i % 2 == 0
            columns.append(
                tabular.fixed_column(name, digits, optional=True)
                if is_price
                else tabular.Column(name, "float", optional=True)
            )
    return columns


def _members(path: str) -> list[str]:
    if not path.lower().endswith(".zip"):
        return [""]
    names = [name for name in members(path) if name.lower().endswith((".csv", ".txt"))]
    if not names:
        raise SourceError(f"{path} holds no csv file", hint="name the files themselves")
    return names


def _file(path: str, member: str) -> _File:
    header = tabular.read_header(path, member)
    names = set(header)
    for bid, bid_size, ask, ask_size, first in _LAYOUTS:
        stems = (bid, bid_size, ask, ask_size)
        if f"{bid}{first}" not in names:
            continue
        count = 0
        while count < kernel.LEVELS and all(f"{stem}{first + count}" in names for stem in stems):
            count += 1
        levels = tuple(tuple(f"{stem}{first + i}" for i in range(max(count, 1))) for stem in stems)
        times = next((times for times in _TIMES if names.issuperset(times)), _TIMES[first])
        needed = ("SecurityID", *times, *_TOTALS, *(name for group in levels for name in group))
        missing = [name for name in needed if name not in names]
        if missing:
            raise SourceError(f"{path} has no column {missing[0]!r}", hint=did_you_mean(missing[0], header))
        return _File(path, member, tuple(header), times, next((s for s in _STATUS if s in names), ""), levels)
    raise SourceError(
        f"{path} begins with {','.join(header)[:80]!r}",
        hint="the header needs BidPrice0... or BuyPrice1...: see the docs of ashare-snapshot for both layouts",
    )


def _choose(
    raw: list[bytes], option: str, tick: Decimal | None, text: str
) -> tuple[dict[bytes, int], tuple[Instrument, ...]]:
    """Return what each spelling of a security id stands for, and the instruments, sorted by key."""
    parsed: dict[bytes, tuple[str, str]] = {}
    for spelling in raw:
        try:
            parsed[spelling] = split_code(spelling.decode("ascii", "replace"))
        except DataError:
            continue
    chosen = set(parsed.values())
    if option:
        chosen = set()
        for word in re.split(r"[,+ ]+", option):
            exchange, code = split_code(word)
            found = {c for c in parsed.values() if c[1] == code and (c[0] == exchange or "." not in word)}
            if not found:
                known = sorted({c for _, c in parsed.values()})
                raise SourceError(f"{text}: no instrument {word!r}", hint=did_you_mean(code, known))
            chosen |= found
    order = sorted(chosen)
    if not order:
        raise SourceError(f"{text}: no row names a security id", hint="column SecurityID: 600311 or 000001.SZ")
    first = {code: spelling.decode() for spelling, code in reversed(parsed.items())}
    instruments = tuple(instrument_of(*code, tick, raw=first[code]) for code in order)
    index = {spelling: order.index(code) if code in chosen else _OTHER for spelling, code in parsed.items()}
    return index, instruments


def _digits(text: str) -> int:
    if text not in {"1", "10", "100", "1000", "10000"}:
        raise ConfigError(f"price_scale was {text!r}", hint="1 (yuan), 10, 100, 1000 or 10000")
    return 5 - len(text)


def _tick(text: str) -> Decimal | None:
    if not text:
        return None
    try:
        tick = Decimal(text)
    except InvalidOperation as error:
        raise ConfigError(f"tick was {text!r}", hint="write a price such as 0.01") from error
    if not tick.is_finite() or tick <= 0 or tick % _PRICE_UNIT:
        raise ConfigError(f"tick was {text!r}", hint=f"it must be a positive multiple of {_PRICE_UNIT}")
    return tick


def _bound(text: str, name: str) -> tuple[int | None, bool]:
    """Return (value, whether it is a clock time after China midnight)."""
    if not text:
        return None, False
    if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?", text):
        clock = text if text.count(":") == 2 else f"{text}:00"
        ns = int(parse_stamps(np.array([clock.encode()]), date=False, time=True)[1][0])
        if ns == BAD:
            raise ConfigError(f"{name} was {text!r}", hint="a clock time such as 10:00 or 10:00:30")
        return ns, True
    return parse_time(text), False


FORMAT = SourceFormat(
    name="ashare-snapshot",
    example="ashare-snapshot:20211201snapshot_30stocks.zip?symbol=600311&from=09:30&to=10:30",
    description="Level-2 snapshots of Shanghai and Shenzhen stocks (3 s, ten levels, two column layouts)",
    open=AshareSnapshotSource,
    options={
        "symbol": "one instrument or several (600311, 000001.SZ, 600311,600258); default all: a panel",
        "from": "first time kept: China clock (10:00) or a moment",
        "to": "first time left out again",
        "tick": "price step in yuan (default 0.01; funds, bonds and B shares 0.001)",
        "price_scale": "what prices are multiplied by in the file: 1 (default), 10, 100, 1000 or 10000",
        "latency": "receive time minus exchange time, such as 250us (default 0)",
    },
)
