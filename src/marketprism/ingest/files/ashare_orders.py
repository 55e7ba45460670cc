"""``ashare-orders:`` order and trade tapes of one Shanghai stock and day, rebuilt order by order.

Files: ``entrust.csv`` (``OrderTime, OrderType, OrderNO, OrderPrice, Balance, OrderBSFlag, BizIndex, LocalTime``) and
``trade.csv`` (``TradeIndex, TradTime, TradPrice, TradVolume, TradeBuyNo, TradeSellNo, TradeBSFlag, BizIndex,
LocalTime``), in a zip or named both; told by their columns. Rules, numbered for the tests:

1. The tapes are one sequence by BizIndex. It counts all stocks of the channel, so missing numbers are normal and a
   loss cannot be seen; a number that goes back or repeats is rejected.
2. OrderType A is an order that rests with Balance (ORDER_ADD), D its removal (ORDER_DELETE, Balance was left).
3. A trade is a TRADE message, aggressor side from TradeBSFlag (B buys, S sells, N none: auction, flagged AUCTION),
   event_id TradeIndex, previous_id the aggressor's order; then an ORDER_EXECUTE of the resting order at the same
   time: the seller's for B, the buyer's for S, both orders for N.
4. The exchange publishes an aggressive order only with what rests of it after its trades, so the aggressor needs no
   removal and a fully filled one never appears.
5. Times are China time. ``ts_event`` is the exchange's; ``ts_recv`` is LocalTime, raised to the latest of all earlier
   sequence numbers, since the tapes can only be applied in sequence. With ``?latency=`` it is ``ts_event`` plus that.
6. The opening call (before 9:30) is withheld: its trades are flagged AUCTION, its orders come as one message of
   ORDER_ADD rows with the first event of continuous trading.
7. From 14:57 (15:00 before 2018-08-20) the book ends with a SESSION_BREAK gap; the closing call's orders are left out
   and counted, its trades flagged AUCTION. Over lunch there is a SESSION_BREAK gap and the orders stay.
8. Quantities are shares; prices stand on the tick 0.01 yuan (0.001 for funds), binary float noise forgiven.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import DataError, SourceError, did_you_mean
from marketprism.core.kinds import EventKind, Flag, GapReason, Side
from marketprism.core.rows import NO_ID, empty_rows
from marketprism.ingest import tabular
from marketprism.ingest.ashare_codes import CLOSING_CALL_SINCE, MINUTE, instrument_of, split_code
from marketprism.ingest.call_auction import CallAuction
from marketprism.ingest.files_io import members
from marketprism.ingest.local_clock import BAD, parse_stamps
from marketprism.ingest.merge import Chunk, to_blocks
from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.sequence_merge import merge_by_sequence
from marketprism.ingest.sessions import find_date, gap_records, gap_rows, local_midnight_ns, option_ns, parse_date
from marketprism.ingest.source import Source

__all__ = ["FORMAT", "AshareOrdersSource"]

ZONE = "Asia/Shanghai"
_ORDER_COLUMNS = (
    tabular.Column("SecurityID", "text"),
    tabular.Column("OrderTime", "text"),
    tabular.Column("OrderType", "text"),
    tabular.Column("OrderNO"),
    tabular.fixed_column("OrderPrice", 4),
    tabular.Column("Balance"),
    tabular.Column("OrderBSFlag", "text"),
    tabular.Column("BizIndex"),
)
_TRADE_COLUMNS = (
    tabular.Column("SecurityID", "text"),
    tabular.Column("TradTime", "text"),
    tabular.Column("TradeIndex"),
    tabular.fixed_column("TradPrice", 4),
    tabular.Column("TradVolume"),
    tabular.Column("TradeBuyNo"),
    tabular.Column("TradeSellNo"),
    tabular.Column("TradeBSFlag", "text"),
    tabular.Column("BizIndex"),
)
_LOCAL = tabular.Column("LocalTime", "text")
_MAX_PRICE = 10**12
_OPEN, _NOON = 570 * MINUTE, 720 * MINUTE
_BOTH = Flag.FIRST | Flag.LAST


@dataclass(frozen=True, slots=True)
class _Tape:
    path: str
    member: str
    header: tuple[str, ...]


class AshareOrdersSource(Source):
    """Every order and trade of one Shanghai stock on one day. Rules: see the module."""

    def __init__(self, spec: SourceSpec) -> None:
        self._orders, self._trades = _tapes(spec)
        self._day = _day(spec, self._orders)
        given = spec.option("latency")
        self._latency = option_ns(given) if given or "LocalTime" not in self._orders.header else None
        ids = {text for tape in (self._orders, self._trades) for text in _ids(tape)}
        exchange, code, self._ids = _choose(ids, spec.option("symbol"), spec.text)
        instrument = instrument_of(exchange, code)
        self._unit = int(instrument.tick_size * 10_000)
        super().__init__(spec.text, (instrument,), strict=spec.flag("strict"))

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the tapes (a zip once)."""
        return tuple(dict.fromkeys((self._orders.path, self._trades.path)))

    def _blocks(self) -> Iterator[EventBlock]:
        facts = self.report.facts
        facts["day"] = self._day.isoformat()
        recv = "LocalTime, in sequence" if self._latency is None else f"ts_event + {self._latency} ns"
        facts["clock"] = f"China time; ts_recv = {recv}"
        facts["tick"] = f"{self.instrument.tick_size} yuan"
        merged = merge_by_sequence(self._order_rows(), self._trade_rows())
        yield from to_blocks(self._sessions(self._received(merged)), self.instruments)

    # Reading: rows of one tape, ts_recv still its own LocalTime.

    def _read(self, tape: _Tape, columns: tuple[tabular.Column, ...], time: str) -> Iterator[_Batch]:
        if self._latency is None:
            columns = (*columns, _LOCAL)
        midnight = local_midnight_ns(self._day, ZONE)
        last = np.array(-1, np.int64)
        for batch in tabular.CsvFile(self, tape.path, tape.member, columns=columns, header=tape.header):
            mine = np.isin(batch["SecurityID"], self._ids)
            if not mine.all():
                self.report.note("rows of other instruments", int((~mine).sum()))
                batch = batch.take(mine)
            event = parse_stamps(batch[time], date=False, time=True)[1]
            recv = event if self._latency is not None else parse_stamps(batch["LocalTime"], date=False, time=True)[1]
            good = (event != BAD) & (recv != BAD)
            batch, event, recv = batch.keep(good, self, "no time of day"), event[good], recv[good]
            good = self._ascending(batch["BizIndex"], last)
            batch = batch.keep(good, self, "BizIndex goes back or repeats")
            last = np.max(batch["BizIndex"], initial=int(last))
            yield _Batch(batch, event[good] + midnight, recv[good] + midnight + (self._latency or 0))

    @staticmethod
    def _ascending(numbers: np.ndarray, last: np.ndarray) -> np.ndarray:
        highest = np.maximum.accumulate(np.concatenate([np.reshape(last, 1), numbers]))[:-1]
        good: np.ndarray = numbers > highest
        return good

    def _order_rows(self) -> Iterator[np.ndarray]:
        for part in self._read(self._orders, _ORDER_COLUMNS, "OrderTime"):
            kind, side = part.batch["OrderType"], part.batch["OrderBSFlag"]
            part = part.keep((kind == b"A") | (kind == b"D"), self, "OrderType is neither A nor D")
            side = part.batch["OrderBSFlag"]
            part = part.keep((side == b"B") | (side == b"S"), self, "OrderBSFlag is neither B nor S")
            part = self._sane(part, "OrderPrice", "Balance", ("OrderNO",))
            batch = part.batch
            rows = _rows(part)
            rows["kind"] = np.where(batch["OrderType"] == b"A", EventKind.ORDER_ADD, EventKind.ORDER_DELETE)
            rows["side"] = np.where(batch["OrderBSFlag"] == b"B", Side.BID, Side.ASK)
            rows["price"], rows["quantity"] = batch["OrderPrice"] // self._unit, batch["Balance"]
            rows["event_id"] = batch["OrderNO"]
            yield rows

    def _trade_rows(self) -> Iterator[np.ndarray]:
        for part in self._read(self._trades, _TRADE_COLUMNS, "TradTime"):
            flag = part.batch["TradeBSFlag"]
            part = part.keep(np.isin(flag, [b"B", b"S", b"N"]), self, "TradeBSFlag is none of B, S, N")
            part = self._sane(part, "TradPrice", "TradVolume", ("TradeBuyNo", "TradeSellNo", "TradeIndex"))
            batch = part.batch
            buys, sells = batch["TradeBSFlag"] == b"B", batch["TradeBSFlag"] == b"S"
            auction = ~(buys | sells)
            rows = _rows(part)
            rows["kind"], rows["side"] = EventKind.TRADE, buys.astype(np.int8) - sells.astype(np.int8)
            rows["price"], rows["quantity"] = batch["TradPrice"] // self._unit, batch["TradVolume"]
            rows["event_id"] = batch["TradeIndex"]
            rows["previous_id"] = np.select([buys, sells], [batch["TradeBuyNo"], batch["TradeSellNo"]], NO_ID)
            rows["flags"] |= np.where(auction, Flag.AUCTION, 0).astype(np.uint8)
            yield _with_executions(rows, batch["TradeBuyNo"], batch["TradeSellNo"])

    def _sane(self, part: _Batch, price: str, quantity: str, ids: tuple[str, ...]) -> _Batch:
        part = part.keep(part.batch[price] > 0, self, "price not positive")
        part = part.keep(part.batch[price] < _MAX_PRICE, self, "price out of range")
        off = part.batch[price] % self._unit != 0
        part = part.keep(~off, self, f"price off tick {self.instrument.tick_size}")
        part = part.keep(part.batch[quantity] > 0, self, "quantity not positive")
        part = part.keep(part.batch[quantity] < 2**53, self, "quantity out of range")
        for name in ids:
            part = part.keep(part.batch[name] > 0, self, f"{name} not positive")
        return part

    # Sequencing: what could be known when, and what the market did.

    @staticmethod
    def _received(merged: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        latest = np.int64(0)
        for rows in merged:
            rows["ts_recv"] = np.maximum(np.maximum.accumulate(rows["ts_recv"]), latest)
            latest = rows["ts_recv"][-1]
            yield rows

    def _sessions(self, merged: Iterator[np.ndarray]) -> Iterator[Chunk]:
        midnight = local_midnight_ns(self._day, ZONE)
        since_epoch = (self._day - date(1970, 1, 1)).days
        close = midnight + (897 if since_epoch >= CLOSING_CALL_SINCE["sse"] else 900) * MINUTE
        bounds = np.array([midnight + _OPEN, midnight + _NOON, close])
        auction, phase, last = CallAuction(), 0, 0
        for rows in merged:
            # Exchange time follows the sequence; should it not, a session that began stays begun.
            at = np.maximum(np.maximum.accumulate(np.searchsorted(bounds, rows["ts_event"], side="right")), phase)
            for now in range(phase, 4):
                part = rows[at == now]
                if not len(part):
                    continue
                yield from self._enter(phase, now, part, auction, last)
                yield from self._during(now, part, auction)
                phase, last = now, int(part["ts_event"][-1])
        if auction.unknown:
            self.report.note("removals of unknown orders in the opening call", auction.unknown)

    @staticmethod
    def _enter(before: int, now: int, part: np.ndarray, auction: CallAuction, last: int) -> Iterator[Chunk]:
        ts, recv = int(part["ts_event"][0]), int(part["ts_recv"][0])
        if 0 < before < now:
            gap = gap_records([(last, ts if now == 2 else 0, GapReason.SESSION_BREAK)])
            yield Chunk(gap_rows(ts, latency=recv - ts), {int(EventKind.GAP): gap})
        if before == 0 and now in {1, 2} and len(auction):
            yield Chunk(auction.resting(ts, recv))

    def _during(self, now: int, part: np.ndarray, auction: CallAuction) -> Iterator[Chunk]:
        if now in {1, 2}:
            yield Chunk(part)
            return
        is_trade = part["kind"] == EventKind.TRADE
        orders = part[~is_trade]
        if now == 0:
            auction.take(orders)
        self.report.note("order rows of call auctions, not shown as a book", len(orders))
        trades = part[is_trade]
        trades["flags"] |= np.uint8(Flag.AUCTION)
        if len(trades):
            yield Chunk(trades)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows of a tape with their two clocks."""

    batch: tabular.CsvBatch
    ts_event: np.ndarray
    ts_recv: np.ndarray

    def keep(self, good: np.ndarray, source: Source, reason: str) -> _Batch:
        """Reject rows, like :meth:`CsvBatch.keep`."""
        if good.all():
            return self
        return _Batch(self.batch.keep(good, source, reason), self.ts_event[good], self.ts_recv[good])


def _rows(part: _Batch) -> np.ndarray:
    rows = empty_rows(len(part.batch))
    rows["ts_event"], rows["ts_recv"], rows["first_id"] = part.ts_event, part.ts_recv, part.batch["BizIndex"]
    rows["flags"] = _BOTH
    return rows


def _with_executions(trades: np.ndarray, buyer: np.ndarray, seller: np.ndarray) -> np.ndarray:
    """Put behind each trade the execution of the orders that rested: one row, or two after an auction."""
    auction = trades["side"] == 0
    place = np.concatenate([[0], np.cumsum(np.where(auction, 3, 2))]).astype(np.int64)
    rows = empty_rows(int(place[-1]))
    rows[place[:-1]] = trades
    groups: tuple[tuple[Any, Any, Any, int, int], ...] = (
        (trades["side"] == Side.BUY, seller, buyer, Side.ASK, 1),
        (trades["side"] == Side.SELL, buyer, seller, Side.BID, 1),
        (auction, buyer, seller, Side.BID, 1),
        (auction, seller, buyer, Side.ASK, 2),
    )
    for chosen, resting, other, side, offset in groups:
        own = trades[chosen].copy()
        own["kind"], own["side"], own["flags"] = EventKind.ORDER_EXECUTE, side, _BOTH
        own["event_id"], own["previous_id"] = resting[chosen], other[chosen]
        rows[place[:-1][chosen] + offset] = own
    return rows


def _tapes(spec: SourceSpec) -> tuple[_Tape, _Tape]:
    orders: list[_Tape] = []
    trades: list[_Tape] = []
    for path in spec.paths:
        for member in members(path) if path.lower().endswith(".zip") else [""]:
            header = tuple(tabular.read_header(path, member))
            if "OrderNO" in header:
                orders.append(_Tape(path, member, _complete(header, _ORDER_COLUMNS, member or path)))
            elif "TradeBuyNo" in header:
                trades.append(_Tape(path, member, _complete(header, _TRADE_COLUMNS, member or path)))
    if len(orders) != 1 or len(trades) != 1:
        raise SourceError(
            f"{spec.text} holds {len(orders)} order tapes and {len(trades)} trade tapes",
            hint="name one of each, of one day: columns OrderNO and TradeBuyNo tell them",
        )
    if ("LocalTime" in orders[0].header) != ("LocalTime" in trades[0].header):
        raise SourceError(f"{spec.text}: only one tape has a LocalTime", hint="both or neither")
    return orders[0], trades[0]


def _complete(header: tuple[str, ...], columns: tuple[tabular.Column, ...], name: str) -> tuple[str, ...]:
    for column in columns:
        if column.name not in header:
            raise SourceError(f"{name} has no column {column.name!r}", hint=did_you_mean(column.name, header))
    return header


def _ids(tape: _Tape) -> list[bytes]:
    return tabular.scan_texts(tape.path, tape.member, "SecurityID", tape.header)


def _choose(ids: set[bytes], option: str, text: str) -> tuple[str, str, list[bytes]]:
    """Return exchange, code, and the spellings of the stock to read."""
    found: dict[str, list[bytes]] = {}
    for spelling in sorted(ids):
        try:  # a bare number in a tape with BizIndex is Shanghai's, whatever its first digit
            _, code = split_code(spelling.decode("ascii", "replace"))
        except DataError:
            continue
        found.setdefault(code, []).append(spelling)
    code = split_code(option)[1] if option else next(iter(found), "")
    if code not in found or (not option and len(found) > 1):
        raise SourceError(
            f"{text} holds {', '.join(sorted(found)[:8]) or 'no row with a security id'}",
            hint="choose one with ?symbol=600519",
        )
    return "sse", code, found[code]


def _day(spec: SourceSpec, tape: _Tape) -> date:
    if spec.option("date"):
        return parse_date(spec.option("date"))
    for name in (tape.member, tape.path):
        day = find_date(name)
        if day is not None:
            return day
    raise SourceError(f"{spec.text}: no file name names the day", hint="give it: ?date=2023-02-01")


FORMAT = SourceFormat(
    name="ashare-orders",
    example="ashare-orders:SH600519_20230201_entrust_trade_snapshot.zip",
    description="Order and trade tapes of one Shanghai stock and day, order by order",
    open=AshareOrdersSource,
    options={
        "symbol": "the stock, where the tapes hold several",
        "date": "the day, where no file name says it",
        "latency": "receive time minus exchange time, such as 250us, in place of the tapes' LocalTime",
    },
)
