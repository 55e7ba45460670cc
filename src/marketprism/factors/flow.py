"""Order flow from trades: volumes, signs and their persistence, sizes, waiting times, intensity."""

from __future__ import annotations

import numpy as np
from numba import njit

from marketprism.core.timebase import NS
from marketprism.factors._flow_factors import FlowParams, flow_factors
from marketprism.factors.base import Family, Setup
from marketprism.factors.marks import AFTER, BEFORE, RESET, TOP, TRADE, VALID
from marketprism.factors.windows import LOG_TWO, decay, window_sum

__all__ = ["FAMILY"]

_STATE = np.dtype(
    [
        ("valid", np.int64),
        ("bid", np.int64),
        ("ask", np.int64),
        ("mid", np.float64),  # at the close of the bucket before, ticks, NaN where invalid
        ("last_sign", np.int64),  # of the segment's last signed trade, 0 before
        ("run", np.int64),
        ("last_trade", np.int64),
        ("trades", np.int64),  # in the segment
        ("closed", np.int64),
        ("start", np.int64),  # first trade of the segment, -1 before
        ("time", np.int64),  # of the last decay
    ]
)
# Columns of a bucket's sums.
_VOLUME, _SIGNED, _CLASSIFIED, _COUNT, _COST, _SIGNED_COUNT, _SIGN_SUM, _PRODUCTS = range(8)
_CROSS, _FIRST_SIGN, _LAST_SIGN, _WAIT, _WAITS, _QUOTED, _CROSSING, _DURATION, _OPEN_MID = range(8, 17)
_COLUMNS = 17


def _state(setup: Setup) -> dict[str, np.ndarray]:
    p = setup.params
    state = np.zeros(1, _STATE)
    state["start"], state["mid"] = -1, np.nan
    longest = max(p.buckets, default=1)
    return {
        "state": state,
        "bucket": np.zeros(_COLUMNS),
        "history": np.zeros((longest, _COLUMNS)),
        "bucket_windows": np.array(p.buckets, np.int64),
        "trade_windows": np.array(p.trades, np.int64),
        "recent": np.zeros((max(p.trades, default=1), 2)),
        "recent_time": np.zeros(max(p.trades, default=1), np.int64),
        "rates": np.array([LOG_TWO / (h * NS) for h in p.half_lives_s]),
        "decayed": np.zeros((len(p.half_lives_s), 3)),
    }


@njit(cache=True)
def _fade(s, rates, decayed, time):  # type: ignore[no-untyped-def]
    if time > s.time:
        for h in range(len(rates)):
            left = decay(time - s.time, rates[h])
            decayed[h, 0] *= left
            decayed[h, 1] *= left
            decayed[h, 2] *= left
        s.time = time


@njit(cache=True)
def _sign(s, bucket, sign):  # type: ignore[no-untyped-def]
    if bucket[_SIGNED_COUNT] == 0:
        bucket[_FIRST_SIGN] = sign
        bucket[_CROSS] = sign * s.last_sign
    else:
        bucket[_PRODUCTS] += sign * s.last_sign
    bucket[_SIGNED_COUNT] += 1
    bucket[_SIGN_SUM] += sign
    bucket[_LAST_SIGN] = sign
    s.run = s.run + sign if sign == s.last_sign else sign
    s.last_sign = sign


@njit(cache=True)
def _trade(s, row, time, bucket, rates, decayed, recent, recent_time):  # type: ignore[no-untyped-def]
    sign, quantity = row.side, row.quantity
    bucket[_VOLUME] += quantity
    bucket[_COUNT] += 1
    bucket[_COST] += row.price * quantity
    if s.trades > 0:
        bucket[_WAIT] += time - s.last_trade
        bucket[_WAITS] += 1
    else:
        s.start = s.time = time
    s.last_trade = time
    slot = s.trades % len(recent)
    recent[slot, 0] = sign * quantity
    recent[slot, 1] = quantity if sign else 0.0
    recent_time[slot] = time
    s.trades += 1
    _fade(s, rates, decayed, time)
    for h in range(len(rates)):
        decayed[h, 0] += sign * quantity
        decayed[h, 1] += quantity if sign else 0.0
        decayed[h, 2] += 1.0
    if sign:
        bucket[_SIGNED] += sign * quantity
        bucket[_CLASSIFIED] += quantity
        _sign(s, bucket, sign)
        if s.valid:
            bucket[_QUOTED] += quantity
            if (sign > 0 and row.price >= s.ask) or (sign < 0 and row.price <= s.bid):
                bucket[_CROSSING] += quantity


@njit(cache=True, error_model="numpy")
def _persistence(history, closed, length):  # type: ignore[no-untyped-def]
    """Return the mean product of consecutive signs, and their sample autocorrelation, over the last buckets."""
    count = total = products = first = last = cross = 0.0
    for back in range(length):
        b = history[(closed - 1 - back) % len(history)]
        if b[_SIGNED_COUNT] == 0:
            continue
        products += cross + b[_PRODUCTS]
        cross = b[_CROSS]
        if count == 0:
            last = b[_LAST_SIGN]
        first = b[_FIRST_SIGN]
        count += b[_SIGNED_COUNT]
        total += b[_SIGN_SUM]
    if count < 2:
        return np.nan, np.nan
    if count < 3 or abs(total) == count:
        return products / (count - 1), np.nan
    mean = total / count
    covariance = products - mean * (2.0 * total - first - last) + (count - 1) * mean * mean
    return products / (count - 1), covariance / (count * (1.0 - mean * mean))


