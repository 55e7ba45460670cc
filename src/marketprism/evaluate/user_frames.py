"""Your own bars and factors, made into the frame that everything here judges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from marketprism.buckets.record import BUCKET_DTYPE
from marketprism.core.errors import ConfigError, DataError, did_you_mean
from marketprism.core.timebase import NS
from marketprism.evaluate.arrays import in_range
from marketprism.evaluate.config import BASE_FEES_BPS
from marketprism.evaluate.user_columns import (
    as_polars,
    fail_order,
    finite_or_null,
    number_column,
    require_column,
    text_column,
    time_column,
)
from marketprism.labels.forward import SERIES_KEY, require_columns
from marketprism.models.features import QUOTED_SPREAD

if TYPE_CHECKING:
    import polars as pl

__all__ = ["bucket_frame", "with_factors"]

_Ints = npt.NDArray[np.int64]
_RESERVED = (*SERIES_KEY, *(BUCKET_DTYPE.names or ()), "policy_hash", QUOTED_SPREAD)


def bucket_frame(
    frame: Any,
    *,
    time: str,
    mid: str,
    known: str | None = None,
    symbol: str | None = None,
    spread_bps: float | str | None = None,
    factors: Sequence[str] | None = None,
    gap_s: float | None = None,
    exchange: str = "user",
    market_type: str = "spot",
    name: str = "USER",
) -> pl.DataFrame:
    """Make a bucket frame of bars and factors of your own, ready for :func:`~marketprism.evaluate.judge`.

    Parameters
    ----------
    frame : Polars, pandas or pyarrow table
        One row a bar, in time order (of each instrument). Not changed.
    time : str
        Column (or pandas index) with the END of each bar: datetimes (UTC where without a zone), or ns since 1970 UTC.
        Beware: pandas' ``resample`` stamps bars with their start unless told ``label="right"``.
    mid : str
        Column with the mid (or close) in force then, quote currency, above 0. It is what labels are made of.
    known : str, optional
        Column that says when the row was at hand; by default at once. Never before ``time``.
    symbol : str, optional
        Column that names the instrument of each row (a panel); without it all rows are one instrument, ``name``.
    spread_bps : float or str, optional
        Quoted spread in bps of the mid, or its column; half is paid on every trade. Else set ``costs.half_spread_bps``.
    factors : sequence of str, optional
        Columns to judge; by default every column that plays no other part.
    gap_s : float, optional
        Bars more than this many seconds apart belong to different segments: no label crosses a night or an outage.
    exchange, market_type, name : str
        Rest of the key; the market type sets default fees and trading hours.

    Returns
    -------
    polars.DataFrame
        Key and bucket columns, then the factors as Float64, NaN made null; rows in the order given.

    Raises
    ------
    DataError
        A column is missing or of the wrong type; times run backwards, repeat, or mix units or zones; a row was known
        before its time; a mid is missing; a factor is infinite, or there is none: with column, row, value and remedy.
    ConfigError
        The market type is unknown, or the spread or gap out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> clock = pd.date_range("2026-01-05", periods=3, freq="1min", tz="UTC", name="time")
    >>> bars = pd.DataFrame({"close": [100.0, 101.0, 100.5], "momentum": [None, 0.01, -0.005]}, index=clock)
    >>> made = bucket_frame(bars, time="time", mid="close", spread_bps=1.0)
    >>> made.select("bucket_id", "mid_last", "momentum").rows()
    [(0, 100.0, None), (1, 101.0, 0.01), (2, 100.5, -0.005)]
    """
    import polars as pl

    if market_type not in BASE_FEES_BPS:
        raise ConfigError(f"market_type was {market_type!r}", hint=did_you_mean(market_type, list(BASE_FEES_BPS)))
    table = as_polars(frame, time)
    ends, ready = _clocks(table, time, known)
    mids = _mids(require_column(table, mid, "mid"))
    texts = dict(zip(SERIES_KEY, (exchange, market_type, name), strict=True))
    columns = {key: pl.repeat(text, table.height, eager=True) for key, text in texts.items()}
    if symbol is not None:
        columns["symbol"] = text_column(require_column(table, symbol, "symbol"))
    for key, rows in _series(columns["symbol"]):
        _check_order(ends[rows], rows, time, key if symbol else "")
        _check_order(ready[rows], rows, known or time, key if symbol else "", repeats=True)
    columns |= _buckets(columns["symbol"], ends, ready, mids, gap_s)
    if spread_bps is not None:
        columns[QUOTED_SPREAD] = _spread(table, spread_bps)
    parts = (time, mid, known, symbol, spread_bps)
    chosen = [column for column in table.columns if column not in parts] if factors is None else list(factors)
    return pl.DataFrame(columns | _factors(table, chosen, by_default=factors is None))


def _buckets(
    instrument: pl.Series, ends: _Ints, ready: _Ints, mids: npt.NDArray[np.float64], gap_s: float | None
) -> dict[str, pl.Series]:
    """Return bucket columns: numbers, segments, and each bar's beginning, which is the end of the one before."""
    import polars as pl

    in_range("gap_s", math.inf if gap_s is None else gap_s, 0)
    number, segment, opened = (np.zeros(ends.size, np.int64) for _ in range(3))
    for _, rows in _series(instrument):
        fresh = np.append(True, np.diff(ends[rows]) > (math.inf if gap_s is None else gap_s * NS))
        number[rows] = np.arange(rows.size)
        segment[rows] = np.cumsum(fresh) - 1
        opened[rows] = np.where(fresh, rows, np.roll(rows, 1))
    columns = {
        "bucket_id": number,
        "segment": segment,
        "ts_start": ends[opened],
        "ts_end": ends,
        "ts_known": ready,
        "duration_ns": ends - ends[opened],
        "mid_open": mids[opened],
        "mid_last": mids,
    }
    return {name: pl.Series(values) for name, values in columns.items()}


