"""One pass over a source: events through the engine, quality measured, pictures sampled, everything hashed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from marketprism.book.views import BookViews, ViewStatus
from marketprism.core.block import EventBlock
from marketprism.core.errors import SourceError
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag, GapReason
from marketprism.core.rows import ROW_DTYPE
from marketprism.core.timebase import NS
from marketprism.factors.config import EngineConfig
from marketprism.factors.engine import FactorEngine
from marketprism.ingest.source import Source
from marketprism.pipelines.quality import QualityMonitor, QualitySummary
from marketprism.pipelines.runtime import BlockSink, Say, silent

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Collected", "DepthSamples", "StreamHash", "collect", "pick_duration", "span_of"]

_VALID, _LAST = int(ViewStatus.VALID), int(Flag.LAST)
_DURATIONS_S = (1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0)
_MID_STEP_NS = 10_000_000
_MAX_SAMPLES = 400
_ROW_BYTES = ROW_DTYPE.fields["flags"][1] + 1 if ROW_DTYPE.fields else 0


class StreamHash:
    """SHA-256 over the rows and payloads of a stream, whatever its blocks; padding bytes do not count."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, block: EventBlock) -> None:
        """Add the next block."""
        rows = np.ascontiguousarray(block.rows)
        packed = rows.view(np.uint8).reshape(len(rows), ROW_DTYPE.itemsize)[:, :_ROW_BYTES]
        start = 0
        # Payload indices depend on the blocks: the payload itself is hashed in their place.
        for row in np.flatnonzero(rows["payload"] >= 0).tolist():
            self._hash.update(np.ascontiguousarray(packed[start:row]).data)
            own = rows[row : row + 1].copy()
            own["payload"] = 0
            table = block.payloads[int(own["kind"][0])]
            self._hash.update(own.tobytes()[:_ROW_BYTES] + table[int(rows["payload"][row])].tobytes())
            start = row + 1
        self._hash.update(np.ascontiguousarray(packed[start:]).data)

    def hexdigest(self) -> str:
        """Return the digest of what was added so far."""
        return self._hash.hexdigest()


class DepthSamples:
    """Depth and mid at bucket ends, thinned evenly to a few hundred however long the stream is."""

    def __init__(self) -> None:
        self.ts: list[int] = []
        self.price: list[np.ndarray] = []
        self.quantity: list[np.ndarray] = []
        self._every, self._seen = 1, 0

    def add(self, ts: int, price: np.ndarray, quantity: np.ndarray) -> None:
        """Add one sample; every second one is dropped when there are too many."""
        self._seen += 1
        if self._seen % self._every:
            return
        self.ts.append(ts)
        self.price.append(price.copy())
        self.quantity.append(quantity.copy())
        if len(self.ts) > 2 * _MAX_SAMPLES:
            for samples in (self.ts, self.price, self.quantity):
                del samples[::2]
            self._every *= 2


@njit(cache=True)
def _mids(
    rows: np.ndarray,
    top: np.ndarray,
    last: np.ndarray,
    out_event: np.ndarray,
    out_recv: np.ndarray,
    out_mid: np.ndarray,
) -> int:
    """Write changed mids, at most one each 10 ms; ``last`` holds the twice-mid in force and when it was written."""
    n = 0
    for i in range(len(rows)):
        if not rows[i].flags & _LAST:
            continue
        twice = top[i].bid + top[i].ask if top[i].status & _VALID else -1
        if twice == last[0] or rows[i].ts_recv < last[1] + _MID_STEP_NS:
            continue
        last[0], last[1] = twice, rows[i].ts_recv
        out_event[n], out_recv[n] = rows[i].ts_event, rows[i].ts_recv
        out_mid[n] = twice * 0.5 if twice >= 0 else np.nan
        n += 1
    return n


class _Watcher:
    """Looks at every step of one instrument's chain."""

    def __init__(self, index: int, instrument: Instrument, monitor: QualityMonitor) -> None:
        self.instrument = instrument
        self.seconds = 0.0
        self.depth = DepthSamples()
        self.mids: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._index, self._monitor = index, monitor
        self._last = np.array([-2, -(1 << 62)], np.int64)

    def __call__(self, rows: np.ndarray, views: BookViews, cuts: np.ndarray) -> None:
        start = time.perf_counter()
        top = views.top
        self._monitor.observe(self._index, rows, top)
        n = len(rows)
        event, recv, mid = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n)
        used = _mids(rows, top, self._last, event, recv, mid)
        if used:
            self.mids.append((event[:used], recv[:used], mid[:used] * self.instrument.tick))
        for i in np.flatnonzero(cuts).tolist():
            if top[i]["status"] & int(ViewStatus.DEPTH_VALID):
                record = int(top[i]["depth"])
                self.depth.add(int(rows[i]["ts_event"]), views.depth_price[record], views.depth_quantity[record])
        self.seconds += time.perf_counter() - start


@dataclass(slots=True)
class Collected:
    """What one pass over a source gave.

    Attributes
    ----------
    frame : polars.DataFrame
        One row a closed bucket: keys, bucket columns, factors.
    mids : polars.DataFrame
        ``exchange, market_type, symbol, ts_event, ts_recv, mid``: changed mids, at most one each 10 ms; null mid
        where the book became invalid.
    quality : QualitySummary
        Data quality.
    depth : tuple of DepthSamples
        Depth at bucket ends by instrument.
    book_counters : dict of str to int
        Integrity counters of the books, summed over instruments.
    data_hash, factor_hash : str
        Of the stream and of the factors' definitions and code.
    factor_names : tuple of str
        Factors computed.
    seconds : dict of str to float
        Wall time by stage.
    """

    frame: pl.DataFrame
    mids: pl.DataFrame
    quality: QualitySummary
    depth: tuple[DepthSamples, ...]
    book_counters: dict[str, int]
    data_hash: str
    factor_hash: str
    factor_names: tuple[str, ...]
    seconds: dict[str, float] = field(default_factory=dict)


