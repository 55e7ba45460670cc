"""Byte scanners for the guarded parser: each reads one exact thing, or says -1 and leaves it to the slow path.

All rely on the buffer ending in a newline: a newline matches nothing, so no scanner passes it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from marketprism.core.decimals import MAX_QUANTITY, MAX_TICKS

__all__ = ["POWERS", "match", "read_price", "read_quantity", "read_unsigned", "skip_text"]

POWERS = np.array([10.0**i for i in range(23)])
"""Powers of ten that a float holds exactly."""

_INT_POWERS = np.array([10**i for i in range(19)], np.int64)
_EXACT = 2**53
_DIGITS = 18
_ZERO, _NINE, _QUOTE, _POINT, _BACKSLASH = 48, 57, 34, 46, 92


@njit(cache=True)
def match(buf, pos, text):  # type: ignore[no-untyped-def]
    """Return the position after ``text``, or -1."""
    for i in range(len(text)):
        if buf[np.uint64(pos + i)] != text[i]:
            return -1
    return pos + len(text)


@njit(cache=True)
def skip_text(buf, pos):  # type: ignore[no-untyped-def]
    """Return the position after the closing quote of printable ASCII without escapes, or -1."""
    while True:
        c = buf[np.uint64(pos)]
        if c == _QUOTE:
            return pos + 1
        if c < 32 or c > 126 or c == _BACKSLASH:
            return -1
        pos += 1


@njit(cache=True)
def read_unsigned(buf, pos):  # type: ignore[no-untyped-def]
    """Return a JSON integer of at most 18 digits and the position after it, or (0, -1)."""
    start = pos
    value = np.int64(0)
    c = buf[np.uint64(pos)]
    while _ZERO <= c <= _NINE:
        value = value * 10 + (c - _ZERO)
        pos += 1
        if pos - start > _DIGITS:
            return np.int64(0), -1
        c = buf[np.uint64(pos)]
    if pos == start or (buf[np.uint64(start)] == _ZERO and pos - start > 1):
        return np.int64(0), -1
    return value, pos


@njit(cache=True)
def read_price(buf, pos, places, step):  # type: ignore[no-untyped-def]
    """Return (ticks, value times 10**places, position after the closing quote) of a quoted price, or (0, 0, -1).

    ``places`` and ``step`` say the tick: ``step / 10**places``. Digits beyond ``places`` must be zeros.
    """
    if buf[np.uint64(pos)] != _QUOTE:
        return np.int64(0), np.int64(0), -1
    pos += 1
    start = pos
    value = np.int64(0)
    c = buf[np.uint64(pos)]
    while _ZERO <= c <= _NINE:
        value = value * 10 + (c - _ZERO)
        pos += 1
        if pos - start + places > _DIGITS:
            return np.int64(0), np.int64(0), -1
        c = buf[np.uint64(pos)]
    if pos == start:
        return np.int64(0), np.int64(0), -1
    missing = places
    if c == _POINT:
        pos += 1
        first = pos
        c = buf[np.uint64(pos)]
        while missing > 0 and _ZERO <= c <= _NINE:
            value = value * 10 + (c - _ZERO)
            missing -= 1
            pos += 1
            c = buf[np.uint64(pos)]
        while c == _ZERO:
            pos += 1
            c = buf[np.uint64(pos)]
        if pos == first or pos - first > _DIGITS:
            return np.int64(0), np.int64(0), -1
    if c != _QUOTE:
        return np.int64(0), np.int64(0), -1
    value *= _INT_POWERS[missing]
    ticks = value
    if step != 1:
        ticks = value // step
        if ticks * step != value:
            return np.int64(0), np.int64(0), -1
    if ticks >= MAX_TICKS:
        return np.int64(0), np.int64(0), -1
    return ticks, value, pos + 1


@njit(cache=True)
def read_quantity(buf, pos):  # type: ignore[no-untyped-def]
    """Return a quoted decimal as the nearest float and the position after the closing quote, or (0.0, -1).

    Digits and power of ten are exact floats, so one division rounds correctly.
    """
    if buf[np.uint64(pos)] != _QUOTE:
        return 0.0, -1
    pos += 1
    start = pos
    value = np.int64(0)
    c = buf[np.uint64(pos)]
    while _ZERO <= c <= _NINE:
        value = value * 10 + (c - _ZERO)
        pos += 1
        if pos - start > _DIGITS:
            return 0.0, -1
        c = buf[np.uint64(pos)]
    if pos == start:
        return 0.0, -1
    places = 0
    if c == _POINT:
        first = pos + 1
        pos += 1
        c = buf[np.uint64(pos)]
        while _ZERO <= c <= _NINE:
            value = value * 10 + (c - _ZERO)
            pos += 1
            if pos - start > _DIGITS:
                return 0.0, -1
            c = buf[np.uint64(pos)]
        places = pos - first
        if places == 0:
            return 0.0, -1
    if c != _QUOTE or value >= _EXACT:
        return 0.0, -1
    number = value / POWERS[places]
    if number >= MAX_QUANTITY:
        return 0.0, -1
    return number, pos + 1
