"""Slow Binance data: mark price and funding, liquidations, open interest, long/short ratios."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import numpy as np

from marketprism.core.block import payload_event
from marketprism.core.decimals import MAX_QUANTITY, parse_decimal, parse_quantity, parse_ticks
from marketprism.core.errors import Action, DataError
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind
from marketprism.core.timebase import scale_to_ns, unit_of
from marketprism.core.units import inverse_base_quantity

__all__ = ["SLOW_KINDS", "PayloadEvent", "SlowEvent"]

PayloadEvent = tuple[np.ndarray, np.ndarray]
"""One row and its one payload record, as :func:`marketprism.core.block.payload_event` returns them."""


@dataclass(frozen=True, slots=True)
class SlowEvent:
    """One slow event before its instrument is known.

    ``once`` names the polled list that the event came in, empty where nothing repeats.
    """

    symbol: str
    kind: EventKind
    ts_event: int
    own: dict[str, Any]
    once: str = ""
    side: int = 0
    price: str = ""
    quantity: str = ""
    contracts: str = ""

    def event(self, instrument: Instrument, index: int, ts_recv: int) -> PayloadEvent:
        """Return the row and record, numbers checked and converted to the instrument's units."""
        own = dict(self.own)
        ticks, amount = 0, 0.0
        if self.price:
            ticks = parse_ticks(self.price, instrument.tick_size)
            amount = parse_quantity(self.quantity)
            if ticks == 0 or amount == 0:
                raise _bad("price or quantity not positive", f"{self.price} {self.quantity}")
            if instrument.market_type == "inverse":
                amount = inverse_base_quantity(amount, float(instrument.contract_multiplier), float(self.price))
        if self.contracts:
            number = parse_quantity(self.contracts)
            own["contracts"] = number
            if instrument.market_type == "inverse":
                own["quote_value"] = number * float(instrument.contract_multiplier)
            else:
                own["base_quantity"] = number
        return payload_event(
            self.kind,
            ts_event=self.ts_event,
            ts_recv=ts_recv,
            instrument=index,
            side=self.side,
            price=ticks,
            quantity=amount,
            **own,
        )


class _Mark(msgspec.Struct):
    E: int
    s: str
    p: str
    T: int = 0
    i: str = ""
    r: str = ""


class _Premium(msgspec.Struct):
    symbol: str
    markPrice: str  # noqa: N815 (the venue's spelling)
    time: int
    indexPrice: str = ""  # noqa: N815
    lastFundingRate: str = ""  # noqa: N815
    nextFundingTime: int = 0  # noqa: N815


class _Order(msgspec.Struct):
    s: str
    S: str
    p: str
    q: str
    T: int
    ap: str = ""


class _Force(msgspec.Struct):
    E: int
    o: _Order


class _Interest(msgspec.Struct):
    symbol: str
    openInterest: str  # noqa: N815
    time: int


class _Ratio(msgspec.Struct):
    longShortRatio: str  # noqa: N815
    timestamp: int
    symbol: str = ""
    pair: str = ""
    longAccount: str = ""  # noqa: N815
    shortAccount: str = ""  # noqa: N815
    longPosition: str = ""  # noqa: N815
    shortPosition: str = ""  # noqa: N815


def _bad(reason: str, value: object) -> DataError:
    return DataError(f"{reason}: was {str(value)[:200]!r}", action=Action.SKIP, reason=reason)


def _time(value: int) -> int:
    unit = unit_of(value) if 10**11 <= value < 10**17 else ""
    if unit not in {"ms", "us"} or value * scale_to_ns(unit) > 2**63 - 1:
        raise _bad("exchange time out of range", value)
    return value * scale_to_ns(unit)


def _number(text: str, what: str) -> float:
    """Return the value of a text that may be empty (NaN); non-finite numbers are refused."""
    if not text:
        return float("nan")
    value = float(parse_decimal(text, what))
    if abs(value) >= MAX_QUANTITY:
        raise _bad(f"{what} out of range", text)
    return value


