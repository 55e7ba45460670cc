"""Purged walk-forward splits by time: a training label must be known before the test starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import ConfigError, DataError

__all__ = ["PurgedWalkForward", "check_options", "row_times", "stretch_edges"]

_Ints = npt.NDArray[np.int64]


class PurgedWalkForward:
    """Walk forward through time: train on the past, test on the next stretch, and purge labels that overlap it.

    The distinct event times are cut into ``n_splits + 1`` stretches of equal row counts (rows of one time, such as
    the instruments of a panel, always stay together); fold k tests stretch k + 1. A row may train only if its event
    time AND its label's end time lie strictly before ``test start - embargo``. Works with sklearn's
    ``cross_validate`` and friends.

    Parameters
    ----------
    n_splits : int, default 5
        Number of folds.
    window : {"expanding", "rolling"}
        Train on everything before the test, or on the last ``train_stretches`` stretches.
    embargo : int, default 0
        Extra distance (ns, in the unit of the times) kept between the last training label and the test.
    train_stretches : int, default 1
        Length of the rolling window, in stretches.
    event_times, label_end_times : array of int, optional
        Per row: when it could be acted upon, and when its label became known. Without them, ``groups`` of
        ``split`` must give both as an ``(n, 2)`` array; without either, rows are taken as times 0, 1, 2, ...
    label_horizon : int, default 1
        Only for rows as times: how many rows a label looks ahead.

    Examples
    --------
    >>> splitter = PurgedWalkForward(2, label_horizon=2)
    >>> [(train.tolist(), test.tolist()) for train, test in splitter.split(np.zeros(9))]
    [([0], [3, 4, 5]), ([0, 1, 2, 3], [6, 7, 8])]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        window: Literal["expanding", "rolling"] = "expanding",
        embargo: int = 0,
        train_stretches: int = 1,
        event_times: npt.ArrayLike | None = None,
        label_end_times: npt.ArrayLike | None = None,
        label_horizon: int = 1,
    ) -> None:
        if window not in {"expanding", "rolling"}:
            raise ConfigError(f"window was {window!r}", hint="use 'expanding' or 'rolling'")
        lowest = {"n_splits": 1, "embargo": 0, "train_stretches": 1, "label_horizon": 0}
        given = {
            "n_splits": n_splits,
            "embargo": embargo,
            "train_stretches": train_stretches,
            "label_horizon": label_horizon,
        }
        check_options(lowest, given, event_times, label_end_times)
        self.n_splits = n_splits
        self.window = window
        self.embargo = embargo
        self.train_stretches = train_stretches
        self.event_times = event_times
        self.label_end_times = label_end_times
        self.label_horizon = label_horizon

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002
        """Return the number of folds."""
        return self.n_splits

    def split(self, X: Any, y: Any = None, groups: npt.ArrayLike | None = None) -> Iterator[tuple[_Ints, _Ints]]:  # noqa: ARG002
        """Yield training and test row numbers of each fold, both increasing.

        Parameters
        ----------
        X : array-like
            Only its length is used.
        y : ignored
            For sklearn.
        groups : array of shape (n, 2), optional
            Event time and label end time of each row, instead of those of the constructor.

        Raises
        ------
        DataError
            Times do not match the rows, or there are too few distinct times.
        """
        times, ends = row_times(len(X), groups, self.event_times, self.label_end_times, self.label_horizon)
        edges = stretch_edges(times, self.n_splits + 1)
        for fold in range(self.n_splits):
            start, stop = edges[fold + 1], edges[fold + 2]
            test = np.flatnonzero((times >= start) & (times < stop if fold < self.n_splits - 1 else True))
            usable = (times < start - self.embargo) & (ends < start - self.embargo)
            if self.window == "rolling":
                usable &= times >= edges[max(0, fold + 1 - self.train_stretches)]
            yield np.flatnonzero(usable), test


def row_times(
    n: int,
    groups: npt.ArrayLike | None,
    event_times: npt.ArrayLike | None,
    label_end_times: npt.ArrayLike | None,
    label_horizon: int,
) -> tuple[_Ints, _Ints]:
    """Event and label-end time of ``n`` rows: the given arrays, else the columns of ``groups``, else row numbers.

    Returns
    -------
    tuple of ndarray of shape (n,)
        Event times, and label-end times that never lie before them.

    Raises
    ------
    DataError
        Not one time for each row.
    """
    if event_times is not None and label_end_times is not None:
        times, ends = np.asarray(event_times, np.int64), np.asarray(label_end_times, np.int64)
    elif groups is not None:
        both = np.asarray(groups, np.int64)
        if both.ndim != 2 or both.shape[1] != 2:
            raise DataError(f"groups had shape {both.shape}", hint="pass event and label end times as (n, 2)")
        times, ends = both[:, 0], both[:, 1]
    else:
        times = np.arange(n, dtype=np.int64)
        ends = times + label_horizon
    if times.shape != (n,) or ends.shape != (n,):
        raise DataError(f"{n} rows came with {times.size} times and {ends.size} label ends", hint="one per row")
    return times, np.maximum(times, ends)


def stretch_edges(times: _Ints, stretches: int) -> list[int]:
    """First time of each of ``stretches`` stretches of about equal row counts, and one past the last time.

    Raises
    ------
    DataError
        Too few distinct times.
    """
    ordered = np.sort(times)
    edges = [int(ordered[(k * ordered.size) // stretches]) for k in range(stretches)] if ordered.size else []
    if len(set(edges)) < stretches:
        raise DataError(
            f"{np.unique(times).size} distinct times are too few for {stretches} stretches", hint="use fewer folds"
        )
    return [*edges, int(ordered[-1]) + 1]


def check_options(
    lowest: Mapping[str, int],
    given: Mapping[str, int],
    event_times: npt.ArrayLike | None,
    label_end_times: npt.ArrayLike | None,
) -> None:
    """Raise ConfigError where a number lies below its lowest value, or only one of the two times was given."""
    for name, value in given.items():
        if value < lowest[name]:
            raise ConfigError(f"{name} was {value}", hint=f"it must be at least {lowest[name]}")
    if (event_times is None) != (label_end_times is None):
        raise ConfigError("only one of event_times and label_end_times was given", hint="give both or none")
