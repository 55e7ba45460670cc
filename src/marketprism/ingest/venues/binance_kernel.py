"""The guarded parser: raw Binance lines to rows, straight from bytes.

It accepts one strict subset of JSON (no spaces, no escapes, known short keys, each once) and stops in front of
the first line that is anything else, which the slow path then decides. So it never has to be right about odd
input, only sure about ordinary input.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import NO_ID
from marketprism.core.units import inverse_base_quantity
from marketprism.ingest.venues.binance_bytes import (
    POWERS,
    match,
    read_price,
    read_quantity,
    read_unsigned,
    skip_text,
)

__all__ = ["PARAM", "SCRATCH_FLOATS", "SCRATCH_INTS", "decode_lines"]


class PARAM:
    """Columns of the instrument table (int64)."""

    PLACES = 0
    STEP = 1
    INVERSE = 2
    TRADE_CHANNEL = 3
    SYMBOL_LENGTH = 4
    INSTRUMENT = 5
    COUNT = 6


_LAST_NS = 2**63 - 1
_DEPTH_EVENT, _TICKER_EVENT, _TRADE_EVENT, _AGG_EVENT = 1, 2, 3, 4

# Scratch slots. Slots 16 to 22 hold whole numbers by key; the bit of such a field is 1 << slot.
_SLOT_SEEN, _SLOT_EVENT, _SLOT_SYMBOL, _SLOT_MAKER, _SLOT_AGGREGATE, _SLOT_PREVIOUS = 0, 1, 2, 3, 4, 5
_SLOT_BID, _SLOT_ASK, _SLOT_PRICE = 6, 8, 10  # ticks, then the value in the last decimal place
_SLOT_EVENT_TIME, _SLOT_TIME, _SLOT_FIRST, _SLOT_LAST, _SLOT_TRADE, _SLOT_FIRST_TRADE = 16, 17, 18, 19, 20, 21
_NUMBER_SLOT = np.zeros(128, np.int64)
for _key, _slot in zip(b"ETUutfl", range(16, 23), strict=True):
    _NUMBER_SLOT[_key] = _slot

SCRATCH_INTS, SCRATCH_FLOATS = 24, 3
"""Sizes of the scratch arrays of :func:`decode_lines`."""


_STREAM = np.frombuffer(b'{"stream":"', np.uint8)
_DATA = np.frombuffer(b',"data":{', np.uint8)
_AT_DEPTH = np.frombuffer(b"@depth", np.uint8)
_DEPTH_UPDATE = np.frombuffer(b'"depthUpdate"', np.uint8)
_BOOK_TICKER = np.frombuffer(b'"bookTicker"', np.uint8)
_TRADE = np.frombuffer(b'"trade"', np.uint8)
_AGG_TRADE = np.frombuffer(b'"aggTrade"', np.uint8)
_MARKET = np.frombuffer(b'"MARKET"', np.uint8)
_TRUE = np.frombuffer(b"true", np.uint8)
_FALSE = np.frombuffer(b"false", np.uint8)

# One bit for each key and shape of value, so that the set of fields decides which message it is.
_BITS = [np.int64(1 << i) for i in range(24)]
_E, _S, _PS, _LV_B, _LV_A, _PX_B, _PX_A, _CAP_B, _CAP_A, _P, _Q, _M, _CAP_M, _X, _ID_A, _ID_B = _BITS[:16]
_CAP_E, _CAP_T, _CAP_U, _U, _T, _F, _L, _PU = _BITS[16:]

_DEPTH_NEEDS = _E | _CAP_E | _S | _CAP_U | _U | _LV_B | _LV_A
_DEPTH_MAY = _DEPTH_NEEDS | _CAP_T | _PS | _PU
_TICKER_NEEDS = _S | _U | _PX_B | _CAP_B | _PX_A | _CAP_A
_TICKER_MAY = _TICKER_NEEDS | _E | _CAP_E | _CAP_T | _PS
_TRADE_NEEDS = _E | _CAP_E | _CAP_T | _S | _T | _P | _Q | _M
_TRADE_MAY = _TRADE_NEEDS | _X | _CAP_M | _ID_A | _ID_B | _PS
_AGG_NEEDS = _E | _CAP_E | _CAP_T | _S | _ID_A | _P | _Q | _F | _L | _M
_AGG_MAY = _AGG_NEEDS | _CAP_M | _PS

_FIRST, _LAST, _NONE = np.uint8(Flag.FIRST), np.uint8(Flag.LAST), np.int64(NO_ID)
_DELTA, _QUOTE, _PRINT = np.uint8(EventKind.BOOK_DELTA), np.uint8(EventKind.QUOTE), np.uint8(EventKind.TRADE)
_MS, _US = np.int64(10**6), np.int64(10**3)


@njit(cache=True)
def _receive_time(buf, pos, scale, floor, ceiling):  # type: ignore[no-untyped-def]
    """Return (ns, position after the space) of the time that begins a line, or (0, -1)."""
    start = pos
    value = np.int64(0)
    c = buf[np.uint64(pos)]
    while 48 <= c <= 57:
        value = value * 10 + (c - 48)
        pos += 1
        c = buf[np.uint64(pos)]
    digits = pos - start
    if c != 32 or digits == 0 or digits > 19 or (digits == 19 and buf[np.uint64(start)] > 56):
        return np.int64(0), -1
    if value < floor or value >= ceiling:
        return np.int64(0), -1
    return value * scale, pos + 1


@njit(cache=True)
def _exchange_time(value):  # type: ignore[no-untyped-def]
    """Return ns of an epoch time in ms or us, or -1."""
    if 10**11 <= value <= _LAST_NS // 10**6:
        return value * _MS
    if 10**14 <= value <= _LAST_NS // 10**3:
        return value * _US
    return np.int64(-1)


@njit(cache=True)
def _find_symbol(buf, pos, symbols, params):  # type: ignore[no-untyped-def]
    """Return (row of the instrument table, position after the closing quote), or (-1, -1)."""
    if buf[np.uint64(pos)] != 34:
        return -1, -1
    pos += 1
    for i in range(symbols.shape[0]):
        length = params[i, 4]
        j = 0
        while j < length and buf[np.uint64(pos + j)] == symbols[i, j]:
            j += 1
        if j == length and buf[np.uint64(pos + length)] == 34:
            return i, pos + length + 1
    return -1, -1


@njit(cache=True)
def _put(rows, n, ts_recv, instrument, side, kind, flags, price, quantity):  # type: ignore[no-untyped-def]
    row = rows[n]
    row["ts_recv"] = ts_recv
    row["instrument"] = instrument
    row["side"] = side
    row["kind"] = kind
    row["flags"] = flags
    row["price"] = price
    row["quantity"] = quantity
    row["payload"] = -1


@njit(cache=True)
def _levels(buf, pos, side, rows, n, ts_recv, param, multiplier):  # type: ignore[no-untyped-def]
    """Write the levels of ``[["price","quantity"],...]``; return (position after it, next row), or (-1, n)."""
    pos += 1
    if buf[np.uint64(pos)] == 93:
        return pos + 1, n
    places, step, inverse, instrument = param[0], param[1], param[2], param[5]
    while True:
        if buf[np.uint64(pos)] != 91:
            return -1, n
        ticks, value, pos = read_price(buf, pos + 1, places, step)
        if pos < 0 or ticks == 0 or buf[np.uint64(pos)] != 44:
            return -1, n
        quantity, pos = read_quantity(buf, pos + 1)
        if pos < 0 or buf[np.uint64(pos)] != 93:
            return -1, n
        if inverse:
            quantity = inverse_base_quantity(quantity, multiplier, value / POWERS[places])
        _put(rows, n, ts_recv, instrument, side, _DELTA, 0, ticks, quantity)
        n += 1
        c = buf[np.uint64(pos + 1)]
        pos += 2
        if c == 93:
            return pos, n
        if c != 44:
            return -1, n


@njit(cache=True)
def _quoted(buf, pos, is_bid, n, ts_recv, rows, params, multipliers, ints):  # type: ignore[no-untyped-def]
    """Read the value of key b or a: levels, a price, or an id; return (position, next row, bit)."""
    i = ints[_SLOT_SYMBOL]
    c = buf[np.uint64(pos)]
    if c == 91:
        if i < 0 or (is_bid and ints[_SLOT_SEEN] & _LV_A):
            return -1, n, _LV_A
        pos, n = _levels(buf, pos, 1 if is_bid else -1, rows, n, ts_recv, params[i], multipliers[i])
        return pos, n, _LV_B if is_bid else _LV_A
    if c == 34:
        if i < 0:
            return -1, n, _PX_A
        slot = _SLOT_BID if is_bid else _SLOT_ASK
        ints[slot], ints[slot + 1], pos = read_price(buf, pos, params[i, 0], params[i, 1])
        return pos, n, _PX_B if is_bid else _PX_A
    value, pos = read_unsigned(buf, pos)
    if is_bid:
        return pos, n, _ID_B
    ints[_SLOT_AGGREGATE] = value
    return pos, n, _ID_A


@njit(cache=True)
def _event_name(buf, pos, ints):  # type: ignore[no-untyped-def]
    """Read the value of key e; return the position after it."""
    c = buf[np.uint64(pos + 1)]
    if c == 100:
        ints[_SLOT_EVENT] = _DEPTH_EVENT
        return match(buf, pos, _DEPTH_UPDATE)
    if c == 98:
        ints[_SLOT_EVENT] = _TICKER_EVENT
        return match(buf, pos, _BOOK_TICKER)
    if c == 116:
        ints[_SLOT_EVENT] = _TRADE_EVENT
        return match(buf, pos, _TRADE)
    ints[_SLOT_EVENT] = _AGG_EVENT
    return match(buf, pos, _AGG_TRADE)


@njit(cache=True)
def _plain_key(buf, pos, k, params, symbols, ints, floats):  # type: ignore[no-untyped-def]
    """Read the value of a one-letter key other than b and a; return (position, bit)."""
    i = ints[_SLOT_SYMBOL]
    if k == 101:  # e
        return (_event_name(buf, pos, ints) if buf[np.uint64(pos)] == 34 else -1), _E
    if k == 115:  # s
        ints[_SLOT_SYMBOL], pos = _find_symbol(buf, pos, symbols, params)
        return pos, _S
    if k == 66:  # B
        floats[0], pos = read_quantity(buf, pos)
        return pos, _CAP_B
    if k == 65:  # A
        floats[1], pos = read_quantity(buf, pos)
        return pos, _CAP_A
    if k == 113:  # q
        floats[2], pos = read_quantity(buf, pos)
        return pos, _Q
    if k == 112:  # p
        if i < 0:
            return -1, _P
        ints[_SLOT_PRICE], ints[_SLOT_PRICE + 1], pos = read_price(buf, pos, params[i, 0], params[i, 1])
        return pos, _P
    if k == 88:  # X
        return match(buf, pos, _MARKET), _X
    if k in (109, 77):  # m, M
        after = match(buf, pos, _TRUE)
        truth = after >= 0
        if not truth:
            after = match(buf, pos, _FALSE)
        if k == 109:
            ints[_SLOT_MAKER] = truth
            return after, _M
        return after, _CAP_M
    return -1, _E


@njit(cache=True)
def _fields(buf, pos, n, ts_recv, rows, params, multipliers, symbols, ints, floats):  # type: ignore[no-untyped-def]
    """Read one object after its opening brace; return (position after it or -1, next row)."""
    seen = np.int64(0)
    ints[_SLOT_SEEN] = 0
    ints[_SLOT_EVENT] = 0
    ints[_SLOT_SYMBOL] = -1
    while True:
        if buf[np.uint64(pos)] != 34:
            return -1, n
        k = buf[np.uint64(pos + 1)]
        if k < 65 or k > 122:
            return -1, n
        second = buf[np.uint64(pos + 2)]
        if second == 34:
            if buf[np.uint64(pos + 3)] != 58:
                return -1, n
            slot = _NUMBER_SLOT[k]
            if slot:
                ints[slot], pos = read_unsigned(buf, pos + 4)
                bit = np.int64(1) << slot
            elif k in (98, 97):
                pos, n, bit = _quoted(buf, pos + 4, k == 98, n, ts_recv, rows, params, multipliers, ints)
            else:
                pos, bit = _plain_key(buf, pos + 4, k, params, symbols, ints, floats)
        else:
            if k != 112 or second < 65 or buf[np.uint64(pos + 3)] != 34 or buf[np.uint64(pos + 4)] != 58:
                return -1, n
            if second == 117:  # pu
                ints[_SLOT_PREVIOUS], pos = read_unsigned(buf, pos + 5)
                bit = _PU
            elif second == 115 and buf[np.uint64(pos + 5)] == 34:  # ps
                pos = skip_text(buf, pos + 6)
                bit = _PS
            else:
                return -1, n
        if pos < 0 or seen & bit:
            return -1, n
        seen |= bit
        ints[_SLOT_SEEN] = seen
        c = buf[np.uint64(pos)]
        pos += 1
        if c == 125:
            return pos, n
        if c != 44:
            return -1, n


@njit(cache=True)
def _finish(rows, start, n, stamp, last, first, previous):  # type: ignore[no-untyped-def]
    """Stamp the rows of one message with its time and ids, and mark its ends."""
    for j in range(start, n):
        row = rows[j]
        row["ts_event"] = stamp
        row["event_id"] = last
        row["first_id"] = first
        row["previous_id"] = previous
    rows[start]["flags"] |= _FIRST
    rows[n - 1]["flags"] |= _LAST
    return n


@njit(cache=True)
def _kind_of(ints, floats, is_diff):  # type: ignore[no-untyped-def]
    """Return which message the fields make, 0 for none that is exactly as expected."""
    seen, event = ints[_SLOT_SEEN], ints[_SLOT_EVENT]
    if event == _DEPTH_EVENT:
        if (seen & _DEPTH_NEEDS) == _DEPTH_NEEDS and not seen & ~_DEPTH_MAY and is_diff:
            return _DEPTH_EVENT
    elif event in (_TICKER_EVENT, 0):
        if (seen & _TICKER_NEEDS) == _TICKER_NEEDS and not seen & ~_TICKER_MAY and (event or seen == _TICKER_NEEDS):
            hollow = (ints[_SLOT_BID] == 0 and floats[0] > 0) or (ints[_SLOT_ASK] == 0 and floats[1] > 0)
            return 0 if hollow else _TICKER_EVENT
    elif ints[_SLOT_PRICE] == 0 or floats[2] == 0.0:
        return 0
    elif event == _TRADE_EVENT:
        if (seen & _TRADE_NEEDS) == _TRADE_NEEDS and not seen & ~_TRADE_MAY:
            return _TRADE_EVENT
    elif (seen & _AGG_NEEDS) == _AGG_NEEDS and not seen & ~_AGG_MAY:
        return _AGG_EVENT
    return 0


@njit(cache=True)
def _emit(kind, start, n, ts_recv, stamp, rows, param, multiplier, channels, counts, ints, floats):  # type: ignore[no-untyped-def]
    """Write the rows of one understood message (those of levels are there already); return the next row."""
    instrument = param[5]
    channel = np.int64(1) << (kind - 1)
    if instrument < 0 or not channels & channel:
        counts[0 if instrument < 0 else 1] += 1
        return start
    if kind == _DEPTH_EVENT:
        if n == start:
            _put(rows, n, ts_recv, instrument, 0, _DELTA, 0, 0, 0.0)
            n += 1
        previous = ints[_SLOT_PREVIOUS] if ints[_SLOT_SEEN] & _PU else _NONE
        return _finish(rows, start, n, stamp, ints[_SLOT_LAST], ints[_SLOT_FIRST], previous)
    scale = POWERS[param[0]]
    inverse = param[2] != 0
    if kind == _TICKER_EVENT:
        for j in range(2):
            quantity = floats[j]
            if inverse and quantity > 0.0:
                quantity = inverse_base_quantity(quantity, multiplier, ints[_SLOT_BID + 2 * j + 1] / scale)
            _put(rows, n + j, ts_recv, instrument, 1 - 2 * j, _QUOTE, 0, ints[_SLOT_BID + 2 * j], quantity)
        return _finish(rows, n, n + 2, stamp, ints[_SLOT_LAST], _NONE, _NONE)
    if param[3] == 0:
        param[3] = channel
    if param[3] != channel:
        # The other trade channel came first: taking both would count every trade twice.
        counts[2] += 1
        return start
    quantity = floats[2]
    if inverse:
        quantity = inverse_base_quantity(quantity, multiplier, ints[_SLOT_PRICE + 1] / scale)
    _put(rows, n, ts_recv, instrument, -1 if ints[_SLOT_MAKER] else 1, _PRINT, 0, ints[_SLOT_PRICE], quantity)
    if kind == _TRADE_EVENT:
        return _finish(rows, n, n + 1, stamp, ints[_SLOT_TRADE], _NONE, _NONE)
    return _finish(rows, n, n + 1, stamp, ints[_SLOT_AGGREGATE], ints[_SLOT_FIRST_TRADE], _NONE)


@njit(cache=True)
def _line(buf, pos, n, ts_recv, rows, params, multipliers, symbols, channels, counts, ints, floats):  # type: ignore[no-untyped-def]
    """Decode one message up to its newline; return (position after the newline or -1, next row)."""
    start = n
    wrapped = match(buf, pos, _STREAM)
    is_diff = True
    if wrapped >= 0:
        pos = wrapped
        while 35 <= buf[np.uint64(pos)] <= 126 and buf[np.uint64(pos)] != 64 and buf[np.uint64(pos)] != 92:
            pos += 1
        if buf[np.uint64(pos)] == 64:
            # @depth20 is a partial book in the same clothes as a diff.
            after = match(buf, pos, _AT_DEPTH)
            is_diff = after >= 0 and (buf[np.uint64(after)] == 34 or buf[np.uint64(after)] == 64)
        pos = skip_text(buf, pos)
        if pos >= 0:
            pos = match(buf, pos, _DATA)
    elif buf[np.uint64(pos)] == 123:
        pos += 1
    else:
        pos = -1
    if pos >= 0:
        pos, n = _fields(buf, pos, n, ts_recv, rows, params, multipliers, symbols, ints, floats)
    if pos >= 0 and wrapped >= 0:
        pos = pos + 1 if buf[np.uint64(pos)] == 125 else -1
    if pos < 0 or buf[np.uint64(pos)] != 10:
        return -1, start
    kind = _kind_of(ints, floats, is_diff)
    if kind == 0:
        return -1, start
    seen = ints[_SLOT_SEEN]
    stamp = _exchange_time(ints[_SLOT_EVENT_TIME]) if seen & _CAP_E else np.int64(0)
    if stamp >= 0 and seen & _CAP_T:
        stamp = _exchange_time(ints[_SLOT_TIME])
    if stamp < 0:
        return -1, start
    i = ints[_SLOT_SYMBOL]
    n = _emit(kind, start, n, ts_recv, stamp, rows, params[i], multipliers[i], channels, counts, ints, floats)
    return pos + 1, n


@njit(cache=True)
def decode_lines(buf, pos, ts_recv, unit, rows, n, params, multipliers, symbols, channels, counts, ints, floats):  # type: ignore[no-untyped-def]
    """Decode lines until the buffer ends or one is not exactly as expected.

    Parameters
    ----------
    buf : uint8 ndarray
        Whole lines; the last byte is a newline.
    pos : int
        Where the next line begins.
    ts_recv : int
        Receive time in ns of a lone message that does not begin with one, else 0.
    unit : int64 ndarray, shape (3,)
        Scale to ns, and the half-open range of receive times in the file's unit.
    rows : ndarray of ROW_DTYPE
        Output, long enough for the whole buffer.
    n : int
        Next free row.
    params, multipliers, symbols : ndarrays
        Instrument table, see :class:`PARAM`.
    channels : int
        Mask of wanted channels.
    counts : int64 ndarray, shape (4,)
        Messages left out: of other symbols, of unwanted channels, of the second trade channel; and lines read.
    ints, floats : ndarrays
        Scratch of :data:`SCRATCH_INTS` and :data:`SCRATCH_FLOATS` numbers.

    Returns
    -------
    tuple of int
        (position, next row); a position before the end is that of a line that the slow path must decide.
    """
    end = len(buf)
    while pos < end:
        if buf[np.uint64(pos)] == 10:
            pos += 1
            counts[3] += 1
            continue
        after, stamp = pos, ts_recv
        if ts_recv == 0:
            stamp, after = _receive_time(buf, pos, unit[0], unit[1], unit[2])
        if after >= 0:
            after, n = _line(buf, after, n, stamp, rows, params, multipliers, symbols, channels, counts, ints, floats)
        if after < 0:
            return pos, n
        pos = after
        counts[3] += 1
    return pos, n
