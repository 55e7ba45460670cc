"""The guarded CSV field parser: plain fields at full speed, anything unusual handed back to Python."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["BLANK", "FIXED", "FLOAT", "OK", "SKIP", "TEXT", "TEXT_BYTES", "UNUSUAL", "parse_rows"]

SKIP, FIXED, FLOAT, TEXT = 0, 1, 2, 3
OK, BLANK, UNUSUAL = 0, 1, 2
TEXT_BYTES = 32
"""Longest text cell; a longer one is rejected."""

_LIMIT = 10**17  # one more digit still fits int64
_EXACT = 2**53 // 10 - 1  # one more digit is still an exact float64
_POW10_INT = np.array([10**i for i in range(19)], np.int64)
_POW10 = np.array([float(10**i) for i in range(23)], np.float64)
_COMMA, _QUOTE, _MINUS, _DOT, _ZERO, _NINE, _CR = 44, 34, 45, 46, 48, 57, 13
_E, _SMALL_E = 69, 101
# Membership is tested in tuples: Numba would build a set for every test.


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _plain_fixed(buf, a, b, digits, exact):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return (ok, value * 10**digits rounded half to even) of the number in buf[a:b]."""
    negative = buf[a] == _MINUS
    i = a + 1 if negative else a
    if i >= b:
        return False, 0
    value = np.int64(0)
    seen = 0
    while i < b and _ZERO <= buf[i] <= _NINE:
        if value >= _LIMIT:
            return False, 0
        value = value * 10 + (buf[i] - _ZERO)
        i += 1
        seen += 1
    taken = 0
    dropped, sticky = np.int64(0), False  # first digit beyond, and whether anything follows it
    if i < b and buf[i] == _DOT:
        i += 1
        place = 0
        while i < b and _ZERO <= buf[i] <= _NINE:
            digit = np.int64(buf[i] - _ZERO)
            if taken < digits:
                if value >= _LIMIT:
                    return False, 0
                value = value * 10 + digit
                taken += 1
            elif place == 0:
                dropped = digit
                place = 1
            elif digit != 0:
                sticky = True
            i += 1
            seen += 1
    if i != b or seen == 0:
        return False, 0
    if exact and (dropped != 0 or sticky):
        return False, 0
    while taken < digits and value != 0:
        if value >= _LIMIT:
            return False, 0
        value *= 10
        taken += 1
    if dropped > 5 or (dropped == 5 and (sticky or value % 2 == 1)):
        value += 1
    return True, -value if negative else value


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _fixed(buf, a, b, digits, exact):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Like ``_plain_fixed``, with an exponent: it moves the point, so the mantissa is read with more digits."""
    ok, value = _plain_fixed(buf, a, b, digits, exact)
    if ok:
        return True, value
    for i in range(b - 1, max(a, b - 5), -1):
        if buf[i] in (_E, _SMALL_E):
            below = i + 1 < b and buf[i + 1] == _MINUS
            power = 0
            if i + 1 + below == b:
                return False, 0
            for j in range(i + 1 + below, b):
                if not _ZERO <= buf[j] <= _NINE:
                    return False, 0
                power = power * 10 + (buf[j] - _ZERO)
            shifted = digits - power if below else digits + power
            if shifted < 0 or shifted > 40:
                return False, 0
            return _plain_fixed(buf, a, i, shifted, exact)
    return False, 0


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _float(buf, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return (ok, correctly rounded float): an exact integer times or over an exact power of ten."""
    negative = buf[a] == _MINUS
    i = a + 1 if negative else a
    if i >= b:
        return False, 0.0
    value = np.int64(0)
    seen = 0
    while i < b and _ZERO <= buf[i] <= _NINE:
        if value > _EXACT:
            return False, 0.0
        value = value * 10 + (buf[i] - _ZERO)
        i += 1
        seen += 1
    scale, zeros = np.int64(0), 0
    if i < b and buf[i] == _DOT:
        i += 1
        while i < b and _ZERO <= buf[i] <= _NINE:
            zeros += 1
            seen += 1
            if buf[i] != _ZERO:
                while zeros > 1:
                    if value > _EXACT:
                        return False, 0.0
                    value *= 10
                    scale += 1
                    zeros -= 1
                if value > _EXACT:
                    return False, 0.0
                value = value * 10 + (buf[i] - _ZERO)
                scale += 1
                zeros = 0
            i += 1
    if seen == 0:
        return False, 0.0
    if i < b and buf[i] in (_E, _SMALL_E):
        i += 1
        below = i < b and buf[i] == _MINUS
        i += below
        power = np.int64(0)
        if i == b:
            return False, 0.0
        while i < b and _ZERO <= buf[i] <= _NINE and power < 100:
            power = power * 10 + (buf[i] - _ZERO)
            i += 1
        scale += power if below else -power
    if i != b or scale > 22 or scale < -22:
        return False, 0.0
    result = value / _POW10[scale] if scale >= 0 else value * _POW10[-scale]
    return True, -result if negative else result


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _bounds(buf, i, end):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return (start, stop, where the comma or the line's end is) of the cell at ``i``; -1 for broken quotes."""
    a = i
    if i < end and buf[i] == _QUOTE:
        a = i + 1
        i = a
        while i < end and buf[i] != _QUOTE:
            i += 1
        if i >= end or (i + 1 < end and buf[i + 1] != _COMMA):
            return a, a, -1
        return a, i, i + 1
    while i < end and buf[i] != _COMMA:
        i += 1
    return a, i, i


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def parse_rows(  # type: ignore[no-untyped-def]
    buf, starts, ends, kinds, slots, digits, exact, optional, default, width, status, out_int, out_float, out_text
):  # pragma: no cover
    """Parse lines ``buf[starts[r]:ends[r]]`` into column arrays; ``status[r]`` says OK, BLANK or UNUSUAL.

    ``kinds``, ``slots``, ``digits``, ``exact``, ``optional`` and ``default`` have one entry for each field of the
    file; ``width`` is the exact number of fields, or 0 for "at least len(kinds)". Column values go to row
    ``slots[field]`` of the output of their kind, ``out_int[slot, r]`` and so on.
    """
    fields = len(kinds)
    for r in range(len(starts)):
        i, end = starts[r], ends[r]
        if end > i and buf[end - 1] == _CR:
            end -= 1
        if i == end:
            status[r] = BLANK
            continue
        field, good = 0, True
        while good:
            a, b, i = _bounds(buf, i, end)
            good = i >= 0
            kind = kinds[field] if good and field < fields else SKIP
            if kind != SKIP:
                # Written out here: handing the output arrays to a function costs more than reading the cell.
                slot = slots[field]
                if a == b:
                    good = optional[field]
                    if kind == FIXED:
                        out_int[slot, r] = np.int64(default[field])
                    elif kind == FLOAT:
                        out_float[slot, r] = default[field]
                elif kind == FIXED:
                    good, out_int[slot, r] = _fixed(buf, a, b, digits[field], exact[field])
                elif kind == FLOAT:
                    good, out_float[slot, r] = _float(buf, a, b)
                if kind == TEXT:
                    good = good and b - a <= TEXT_BYTES
                    for k in range(TEXT_BYTES):
                        out_text[slot, r, k] = buf[a + k] if good and k < b - a else 0
            field += 1
            if i >= end:
                break
            i += 1  # behind the comma; a line that ends on it has one more, empty field
        enough = field >= fields and (width in (0, field))
        status[r] = OK if good and enough else UNUSUAL
