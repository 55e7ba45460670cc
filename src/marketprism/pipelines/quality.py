"""Data quality, measured on the way: events, gaps, clocks, spread states and intraday distributions."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import expm1
from typing import Any

import numpy as np
from numba import njit

from marketprism.book.views import ViewStatus
from marketprism.core.block import EventBlock
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag, GapReason
from marketprism.core.rows import NO_ID
from marketprism.core.schema import event_type_of

__all__ = ["GapEntry", "QualityMonitor", "QualitySummary", "SpreadStates"]

MINUTES = 1440
IMBALANCE_BINS = 20
SPREAD_BINS = 6  # locked or crossed, 1, 2, 3, 4 to 9, 10 and more ticks

_SKEW_FLOOR_NS = 1000.0
_SKEW_STEP = 1e-3  # relative resolution of the clock histogram
_SKEW_BINS = 30_000  # a side: up to 1e13 times the floor
_MAX_LISTED_GAPS = 1000

_LAST = int(Flag.LAST)
_AUCTION = int(Flag.AUCTION)
_SYNCED = int(ViewStatus.SYNCED)
_LOCKED = int(ViewStatus.LOCKED)
_CROSSED = int(ViewStatus.CROSSED)
_VALID = int(ViewStatus.VALID)
_BOOK_KINDS = (1, 2, 3, 4, 5, 6, int(EventKind.QUOTE))
_MINUTE_NS = 60_000_000_000


@njit(cache=True)
def _skew_bin(delta: int) -> int:
    size = np.log1p(abs(delta) / _SKEW_FLOOR_NS) / _SKEW_STEP
    k = min(int(size), _SKEW_BINS - 1)
    return _SKEW_BINS + k if delta >= 0 else _SKEW_BINS - 1 - k


@njit(cache=True)
def _observe(
    rows: np.ndarray,
    top: np.ndarray,
    is_book_kind: np.ndarray,
    kinds: np.ndarray,
    clock: np.ndarray,
    skew: np.ndarray,
    states: np.ndarray,
    spread_day: np.ndarray,
    imbalance_day: np.ndarray,
) -> None:
    """Add the complete messages of ``rows`` to every counter; ``clock`` is first/last/min/max/sum and count."""
    for i in range(len(rows)):
        row = rows[i]
        if not row.flags & _LAST:
            continue
        kinds[row.kind] += 1
        delta = row.ts_recv - row.ts_event
        clock[0] = min(clock[0], row.ts_recv)
        clock[1] = max(clock[1], row.ts_recv)
        clock[2] = min(clock[2], delta)
        clock[3] = max(clock[3], delta)
        clock[4] += 1
        skew[_skew_bin(delta)] += 1
        view = top[i]
        if not is_book_kind[row.kind] or row.flags & _AUCTION or not view.status & _SYNCED:
            continue
        states[0] += 1
        minute = (row.ts_event // _MINUTE_NS) % MINUTES
        if view.status & _LOCKED:
            states[1] += 1
            spread_day[minute, 0] += 1
        elif view.status & _CROSSED:
            states[2] += 1
            spread_day[minute, 0] += 1
        elif view.status & _VALID:
            spread = view.ask - view.bid
            states[2 + min(spread, 3)] += 1
            spread_day[minute, min(spread, 3) if spread < 4 else (4 if spread < 10 else 5)] += 1
            total = view.bid_quantity + view.ask_quantity
            if total > 0.0:
                x = (view.bid_quantity - view.ask_quantity) / total
                imbalance_day[minute, min(int((x + 1.0) * 0.5 * IMBALANCE_BINS), IMBALANCE_BINS - 1)] += 1


@dataclass(frozen=True, slots=True)
class SpreadStates:
    """Shares of complete book messages by state of the best quotes after them.

    Attributes
    ----------
    one, two, three_plus : float
        Share of messages with a valid spread of 1, 2, 3 or more ticks, among valid ones (NaN without any).
    locked, crossed : float
        Share of locked and of crossed ones among all synchronised messages.
    messages : int
        Synchronised book messages, auctions left out.
    """

    one: float
    two: float
    three_plus: float
    locked: float
    crossed: float
    messages: int

    @classmethod
    def from_counts(cls, counts: np.ndarray) -> SpreadStates:
        """Build from (all, locked, crossed, 1, 2, 3+) counts."""
        valid = counts[3:6].sum()
        with np.errstate(invalid="ignore"):
            share = counts[3:6] / valid if valid else np.full(3, np.nan)
        total = int(counts[0])
        locked, crossed = (counts[1] / total, counts[2] / total) if total else (np.nan, np.nan)
        return cls(float(share[0]), float(share[1]), float(share[2]), float(locked), float(crossed), total)


@dataclass(frozen=True, slots=True)
class GapEntry:
    """One gap: where, when it was noticed, why, and how many sequences are missing (-1 unknown)."""

    series: str
    ts: int
    reason: str
    lost_sequences: int


@dataclass(frozen=True, slots=True)
class QualitySummary:
    """Everything measured about a stream.

    Attributes
    ----------
    events : dict of str to int
        Messages by event type.
    ts_first, ts_last : int
        First and last receive time, ns UTC.
    clock_skew_ms : float
        Median of receive time minus event time; negative means that the receive clock is behind.
    clock_min_ms, clock_p99_ms, clock_max_ms : float
        Minimum, 99th percentile and maximum of the same difference.
    spread : dict of str to SpreadStates
        By series key, and ``pooled``.
    gaps : tuple of GapEntry
        The first thousand; ``gap_count`` counts them all.
    """

    events: dict[str, int]
    ts_first: int
    ts_last: int
    clock_skew_ms: float
    clock_min_ms: float
    clock_p99_ms: float
    clock_max_ms: float
    spread: dict[str, SpreadStates]
    gaps: tuple[GapEntry, ...]
    gap_count: int
    spread_day: np.ndarray
    imbalance_day: np.ndarray


@dataclass(slots=True)
class _Series:
    kinds: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    states: np.ndarray = field(default_factory=lambda: np.zeros(6, np.int64))
    spread_day: np.ndarray = field(default_factory=lambda: np.zeros((MINUTES, SPREAD_BINS), np.int64))
    imbalance_day: np.ndarray = field(default_factory=lambda: np.zeros((MINUTES, IMBALANCE_BINS), np.int64))


class QualityMonitor:
    """Accumulates data quality over blocks in constant memory.

    Parameters
    ----------
    instruments : tuple of Instrument
        The stream's instruments.
    """

    def __init__(self, instruments: tuple[Instrument, ...]) -> None:
        self._instruments = instruments
        self._series = [_Series() for _ in instruments]
        big = np.iinfo(np.int64)
        self._clock = np.array([big.max, big.min, big.max, big.min, 0], np.int64)
        self._skew = np.zeros(2 * _SKEW_BINS, np.int64)
        self._is_book = np.zeros(256, np.bool_)
        self._is_book[list(_BOOK_KINDS)] = True
        self._gaps: list[GapEntry] = []
        self._gap_count = 0

    def observe(self, index: int, rows: np.ndarray, top: np.ndarray) -> None:
        """Add rows of instrument ``index`` and the views after each of them."""
        s = self._series[index]
        _observe(rows, top, self._is_book, s.kinds, self._clock, self._skew, s.states, s.spread_day, s.imbalance_day)

    def observe_gaps(self, index: int, block: EventBlock) -> None:
        """Add the gap events that a block carries for instrument ``index``."""
        rows = block.rows[block.rows["kind"] == int(EventKind.GAP)]
        table = block.payloads.get(int(EventKind.GAP))
        if table is None:
            return
        for row in rows[rows["instrument"] == index]:
            own = table[int(row["payload"])]
            self.add_gap(index, int(row["ts_recv"]), int(own["reason"]), int(own["lost_sequences"]))

    def add_gap(self, index: int, ts: int, reason: int, lost: int = NO_ID) -> None:
        """Count one gap, whoever noticed it."""
        self._gap_count += 1
        if len(self._gaps) < _MAX_LISTED_GAPS:
            key = self._instruments[index].key
            self._gaps.append(GapEntry(key, ts, GapReason(reason).name.lower(), lost))

    def _skew_quantile(self, q: float) -> float:
        total = self._skew.sum()
        if not total:
            return float("nan")
        k = int(np.searchsorted(np.cumsum(self._skew), q * total))
        size = k - _SKEW_BINS if k >= _SKEW_BINS else _SKEW_BINS - 1 - k
        value = _SKEW_FLOOR_NS * expm1((size + 0.5) * _SKEW_STEP)
        # The lowest bins hold exact zeros: sources without a receive clock are not half a bin late.
        return 0.0 if size == 0 else (value if k >= _SKEW_BINS else -value) / 1e6

    def summary(self) -> QualitySummary:
        """Return what was seen so far."""
        kinds = sum((s.kinds for s in self._series), np.zeros(256, np.int64))
        events: dict[str, int] = {}
        for kind in np.flatnonzero(kinds).tolist():
            name = event_type_of(kind).name
            events[name] = events.get(name, 0) + int(kinds[kind])
        pooled = sum((s.states for s in self._series), np.zeros(6, np.int64))
        pairs: list[tuple[str, Any]] = [
            (instrument.key, s.states) for instrument, s in zip(self._instruments, self._series, strict=True)
        ]
        seen = bool(self._clock[4])
        return QualitySummary(
            events=events,
            ts_first=int(self._clock[0]) if seen else 0,
            ts_last=int(self._clock[1]) if seen else 0,
            clock_skew_ms=self._skew_quantile(0.5),
            clock_min_ms=self._clock[2] / 1e6 if seen else float("nan"),
            clock_p99_ms=self._skew_quantile(0.99),
            clock_max_ms=self._clock[3] / 1e6 if seen else float("nan"),
            spread={"pooled": SpreadStates.from_counts(pooled)}
            | {key: SpreadStates.from_counts(states) for key, states in pairs},
            gaps=tuple(self._gaps),
            gap_count=self._gap_count,
            spread_day=sum((s.spread_day for s in self._series), np.zeros((MINUTES, SPREAD_BINS), np.int64)),
            imbalance_day=sum((s.imbalance_day for s in self._series), np.zeros((MINUTES, IMBALANCE_BINS), np.int64)),
        )
