"""The slow path: any Binance message, decoded by msgspec and decided field by field.

It defines what the guarded parser must agree with, and reads the kinds that are too rare to be worth a kernel.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from marketprism.core.decimals import parse_quantity, parse_ticks
from marketprism.core.errors import Action, DataError
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import NO_ID
from marketprism.core.timebase import scale_to_ns, unit_of
from marketprism.core.units import inverse_base_quantity
from marketprism.ingest.venues.binance_kernel import PARAM
from marketprism.ingest.venues.binance_slow_kinds import SLOW_KINDS, PayloadEvent
from marketprism.ingest.venues.binance_symbols import CHANNELS, SymbolTable

__all__ = ["NOTE_CHANNEL", "NOTE_SECOND_TRADE", "NOTE_SYMBOL", "MessageReader", "RowTuple"]

RowTuple = tuple[int, int, int, float, int, int, int, int, int, int, int, int]

NOTE_SYMBOL = "messages of other symbols"
NOTE_CHANNEL = "messages of channels not asked for"
NOTE_SECOND_TRADE = "trade messages left out: the instrument's other trade channel came first"

_Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Level = tuple[str, str]
_PARTIAL = re.compile(r"@depth\d")


class _Diff(msgspec.Struct):
    E: _Id
    s: str
    U: _Id
    u: _Id
    b: list[_Level]
    a: list[_Level]
    T: _Id | None = None
    pu: _Id | None = None


class _Ticker(msgspec.Struct):
    s: str
    u: _Id
    b: str
    B: str
    a: str
    A: str
    E: _Id | None = None
    T: _Id | None = None


class _Trade(msgspec.Struct):
    E: _Id
    T: _Id
    s: str
    t: _Id
    p: str
    q: str
    m: bool
    X: str = "MARKET"


class _Aggregate(msgspec.Struct):
    E: _Id
    T: _Id
    s: str
    a: _Id
    p: str
    q: str
    f: _Id
    l: _Id
    m: bool


class _Snapshot(msgspec.Struct):
    lastUpdateId: _Id  # noqa: N815 (the venue's spelling)
    bids: list[_Level]
    asks: list[_Level]
    symbol: str = ""
    E: _Id | None = None
    T: _Id | None = None


_decode_map = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


def bad(reason: str, value: object, hint: str = "") -> DataError:
    """Return the DataError of one unusable message, its stable reason in ``context``."""
    return DataError(f"{reason}: was {str(value)[:200]!r}", hint=hint, action=Action.SKIP, reason=reason)


class MessageReader:
    """Reads one message at a time, into row tuples and payload events.

    Parameters
    ----------
    table : SymbolTable
        Symbols of the connection; the trade-channel column is shared with the kernel.
    channels : int
        Mask of wanted channels.
    note : callable
        Told about every message that is left out on purpose.
    lenient : bool, default False
        Leave symbols that are not in the table out; otherwise they are rejected.
    nameless : str, optional
        The symbol that snapshots without one are about.

    Attributes
    ----------
    dropped : list of DataError
        Why levels of the last message were dropped while the message stood.
    newest : dict
        Newest time of each polled list, so that its repeated entries are left out.
    """

    def __init__(
        self,
        table: SymbolTable,
        channels: int,
        note: Callable[[str], None],
        *,
        lenient: bool = False,
        nameless: str = "",
    ) -> None:
        self._table = table
        self._channels = channels
        self._note = note
        self._lenient = lenient
        self._nameless = nameless
        self.dropped: list[DataError] = []
        self.newest: dict[tuple[int, str], int] = {}
        self._readers: dict[str, tuple[str, Callable[[bytes, int, str], list[RowTuple]]]] = {
            "depthUpdate": ("depth", self._diff),
            "bookTicker": ("bookTicker", self._ticker),
            "trade": ("trade", self._trade),
            "aggTrade": ("aggTrade", self._aggregate),
        }

    def read(self, raw: bytes, ts_recv: int, url: str = "") -> tuple[list[RowTuple], list[PayloadEvent]]:
        """Return the rows and payload events of one message.

        Raises
        ------
        DataError
            The message cannot be used; ``context["reason"]`` says why in a few stable words.
        """
        self.dropped = []
        try:
            if not raw.isascii():
                raw.decode()
            return self._read(raw, ts_recv, url, "")
        except msgspec.ValidationError as error:
            raise bad(f"malformed message ({_shape(error)})", raw) from error
        except UnicodeDecodeError as error:
            raise bad("invalid UTF-8", raw) from error
        except RecursionError as error:
            raise bad("nested too deeply", raw) from error
        except msgspec.DecodeError as error:
            raise bad("malformed JSON", raw) from error

    def _read(self, raw: bytes, ts_recv: int, url: str, stream: str) -> tuple[list[RowTuple], list[PayloadEvent]]:
        if raw.lstrip()[:1] == b"[":
            return self._array(raw, ts_recv, url, stream)
        fields = _decode_map(raw)
        if "stream" in fields and "data" in fields:
            return self._read(bytes(fields["data"]), ts_recv, url, _decode_text(fields["stream"]))
        event = _decode_text(fields["e"]) if "e" in fields else _nameless(fields)
        if event in self._readers:
            if _PARTIAL.search(stream):
                self._note("partial books left out (they carry no sequence)")
                return [], []
            channel, reader = self._readers[event]
            if not self._channels & CHANNELS[channel]:
                self._validate_symbol(fields)
                return [], []
            return reader(raw, ts_recv, url), []
        if event == "snapshot":
            return self._snapshot(raw, ts_recv, url, stream), []
        if event in SLOW_KINDS:
            return [], self._slow(event, raw, ts_recv, url)
        self._note(f"messages of kind {event[:40]} left out")
        return [], []

    def _array(self, raw: bytes, ts_recv: int, url: str, stream: str) -> tuple[list[RowTuple], list[PayloadEvent]]:
        rows: list[RowTuple] = []
        events: list[PayloadEvent] = []
        before, self._lenient = self._lenient, True  # an array is about the whole market, wanted or not
        try:
            for item in _decode_list(raw):
                if bytes(item)[:1] != b"{":
                    raise bad("malformed message (array of no objects)", raw)
                more, slow = self._read(bytes(item), ts_recv, url, stream)
                rows += more
                events += slow
        finally:
            self._lenient = before
        return rows, events

    def _validate_symbol(self, fields: dict[str, msgspec.Raw]) -> None:
        if "s" in fields and self._instrument(_decode_text(fields["s"])) is not None:
            self._note(NOTE_CHANNEL)

    def _instrument(self, symbol: str) -> tuple[Instrument, int, int] | None:
        """Return (instrument, its index, row of the table), or None for a symbol that is left out."""
        row = self._table.rows.get(symbol)
        if row is None and not self._lenient:
            raise bad("unknown symbol", symbol, "it is not in the part of the file that was looked at: add ?symbol=")
        instrument = None if row is None else self._table.instruments[row]
        if row is None or instrument is None:
            self._note(NOTE_SYMBOL)
            return None
        return instrument, int(self._table.params[row, PARAM.INSTRUMENT]), row

    def _diff(self, raw: bytes, ts_recv: int, url: str) -> list[RowTuple]:
        del url
        m = _DIFF(raw)
        known = self._instrument(m.s)
        if known is None:
            return []
        ids = (m.u, m.U, NO_ID if m.pu is None else m.pu)
        return _book(EventKind.BOOK_DELTA, known, _stamp(m.T, m.E), ts_recv, ids, (m.b, m.a), self.dropped)

    def _snapshot(self, raw: bytes, ts_recv: int, url: str, stream: str) -> list[RowTuple]:
        if stream:
            self._note("partial books left out (they carry no sequence)")
            return []
        if not self._channels & CHANNELS["depth"]:
            self._note(NOTE_CHANNEL)
            return []
        m = _SNAPSHOT(raw)
        symbol = m.symbol or url_symbol(url) or self._nameless
        if not symbol:
            raise bad("snapshot names no symbol", raw, "its file holds several; choose one with ?symbol=")
        known = self._instrument(symbol)
        if known is None:
            return []
        ids = (m.lastUpdateId, NO_ID, NO_ID)
        return _book(EventKind.BOOK_SNAPSHOT, known, _stamp(m.T, m.E), ts_recv, ids, (m.bids, m.asks), self.dropped)

    def _ticker(self, raw: bytes, ts_recv: int, url: str) -> list[RowTuple]:
        del url
        m = _TICKER(raw)
        known = self._instrument(m.s)
        if known is None:
            return []
        stamp = _stamp(m.T, m.E)
        rows: list[RowTuple] = []
        for side, price, quantity in ((1, m.b, m.B), (-1, m.a, m.A)):
            ticks = parse_ticks(price, known[0].tick_size)
            amount = parse_quantity(quantity)
            if ticks == 0 and amount > 0:
                raise bad("price not positive", price)
            flag = Flag.FIRST if side == 1 else Flag.LAST
            base = base_quantity(known[0], amount, price)
            rows.append(
                (stamp, ts_recv, ticks, base, m.u, NO_ID, NO_ID, -1, known[1], side, EventKind.QUOTE, int(flag))
            )
        return rows

    def _trade(self, raw: bytes, ts_recv: int, url: str) -> list[RowTuple]:
        del url
        m = _TRADE(raw)
        if m.X != "MARKET":
            self._note(f"trades that are not of the order book left out ({m.X[:20]})")
            return []
        return self._print("trade", m.s, _stamp(m.T, m.E), ts_recv, (m.p, m.q, m.m), (m.t, NO_ID))

    def _aggregate(self, raw: bytes, ts_recv: int, url: str) -> list[RowTuple]:
        del url
        m = _AGGREGATE(raw)
        return self._print("aggTrade", m.s, _stamp(m.T, m.E), ts_recv, (m.p, m.q, m.m), (m.a, m.f))

    def _print(
        self, channel: str, symbol: str, stamp: int, ts_recv: int, what: tuple[str, str, bool], ids: tuple[int, int]
    ) -> list[RowTuple]:
        known = self._instrument(symbol)
        if known is None:
            return []
        ticks = parse_ticks(what[0], known[0].tick_size)
        amount = parse_quantity(what[1])
        if ticks == 0:
            raise bad("price not positive", what[0])
        if amount == 0:
            raise bad("trade quantity not positive", what[1])
        param = self._table.params[known[2]]
        param[PARAM.TRADE_CHANNEL] = param[PARAM.TRADE_CHANNEL] or CHANNELS[channel]
        if param[PARAM.TRADE_CHANNEL] != CHANNELS[channel]:
            self._note(NOTE_SECOND_TRADE)
            return []
        base = base_quantity(known[0], amount, what[0])
        side = -1 if what[2] else 1
        flags = int(Flag.FIRST | Flag.LAST)
        return [(stamp, ts_recv, ticks, base, *ids, NO_ID, -1, known[1], side, EventKind.TRADE, flags)]

    def _slow(self, event: str, raw: bytes, ts_recv: int, url: str) -> list[PayloadEvent]:
        channel, build = SLOW_KINDS[event]
        if not self._channels & CHANNELS[channel]:
            self._note(NOTE_CHANNEL)
            return []
        built = build(raw, ts_recv, url)
        if isinstance(built, str):
            self._note(built)
            return []
        known = self._instrument(built.symbol)
        if known is None:
            return []
        if built.once:
            # A polled list repeats its older entries: only what is new is an event.
            key = (known[1], built.once)
            if built.ts_event <= self.newest.get(key, 0):
                self._note("entries of a polled list left out: seen before")
                return []
            self.newest[key] = built.ts_event
        return [built.event(known[0], known[1], ts_recv)]


_DIFF = msgspec.json.Decoder(_Diff).decode
_TICKER = msgspec.json.Decoder(_Ticker).decode
_TRADE = msgspec.json.Decoder(_Trade).decode
_AGGREGATE = msgspec.json.Decoder(_Aggregate).decode
_SNAPSHOT = msgspec.json.Decoder(_Snapshot).decode


def _nameless(fields: dict[str, msgspec.Raw]) -> str:
    """Name the message kinds that do not say what they are."""
    if "lastUpdateId" in fields:
        return "snapshot"
    if {"u", "s", "b", "B", "a", "A"} <= fields.keys():
        return "bookTicker"
    if "result" in fields:
        return "subscription answer"
    if "code" in fields and "msg" in fields:
        return "error answer"
    if "openInterest" in fields:
        return "openInterest"
    if "lastFundingRate" in fields:
        return "premiumIndex"
    if "longShortRatio" in fields:
        return "ratio"
    if "symbols" in fields:
        return "exchangeInfo"
    raise bad("unknown message", {name: bytes(value)[:40] for name, value in list(fields.items())[:4]})


def _shape(error: msgspec.ValidationError) -> str:
    """Return a validation message without the values that would make every reason its own."""
    return re.sub(r"\d+", "n", str(error))[:80]


def _stamp(time: int | None, event_time: int | None) -> int:
    """Return ns of the transaction time, else of the event time, else 0; both must be epoch times."""
    result = 0
    for value in (event_time, time):
        if value is not None:
            unit = unit_of(value) if 10**11 <= value < 10**17 else ""
            if unit not in {"ms", "us"} or value * scale_to_ns(unit) > 2**63 - 1:
                raise bad("exchange time out of range", value, "expected epoch milliseconds or microseconds")
            result = value * scale_to_ns(unit)
    return result


def base_quantity(instrument: Instrument, amount: float, price: str | Decimal) -> float:
    """Return base units of a venue quantity; inverse contracts are converted at ``price``."""
    if instrument.market_type != "inverse" or amount == 0:
        return amount
    value: float = inverse_base_quantity(amount, float(instrument.contract_multiplier), float(price))
    return value


def url_symbol(url: str) -> str:
    """Return the ``symbol`` parameter of a REST URL, upper case, or an empty text."""
    return parse_qs(urlsplit(url).query).get("symbol", [""])[0].upper()


def _book(
    kind: EventKind,
    known: tuple[Instrument, int, int],
    stamp: int,
    ts_recv: int,
    ids: tuple[int, int, int],
    sides: tuple[list[_Level], list[_Level]],
    dropped: list[DataError],
) -> list[RowTuple]:
    """Return the rows of a book message.

    A level off the tick is dropped alone, into ``dropped``: orders from before a change of tick rest on the old
    grid for years, and a book that never held the level loses nothing when it goes. Any other bad number
    refuses the message, so that the sequence shows the hole.
    """
    instrument, index, _ = known
    rows: list[Any] = []
    for side, levels in zip((1, -1), sides, strict=True):
        for price, quantity in levels:
            try:
                ticks = parse_ticks(price, instrument.tick_size)
            except DataError as error:
                if error.context["reason"] != "price off tick":
                    raise
                dropped.append(error)
                continue
            if ticks == 0:
                raise bad("price not positive", price)
            base = base_quantity(instrument, parse_quantity(quantity), price)
            rows.append([stamp, ts_recv, ticks, base, *ids, -1, index, side, int(kind), 0])
    if not rows:
        # An update without levels still moves the sequence: one row that touches no level (side 0).
        rows.append([stamp, ts_recv, 0, 0.0, *ids, -1, index, 0, int(kind), 0])
    rows[0][-1] |= int(Flag.FIRST)
    rows[-1][-1] |= int(Flag.LAST)
    return [tuple(row) for row in rows]
