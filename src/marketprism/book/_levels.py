"""L2 messages: what a level row does, and what the sequencing rule makes of the message it belongs to."""

# mypy: disable-error-code="no-any-return, return-value"
# Kernels read records and array items, whose static type is Any.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from marketprism.book._ladder import clear_side, set_level
from marketprism.book._state import Count, Mode
from marketprism.book.sequencing.machine import LAST_ID, LOST, PENDING, SYNCED, Verdict
from marketprism.book.sequencing.rules import Rule, accept_snapshot, on_update
from marketprism.core.kinds import EventKind, Flag, GapReason

__all__ = ["MAX_PRICE", "add_gap", "apply_level", "begin_message", "clear_book", "hold", "mark", "replay"]

MAX_PRICE = 2**60
"""Largest price in ticks; larger ones never reach a book."""

_SNAPSHOT = int(EventKind.BOOK_SNAPSHOT)
_FIRST = int(Flag.FIRST)
_DROP, _APPLY, _BUFFER = int(Mode.DROP), int(Mode.APPLY), int(Mode.BUFFER)
_V_APPLY, _V_STALE, _V_DUPLICATE, _V_GAP, _V_RESET = (
    int(Verdict.APPLY),
    int(Verdict.STALE),
    int(Verdict.DUPLICATE),
    int(Verdict.GAP),
    int(Verdict.RESET),
)
_NO_RULE, _DERIBIT = int(Rule.NONE), int(Rule.DERIBIT)
_SEQUENCE = int(GapReason.SEQUENCE)
_C_SNAPSHOTS, _C_REFUSED, _C_BUFFERED, _C_EVICTED = (
    int(Count.SNAPSHOTS),
    int(Count.SNAPSHOTS_REFUSED),
    int(Count.BUFFERED),
    int(Count.BUFFER_DROPPED),
)
_C_BEFORE, _C_STALE, _C_DUPLICATES, _C_GAPS, _C_RESETS = (
    int(Count.BEFORE_SNAPSHOT),
    int(Count.STALE_DROPPED),
    int(Count.DUPLICATES),
    int(Count.GAPS),
    int(Count.RESETS),
)
_C_STARTS, _C_UNKNOWN, _C_EMPTY, _C_BAD = (
    int(Count.FIRST_UPDATE_STARTS),
    int(Count.UNKNOWN_LEVEL_REMOVED),
    int(Count.EMPTY_SNAPSHOT_LEVELS),
    int(Count.BAD_ROWS),
)


@njit(cache=True, inline="always")
def mark(s: Any, side: int, key: int) -> None:
    """Note that a level changed, if that can change the depth record."""
    if key >= s.threshold[side]:
        s.dirty[side] = 1


@njit(cache=True, inline="always")
def apply_level(s: Any, ladder: np.ndarray, bits: np.ndarray, overflow: np.ndarray, row: Any) -> None:
    """Apply one BOOK_SNAPSHOT or BOOK_DELTA row; a row of side 0 stands for a message without levels."""
    if row.side == 0:
        return
    quantity, price = row.quantity, row.price
    if not (0.0 <= quantity < np.inf) or price <= 0 or price > MAX_PRICE:
        s.counters[_C_BAD] += 1
        return
    side = 0 if row.side > 0 else 1
    key = price if side == 0 else -price
    if quantity == 0.0 and row.kind == _SNAPSHOT:
        s.counters[_C_EMPTY] += 1
        return
    old = set_level(s, ladder, bits, overflow, side, key, quantity)
    if old != quantity:
        mark(s, side, key)
    elif quantity == 0.0:
        s.counters[_C_UNKNOWN] += 1


@njit(cache=True)
def clear_book(s: Any, ladder: np.ndarray, bits: np.ndarray) -> None:
    """Empty both sides and forget that they were crossed."""
    for side in range(2):
        clear_side(s, ladder, bits, side)
        s.dirty[side] = 1
    s.crossed_since = -1
    s.crossed_out = 0


@njit(cache=True)
def add_gap(s: Any, gaps: np.ndarray, row: Any, reason: int, lost: int) -> None:
    """Record that the book became invalid at ``row``."""
    gap = gaps[s.gap_count]
    gap.ts_event = row.ts_event
    gap.ts_recv = row.ts_recv
    gap.gap_from = s.last_applied
    gap.lost = lost
    gap.reason = reason
    s.gap_count += 1
    s.counters[_C_GAPS] += 1