def collect(source: Source, config: EngineConfig, sinks: tuple[BlockSink, ...] = (), say: Say = silent) -> Collected:
    """Run every event of ``source`` through the engine once.

    Parameters
    ----------
    source : Source
        Read from its beginning.
    config : EngineConfig
        What to compute.
    sinks : tuple of BlockSink
        Also get every block, in order (a store).
    say : callable
        Told how far it is.

    Raises
    ------
    SourceError
        No bucket closed: the source has no usable book or trades.
    """
    import polars as pl

    monitor = QualityMonitor(source.instruments)
    engine = FactorEngine(config, instrument=source.instruments)
    watchers = [_Watcher(i, instrument, monitor) for i, instrument in enumerate(source.instruments)]
    engine.observe(watchers)
    stream_hash, frames, rows = StreamHash(), [], 0
    seconds = dict.fromkeys(("source", "hash", "sinks", "engine"), 0.0)
    for block in _timed(source, seconds):
        rows += len(block)
        with _Lap(seconds, "hash"):
            stream_hash.update(block)
        with _Lap(seconds, "sinks"):
            for sink in sinks:
                sink.write(block)
        with _Lap(seconds, "engine"):
            frame = engine.push(block)
            if frame.height:
                frames.append(frame)
            for index in range(len(source.instruments)):
                monitor.observe_gaps(index, block)
        say("stream", None, f"{rows:,} rows")
    frames.append(engine.flush())
    for index, book in enumerate(engine.books):
        for gap in book.drain_gaps():
            monitor.add_gap(index, int(gap["ts_recv"]), int(gap["reason"]), int(gap["lost"]))
    frame = pl.concat(frames)
    if frame.is_empty():
        raise SourceError(
            f"{source.spec}: {rows} rows gave no bucket",
            hint="the source has neither trades nor book updates that the bucket policy counts; try another policy",
        )
    seconds["quality"] = sum(watcher.seconds for watcher in watchers)
    seconds["engine"] -= seconds["quality"]
    counters: dict[str, int] = {}
    for book in engine.books:
        for name, count in book.counters.items():
            counters[name] = counters.get(name, 0) + count
    return Collected(
        frame=frame,
        mids=_mid_frame(watchers),
        quality=monitor.summary(),
        depth=tuple(watcher.depth for watcher in watchers),
        book_counters=counters,
        data_hash=stream_hash.hexdigest(),
        factor_hash=engine.signature.factors,
        factor_names=engine.factor_names,
        seconds=seconds,
    )


class _Lap:
    """Adds the time spent inside to one stage."""

    def __init__(self, seconds: dict[str, float], stage: str) -> None:
        self._seconds, self._stage = seconds, stage

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._stage] += time.perf_counter() - self._start


def _timed(source: Source, seconds: dict[str, float]) -> Iterator[EventBlock]:
    blocks = iter(source)
    while True:
        with _Lap(seconds, "source"):
            block = next(blocks, None)
        if block is None:
            return
        yield block


def _mid_frame(watchers: list[_Watcher]) -> pl.DataFrame:
    import polars as pl

    parts = []
    for watcher in watchers:
        if not watcher.mids:
            continue
        event, recv, mid = (np.concatenate(column) for column in zip(*watcher.mids, strict=True))
        instrument = watcher.instrument
        parts.append(
            pl.DataFrame({"ts_event": event, "ts_recv": recv, "mid": pl.Series(mid, nan_to_null=True)}).select(
                pl.lit(instrument.exchange).alias("exchange"),
                pl.lit(instrument.market_type).alias("market_type"),
                pl.lit(instrument.symbol).alias("symbol"),
                pl.all(),
            )
        )
    if not parts:
        text, whole = pl.String, pl.Int64
        schema = {"exchange": text, "market_type": text, "symbol": text, "ts_event": whole, "ts_recv": whole}
        return pl.DataFrame(schema={**schema, "mid": pl.Float64})
    return pl.concat(parts)


def span_of(source: Source, enough_s: float) -> float:
    """Return the continuous trading span of ``source`` in seconds, reading no further than ``enough_s``.

    Time after a session break or halt does not count until the next event.
    """
    total, last, paused = 0, None, False
    quiet = (GapReason.SESSION_BREAK, GapReason.HALT)
    for block in source:
        ends = block.rows[(block.rows["flags"] & _LAST) != 0]
        gaps = np.flatnonzero(ends["kind"] == int(EventKind.GAP))
        reasons = block.payload(EventKind.GAP)["reason"]
        start = 0
        for position, reason in [*zip(gaps.tolist(), reasons.tolist(), strict=True), (len(ends), -1)]:
            times = ends["ts_event"][start:position]
            if len(times):
                first = int(times.min())
                total += 0 if last is None or paused else max(0, first - last)
                total += int(times.max()) - first
                last, paused = int(times.max()), False
            paused = paused or reason in quiet
            start = position
        if total / NS >= enough_s:
            break
    return total / NS


def pick_duration(span_s: float, wanted: int) -> float:
    """Return the bucket target duration, in seconds, that gives about ``wanted`` buckets over ``span_s``.

    Examples
    --------
    >>> pick_duration(360.0, 600), pick_duration(6.5 * 3600, 600)
    (1.0, 30.0)
    """
    return max((d for d in _DURATIONS_S if d <= span_s / wanted), default=_DURATIONS_S[0])
