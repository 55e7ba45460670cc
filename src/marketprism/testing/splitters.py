"""The check suite of splitters: no training label overlaps a test, and sklearn can use them."""

from __future__ import annotations

import inspect
import pickle
import pkgutil
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from marketprism.core.random import stream
from marketprism.testing.factors import CheckError

__all__ = ["SPLITTER_CHECKS", "SplitterProbe", "check_splitter", "splitters"]

_Ints = npt.NDArray[np.int64]
_Splits = list[tuple[_Ints, _Ints]]


@dataclass
class SplitterProbe:
    """A splitter and rows to split.

    Parameters
    ----------
    splitter : object
        With ``split(X, y, groups)`` and ``get_n_splits``; ``groups`` are event and label end times, ``(n, 2)``.
    groups : ndarray of int, shape (n, 2)
        Rows in no order; several share a time, label lengths differ much.
    """

    splitter: Any
    groups: _Ints
    X: npt.NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.X = np.arange(len(self.groups), dtype=np.float64)[:, None]

    @property
    def name(self) -> str:
        """Name of the class."""
        return type(self.splitter).__name__

    def splits(self, groups: _Ints | None = None) -> _Splits:
        """Return all splits as arrays."""
        given = self.groups if groups is None else groups
        with warnings.catch_warnings():
            # sklearn's own splitters warn that they ignore groups; the checks say what comes of it.
            warnings.simplefilter("ignore", UserWarning)
            found = [(np.asarray(a), np.asarray(b)) for a, b in self.splitter.split(self.X, None, given)]
        for number, parts in enumerate(found):
            if any(part.dtype.kind != "i" or part.ndim != 1 for part in parts):
                raise self.fail(
                    f"split {number} was {parts[0].dtype} and {parts[1].dtype}", "yield vectors of row numbers"
                )
        return found

    def fail(self, message: str, hint: str) -> CheckError:
        """Return the error of a broken promise."""
        return CheckError(f"splitter {self.name}: {message}", hint=hint)


def check_no_overlap(probe: SplitterProbe) -> None:
    """Check that no training label overlaps the span of a test row, embargo included, on either side."""
    times, ends = probe.groups[:, 0], np.maximum(probe.groups[:, 0], probe.groups[:, 1])
    embargo = int(getattr(probe.splitter, "embargo", 0))
    for number, (train, test) in enumerate(probe.splits()):
        # A training label [t, e] and a test label [t', e'] overlap unless e < t' - embargo or t > e' + embargo.
        before = ends[train][:, None] < times[test] - embargo
        after = times[train][:, None] > ends[test] + embargo
        wrong = ~(before | after)
        if wrong.any():
            i, j = (int(k) for k in np.argwhere(wrong)[0])
            a, b = int(train[i]), int(test[j])
            raise probe.fail(
                f"split {number} trains on row {a} (time {times[a]}, label end {ends[a]}) and tests row {b} "
                f"(time {times[b]}, label end {ends[b]}), embargo {embargo}",
                "purge by label END time, not by row number, and apply the embargo to it",
            )


def check_whole_times(probe: SplitterProbe) -> None:
    """Check that rows of one time are never trained on and tested at once, nor torn between tests of one split."""
    times = probe.groups[:, 0]
    for number, (_, test) in enumerate(probe.splits()):
        inside = np.isin(times, times[test])
        if int(inside.sum()) != test.size:
            raise probe.fail(f"split {number} tests some rows of a time only", "rows of one time stay together")


def check_coverage(probe: SplitterProbe) -> None:
    """Check that each split tests something, no row twice in one split, and that all rows after the first test are."""
    times, seen = probe.groups[:, 0], np.zeros(len(probe.groups), np.int64)
    for number, (train, test) in enumerate(probe.splits()):
        for part, word in ((train, "training"), (test, "test")):
            if np.unique(part).size != part.size or (part.size and (part.min() < 0 or part.max() >= len(times))):
                raise probe.fail(f"split {number} has {word} rows twice or out of range", "give each row number once")
        if not test.size:
            raise probe.fail(f"split {number} tests no row", "use fewer splits")
        seen[test] += 1
    first = times[seen > 0].min()
    missed = np.flatnonzero((seen == 0) & (times >= first))
    if missed.size:
        raise probe.fail(f"row {missed[0]} (time {times[missed[0]]}) is never tested", "cover all rows to the end")
    if np.unique(seen[seen > 0]).size > 1:
        raise probe.fail(f"rows are tested {seen[seen > 0].min()} to {seen.max()} times", "test all equally often")


def check_trains(probe: SplitterProbe) -> None:
    """Check that some split has training rows: purging everything also leaves no overlap."""
    if not any(train.size for train, _ in probe.splits()):
        raise probe.fail("no split has a training row", "purge only what overlaps")