@njit(cache=True)
def _mode_of_update(s: Any, ladder: np.ndarray, bits: np.ndarray, row: Any, gaps: np.ndarray) -> int:
    """Ask the rule about an update and return what to do with its rows."""
    verdict = on_update(s.rule, s.machine, row)
    if verdict in (_V_APPLY, _V_RESET):
        s.counters[_C_RESETS] += verdict == _V_RESET
        return _APPLY
    if verdict == _V_STALE:
        s.counters[_C_STALE] += 1
        return _DROP
    if verdict == _V_DUPLICATE:
        s.counters[_C_DUPLICATES] += 1
        return _DROP
    if verdict == _V_GAP:
        add_gap(s, gaps, row, _SEQUENCE, s.machine[LOST])
    if s.first_update == 1:
        clear_book(s, ladder, bits)
        s.machine[SYNCED] = 1
        s.machine[LAST_ID] = row.event_id
        s.machine[PENDING] = 0
        s.joined = 1
        s.counters[_C_STARTS] += 1
        return _APPLY
    if s.rule in (_NO_RULE, _DERIBIT) or row.event_id < 0:
        s.counters[_C_BEFORE] += 1
        return _DROP
    s.counters[_C_BUFFERED] += 1
    return _BUFFER


@njit(cache=True)
def _mode_of_snapshot(s: Any, ladder: np.ndarray, bits: np.ndarray, buffer: np.ndarray, row: Any) -> int:
    """Ask the rule about a snapshot; an accepted one clears the book."""
    start, end = s.buffer_start, s.buffer_end
    held = 1 if end > start else 0
    first = second = start if held else 0
    for i in range(start + 1, end):
        if buffer[i].flags & _FIRST:
            held, second = 2, i
            break
    if not accept_snapshot(s.rule, s.machine, row.event_id, held, buffer[first], buffer[second]):
        s.counters[_C_REFUSED] += 1
        return _DROP
    s.counters[_C_SNAPSHOTS] += 1
    s.joined = 1
    clear_book(s, ladder, bits)
    return _APPLY


@njit(cache=True)
def begin_message(s: Any, ladder: np.ndarray, bits: np.ndarray, buffer: np.ndarray, gaps: np.ndarray, row: Any) -> None:
    """Decide at its first row what happens to an L2 message."""
    s.mode_kind = row.kind
    if row.kind == _SNAPSHOT:
        s.mode = _mode_of_snapshot(s, ladder, bits, buffer, row)
    else:
        s.mode = _mode_of_update(s, ladder, bits, row, gaps)


@njit(cache=True)
def hold(s: Any, buffer: np.ndarray, row: Any) -> None:
    """Append a row to the buffer; when that is full, its oldest messages make room."""
    if s.buffer_end == len(buffer):
        cut = s.buffer_start + max(1, len(buffer) // 4)
        while cut < s.buffer_end and not buffer[cut].flags & _FIRST:
            cut += 1
        s.counters[_C_EVICTED] += min(cut, s.buffer_end) - s.buffer_start
        kept = max(s.buffer_end - cut, 0)
        for i in range(kept):
            buffer[i] = buffer[cut + i]
        s.buffer_start, s.buffer_end = 0, kept
        if kept == 0 and not row.flags & _FIRST:  # the head of the open message is lost
            s.mode = _DROP
            s.counters[_C_EVICTED] += 1
            return
    buffer[s.buffer_end] = row
    s.buffer_end += 1


@njit(cache=True)
def replay(
    s: Any, ladder: np.ndarray, bits: np.ndarray, overflow: np.ndarray, buffer: np.ndarray, gaps: np.ndarray
) -> None:
    """Apply the held messages to the snapshot that just ended; a gap among them keeps the rest held."""
    i, end = s.buffer_start, s.buffer_end
    mode = _DROP
    while i < end:
        if buffer[i].flags & _FIRST:
            mode = _mode_of_update(s, ladder, bits, buffer[i], gaps)
            if mode == _BUFFER:
                s.buffer_start = i
                return
            if mode == _APPLY:
                s.last_applied = buffer[i].ts_event
        if mode == _APPLY:
            apply_level(s, ladder, bits, overflow, buffer[i])
        i += 1
    s.buffer_start = s.buffer_end = 0
