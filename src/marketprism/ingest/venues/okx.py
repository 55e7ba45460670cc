"""OKX: captured websocket and REST messages to rows.

Channels (https://www.okx.com/docs-v5/en/#order-book-trading-market-data):

``books``, ``books-l2-tbt``, ``books50-l2-tbt``
    Snapshot, then updates with ``seqId`` and ``prevSeqId``; the sequence is checked by the book. Recordings older
    than those fields carry a CRC32 ``checksum``, verified here; 0 means that the venue does not give one.
``books5``, REST ``market/books``
    Snapshots.
``bbo-tbt``
    Quotes. (``tickers`` are throttled prices of another moment: left out.)
``trades``, ``funding-rate``, ``open-interest``, ``liquidation-orders``
    Also as REST answers ``public/funding-rate`` and ``public/open-interest``.

Sizes of derivatives are contracts: multiplied by ``ctVal x ctMult`` of REST ``public/instruments`` (divided by the
price where the contract is inverse). Without that list the contract is unknown and the instrument left out.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from marketprism.core.block import payload_event
from marketprism.core.instrument import Instrument, MarketType
from marketprism.core.kinds import EventKind, GapReason
from marketprism.core.rows import NO_ID
from marketprism.ingest.symbols import canonical_symbol
from marketprism.ingest.venues.captured import (
    Listing,
    Message,
    Outbox,
    VenueDecoder,
    bad,
    exchange_time,
    listed_instrument,
    note_price,
)
from marketprism.ingest.venues.okx_checksum import ChecksumBook

__all__ = ["OkxDecoder"]

_BOOKS = frozenset({"books", "books-l2-tbt", "books50-l2-tbt", "books5"})
_SIDES = {"buy": 1, "sell": -1}


class OkxDecoder(VenueDecoder):
    """Messages of one recording; keeps one checksum book an instrument."""

    exchange = "okx"

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__(note)
        self._checks: dict[str, ChecksumBook | None] = {}
        self._channels: dict[str, Callable[[Any, str, int, Instrument, int, Outbox], None]] = {
            "trades": self._trade,
            "bbo-tbt": self._quote,
            "funding-rate": self._funding,
            "open-interest": self._interest,
            "liquidation-orders": self._liquidation,
        }

    def survey(self, message: Message, listings: dict[str, Listing], prices: dict[str, set[str]]) -> None:
        """Learn ``public/instruments`` and the instruments that have data."""
        body = message.body
        if "/public/instruments" in message.url:
            for entry in body["data"]:
                listings[entry["instId"]] = _listing(entry)
            return
        channel, raw, data = _parts(message)
        for entry in data:
            name = raw or entry.get("instId", "")
            if channel in _BOOKS:
                note_price(prices, name, *(level[0] for side in ("bids", "asks") for level in entry[side]))
            elif channel == "trades":
                note_price(prices, name, entry["px"])
            elif channel in self._channels and name:
                note_price(prices, name)

    def instrument(self, raw: str, listing: Listing | None, prices: set[str]) -> tuple[Instrument, str] | None:
        """Return the instrument of an ``instId``; None for a derivative whose contract nothing tells."""
        parts = raw.split("-")
        dated = len(parts) > 2 and parts[2] != "SWAP"
        market: MarketType = "spot"
        if len(parts) > 2:
            market = "option" if len(parts) == 5 else "inverse" if parts[1] == "USD" else "linear"
        if listing is None and market != "spot":
            return None
        symbol = raw if dated else canonical_symbol(raw)
        return listed_instrument(self.exchange, raw, symbol, listing, market, prices)

    def decode(self, message: Message, out: Outbox) -> None:
        """Add the rows of one message."""
        if "/public/instruments" in message.url or "event" in message.body:
            return
        channel, raw, data = _parts(message)
        if channel not in _BOOKS and channel not in self._channels:
            self.note(f"channel left out: {channel or 'unknown'}")
            return
        for entry in data:
            name = raw or entry.get("instId", "")
            if name not in self.known:
                continue
            index, instrument = self.known[name]
            if channel in _BOOKS:
                snapshot = message.body.get("action", "snapshot") == "snapshot"
                self._book(entry, name, index, instrument, message.ts_recv, snapshot, out)
            else:
                self._channels[channel](entry, name, index, instrument, message.ts_recv, out)

    def _book(
        self, entry: Any, raw: str, index: int, instrument: Instrument, ts_recv: int, snapshot: bool, out: Outbox
    ) -> None:
        levels = [
            (side, *self.base(instrument, level[0], level[1]))
            for side, name in ((1, "bids"), (-1, "asks"))
            for level in entry[name]
        ]
        times = (exchange_time(entry["ts"]), ts_recv)
        ids = (int(entry.get("seqId", NO_ID)), NO_ID, int(entry.get("prevSeqId", NO_ID)))
        kind = EventKind.BOOK_SNAPSHOT if snapshot else EventKind.BOOK_DELTA
        out.levels(kind, index, times, ids, levels)
        if not self._verified(entry, raw, snapshot):
            self.note("checksum mismatches")
            out.payload(
                payload_event(
                    EventKind.GAP,
                    ts_event=times[0],
                    ts_recv=ts_recv,
                    instrument=index,
                    gap_from=times[0],
                    reason=int(GapReason.SEQUENCE),
                )
            )

    def _verified(self, entry: Any, raw: str, snapshot: bool) -> bool:
        """Return whether the checksum agrees; after a mismatch the next snapshot is awaited."""
        if snapshot:
            self._checks[raw] = ChecksumBook()
        book = self._checks.get(raw)
        if book is None:
            return True
        book.apply(entry["bids"], entry["asks"])
        given = int(entry.get("checksum", 0))
        if given == 0:
            return True
        self.note("checksums verified")
        if book.checksum() == given:
            return True
        self._checks[raw] = None
        return False

    def _trade(self, entry: Any, raw: str, index: int, instrument: Instrument, ts_recv: int, out: Outbox) -> None:
        del raw
        if entry["side"] not in _SIDES:
            raise bad("side unknown", entry["side"])
        ticks, quantity = self.base(instrument, entry["px"], entry["sz"])
        if quantity == 0:
            raise bad("trade quantity not positive", entry["sz"])
        ids = (int(entry["tradeId"]), int(entry.get("seqId", NO_ID)))
        out.trade(index, (exchange_time(entry["ts"]), ts_recv), ids, _SIDES[entry["side"]], ticks, quantity)

    def _quote(self, entry: Any, raw: str, index: int, instrument: Instrument, ts_recv: int, out: Outbox) -> None:
        del raw
        levels = []
        for side, name in ((1, "bids"), (-1, "asks")):
            best = entry[name][0] if entry[name] else None
            levels.append((side, *self.base(instrument, best[0], best[1])) if best else (side, 0, 0.0))
        ids = (int(entry.get("seqId", NO_ID)), NO_ID, NO_ID)
        out.levels(EventKind.QUOTE, index, (exchange_time(entry["ts"]), ts_recv), ids, levels)

    def _funding(self, entry: Any, raw: str, index: int, instrument: Instrument, ts_recv: int, out: Outbox) -> None:
        del raw, instrument
        following = entry.get("nextFundingTime") or ""
        paid = exchange_time(entry["fundingTime"])
        out.payload(
            payload_event(
                EventKind.FUNDING_RATE,
                ts_event=exchange_time(entry["ts"]) if entry.get("ts") else ts_recv,
                ts_recv=ts_recv,
                instrument=index,
                rate=float(Decimal(entry["fundingRate"])),
                funding_time=paid,
                next_funding_time=exchange_time(following) if following else 0,
                interval_s=(exchange_time(following) - paid) // 10**9 if following else -1,
                predicted=True,
            )
        )

    def _interest(self, entry: Any, raw: str, index: int, instrument: Instrument, ts_recv: int, out: Outbox) -> None:
        del raw
        contracts = Decimal(entry["oi"])
        own: dict[str, Any] = {"contracts": float(contracts), "base_quantity": float(Decimal(entry["oiCcy"]))}
        if instrument.market_type == "inverse":
            own["quote_value"] = float(contracts * instrument.contract_multiplier)
        own |= {"ts_event": exchange_time(entry["ts"]), "ts_recv": ts_recv, "instrument": index}
        out.payload(payload_event(EventKind.OPEN_INTEREST, **own))

    def _liquidation(self, entry: Any, raw: str, index: int, instrument: Instrument, ts_recv: int, out: Outbox) -> None:
        del raw
        for detail in entry["details"]:
            ticks, quantity = self.base(instrument, detail["bkPx"], detail["sz"])
            when = exchange_time(detail["ts"])
            out.payload(
                payload_event(
                    EventKind.LIQUIDATION,
                    ts_event=when,
                    ts_recv=ts_recv,
                    instrument=index,
                    side=_SIDES[detail["side"]],
                    price=ticks,
                    quantity=quantity,
                    liquidation_time=when,
                    sampled=False,
                )
            )


def _parts(message: Message) -> tuple[str, str, list[Any]]:
    """Return channel, instrument (empty where each entry names its own) and entries of a message."""
    body = message.body
    data = body.get("data") or []
    if not message.url:
        argument = body.get("arg") or {}
        return argument.get("channel", ""), argument.get("instId", ""), data
    path = urlsplit(message.url)
    channel = path.path.rsplit("/", 1)[-1]
    return channel, parse_qs(path.query).get("instId", [""])[0], data


def _listing(entry: Any) -> Listing:
    kind, tick = entry["instType"], Decimal(entry["tickSz"])
    if kind == "SPOT":
        return Listing("spot", tick, lot=Decimal(entry["lotSz"]))
    multiplier = Decimal(entry["ctVal"]) * Decimal(entry["ctMult"] or 1)
    if kind == "OPTION":
        return Listing("option", tick, multiplier)
    market: MarketType = "inverse" if entry["ctType"] == "inverse" else "linear"
    return Listing(market, tick, multiplier)
