"""The chain of one instrument: book, clock, marks, then one pass for each family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np

from marketprism.book.book import Book
from marketprism.book.views import VIEW_DTYPE, BookViews
from marketprism.buckets.clock import BucketClock
from marketprism.buckets.record import Cut
from marketprism.core.dispatch import bind
from marketprism.core.errors import StateError
from marketprism.core.instrument import Instrument
from marketprism.core.rows import ROW_DTYPE
from marketprism.factors.base import Family, Setup
from marketprism.factors.config import EngineConfig
from marketprism.factors.marks import BEFORE, RESET, TOP, mark_rows, new_marker
from marketprism.factors.registry import params_of, select

__all__ = ["CHAIN_ROWS", "Chain", "ChainRows", "Observer"]

Observer = Callable[[np.ndarray, BookViews, np.ndarray], None]
"""Called with rows, views and bucket cuts of every step: how data quality is measured on the way."""

CHAIN_ROWS = 32768
"""Rows that go through the whole chain at a time: large enough to amortise a dozen dispatches, small enough for cache.

The value was measured (benchmarks/factors.py); output does not depend on it."""

_EVERY = int(Cut.BEFORE) | int(Cut.AFTER) | RESET
_NO_ROWS = np.zeros(0, ROW_DTYPE)


class ChainRows(NamedTuple):
    """What a chain returns where buckets closed.

    Attributes
    ----------
    closing : int64 ndarray, shape (m,)
        Index of the row, in what was pushed, at which each bucket closed.
    buckets : ndarray of BUCKET_DTYPE, shape (m,)
        The buckets.
    values : float64 ndarray, shape (m, factors)
        The factors, NaN where undefined.
    """

    closing: np.ndarray
    buckets: np.ndarray
    values: np.ndarray


class _Pass:
    """One family's kernel with its state, ready to be called."""

    __slots__ = ("kernel", "name", "no_output", "state", "wants", "width")

    def __init__(self, family: Family, setup: Setup) -> None:
        self.name = family.name
        self.kernel = family.kernel
        self.wants = family.wants | _EVERY
        self.width = len(family.factors(setup))
        self.state = family.state(setup)
        self.no_output = np.zeros((0, self.width))

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        return tuple(self.state.values())


