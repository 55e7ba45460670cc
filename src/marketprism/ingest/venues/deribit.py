"""Deribit: captured JSON-RPC messages to rows.

Channels (https://docs.deribit.com/subscriptions):

``book.{instrument}.{interval}``
    ``[action, price, amount]`` levels; ``change_id`` and ``prev_change_id`` are checked by the book. Messages of old
    recordings without ``type`` are full when they name no predecessor.
``trades.{instrument}.{interval}``
    Lists of trades, deduplicated by id elsewhere, never by time.
``ticker.{instrument}.{interval}``
    Options: implied volatilities and greeks. All: open interest. Perpetuals: current funding. The best prices in
    it are of another moment than the book's and left out.

Amounts are USD for inverse perpetuals and futures (divided by the price here), base units for linear ones and
coin for options.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from marketprism.core.block import payload_event
from marketprism.core.instrument import Instrument, MarketType
from marketprism.core.kinds import EventKind
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

__all__ = ["DeribitDecoder"]

_SIDES = {"buy": 1, "sell": -1}
_OPTION = re.compile(r"[A-Z_]+-(\d{1,2})([A-Z]{3})(\d{2})-([\dd]+)-([CP])")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_EXPIRY_HOUR = 8
_ACTIONS = frozenset({"new", "change", "delete"})


class DeribitDecoder(VenueDecoder):
    """Messages of one recording."""

    exchange = "deribit"
    json = msgspec.json.Decoder(float_hook=Decimal)

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__(note)
        self._channels: dict[str, Callable[[Any, int, Instrument, int, Outbox], None]] = {
            "book": self._book,
            "trades": self._trades,
            "ticker": self._ticker,
        }

    def survey(self, message: Message, listings: dict[str, Listing], prices: dict[str, set[str]]) -> None:
        """Learn ``get_instruments`` and the instruments that have data."""
        if "get_instruments" in message.url:
            for entry in message.body["result"]:
                listings[entry["instrument_name"]] = _listing(entry)
            return
        channel, raw, data = _parts(message.body)
        if channel == "book":
            note_price(prices, raw, *(level[1] for side in ("bids", "asks") for level in data[side]))
        elif channel == "trades":
            note_price(prices, raw, *(trade["price"] for trade in data))
        elif channel == "ticker":
            best = (data.get("best_bid_price"), data.get("best_ask_price"))
            note_price(prices, raw, *(price for price in best if price))

    def instrument(self, raw: str, listing: Listing | None, prices: set[str]) -> tuple[Instrument, str] | None:
        """Return the instrument of an ``instrument_name``; without the list, USDC and USDT names are linear."""
        market: MarketType = "option" if _OPTION.fullmatch(raw) else "linear" if "_USD" in raw else "inverse"
        symbol = canonical_symbol(raw)
        return listed_instrument(self.exchange, raw, symbol, listing, market, prices)

    def decode(self, message: Message, out: Outbox) -> None:
        """Add the rows of one message."""
        if message.url or message.body.get("method") != "subscription":
            return
        channel, raw, data = _parts(message.body)
        if channel not in self._channels:
            self.note(f"channel left out: {channel}")
        elif raw in self.known:
            index, instrument = self.known[raw]
            self._channels[channel](data, index, instrument, message.ts_recv, out)

    def _book(self, data: Any, index: int, instrument: Instrument, ts_recv: int, out: Outbox) -> None:
        levels = []
        for side, name in ((1, "bids"), (-1, "asks")):
            for action, price, amount in data[name]:
                if action not in _ACTIONS:
                    raise bad("action unknown", action)
                size = "0" if action == "delete" else str(amount)
                levels.append((side, *self.base(instrument, str(price), size)))
        previous = data.get("prev_change_id", NO_ID)
        full = data.get("type", "snapshot" if previous == NO_ID else "change") == "snapshot"
        kind = EventKind.BOOK_SNAPSHOT if full else EventKind.BOOK_DELTA
        times = (exchange_time(data["timestamp"]), ts_recv)
        out.levels(kind, index, times, (data["change_id"], NO_ID, previous), levels)

    def _trades(self, data: Any, index: int, instrument: Instrument, ts_recv: int, out: Outbox) -> None:
        rows = []
        for trade in data:
            if trade["direction"] not in _SIDES:
                raise bad("side unknown", trade["direction"])
            ticks, quantity = self.base(instrument, str(trade["price"]), str(trade["amount"]))
            if quantity == 0:
                raise bad("trade quantity not positive", trade["amount"])
            ids = (int(str(trade["trade_id"]).rsplit("-", 1)[-1]), trade.get("trade_seq", NO_ID))
            times = (exchange_time(trade["timestamp"]), ts_recv)
            rows.append((times, ids, _SIDES[trade["direction"]], ticks, quantity))
        for row in rows:
            out.trade(index, *row)

    def _ticker(self, data: Any, index: int, instrument: Instrument, ts_recv: int, out: Outbox) -> None:
        own: dict[str, Any]
        common: dict[str, Any] = {"ts_event": exchange_time(data["timestamp"]), "ts_recv": ts_recv, "instrument": index}
        if instrument.market_type == "option":
            out.payload(payload_event(EventKind.OPTION_TICKER, **common, **_option(data)))
        elif "current_funding" in data:
            own = {
                "rate": float(data["current_funding"]),
                "mark_price": _number(data.get("mark_price")),
                "index_price": _number(data.get("index_price")),
                "predicted": True,
            }
            out.payload(payload_event(EventKind.FUNDING_RATE, **common, **own))
        if "open_interest" in data:
            unit = "quote_value" if instrument.market_type == "inverse" else "base_quantity"
            own = {unit: _number(data["open_interest"])}
            out.payload(payload_event(EventKind.OPEN_INTEREST, **common, **own))


def _parts(body: Any) -> tuple[str, str, Any]:
    """Return channel, instrument and data of a notification; empty texts for anything else."""
    parameters = body.get("params") or {}
    channel, _, rest = parameters.get("channel", "").partition(".")
    return channel, rest.split(".", 1)[0], parameters.get("data")


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _option(data: Any) -> dict[str, Any]:
    """Return the own columns of an option ticker; strike, expiry and kind come from the name."""
    match = _OPTION.fullmatch(data["instrument_name"])
    if match is None:
        raise bad("option name unknown", data["instrument_name"])
    day, month, year, strike, kind = match.groups()
    expiry = datetime(2000 + int(year), _MONTHS.index(month) + 1, int(day), _EXPIRY_HOUR, tzinfo=UTC)
    greeks = data.get("greeks") or {}
    return {
        "strike": float(strike.replace("d", ".")),
        "expiry": int(expiry.timestamp()) * 10**9,
        "option_kind": "call" if kind == "C" else "put",
        "underlying_price": _number(data.get("underlying_price")),
        **{name: _number(data.get(name)) for name in ("mark_iv", "bid_iv", "ask_iv")},
        **{name: _number(greeks.get(name)) for name in ("delta", "gamma", "vega", "theta", "rho")},
    }


def _listing(entry: Any) -> Listing:
    tick = Decimal(entry["tick_size"])
    if entry["kind"] == "option":
        return Listing("option", tick)
    if entry["kind"] == "spot":
        return Listing("spot", tick)
    linear = entry.get("future_type") == "linear" or entry["quote_currency"] not in {"USD", entry["base_currency"]}
    return Listing("linear" if linear else "inverse", tick)
