"""Snapshots and quotes as table rows: the rows of one message become arrays of levels or a two-sided quote."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from marketprism.core.errors import DataError
from marketprism.core.fixed_point import floats_to_decimals, ticks_to_decimals
from marketprism.core.kinds import Flag

__all__ = ["level_columns", "level_runs", "quote_columns", "quote_runs"]

_SHARED = ("ts_event", "ts_recv", "event_id", "first_id", "previous_id", "payload", "instrument")
_KEPT = np.uint8(0xFF & ~int(Flag.FIRST | Flag.LAST))


def _continues(rows: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return which rows belong to the message of the row before them and share everything but the level."""
    same = np.zeros(len(rows), bool)
    flags = rows["flags"]
    same[1:] = (np.diff(where) == 1) & ((flags[:-1] & Flag.LAST) == 0) & ((flags[1:] & Flag.FIRST) == 0)
    same[1:] &= (flags[1:] & _KEPT) == (flags[:-1] & _KEPT)
    for name in _SHARED:
        same[1:] &= rows[name][1:] == rows[name][:-1]
    return same


def _starts_and_flags(rows: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    start = np.flatnonzero(~same)
    end = np.append(start[1:], len(rows)) - 1
    flags = rows["flags"]
    return start, (flags[start] & np.uint8(0xFF & ~Flag.LAST)) | (flags[end] & np.uint8(Flag.LAST))


def _check_numbers(rows: np.ndarray) -> None:
    if np.isnan(rows["quantity"]).any():
        raise DataError("quantity was NaN", hint="sources must reject such a record")


def level_runs(rows: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each snapshot begins among ``rows`` and the flags of its table row.

    Parameters
    ----------
    rows : ndarray of ROW_DTYPE, shape (n,)
        Snapshot rows in stream order.
    where : int64 ndarray, shape (n,)
        Their positions in the stream: rows of other kinds in between end a snapshot.
    """
    same = _continues(rows, where)
    side = rows["side"]
    empty = (side == 0) & (rows["price"] == 0) & (rows["quantity"] == 0)
    if ((side != 1) & (side != -1) & ~empty).any():
        raise DataError("a snapshot row had no side", hint="use side 1 or -1; side 0, price 0, quantity 0 is no level")
    _check_numbers(rows)
    same[1:] &= ~empty[1:] & ~empty[:-1]
    return _starts_and_flags(rows, same)


def level_columns(rows: np.ndarray, start: np.ndarray, tick_sizes: Sequence[Decimal]) -> dict[str, Any]:
    """Return the array columns and what derives from them, one element a snapshot.

    Levels are sorted best first; where the stream had them in another order, ``level_order`` tells the stream
    position of each, bids then asks, so that reading restores it.

    Parameters
    ----------
    rows : ndarray of ROW_DTYPE, shape (n,)
        Snapshot rows in stream order.
    start : int64 ndarray, shape (m,)
        Where each snapshot begins, from :func:`level_runs`.
    tick_sizes : sequence of Decimal
        Tick size of each instrument.
    """
    import pyarrow as pa

    run = np.zeros(len(rows), np.int64)
    run[start[1:]] = 1
    run = np.cumsum(run)
    best_first = np.where(rows["side"] == 1, -rows["price"], rows["price"])
    order = np.lexsort((best_first, -rows["side"], run))
    moved = order != np.arange(len(rows))
    odd = np.zeros(len(start), bool)
    odd[run[moved]] = True
    columns: dict[str, Any] = {}
    listed = odd[run]  # the sort stays inside runs, so run[order] == run
    columns["level_order"] = _lists(pa.array((order - start[run])[listed]), run[listed], len(start))
    levels = rows[order]
    for side, name in ((1, "bid"), (-1, "ask")):
        mask = levels["side"] == side
        mine, mine_run = levels[mask], run[mask]
        prices = ticks_to_decimals(mine["price"], mine["instrument"], tick_sizes, f"{name} price")
        quantities = floats_to_decimals(np.ascontiguousarray(mine["quantity"]), f"{name} quantity")
        columns[f"{name}_prices"] = _lists(prices, mine_run, len(start))
        columns[f"{name}_quantities"] = _lists(quantities, mine_run, len(start))
        columns[f"{name}_depth"] = pa.array(np.bincount(mine_run, minlength=len(start)).astype(np.int64))
        filled = np.flatnonzero(mine["quantity"] > 0)
        with_best, first = np.unique(mine_run[filled], return_index=True)
        best = np.zeros(len(start), np.int64)
        best[with_best] = filled[first]
        none = np.ones(len(start), bool)
        none[with_best] = False
        index = pa.array(best, mask=none)
        columns[f"best_{name}"] = prices.take(index)
        columns[f"best_{name}_quantity"] = quantities.take(index)
    return columns


def _lists(values: Any, run: np.ndarray, n: int) -> Any:
    """Return ``values`` grouped by their non-decreasing run number into ``n`` lists."""
    import pyarrow as pa

    offsets = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(run, minlength=n), out=offsets[1:])
    return pa.LargeListArray.from_arrays(pa.array(offsets), values)


def quote_runs(rows: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each quote begins among ``rows`` and the flags of its table row.

    A bid row and the ask row after it in one message are one quote; any other row is a quote of its own.
    Parameters are those of :func:`level_runs`.
    """
    side = rows["side"]
    if (np.abs(side) != 1).any():
        raise DataError("a quote row had no side", hint="use side 1 (bid) or -1 (ask)")
    _check_numbers(rows)
    same = _continues(rows, where)
    same[1:] &= (side[:-1] == 1) & (side[1:] == -1)
    return _starts_and_flags(rows, same)


def quote_columns(rows: np.ndarray, start: np.ndarray, tick_sizes: Sequence[Decimal]) -> dict[str, Any]:
    """Return the price and quantity columns of both sides; a side that the message did not carry is null.

    Parameters are those of :func:`level_columns`.
    """
    import pyarrow as pa

    end = np.append(start[1:], len(rows)) - 1
    columns: dict[str, Any] = {}
    for side, name, row in ((1, "bid", start), (-1, "ask", end)):
        mine = rows[row]
        index = pa.array(np.arange(len(start)), mask=mine["side"] != side)
        prices = ticks_to_decimals(mine["price"], mine["instrument"], tick_sizes, f"{name} price")
        quantities = floats_to_decimals(np.ascontiguousarray(mine["quantity"]), f"{name} quantity")
        columns[f"{name}_price"] = prices.take(index)
        columns[f"{name}_quantity"] = quantities.take(index)
    return columns
