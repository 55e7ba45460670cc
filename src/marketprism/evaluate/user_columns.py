"""Columns of a user's frame, read strictly: what cannot be meant is refused with column, row, value and remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError, did_you_mean
from marketprism.core.timebase import NS

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Times",
    "as_polars",
    "fail_order",
    "finite_or_null",
    "number_column",
    "require_column",
    "text_column",
    "time_column",
]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]

_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": NS}
_EARLIEST, _LATEST = 631_152_000 * NS, 4_102_444_800 * NS  # 1990 and 2100: the units do not overlap between them


class Times(NamedTuple):
    """A time column as integers."""

    ns: _Ints
    """Nanoseconds UTC."""
    zoned: bool
    """Whether it said which time zone it is in; integers count from 1970 UTC and do."""


def as_polars(frame: Any, time: str | None = None) -> pl.DataFrame:
    """Return a Polars, pandas or pyarrow table, or any other that Narwhals knows, as a Polars frame.

    Parameters
    ----------
    frame : table
        Not changed.
    time : str, optional
        Where a pandas frame has no such column, its index becomes columns (an unnamed one is called ``index``).

    Raises
    ------
    DataError
        It is no table, or a column holds values of several types.
    """
    import narwhals as nw
    import polars as pl

    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame
    if hasattr(frame, "reset_index") and time is not None and time not in frame.columns:
        frame = frame.reset_index()
    names = [str(name) for name in getattr(frame, "column_names", getattr(frame, "columns", ()))]
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise DataError(f"column {twice[0]!r} came twice", hint="name every column once")
    try:
        table = nw.from_native(frame, eager_only=True)
    except TypeError as error:
        raise DataError(
            f"the frame was a {type(frame).__name__}", hint="pass a Polars, pandas or pyarrow table"
        ) from error
    try:
        found: pl.DataFrame = table.to_polars()
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise _mixed_types(table, error) from error
    return found


def _mixed_types(table: Any, error: Exception) -> DataError:
    """Return the error that names the first column that cannot be converted."""
    import polars as pl

    for name in table.columns:
        try:
            table.get_column(name).to_polars()
        except (TypeError, ValueError, pl.exceptions.PolarsError) as own:
            return DataError(f"column {name!r} mixes types: {own}", hint="give it one type, or drop it")
    return DataError(f"the frame could not be read: {error}", hint="name columns by text, give each one type")


def require_column(frame: pl.DataFrame, name: str, role: str) -> pl.Series:
    """Return the column that plays a role.

    Raises
    ------
    DataError
        There is none of that name.
    """
    if name not in frame.columns:
        raise DataError(f"{role} was {name!r}, and there is no such column", hint=did_you_mean(name, frame.columns))
    return frame[name]


def text_column(series: pl.Series) -> pl.Series:
    """Return the column as text without nulls.

    Raises
    ------
    DataError
        A value is missing.
    """
    import polars as pl

    if series.null_count():
        row = int(series.is_null().arg_max() or 0)
        raise DataError(f"column {series.name!r} was null in row {row}", hint="name the instrument of every row")
    return series.cast(pl.String)


def time_column(series: pl.Series) -> Times:
    """Read times: datetimes, dates (their midnight), or integers that are nanoseconds since 1970 UTC.

    Raises
    ------
    DataError
        Text, numbers in another unit or in several, nothing that lies between 1990 and 2100, or a missing value.
    """
    import polars as pl

    name, dtype = series.name, series.dtype
    if series.null_count():
        row = int(series.is_null().arg_max() or 0)
        raise DataError(f"time column {name!r} was null in row {row}", hint="drop rows without a time", row=row)
    if dtype.is_integer():
        values = series.cast(pl.Int64, strict=False).fill_null(-1).to_numpy()
        _check_unit(values, name)
        return Times(values, zoned=True)
    if dtype in (pl.Datetime, pl.Date):
        zoned = getattr(dtype, "time_zone", None) is not None
        micros = series.cast(pl.Datetime("us", getattr(dtype, "time_zone", None))).to_physical().to_numpy()
        wrong = (micros < _EARLIEST // 1000) | (micros > _LATEST // 1000)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                f"{name!r} was {series[row]} in row {row}",
                hint="expected 1990 to 2100; if numbers were read in the wrong unit: pandas.to_datetime(x, unit='ms')",
                row=row,
            )
        return Times(series.cast(pl.Datetime("ns", getattr(dtype, "time_zone", None))).to_physical().to_numpy(), zoned)
    remedy = "parse it first: pandas.to_datetime(x, utc=True) or polars' str.to_datetime"
    if dtype.is_float():
        remedy = "numbers must be whole nanoseconds; or make datetimes: pandas.to_datetime(x, unit='s', utc=True)"
    first = series[0] if len(series) else None
    raise DataError(f"time column {name!r} was {dtype}, {first!r} in row 0", hint=remedy)


def _check_unit(values: _Ints, name: str) -> None:
    """Raise unless every number is a time in nanoseconds; say which unit it looks like."""
    unit = np.full(values.size, -1)
    for code, factor in enumerate(_UNITS.values()):
        unit[(values >= _EARLIEST // factor) & (values <= _LATEST // factor)] = code
    names = list(_UNITS)
    if (unit == 0).all():
        return
    row = int(np.argmax(unit != 0))
    looks = names[unit[row]] if unit[row] >= 0 else ""
    if not looks:
        raise DataError(
            f"time {name!r} was {values[row]} in row {row}, no time between 1990 and 2100 in any unit",
            hint="pass nanoseconds since 1970 UTC, or datetimes",
            row=row,
        )
    if (unit != unit[row]).any():
        other = int(np.argmax(unit != unit[row]))
        was = names[unit[other]] if unit[other] >= 0 else "no unit"
        raise DataError(
            f"time {name!r} mixes units: row {row} ({values[row]}) looks like {looks}, row {other} ({values[other]}) "
            f"like {was}",
            hint="bring all rows to one unit first",
            row=max(row, other),
        )
    raise DataError(
        f"time {name!r} was {values[row]} in row {row}: these are {looks}, not ns",
        hint=f"multiply by {_UNITS[looks]:_}, or make datetimes: pandas.to_datetime(x, unit={looks!r}, utc=True)",
        row=row,
    )


def number_column(series: pl.Series, role: str) -> _Floats:
    """Return a numeric or Boolean column as float64, NaN where null.

    Raises
    ------
    DataError
        Text, times or anything else that is no number.
    """
    import polars as pl

    if not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        first = series.drop_nulls()
        shown = repr(first[0]) if len(first) else "null"
        raise DataError(
            f"{role} {series.name!r} was {series.dtype}, such as {shown}",
            hint="turn it into numbers, drop it, or leave it out of factors=[...]",
        )
    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)


def finite_or_null(series: pl.Series, role: str) -> pl.Series:
    """Return a numeric column as Float64 with null for missing values.

    Raises
    ------
    DataError
        No numbers, or an infinite one.
    """
    import polars as pl

    values = number_column(series, role)
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise DataError(
            f"{role} {series.name!r} was {values[row]} in row {row}",
            hint="a division by zero? make it NaN: frame.replace([numpy.inf, -numpy.inf], numpy.nan)",
            column=series.name,
            row=row,
        )
    return pl.Series(series.name, values).fill_nan(None)


def fail_order(name: str, key: str, row: int, before: int, value: int) -> NoReturn:
    """Raise the error for rows that lie out of order, or came twice."""
    import polars as pl

    of = f" of {key}" if key else ""
    shown = pl.Series([before, value]).cast(pl.Datetime("ns", "UTC"))
    if value == before:
        raise DataError(
            f"time {name!r}{of} was {shown[1]} twice, the second time in row {row}",
            hint="keep one row a time: drop_duplicates, or name the instruments with symbol=",
            row=row,
        )
    raise DataError(
        f"time {name!r}{of} ran backwards in row {row}: {shown[0]}, then {shown[1]}",
        hint=f"sort first, knowing why it was not: frame.sort_values({name!r})",
        row=row,
    )
