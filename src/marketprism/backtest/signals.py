"""Signals on a tape's clock: what research computed, seen by a strategy when it was known and not before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from marketprism.core.errors import DataError, did_you_mean
from marketprism.core.kernels import kernel

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SignalTape", "latest_signal", "signal_tape"]


@dataclass(frozen=True)
class SignalTape:
    """Values of one or more signals, each from the time it was known.

    Attributes
    ----------
    ts : ndarray of int64, shape (n,)
        When each row was known, on the tape's local clock, ns UTC; never running back.
    values : ndarray of float64, shape (n, k)
        NaN where a signal has no value.
    names : tuple of str
        Of the k signals.

    Raises
    ------
    DataError
        Shapes that do not fit, an infinite value, or times that run back.
    """

    ts: np.ndarray
    values: np.ndarray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.ts), len(self.names)):
            raise DataError(
                f"values had shape {self.values.shape} for {len(self.ts)} times and {len(self.names)} names",
                hint="one row for each time, one column for each name",
            )
        if self.ts.dtype != np.int64 or self.values.dtype != np.float64:
            raise DataError(f"ts was {self.ts.dtype}, values {self.values.dtype}", hint="int64 ns, and float64")
        back = np.flatnonzero(np.diff(self.ts) < 0)
        if back.size:
            row = int(back[0]) + 1
            raise DataError(f"ts of row {row} was {self.ts[row]}, before {self.ts[row - 1]}", hint="sort the rows")
        if np.isinf(self.values).any():
            row, column = (int(at[0]) for at in np.nonzero(np.isinf(self.values)))
            raise DataError(f"{self.names[column]} of row {row} was infinite", hint="leave it NaN where undefined")

    def __len__(self) -> int:
        return len(self.ts)


def signal_tape(frame: pl.DataFrame, columns: Sequence[str], *, shift_ns: int = 0) -> SignalTape:
    """Return signals from factor rows or predictions.

    Parameters
    ----------
    frame : polars.DataFrame
        Has ``ts_known``, when each row was known (ns UTC, or a datetime), and the columns; rows in any order.
    columns : sequence of str
        Signals to take; nulls become NaN.
    shift_ns : int, default 0
        Added to ``ts_known``: the ``shift_ns`` of the tape they will be used on, whose local clock may not be the
        source's receive clock.

    Raises
    ------
    DataError
        A column is missing, or ``ts_known`` has nulls.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"ts_known": [20, 10], "imbalance": [0.5, None]})
    >>> signals = signal_tape(frame, ["imbalance"], shift_ns=3)
    >>> signals.ts.tolist(), signals.values[:, 0].tolist(), latest_signal(signals.ts, 22, 0)
    ([13, 23], [nan, 0.5], 0)
    """
    import polars as pl

    for name in ("ts_known", *columns):
        if name not in frame.columns:
            raise DataError(f"the frame has no column {name!r}", hint=did_you_mean(name, frame.columns))
    known = frame["ts_known"]
    if known.null_count():
        raise DataError(f"ts_known was null in {known.null_count()} rows", hint="a signal must say when it was known")
    if known.dtype == pl.Datetime:
        known = known.dt.timestamp("ns")
    ts = known.cast(pl.Int64).to_numpy() + shift_ns
    order = np.argsort(ts, kind="stable")
    values = np.empty((len(frame), len(columns)))
    for i, name in enumerate(columns):
        values[:, i] = frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()[order]
    return SignalTape(ts[order], values, tuple(columns))


@kernel
def latest_signal(ts: np.ndarray, now: int, after: int) -> int:
    """Return the last row known at ``now``, -1 where there is none yet; compiled, for use in strategies.

    Parameters
    ----------
    ts : ndarray of int64
        Times of a SignalTape.
    now : int
        Local clock, ns; a row of this very time is known.
    after : int
        Where to begin: the last answer, or anything below 1.
    """
    at = max(after, 0)
    while at < len(ts) and ts[at] <= now:
        at += 1
    return at - 1
