"""``bitstamp-l3:`` live orders of Bitstamp, recorded message by message.

Two layouts, told by the first line: the log (``1430438404518 order_created {"price": "236.47", ...}``, with trades) and
the table ``id,timestamp,exchange.timestamp,price,volume,action,direction`` (no trades, volume in 1e-8). Rules:

1. ``ts_recv`` is the recorder's ms. The feed's own time is in whole seconds and, for changes and removals, that of the
   order's creation: it cannot order events, so ``ts_event`` is ``ts_recv``.
2. A created order is ORDER_ADD. A changed one with less left is ORDER_EXECUTE of the difference (then ORDER_MODIFY
   where the price changed too), otherwise ORDER_MODIFY. A deleted one with nothing left is ORDER_EXECUTE of all that
   it had, with something left ORDER_DELETE.
3. A match shrinks both orders, resting and aggressive: both appear, each with its ORDER_EXECUTE. Between its creation
   and its executions an aggressive order crosses the book, as it did in the feed.
4. The feed is not always in order: a change of an order that is gone already is left out and counted (the sample has
   one; taken at its word, its order would cross the book for the remaining two hours).
5. In the log a trade follows the two changes: TRADE with its id, the side and id of the later order. Its numbers went
   through binary floats and are read to 1e-8. Where only one order can be told, it rested if the trade had its price.
6. In the table trades are derived (flagged DERIVED): two opposite orders that shrink by the same amount, up to 2e-8
   (its volumes were cut from binary floats), within a second; the price is the earlier order's. An execution without a
   counterparty gives no trade.
7. Orders from before the recording are unknown: their removals are written (a book ignores them) and counted; the
   book lacks those orders until they are gone.
8. ``order_book`` messages of the log (the top 20 levels) are not used, only counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

import msgspec
import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, SourceError
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import NO_ID, empty_rows
from marketprism.ingest import tabular
from marketprism.ingest.files_io import display_name, members, open_binary
from marketprism.ingest.merge import Chunk, to_blocks
from marketprism.ingest.order_executions import ANY, Event, Executed, OrderTracker
from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.source import Source

__all__ = ["FORMAT", "BitstampL3Source"]

_MS = 1_000_000
_LOT_DIGITS = 8
_LOTS = 10**_LOT_DIGITS
_SLACK = 2
_MAX_LOTS = 2**53
_HEADER = ("id", "timestamp", "exchange.timestamp", "price", "volume", "action", "direction")
_ACTIONS = {b"created": "order_created", b"changed": "order_changed", b"deleted": "order_deleted"}
_ORDER_EVENTS = frozenset(_ACTIONS.values())
_LINE = re.compile(rb"(\d{13}) ([a-z_]{1,32}) (.*)", re.DOTALL)


class _Order(msgspec.Struct):
    id: int
    price: str
    amount: str
    order_type: int


class _Trade(msgspec.Struct):
    id: int
    price: msgspec.Raw
    amount: msgspec.Raw


_decode_order = msgspec.json.Decoder(_Order, strict=True).decode
_decode_trade = msgspec.json.Decoder(_Trade, strict=True).decode


class BitstampL3Source(Source):
    """Orders and trades of one Bitstamp pair. Quantities are base units, exact to 1e-8. Rules: see the module."""

    def __init__(self, spec: SourceSpec) -> None:
        self._files = [(path, member) for path in spec.paths for member in _members(path)]
        self._tables = [_is_table(*file) for file in self._files]
        tick = _tick(spec.option("tick", "0.01"))
        self._unit = int(tick * _LOTS)
        instrument = Instrument(
            exchange="bitstamp",
            market_type="spot",
            symbol=spec.option("symbol", "BTC-USD"),
            tick_size=tick,
        )
        super().__init__(spec.text, (instrument,), strict=spec.flag("strict"))

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the recordings."""
        return tuple(dict.fromkeys(path for path, _ in self._files))

    def _blocks(self) -> Iterator[EventBlock]:
        self.report.facts["clock"] = "receive time in ms; the feed's own time is not the event's, so ts_event = ts_recv"
        self.report.facts["tick"] = f"{self.instrument.tick_size} quote currency"
        self.report.facts["start"] = "orders from before the recording are unknown: the book lacks them"
        yield from to_blocks(self._chunks(), self.instruments)

    def _chunks(self) -> Iterator[Chunk]:
        tracker = OrderTracker()
        self._clock = 0
        for file, is_table in zip(self._files, self._tables, strict=True):
            yield from map(Chunk, (self._table if is_table else self._log)(*file, tracker))
        for what, count in (
            ("changes and removals of orders from before the recording", tracker.unknown),
            ("changes of orders already gone, left out", tracker.late),
        ):
            if count:
                self.report.note(what, count)

    # The log.

    def _log(self, path: str, member: str, tracker: OrderTracker) -> Iterator[np.ndarray]:
        name, number = display_name(path, member), 0
        with open_binary(path, member) as stream:
            for buffer, starts, ends in tabular.line_batches(stream, tabular.BATCH_LINES):
                times: list[int] = []
                events: list[Event] = []
                for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                    number += 1
                    line = buffer[start:end].rstrip(b"\r")
                    if not line:
                        continue
                    self.report.records += 1
                    found = self._line(line, f"{name}:{number}", tracker)
                    times += [self._clock] * len(found)
                    events += found
                yield _rows(times, events)

    def _line(self, line: bytes, where: str, tracker: OrderTracker) -> list[Event]:
        match = _LINE.fullmatch(line)
        if match is None:
            self._refuse("not time, event and JSON", where, line)
            return []
        ts, what, body = int(match[1]) * _MS, match[2].decode(), match[3]
        if ts < self._clock:
            self._refuse("time goes back", where, line)
        elif what in _ORDER_EVENTS:
            return self._order_line(ts, what, body, where, tracker)
        elif what == "trade":
            return self._trade_line(ts, body, where, tracker)
        elif what == "order_book":
            self._clock = ts
            self.report.note("order_book messages, not used")
        else:
            self._refuse("unknown event", where, line)
        return []

    def _order_line(self, ts: int, what: str, body: bytes, where: str, tracker: OrderTracker) -> list[Event]:
        try:
            order = _decode_order(body)
        except msgspec.MsgspecError as error:
            self._refuse("malformed order", where, body, str(error))
            return []
        price, lots = self._numbers(order.price, order.amount, where, exact=True)
        if not self._is_sane(order.id, price, lots, where):
            return []
        if order.order_type not in {0, 1}:
            self._refuse("order_type is neither 0 nor 1", where, body)
            return []
        return self._order(ts, what, order.id, 1 - 2 * order.order_type, price // self._unit, lots, where, tracker)

    def _trade_line(self, ts: int, body: bytes, where: str, tracker: OrderTracker) -> list[Event]:
        try:
            trade = _decode_trade(body)
        except msgspec.MsgspecError as error:
            self._refuse("malformed trade", where, body, str(error))
            return []
        price, lots = self._numbers(_text(trade.price), _text(trade.amount), where, exact=False)
        if not self._is_sane(trade.id, price, lots, where):
            return []
        if lots == 0:
            self._refuse("amount not positive", where, body)
            return []
        self._clock = ts
        price //= self._unit
        behind = tracker.behind_trade(ts, price, lots)
        if behind.side == 0:
            self.report.note("trades of which no order is known, side 0")
        other = behind.aggressor.order_id if behind.aggressor is not None else NO_ID
        return [Event(EventKind.TRADE, trade.id, behind.side, price, lots, _BOTH, other)]

    def _numbers(self, price: str, amount: str, where: str, *, exact: bool) -> tuple[int, int]:
        """Return both in units of 1e-8; ``_REJECTED`` after a rejection."""
        values = []
        for name, text in (("price", price), ("amount", amount)):
            value, problem = tabular.parse_fixed(text, _LOT_DIGITS, exact=exact)
            if problem:
                self._refuse(f"{name} {problem}", where, text.encode())
                return _REJECTED
            values.append(value)
        return values[0], values[1]

    # The table.

    def _table(self, path: str, member: str, tracker: OrderTracker) -> Iterator[np.ndarray]:
        columns = [tabular.Column(name) for name in ("id", "timestamp", "volume")]
        columns += [tabular.Column("price", digits=_LOT_DIGITS)]
        columns += [tabular.Column(name, "text") for name in ("action", "direction")]
        header = tabular.read_header(path, member)
        for batch in tabular.CsvFile(self, path, member, columns=columns, header=header):
            times: list[int] = []
            events: list[Event] = []
            names = ("id", "timestamp", "volume", "price", "action", "direction")
            rows = zip(*(batch[name].tolist() for name in names), strict=True)
            for index, (order_id, ms, lots, price, action, direction) in enumerate(rows):
                where = batch.where(index)
                if action not in _ACTIONS or direction not in {b"bid", b"ask"}:
                    self._refuse("unknown action or direction", where, batch.raw(index).encode())
                elif not 10**11 <= ms < 10**14:
                    self._refuse("timestamp is no time in ms", where, batch.raw(index).encode())
                elif ms * _MS < self._clock:
                    self._refuse("time goes back", where, batch.raw(index).encode())
                elif self._is_sane(order_id, price, lots, where):
                    side, tick = (1 if direction == b"bid" else -1), price // self._unit
                    found = self._order(ms * _MS, _ACTIONS[action], order_id, side, tick, lots, where, tracker)
                    if any(event.kind == EventKind.ORDER_EXECUTE or event.lots == 0 for event in found):
                        found += self._derived(tracker.pair_last(_SLACK))
                    times += [self._clock] * len(found)
                    events += found
            yield _rows(times, events)

    def _derived(self, pair: Executed | None) -> list[Event]:
        if pair is None or pair.resting is None or pair.aggressor is None:
            return []
        resting, aggressor = pair.resting, pair.aggressor
        lots = resting.lots if resting.lots != ANY else aggressor.lots
        flags = _BOTH | int(Flag.DERIVED)
        return [Event(EventKind.TRADE, NO_ID, pair.side, resting.price, lots, flags, aggressor.order_id)]

    # Both.

    def _order(
        self, ts: int, what: str, order_id: int, side: int, price: int, lots: int, where: str, tracker: OrderTracker
    ) -> list[Event]:
        if lots == 0 and what != "order_deleted":
            self._refuse("amount not positive", where, str(lots).encode())
            return []
        self._clock = ts
        take = {"order_created": tracker.created, "order_changed": tracker.changed, "order_deleted": tracker.deleted}
        return take[what](ts, order_id, side, price, lots)

    def _is_sane(self, identity: int, price: int, lots: int, where: str) -> bool:
        if (price, lots) == _REJECTED:
            return False
        problems = (
            (not 0 < identity < 2**63, "id out of range", identity),
            (price <= 0, "price not positive", price / _LOTS),
            (price % self._unit != 0, f"price off tick {self.instrument.tick_size}", price / _LOTS),
            (lots < 0, "amount negative", lots / _LOTS),
            (lots >= _MAX_LOTS, "amount out of range", lots / _LOTS),
        )
        for wrong, reason, value in problems:
            if wrong:
                self.reject(reason, where, value)
                return False
        return True

    def _refuse(self, reason: str, where: str, raw: bytes, hint: str = "") -> None:
        self.reject(reason, where, raw[:200].decode("utf-8", "replace"), hint=hint)


_BOTH = int(Flag.FIRST | Flag.LAST)
_REJECTED = (-(2**63), -(2**63))  # a value that no text reads as


def _text(raw: msgspec.Raw) -> str:
    return bytes(raw).decode("ascii", "replace").strip('"')


def _rows(times: list[int], events: list[Event]) -> np.ndarray:
    rows = empty_rows(len(events))
    if events:
        kind, identity, side, price, lots, flags, other = zip(*events, strict=True)
        rows["ts_event"] = rows["ts_recv"] = times
        rows["kind"], rows["event_id"], rows["side"], rows["price"] = kind, identity, side, price
        rows["quantity"] = np.array(lots, np.int64) / _LOTS
        rows["flags"], rows["previous_id"] = flags, other
    return rows


def _members(path: str) -> list[str]:
    return members(path) if path.lower().endswith(".zip") else [""]


def _is_table(path: str, member: str) -> bool:
    lines = tabular.first_lines(path, member, count=1)
    first = lines[0] if lines else ""
    if set(_HEADER).issubset(cell.strip().strip('"') for cell in first.split(",")):
        return True
    if _LINE.fullmatch(first.encode()) is None and "," in first and "{" not in first:
        raise SourceError(
            f"{display_name(path, member)} begins with {first[:80]!r}", hint=f"the header is {','.join(_HEADER)}"
        )
    return False


def _tick(text: str) -> Decimal:
    try:
        tick = Decimal(text)
    except InvalidOperation as error:
        raise ConfigError(f"tick was {text!r}", hint="write a price such as 0.01") from error
    if not tick.is_finite() or tick <= 0 or (tick * _LOTS) % 1:
        raise ConfigError(f"tick was {text!r}", hint="it must be a positive multiple of 1e-8")
    return tick


FORMAT = SourceFormat(
    name="bitstamp-l3",
    example="bitstamp-l3:2015-05-01.log.xz?symbol=BTC-USD",
    description="Bitstamp live orders, as a message log (with trades) or a table (trades derived)",
    open=BitstampL3Source,
    options={
        "symbol": "the pair (default BTC-USD)",
        "tick": "price step (default 0.01)",
    },
)
