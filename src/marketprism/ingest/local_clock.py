"""Local date and time texts, in the many spellings of exchange exports, to days and nanoseconds."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["BAD", "parse_stamps"]

BAD = -1
"""Nanoseconds of a text that is no time, and day of one that is no date."""

_MAX_GROUPS = 8
_SECOND = 1_000_000_000


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _days(year, month, day):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return days since 1970-01-01, or BAD where there is no such day."""
    if year < 1970 or year > 2200 or month < 1 or month > 12 or day < 1:
        return BAD
    leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    longest = 31
    if month in (4, 6, 9, 11):
        longest = 30
    elif month == 2:
        longest = 29 if leap else 28
    if day > longest:
        return BAD
    y = year - 1 if month <= 2 else year
    shifted = month + 9 if month <= 2 else month - 3
    of_year = (153 * shifted + 2) // 5 + day - 1
    era = y // 400
    of_era = y - era * 400
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _clock(hour, minute, second, fraction):  # type: ignore[no-untyped-def]  # pragma: no cover
    if hour > 23 or minute > 59 or second > 59:
        return BAD
    return ((hour * 60 + minute) * 60 + second) * _SECOND + fraction


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _fraction(value, length):  # type: ignore[no-untyped-def]  # pragma: no cover
    for _ in range(9 - length):
        value *= 10
    return value


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _compact(value, length):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return ns of HHMMSS, HHMMSSmmm or HHMMSSuuuuuu; a leading zero of the hour may be missing."""
    fraction = np.int64(0)
    if length > 9:
        if length > 12:
            return BAD
        fraction = value % 1_000_000 * 1_000
        value //= 1_000_000
    elif length > 6:
        fraction = value % 1_000 * 1_000_000
        value //= 1_000
    return _clock(value // 10_000, value // 100 % 100, value % 100, fraction)


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _time(values, lengths, first, count):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return ns of the groups from ``first``: one compact group, or hour, minute, second and a fraction."""
    groups = count - first
    if groups == 1 or (groups == 2 and values[first + 1] == 0 and lengths[first] > 2):
        return _compact(values[first], lengths[first])
    if groups not in (3, 4) or lengths[first] > 2 or lengths[first + 1] > 2 or lengths[first + 2] > 2:
        return BAD
    fraction = np.int64(0)
    if groups == 4:
        if lengths[first + 3] > 9:
            return BAD
        fraction = _fraction(values[first + 3], lengths[first + 3])
    return _clock(values[first], values[first + 1], values[first + 2], fraction)


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _parse(text, with_date, with_time, days, ns):  # type: ignore[no-untyped-def]  # pragma: no cover
    values = np.zeros(_MAX_GROUPS, np.int64)
    lengths = np.zeros(_MAX_GROUPS, np.int64)
    for r in range(len(text)):
        days[r], ns[r] = BAD, BAD
        count, inside, good = 0, False, True
        for c in text[r]:
            if c == 0:
                break
            if 48 <= c <= 57:
                if not inside:
                    if count == _MAX_GROUPS:
                        good = False
                        break
                    values[count], lengths[count] = 0, 0
                    count += 1
                    inside = True
                if lengths[count - 1] == 17:
                    good = False
                    break
                values[count - 1] = values[count - 1] * 10 + (c - 48)
                lengths[count - 1] += 1
            elif c in (32, 45, 46, 47, 58, 84, 95):  # blank - . / : T _
                inside = False
            else:
                good = False
                break
        if not good or count == 0:
            continue
        first = 0
        if with_date:
            if lengths[0] == 4 and count >= 3 and lengths[1] <= 2 and lengths[2] <= 2:
                days[r] = _days(values[0], values[1], values[2])
                first = 3
            elif lengths[0] == 8:
                days[r] = _days(values[0] // 10_000, values[0] // 100 % 100, values[0] % 100)
                first = 1
            elif lengths[0] in (14, 17) and count == 1:
                rest = lengths[0] - 8
                date = values[0] // 10**rest
                days[r] = _days(date // 10_000, date // 100 % 100, date % 100)
                values[0] %= 10**rest
                lengths[0] = rest
            else:
                continue
        if with_time:
            if first < count:
                ns[r] = _time(values, lengths, first, count)
        elif first < count and not (count == first + 1 and values[first] == 0):
            days[r] = BAD  # something follows the date


def parse_stamps(text: np.ndarray, *, date: bool, time: bool) -> tuple[np.ndarray, np.ndarray]:
    """Read local dates, times, or both from text cells.

    Dates: ``2021-12-01`` with any of ``-./_`` or none. Times: ``9:30:03.000`` with up to nine decimals, or compact
    HHMMSS, HHMMSSmmm, HHMMSSuuuuuu whose first zero may be missing (``93003000``). Both: separated, or 14 or 17
    digits.

    Parameters
    ----------
    text : ndarray of bytes (``S``), shape (n,)
        The cells.
    date, time : bool
        What the cells hold.

    Returns
    -------
    days : int64 ndarray, shape (n,)
        Days since 1970-01-01; :data:`BAD` where the text is no date or ``date`` is false.
    ns : int64 ndarray, shape (n,)
        Nanoseconds after local midnight; :data:`BAD` where the text is no time or ``time`` is false.

    Examples
    --------
    >>> days, ns = parse_stamps(np.array([b"2021.12.01T09:15:02.000", b"20211301 9:15:02"]), date=True, time=True)
    >>> days.tolist(), (ns // 10**9).tolist()
    ([18962, -1], [33302, 33302])
    """
    n, width = len(text), text.dtype.itemsize
    days, ns = np.full(n, BAD, np.int64), np.full(n, BAD, np.int64)
    if n and width:
        _parse(np.ascontiguousarray(text).view(np.uint8).reshape(n, width), date, time, days, ns)
    return days, ns