def with_factors(
    frame: pl.DataFrame,
    factors: Any,
    *,
    time: str,
    symbol: str | None = None,
    columns: Sequence[str] | None = None,
    max_age_s: float | None = None,
) -> pl.DataFrame:
    """Add factors of your own to the engine's frame: each bucket gets the last values known when IT was known.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket frame: of the engine, of :func:`bucket_frame`, or read back from ``factors.parquet``.
    factors : Polars, pandas or pyarrow table
        One row each time that the factors changed, in time order (of each symbol).
    time : str
        Column with the time from which the row was KNOWN (publication, not the period it speaks of); a pandas index
        may be named too. Datetimes with a time zone, or integers in ns since 1970 UTC.
    symbol : str, optional
        Column with the canonical symbol (such as ``BTC-USDT``) that a row belongs to; without it every instrument gets
        the same values.
    columns : sequence of str, optional
        What to add; by default every other column.
    max_age_s : float, optional
        Older values are null; by default the last value stands until the next.

    Returns
    -------
    polars.DataFrame
        ``frame`` with the columns added as Float64, in the same row order; null before the first known value, and where
        the newest row holds NaN.

    Raises
    ------
    DataError
        As in :func:`bucket_frame`; also where the times have no zone (local times would look ahead), a column is there
        already, no symbol is that of the frame, or no row was known in time.
    ConfigError
        ``max_age_s`` is negative.

    Examples
    --------
    >>> import pandas as pd
    >>> clock = pd.date_range("2026-01-05 09:00", periods=3, freq="1min", tz="UTC", name="time")
    >>> bars = pd.DataFrame({"mid": [5.0, 6.0, 7.0], "f": [1.0, 2.0, 3.0]}, index=clock)
    >>> bars = bucket_frame(bars, time="time", mid="mid")
    >>> news = pd.DataFrame({"tone": [0.5, -1.0]}, index=clock[[0, 2]] + pd.Timedelta("30s"))
    >>> with_factors(bars, news, time="time")["tone"].to_list()
    [None, 0.5, 0.5]
    """
    import polars as pl

    in_range("max_age_s", math.inf if max_age_s is None else max_age_s, 0)
    require_columns(frame, (*SERIES_KEY, "ts_known"))
    table = as_polars(factors, time)
    known = time_column(require_column(table, time, "time"))
    if not known.zoned:
        raise DataError(
            f"time column {time!r} has no time zone", hint="say which: frame[time].dt.tz_localize('UTC') in pandas"
        )
    chosen = [name for name in table.columns if name not in (time, symbol)] if columns is None else list(columns)
    if table.is_empty():
        raise DataError("the factor frame had no rows", hint="pass at least one")
    added = _factors(table, chosen, by_default=columns is None)
    there = [name for name in added if name in frame.columns]
    if there:
        raise DataError(f"column {there[0]!r} is in the frame already", hint="rename yours")
    labels = None if symbol is None else text_column(require_column(table, symbol, "symbol"))
    found = _last_known(frame, known.ns, labels, time)
    if max_age_s is not None:
        age = frame["ts_known"].to_numpy() - known.ns[found]
        found[(found >= 0) & (age > max_age_s * NS)] = -1
    take = pl.Series(found).replace(-1, None)
    return frame.with_columns(column.gather(take).alias(name) for name, column in added.items())


