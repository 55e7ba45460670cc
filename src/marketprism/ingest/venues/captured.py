"""What the sources of captured venue connections share: two passes over frames, blocks of whole messages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.decimals import infer_tick, parse_quantity, parse_ticks
from marketprism.core.errors import Action, DataError, SourceError, did_you_mean
from marketprism.core.instrument import Instrument, MarketType
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import NO_ID, ROW_DTYPE
from marketprism.core.timebase import scale_to_ns, unit_of
from marketprism.core.units import inverse_base_quantity
from marketprism.ingest.files_io import display_name
from marketprism.ingest.frames import read_frames
from marketprism.ingest.frames_merge import merge_blocks, raise_receive_times
from marketprism.ingest.registry import SourceSpec
from marketprism.ingest.source import BLOCK_ROWS, Source

__all__ = [
    "CapturedSource",
    "Listing",
    "Message",
    "Outbox",
    "VenueDecoder",
    "bad",
    "exchange_time",
    "listed_instrument",
]

_MAX_PRICES = 2000


@dataclass(frozen=True, slots=True)
class Listing:
    """What the venue's instrument list says about one instrument."""

    market: MarketType
    tick: Decimal
    multiplier: Decimal = Decimal(1)
    lot: Decimal = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class Message:
    """One decoded frame: the JSON value, when and where it was received."""

    body: Any
    ts_recv: int
    url: str


@dataclass(slots=True)
class Outbox:
    """Rows and payload records on their way into a block, whole messages at a time."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    payloads: dict[int, list[np.ndarray]] = field(default_factory=dict)

    def levels(
        self,
        kind: EventKind,
        index: int,
        times: tuple[int, int],
        ids: tuple[int, int, int],
        levels: list[tuple[int, int, float]],
    ) -> None:
        """Add one book or quote message; without levels one row of side 0 still moves the sequence."""
        last = max(len(levels) - 1, 0)
        for i, (side, ticks, quantity) in enumerate(levels or [(0, 0, 0.0)]):
            flags = (Flag.FIRST if i == 0 else 0) | (Flag.LAST if i == last else 0)
            self.rows.append((*times, ticks, quantity, *ids, -1, index, side, int(kind), int(flags)))

    def trade(
        self, index: int, times: tuple[int, int], ids: tuple[int, int], side: int, ticks: int, quantity: float
    ) -> None:
        """Add one trade."""
        flags = int(Flag.FIRST | Flag.LAST)
        self.rows.append((*times, ticks, quantity, *ids, NO_ID, -1, index, side, int(EventKind.TRADE), flags))

    def payload(self, event: tuple[np.ndarray, np.ndarray]) -> None:
        """Add what :func:`marketprism.core.block.payload_event` returned."""
        rows, table = event
        kind = int(rows["kind"][0])
        tables = self.payloads.setdefault(kind, [])
        rows["payload"] = len(tables)
        tables.append(table)
        self.rows.append(rows[0].item())

    def take(self, instruments: tuple[Instrument, ...]) -> EventBlock:
        """Return what was added as a block, and start anew."""
        rows = np.zeros(len(self.rows), ROW_DTYPE)
        if self.rows:
            rows[:] = self.rows
        payloads = {kind: np.concatenate(tables) for kind, tables in self.payloads.items()}
        self.rows, self.payloads = [], {}
        return EventBlock(rows, instruments, payloads)


def bad(reason: str, value: object, hint: str = "") -> DataError:
    """Return the error of an unusable message; ``reason`` is the key of the count."""
    return DataError(f"{reason}: was {str(value)[:200]!r}", hint=hint, action=Action.SKIP, reason=reason)


def exchange_time(value: object) -> int:
    """Return ns of a venue time in epoch milliseconds (text or number)."""
    try:
        number = int(str(value))
    except ValueError:
        raise bad("exchange time not a number", value) from None
    if not 10**11 <= number < 10**17:
        raise bad("exchange time out of range", value, "expected epoch milliseconds")
    return number * scale_to_ns(unit_of(number))


def listed_instrument(
    exchange: str, raw: str, symbol: str, listing: Listing | None, market: MarketType, prices: set[str]
) -> tuple[Instrument, str]:
    """Return an instrument and where its tick size comes from: the venue's list, else the prices seen."""
    tick = listing.tick if listing else infer_tick(prices)
    origin = f"{tick}: the venue's instrument list" if listing else f"{tick}: inferred from {len(prices)} prices"
    instrument = Instrument(
        exchange=exchange,
        market_type=listing.market if listing else market,
        symbol=symbol,
        tick_size=tick,
        lot_size=listing.lot if listing else Decimal("0.00000001"),
        contract_multiplier=listing.multiplier if listing else Decimal(1),
        sequencing="okx" if exchange == "okx" else "deribit",
        raw_symbol=raw if raw != symbol else "",
    )
    return instrument, origin


