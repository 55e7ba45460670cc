"""A-share snapshots to event rows: continuous books, derived trades, and the breaks between them."""

from __future__ import annotations

import numpy as np
from numba import njit

from marketprism.core.kinds import EventKind, Flag

__all__ = ["AUCTION", "CONTINUOUS", "HALT", "LEVELS", "STATE", "TIME_BACK", "VOLUME_BACK", "convert", "order_faults"]

LEVELS = 10
CONTINUOUS, AUCTION, HALT = 0, 1, 2
"""What the market does at a row: continuous matching, a call auction or a break, a halt."""

STATE = 9
"""Length of the int64 state carried for each instrument."""

_LIVE, _SESSION, _LAST_TS, _DAY, _VOLUME, _VALUE, _MID2, _CALL, _SEEN = range(9)

TIME_BACK, VOLUME_BACK = 1, 2

_SNAPSHOT = np.uint8(EventKind.BOOK_SNAPSHOT)
_TRADE = np.uint8(EventKind.TRADE)
_GAP = np.uint8(EventKind.GAP)
_FIRST = np.uint8(Flag.FIRST)
_LAST = np.uint8(Flag.LAST)
_BOTH = np.uint8(Flag.FIRST | Flag.LAST)
_DERIVED_BOTH = np.uint8(Flag.FIRST | Flag.LAST | Flag.DERIVED)
_AUCTION_FLAG = np.uint8(Flag.AUCTION)


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _put(out, k, ts, latency, instrument, kind, flags, side, price, quantity):  # type: ignore[no-untyped-def]  # pragma: no cover
    row = out[k]
    row.ts_event = ts
    row.ts_recv = ts + latency
    row.kind = kind
    row.flags = flags
    row.side = side
    row.price = price
    row.quantity = quantity
    row.event_id = -1
    row.first_id = -1
    row.previous_id = -1
    row.payload = -1
    row.instrument = instrument


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _derive_trade(own, volume, value, unit, continuous):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return (price in ticks, 0 for none; side; flags) of what was traded since the instrument's previous row."""
    traded = volume - own[_VOLUME]
    turnover = value - own[_VALUE]
    each = traded * unit  # turnover at a price of one tick
    ticks = (2 * turnover + each) // (2 * each) if turnover > 0 else 0
    if not continuous or own[_CALL] == 1:
        return ticks, 0, _DERIVED_BOTH | _AUCTION_FLAG
    side = 0
    if own[_MID2] > 0:
        above = 2 * turnover - own[_MID2] * each
        side = 1 if above > 0 else (-1 if above < 0 else 0)
    return ticks, side, _DERIVED_BOTH


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _put_book(out, k, ts, latency, instrument, price, size):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write a snapshot message; return the next free row."""
    first = k
    for s in range(2):
        for j in range(LEVELS):
            if price[s, j] != 0:
                _put(out, k, ts, latency, instrument, _SNAPSHOT, 0, 1 - 2 * s, price[s, j], size[s, j])
                k += 1
    if k > first:
        out[first].flags |= _FIRST
        out[k - 1].flags |= _LAST
    return k


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def convert(  # type: ignore[no-untyped-def]
    ts,
    day,
    session,
    phase,
    call,
    emit,
    instrument,
    unit,
    volume,
    value,
    price,
    size,
    state,
    latency,
    notes,
    out,
):  # pragma: no cover
    """Convert snapshot rows; return (rows written, gaps written). ``out`` holds 2 + 20 rows a snapshot.

    ``price`` and ``size`` have shape (n, 2, 10), bids first, prices in ticks, 0 where there is no level. ``value`` is
    cumulative turnover and ``unit`` the tick, both in units of 0.0001 yuan. ``session`` numbers the continuous
    sessions (two a day), ``call`` marks rows from before the opening cross is over, ``emit`` rows inside the wanted
    window. ``state`` carries, for each instrument, what the next row needs. A gap row's ``first_id`` is 1 for a halt,
    its ``previous_id`` the time before it. ``notes`` adds up: rows outside continuous trading, days whose first row
    shows volume, turnover that gives no price.
    """
    k, gaps = 0, 0
    for i in range(len(ts)):
        own = state[instrument[i]]
        continuous = phase[i] == CONTINUOUS
        if own[_LIVE] == 1 and (not continuous or session[i] != own[_SESSION]):
            own[_LIVE] = 0
            if emit[i]:
                _put(out, k, ts[i], latency, instrument[i], _GAP, _BOTH, 0, 0, 0.0)
                out[k].payload = gaps
                out[k].first_id = 1 if phase[i] == HALT else 0
                out[k].previous_id = own[_LAST_TS]
                gaps += 1
                k += 1
            own[_MID2] = 0
        if own[_SEEN] == 0 or day[i] != own[_DAY]:
            if volume[i] > 0:
                notes[1] += 1  # traded before the first row: nobody knows when
        elif volume[i] > own[_VOLUME]:
            ticks, side, flags = _derive_trade(own, volume[i], value[i], unit[i], continuous)
            if ticks < 1:
                notes[2] += 1
            elif emit[i]:
                traded = float(volume[i] - own[_VOLUME])
                _put(out, k, ts[i], latency, instrument[i], _TRADE, flags, side, ticks, traded)
                k += 1
        own[_SEEN], own[_DAY], own[_VOLUME], own[_LAST_TS] = 1, day[i], volume[i], ts[i]
        own[_CALL] = 1 if call[i] else 0
        own[_VALUE] = value[i]
        if not continuous:
            notes[0] += 1
            continue
        first = k
        if emit[i]:
            k = _put_book(out, k, ts[i], latency, instrument[i], price[i], size[i])
        if k > first:
            own[_LIVE] = 1
            own[_SESSION] = session[i]
        both = price[i, 0, 0] != 0 and price[i, 1, 0] != 0
        own[_MID2] = price[i, 0, 0] + price[i, 1, 0] if both else 0
    return k, gaps


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def order_faults(ts, day, instrument, volume, last, fault):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Mark rows whose time or cumulative volume goes back; ``last`` (instruments, 3) carries ts, day and volume."""
    for i in range(len(ts)):
        own = last[instrument[i]]
        if ts[i] < own[0]:
            fault[i] = TIME_BACK
        elif day[i] == own[1] and volume[i] < own[2]:
            fault[i] = VOLUME_BACK
        else:
            own[0], own[1], own[2] = ts[i], day[i], volume[i]
