"""Made-up streams that use every kind, flag and column: what a store or file format must carry unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import numpy as np

from marketprism.core.block import EventBlock, concat
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.random import stream
from marketprism.core.rows import PAYLOAD_KINDS, empty_rows
from marketprism.core.schema import event_type_of, payload_dtype

__all__ = ["canonical", "every_column_stream", "sample_instruments"]

_START = 1_723_161_255_030_314_667
_ENDS = Flag.FIRST | Flag.LAST
_KINDS = (
    *(EventKind.TRADE,) * 4,
    *(EventKind.BOOK_DELTA,) * 4,
    *(EventKind.QUOTE,) * 4,
    *(EventKind.BOOK_SNAPSHOT,) * 2,
    EventKind.ORDER_ADD,
    EventKind.ORDER_MODIFY,
    EventKind.ORDER_DELETE,
    EventKind.ORDER_EXECUTE,
    *sorted(PAYLOAD_KINDS),
)


def sample_instruments(*, wide: bool = False) -> tuple[Instrument, ...]:
    """Return three instruments whose grids differ; with ``wide`` one needs more than 8 decimals."""
    return (
        Instrument(exchange="binance", market_type="linear", symbol="BTC-USDT", tick_size=Decimal("0.1")),
        Instrument(
            exchange="binance",
            market_type="inverse",
            symbol="BTC-USD",
            tick_size=Decimal("0.25"),
            contract_multiplier=Decimal(100),
            sequencing="binance_futures",
            raw_symbol="BTCUSD_PERP",
        ),
        Instrument(
            exchange="okx", market_type="spot", symbol="PEPE-USDT", tick_size=Decimal("1E-11" if wide else "0.00000001")
        ),
    )


def every_column_stream(messages: int, *, seed: int = 0, wide: bool = False, day_ns: int = 0) -> EventBlock:
    """Return a stream of ``messages`` messages of all kinds with every column set.

    Parameters
    ----------
    messages : int
        Number of messages; 200 or more contain every kind.
    seed : int, default 0
        Seed of the values.
    wide : bool, default False
        Use prices and quantities that need ``Decimal(38,18)``.
    day_ns : int, default 0
        Mean nanoseconds between messages beyond the usual bursts, to spread the stream over days.

    Examples
    --------
    >>> len(every_column_stream(300).counts())
    11
    """
    rng = stream(seed, "every-column-stream")
    instruments = sample_instruments(wide=wide)
    now = _START
    parts = []
    for _ in range(messages):
        # Many messages share a receive time: only the ordinal keeps their order.
        now += int(rng.choice([0, 0, 1, 1_000_003])) + (int(rng.exponential(day_ns)) if day_ns else 0)
        kind = EventKind(int(rng.choice(_KINDS)))
        parts.append(EventBlock(*_message(kind, now, len(instruments), rng, wide=wide)))
    parts = [EventBlock(part.rows, instruments, part.payloads) for part in parts]
    return concat(parts) if len(parts) > 1 else parts[0]


def _message(
    kind: EventKind, now: int, instruments: int, rng: np.random.Generator, *, wide: bool
) -> tuple[np.ndarray, tuple[Instrument, ...], dict[int, np.ndarray]]:
    n = {EventKind.BOOK_SNAPSHOT: int(rng.integers(1, 12)), EventKind.BOOK_DELTA: int(rng.integers(1, 6))}.get(kind, 1)
    if kind == EventKind.QUOTE:
        n = int(rng.integers(1, 3))
    rows = empty_rows(n)
    rows["kind"], rows["instrument"] = kind, int(rng.integers(instruments))
    rows["ts_recv"], rows["ts_event"] = now, now - int(rng.integers(-5, 10**7))
    rows["flags"] = int(rng.choice([0, Flag.AUCTION, Flag.DERIVED, Flag.HIDDEN | Flag.DERIVED]))
    rows["flags"][0] |= Flag.FIRST
    rows["flags"][-1] |= Flag.LAST
    payloads: dict[int, np.ndarray] = {}
    if kind not in PAYLOAD_KINDS or kind == EventKind.LIQUIDATION:
        _levels(rows, kind, rng, wide=wide)
    if kind in PAYLOAD_KINDS or (kind == EventKind.QUOTE and rng.random() < 0.3):
        rows["payload"] = 0
        payloads[int(kind)] = _record(kind, rng)
    return rows, (), payloads


def _levels(rows: np.ndarray, kind: EventKind, rng: np.random.Generator, *, wide: bool) -> None:
    n = len(rows)
    rows["price"] = rng.integers(1, 10**9, n)
    rows["quantity"] = np.round(rng.exponential(3.0, n), int(rng.choice([0, 3, 6, 8])))
    if wide and rng.random() < 0.5:
        rows["quantity"] = np.round(rng.random(n), 12) * float(rng.choice([1.0, 2.0**30]))
    rows["side"] = rng.choice([1, -1], n)
    rows["event_id"] = rng.choice([-1, int(rng.integers(2**62))])
    if kind != EventKind.LIQUIDATION:
        rows["first_id"], rows["previous_id"] = rng.integers(-1, 2**40), rng.integers(-1, 2**40)
    if kind == EventKind.TRADE:
        rows["side"] = rng.integers(-1, 2)
    if kind == EventKind.BOOK_SNAPSHOT:
        if rng.random() < 0.7:
            order = np.lexsort((np.where(rows["side"] == 1, -rows["price"], rows["price"]), -rows["side"]))
            rows["side"], rows["price"] = rows["side"][order], rows["price"][order]
        if n == 1 and rng.random() < 0.5:
            rows["side"], rows["price"], rows["quantity"] = 0, 0, 0.0
    if kind == EventKind.QUOTE:
        if n == 2 and rng.random() < 0.9:
            rows["side"] = [1, -1]
        if rng.random() < 0.2:
            rows["price"][0], rows["quantity"][0] = 0, 0.0


def _record(kind: EventKind, rng: np.random.Generator) -> np.ndarray:
    record = np.zeros(1, payload_dtype(kind))
    for field in event_type_of(kind).payload_fields:
        null = field.nullable and rng.random() < 0.2
        if field.type == "decimal":
            record[field.name] = np.nan if null else round(float(rng.normal() * 1e4), 8)
        elif field.type == "float":
            record[field.name] = np.nan if null else rng.normal()
        elif field.type == "text":
            record[field.name] = f"{field.name}-é{rng.integers(100)}".encode()
        elif field.type == "time":
            record[field.name] = 0 if null else _START + int(rng.integers(10**15))
        elif field.type == "bool":
            record[field.name] = bool(rng.integers(2))
        else:
            record[field.name] = -1 if null else int(rng.integers(1, 90))
    if kind == EventKind.QUOTE:
        record["volume_24h"] = 1.5  # a ticker record without one value is no record
    return record


def canonical(blocks: EventBlock | Iterator[EventBlock] | list[EventBlock]) -> tuple[bytes, dict[str, bytes]]:
    """Return a stream's rows, and its payload records by kind, as bytes to compare streams by.

    Payload indices are local to a block and left out: the records are compared in stream order.
    """
    parts = [blocks] if isinstance(blocks, EventBlock) else list(blocks)
    rows = np.concatenate([part.rows for part in parts])
    pieces: dict[str, bytes] = {}
    for kind in EventKind:
        pieces[kind.name] = b"".join(part.payload(kind).tobytes() for part in parts)
    rows = rows.copy()
    rows["payload"] = np.where(rows["payload"] >= 0, 0, -1)
    return b"".join(np.ascontiguousarray(rows[name]).tobytes() for name in rows.dtype.names or ()), pieces