class Chain:
    """Book, bucket clock and factor families of one instrument.

    Parameters
    ----------
    config : EngineConfig
        What to compute.
    instrument : Instrument
        For whom.
    """

    def __init__(self, config: EngineConfig, instrument: Instrument) -> None:
        self.instrument = instrument
        self.book = Book(instrument, config.book)
        self.clock = BucketClock(instrument, config.buckets)
        self._passes = [
            _Pass(family, Setup(params_of(family, config.params), config.book.depth_levels, instrument.tick))
            for family in select(config.families)
        ]
        self._marker = new_marker()
        self._marks_state = tuple(self._marker.values())
        self._mark_rows: Callable[..., int] = mark_rows
        # What streaming calls, one flat tuple a family: (bound kernel, wants, state arrays, no output).
        self._calls: list[tuple[Callable[..., Any], int, tuple[np.ndarray, ...], np.ndarray]] | None = None
        self.observer: Observer | None = None

    def push(self, rows: np.ndarray) -> ChainRows | None:
        """Take the instrument's next rows; return the buckets they closed, None where there are none."""
        if len(rows) <= CHAIN_ROWS:
            return self._step(rows)
        parts = []
        for start in range(0, len(rows), CHAIN_ROWS):
            part = self._step(rows[start : start + CHAIN_ROWS])
            if part is not None:
                parts.append(part._replace(closing=part.closing + start))
        return ChainRows(*map(np.concatenate, zip(*parts, strict=True))) if parts else None

    def _step(self, rows: np.ndarray) -> ChainRows | None:
        if len(rows) == 0:
            return None
        if not rows.flags.c_contiguous:
            rows = np.ascontiguousarray(rows)
        views = self.book.push(rows)
        cuts, buckets = self.clock.push(rows, views)
        if self.observer is not None:
            self.observer(rows, views, cuts)
        return self.compute(rows, views, cuts, buckets)

    def compute(self, rows: np.ndarray, views: BookViews, cuts: np.ndarray, buckets: np.ndarray) -> ChainRows | None:
        """Run the families alone over rows whose book and cuts are known: what replays and benchmarks need.

        Parameters
        ----------
        rows : ndarray of ROW_DTYPE, shape (n,)
            Next rows of the instrument.
        views : BookViews
            The book after each.
        cuts : uint8 ndarray, shape (n,)
            Where buckets close.
        buckets : ndarray of BUCKET_DTYPE
            The buckets that close there.

        Returns
        -------
        ChainRows or None
            The closed buckets with their factors.
        """
        n = len(rows)
        marks = np.empty(n, np.uint8)
        clock = np.empty(n, np.int64)
        if self._calls is None:
            self._bind(rows, views, marks, clock, buckets)
        found = self._mark_rows(rows, views.top, cuts, *self._marks_state, marks, clock)
        return self._run(rows, views, marks, clock, buckets, found)

    def _bind(
        self, rows: np.ndarray, views: BookViews, marks: np.ndarray, clock: np.ndarray, buckets: np.ndarray
    ) -> list[tuple[Callable[..., Any], int, tuple[np.ndarray, ...], np.ndarray]]:
        self._mark_rows = bind(mark_rows, rows, views.top, marks, *self._marks_state, marks, clock)
        common = (rows, *views, marks, clock, buckets)
        calls = [
            (bind(p.kernel, *common, *p.arrays, p.no_output), p.wants, p.arrays, p.no_output) for p in self._passes
        ]
        self._calls = calls
        return calls

    def _run(
        self, rows: np.ndarray, views: BookViews, marks: np.ndarray, clock: np.ndarray, buckets: np.ndarray, found: int
    ) -> ChainRows | None:
        top, price, quantity = views
        calls = self._calls if self._calls is not None else self._bind(rows, views, marks, clock, buckets)
        if not len(buckets):
            for kernel, wants, state, no_output in calls:
                if found & wants:
                    kernel(rows, top, price, quantity, marks, clock, buckets, *state, no_output)
            return None
        outputs = []
        for kernel, _, state, no_output in calls:
            out = np.empty((len(buckets), no_output.shape[1]))
            kernel(rows, top, price, quantity, marks, clock, buckets, *state, out)
            outputs.append(out)
        before, after = (marks & Cut.BEFORE) != 0, (marks & Cut.AFTER) != 0
        closing = np.repeat(np.arange(len(marks)), before.astype(np.int64) + after)
        values = np.concatenate(outputs, axis=1) if outputs else np.empty((len(buckets), 0))
        return ChainRows(closing, buckets, values)

    def flush(self) -> ChainRows | None:
        """Close the open bucket at the last event seen; None where no bucket is open."""
        buckets = self.clock.flush()
        if not len(buckets):
            return None
        # The families see one row of no kind that closes the bucket before itself: flushing needs no code of theirs.
        views = self.book.push(_NO_ROWS)
        top = np.zeros(1, VIEW_DTYPE)
        top[:] = self._marker["view"]
        top["depth"] = 0
        marks = np.full(1, BEFORE, np.uint8)
        virtual = BookViews(top, views.depth_price, views.depth_quantity)
        return self._run(np.zeros(1, ROW_DTYPE), virtual, marks, self._marker["now"].copy(), buckets, BEFORE | TOP)

    def save(self) -> dict[str, Any]:
        """Return the whole state as plain data and arrays."""
        return {
            "book": self.book.save(),
            "clock": self.clock.save(),
            "marker": dict(self._marker),
            "families": {p.name: dict(p.state) for p in self._passes},
        }

    def restore(self, saved: dict[str, Any]) -> Self:
        """Take over a saved state.

        Raises
        ------
        StateError
            The state was saved with other families or parameters.
        """
        self.book = Book.load(saved["book"])
        self.clock = BucketClock.load(saved["clock"])
        _copy_into(self._marker, saved["marker"], "marker")
        for item in self._passes:
            if item.name not in saved["families"]:
                raise StateError(f"the saved state has no family {item.name}", hint="rebuild it from raw events")
            _copy_into(item.state, saved["families"][item.name], item.name)
        return self


def _copy_into(state: dict[str, np.ndarray], saved: dict[str, np.ndarray], name: str) -> None:
    # Into the fresh arrays: a restored dtype would be another type to the compiled kernels.
    if saved.keys() != state.keys() or any(
        saved[key].shape != array.shape or saved[key].dtype.itemsize != array.dtype.itemsize
        for key, array in state.items()
    ):
        raise StateError(f"the saved state of {name} has another layout", hint="rebuild it from raw events")
    for key, array in state.items():
        array[:] = saved[key]
