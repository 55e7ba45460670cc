"""The clock's one pass over the rows: accumulate, and cut where the rule in force says so.

Order at each row, which is also the precedence of triggers when several fall on one row:

1. a full bucket closes before the first message of a later event time, by its own trigger;
2. a gap (GAP row, or the book losing its sequence) closes the open bucket before the row, at the last event
   seen, and starts a new segment; the unfinished calibration slot is dropped;
3. otherwise finished calibration slots roll, and the kernel returns to have the rule renewed when that is due;
4. the time cap (or reference edge) closes the bucket before the first message at or after it, at the boundary;
   the next one starts at the last boundary at or before the message, so that silence makes no empty buckets;
5. the row is counted; when all requirements hold at the end of a message, the bucket is full.

A full bucket ends at the event time of the message that filled it: everything stamped with that very time is in it,
the rest of the sweep and the book update that the trade caused included. So its last mid is the last one at or before
its end, whichever of trade and book the venue writes first, and a sweep is never split. A full bucket that meets a gap
or the end of the stream keeps its own trigger. What happens at the time at which a bucket started does not fill it
alone: it lasts until the event clock has moved.

Gaps apart, cuts fall between messages only. A row closes one bucket at most, before itself: the next one is empty
then, and a bucket without a row is never written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from marketprism.book.views import ViewStatus
from marketprism.buckets.record import BUCKET_DTYPE, Cut, Trigger
from marketprism.core.kinds import EventKind, Flag

__all__ = ["CLOCK_DTYPE", "advance", "finish", "new_clock"]

CLOCK_DTYPE = np.dtype(
    [
        ("clock", np.int64),  # running maximum of ts_event
        ("ts_recv", np.int64),  # of the last row
        ("next_id", np.int64),
        ("segment", np.int64),
        ("mid", np.float64),  # in force now, quote currency
        ("spread", np.int64),
        ("tick", np.float64),
        ("boundary", np.int64),  # time cap of the open bucket
        ("rows", np.int64),  # rows in the open bucket
        ("is_open", np.uint8),
        ("full", np.uint8),  # requirements hold; closes when the event clock moves on
        ("synced", np.uint8),
        ("message_book", np.uint8),  # the open message has a book row
        ("need_volume", np.float64),  # the rule of the open bucket, fixed when it opened
        ("need_elapsed", np.int64),
        ("need_trades", np.int64),
        ("need_updates", np.int64),
        ("cap", np.int64),
        ("needs", np.uint8),
        ("aligned", np.uint8),
        ("reference", np.uint8),
        ("trigger", np.uint8),
        ("slot_ns", np.int64),  # calibration: 0 switches it off
        ("slot_end", np.int64),  # of the running slot; _NEVER while there is none
        ("slot_volume", np.float64),
        ("slot_trades", np.int64),
        ("slot_updates", np.int64),
        ("slots", np.int64),  # finished so far
        ("slots_to_renewal", np.int64),
    ],
    align=True,
)

_NEVER = np.iinfo(np.int64).max
_LONG_AGO = np.iinfo(np.int64).min
_FIRST, _LAST, _AUCTION = int(Flag.FIRST), int(Flag.LAST), int(Flag.AUCTION)
_TRADE, _GAP = int(EventKind.TRADE), int(EventKind.GAP)
_BOOK_LOW, _BOOK_HIGH, _QUOTE = int(EventKind.BOOK_SNAPSHOT), int(EventKind.ORDER_EXECUTE), int(EventKind.QUOTE)
_SYNCED, _VALID = int(ViewStatus.SYNCED), int(ViewStatus.VALID)
_BEFORE = int(Cut.BEFORE)
_BY_TIME, _BY_GAP, _BY_REFERENCE = int(Trigger.TIME), int(Trigger.GAP), int(Trigger.REFERENCE)


def new_clock(tick: float, slot_ns: int, renewal_slots: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the state of a clock that has seen nothing: the CLOCK_DTYPE record and the open bucket's."""
    state = np.zeros(1, CLOCK_DTYPE)
    state["clock"] = state["ts_recv"] = _LONG_AGO
    state["mid"], state["spread"], state["tick"] = np.nan, -1, tick
    state["slot_ns"], state["slot_end"], state["slots_to_renewal"] = slot_ns, _NEVER, renewal_slots
    return state, np.zeros(1, BUCKET_DTYPE)