def check_deterministic(probe: SplitterProbe) -> None:
    """Check that a second call, a copy through pickle and the rows in another order give the same splits."""
    first = probe.splits()
    copy = SplitterProbe(pickle.loads(pickle.dumps(probe.splitter)), probe.groups)  # noqa: S301  # our own bytes
    for again, what in ((probe.splits(), "a second call"), (copy.splits(), "a copy through pickle")):
        _same(probe, first, again, what)
    order = stream(0, "check-splitter-order").permutation(len(probe.groups))
    moved = [(np.sort(order[train]), np.sort(order[test])) for train, test in probe.splits(probe.groups[order])]
    _same(probe, [(np.sort(a), np.sort(b)) for a, b in first], moved, "rows in another order")


def _same(probe: SplitterProbe, first: _Splits, again: _Splits, what: str) -> None:
    equal = len(first) == len(again) and all(
        np.array_equal(a, c) and np.array_equal(b, d) for (a, b), (c, d) in zip(first, again, strict=True)
    )
    if not equal:
        raise probe.fail(f"{what} gave other splits", "split by the times alone; draw random numbers from a seed")


def check_sklearn(probe: SplitterProbe) -> None:
    """Check the number of splits, and that ``cross_validate`` runs with times as groups."""
    from sklearn.dummy import DummyClassifier
    from sklearn.model_selection import cross_validate

    splits = probe.splits()
    if probe.splitter.get_n_splits(probe.X, None, probe.groups) != len(splits):
        raise probe.fail("get_n_splits is not the number of splits", "count what split yields")
    if all(train.size for train, _ in splits):
        y = np.arange(len(probe.X)) % 2
        cross_validate(DummyClassifier(), probe.X, y, cv=probe.splitter, groups=probe.groups, error_score="raise")


SPLITTER_CHECKS: dict[str, Callable[[SplitterProbe], None]] = {
    "no_overlap": check_no_overlap,
    "whole_times": check_whole_times,
    "coverage": check_coverage,
    "trains": check_trains,
    "deterministic": check_deterministic,
    "sklearn": check_sklearn,
}
"""All checks by name; each raises a CheckError where a splitter breaks a promise."""


def _rows(seed: int, n: int = 240) -> _Ints:
    """Return times that several rows share, in no order; labels of unequal length, some of none."""
    rng = stream(seed, "check-splitter")
    times = np.sort(rng.integers(0, 5 * n, n // 2))[rng.integers(0, n // 2, n)]
    length = np.where(rng.random(n) < 0.1, 40, rng.integers(0, 8, n)) * rng.integers(1, 4, n)
    return np.column_stack((times, times + length)).astype(np.int64)


def check_splitter(
    splitter: Any, groups: npt.ArrayLike | None = None, *, checks: Iterable[str] | None = None
) -> tuple[str, ...]:
    """Run the check suite on a splitter.

    Parameters
    ----------
    splitter : object
        With ``split(X, y, groups)`` and ``get_n_splits(X, y, groups)``; ``groups`` are event and label end times,
        shape ``(n, 2)``. An attribute ``embargo`` (0 without one), in the unit of the times, is held to.
    groups : array of int, shape (n, 2), optional
        Your own rows; by default two made-up sets with shared times and labels of unequal length.
    checks : iterable of str, optional
        Names out of ``SPLITTER_CHECKS``; all by default.

    Returns
    -------
    tuple of str
        The checks that passed, which are all that were asked for.

    Raises
    ------
    CheckError
        The splitter breaks a promise; the message names the rows.

    Examples
    --------
    >>> from marketprism.evaluate import PurgedKFold
    >>> check_splitter(PurgedKFold(4, embargo=3))
    ('no_overlap', 'whole_times', 'coverage', 'trains', 'deterministic', 'sklearn')
    """
    names = tuple(SPLITTER_CHECKS if checks is None else checks)
    sets = [np.asarray(groups, np.int64)] if groups is not None else [_rows(0), _rows(1)]
    for rows in sets:
        probe = SplitterProbe(splitter, rows)
        for name in names:
            SPLITTER_CHECKS[name](probe)
    return names


def splitters() -> dict[str, type]:
    """Return the public splitters of ``marketprism.evaluate`` by name: classes with ``split`` and ``get_n_splits``."""
    package = import_module("marketprism.evaluate")
    found: dict[str, type] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = import_module(f"marketprism.evaluate.{info.name}")
        for name, one in inspect.getmembers(module, inspect.isclass):
            own = one.__module__ == module.__name__ and not name.startswith("_")
            if own and hasattr(one, "split") and hasattr(one, "get_n_splits"):
                found[name] = one
    return dict(sorted(found.items()))
