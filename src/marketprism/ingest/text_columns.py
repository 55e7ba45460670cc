"""String columns to numbers, times and sides: vectorised, exact, and with a reason for every row refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import numpy as np

from marketprism.core.errors import ConfigError, DataError
from marketprism.core.instrument import Instrument
from marketprism.core.timebase import scale_to_ns
from marketprism.ingest.source import Source
from marketprism.ingest.text_table import EXTRA, TextBatch

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Checks", "Clock", "PriceGrid", "TimeUnit", "duration_ns", "integers", "numbers", "quantities", "sides"]

TimeUnit = Literal["auto", "s", "ms", "us", "ns", "iso"]

_MAX_TEXT = 40
_EXACT = float(2**53)
_MAX_QUANTITY = 1e18
_UNITS = ("", "s", "ms", "us", "ns")
_FLOORS = np.array([10**8, 10**11, 10**14, 10**17], np.int64)
_DURATIONS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


class Checks:
    """Which rows of a batch are refused, and why: the first reason of a row is the one that counts.

    Parameters
    ----------
    batch : TextBatch
        The rows.
    skip : ndarray of bool, shape (n,)
        Rows that are no records (blank lines, comments, rows of another table).
    """

    def __init__(self, batch: TextBatch, skip: np.ndarray) -> None:
        self.batch = batch
        self.skip = skip
        self._reason = np.zeros(len(batch), np.int16)
        self._reasons: list[tuple[str, str]] = [("", "")]
        extra = batch.frame[EXTRA].is_not_null().to_numpy()
        self.fail(extra, "more fields than columns")

    def fail(self, mask: np.ndarray, reason: str, *, hint: str = "") -> None:
        """Refuse the rows of ``mask`` that no earlier check refused."""
        new = mask & (self._reason == 0) & ~self.skip
        if new.any():
            self._reasons.append((reason, hint))
            self._reason[new] = len(self._reasons) - 1

    @property
    def good(self) -> np.ndarray:
        """Mask of the rows that are records and passed every check so far."""
        mask: np.ndarray = (self._reason == 0) & ~self.skip
        return mask

    def report(self, source: Source) -> np.ndarray:
        """Count records and rejections into the source's report; return the mask of good rows."""
        source.report.records += int(len(self.batch) - self.skip.sum())
        for row in np.flatnonzero(self._reason).tolist():
            reason, hint = self._reasons[self._reason[row]]
            source.reject(reason, self.batch.where(row), self.batch.record(row), hint=hint)
        return self.good


def _blank(series: pl.Series) -> np.ndarray:
    mask: np.ndarray = series.is_null().to_numpy()
    return mask


def numbers(checks: Checks, column: str, *, required: bool = True) -> np.ndarray:
    """Return a column as the correctly rounded float64 of each decimal; NaN where blank or refused.

    Not a number, NaN, infinite and longer than 40 characters are refused; a blank only where ``required``.
    """
    import polars as pl

    text = checks.batch.frame[column]
    blank = _blank(text) | (text == '""').fill_null(value=False).to_numpy()
    if required:
        checks.fail(blank, f"{column} is blank")
    checks.fail((text.str.len_bytes() > _MAX_TEXT).fill_null(value=False).to_numpy(), f"{column} has too many digits")
    parsed = text.cast(pl.Float64, strict=False)
    values = np.where(_blank(parsed), np.nan, parsed.fill_null(np.nan).to_numpy())
    checks.fail(~blank & np.isnan(values), f"{column} is not a number")
    checks.fail(np.isinf(values), f"{column} is not finite")
    return values


def quantities(checks: Checks, column: str, *, required: bool = True, positive: bool = False) -> np.ndarray:
    """Return :func:`numbers` of a quantity column: negative ones (zero too where ``positive``) are refused."""
    values = numbers(checks, column, required=required)
    checks.fail(values < 0, f"{column} is negative")
    if positive:
        checks.fail(values == 0, f"{column} is zero")
    checks.fail(values > _MAX_QUANTITY, f"{column} is out of range")
    return values


def integers(checks: Checks, column: str, *, strict: bool = True) -> np.ndarray:
    """Return an id column as int64; blanks are -1, and so is any other text unless ``strict`` refuses it."""
    import polars as pl

    text = checks.batch.frame[column]
    parsed = text.cast(pl.Int64, strict=False)
    if strict:
        bad = _blank(parsed) & ~_blank(text)
        if bad.any():  # some writers put ids through floats: 123.0 is the integer 123
            number = text.cast(pl.Float64, strict=False)
            whole = (number == number.floor()) & (number.abs() < _EXACT)
            parsed = pl.select(
                pl.coalesce(parsed, pl.when(whole).then(number.cast(pl.Int64, strict=False)))
            ).to_series()
            bad = _blank(parsed) & ~_blank(text)
        checks.fail(bad, f"{column} is not an integer")
    values: np.ndarray = parsed.fill_null(-1).to_numpy()
    return values.copy()