def _funding(symbol: str, time: int, rate: str, paid: int, mark: str, index: str) -> SlowEvent | str:
    if not rate or not paid:
        return "mark prices without funding left out"
    own = {
        "rate": _number(rate, "rate"),
        "funding_time": _time(paid),
        "mark_price": _number(mark, "price"),
        "index_price": _number(index, "price"),
        "predicted": True,
    }
    return SlowEvent(symbol, EventKind.FUNDING_RATE, _time(time), own)


def _mark(raw: bytes, ts_recv: int, url: str) -> SlowEvent | str:
    del ts_recv, url
    m = _MARK(raw)
    return _funding(m.s, m.E, m.r, m.T, m.p, m.i)


def _premium(raw: bytes, ts_recv: int, url: str) -> SlowEvent | str:
    del ts_recv, url
    m = _PREMIUM(raw)
    return _funding(m.symbol, m.time, m.lastFundingRate, m.nextFundingTime, m.markPrice, m.indexPrice)


def _force(raw: bytes, ts_recv: int, url: str) -> SlowEvent | str:
    del ts_recv, url
    m = _FORCE(raw)
    sides = {"BUY": 1, "SELL": -1}
    if m.o.S not in sides:
        raise _bad("side unknown", m.o.S)
    own = {"average_price": _number(m.o.ap, "price"), "liquidation_time": _time(m.o.T), "sampled": True}
    return SlowEvent(m.o.s, EventKind.LIQUIDATION, _time(m.E), own, side=sides[m.o.S], price=m.o.p, quantity=m.o.q)


def _interest(raw: bytes, ts_recv: int, url: str) -> SlowEvent | str:
    del ts_recv, url
    m = _INTEREST(raw)
    return SlowEvent(m.symbol, EventKind.OPEN_INTEREST, _time(m.time), {}, once="interest", contracts=m.openInterest)


_RATIO_KINDS = {
    "topLongShortPositionRatio": "top_positions",
    "topLongShortAccountRatio": "top_accounts",
    "globalLongShortAccountRatio": "all_accounts",
}


def _ratio(raw: bytes, ts_recv: int, url: str) -> SlowEvent | str:
    del ts_recv
    match = re.search(r"/futures/data/(\w+)", url)
    kind = _RATIO_KINDS.get(match[1], "") if match else ""
    if not kind:
        return "long/short ratios without a URL that says which left out"
    query = parse_qs(urlsplit(url).query)
    m = _RATIO(raw)
    own = {
        "ratio_kind": kind,
        "long_share": _number(m.longAccount or m.longPosition, "ratio"),
        "short_share": _number(m.shortAccount or m.shortPosition, "ratio"),
        "ratio": _number(m.longShortRatio, "ratio"),
        "period": query.get("period", [""])[0],
    }
    symbol = m.symbol or (f"{m.pair}_PERP" if m.pair else query.get("symbol", [""])[0].upper())
    return SlowEvent(symbol, EventKind.LONG_SHORT_RATIO, _time(m.timestamp), own, once=f"{kind} {own['period']}")


_MARK = msgspec.json.Decoder(_Mark).decode
_PREMIUM = msgspec.json.Decoder(_Premium).decode
_FORCE = msgspec.json.Decoder(_Force).decode
_INTEREST = msgspec.json.Decoder(_Interest).decode
_RATIO = msgspec.json.Decoder(_Ratio).decode

SLOW_KINDS: dict[str, tuple[str, Callable[[bytes, int, str], SlowEvent | str]]] = {
    "markPriceUpdate": ("markPrice", _mark),
    "premiumIndex": ("markPrice", _premium),
    "forceOrder": ("forceOrder", _force),
    "openInterest": ("openInterest", _interest),
    "ratio": ("ratio", _ratio),
}
"""Message kind -> its channel and its reader; a text in place of an event is why it was left out."""
