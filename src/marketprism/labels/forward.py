"""Forward log returns over buckets and seconds, with end times for purging and volatility-adaptive classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError, did_you_mean
from marketprism.core.timebase import NS
from marketprism.labels.config import Horizon, LabelConfig
from marketprism.labels.kernels import adaptive_scale, bucket_targets, time_targets
from marketprism.labels.labelset import LabelSet

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SERIES_KEY", "make_labels", "require_columns", "series_rows"]

SERIES_KEY = ("exchange", "market_type", "symbol")
"""Columns that name an instrument."""

_NEEDED = (*SERIES_KEY, "bucket_id", "segment", "ts_end", "ts_known", "mid_last")


class _Series(NamedTuple):
    """Arrays of one instrument, by increasing bucket id."""

    bucket_id: npt.NDArray[np.int64]
    segment: npt.NDArray[np.int64]
    ts_end: npt.NDArray[np.int64]
    ts_known: npt.NDArray[np.int64]
    mid: npt.NDArray[np.float64]


class _Mids(NamedTuple):
    """Mid series of one instrument on the event clock."""

    ts: npt.NDArray[np.int64]
    mid: npt.NDArray[np.float64]


class _Moves(NamedTuple):
    """Labels of one instrument and horizon."""

    returns: npt.NDArray[np.float64]
    end: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    stale: npt.NDArray[np.bool_]
    witness: npt.NDArray[np.int64]
    """Row of the bucket that completes the label, -1 where undefined."""


def make_labels(frame: pl.DataFrame, config: LabelConfig | None = None, mids: pl.DataFrame | None = None) -> LabelSet:
    """Build the label set of a bucket frame; labels never cross an instrument, a segment or a gap.

    A bucket label is ``log(mid_last[i+k] / mid_last[i])``: both mids are those in force at their bucket's ``ts_end``.
    A fixed-time label is ``log(mid(ts_end + h) / mid_last)``, where ``mid(t)`` is the last mid at or before ``t``:
    from ``mids`` when given, else the last bucket-end mid (coarse: see ``LabelSet.stale_share``). It exists only if
    a bucket of the same segment ends at or after ``ts_end + h``: otherwise a gap or the end of the tape came first.
    Under the ``per_second`` scheme every return is divided by its elapsed event-clock seconds.

    The class is up (1) above ``threshold``, down (-1) below ``-threshold``, else flat (0), with
    ``threshold = threshold_multiplier * rms`` and rms the exponentially weighted root-mean-square of those labels
    of the same horizon, instrument and scheme whose outcome was known when the row's bucket became known.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per closed bucket; any number of instruments, in any row order.
    config : LabelConfig, optional
        Horizons, scheme and threshold.
    mids : polars.DataFrame, optional
        Mid series: ``exchange, market_type, symbol, ts_event`` (or ``ts``; ns UTC) and ``mid`` (quote currency,
        NaN or null while the book is invalid), within an instrument in order of ``ts_recv`` where present, else of
        the event clock.

    Returns
    -------
    LabelSet
        Row for row as ``frame``. Null where a mid is missing or not positive, where the target lies beyond a gap
        or the tape, where it closes later than ``max_elapsed_s``, or where no time elapsed under ``per_second``.

    Raises
    ------
    DataError
        A column is missing, the frame is empty, a bucket is repeated, or the mid series runs backwards.
    """
    config = config or LabelConfig()
    require_columns(frame, _NEEDED)
    n = frame.height
    groups = series_rows(frame)
    columns: dict[str, pl.Series] = {}
    stale_share: dict[str, float] = {}
    series = {key: _arrays(frame, rows, key) for key, rows in groups.items()}
    paths = _mid_paths(mids) if mids is not None else {}
    for horizon in config.horizons:
        returns, threshold = np.full(n, np.nan), np.full(n, np.nan)
        end, known = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
        stale = np.zeros(n, np.bool_)
        for key, rows in groups.items():
            one = series[key]
            moves = _moves(one, horizon, config, paths.get(key), supplied=mids is not None)
            returns[rows], end[rows], known[rows], stale[rows] = moves[:4]
            scale = adaptive_scale(moves.returns, moves.witness, config.threshold_half_life, config.threshold_min_moves)
            threshold[rows] = config.threshold_multiplier * scale
        columns |= _columns(horizon.name, returns, threshold, end, known)
        if horizon.kind == "seconds":
            labelled = np.isfinite(returns)
            stale_share[horizon.name] = float(stale[labelled].mean()) if labelled.any() else 0.0
    keys = frame.select(*SERIES_KEY, "bucket_id", "segment", "ts_end", "ts_known")
    source = "mid_series" if mids is not None else "bucket_ends"
    return LabelSet(keys.with_columns(**columns), config, source, stale_share)


def series_rows(frame: pl.DataFrame) -> dict[tuple[str, str, str], npt.NDArray[np.int64]]:
    """Row numbers of each instrument, by increasing ``bucket_id``; instruments in key order.

    Raises
    ------
    DataError
        A bucket is repeated.
    """
    import polars as pl

    ordered = frame.select(
        *(pl.col(name).cast(pl.String) for name in SERIES_KEY), "bucket_id", pl.int_range(pl.len()).alias("_row")
    ).sort(*SERIES_KEY, "bucket_id")
    result: dict[tuple[str, str, str], npt.NDArray[np.int64]] = {}
    for part in ordered.partition_by(*SERIES_KEY, maintain_order=True):
        key = (part["exchange"][0], part["market_type"][0], part["symbol"][0])
        ids = part["bucket_id"].to_numpy()
        repeated = np.flatnonzero(np.diff(ids) == 0)
        if repeated.size:
            raise DataError(
                f"bucket {ids[repeated[0]]} of {':'.join(key)} came twice", hint="pass each closed bucket once"
            )
        result[key] = part["_row"].to_numpy().astype(np.int64)
    return result


def require_columns(frame: pl.DataFrame, needed: tuple[str, ...]) -> None:
    """Check that a bucket frame has rows and the ``needed`` columns.

    Raises
    ------
    DataError
        A column is missing, or there is no row.
    """
    for name in needed:
        if name not in frame.columns:
            raise DataError(f"frame has no column {name!r}", hint=did_you_mean(name, frame.columns))
    if frame.is_empty():
        raise DataError("frame had no rows", hint="no bucket closed: use more data or smaller buckets")


def _arrays(frame: pl.DataFrame, rows: npt.NDArray[np.int64], key: tuple[str, str, str]) -> _Series:
    part = frame.select(_NEEDED[3:])[rows]
    mid = part["mid_last"].fill_null(float("nan")).to_numpy().astype(np.float64)
    bucket_id, segment, ts_end, ts_known = (part[name].to_numpy().astype(np.int64) for name in _NEEDED[3:-1])
    result = _Series(bucket_id, segment, ts_end, ts_known, np.where(np.isfinite(mid) & (mid > 0), mid, np.nan))
    for name in ("ts_end", "ts_known"):
        back = np.flatnonzero(np.diff(getattr(result, name)) < 0)
        if back.size:
            bucket = result.bucket_id[back[0] + 1]
            raise DataError(
                f"{name} of bucket {bucket} of {':'.join(key)} ran backwards", hint="buckets must close in order"
            )
    return result


def _mid_paths(mids: pl.DataFrame) -> dict[tuple[str, str, str], _Mids]:
    import polars as pl

    clock = "ts_event" if "ts_event" in mids.columns else "ts"
    require_columns(mids, (*SERIES_KEY, clock, "mid"))
    mids = mids.with_columns(pl.col(SERIES_KEY).cast(pl.String))
    result = {}
    for part in mids.partition_by(*SERIES_KEY, maintain_order=True):
        key = (part["exchange"][0], part["market_type"][0], part["symbol"][0])
        order = part["ts_recv" if "ts_recv" in part.columns else clock].to_numpy()
        if (np.diff(order) < 0).any():
            raise DataError(f"mid series of {':'.join(key)} ran backwards", hint="order it by the receive clock")
        # The event clock may step back between messages; like the buckets', it is its running maximum.
        ts = np.maximum.accumulate(part[clock].to_numpy().astype(np.int64))
        mid = part["mid"].fill_null(float("nan")).to_numpy().astype(np.float64)
        result[key] = _Mids(ts, np.where(np.isfinite(mid) & (mid > 0), mid, np.nan))
    return result


def _moves(one: _Series, horizon: Horizon, config: LabelConfig, path: _Mids | None, *, supplied: bool) -> _Moves:
    if horizon.kind == "buckets":
        witness = bucket_targets(one.bucket_id, one.segment, int(horizon.length))
        ok, mid_end, end = witness >= 0, one.mid[witness], one.ts_end[witness]
        stale = np.zeros(ok.size, np.bool_)
    else:
        horizon_ns = round(horizon.length * NS)
        last, witness = time_targets(one.ts_end, one.segment, horizon_ns)
        ok, end = witness >= 0, one.ts_end + horizon_ns
        if supplied:
            path = path or _Mids(np.empty(0, np.int64), np.empty(0))
            at = np.searchsorted(path.ts, end, side="right") - 1
            start = np.searchsorted(path.ts, one.ts_end, side="right") - 1
            mid_end = np.append(path.mid, np.nan)[at]
            ok, stale = ok & (at >= 0), at == start
        else:
            mid_end, stale = one.mid[last], last == np.arange(last.size)
    elapsed = end - one.ts_end
    if horizon.kind == "buckets" and config.max_elapsed_s is not None:
        ok &= elapsed <= config.max_elapsed_s * NS
    if config.scheme == "per_second":
        ok &= elapsed > 0
    returns = np.where(ok, np.log(mid_end) - np.log(one.mid), np.nan)
    if config.scheme == "per_second":
        returns = returns / np.where(ok, elapsed / NS, 1.0)
    ok &= np.isfinite(returns)
    known = np.where(ok, one.ts_known[witness], -1)
    return _Moves(returns, np.where(ok, end, -1), known, stale & ok, np.where(ok, witness, -1))


def _columns(
    name: str,
    returns: npt.NDArray[np.float64],
    threshold: npt.NDArray[np.float64],
    end: npt.NDArray[np.int64],
    known: npt.NDArray[np.int64],
) -> dict[str, pl.Series]:
    import polars as pl

    has_class = np.isfinite(returns) & np.isfinite(threshold)
    classes = np.where(has_class, (returns > threshold).astype(np.int8) - (returns < -threshold).astype(np.int8), -128)
    return {
        f"return_{name}": pl.Series(returns).fill_nan(None),
        f"class_{name}": pl.Series(classes.astype(np.int8)).replace(-128, None),
        f"threshold_{name}": pl.Series(threshold).fill_nan(None),
        f"label_end_ts_{name}": pl.Series(end).replace(-1, None),
        f"label_known_ts_{name}": pl.Series(known).replace(-1, None),
    }