def sides(checks: Checks, column: str, words: Mapping[str, int]) -> np.ndarray:
    """Return a side column as int8 by a table of lower-case words; anything else is refused."""
    import polars as pl

    text = checks.batch.frame[column].str.strip_chars().str.to_lowercase()
    coded = text.replace_strict(list(words), list(words.values()), default=None, return_dtype=pl.Int8)
    checks.fail(_blank(coded), f"{column} is none of {', '.join(sorted(words))}")
    values: np.ndarray = coded.fill_null(0).to_numpy()
    return values


class Clock:
    """One time column of one file: its unit is told once, and no other unit is let in.

    Parameters
    ----------
    name : str
        File, for messages.
    column : str
        Column.
    unit : {"auto", "s", "ms", "us", "ns", "iso"}
        ``auto``: an epoch number told by magnitude, else ISO 8601 text.
    base_ns : int, optional
        Midnight for files that count from midnight; the unit must then be given.
    timezone : str
        Zone of ISO texts that name none.

    Attributes
    ----------
    found : str
        The unit in use, empty before the first time.
    """

    def __init__(
        self, name: str, column: str, unit: TimeUnit = "auto", base_ns: int | None = None, timezone: str = "UTC"
    ) -> None:
        self.name = name
        self.column = column
        self.found: str = "" if unit == "auto" else unit
        self._checked = unit == "auto"
        self._base = base_ns
        self._timezone = timezone
        self._first = ""

    def times(self, checks: Checks) -> np.ndarray:
        """Return ns UTC, 0 where refused.

        Raises
        ------
        DataError
            A time is in another unit than the file's first one.
        """
        text = checks.batch.frame[self.column].str.strip_chars()
        checks.fail(_blank(text), f"{self.column} is blank")
        if not self.found:
            self._tell(checks, text)
        if self.found == "iso":
            return self._iso(checks, text)
        return self._epoch(checks, text)

    def _tell(self, checks: Checks, text: pl.Series) -> None:
        candidates = text.filter(_series(checks.good))
        candidates = candidates.filter(candidates.str.contains(r"^\d{9,19}(\.\d*)?$|^\d{4}[-/]\d\d[-/]\d\d"))
        if len(candidates):
            head = str(candidates[0]).split(".", maxsplit=1)[0]
            self.found = _UNITS[int(np.searchsorted(_FLOORS, int(head), side="right"))] if head.isdigit() else "iso"

    def _iso(self, checks: Checks, text: pl.Series) -> np.ndarray:
        import polars as pl

        plain = (
            pl.col("t")
            .str.replace_all("/", "-")
            .str.replace(r"(\d)T(\d)", "${1} ${2}")
            .str.replace(r" ?(Z|UTC)$", "+00:00")
        )
        plain = plain.str.replace(r"(:\d\d(?:\.\d+)?[+-]\d\d)$", "${1}:00")
        zoned = plain.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%:z", time_unit="ns", strict=False, time_zone="UTC")
        local = pl.coalesce(
            plain.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="ns", strict=False),
            plain.str.to_datetime("%Y-%m-%d", time_unit="ns", strict=False),
        ).dt.replace_time_zone(self._timezone, ambiguous="earliest", non_existent="null")
        moments = text.to_frame("t").select(pl.coalesce(zoned, local.dt.convert_time_zone("UTC")).dt.epoch("ns"))
        result = moments.to_series()
        checks.fail(_blank(result), f"{self.column} is no ISO time")
        out: np.ndarray = result.fill_null(0).to_numpy()
        return out.copy()

    def _epoch(self, checks: Checks, text: pl.Series) -> np.ndarray:
        import polars as pl

        if not self.found:
            checks.fail(np.ones(len(text), np.bool_), f"{self.column} is no epoch time")
            return np.zeros(len(text), np.int64)
        scale = scale_to_ns(self.found)
        whole = text.cast(pl.Int64, strict=False)
        exact = whole * scale
        if (_blank(whole) & checks.good).any():
            decimal = (text.cast(pl.Decimal(38, 9), strict=False) * scale).cast(pl.Int64, strict=False)
            exact = pl.select(pl.coalesce(exact, decimal)).to_series()
            whole = pl.select(pl.coalesce(whole, exact // scale)).to_series()
        checks.fail(_blank(exact), f"{self.column} is no time")
        values, times = whole.fill_null(0).to_numpy(), exact.fill_null(0).to_numpy()
        if self._base is not None:
            day = 86_400 * 10**9 // scale
            checks.fail((values < 0) | (values >= 2 * day), f"{self.column} is no time of day")
            shifted: np.ndarray = times + self._base
            return shifted
        codes = np.searchsorted(_FLOORS, values, side="right")
        checks.fail((codes == 0) | (values > 9 * 10**18), f"{self.column} is no epoch time")
        self._one_unit(checks, codes)
        return np.where(codes > 0, times, 0)

    def _one_unit(self, checks: Checks, codes: np.ndarray) -> None:
        good = checks.good
        own = _UNITS.index(self.found) if self.found else 0
        rows = np.flatnonzero(good)
        if not len(rows):
            return
        if not self._first:
            self._first = checks.batch.where(int(rows[0])) if self._checked else "the mapping"
        other = rows[codes[rows] != own]
        if len(other):
            row = int(other[0])
            raise DataError(
                f"{checks.batch.where(row)}: {self.column} was {checks.batch.frame[self.column][row]}, in "
                f"{_UNITS[codes[row]]}; {self._first} says {self.found}",
                hint="one file, one unit: split it, or correct the line",
            )


def _series(mask: np.ndarray) -> pl.Series:
    import polars as pl

    return pl.Series(mask, dtype=pl.Boolean)


class PriceGrid:
    """Tick sizes of a source's instruments, for exact conversion of parsed prices to ticks.

    With tick = step / 10**d both ``ticks * step`` (below 2**53) and ``10**d`` are exact floats, so their quotient
    is the correctly rounded price: a parsed price equals it if and only if it is on the grid.
    """

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        ratios = [_grid(instrument.tick_size) for instrument in instruments]
        self._step = np.array([float(step) for step, _ in ratios])
        self._scale = np.array([10.0**digits for _, digits in ratios])
        self._names = [str(instrument.tick_size.normalize()) for instrument in instruments]

    def ticks(
        self, checks: Checks, column: str, instrument: np.ndarray, *, required: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (ticks int64, price float64) of a price column; blank is 0 ticks and NaN.

        Zero, negative, out of range and off-grid prices are refused.
        """
        price = numbers(checks, column, required=required)
        checks.fail(price <= 0, f"{column} is not positive")
        ticks, nearest = self.nearest(price, instrument)
        checks.fail(np.abs(ticks) * self._step[instrument] >= _EXACT, f"{column} is out of range")
        off = np.isfinite(price) & (nearest != price)
        for index in np.unique(instrument[off & checks.good]).tolist():
            checks.fail(off & (instrument == index), f"{column} is off tick {self._names[index]}", hint="set ?tick=...")
        return np.where(checks.good & np.isfinite(ticks), ticks, 0).astype(np.int64), price

    def nearest(self, price: np.ndarray, instrument: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (ticks, price) of the grid point nearest to each price, both float64; exact below 2**53 steps."""
        step, scale = self._step[instrument], self._scale[instrument]
        with np.errstate(over="ignore", invalid="ignore"):
            ticks = np.rint(price * scale / step)
            return ticks, ticks * step / scale

    def prices(self, ticks: np.ndarray, instrument: np.ndarray) -> np.ndarray:
        """Return the correctly rounded prices of ticks."""
        result: np.ndarray = ticks * self._step[instrument] / self._scale[instrument]
        return result


def _grid(tick: Decimal) -> tuple[int, int]:
    digits = max(0, -int(tick.normalize().as_tuple().exponent))
    return int(tick.scaleb(digits)), digits


def duration_ns(text: str, option: str = "latency") -> int:
    """Return nanoseconds of a duration such as ``250us``, ``5ms`` or ``1.5s``; a bare number is ns.

    Examples
    --------
    >>> duration_ns("5ms"), duration_ns("1.5s"), duration_ns("0")
    (5000000, 1500000000, 0)
    """
    body = text.strip().rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text.strip()[len(body) :] or "ns"
    try:
        return int(Decimal(body) * _DURATIONS[unit])
    except (ArithmeticError, KeyError) as error:
        raise ConfigError(f"{option} was {text!r}", hint="write 250us, 5ms, 1.5s, 2m or 1h") from error
