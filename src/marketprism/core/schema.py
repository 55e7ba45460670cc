"""The one definition of every event type, from which all layouts derive.

Payload dtypes, Arrow schemas, ClickHouse DDL, the bus codec and the documentation table are generated from
:data:`EVENT_TYPES`; nothing else lists these columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from marketprism.core.kinds import EventKind

__all__ = ["EVENT_TYPES", "KEY_FIELDS", "EventType", "Field", "FieldType", "event_type_of", "payload_dtype"]

FieldType = Literal["decimal", "float", "int", "time", "text", "bool", "decimals", "ints"]
"""``decimal``: exact in the store, float64 in memory, NaN = null. ``decimals``, ``ints``: an array of them.
``time``: int64 ns UTC, 0 = null where nullable. ``text``: short UTF-8. ``int``: -1 = null where nullable."""

Origin = Literal["key", "row", "levels", "derived", "payload"]


@dataclass(frozen=True, slots=True)
class Field:
    """One column of one event type."""

    name: str
    type: FieldType
    description: str
    unit: str = ""
    origin: Origin = "payload"
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class EventType:
    """One table: its name, the row kinds it holds and its own columns (keys are in :data:`KEY_FIELDS`)."""

    name: str
    kinds: tuple[EventKind, ...]
    description: str
    fields: tuple[Field, ...]

    @property
    def payload_fields(self) -> tuple[Field, ...]:
        """Columns that live in the payload table of a block."""
        return tuple(field for field in self.fields if field.origin == "payload")


def _row(name: str, type_: FieldType, description: str, unit: str = "", *, nullable: bool = False) -> Field:
    return Field(name, type_, description, unit, "row", nullable)


def _own(name: str, type_: FieldType, description: str, unit: str = "", *, nullable: bool = True) -> Field:
    return Field(name, type_, description, unit, "payload", nullable)


KEY_FIELDS: tuple[Field, ...] = (
    Field("exchange", "text", "venue, lower case", origin="key"),
    Field("market_type", "text", "spot, linear, inverse, option, equity or future", origin="key"),
    Field("symbol", "text", "canonical symbol", origin="key"),
    Field("ts_event", "time", "exchange clock", "ns UTC", origin="key"),
    Field("ts_recv", "time", "receive clock: when it could be known", "ns UTC", origin="key"),
    Field("source", "text", "format and file or connection that sent it", origin="key"),
    Field("ingest_id", "int", "hash of the venue's identity of the row: a re-sent row has the same", origin="key"),
    Field("ordinal", "int", "position among the stream's rows of equal ts_recv", origin="key"),
    Field("flags", "int", "Flag bits of the row", origin="key"),
)

_PRICE = _row("price", "decimal", "price", "quote currency")
_QUANTITY = _row("quantity", "decimal", "quantity", "base units")
_SIDE = _row("side", "int", "1 bid or buy aggressor, -1 ask or sell aggressor, 0 not given")

EVENT_TYPES: dict[str, EventType] = {
    t.name: t
    for t in (
        EventType(
            "orderbook_snapshot",
            (EventKind.BOOK_SNAPSHOT,),
            "A full book; levels are arrays, best first.",
            (
                _row("first_update_id", "int", "first update id", nullable=True),
                _row("last_update_id", "int", "last update contained", nullable=True),
                _row("previous_update_id", "int", "last update id of the previous message", nullable=True),
                Field("bid_prices", "decimals", "bid prices, descending", "quote currency", "levels"),
                Field("bid_quantities", "decimals", "bid quantities", "base units", "levels"),
                Field("ask_prices", "decimals", "ask prices, ascending", "quote currency", "levels"),
                Field("ask_quantities", "decimals", "ask quantities", "base units", "levels"),
                Field(
                    "level_order",
                    "ints",
                    "stream position of each level (bids, then asks); empty where the stream had this very order",
                    origin="levels",
                ),
                Field("bid_depth", "int", "number of bid levels", "levels", "derived"),
                Field("ask_depth", "int", "number of ask levels", "levels", "derived"),
                Field("best_bid", "decimal", "best bid price", "quote currency", "derived", nullable=True),
                Field("best_bid_quantity", "decimal", "its quantity", "base units", "derived", nullable=True),
                Field("best_ask", "decimal", "best ask price", "quote currency", "derived", nullable=True),
                Field("best_ask_quantity", "decimal", "its quantity", "base units", "derived", nullable=True),
            ),
        ),
        EventType(
            "orderbook_delta",
            (
                EventKind.BOOK_DELTA,
                EventKind.ORDER_ADD,
                EventKind.ORDER_MODIFY,
                EventKind.ORDER_DELETE,
                EventKind.ORDER_EXECUTE,
            ),
            "One level of an L2 update, or one L3 order event.",
            (
                _row("action", "int", "row kind: 2 level, 3 add, 4 modify, 5 delete, 6 execute"),
                _row("first_update_id", "int", "first update id (L3: exchange sequence)", nullable=True),
                _row("last_update_id", "int", "last update id (L3: order id)", nullable=True),
                _row("previous_update_id", "int", "last update id of the previous message", nullable=True),
                _SIDE,
                _PRICE,
                _row("quantity", "decimal", "quantity now at the level (0 removes it) or of the order", "base units"),
            ),
        ),
        EventType(
            "trade",
            (EventKind.TRADE,),
            "A public trade.",
            (
                _row("trade_id", "int", "venue's trade id", nullable=True),
                _row("exchange_sequence", "int", "exchange sequence number", nullable=True),
                _row("order_id", "int", "an order id that the venue publishes with the trade", nullable=True),
                _PRICE,
                _QUANTITY,
                _SIDE,
                Field("is_maker_buyer", "bool", "the resting order was the buyer", origin="derived", nullable=True),
                Field("quote_quantity", "decimal", "price x quantity, 8 decimals", "quote currency", "derived"),
            ),
        ),
        EventType(
            "quote",
            (EventKind.QUOTE,),
            "A best quote; a side that the message did not carry is null.",
            (
                _row("first_update_id", "int", "first update id", nullable=True),
                _row("last_update_id", "int", "update id", nullable=True),
                _row("previous_update_id", "int", "last update id of the previous message", nullable=True),
                Field("bid_price", "decimal", "best bid", "quote currency", "levels", nullable=True),
                Field("bid_quantity", "decimal", "its quantity", "base units", "levels", nullable=True),
                Field("ask_price", "decimal", "best ask", "quote currency", "levels", nullable=True),
                Field("ask_quantity", "decimal", "its quantity", "base units", "levels", nullable=True),
                _own("volume_24h", "decimal", "traded in 24 h", "base units"),
                _own("high", "decimal", "24 h high", "quote currency"),
                _own("low", "decimal", "24 h low", "quote currency"),
                _own("change", "decimal", "24 h change", "quote currency"),
            ),
        ),
        EventType(
            "funding_rate",
            (EventKind.FUNDING_RATE,),
            "Funding of a perpetual, settled or predicted, with the mark it came with.",
            (
                _own("rate", "float", "funding rate", "fraction of notional an interval"),
                _own("funding_time", "time", "when it is or was paid", "ns UTC"),
                _own("next_funding_time", "time", "the following payment", "ns UTC"),
                _own("interval_s", "int", "funding interval", "s"),
                _own("mark_price", "decimal", "mark price", "quote currency"),
                _own("index_price", "decimal", "index price", "quote currency"),
                _own("predicted", "bool", "true before settlement", nullable=False),
            ),
        ),
        EventType(
            "open_interest",
            (EventKind.OPEN_INTEREST,),
            "Open interest in three units; those that the venue does not send are null.",
            (
                _own("contracts", "decimal", "open contracts", "contracts"),
                _own("base_quantity", "decimal", "in base units", "base units"),
                _own("quote_value", "decimal", "in quote currency", "quote currency"),
            ),
        ),
        EventType(
            "liquidation",
            (EventKind.LIQUIDATION,),
            "A forced order; side is the order's.",
            (
                _row("liquidation_id", "int", "venue's id of the liquidation", nullable=True),
                _SIDE,
                _PRICE,
                _QUANTITY,
                _own("average_price", "decimal", "average fill price", "quote currency"),
                _own("liquidation_time", "time", "when the venue says it happened", "ns UTC"),
                _own("sampled", "bool", "the venue throttles: a sample, not a total", nullable=False),
            ),
        ),
        EventType(
            "long_short_ratio",
            (EventKind.LONG_SHORT_RATIO,),
            "Long against short, by top positions, all accounts or top accounts.",
            (
                _own("ratio_kind", "text", "top_positions, all_accounts or top_accounts", nullable=False),
                _own("long_share", "float", "long share", "fraction"),
                _own("short_share", "float", "short share", "fraction"),
                _own("ratio", "float", "long / short", "1"),
                _own("period", "text", "aggregation period, such as 5m", nullable=False),
            ),
        ),
        EventType(
            "volatility_index",
            (EventKind.VOLATILITY_INDEX,),
            "A volatility index such as DVOL.",
            (
                _own("index_name", "text", "name of the index", nullable=False),
                _own("value", "float", "annualised volatility", "percent"),
                _own("underlying", "text", "underlying", nullable=False),
                _own("maturity", "time", "maturity, null for a constant one", "ns UTC"),
                _own("finished", "bool", "false while the bar still moves", nullable=False),
            ),
        ),
        EventType(
            "option_ticker",
            (EventKind.OPTION_TICKER,),
            "Implied volatilities and greeks of one option.",
            (
                _own("strike", "decimal", "strike", "quote currency"),
                _own("expiry", "time", "expiry", "ns UTC"),
                _own("option_kind", "text", "call or put", nullable=False),
                _own("mark_iv", "float", "implied volatility of the mark", "percent"),
                _own("bid_iv", "float", "implied volatility of the bid", "percent"),
                _own("ask_iv", "float", "implied volatility of the ask", "percent"),
                _own("delta", "float", "delta", "1"),
                _own("gamma", "float", "gamma", "1 / quote currency"),
                _own("vega", "float", "vega", "quote currency / volatility point"),
                _own("theta", "float", "theta", "quote currency / day"),
                _own("rho", "float", "rho", "quote currency / percent"),
                _own("underlying_price", "decimal", "underlying price", "quote currency"),
            ),
        ),
        EventType(
            "gap",
            (EventKind.GAP,),
            "Missing data, written by whoever notices.",
            (
                _own("gap_from", "time", "last time known to be complete", "ns UTC"),
                _own("gap_to", "time", "first time known to be complete again, null while open", "ns UTC"),
                _own("reason", "int", "GapReason code", nullable=False),
                _own("lost_sequences", "int", "how many update ids are missing, null if unknown"),
            ),
        ),
    )
}

_BY_KIND = {kind: t for t in EVENT_TYPES.values() for kind in t.kinds}
_NUMPY: dict[FieldType, str] = {
    "decimal": "f8",
    "float": "f8",
    "int": "i8",
    "time": "i8",
    "text": "S32",
    "bool": "?",
}


def event_type_of(kind: int) -> EventType:
    """Return the event type that rows of ``kind`` belong to.

    Examples
    --------
    >>> event_type_of(EventKind.ORDER_ADD).name
    'orderbook_delta'
    """
    return _BY_KIND[EventKind(kind)]


def payload_dtype(kind: int) -> np.dtype[np.void]:
    """Return the record dtype of the payload table of ``kind``.

    Examples
    --------
    >>> payload_dtype(EventKind.OPEN_INTEREST).names
    ('contracts', 'base_quantity', 'quote_value')
    """
    return np.dtype([(field.name, _NUMPY[field.type]) for field in event_type_of(kind).payload_fields])