class VenueDecoder(ABC):
    """Turns one venue's messages into rows. :meth:`survey` sees a whole recording first, then :meth:`decode` does.

    Parameters
    ----------
    note : callable
        Told what was left out and why, such as ``IngestReport.note``.
    """

    exchange: str
    json: msgspec.json.Decoder[Any] = msgspec.json.Decoder()

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note = note
        self.known: dict[str, tuple[int, Instrument]] = {}

    @abstractmethod
    def survey(self, message: Message, listings: dict[str, Listing], prices: dict[str, set[str]]) -> None:
        """Learn instrument lists, and which instruments have data and at which prices."""

    @abstractmethod
    def instrument(self, raw: str, listing: Listing | None, prices: set[str]) -> tuple[Instrument, str] | None:
        """Return the instrument of a venue's name and where its tick size comes from; None to leave it out."""

    @abstractmethod
    def decode(self, message: Message, out: Outbox) -> None:
        """Add the rows of a message to ``out``, or raise DataError before adding any."""

    def base(self, instrument: Instrument, price: str, amount: str) -> tuple[int, float]:
        """Return a level in ticks and base units."""
        ticks = parse_ticks(price, instrument.tick_size)
        if ticks == 0:
            raise bad("price not positive", price)
        number = parse_quantity(amount)
        if instrument.market_type == "inverse":
            return ticks, inverse_base_quantity(number, float(instrument.contract_multiplier), float(price))
        if instrument.contract_multiplier == 1:
            return ticks, number
        return ticks, float(Decimal(amount) * instrument.contract_multiplier)


class CapturedSource(Source):
    """Recordings of a venue's connections: instruments are found in a first pass, rows come in a second one.

    Files are merged by receive time. Instruments are those that have book, trade or ticker data; their tick and
    contract come from the instrument lists among the files (REST answers), so pass those files too.

    Parameters
    ----------
    spec : SourceSpec
        Paths and the options ``symbol`` and ``strict``.
    decoder : type of VenueDecoder
        The venue.
    """

    def __init__(self, spec: SourceSpec, decoder: type[VenueDecoder]) -> None:
        self._decoder = decoder
        self._paths = spec.paths
        listings: dict[str, Listing] = {}
        prices: dict[str, set[str]] = {}
        surveyor = decoder(_silent)
        for path in spec.paths:
            for message in _messages(path, decoder, _skip):
                try:
                    surveyor.survey(message, listings, prices)
                except (DataError, KeyError, TypeError, ValueError, IndexError, AttributeError):
                    continue  # the second pass counts it
        self._facts: dict[str, str] = {}
        self._index: dict[str, tuple[int, Instrument]] = {}
        wanted = {name.upper() for name in spec.option("symbol").split(",") if name}
        for raw in sorted(prices):
            tells = raw in listings or prices[raw]
            built = surveyor.instrument(raw, listings.get(raw), prices[raw]) if tells else None
            if built is None:
                self._facts[f"left out {raw}"] = (
                    "its tick or contract is unknown: add the file with the venue's instrument list"
                )
                continue
            instrument, origin = built
            if wanted and not wanted & {raw, instrument.symbol}:
                continue
            self._facts[f"tick size of {instrument.key}"] = origin
            self._index[raw] = (len(self._index), instrument)
        if not self._index:
            hint = next(iter(self._facts.values()), _hint(wanted, prices))
            raise SourceError(f"{spec.text}: no instrument was found", hint=hint)
        super().__init__(spec.text, tuple(known for _, known in self._index.values()), strict=spec.flag("strict"))

    @property
    def files(self) -> tuple[str, ...]:
        """Paths that the source reads."""
        return self._paths

    def _blocks(self) -> Iterator[EventBlock]:
        self.report.facts.update(self._facts)
        yield from merge_blocks([self._file(path) for path in self._paths])

    def _file(self, path: str) -> Iterator[EventBlock]:
        decoder = self._decoder(self.report.note)
        decoder.known = self._index
        out = Outbox()
        last = 0
        for message in _messages(path, self._decoder, self.reject, self._count):
            where = f"{display_name(path)} at {message.ts_recv}"
            try:
                decoder.decode(message, out)
            except DataError as error:
                self.reject(error.context.get("reason", "malformed message"), where, message.body, hint=error.hint)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                self.reject(f"malformed message ({type(error).__name__})", where, message.body)
            if len(out.rows) >= BLOCK_ROWS:
                block, last = self._ordered(out.take(self.instruments), last)
                yield block
        yield self._ordered(out.take(self.instruments), last)[0]

    def _ordered(self, block: EventBlock, last: int) -> tuple[EventBlock, int]:
        """Raise receive times that run backwards; return the block and its last time."""
        last, raised = raise_receive_times(block.rows, last)
        if raised:
            self.report.note("receive times that ran backwards, raised to the last one", int(raised))
        return block, last

    def _count(self) -> None:
        self.report.records += 1


def _silent(what: str) -> None:
    del what


def _nothing() -> None:
    pass


def _skip(reason: str, where: str, value: object, *, hint: str = "") -> None:
    del reason, where, value, hint


def _hint(wanted: set[str], prices: dict[str, set[str]]) -> str:
    if wanted and prices:
        return did_you_mean(min(wanted), prices)
    return "is it a recording of this venue?"


def _messages(
    path: str, decoder: type[VenueDecoder], reject: Callable[..., None], count: Callable[[], None] = _nothing
) -> Iterator[Message]:
    name = display_name(path)
    for frame in read_frames(path, reject=reject):
        if frame.direction not in {"recv", "http"} or frame.data == b"pong":
            continue
        count()
        try:
            body = decoder.json.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            reject("not JSON", f"{name}:{frame.line}", frame.data[:200])
            continue
        if not isinstance(body, dict):
            reject("unknown message", f"{name}:{frame.line}", frame.data[:200])
            continue
        yield Message(body, frame.ts_recv, frame.url)


def note_price(prices: dict[str, set[str]], raw: str, *texts: object) -> None:
    """Remember prices of an instrument, up to a bound: enough to tell its grid."""
    seen = prices.setdefault(raw, set())
    if len(seen) < _MAX_PRICES:
        seen.update(str(text) for text in texts)
