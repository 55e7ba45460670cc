"""Exchange-local days and the gap records between sessions, shared by the file sources."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from marketprism.core.errors import ConfigError, DataError
from marketprism.core.kinds import EventKind, Flag, GapReason
from marketprism.core.rows import empty_rows
from marketprism.core.schema import payload_dtype
from marketprism.core.timebase import NS

__all__ = ["Gap", "find_date", "gap_records", "gap_rows", "local_midnight_ns", "option_ns", "parse_date"]

Gap = tuple[int, int, GapReason]
"""(last time known to be complete, first time complete again or 0, reason), ns UTC."""

_DATE = re.compile(r"(?<!\d)(\d{4})([-_.]?)(\d{2})\2(\d{2})(?!\d)")
_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": NS}


def parse_date(text: str) -> date:
    """Return the day that ``2012-06-21``, ``20120621``, ``2012.06.21`` or ``2012/06/21`` names.

    Raises
    ------
    DataError
        The text is no day.

    Examples
    --------
    >>> parse_date("20120621").isoformat()
    '2012-06-21'
    """
    match = re.fullmatch(r"(\d{4})[-_./]?(\d{2})[-_./]?(\d{2})", text.strip())
    try:
        if match is None:
            raise ValueError("no match")
        return date(*(int(part) for part in match.groups()))
    except ValueError as error:
        raise DataError(f"date was {text!r}", hint="write it as 2012-06-21") from error


def find_date(name: str) -> date | None:
    """Return the first calendar day written in a file name, or None.

    Examples
    --------
    >>> find_date("GOOG_2012-06-21_34200000_57600000_message_10").isoformat()
    '2012-06-21'
    >>> find_date("20131007_bac_Quote_Tick").isoformat(), find_date("AAPL_34200000")
    ('2013-10-07', None)
    """
    for match in _DATE.finditer(name):
        year, _, month, day = match.groups()
        try:
            found = date(int(year), int(month), int(day))
        except ValueError:
            continue
        if 1970 < found.year < 2100:
            return found
    return None


def local_midnight_ns(day: date, zone: str) -> int:
    """Return local midnight of ``day`` in ``zone`` as ns UTC.

    Adding "nanoseconds after midnight" to it is right except between midnight and a change of the clocks on that
    day, when no exchange here trades.

    Examples
    --------
    >>> local_midnight_ns(date(2012, 6, 21), "America/New_York")
    1340251200000000000
    """
    moment = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * NS


def option_ns(text: str, name: str = "latency") -> int:
    """Return a duration such as ``250us``, ``1.5ms`` or ``40`` (ns) in nanoseconds.

    Examples
    --------
    >>> option_ns("250us"), option_ns("")
    (250000, 0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ns|us|ms|s)?", text or "0")
    if match is None:
        raise ConfigError(f"{name} was {text!r}", hint="write a duration such as 250us or 1ms")
    return round(float(match[1]) * _UNITS[match[2] or "ns"])


def gap_rows(ts: int, *, latency: int = 0, instrument: int = 0, payload: int = 0) -> np.ndarray:
    """Return the one row of a gap noticed at ``ts`` whose record is number ``payload`` of its block."""
    rows = empty_rows(1)
    rows["ts_event"], rows["ts_recv"] = ts, ts + latency
    rows["kind"], rows["flags"] = EventKind.GAP, Flag.FIRST | Flag.LAST
    rows["instrument"], rows["payload"] = instrument, payload
    return rows


def gap_records(gaps: Sequence[Gap]) -> np.ndarray:
    """Return the payload table of gaps in which no sequence number was lost."""
    records = np.zeros(len(gaps), payload_dtype(EventKind.GAP))
    for index, (start, stop, reason) in enumerate(gaps):
        records[index] = (start, stop, int(reason), -1)
    return records
