"""Codes, ticks and sessions of the Shanghai and Shenzhen exchanges."""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np

from marketprism.core.errors import DataError
from marketprism.core.instrument import Instrument

__all__ = [
    "CLOSING_CALL_SINCE",
    "MINUTE",
    "SHANGHAI_OFFSET_NS",
    "instrument_of",
    "phase_of_text",
    "sessions_of",
    "split_code",
]

MINUTE = 60_000_000_000
SHANGHAI_OFFSET_NS = 8 * 60 * MINUTE
"""China time is UTC+8, without daylight saving since 1991."""

CLOSING_CALL_SINCE = {"sse": 17_763, "szse": 13_330}
"""First day (since 1970) with a closing call auction: 2018-08-20 in Shanghai, 2006-07-01 in Shenzhen."""

CONTINUOUS, AUCTION, HALT = 0, 1, 2
_SUFFIX = {"SH": "sse", "SS": "sse", "XSHG": "sse", "SZ": "szse", "XSHE": "szse"}
_MILLI_PREFIXES = {"sse": ("5", "11", "9"), "szse": ("15", "16", "18", "12")}
_HALTS = {"SUSP", "P", "H", "V", "M", "N", "VOLA", "8"}


def split_code(text: str) -> tuple[str, str]:
    """Return (exchange, six-digit code) of a security id, with or without a suffix.

    Without one the exchange follows from the code: Shanghai numbers stocks from 6, funds from 5, bonds from 11 and
    B shares from 9; the rest is Shenzhen's. Leading zeros that an export lost are put back.

    Raises
    ------
    DataError
        The text is no security id.

    Examples
    --------
    >>> split_code("600311"), split_code("1.SZ"), split_code("000001.SH")
    (('sse', '600311'), ('szse', '000001'), ('sse', '000001'))
    """
    match = re.fullmatch(r"(\d{1,6})(?:\.([A-Za-z]{2,4}))?", text.strip())
    if match is None or (match[2] and match[2].upper() not in _SUFFIX):
        raise DataError(f"security id was {text!r}", hint="write it as 600311 or 600311.SH")
    code = match[1].zfill(6)
    if match[2]:
        return _SUFFIX[match[2].upper()], code
    return ("sse" if code.startswith(("5", "6", "9", "11")) else "szse"), code


def instrument_of(exchange: str, code: str, tick: Decimal | None = None, *, raw: str = "") -> Instrument:
    """Return the instrument: 0.01 yuan a tick; funds, bonds and Shanghai B shares 0.001.

    Examples
    --------
    >>> instrument_of("sse", "510300").tick_size
    Decimal('0.001')
    """
    milli = code.startswith(_MILLI_PREFIXES[exchange])
    return Instrument(
        exchange=exchange,
        market_type="equity",
        symbol=code,
        tick_size=tick or Decimal("0.001" if milli else "0.01"),
        lot_size=Decimal(1),
        raw_symbol="" if raw == code else raw,
    )


def phase_of_text(text: bytes) -> int:
    """Return what a trading-phase text says: 0 continuous, 1 auction or closed, 2 halted.

    Spellings: ``TRADE``, ``OCALL``, ``CCALL``, ``SUSP``, ... of the Shanghai files; the letter codes ``T``, ``O``,
    ``C``, ``B``, ``E``, ``H``, ... that both exchanges send (only their first letter matters: ``T111``); and digits,
    3 continuous and 8 halted. An empty text leaves it to the clock.

    Examples
    --------
    >>> [phase_of_text(t) for t in (b"TRADE", b"T111", b"OCALL", b"H0", b"3", b"")]
    [0, 0, 1, 2, 0, 0]
    """
    word = text.decode("ascii", "replace").strip().upper()
    if word in {"", "TRADE", "3"} or re.fullmatch(r"T[0-9 ]*", word):
        return CONTINUOUS
    letters = re.fullmatch(r"([A-Z])[0-9 ]*", word)
    return HALT if word in _HALTS or (letters is not None and letters[1] in _HALTS) else AUCTION


def sessions_of(ns: np.ndarray, closing_call: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tell the trading session by the local clock.

    Continuous matching runs from 9:30 to 11:30 and from 13:00 to 15:00, or 14:57 where a closing call auction
    follows. A snapshot stamped with the very end of a half still shows its book; one of 14:57:00 is the call's.

    Parameters
    ----------
    ns : int64 ndarray, shape (n,)
        Nanoseconds after local midnight.
    closing_call : bool ndarray, shape (n,)
        Whether the last three minutes are a call auction (Shenzhen; Shanghai since 2018-08-20).

    Returns
    -------
    continuous : bool ndarray, shape (n,)
        Whether orders are matched continuously.
    half : int64 ndarray, shape (n,)
        0 in the morning, 1 from noon.
    opening : bool ndarray, shape (n,)
        Whether the opening cross is still to come (before 9:25).
    """
    minutes = ns / MINUTE
    morning = (minutes >= 570) & (minutes <= 690)
    afternoon = (minutes >= 780) & np.where(closing_call, minutes < 897, minutes <= 900)
    return morning | afternoon, (minutes >= 720).astype(np.int64), minutes < 565