def _last_known(frame: pl.DataFrame, known: _Ints, labels: pl.Series | None, time: str) -> _Ints:
    """Row that was last known when each bucket was, -1 where there was none."""
    import polars as pl

    if labels is None:
        own, keys = {"": np.arange(known.size)}, pl.repeat("", frame.height, eager=True)
    else:
        own, keys = dict(_series(labels)), frame["symbol"].cast(pl.String)
        _check_symbols(frame, own)
    for key, rows in own.items():
        _check_order(known[rows], rows, time, key)
    buckets = frame["ts_known"].to_numpy().astype(np.int64)
    found = np.full(frame.height, -1, np.int64)
    for key, at in _series(keys):
        rows = own.get(key, np.empty(0, np.int64))
        place = np.searchsorted(known[rows], buckets[at], side="right") - 1
        found[at] = np.append(rows, -1)[place]
    if not (found >= 0).any():
        first, last = pl.Series([known.min(), buckets.max()]).cast(pl.Datetime("ns", "UTC"))
        raise DataError(
            f"no factor was known in time: the first at {first}, the last bucket at {last}",
            hint="compare clocks, dates and time zones",
        )
    return found


def _clocks(table: pl.DataFrame, time: str, known: str | None) -> tuple[_Ints, _Ints]:
    """When each bar ended and when it was known."""
    if table.is_empty():
        raise DataError("the frame had no rows", hint="pass at least one bar")
    ends = time_column(require_column(table, time, "time"))
    if known is None:
        return ends.ns, ends.ns
    ready = time_column(require_column(table, known, "known"))
    if ready.zoned != ends.zoned:
        words = {True: "a time zone", False: "none"}
        raise DataError(
            f"{time!r} has {words[ends.zoned]}, {known!r} {words[ready.zoned]}",
            hint="give both one: frame[column].dt.tz_localize('UTC') in pandas",
        )
    early = ready.ns < ends.ns
    if early.any():
        row = int(np.argmax(early))
        raise DataError(
            f"row {row} was known ({known!r} {table[known][row]}) before it ended ({time!r} {table[time][row]})",
            hint="nothing is known before it happened: correct the clocks, or swap the two columns",
            row=row,
        )
    return ends.ns, ready.ns


def _series(symbols: pl.Series) -> list[tuple[str, _Ints]]:
    """Row numbers of each symbol, in order; symbols sorted."""
    names, code = np.unique(symbols.to_numpy(), return_inverse=True)
    order = np.argsort(code, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(code, minlength=names.size))[:-1])
    return list(zip(names.tolist(), parts, strict=True))


def _check_order(times: _Ints, rows: _Ints, name: str, key: str, *, repeats: bool = False) -> None:
    """Raise unless times increase (or, with ``repeats``, do not fall)."""
    step = np.diff(times)
    wrong = step < 0 if repeats else step <= 0
    if wrong.any():
        at = int(np.argmax(wrong))
        fail_order(name, key, int(rows[at + 1]), int(times[at]), int(times[at + 1]))


def _check_symbols(frame: pl.DataFrame, own: dict[str, _Ints]) -> None:
    import polars as pl

    wanted = sorted(frame["symbol"].cast(pl.String).unique())
    if not any(key in own for key in wanted):
        raise DataError(f"symbols were {', '.join(list(own)[:5])}", hint=f"the frame has {', '.join(wanted[:5])}")


def _mids(series: pl.Series) -> npt.NDArray[np.float64]:
    values = number_column(series, "mid")
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"mid {series.name!r} was {values[row]} in row {row}",
            hint="a mid is finite and above 0: drop rows without a market, do not fill them",
            row=row,
        )
    return values


def _spread(table: pl.DataFrame, spread: float | str) -> pl.Series:
    import polars as pl

    if not isinstance(spread, str):
        in_range("spread_bps", spread, 0)
        return pl.repeat(float(spread), table.height, eager=True)
    column = finite_or_null(require_column(table, spread, "spread_bps"), "spread")
    negative = (column < 0).fill_null(value=False)
    if negative.any():
        row = int(negative.arg_max() or 0)
        raise DataError(f"spread {spread!r} was {column[row]} in row {row}", hint="pass bid-ask over mid, times 1e4")
    return column


def _factors(table: pl.DataFrame, names: Sequence[str], *, by_default: bool) -> dict[str, pl.Series]:
    """Columns that become factors, checked."""
    hint = "rename it, or leave it out of factors=[...]" if by_default else "rename it"
    for name in names:
        if name in _RESERVED:
            raise DataError(f"factor {name!r} has the name of a bucket column", hint=hint)
    if not names:
        raise DataError("there was no factor", hint="add a column for each factor, known at the row's time")
    return {name: finite_or_null(require_column(table, name, "factor"), "factor") for name in names}
