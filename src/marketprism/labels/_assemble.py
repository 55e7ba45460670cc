"""Series by series through a kernel, and back into one label set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.labels.config import LabelConfig, Scheme
from marketprism.labels.forward import SERIES_KEY, require_columns, series_rows
from marketprism.labels.labelset import LabelSet
from marketprism.labels.state_inputs import stretches

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Span", "Tape", "end_columns", "tapes", "to_label_set"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


class Tape(NamedTuple):
    """One series of a bucket frame, in bucket order."""

    rows: _Ints
    logs: _Floats
    """Log price at the end of each bucket, NaN where missing."""
    stretch: _Ints
    ts_end: _Ints
    ts_known: _Ints


class Span(NamedTuple):
    """Labels of one frame, row for row; -1 or NaN where undefined."""

    returns: _Floats
    classes: _Ints
    threshold: _Floats
    end: _Ints
    known: _Ints

    @classmethod
    def empty(cls, n: int) -> Span:
        """Return undefined labels for ``n`` rows."""
        nan = np.full(n, np.nan)
        return cls(nan, np.full(n, -128, np.int64), nan.copy(), np.full(n, -1, np.int64), np.full(n, -1, np.int64))

    def put(self, tape: Tape, target: _Ints, returns: _Floats, classes: _Ints, threshold: _Floats) -> None:
        """Enter one series: labels end with bucket ``target`` of the tape and are undefined where it is -1."""
        ok = target >= 0
        rows = tape.rows
        self.returns[rows] = np.where(ok, returns, np.nan)
        self.classes[rows] = np.where(ok & np.isfinite(threshold), classes, -128)
        self.threshold[rows] = threshold
        self.end[rows] = np.where(ok, tape.ts_end[target], -1)
        self.known[rows] = np.where(ok, tape.ts_known[target], -1)


def tapes(frame: pl.DataFrame, price: str = "mid_last") -> Iterator[Tape]:
    """Yield each series of the frame; prices that are not positive are missing.

    Raises
    ------
    DataError
        A column is missing, the frame is empty or a bucket is repeated.
    """
    require_columns(frame, (*SERIES_KEY, "bucket_id", "segment", "ts_end", "ts_known", price))
    numbers = stretches(frame)
    prices = frame[price].fill_null(float("nan")).to_numpy().astype(np.float64)
    logs = np.log(np.where(np.isfinite(prices) & (prices > 0), prices, np.nan))
    ends, known = (frame[name].to_numpy().astype(np.int64) for name in ("ts_end", "ts_known"))
    for rows in series_rows(frame).values():
        yield Tape(rows, logs[rows], numbers[rows], ends[rows], known[rows])


def to_label_set(frame: pl.DataFrame, span: Span, steps: int, definition: str, scheme: Scheme = "raw") -> LabelSet:
    """Return a label set with the single horizon ``steps`` buckets; ``definition`` enters its hash."""
    import polars as pl

    name = f"{steps}_buckets"
    keys = frame.select(*SERIES_KEY, "bucket_id", "segment", "ts_end", "ts_known")
    columns = {
        f"return_{name}": pl.Series(span.returns).fill_nan(None),
        f"class_{name}": pl.Series(span.classes.astype(np.int8)).replace(-128, None),
        f"threshold_{name}": pl.Series(span.threshold).fill_nan(None),
        **end_columns(name, span.end, span.known),
    }
    return LabelSet(keys.with_columns(**columns), LabelConfig(bucket_horizons=(steps,), scheme=scheme), definition, {})


def end_columns(name: str, end: _Ints, known: _Ints) -> dict[str, pl.Series]:
    """Return the columns that purging needs: when each label ends, and from when it was known."""
    import polars as pl

    return {
        f"label_end_ts_{name}": pl.Series(end).replace(-1, None),
        f"label_known_ts_{name}": pl.Series(known).replace(-1, None),
    }
