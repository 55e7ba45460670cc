"""Inputs of trend states from a bucket frame: returns of each bucket and the offered transforms, series by series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import ConfigError, did_you_mean
from marketprism.core.timebase import NS
from marketprism.labels.config import Scheme
from marketprism.labels.forward import SERIES_KEY, require_columns, series_rows
from marketprism.labels.transforms import (
    downside_deviation,
    ewma,
    fast_minus_slow,
    macd,
    momentum_sum,
    relative_strength,
    rolling_mean,
    rolling_zscore,
    stochastic_k,
)

if TYPE_CHECKING:
    import polars as pl

__all__ = ["bucket_returns", "stretches", "trend_inputs"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_NEEDED = (*SERIES_KEY, "bucket_id", "segment", "ts_end", "mid_last")


def stretches(frame: pl.DataFrame) -> _Ints:
    """Return the numbers of the unbroken stretches of a bucket frame: one series, one segment, no bucket missing.

    Returns
    -------
    ndarray of int64, shape (n,)
        Row for row as ``frame``; equal exactly where nothing lies between two rows of a series.

    Raises
    ------
    DataError
        A column is missing or a bucket is repeated.
    """
    require_columns(frame, (*SERIES_KEY, "bucket_id", "segment"))
    result, total = np.empty(frame.height, np.int64), 0
    for rows in series_rows(frame).values():
        part = frame.select("bucket_id", "segment")[rows]
        broken = (np.diff(part["bucket_id"].to_numpy()) != 1) | (np.diff(part["segment"].to_numpy()) != 0)
        result[rows] = total + np.append(0, np.cumsum(broken))
        total = int(result[rows[-1]]) + 1
    return result


def bucket_returns(frame: pl.DataFrame, scheme: Scheme = "per_second") -> _Floats:
    """Log return of the mid from the end of the bucket before to the end of each bucket.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows, any number of series.
    scheme : {"per_second", "raw"}
        ``per_second`` divides by the event-clock seconds between the two ends.

    Returns
    -------
    ndarray of shape (n,)
        Known with its row. NaN at the start of a stretch, where a mid is missing, and where no time elapsed under
        ``per_second``.

    Raises
    ------
    ConfigError
        The scheme is unknown.
    DataError
        A column is missing or a bucket is repeated.
    """
    if scheme not in {"per_second", "raw"}:
        raise ConfigError(f"scheme was {scheme!r}", hint=did_you_mean(str(scheme), ("per_second", "raw")))
    require_columns(frame, _NEEDED)
    numbers, result = stretches(frame), np.full(frame.height, np.nan)
    mids, ends = _mids(frame), frame["ts_end"].to_numpy()
    for rows in series_rows(frame).values():
        before, after = rows[:-1], rows[1:]
        moves = np.log(mids[after]) - np.log(mids[before])
        if scheme == "per_second":
            seconds = (ends[after] - ends[before]) / NS
            moves = np.divide(moves, seconds, out=np.full(moves.size, np.nan), where=seconds > 0)
        result[after] = np.where(numbers[after] == numbers[before], moves, np.nan)
    return result


def trend_inputs(
    frame: pl.DataFrame, scheme: Scheme = "per_second", span: int = 10, zscore_window: int = 60
) -> pl.DataFrame:
    """Offer every causal input of the trend states, each from rows up to its own in its own stretch.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows, any number of series; ``high`` and ``low`` are not used: mids only, so that no bounce enters.
    scheme : {"per_second", "raw"}
        Of the returns behind the columns; column names do not say it, so keep one scheme for a model.
    span : int
        Span of the EWMA of the return, in buckets.
    zscore_window : int
        Window of the rolling z-scores, in buckets.

    Returns
    -------
    polars.DataFrame
        Row for row as ``frame``: ``return_ewma_{span}``, ``rsi_14``, ``stochastic_k_14``, ``macd_8_21``,
        ``macd_21_63``, ``momentum_3``, ``momentum_5``, ``trend_mean_20``, ``trend_mean_30``,
        ``fast_minus_slow_5_20``, ``downside_deviation_20``, ``return_ewma_{span}_z``, ``macd_8_21_z``; null where
        undefined.

    Raises
    ------
    ConfigError, DataError
        As :func:`bucket_returns`.
    """
    import polars as pl

    returns, numbers, mids = bucket_returns(frame, scheme), stretches(frame), _mids(frame)
    columns: dict[str, _Floats] = {}
    for rows in series_rows(frame).values():
        for name, values in _columns(returns[rows], mids[rows], numbers[rows], span, zscore_window).items():
            columns.setdefault(name, np.full(frame.height, np.nan))[rows] = values
    return pl.DataFrame({name: pl.Series(values).fill_nan(None) for name, values in columns.items()})


def _columns(r: _Floats, mid: _Floats, numbers: _Ints, span: int, zscore_window: int) -> dict[str, _Floats]:
    smooth, trend = ewma(r, span, numbers), macd(mid, 8, 21, numbers)
    return {
        f"return_ewma_{span}": smooth,
        "rsi_14": relative_strength(r, 14, numbers),
        "stochastic_k_14": stochastic_k(mid, 14, numbers),
        "macd_8_21": trend,
        "macd_21_63": macd(mid, 21, 63, numbers),
        "momentum_3": momentum_sum(r, 3, numbers),
        "momentum_5": momentum_sum(r, 5, numbers),
        "trend_mean_20": rolling_mean(r, 20, numbers),
        "trend_mean_30": rolling_mean(r, 30, numbers),
        "fast_minus_slow_5_20": fast_minus_slow(r, 5, 20, numbers),
        "downside_deviation_20": downside_deviation(r, 20, numbers),
        f"return_ewma_{span}_z": rolling_zscore(smooth, zscore_window, numbers),
        "macd_8_21_z": rolling_zscore(trend, zscore_window, numbers),
    }


def _mids(frame: pl.DataFrame) -> _Floats:
    mid = frame["mid_last"].fill_null(float("nan")).to_numpy().astype(np.float64)
    return np.where(np.isfinite(mid) & (mid > 0), mid, np.nan)
