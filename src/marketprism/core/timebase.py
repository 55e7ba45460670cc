"""Nanosecond UTC times: units told by magnitude, and text both ways."""

from __future__ import annotations

from datetime import UTC, datetime

from marketprism.core.errors import DataError

__all__ = ["NS", "format_ns", "parse_time", "scale_to_ns", "unit_of"]

NS = 1_000_000_000
"""Nanoseconds in a second."""

_UNITS = {"s": (10**8, NS), "ms": (10**11, 10**6), "us": (10**14, 10**3), "ns": (10**17, 1)}


def unit_of(value: int) -> str:
    """Tell the unit of an epoch time by its magnitude (1973 to 5138 are unambiguous).

    Raises
    ------
    DataError
        The number is no epoch time in s, ms, us or ns.

    Examples
    --------
    >>> unit_of(1723161255030), unit_of(1723161255030314667)
    ('ms', 'ns')
    """
    for unit, (floor, _) in reversed(_UNITS.items()):
        if floor <= value < floor * 1000 or (unit == "ns" and value >= floor):
            return unit
    raise DataError(f"time was {value}", hint="expected epoch seconds, ms, us or ns after 1973")


def scale_to_ns(unit: str) -> int:
    """Return the factor from ``unit`` (s, ms, us, ns) to nanoseconds."""
    return _UNITS[unit][1]


def format_ns(ts: int) -> str:
    """Return ISO 8601 UTC with nine decimals.

    Examples
    --------
    >>> format_ns(1723161255030314667)
    '2024-08-08T23:54:15.030314667Z'
    """
    seconds, ns = divmod(int(ts), NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns:09d}Z"


def parse_time(text: str) -> int:
    """Return ns UTC from an epoch number in any unit or an ISO 8601 text (UTC where it names no zone).

    Examples
    --------
    >>> parse_time("2024-08-08T23:54:15Z")
    1723161255000000000
    """
    if text.lstrip("-").isdigit() and len(text) > 8:
        value = int(text)
        return value * scale_to_ns(unit_of(value))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataError(f"time was {text!r}", hint="use ISO 8601 or an epoch number") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * NS + delta.microseconds * 1000
