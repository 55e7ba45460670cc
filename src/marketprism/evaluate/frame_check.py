"""Checks of bucket frames and mid series before anything is traded on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from marketprism.core.errors import DataError
from marketprism.labels.forward import SERIES_KEY, require_columns

if TYPE_CHECKING:
    import polars as pl

__all__ = ["check_bucket_frame", "check_mids"]

_KEYS = (*SERIES_KEY, "bucket_id", "segment", "ts_known")
_WHOLE = ("bucket_id", "segment", "ts_start", "ts_end", "ts_known", "duration_ns")
_PRICES = ("mid_open", "mid_last", "open", "high", "low", "close", "vwap", "microprice")
_AMOUNTS = ("duration_ns", "volume", "notional")


def check_bucket_frame(frame: pl.DataFrame) -> None:
    """Refuse a bucket frame that cannot be what the engine makes.

    Raises
    ------
    DataError
        A key column or ``mid_last`` is missing, the frame is empty, a key is null, a column that counts or tells time
        is not of an integer type (times: int64 ns UTC), a price is not of a number type, infinite or not positive, or
        a duration, volume or notional is negative or infinite. The message names row, column and value.

    Notes
    -----
    Null and NaN prices stand for an invalid book and are fine. That buckets come once and in order is checked where
    they are sorted (:func:`~marketprism.labels.make_labels`).
    """
    require_columns(frame, (*_KEYS, "mid_last"))
    for name in _KEYS:
        if frame[name].null_count():
            row = int(frame[name].is_null().arg_max() or 0)
            raise DataError(f"{name} of row {row} was null", hint="every bucket needs its instrument, number and times")
    for name in _WHOLE:
        if name in frame.columns and not frame[name].dtype.is_integer():
            raise DataError(
                f"column {name!r} was of type {frame[name].dtype}", hint="pass integers; times in ns UTC as int64"
            )
    for name in (*_PRICES, *_AMOUNTS):
        if name in frame.columns:
            _check_numbers(frame, name, positive=name in _PRICES)


def _check_numbers(frame: pl.DataFrame, name: str, *, positive: bool) -> None:
    column = frame[name]
    if not (column.dtype.is_numeric() or column.null_count() == column.len()):
        raise DataError(f"column {name!r} was of type {column.dtype}", hint="pass numbers")
    values = column.cast(float).fill_null(float("nan")).to_numpy()
    wrong = np.isinf(values) | (values <= 0 if positive else values < 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        hint = "a price is above 0; null where the book is invalid" if positive else "it cannot be negative or infinite"
        raise DataError(f"{name} of bucket {frame['bucket_id'][row]} (row {row}) was {values[row]:g}", hint=hint)


def check_mids(mids: pl.DataFrame) -> None:
    """Refuse a mid series without instrument, receive clock or mid, or that runs backwards.

    Raises
    ------
    DataError
        A column (the series key, ``ts_recv`` or ``ts``, ``mid``) is missing, an instrument's times run backwards, or
        a mid is infinite or not positive.
    """
    import polars as pl

    clock = "ts_recv" if "ts_recv" in mids.columns else "ts"
    missing = [name for name in (*SERIES_KEY, clock, "mid") if name not in mids.columns]
    if missing:
        raise DataError(f"the mid series has no column {missing[0]!r}", hint=f"its columns were {mids.columns}")
    late = mids.filter(pl.col(clock).diff().over(SERIES_KEY) < 0)
    if late.height:
        raise DataError(
            f"mid series of {':'.join(map(str, late.select(SERIES_KEY).row(0)))} ran backwards at {late[clock][0]}",
            hint="order it by the receive clock",
        )
    wrong = mids.filter(pl.col("mid").is_infinite() | (pl.col("mid") <= 0))
    if wrong.height:
        raise DataError(
            f"mid at {wrong[clock][0]} was {wrong['mid'][0]:g}", hint="a mid is above 0; null where the book is invalid"
        )