@njit(cache=True)
def _open(state: Any, bucket: Any, rule: Any, edges: np.ndarray, ts: int) -> None:
    state["is_open"] = 1
    state["full"] = 0
    state["rows"] = 0
    state["need_volume"] = rule["volume"]
    state["need_elapsed"] = rule["elapsed"]
    state["need_trades"] = rule["trades"]
    state["need_updates"] = rule["updates"]
    state["needs"] = rule["volume"] > 0 or rule["elapsed"] > 0 or rule["trades"] > 0 or rule["updates"] > 0
    state["cap"] = rule["cap"]
    state["aligned"] = rule["aligned"]
    state["reference"] = rule["reference"]
    state["trigger"] = rule["trigger"]
    if state["reference"]:
        edge = np.searchsorted(edges, ts, side="right")
        state["boundary"] = edges[edge] if edge < len(edges) else _NEVER
    elif state["cap"] == 0:
        state["boundary"] = _NEVER
    elif state["aligned"]:
        state["boundary"] = (ts // state["cap"] + 1) * state["cap"]
    else:
        state["boundary"] = ts + state["cap"]
    bucket["segment"] = state["segment"]
    bucket["ts_start"] = ts
    bucket["trades"] = 0
    bucket["updates"] = 0
    bucket["volume"] = 0.0
    bucket["buy_volume"] = 0.0
    bucket["sell_volume"] = 0.0
    bucket["notional"] = 0.0
    bucket["open"] = np.nan
    bucket["high"] = np.nan
    bucket["low"] = np.nan
    bucket["close"] = np.nan
    bucket["mid_open"] = state["mid"]


@njit(cache=True)
def _close(state: Any, bucket: Any, out: np.ndarray, n: int, ts_end: int, ts_known: int, trigger: int) -> None:
    ts_end = max(ts_end, bucket["ts_start"] + 1)
    bucket["bucket_id"] = state["next_id"]
    bucket["ts_end"] = ts_end
    bucket["ts_known"] = ts_known
    bucket["duration_ns"] = ts_end - bucket["ts_start"]
    bucket["vwap"] = bucket["notional"] / bucket["volume"] if bucket["volume"] > 0 else np.nan
    bucket["mid_last"] = state["mid"]
    bucket["spread_last_ticks"] = state["spread"]
    bucket["trigger"] = trigger
    out[n] = bucket
    state["next_id"] += 1
    # The event clock never runs behind a bucket's end, so that the next one cannot overlap it.
    state["clock"] = max(state["clock"], ts_end)


@njit(cache=True)
def _last_boundary(state: Any, bucket: Any, edges: np.ndarray, ts: int) -> Any:
    if state["reference"]:
        return edges[np.searchsorted(edges, ts, side="right") - 1]
    if state["aligned"]:
        return ts // state["cap"] * state["cap"]
    return bucket["ts_start"] + (ts - bucket["ts_start"]) // state["cap"] * state["cap"]


@njit(cache=True)
def _roll(state: Any, ring: np.ndarray, ts: int) -> Any:
    """Move finished slots into the ring (silent ones too); return whether the rates are due for renewal."""
    finished = (ts - state["slot_end"]) // state["slot_ns"] + 1
    # Silence longer than the ring fills it with zeros once, whatever its length.
    for k in range(min(finished, len(ring) + 1)):
        at = state["slots"] % len(ring)
        ring[at, 0] = state["slot_volume"] if k == 0 else 0.0
        ring[at, 1] = state["slot_trades"] if k == 0 else 0.0
        ring[at, 2] = state["slot_updates"] if k == 0 else 0.0
        state["slots"] += 1
    state["slot_volume"] = 0.0
    state["slot_trades"] = 0
    state["slot_updates"] = 0
    state["slot_end"] += finished * state["slot_ns"]
    state["slots_to_renewal"] -= finished
    return state["slots_to_renewal"] <= 0


@njit(cache=True)
def _count_trade(state: Any, bucket: Any, row: Any) -> None:
    quantity = row["quantity"]
    price = row["price"] * state["tick"]
    if bucket["trades"] == 0:
        bucket["open"] = price
        bucket["high"] = price
        bucket["low"] = price
    bucket["high"] = max(bucket["high"], price)
    bucket["low"] = min(bucket["low"], price)
    bucket["close"] = price
    bucket["trades"] += 1
    bucket["volume"] += quantity
    bucket["notional"] += price * quantity
    if row["side"] > 0:
        bucket["buy_volume"] += quantity
    elif row["side"] < 0:
        bucket["sell_volume"] += quantity
    state["slot_volume"] += quantity
    state["slot_trades"] += 1


@njit(cache=True)
def _complete(state: Any, bucket: Any) -> Any:
    return (
        state["needs"] != 0
        and bucket["volume"] >= state["need_volume"]
        and bucket["trades"] >= state["need_trades"]
        and bucket["updates"] >= state["need_updates"]
        and state["clock"] - bucket["ts_start"] >= max(state["need_elapsed"], 1)
    )


@njit(cache=True)
def _count(state: Any, bucket: Any, row: Any) -> None:
    state["rows"] += 1
    if state["slot_end"] == _NEVER:
        state["slot_end"] = state["clock"] + state["slot_ns"]
    if row["kind"] == _TRADE:
        if not row["flags"] & _AUCTION:
            _count_trade(state, bucket, row)
    elif _BOOK_LOW <= row["kind"] <= _BOOK_HIGH or row["kind"] == _QUOTE:
        state["message_book"] = 1


@njit(cache=True)
def _pass_boundary(
    state: Any, bucket: Any, rule: Any, edges: np.ndarray, out: np.ndarray, n: int, clock: int, ts_recv: int
) -> Any:
    """Close at the time cap or edge, where there is something to close, and reopen; return whether it closed."""
    closes = state["rows"] > 0
    if closes:
        by = _BY_REFERENCE if state["reference"] else _BY_TIME
        _close(state, bucket, out, n, state["boundary"], ts_recv, by)
    _open(state, bucket, rule, edges, _last_boundary(state, bucket, edges, clock))
    return closes


@njit(cache=True)
def _pass_full(
    state: Any, bucket: Any, rule: Any, edges: np.ndarray, out: np.ndarray, n: int, clock: int, ts_recv: int
) -> Any:
    """Close a full bucket, and reopen, where the event clock moves on; return whether it closed."""
    closes = state["full"] != 0 and clock > state["clock"]
    if closes:
        _close(state, bucket, out, n, state["clock"], ts_recv, state["trigger"])
        _open(state, bucket, rule, edges, state["clock"])
    return closes


@njit(cache=True)
def _close_here(state: Any, bucket: Any, out: np.ndarray, n: int, ts_recv: int, trigger: int) -> Any:
    """Close what is open at the last event seen, a full bucket by its own trigger; return whether it closed."""
    closes = state["is_open"] != 0 and state["rows"] > 0
    if closes:
        _close(state, bucket, out, n, state["clock"], ts_recv, state["trigger"] if state["full"] else trigger)
    return closes


@njit(cache=True)
def _start_segment(state: Any) -> None:
    state["is_open"] = 0
    state["full"] = 0
    state["segment"] += 1
    state["slot_end"] = _NEVER
    state["slot_volume"] = 0.0
    state["slot_trades"] = 0
    state["slot_updates"] = 0
    state["mid"] = np.nan
    state["spread"] = -1


@njit(cache=True)
def _see(state: Any, view: Any) -> None:
    if view["status"] & _VALID:
        state["mid"] = (view["bid"] + view["ask"]) * 0.5 * state["tick"]
        state["spread"] = view["ask"] - view["bid"]
    else:
        state["mid"] = np.nan
        state["spread"] = -1


@njit(cache=True)
def advance(
    rows: np.ndarray,
    top: np.ndarray,
    start: int,
    states: np.ndarray,
    open_bucket: np.ndarray,
    rules: np.ndarray,
    edges: np.ndarray,
    ring: np.ndarray,
    cuts: np.ndarray,
    out: np.ndarray,
) -> tuple[int, int, bool]:
    """Run the clock over ``rows[start:]``.

    Parameters
    ----------
    rows, top : ndarray of ROW_DTYPE and VIEW_DTYPE, shape (n,)
        Rows of one instrument and the book after each.
    start : int
        First row to take.
    states, open_bucket, rules : ndarray, shape (1,)
        Clock and open bucket (both changed), and the rule of buckets that open from now on.
    edges : int64 ndarray
        Reference edges, increasing; may be empty.
    ring : float64 ndarray, shape (slots, 3)
        Volume, trades and updates of finished calibration slots (changed).
    cuts, out : uint8 ndarray of shape (n,), ndarray of BUCKET_DTYPE
        Cut bits, and closed buckets from the beginning (both written).

    Returns
    -------
    next_row : int
        First row not taken: n, or less when ``out`` is full or the rates are to be renewed.
    buckets : int
        Buckets written.
    renew : bool
        The rates are due for renewal before ``next_row`` is taken.
    """
    state, bucket, rule = states[0], open_bucket[0], rules[0]
    n = 0
    for i in range(start, len(rows)):
        if n == len(out):
            return i, n, False
        row, view = rows[i], top[i]
        clock = max(row["ts_event"], state["clock"])
        synced = (view["status"] & _SYNCED) != 0
        first = (row["flags"] & _FIRST) != 0
        if first and _pass_full(state, bucket, rule, edges, out, n, clock, row["ts_recv"]):
            cuts[i] |= _BEFORE
            n += 1
        if row["kind"] == _GAP or (state["synced"] != 0 and not synced):
            if _close_here(state, bucket, out, n, row["ts_recv"], _BY_GAP):
                cuts[i] |= _BEFORE
                n += 1
            _start_segment(state)
        elif state["slot_ns"] > 0 and clock >= state["slot_end"] and _roll(state, ring, clock):
            return i, n, True
        passed = state["is_open"] and not state["full"] and first and clock >= state["boundary"]
        if passed and _pass_boundary(state, bucket, rule, edges, out, n, clock, row["ts_recv"]):
            cuts[i] |= _BEFORE
            n += 1
        clock = max(row["ts_event"], state["clock"])
        state["clock"] = clock
        state["ts_recv"] = row["ts_recv"]
        state["synced"] = synced
        if first:
            state["message_book"] = 0
        if row["kind"] != _GAP:
            if not state["is_open"]:
                _open(state, bucket, rule, edges, clock)
            _count(state, bucket, row)
        _see(state, view)
        if (row["flags"] & _LAST) != 0 and row["kind"] != _GAP:
            if state["message_book"]:
                bucket["updates"] += 1
                state["slot_updates"] += 1
            if _complete(state, bucket):
                state["full"] = 1
    return len(rows), n, False


@njit(cache=True)
def finish(states: np.ndarray, open_bucket: np.ndarray, out: np.ndarray, trigger: int) -> int:
    """Close what is open at the last event seen, into ``out[0]``; return how many buckets that wrote (0 or 1)."""
    state = states[0]
    n = 1 if _close_here(state, open_bucket[0], out, 0, state["ts_recv"], trigger) else 0
    state["is_open"] = 0
    state["full"] = 0
    return n
