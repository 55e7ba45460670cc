"""Streams to hftbacktest 2.x event files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numba import njit

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, DataError, did_you_mean
from marketprism.core.kinds import EventKind, Flag
from marketprism.ingest.hftbacktest_events import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_BBO_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EVENT_DTYPE,
    EXCH_EVENT,
    FILL_EVENT,
    LOCAL_EVENT,
    MODIFY_ORDER_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
)
from marketprism.ingest.text_columns import PriceGrid

__all__ = ["HftbacktestExport", "export_hftbacktest", "order_records", "to_records"]

Clear = Literal["all", "range"]

_CODES = {
    EventKind.BOOK_SNAPSHOT: DEPTH_SNAPSHOT_EVENT,
    EventKind.BOOK_DELTA: DEPTH_EVENT,
    EventKind.TRADE: TRADE_EVENT,
    EventKind.QUOTE: DEPTH_BBO_EVENT,
    EventKind.ORDER_ADD: ADD_ORDER_EVENT,
    EventKind.ORDER_MODIFY: MODIFY_ORDER_EVENT,
    EventKind.ORDER_DELETE: CANCEL_ORDER_EVENT,
    EventKind.ORDER_EXECUTE: FILL_EVENT,
}
_CODE_OF = np.zeros(256, np.uint64)
for _kind, _code in _CODES.items():
    _CODE_OF[_kind] = _code


@dataclass(frozen=True, slots=True)
class HftbacktestExport:
    """What an export wrote.

    Attributes
    ----------
    records : int
        Records in the file.
    duplicated : int
        Events written twice because the exchange's order differs from ours.
    skipped : dict of str to int
        Rows that the format cannot hold, by kind.
    shift_ns : int
        What was added to every receive time because of negative latency; 0 if nothing.
    """

    records: int
    duplicated: int
    skipped: dict[str, int] = field(default_factory=dict)
    shift_ns: int = 0


def export_hftbacktest(
    blocks: Iterable[EventBlock],
    path: str | Path,
    *,
    negative_latency: Literal["refuse", "shift"] = "refuse",
    base_latency_ns: int = 0,
    clear: Clear = "all",
) -> HftbacktestExport:
    """Write a stream of one instrument as an hftbacktest ``.npz`` file.

    Snapshots, updates, quotes, trades and L3 orders are written; gaps, funding and the other slow kinds, and
    trades of unknown size (quantity 0), cannot be and are counted. Update ids and the auction, derived and hidden
    flags are lost. The array is built in memory, as hftbacktest itself loads it: 64 bytes a row and as much again
    where the orders differ. The same events give the same bytes.

    Parameters
    ----------
    blocks : iterable of EventBlock
        A source, or any blocks of one instrument.
    path : str or Path
        File to write; it appears whole or not at all.
    negative_latency : {"refuse", "shift"}
        Where receive times lie before exchange times, hftbacktest would see the future. ``shift`` moves all
        receive times by the worst case plus ``base_latency_ns``, as hftbacktest's ``correct_local_timestamp``.
    base_latency_ns : int
        Latency left to the fastest record after a shift.
    clear : {"all", "range"}
        What a snapshot clears: the whole side, which is what our snapshots mean; or, as hftbacktest's own
        converters write it, from the best level to the snapshot's last one.

    Returns
    -------
    HftbacktestExport
        Counts.

    Raises
    ------
    DataError
        More than one instrument, nothing to write, or negative latency.
    ConfigError
        Unknown option value.
    """
    for name, value, known in (
        ("negative_latency", negative_latency, ("refuse", "shift")),
        ("clear", clear, ("all", "range")),
    ):
        if value not in known:
            raise ConfigError(f"{name} was {value!r}", hint=did_you_mean(value, known))
    skipped: dict[str, int] = {}
    parts = []
    waiting: EventBlock | None = None
    for block in blocks:
        joined = EventBlock(np.concatenate([waiting.rows, block.rows]), block.instruments) if waiting else block
        ends = np.flatnonzero(joined.rows["flags"] & Flag.LAST)
        cut = int(ends[-1]) + 1 if len(ends) else 0
        waiting = joined[cut:] if cut < len(joined) else None
        parts.append(to_records(joined[:cut], clear=clear, skipped=skipped))
    records = np.concatenate(parts) if parts else np.zeros(0, EVENT_DTYPE)
    if not len(records):
        raise DataError(f"there was nothing to export (left out: {skipped or 'no rows'})", hint="check the source")
    shift = _shift(records, negative_latency, base_latency_ns)
    records["local_ts"] += shift
    ordered = order_records(records)
    _write(Path(path), ordered)
    return HftbacktestExport(len(ordered), len(ordered) - len(records), skipped, shift)


def to_records(block: EventBlock, *, clear: Clear = "all", skipped: dict[str, int] | None = None) -> np.ndarray:
    """Return the records of a block of whole messages, in receive order, flagged neither EXCH nor LOCAL.

    Parameters
    ----------
    block : EventBlock
        Rows of one instrument.
    clear : {"all", "range"}
        See :func:`export_hftbacktest`.
    skipped : dict of str to int, optional
        Rows that the format cannot hold are counted here.
    """
    rows = block.rows
    unsized = (rows["kind"] == EventKind.TRADE) & (rows["quantity"] == 0)
    held = (_CODE_OF[rows["kind"]] > 0) & ~unsized
    if skipped is not None and not held.all():
        for kind, n in zip(*np.unique(rows["kind"][~held], return_counts=True), strict=True):
            name = EventKind(kind).name.lower()
            skipped[name] = skipped.get(name, 0) + int(n)
    rows = rows[held]
    records = np.zeros(len(rows), EVENT_DTYPE)
    side = np.where(rows["side"] > 0, BUY_EVENT, np.where(rows["side"] < 0, SELL_EVENT, 0)).astype(np.uint64)
    records["ev"] = _CODE_OF[rows["kind"]] | side
    records["exch_ts"], records["local_ts"] = rows["ts_event"], rows["ts_recv"]
    grid = PriceGrid((block.instrument,))
    records["px"] = grid.prices(rows["price"], np.zeros(len(rows), np.int64))
    records["qty"] = rows["quantity"]
    order = (rows["kind"] >= EventKind.ORDER_ADD) & (rows["kind"] <= EventKind.ORDER_EXECUTE)
    records["order_id"] = np.where(order, rows["event_id"], 0).astype(np.uint64)
    return _with_clears(rows, records, clear)


def _with_clears(rows: np.ndarray, records: np.ndarray, clear: Clear) -> np.ndarray:
    """Put a clear before each side of every snapshot, bids first; levels of quantity 0 go."""
    snapshot = rows["kind"] == EventKind.BOOK_SNAPSHOT
    if not snapshot.any():
        return records
    begins = snapshot & ((rows["flags"] & Flag.FIRST) != 0)
    message = np.cumsum((rows["flags"] & Flag.FIRST) != 0)
    parts, keys = [records], [np.column_stack([message, np.where(snapshot, 2 - rows["side"], 0), np.ones(len(rows))])]
    for side, flag in ((1, BUY_EVENT), (-1, SELL_EVENT)):
        mine = snapshot & (rows["side"] == side) & (rows["quantity"] > 0)
        last = np.flatnonzero(mine)[np.append(np.diff(message[mine]) != 0, True)[: int(mine.sum())]]
        at = np.flatnonzero(begins) if clear == "all" else last
        clears = records[at]
        clears["ev"], clears["qty"] = DEPTH_CLEAR_EVENT | flag, 0.0
        clears["px"] = np.nan if clear == "all" else records["px"][at]
        parts.append(clears)
        keys.append(np.column_stack([message[at], np.full(len(at), 2 - side), np.zeros(len(at))]))
    joined, key = np.concatenate(parts), np.concatenate(keys)
    order = np.lexsort((np.arange(len(joined)), key[:, 2], key[:, 1], key[:, 0]))
    joined = joined[order]
    empty = ((joined["ev"] & 0xFF) == DEPTH_SNAPSHOT_EVENT) & (joined["qty"] == 0)
    result: np.ndarray = joined[~empty]
    return result


def _shift(records: np.ndarray, policy: str, base_latency_ns: int) -> int:
    worst = int((records["local_ts"] - records["exch_ts"]).min())
    if worst >= 0:
        return 0
    if policy == "refuse":
        raise DataError(
            f"a record was received {-worst} ns before the exchange sent it",
            hint='pass negative_latency="shift", or correct the clock of the source',
        )
    return base_latency_ns - worst


def order_records(records: np.ndarray) -> np.ndarray:
    """Return records with EXCH and LOCAL flags, so that both orders hold.

    Records flagged EXCH come in order of ``exch_ts`` and records flagged LOCAL in order of ``local_ts``; a record
    at its place in both orders carries both flags, any other is written twice.

    Parameters
    ----------
    records : ndarray of EVENT_DTYPE
        Records in any order; equal times keep it.
    """
    by_exchange = np.argsort(records["exch_ts"], kind="stable")
    by_local = np.argsort(records["local_ts"], kind="stable")
    index, flags = _two_orders(records["exch_ts"], records["local_ts"], by_exchange, by_local)
    result: np.ndarray = records[index]
    result["ev"] |= flags
    return result


@njit(cache=True)
def _two_orders(exch_ts, local_ts, by_exchange, by_local):  # type: ignore[no-untyped-def]
    n = len(exch_ts)
    index = np.empty(2 * n, np.int64)
    flags = np.empty(2 * n, np.uint64)
    out, e, l = 0, 0, 0
    while e < n or l < n:
        a = by_exchange[e] if e < n else -1
        b = by_local[l] if l < n else -1
        if a == b:
            index[out], flags[out] = a, np.uint64(EXCH_EVENT | LOCAL_EVENT)
            e += 1
            l += 1
        elif b < 0 or (
            a >= 0 and (exch_ts[a] < exch_ts[b] or (exch_ts[a] == exch_ts[b] and local_ts[a] < local_ts[b]))
        ):
            index[out], flags[out] = a, np.uint64(EXCH_EVENT)
            e += 1
        else:
            index[out], flags[out] = b, np.uint64(LOCAL_EVENT)
            l += 1
        out += 1
    return index[:out], flags[:out]


def _write(path: Path, records: np.ndarray) -> None:
    """Write the array beside its place, then move it there."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            np.savez_compressed(stream, data=records)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