@njit(cache=True, error_model="numpy")
def _window(s, history, n, out, at, stride):  # type: ignore[no-untyped-def]
    if s.closed < n:
        return
    volume = window_sum(history, _VOLUME, s.closed, n)
    count = window_sum(history, _COUNT, s.closed, n)
    signed = window_sum(history, _SIGNED, s.closed, n)
    classified = window_sum(history, _CLASSIFIED, s.closed, n)
    waits = window_sum(history, _WAITS, s.closed, n)
    quoted = window_sum(history, _QUOTED, s.closed, n)
    duration = window_sum(history, _DURATION, s.closed, n)
    out[at] = volume
    out[at + stride] = signed
    if classified > 0:
        out[at + 2 * stride] = signed / classified
    out[at + 3 * stride] = count
    if count > 0:
        out[at + 4 * stride] = volume / count
    out[at + 5 * stride], out[at + 6 * stride] = _persistence(history, s.closed, n)
    if waits > 0:
        out[at + 7 * stride] = window_sum(history, _WAIT, s.closed, n) / waits / NS
    if quoted > 0:
        out[at + 8 * stride] = window_sum(history, _CROSSING, s.closed, n) / quoted
    if duration > 0:
        out[at + 9 * stride] = count / duration * NS
    spread = s.ask - s.bid
    if volume > 0 and s.valid and spread > 0:
        vwap = window_sum(history, _COST, s.closed, n) / volume
        out[at + 10 * stride] = (vwap - history[(s.closed - n) % len(history), _OPEN_MID]) / spread


@njit(cache=True, error_model="numpy")
def _emit(s, record, bucket, history, bucket_windows, trade_windows, recent, recent_time, rates, decayed, out):  # type: ignore[no-untyped-def]
    out[:] = np.nan
    bucket[_DURATION] = record.duration_ns
    bucket[_OPEN_MID] = s.mid
    history[s.closed % len(history)] = bucket
    s.closed += 1
    bucket[:] = 0.0
    for w in range(len(bucket_windows)):
        _window(s, history, bucket_windows[w], out, w, len(bucket_windows))
    j = 11 * len(bucket_windows)
    s.mid = 0.5 * (s.bid + s.ask) if s.valid else np.nan
    if s.last_sign:
        out[j] = s.run
    j += 1
    for n in trade_windows:
        if s.trades >= n:
            signed = classified = 0.0
            for back in range(n):
                slot = (s.trades - 1 - back) % len(recent)
                signed += recent[slot, 0]
                classified += recent[slot, 1]
            if classified > 0:
                out[j] = signed / classified
            lasted = record.ts_end - recent_time[(s.trades - n) % len(recent)]
            if lasted > 0:
                out[j + 1] = n / lasted * NS
        j += 2
    _fade(s, rates, decayed, record.ts_end)
    for h in range(len(rates)):
        elapsed = (record.ts_end - s.start) * rates[h]
        if s.start >= 0 and elapsed >= LOG_TWO:
            out[j] = decayed[h, 0]
            if decayed[h, 1] > 0:
                out[j + 1] = decayed[h, 0] / decayed[h, 1]
            out[j + 2] = decayed[h, 2] * rates[h] * NS / (1.0 - np.exp(-elapsed))
        j += 3


@njit(cache=True)
def _reset(s, bucket, decayed):  # type: ignore[no-untyped-def]
    s.last_sign = s.run = s.trades = s.closed = 0
    s.start = -1
    s.mid = np.nan
    bucket[:] = 0.0
    decayed[:] = 0.0


@njit(cache=True)
def _kernel(  # type: ignore[no-untyped-def]
    rows, top, depth_price, depth_quantity, marks, clock, buckets,
    state, bucket, history, bucket_windows, trade_windows, recent, recent_time, rates, decayed, out,
):  # fmt: skip
    s = state[0]
    k = 0
    for i in range(len(marks)):
        mark = marks[i]
        if mark & (BEFORE | AFTER | RESET | TOP | TRADE) == 0:
            continue
        if mark & BEFORE:
            _emit(s, buckets[k], bucket, history, bucket_windows, trade_windows,
                  recent, recent_time, rates, decayed, out[k])  # fmt: skip
            k += 1
        if mark & RESET:
            _reset(s, bucket, decayed)
        if mark & TRADE:
            _trade(s, rows[i], clock[i], bucket, rates, decayed, recent, recent_time)
        if mark & TOP:
            view = top[i]
            s.valid = 1 if view.status & VALID else 0
            s.bid, s.ask = view.bid, view.ask
        if mark & AFTER:
            _emit(s, buckets[k], bucket, history, bucket_windows, trade_windows,
                  recent, recent_time, rates, decayed, out[k])  # fmt: skip
            k += 1


FAMILY = Family(name="flow", factors=flow_factors, state=_state, kernel=_kernel, wants=TOP | TRADE, params=FlowParams)
