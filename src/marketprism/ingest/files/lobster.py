"""``lobster:`` message and order-book file pairs (https://lobsterdata.com/info/DataStructure.php).

Line i of the order-book file is the visible book after line i of the message file. Rules, numbered for the tests:

1. Times are seconds after midnight in New York; the day comes from the file name or ``?date=``.
2. Prices are dollars times 10000. The tick is 0.01 unless the first book lines show finer prices.
3. Types 4 (visible) and 5 (hidden, flagged HIDDEN) are trades. The file's direction is the resting order's, so the
   aggressor is the opposite side. Type 6 (cross) is a trade without side, flagged AUCTION.
4. A trade priced between ticks (midpoint executions against hidden orders) is rounded to the nearest tick, halves
   up, and counted in the report's notes; a book line off tick is rejected.
5. The book is a snapshot first, then the exact difference of successive lines: a level that leaves the file's
   window is removed, so the rebuilt book always equals the file's line.
6. Type 7 with price -1 halts: a gap with reason HALT, then no book rows until trading resumes (type 7 with price 1,
   or an execution), which begins with a snapshot.
7. 9999999999 and -9999999999 mark levels that do not exist.
8. A trade comes before the book update that it causes, both at the message's time.
9. Several pairs are days, sorted by date, joined by SESSION_BREAK gaps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, SourceError
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, GapReason
from marketprism.core.rows import NO_ID, ROW_DTYPE
from marketprism.core.timebase import NS
from marketprism.ingest import _lobster_kernel as kernel
from marketprism.ingest import tabular
from marketprism.ingest.equity_ticks import NO_LEVEL, PRICE_UNIT, equity_tick
from marketprism.ingest.files_io import display_name, members
from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.sessions import find_date, gap_records, local_midnight_ns, option_ns, parse_date
from marketprism.ingest.source import BLOCK_ROWS, Source

__all__ = ["FORMAT", "LobsterSource"]

ZONE = "America/New_York"
_TICK_LINES = 4096
_MESSAGE = tuple(
    tabular.Column(name, digits=digits, position=position)
    for position, (name, digits) in enumerate(
        [("time", 9), ("type", 0), ("order_id", 0), ("size", 0), ("price", 0), ("direction", 0)]
    )
)


@dataclass(frozen=True, slots=True)
class _Pair:
    path: str
    message: str  # members of a zip, or ""
    book_path: str
    book: str
    day: date

    @property
    def message_name(self) -> str:
        return display_name(self.path, self.message)

    @property
    def book_name(self) -> str:
        return display_name(self.book_path, self.book)


class LobsterSource(Source):
    """Trades and the visible book of one stock from LOBSTER files.

    ``ts_event`` is the exchange time (ns UTC); the files have no receive clock, so ``ts_recv`` is ``ts_event`` plus
    ``?latency=`` (default 0). Quantities are shares. Rules: see the module.
    """

    def __init__(self, spec: SourceSpec) -> None:
        self._pairs = _find_pairs(spec)
        self._latency = option_ns(spec.option("latency"))
        first = self._pairs[0]
        head = tabular.first_lines(first.book_path, first.book, count=_TICK_LINES)
        self._file_levels = _levels(head[0] if head else "", first.book_name)
        self._levels = _option_levels(spec.option("levels"), self._file_levels)
        prices = [cell for line in head for cell in line.split(",")[::2]]
        where = f"the first {len(head)} lines of {first.book_name}"
        tick, self._tick_fact = equity_tick(spec.option("tick"), prices, where)
        self._unit = int(tick / PRICE_UNIT)
        symbol = spec.option("symbol") or Path(first.message or first.path).name.split("_")[0].upper()
        instrument = Instrument(
            exchange="nasdaq", market_type="equity", symbol=symbol, tick_size=tick, lot_size=Decimal(1)
        )
        super().__init__(spec.text, (instrument,), strict=spec.flag("strict"))

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the message and order-book files (a zip once)."""
        return tuple(dict.fromkeys(path for pair in self._pairs for path in (pair.path, pair.book_path)))

    def _blocks(self) -> Iterator[EventBlock]:
        self.report.facts["tick"] = self._tick_fact
        self.report.facts["clock"] = f"seconds after midnight {ZONE}; ts_recv = ts_event + {self._latency} ns"
        self.report.facts["levels"] = f"{self._levels} of {self._file_levels}"
        state = np.array([1, 0, 0, 0], np.int64)
        old = np.zeros((2, self._levels), np.int64), np.zeros((2, self._levels), np.int64)
        for index, pair in enumerate(self._pairs):
            self.report.facts[f"day of {pair.message_name}"] = pair.day.isoformat()
            state[kernel.SESSION] = int(index > 0)
            state[kernel.HALTED] = 0
            yield from self._pair_blocks(pair, state, old)

    def _pair_blocks(self, pair: _Pair, state: np.ndarray, old: tuple[np.ndarray, np.ndarray]) -> Iterator[EventBlock]:
        midnight = local_midnight_ns(pair.day, ZONE)
        levels = 4 * self._file_levels
        columns = [tabular.Column(str(i), position=i) for i in range(4 * self._levels)]
        messages = tabular.CsvFile(self, pair.path, pair.message, columns=_MESSAGE, width=6)
        books = tabular.CsvFile(self, pair.book_path, pair.book, columns=columns, width=levels)
        clock = midnight
        book_batches = iter(books)
        lines = np.zeros(2, np.int64)
        for message in messages:
            book = next(book_batches, None)
            lines += message.line_count, book.line_count if book is not None else 0
            if book is None:
                break
            joint = np.intersect1d(message.lines, book.lines, assume_unique=True)
            message = self._check_messages(message.take(np.isin(message.lines, joint)), midnight, clock)
            book = book.take(np.isin(book.lines, message.lines))
            if len(book):
                prices, sizes, good = self._check_book(book)
                message = message.take(good)
            if len(message):
                times = message["time"] + midnight
                clock = int(times[-1])
                yield from self._convert(times, message, prices, sizes, state, old)
        lines[1] += sum(batch.line_count for batch in book_batches)
        if lines[0] != lines[1]:
            raise SourceError(
                f"{pair.message_name} has {lines[0]} lines and {pair.book_name} {lines[1]} or more",
                hint="line i of one belongs to line i of the other: fetch the pair again",
            )

    def _check_messages(self, batch: tabular.CsvBatch, midnight: int, clock: int) -> tabular.CsvBatch:
        type_, price = batch["type"], batch["price"]
        batch = batch.keep((type_ >= 1) & (type_ <= 7), self, "unknown message type", hint="types are 1 to 7")
        batch = batch.keep((batch["time"] >= 0) & (batch["time"] < 86_400 * NS), self, "time outside the day")
        times = batch["time"] + midnight
        floor = np.maximum.accumulate(np.concatenate([np.array([clock], np.int64), times]))[:-1]
        batch = batch.keep(times >= floor, self, "time goes back")
        type_, price = batch["type"], batch["price"]
        batch = batch.keep((price > 0) | (type_ == 7), self, "price not positive")
        batch = batch.keep(batch["price"] < NO_LEVEL, self, "price out of range")
        type_, size = batch["type"], batch["size"]
        batch = batch.keep((size > 0) | (type_ == 7), self, "size not positive")
        batch = batch.keep(batch["size"] < 2**53, self, "size out of range")
        ok = (np.abs(batch["direction"]) == 1) | (batch["type"] >= 6)
        return batch.keep(ok, self, "direction is neither 1 nor -1")

    def _check_book(self, batch: tabular.CsvBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return prices (n, 2, levels) in ticks, bids first, sizes, and which rows of ``batch`` are good."""
        n = len(batch)
        table = np.stack([batch[str(i)] for i in range(4 * self._levels)], axis=1)
        table = table.reshape(n, -1, 2, 2)[:, :, ::-1]  # line order is ask, bid: bids first
        price = np.ascontiguousarray(table[..., 0].transpose(0, 2, 1))
        size = np.ascontiguousarray(table[..., 1].transpose(0, 2, 1))
        empty = np.abs(price) == NO_LEVEL
        size[empty] = 0
        checks = (
            ("book price not positive", (price > 0) | empty),
            ("book price out of range", np.abs(price) <= NO_LEVEL),
            ("book size not positive", (size > 0) | empty),
            ("book size out of range", size < 2**53),
            (f"book price off tick {self.instrument.tick_size}", (price % self._unit == 0) | empty),
            ("book levels out of order", _ordered(price, empty)),
        )
        good = np.ones(n, np.bool_)
        for reason, passed in checks:
            row_passed = np.logical_and.reduce(passed.reshape(n, -1), axis=1)
            batch.take(good).keep(row_passed[good], self, reason)
            good &= row_passed
        ticks = np.where(empty, kernel.EMPTY, price // self._unit)
        return ticks[good], size[good], good

    def _convert(
        self,
        times: np.ndarray,
        message: tabular.CsvBatch,
        price: np.ndarray,
        size: np.ndarray,
        state: np.ndarray,
        old: tuple[np.ndarray, np.ndarray],
    ) -> Iterator[EventBlock]:
        type_, raw = message["type"], message["price"]
        traded = (type_ >= 4) & (type_ <= 6)
        between = int((traded & (raw % self._unit != 0)).sum())
        if between:
            self.report.note("trades between ticks, rounded to the nearest", between)
        ticks = np.where(traded, (raw + self._unit // 2) // self._unit, raw)
        start = 0
        while start < len(times):
            out = np.zeros(BLOCK_ROWS + 4 * self._levels + 3, ROW_DTYPE)
            start, rows, gaps = kernel.convert(
                start, times, type_, message["order_id"], message["size"], ticks, message["direction"],
                price, size, *old, state, self._latency, out,
            )  # fmt: skip
            yield self._block(out[:rows], gaps)

    def _block(self, rows: np.ndarray, gaps: int) -> EventBlock:
        if not gaps:
            return EventBlock(rows, self.instruments)
        marks = rows[rows["kind"] == EventKind.GAP]
        reasons = [GapReason.HALT if halt else GapReason.SESSION_BREAK for halt in marks["first_id"].tolist()]
        records = gap_records(
            [
                (start, stop if reason == GapReason.SESSION_BREAK else 0, reason)
                for start, stop, reason in zip(
                    marks["previous_id"].tolist(), marks["ts_event"].tolist(), reasons, strict=True
                )
            ]
        )
        for name in ("first_id", "previous_id"):
            rows[name][rows["kind"] == EventKind.GAP] = NO_ID
        return EventBlock(rows, self.instruments, {int(EventKind.GAP): records})


def _ordered(price: np.ndarray, empty: np.ndarray) -> Any:
    """Return (n, 2, levels - 1): whether each level is strictly worse than the one before, and gaps only at the end."""
    step = np.diff(price, axis=2)
    step[:, 0] *= -1
    return np.where(empty[:, :, 1:], True, (step > 0) & ~empty[:, :, :-1])


def _levels(line: str, name: str) -> int:
    fields = line.count(",") + 1
    if fields % 4 or not re.fullmatch(r"[-\d.,]+", line):
        raise SourceError(
            f"{name} begins with {line[:60]!r}",
            hint="an order-book line is ask price, ask size, bid price, bid size for each level, without a header",
        )
    return fields // 4


def _option_levels(text: str, available: int) -> int:
    levels = int(text) if text.isdigit() else 0
    if text and not 1 <= levels <= available:
        raise ConfigError(f"levels was {text!r}", hint=f"the file has {available}")
    return levels or available


def _find_pairs(spec: SourceSpec) -> list[_Pair]:
    pairs: list[_Pair] = []
    taken: set[str] = set()
    for path in spec.paths:
        if path in taken:
            continue
        if path.lower().endswith(".zip"):
            pairs += [_pair(spec, path, m, path, b) for m, b in _zip_pairs(path)]
        else:
            message, book = _mates(path)
            taken |= {message, book}
            pairs.append(_pair(spec, message, "", book, ""))
    pairs.sort(key=lambda pair: pair.day)
    for before, after in pairwise(pairs):
        if before.day == after.day:
            raise SourceError(f"{before.message_name} and {after.message_name} are both of {after.day}")
    symbols = {Path(pair.message or pair.path).name.split("_")[0] for pair in pairs}
    if len(symbols) > 1 and not spec.option("symbol"):
        raise SourceError(f"{spec.text} mixes {', '.join(sorted(symbols))}", hint="open each stock as its own source")
    return pairs


def _zip_pairs(path: str) -> list[tuple[str, str]]:
    names = members(path)
    books = {name: None for name in names if "orderbook" in name.rpartition("/")[2].lower()}
    pairs = [(_swap(book), book) for book in books]
    missing = [message for message, _ in pairs if message not in names]
    if not pairs or missing:
        what = f"no {missing[0]!r}" if missing else "no order-book file"
        raise SourceError(f"{path} holds {what}", hint=f"it holds {', '.join(names[:8])}")
    return sorted(pairs)


def _swap(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    if "orderbook" in last:
        return folder + slash + last.replace("orderbook", "message")
    return folder + slash + last.replace("message", "orderbook")


def _mates(path: str) -> tuple[str, str]:
    file = Path(path)
    if "orderbook" not in file.name and "message" not in file.name:
        raise SourceError(f"{file.name} names neither 'message' nor 'orderbook'", hint="keep LOBSTER's file names")
    mate = str(file.with_name(_swap(file.name)))
    if not Path(mate).exists():
        raise SourceError(f"{mate}: file not found", hint=f"it belongs to {file.name}")
    return (mate, path) if "orderbook" in file.name else (path, mate)


def _pair(spec: SourceSpec, path: str, message: str, book_path: str, book: str) -> _Pair:
    name = Path(message or path).name
    day = parse_date(spec.option("date")) if spec.option("date") else find_date(name)
    if day is None:
        raise SourceError(f"{name} names no day", hint="give it: ?date=2012-06-21")
    return _Pair(path, message, book_path, book, day)


FORMAT = SourceFormat(
    name="lobster",
    example="lobster:GOOG_2012-06-21_34200000_57600000_10.zip?levels=10",
    description="LOBSTER message and order-book files (csv, compressed csv, or one zip)",
    open=LobsterSource,
    options={
        "levels": "use this many of the file's levels (default all)",
        "date": "the day, where the file name does not say it",
        "symbol": "the ticker (default: the file name's first word)",
        "tick": "price step in dollars (default 0.01, or 0.0001 where the book shows finer prices)",
        "latency": "receive time minus exchange time, such as 250us (default 0)",
    },
)
