"""``us-l1:`` quote and trade ticks of US equities, one side per quote row, with venue codes.

The layout is that of AlgoSeek data as LEAN stores it (https://github.com/QuantConnect/Lean, folder Data/equity):
a quote row is ``ms, bid, bid size, ask, ask size, venue, condition, suspicious``, a trade row
``ms, price, size, venue, condition, suspicious``; prices are dollars times 10000, conditions hexadecimal bits.

1. ``ms`` counts from midnight in New York; the day comes from the file name or ``?date=`` (one day only).
2. A quote row fills one side; the bid row and the ask row that follows at the same ms are one quote.
3. ``quotes=best`` (default): the rows already are the consolidated best quote, and the venue code names who made
   that side. Shown by the data: read so, BAC is 98 % one tick wide and IBM 13/21/65 %; kept as one quote a venue and
   consolidated again, 99 % of IBM and 100 % of BAC would be crossed.
4. ``quotes=venue``: the rows are each venue's own quote. The best over venues is kept; its size is the sum over the
   venues at that price; a price or size of 0 clears the venue's side.
5. A quote is written (both sides, one message) when its prices or sizes change; unchanged ones are counted. A side
   with price or size 0 is empty.
6. At one ms, quotes come before trades: files of equal clock resolution do not tell the order.
7. Trades carry no side (0: unknown). Opening, closing, reopening and cross prints are flagged AUCTION. Prices
   between ticks are rounded to the nearest tick, halves up, and counted.
8. Left out and counted: trades whose price is not of that moment (official open and close, sold late, out of
   sequence, average price, prior reference price, derivatively priced, stock-option), unless ``conditions=all``.
9. Left out and counted: rows flagged suspicious, unless ``suspicious=keep``.
10. ``session=regular`` (default) keeps 9:30 to 16:00 New York, the end excluded; ``session=all`` keeps everything.
11. Between days stands a gap with reason SESSION_BREAK; the best quote starts anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, SourceError, did_you_mean
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag, GapReason
from marketprism.core.rows import ROW_DTYPE, empty_rows
from marketprism.ingest import _us_l1_kernel as kernel
from marketprism.ingest import tabular
from marketprism.ingest.equity_ticks import PRICE_UNIT, equity_tick
from marketprism.ingest.files_io import display_name, members
from marketprism.ingest.merge import Chunk, merge_chunks
from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.sessions import find_date, gap_records, gap_rows, local_midnight_ns, option_ns, parse_date
from marketprism.ingest.source import Source

__all__ = ["FORMAT", "UsL1Source"]

ZONE = "America/New_York"
_MS = 1_000_000
_DAY_MS = 86_400_000
_REGULAR = (34_200_000, 57_600_000)
_TICK_LINES = 4096
_AUCTION_BITS = 0x40 | 0x80 | 0x100 | 0x200000
_STALE_BITS = 0x200 | 0x800 | 0x4000 | 0x40000 | 0x100000 | 0x1000000 | 0x2000000 | 0x4000000
_MAX_PRICE = 10**12
_QUOTE = tuple(
    tabular.Column(name, "text" if name in {"venue", "condition"} else "fixed", position=position)
    for position, name in enumerate(
        ["ms", "bid", "bid_size", "ask", "ask_size", "venue", "condition", "suspicious"]
    )
)  # fmt: skip
_TRADE = tuple(
    tabular.Column(name, "text" if name in {"venue", "condition"} else "fixed", position=position)
    for position, name in enumerate(["ms", "price", "size", "venue", "condition", "suspicious"])
)


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    member: str
    day: date
    symbol: str
    quotes: bool

    @property
    def name(self) -> str:
        return display_name(self.path, self.member)


class UsL1Source(Source):
    """Best quotes and trades of one US stock over one or more days.

    ``ts_event`` is the file's time (ns UTC, ms resolution); there is no receive clock, so ``ts_recv`` is
    ``ts_event`` plus ``?latency=`` (default 0). Quantities are shares. Rules: see the module.
    """

    def __init__(self, spec: SourceSpec) -> None:
        self._session = _choice(spec, "session", ("regular", "all"))
        self._consolidate = _choice(spec, "quotes", ("best", "venue")) == "venue"
        self._keep_suspicious = _choice(spec, "suspicious", ("drop", "keep")) == "keep"
        self._keep_stale = _choice(spec, "conditions", ("current", "all")) == "all"
        self._latency = option_ns(spec.option("latency"))
        self._days = _days(spec)
        every = [file for day in self._days for file in day if file is not None]
        first = next((file for file in every if file.quotes), every[0])
        head = tabular.first_lines(first.path, first.member, count=_TICK_LINES)
        cells = [line.split(",") for line in head]
        prices = [row[i] for row in cells for i in ((1, 3) if first.quotes else (1,)) if len(row) > i]
        tick, self._tick_fact = equity_tick(spec.option("tick"), prices, f"the first {len(head)} lines of {first.name}")
        self._unit = int(tick / PRICE_UNIT)
        instrument = Instrument(
            exchange="us", market_type="equity", symbol=first.symbol, tick_size=tick, lot_size=Decimal(1)
        )
        super().__init__(spec.text, (instrument,), strict=spec.flag("strict"))

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the quote and trade files, by day."""
        return tuple(dict.fromkeys(file.path for day in self._days for file in day if file is not None))

    def _blocks(self) -> Iterator[EventBlock]:
        facts = self.report.facts
        facts["tick"] = self._tick_fact
        facts["clock"] = f"ms after midnight {ZONE}; ts_recv = ts_event + {self._latency} ns; quotes before trades"
        facts["session"] = "9:30 to 16:00" if self._session == "regular" else "all hours"
        facts["quotes"] = "consolidated over venues" if self._consolidate else "consolidated by the sender"
        last = 0
        for quotes, trades in self._days:
            day = (quotes or trades).day  # type: ignore[union-attr]
            midnight = local_midnight_ns(day, ZONE)
            streams = [
                map(Chunk, read(file, midnight))
                for read, file in ((self._quote_rows, quotes), (self._trade_rows, trades))
                if file is not None
            ]
            for chunk in merge_chunks(streams):
                rows = chunk.rows
                if not len(rows):
                    continue
                if last and rows["ts_event"][0] >= midnight > last:
                    start = int(rows["ts_event"][0])
                    gap = gap_records([(last, start, GapReason.SESSION_BREAK)])
                    yield EventBlock(gap_rows(start, latency=self._latency), self.instruments, {EventKind.GAP: gap})
                last = int(rows["ts_event"][-1])
                yield EventBlock(rows, self.instruments)

    def _bounds(self, midnight: int) -> tuple[int, int]:
        start, stop = _REGULAR if self._session == "regular" else (0, _DAY_MS)
        return midnight + start * _MS, midnight + stop * _MS

    def _quote_rows(self, file: _File, midnight: int) -> Iterator[np.ndarray]:
        state = np.zeros(kernel.STATE, np.int64)
        state[-4:] = -1
        table = np.zeros((2, kernel.VENUES, 2), np.int64)
        clock = 0
        start, stop = self._bounds(midnight)
        for batch in tabular.CsvFile(self, file.path, file.member, columns=_QUOTE, width=8):
            batch = self._check(batch, clock, ("bid", "ask"), ("bid_size", "ask_size"))
            clock = int(batch["ms"][-1]) if len(batch) else clock
            batch = self._unsuspicious(batch)
            off = (batch["bid"] % self._unit != 0) | (batch["ask"] % self._unit != 0)
            batch = batch.keep(~off, self, f"price off tick {self.instrument.tick_size}")
            odd = int((batch["condition"] != b"1").sum())
            if odd:
                self.report.note("quotes of another condition than regular", odd)
            counts = np.zeros(2, np.int64)
            out = np.zeros(4 * len(batch) + 2, ROW_DTYPE)
            n = kernel.convert(
                batch["ms"] * _MS + midnight, batch["bid"] // self._unit, batch["bid_size"],
                batch["ask"] // self._unit, batch["ask_size"], _venues(batch), self._consolidate,
                state, table, self._latency, start, stop, counts, out,
            )  # fmt: skip
            self._note_counts(counts)
            yield out[:n]
        counts = np.zeros(2, np.int64)
        out = np.zeros(2, ROW_DTYPE)
        n = kernel.flush(state, self._latency, start, stop, counts, out)
        self._note_counts(counts)
        yield out[:n]

    def _note_counts(self, counts: np.ndarray) -> None:
        for what, n in zip(("quotes outside the session", "quotes that changed nothing"), counts.tolist(), strict=True):
            if n:
                self.report.note(what, n)

    def _trade_rows(self, file: _File, midnight: int) -> Iterator[np.ndarray]:
        clock = 0
        start, stop = self._bounds(midnight)
        for batch in tabular.CsvFile(self, file.path, file.member, columns=_TRADE, width=6):
            batch = self._check(batch, clock, (), ("size",))
            clock = int(batch["ms"][-1]) if len(batch) else clock
            batch = batch.keep(batch["price"] > 0, self, "price not positive")
            batch = batch.keep(batch["price"] < _MAX_PRICE, self, "price out of range")
            batch = batch.keep(batch["size"] > 0, self, "size not positive")
            bits, good = _hexadecimal(batch["condition"])
            batch, bits = batch.keep(good, self, "condition is not hexadecimal"), bits[good]
            kept = self._unsuspicious(batch)
            bits = bits[np.isin(batch.lines, kept.lines)]
            ts = kept["ms"] * _MS + midnight
            kept, ts, bits = self._drop("trades outside the session", (ts >= start) & (ts < stop), kept, ts, bits)
            if not self._keep_stale:
                current = bits & _STALE_BITS == 0
                kept, ts, bits = self._drop("trades not priced at their time", current, kept, ts, bits)
            yield self._trades(kept["price"], kept["size"], ts, bits)

    def _trades(self, price: np.ndarray, size: np.ndarray, ts: np.ndarray, bits: np.ndarray) -> np.ndarray:
        between = int((price % self._unit != 0).sum())
        if between:
            self.report.note("trades between ticks, rounded to the nearest", between)
        rows = empty_rows(len(ts))
        rows["ts_event"], rows["ts_recv"] = ts, ts + self._latency
        rows["price"] = (price + self._unit // 2) // self._unit
        rows["quantity"], rows["kind"] = size, EventKind.TRADE
        rows["flags"] = np.where(bits & _AUCTION_BITS != 0, Flag.AUCTION, 0) | Flag.FIRST | Flag.LAST
        return rows

    def _drop(
        self, what: str, good: np.ndarray, batch: tabular.CsvBatch, ts: np.ndarray, bits: np.ndarray
    ) -> tuple[tabular.CsvBatch, np.ndarray, np.ndarray]:
        if not good.all():
            self.report.note(what, int((~good).sum()))
        return batch.take(good), ts[good], bits[good]

    def _check(
        self, batch: tabular.CsvBatch, clock: int, prices: tuple[str, ...], sizes: tuple[str, ...]
    ) -> tabular.CsvBatch:
        batch = batch.keep((batch["ms"] >= 0) & (batch["ms"] < _DAY_MS), self, "time outside the day")
        floor = np.maximum.accumulate(np.concatenate([np.array([clock], np.int64), batch["ms"]]))[:-1]
        batch = batch.keep(batch["ms"] >= floor, self, "time goes back")
        for name in prices:
            batch = batch.keep(batch[name] >= 0, self, f"{name} negative")
            batch = batch.keep(batch[name] < _MAX_PRICE, self, f"{name} out of range")
        for name in sizes:
            batch = batch.keep(batch[name] >= 0, self, f"{name} negative")
            batch = batch.keep(batch[name] < 2**53 // kernel.VENUES, self, f"{name} out of range")
        letters = _venues(batch)
        good = (letters >= 0) & (letters < kernel.VENUES) & (np.char.str_len(batch["venue"]) == 1)
        batch = batch.keep(good, self, "venue is no letter A to Z")
        return batch.keep(
            (batch["suspicious"] == 0) | (batch["suspicious"] == 1), self, "suspicious is neither 0 nor 1"
        )

    def _unsuspicious(self, batch: tabular.CsvBatch) -> tabular.CsvBatch:
        flagged = batch["suspicious"] == 1
        if self._keep_suspicious or not flagged.any():
            return batch
        self.report.note("suspicious rows left out", int(flagged.sum()))
        return batch.take(~flagged)


def _venues(batch: tabular.CsvBatch) -> np.ndarray:
    text = np.ascontiguousarray(batch["venue"])
    letters: np.ndarray[Any, Any] = text.view(np.uint8).reshape(len(batch), text.dtype.itemsize)
    return letters[:, 0].astype(np.int64) - ord("A")


def _hexadecimal(text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (values, whether the text was a hexadecimal number below 2**62); few distinct texts occur."""
    distinct, where = np.unique(text, return_inverse=True)
    values, good = [], []
    for item in distinct.tolist():
        try:
            value = int(item, 16)
        except ValueError:
            value = -1
        good.append(0 <= value < 2**62)
        values.append(value if good[-1] else 0)
    return np.array(values, np.int64)[where], np.array(good, np.bool_)[where]


def _choice(spec: SourceSpec, name: str, choices: tuple[str, ...]) -> str:
    value = spec.option(name, choices[0])
    if value not in choices:
        raise ConfigError(f"{name} was {value!r}", hint=did_you_mean(value, choices))
    return value


def _days(spec: SourceSpec) -> list[tuple[_File | None, _File | None]]:
    found: dict[date, list[_File | None]] = {}
    symbols: dict[str, str] = {}
    for path in spec.paths:
        for member in members(path) if path.lower().endswith(".zip") else [""]:
            file = _file(spec, path, member)
            symbols[file.symbol] = file.name
            slots = found.setdefault(file.day, [None, None])
            other = slots[not file.quotes]
            if other is not None:
                raise SourceError(f"{other.name} and {file.name} are of the same day and kind", hint="name one of them")
            slots[not file.quotes] = file
    if len(symbols) > 1:
        names = ", ".join(f"{symbol} ({name})" for symbol, name in sorted(symbols.items()))
        raise SourceError(f"{spec.text} mixes {names}", hint="open each stock as its own source")
    return [(slots[0], slots[1]) for _, slots in sorted(found.items())]


def _file(spec: SourceSpec, path: str, member: str) -> _File:
    name = display_name(path, member)
    own = Path(member or path).name
    lines = tabular.first_lines(path, member, count=1)
    fields = lines[0].count(",") + 1 if lines else 0
    if fields not in {6, 8}:
        raise SourceError(
            f"{name} begins with {lines[0][:60] if lines else ''!r}",
            hint="a quote row has 8 fields, a trade row 6, without a header",
        )
    symbol = spec.option("symbol") or _symbol(own) or _symbol(Path(path).name)
    if not symbol:
        raise SourceError(f"{name} names no ticker", hint="give it: ?symbol=IBM")
    chosen = spec.option("date")
    day = parse_date(chosen) if chosen else find_date(own) or find_date(Path(path).name)
    if day is None:
        raise SourceError(f"{name} names no day", hint="give it: ?date=2013-10-07")
    return _File(path, member, day, symbol.upper(), fields == 8)


def _symbol(name: str) -> str:
    """Return the first word of a file name that is neither a day nor a kind of data."""
    words = name.partition(".")[0].replace("-", "_").split("_")
    other = {"quote", "quotes", "trade", "trades", "tick", "second", "minute", ""}
    return next((word for word in words if word.lower() not in other and not word.isdigit()), "")


FORMAT = SourceFormat(
    name="us-l1",
    example="us-l1:ibm_20131007_quote.zip,ibm_20131007_trade.zip",
    description="US equity level-1 quotes and trades, one side per quote row, with venue codes",
    open=UsL1Source,
    options={
        "session": "regular (9:30 to 16:00 New York, default) or all",
        "quotes": "best (rows already are the national best quote, default) or venue (consolidate them)",
        "suspicious": "drop (default) or keep rows that are flagged suspicious",
        "conditions": "current (default) or all: also trades whose price is not of their time",
        "symbol": "the ticker, where no file name says it",
        "date": "the day, where no file name says it",
        "tick": "price step in dollars (default 0.01, or 0.0001 where prices are finer)",
        "latency": "receive time minus exchange time, such as 250us (default 0)",
    },
)
