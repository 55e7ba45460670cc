"""One instrument's order book: rows in, best quotes and depth out, with integrity and venue sequencing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec
import numpy as np

from marketprism.book._bits import BITMAP_WORDS, SLOTS
from marketprism.book._kernel import run_rows
from marketprism.book._ladder import levels_of, put_levels
from marketprism.book._orders import grow_orders
from marketprism.book._state import (
    GAP_DTYPE,
    LEVEL_DTYPE,
    ORDER_DTYPE,
    STATE_DTYPE,
    Count,
    Need,
    new_state,
)
from marketprism.book.config import BookConfig
from marketprism.book.sequencing.rules import RULES
from marketprism.book.views import VIEW_DTYPE, BookViews
from marketprism.core.dispatch import bind
from marketprism.core.errors import DataError, StateError
from marketprism.core.instrument import Instrument
from marketprism.core.rows import ROW_DTYPE
from marketprism.core.state import pack_state, unpack_state

__all__ = ["Book"]

_TAG, _VERSION = "book", 1
_SMALL = 1024
"""Pushes below this many rows share pre-allocated output arrays, handed out once and never overwritten."""


def _as_rows(rows: np.ndarray) -> np.ndarray:
    """Return rows of an equal dtype (from a file, say) under the one dtype that kernels are compiled for."""
    if rows.dtype != ROW_DTYPE:
        raise DataError(f"rows had dtype {rows.dtype}", hint="build rows with marketprism.core.rows.empty_rows")
    return rows.view(ROW_DTYPE)


class Book:
    """The order book of one instrument.

    Feed it the rows of the instrument in stream order, in blocks of any size: the views are the same bit for bit
    wherever blocks end, also inside a message. L2 updates and snapshots, L3 orders and quotes share one ladder.

    Parameters
    ----------
    instrument : Instrument
        ``instrument.sequencing`` names the venue's rule for update ids; ``lot_size`` fixes how exactly the orders
        of an L3 stream are added up.
    config : BookConfig, optional
        Depth of the records, choice of best quotes, tolerances.

    Notes
    -----
    Integrity: an update that does not follow the book's last one makes the book invalid at once (SYNCED and VALID
    fall, :meth:`drain_gaps` tells why) until a snapshot is applied; the same holds after a GAP row. A snapshot older
    than the first update held for it is refused. Duplicates are dropped, removals of unknown levels and snapshot
    levels without quantity ignored, all counted in :attr:`counters`. A locked book is valid, a crossed one has no
    mid and becomes invalid after a tolerance. After a GAP row an L3 book goes on with the orders it has, since such
    streams carry no snapshots; what it then meets unknown is counted.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from marketprism.core.rows import empty_rows
    >>> from marketprism.core.kinds import EventKind, Flag
    >>> book = Book(Instrument(exchange="sim", market_type="spot", symbol="BTC-USDT", tick_size=Decimal("0.1")))
    >>> rows = empty_rows(2)
    >>> rows["kind"], rows["flags"] = EventKind.BOOK_SNAPSHOT, (Flag.FIRST, Flag.LAST)
    >>> rows["side"], rows["price"], rows["quantity"] = (1, -1), (100, 102), (2.0, 3.0)
    >>> view = book.push(rows).top[-1]
    >>> int(view["bid"]), int(view["ask"]), float(view["ask_quantity"])
    (100, 102, 3.0)
    """

    def __init__(self, instrument: Instrument, config: BookConfig = BookConfig()) -> None:  # noqa: B008 - frozen
        self.instrument = instrument
        self.config = config
        self._state = new_state()
        self._ladder = np.zeros((2, SLOTS))
        self._bits = np.zeros((2, BITMAP_WORDS), np.uint64)
        self._overflow = np.empty((2, 4096), LEVEL_DTYPE)
        self._orders = np.zeros(64, ORDER_DTYPE)
        self._buffer = np.zeros(min(256, config.buffer_rows), ROW_DTYPE)
        self._gaps = np.zeros(8, GAP_DTYPE)
        self._price = np.zeros((_SMALL, 2, config.depth_levels), np.int64)
        self._quantity = np.zeros((_SMALL, 2, config.depth_levels))
        self._at = 0
        self._last_depth = (self._price[:1], self._quantity[:1])
        self._top = np.zeros(_SMALL, VIEW_DTYPE)
        self._top_used = 0
        self._configure()
        empty = np.zeros(0, ROW_DTYPE)
        self._kernel = bind(run_rows, *self._arguments(0, empty, self._top, 0, 0))

    def _configure(self) -> None:
        state, config = self._state, self.config
        state["rule"] = RULES[self.instrument.sequencing]
        state["freshest"] = config.best_quote == "freshest"
        state["first_update"] = config.start == "first_update"
        state["tolerance"] = config.crossed_tolerance_ns
        state["buffer_limit"] = config.buffer_rows
        exponent = self.instrument.lot_size.normalize().as_tuple().exponent
        state["lot_scale"] = 10.0 ** max(0, -int(exponent))

    def push(self, rows: np.ndarray) -> BookViews:
        """Apply rows of this instrument and return the book after each of them.

        Parameters
        ----------
        rows : ndarray of ROW_DTYPE, shape (n,)
            Rows of one instrument in stream order; a block may begin and end inside a message.

        Returns
        -------
        BookViews
            Views known at ``rows["ts_recv"]``. The arrays belong to the caller: later pushes leave them alone.

        Raises
        ------
        DataError
            The rows have another layout.
        """
        n = len(rows)
        if rows.dtype is not ROW_DTYPE:
            rows = _as_rows(rows)
        flags = rows.flags
        if not (flags.c_contiguous and flags.writeable):
            rows = rows.copy()
        if self._at + n + 1 >= len(self._price):
            self._renew_depth(n)
        if n > _SMALL:
            top = np.zeros(n, VIEW_DTYPE)
        else:
            used = self._top_used
            if used + n > _SMALL:
                self._top = np.zeros(_SMALL, VIEW_DTYPE)
                used = 0
            top = self._top[used : used + n]
            self._top_used = used + n
        origin = at = self._at
        done, at = self._run(0, rows, top, origin, at)
        while done < n:
            self._grow(n - done)
            done, at = self._run(done, rows, top, origin, at)
        if at != origin:
            self._at = at
            price, quantity = self._price[origin : at + 1], self._quantity[origin : at + 1]
            self._last_depth = (self._price[at : at + 1], self._quantity[at : at + 1])
        else:
            price, quantity = self._last_depth
        return BookViews(top, price, quantity)

    def _run(self, start: int, rows: np.ndarray, top: np.ndarray, origin: int, at: int) -> tuple[int, int]:
        result: tuple[int, int] = self._kernel(*self._arguments(start, rows, top, origin, at))
        return result

    def _arguments(self, start: int, rows: np.ndarray, top: np.ndarray, origin: int, at: int) -> tuple[Any, ...]:
        return (
            start,
            rows,
            top,
            origin,
            at,
            self._price,
            self._quantity,
            self._state,
            self._ladder,
            self._bits,
            self._overflow,
            self._orders,
            self._buffer,
            self._gaps,
        )

    def _renew_depth(self, n: int) -> None:
        """Start new depth arrays with the record in force; views already handed out keep the old ones."""
        shape = (max(_SMALL, n + 2), 2, self.config.depth_levels)
        price, quantity = np.empty(shape, np.int64), np.empty(shape)
        price[0], quantity[0] = self._price[self._at], self._quantity[self._at]
        self._price, self._quantity, self._at = price, quantity, 0
        self._last_depth = (price[:1], quantity[:1])

    def _grow(self, rows_left: int) -> None:
        need = int(self._state["need"][0])
        if need == Need.OVERFLOW:
            levels = self._state["ladder_levels"][0] + self._state["overflow_levels"][0]
            held = int(self._state["overflow_levels"][0].max())
            overflow = np.empty((2, 2 * (int(levels.max()) + rows_left + len(self._buffer))), LEVEL_DTYPE)
            overflow[:, :held] = self._overflow[:, :held]
            self._overflow = overflow
        elif need == Need.BUFFER:
            buffer = np.zeros(min(2 * len(self._buffer), self.config.buffer_rows), ROW_DTYPE)
            buffer[: len(self._buffer)] = self._buffer
            self._buffer = buffer
        elif need == Need.GAPS:
            gaps = np.zeros(2 * len(self._gaps), GAP_DTYPE)
            gaps[: len(self._gaps)] = self._gaps
            self._gaps = gaps
        else:
            self._orders = grow_orders(self._orders)

    @property
    def counters(self) -> Mapping[str, int]:
        """Integrity counters by name, in messages unless the name says rows, levels or orders."""
        values = self._state["counters"][0].tolist()
        return {count.name.lower(): values[count] for count in Count}

    def drain_gaps(self) -> np.ndarray:
        """Return the gaps that the book itself noticed since the last call, as GAP_DTYPE records.

        Fields: ``ts_event`` and ``ts_recv`` of the message that showed it, ``gap_from`` (exchange time of the last
        message applied), ``lost`` (update ids missing, -1 unknown) and ``reason`` (GapReason). GAP rows of the
        stream are not repeated here.
        """
        n = int(self._state["gap_count"][0])
        self._state["gap_count"] = 0
        return self._gaps[:n].copy()

    def levels(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Return all levels of a side, best first: prices in ticks and quantities in base units.

        Inside an unfinished message they already show its first rows, unlike the views.

        Parameters
        ----------
        side : int
            1 bids, -1 asks.
        """
        index = 0 if side > 0 else 1
        levels = levels_of(self._state[0], self._ladder, self._bits, self._overflow, index)[::-1]
        return (levels["key"] if side > 0 else -levels["key"]).copy(), levels["quantity"].copy()

    def save(self) -> bytes:
        """Return the whole state, from which :meth:`load` continues bit for bit."""
        state = self._state[0]
        start, end = int(state["buffer_start"]), int(state["buffer_end"])
        held = np.zeros(end - start, ROW_DTYPE)  # field by field: the bytes between fields are nobody's
        for name in ROW_DTYPE.names or ():
            held[name] = self._buffer[name][start:end]
        return pack_state(
            _TAG,
            _VERSION,
            {
                "instrument": msgspec.json.encode(self.instrument),
                "config": self.config.to_mapping(),
                "state": self._state,
                "bids": levels_of(state, self._ladder, self._bits, self._overflow, 0),
                "asks": levels_of(state, self._ladder, self._bits, self._overflow, 1),
                "orders": self._orders,
                "buffer": held,
                "gaps": self._gaps[: int(state["gap_count"])],
                "price": self._price[self._at],
                "quantity": self._quantity[self._at],
            },
        )

    @classmethod
    def load(cls, blob: bytes) -> Self:
        """Return the book that :meth:`save` packed."""
        parts = unpack_state(blob, _TAG, _VERSION)
        if parts["state"].dtype != STATE_DTYPE:
            raise StateError("the saved book has another layout", hint="rebuild it from raw events with this version")
        instrument = msgspec.json.decode(parts["instrument"], type=Instrument)
        book = cls(instrument, BookConfig.from_mapping(parts["config"]))
        book._restore(parts)
        return book

    def _restore(self, parts: dict[str, Any]) -> None:
        saved, state = parts["state"], self._state
        state[:] = saved
        for name in ("ladder_levels", "overflow_levels", "buffer_start"):
            state[name] = 0
        state["best"] = -1
        most = max(len(parts["bids"]), len(parts["asks"]))
        self._overflow = np.empty((2, 2 * most + 4096), LEVEL_DTYPE)
        for side, levels in enumerate((parts["bids"], parts["asks"])):
            put_levels(state[0], self._ladder, self._bits, self._overflow, side, levels.view(LEVEL_DTYPE))
        self._orders = parts["orders"].view(ORDER_DTYPE)
        held = parts["buffer"]
        self._buffer = np.zeros(max(len(self._buffer), len(held)), ROW_DTYPE)
        self._buffer[: len(held)] = held
        state["buffer_end"] = len(held)
        gaps = parts["gaps"]
        self._gaps = np.zeros(8 + 2 * len(gaps), GAP_DTYPE)
        self._gaps[: len(gaps)] = gaps
        self._price[0], self._quantity[0] = parts["price"], parts["quantity"]
