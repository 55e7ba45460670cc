"""Leak detector: whatever a factor says about a time must not change when the future does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import ConfigError, DataError, MarketPrismError
from marketprism.core.random import stream
from marketprism.evaluate.tapes import RECEIVED, Tape, nanoseconds, open_tape

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Leak", "as_table", "check_leaks"]

_MEASURED = 3
"""Failing times at which the distance of a leak is measured."""

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Leak:
    """A factor that saw the future.

    Attributes
    ----------
    factor : str
        Name of the column.
    rows_ahead : int
        Smallest number of rows ahead whose change alters the value: 1 is a one-step look-ahead.
    reach : int
        Largest number of rows ahead found to alter it (bounded by the end of the tape).
    tests : tuple of str
        Which tests it failed: ``truncation``, ``shuffled future``, ``late row``.
    row : int
        First sampled row of the tape after which the future was changed and seen.
    failed, sampled : int
        Sampled times at which it failed any test, and all sampled times.
    difference : float
        Largest absolute change seen; NaN where a value appeared or vanished. Near the rounding error, the factor is
        computed differently on more rows rather than looking ahead.
    """

    factor: str
    rows_ahead: int
    reach: int
    tests: tuple[str, ...]
    row: int
    failed: int
    sampled: int
    difference: float

    def __str__(self) -> str:
        ahead = f"{self.rows_ahead} row{'s' if self.rows_ahead > 1 else ''}"
        return (
            f"{self.factor} looks ahead {ahead} (up to {self.reach}): failed {', '.join(self.tests)} "
            f"at {self.failed} of {self.sampled} times, first after row {self.row}"
        )


def check_leaks(
    factor_function: Callable[[Any], Any],
    tape: Any,
    *,
    samples: int = 24,
    event: str | None = None,
    received: str | None = None,
    seed: int = 0,
) -> list[Leak]:
    """Find factors that use what was not known yet.

    At sampled rows t of the tape: the factors of the tape cut after t must equal the same rows of the full
    computation bit by bit; permuting the contents of all rows after t (their times stay) must change no value up to
    t; and a row backfilled behind t, with an event time at or before t but received later, must change none either.
    NaN equals NaN, null equals null.

    Parameters
    ----------
    factor_function : callable
        Takes a tape like ``tape`` and returns one row of values for each row of it: a Polars or pandas frame or
        series, an array of shape (n,) or (n, F), or a mapping of arrays. Fewer rows are fine (buckets out of
        events) if the result has a column ``ts_known`` (or ``ts_recv``): each row must then appear once it is known.
        It starts afresh in each call (a new FactorEngine, not flushed: the flush closes a bucket early).
    tape : polars.DataFrame, pandas.DataFrame or Series, ndarray, mapping of arrays, or EventBlock
        In the order of receipt; the function gets the same kind, and pandas' index counts as times. A leak that
        already lies in a column of the tape cannot be seen by changing the tape: :func:`suspected_leaks` finds those.
    samples : int, default 24
        Sampled times; a tape with fewer rows is checked at every row.
    event, received : str, optional
        Event and receive time columns of a frame (default: ``ts_event`` or ``ts_end``, and ``ts_known`` or
        ``ts_recv``). Without both there is no late-row test.
    seed : int, default 0
        Seed of the sampled times and permutations.

    Returns
    -------
    list of Leak
        One for each leaking factor, in column order; empty where nothing was found.

    Raises
    ------
    DataError
        The tape is too short or out of order, or the function is not deterministic, fails on a part of the tape, or
        returns another number of rows.

    Examples
    --------
    >>> import polars as pl
    >>> tape = pl.DataFrame({"mid": [float(i * i % 17) for i in range(60)]})
    >>> def factors(frame):
    ...     return frame.select(past=pl.col("mid").diff(), peek=pl.col("mid").diff().shift(-1))
    >>> [(leak.factor, leak.rows_ahead) for leak in check_leaks(factors, tape)]
    [('peek', 1)]
    """
    if samples < 1:
        raise ConfigError(f"samples was {samples}", hint="sample at least one time")
    probe = _Probe(factor_function, open_tape(tape, event, received))
    rng = stream(seed, "leaks")
    places = probe.places(samples, rng)
    seen: dict[str, list[tuple[str, int, int, float]]] = {name: [] for name in probe.full.columns}
    for place in places:
        for test, name, row, difference in probe.tests(place, rng):
            seen[name].append((test, place, row, difference))
    return [_finding(probe, name, found, len(places)) for name, found in seen.items() if found]


def _finding(probe: _Probe, name: str, found: list[tuple[str, int, int, float]], sampled: int) -> Leak:
    tests = tuple(dict.fromkeys(test for test, *_ in found))
    places = {place: row for test, place, row, _ in found if test != "late row"}
    near, far = [], []
    for place, row in list(places.items())[:_MEASURED]:
        nearest, farthest = probe.distance(name, row if probe.aligned else place)
        near.append(nearest)
        far.append(farthest)
    return Leak(
        factor=name,
        rows_ahead=min(near, default=1),
        reach=max(far, default=1),
        tests=tests,
        row=min(place for _, place, *_ in found),
        failed=len(dict.fromkeys(place for _, place, *_ in found)),
        sampled=sampled,
        difference=max((d for *_, d in found if not math.isnan(d)), default=math.nan),
    )


class _Probe:
    """The function, its result on the whole tape, and what becomes of it when the future changes."""

    def __init__(self, function: Callable[[Any], Any], tape: Tape) -> None:
        self.tape = tape
        self._function = function
        n = len(tape)
        if n < 3:
            raise DataError(f"the tape has {n} rows", hint="a leak check needs at least 3")
        self.full = self._table(tape.cut(n), "the whole tape")
        self.aligned = self.full.height == n
        column = next((name for name in RECEIVED if name in self.full.columns), None)
        if not self.aligned and (column is None or tape.known is None):
            raise DataError(
                f"{n} rows of tape gave {self.full.height} rows of factors",
                hint="return one row for each row of the tape, or a ts_known column with fewer rows",
            )
        self._known = nanoseconds(self.full[column]) if column is not None and not self.aligned else None
        if self._differences(self.full, self._table(tape.cut(n), "the whole tape"), self.full.height):
            raise DataError(
                "two calls on the same tape gave different values",
                hint="start afresh in each call: a new engine, a fixed seed",
            )
        self._memory: dict[tuple[str, int, int], frozenset[str]] = {}
        self._alike = tape.alike()

    def places(self, samples: int, rng: np.random.Generator) -> list[int]:
        """Rows to cut after: spread over the tape with one drawn from each stretch, the last possible one included."""
        ends = self.tape.ends()
        ends = ends[ends < len(self.tape) - 1]
        if not ends.size:
            raise DataError("the tape is a single message", hint="use a longer tape")
        if ends.size <= samples:
            return [int(row) for row in ends]
        stretches = np.array_split(ends, samples)
        return [int(rng.choice(stretch)) for stretch in stretches[:-1]] + [int(ends[-1])]

    def tests(self, place: int, rng: np.random.Generator) -> list[tuple[str, str, int, float]]:
        """Failures of the three tests after one row: test, factor, last row of the result that changed, by how much."""
        base = self._table(self.tape.cut(place + 1), f"the first {place + 1} rows")
        rows = max(base.height, self._due(place))
        found = [("truncation", *d) for d in self._differences(base, self.full, rows)]
        index = np.arange(len(self.tape))
        for rest in self._future(place):
            index[rest] = rng.permutation(rest)
        shuffled = self._table(self.tape.rearranged(index), f"the future shuffled after row {place}")
        found += [("shuffled future", *d) for d in self._differences(shuffled, self.full, rows)]
        late = self.tape.backfilled(place, int(self._donors(place)[place + 1]))
        if late is not None:
            backfilled = self._table(late, f"a late row behind row {place}")
            found += [("late row", *d) for d in self._differences(backfilled, self.full, rows)]
        return found

    def distance(self, name: str, place: int) -> tuple[int, int]:
        """Smallest and largest number of rows after ``place`` whose change alters the factor there, by bisection."""
        last = len(self.tape) - 1 - place
        near = [
            _first(lambda h, way=way: name in self._altered(way, place, h), last)  # type: ignore[misc]
            for way in ("replaced", "revealed")
            if name in self._altered(way, place, last)
        ]
        far = [
            _first(lambda h, way=way: name not in self._altered(way, place, h), last + 1) - 1  # type: ignore[misc]
            for way in ("replaced from", "cut before")
            if name in self._altered(way, place, 1)
        ]
        nearest = min(near, default=1)
        return nearest, max(far, default=nearest)

    def _altered(self, way: str, place: int, ahead: int) -> frozenset[str]:
        """Return factors whose value at ``place`` changes with the ``ahead`` next rows, or with those from there on."""
        key = (way, place, ahead)
        if key not in self._memory:
            base = self._table(self.tape.cut(place + 1), f"the first {place + 1} rows")
            row = max(base.height, self._due(place)) - 1
            reference, n = self.full, len(self.tape)
            if way == "revealed":
                reference, other = base, self.tape.cut(place + 1 + ahead)
            elif way == "cut before":
                other = self.tape.cut(min(n, place + ahead))
            else:
                changed = slice(place + 1, place + 1 + ahead) if way == "replaced" else slice(place + ahead, n)
                index = np.arange(n)
                index[changed] = self._donors(place)[changed]
                other = self.tape.rearranged(index)
            result = self._table(other, f"the tape {way} {ahead} rows after row {place}")
            pair = (result[row : row + 1], reference[row : row + 1])
            self._memory[key] = frozenset(name for name, *_ in self._differences(*pair, 1)) if row >= 0 else frozenset()
        return self._memory[key]

    def _due(self, place: int) -> int:
        """Rows of the result that must be known after row ``place``."""
        if self._known is None or self.tape.known is None:
            return place + 1
        return int(np.searchsorted(self._known, self.tape.known[place], side="left"))

    def _future(self, place: int) -> list[_Ints]:
        rest = np.arange(place + 1, len(self.tape))
        codes = self._alike[rest]
        return [rest[codes == code] for code in np.unique(codes)]

    def _donors(self, place: int) -> _Ints:
        """For each later row another one, half the way on, to take the contents from."""
        index = np.arange(len(self.tape))
        for rest in self._future(place):
            index[rest] = np.roll(rest, max(1, rest.size // 2))
        return index

    def _table(self, part: Any, what: str) -> pl.DataFrame:
        try:
            result = self._function(part)
        except MarketPrismError:
            raise
        except Exception as error:
            raise DataError(
                f"the factor function failed on {what}: {type(error).__name__}: {error}",
                hint="it must work on any beginning of the tape",
            ) from error
        table = as_table(result, getattr(self._function, "__name__", "factor"))
        if hasattr(self, "full"):
            if table.columns != self.full.columns:
                raise DataError(f"on {what} the columns were {table.columns}", hint=f"expected {self.full.columns}")
            if self.aligned and table.height != (rows := _rows(part)):
                raise DataError(f"{what}: {rows} rows gave {table.height}", hint="return a row for each row")
        return table

    def _differences(self, ours: pl.DataFrame, theirs: pl.DataFrame, rows: int) -> list[tuple[str, int, float]]:
        """Columns that differ in the first ``rows`` rows: name, last such row, largest absolute difference."""
        missing = min(ours.height, rows) != min(theirs.height, rows)
        common = min(ours.height, theirs.height, rows)
        found = []
        for name in ours.columns:
            a, b = ours[name].head(common), theirs[name].head(common)
            if a.dtype != b.dtype:
                a = a.cast(b.dtype, strict=False)
            unequal = a.ne_missing(b).arg_true()
            if unequal.len() or missing:
                numeric = a.dtype.is_numeric() and unequal.len() > 0
                size = (a.gather(unequal).cast(float) - b.gather(unequal).cast(float)).abs().max() if numeric else None
                row = rows - 1 if missing else int(unequal[-1])
                found.append((name, row, math.nan if size is None else float(size)))  # type: ignore[arg-type]
        return found


def _rows(part: Any) -> int:
    """Rows of what a factor function was given."""
    return len(next(iter(part.values())) if isinstance(part, Mapping) else part)


def _first(true_from: Callable[[int], bool], last: int) -> int:
    """Smallest h in 1 .. last at which a condition that holds at ``last`` and stays once it holds, holds."""
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        if true_from(middle):
            high = middle
        else:
            low = middle
    return high


def as_table(result: Any, name: str) -> pl.DataFrame:
    """Make a frame of what a factor function returned."""
    import polars as pl

    if isinstance(result, pl.LazyFrame):
        return result.collect()
    if isinstance(result, pl.DataFrame):
        return result
    if isinstance(result, pl.Series):
        return result.alias(result.name or name).to_frame()
    if isinstance(result, Mapping):
        return pl.DataFrame({str(key): np.asarray(values) for key, values in result.items()})
    if hasattr(result, "columns"):
        from marketprism.evaluate.user_columns import as_polars

        return as_polars(result)
    values = np.asarray(result)
    if values.ndim == 1:
        return pl.DataFrame({str(getattr(result, "name", None) or name): values})
    if values.ndim == 2:
        return pl.DataFrame({f"{name}_{i}": np.ascontiguousarray(values[:, i]) for i in range(values.shape[1])})
    raise DataError(f"the factors had shape {values.shape}", hint="return one row of values for each row of the tape")
