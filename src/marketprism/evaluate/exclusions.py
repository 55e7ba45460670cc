"""What is left out of training and of the headline: outages, jumps and given spans, counted and judged apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.core.timebase import NS, format_ns, parse_time
from marketprism.labels.forward import SERIES_KEY, series_rows

if TYPE_CHECKING:
    import polars as pl

__all__ = ["REASONS", "ExclusionConfig", "ExclusionMasks", "Exclusions", "find_exclusions"]

REASONS = ("gap", "silence", "invalid_book", "jump", "given")
"""Why a span is excluded; the first three are outages."""

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_Bools = npt.NDArray[np.bool_]
_LISTED = 50


class ExclusionConfig(Config, frozen=True):
    """What is excluded; the thresholds are so high that ordinary data lose almost nothing.

    Parameters
    ----------
    enabled : bool
        Off: nothing is excluded, not even given spans.
    spans : tuple of (from, to)
        Further spans of the event clock, of every instrument, as epoch ns or ISO 8601 text (UTC).
    settle_s : float
        Seconds after a gap that belong to the outage. Labels never cross a gap, so with 0 a gap costs no row.
    silence_multiple, silence_floor_s : float
        A bucket is a silence when it ends later after the bucket before it than this many times the median such
        distance of the last 100 buckets (at least 20), and than this many seconds.
    invalid_s : float
        With a mid series: shortest stretch without a valid book, seconds. Buckets that close on an invalid book
        count always.
    jump_window : int
        Buckets behind the volatility that jumps are measured by.
    jump_significance : float
        Chance of any false jump among 1000 returns of a diffusion (Lee and Mykland 2008).
    jump_deviations : float
        A jump is also at least this many times the root mean square of the last ``jump_window`` returns, which guards
        against prices that seldom move. A label of many buckets is touched only by jumps larger by the square root of
        that number: what is abnormal for a second need not be for a minute.
    """

    enabled: bool = True
    spans: tuple[tuple[int | str, int | str], ...] = ()
    settle_s: float = 0.0
    silence_multiple: float = 30.0
    silence_floor_s: float = 120.0
    invalid_s: float = 5.0
    jump_window: int = 60
    jump_significance: float = 1e-4
    jump_deviations: float = 20.0

    def __post_init__(self) -> None:
        for name in ("settle_s", "silence_floor_s", "invalid_s", "jump_deviations"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be finite and not negative")
        if not self.silence_multiple >= 1:
            raise ConfigError(f"silence_multiple was {self.silence_multiple}", hint="it must be at least 1")
        if self.jump_window < 10:
            raise ConfigError(f"jump_window was {self.jump_window}", hint="it must be at least 10")
        if not 0 < self.jump_significance < 1:
            raise ConfigError(f"jump_significance was {self.jump_significance}", hint="it must be above 0 and below 1")
        for start, end in self.spans_ns:
            if end < start:
                raise ConfigError(
                    f"span ended at {format_ns(end)}, before its start {format_ns(start)}", hint="write (from, to)"
                )

    @property
    def spans_ns(self) -> tuple[tuple[int, int], ...]:
        """Given spans in ns UTC."""
        return tuple((_moment(start), _moment(end)) for start, end in self.spans)


class ExclusionMasks(NamedTuple):
    """Which rows the excluded spans touch.

    Attributes
    ----------
    excluded : ndarray of bool
        The label's window touches a span, whenever that was found out: these rows do not count in the headline.
    barred : ndarray of bool
        The same, and the span was known by the time the label was: these rows do not train.
    """

    excluded: _Bools
    barred: _Bools


@dataclass(frozen=True)
class Exclusions:
    """The exclusion list.

    Attributes
    ----------
    config : ExclusionConfig
        How it was made.
    spans : polars.DataFrame
        ``series`` (empty text: all), ``reason`` (see ``REASONS``), ``start_ts, end_ts, known_ts`` (ns UTC; start and
        end by the event clock, known by the receive clock), ``rows`` (labels of the primary horizon that it touches)
        and ``barred`` (those of them that may not train).
    parts : polars.DataFrame
        What the spans were joined from: ``span`` (row of ``spans``), ``series, start_ts, end_ts, known_ts``, and
        ``longest_ns``: longer labels are not touched (infinite but for jumps).
    rows, labelled : int
        Labels of the primary horizon touched by any span, and all of them.
    """

    config: ExclusionConfig
    spans: pl.DataFrame
    parts: pl.DataFrame
    rows: int = 0
    labelled: int = 0

    def masks(
        self, frame: pl.DataFrame, label_end: _Ints, label_known: _Ints, span: int | None = None
    ) -> ExclusionMasks:
        """Tell which rows the spans (or one of them, by number) touch.

        A label over ``(ts_end, label_end]`` touches a span that begins before ``label_end`` and ends after ``ts_end``,
        unless the span is a jump too small for a label of that length.

        Parameters
        ----------
        frame : polars.DataFrame
            Series key and ``ts_end``.
        label_end, label_known : ndarray of int, shape (n,)
            ns UTC, -1 without a label.
        """
        import polars as pl

        excluded, barred = np.zeros(frame.height, bool), np.zeros(frame.height, bool)
        parts = self.parts if span is None else self.parts.filter(self.parts["span"] == span)
        if parts.is_empty():
            return ExclusionMasks(excluded, barred)
        start = frame["ts_end"].to_numpy()
        key = frame.select(
            pl.concat_str([pl.col(name).cast(pl.String) for name in SERIES_KEY], separator=":").alias("key")
        )["key"]
        rows_of = {name: (key == name).to_numpy() for name in parts["series"].unique(maintain_order=True)}
        for _, series, first, last, known, longest in parts.iter_rows():
            touched = (label_end > first) & (start < last) & (label_end >= 0) & (label_end - start <= longest)
            if series:
                touched &= rows_of[series]
            excluded |= touched
            barred |= touched & (label_known >= known)
        return ExclusionMasks(excluded, barred)

    def counted(self, frame: pl.DataFrame, label_end: _Ints, label_known: _Ints, labelled: _Bools) -> Exclusions:
        """Return the list with the rows of one problem counted."""
        import polars as pl

        each = [self.masks(frame, label_end, label_known, number) for number in range(self.spans.height)]
        spans = self.spans.with_columns(
            pl.Series("rows", [int((one.excluded & labelled).sum()) for one in each], pl.Int64),
            pl.Series("barred", [int((one.barred & labelled).sum()) for one in each], pl.Int64),
        )
        hit = self.masks(frame, label_end, label_known).excluded & labelled
        return replace(self, spans=spans, rows=int(hit.sum()), labelled=int(labelled.sum()))

    def by_reason(self) -> dict[str, dict[str, float]]:
        """Return spans, seconds and rows of each reason that occurs."""
        result = {}
        for reason in REASONS:
            part = self.spans.filter(self.spans["reason"] == reason)
            if part.height:
                seconds = float((part["end_ts"] - part["start_ts"]).sum()) / NS
                result[reason] = {"spans": part.height, "seconds": seconds, "rows": int(part["rows"].sum())}
        return result

    def notes(self) -> list[str]:
        """Say in words what was left out; nothing where no span was found."""
        found = self.by_reason()
        if not found:
            return []
        parts = [f"{reason.replace('_', ' ')} {one['spans']} ({one['rows']} rows)" for reason, one in found.items()]
        text = f"excluded spans: {', '.join(parts)}"
        if self.rows:
            text += (
                f"; {self.rows} of {self.labelled} labels touch one: they do not train, and forecast metrics leave "
                "them out (a choice of reporting: some spans are known only afterwards) and show them apart; profit "
                "and loss includes everything"
            )
        return [text]

    def summary(self) -> dict[str, Any]:
        """Return plain data; the first fifty spans are listed."""
        return {
            "enabled": self.config.enabled,
            "rows": self.rows,
            "labelled": self.labelled,
            "reasons": self.by_reason(),
            "spans": [
                {
                    "series": row["series"],
                    "reason": row["reason"],
                    "from": format_ns(row["start_ts"]),
                    "to": format_ns(row["end_ts"]),
                    "rows": row["rows"],
                    "barred": row["barred"],
                }
                for row in self.spans.head(_LISTED).iter_rows(named=True)
            ],
        }


def find_exclusions(
    frame: pl.DataFrame, config: ExclusionConfig | None = None, mids: pl.DataFrame | None = None
) -> Exclusions:
    """Find outages and abnormal jumps, bucket by bucket, each from what was known when its bucket closed.

    * gap: from the last bucket of a segment to the first of the next (and ``settle_s``).
    * silence: a bucket that ends much later after the one before than usual.
    * invalid_book: a bucket that closed without a valid mid; with ``mids`` also stretches without one in between.
    * jump: a bucket whose return from the bucket before is beyond the Lee-Mykland threshold, and beyond
      ``jump_deviations`` past root mean squares.

    Neighbouring spans of one reason are joined; what was known of a joined span is the last of its parts.

    Parameters
    ----------
    frame : polars.DataFrame
        Bucket rows of any number of instruments.
    config : ExclusionConfig, optional
        Thresholds and given spans.
    mids : polars.DataFrame, optional
        Mid series ``exchange, market_type, symbol, ts_event, ts_recv, mid``; null or NaN where the book was invalid.

    Returns
    -------
    Exclusions
        Rows not yet counted.
    """
    import polars as pl

    config = config or ExclusionConfig()
    found: list[tuple[str, str, int, int, int, float]] = []
    if config.enabled:
        reach = _jumps(frame, config)
        for key, rows in series_rows(frame).items():
            part, jumped = frame[rows], np.isfinite(reach[rows])
            parts = [*_outages(part, config), ("jump", *_spans_of(part, jumped))]
            if mids is not None:
                own = mids.filter(
                    *(pl.col(name).cast(pl.String) == value for name, value in zip(SERIES_KEY, key, strict=True))
                )
                parts.append(("invalid_book", *_invalid_mids(own, config)))
            for reason, *columns in parts:
                longest = reach[rows][jumped] if reason == "jump" else np.full(columns[0].size, np.inf)
                values = zip(*(column.tolist() for column in (*columns, longest)), strict=True)
                found += [(":".join(key), reason, *one) for one in values]
        # A given span is the user's own choice: it holds for training from the beginning.
        found += [("", "given", start, end, 0, math.inf) for start, end in config.spans_ns]
    whole = dict.fromkeys(("start_ts", "end_ts", "known_ts"), pl.Int64)
    schema = {"series": pl.String, "reason": pl.String, **whole, "longest_ns": pl.Float64}
    table = pl.DataFrame(found, schema=schema, orient="row")
    return _joined(table.sort("series", "reason", "start_ts", "end_ts"), config)


def _joined(table: pl.DataFrame, config: ExclusionConfig) -> Exclusions:
    """Join overlapping and adjoining parts of one series and reason into spans, by start."""
    import polars as pl

    furthest = pl.col("end_ts").cum_max().shift(1).over("series", "reason")
    begins = (furthest.is_null() | (pl.col("start_ts") > furthest)).cast(pl.Int64)
    numbered = table.with_columns(begins.cum_sum().alias("_span"))
    spans = (
        numbered.group_by("_span", maintain_order=True)
        .agg(
            pl.col("series", "reason", "start_ts").first(),
            pl.col("end_ts", "known_ts").max(),
        )
        .sort("start_ts", "end_ts", "series", "reason")
        .with_row_index("span")
        .with_columns(pl.col("span").cast(pl.Int64))
    )
    parts = numbered.join(spans.select("_span", "span"), on="_span", how="left", maintain_order="left")
    return Exclusions(
        config,
        spans.drop("_span", "span").with_columns(
            pl.lit(0, pl.Int64).alias("rows"), pl.lit(0, pl.Int64).alias("barred")
        ),
        parts.select("span", "series", "start_ts", "end_ts", "known_ts", "longest_ns"),
    )


_Part = tuple[str, _Ints, _Ints, _Ints]


def _outages(part: pl.DataFrame, config: ExclusionConfig) -> list[_Part]:
    """Gaps, silences and buckets without a mid, of one instrument."""
    import polars as pl

    end, known, segment = (part[name].to_numpy().astype(np.int64) for name in ("ts_end", "ts_known", "segment"))
    mid = part["mid_last"].fill_null(float("nan")).to_numpy()
    opened = part["ts_start"].to_numpy().astype(np.int64) if "ts_start" in part.columns else end
    cut = np.flatnonzero(np.diff(segment) != 0) + 1
    back = np.maximum(end[cut - 1], opened[cut]) + round(config.settle_s * NS)
    apart = np.diff(end, prepend=end[:1]).astype(np.float64) / NS
    first = np.append(True, np.diff(segment) != 0)[: end.size]
    usual = (
        pl.Series(np.where(first, np.nan, apart))
        .fill_nan(None)
        .rolling_median(100, min_samples=20)
        .shift(1)
        .fill_null(float("inf"))
        .to_numpy()
    )
    silent = ~first & (apart > config.silence_multiple * usual) & (apart > config.silence_floor_s)
    return [
        ("gap", end[cut - 1], back, known[cut]),
        ("silence", *_spans_of(part, silent)),
        ("invalid_book", *_spans_of(part, ~(np.isfinite(mid) & (mid > 0)))),
    ]


def _spans_of(part: pl.DataFrame, flagged: _Bools) -> tuple[_Ints, _Ints, _Ints]:
    """Span of each flagged bucket: from the end of the bucket before (of its segment) to its own end."""
    end, known, segment = (part[name].to_numpy().astype(np.int64) for name in ("ts_end", "ts_known", "segment"))
    at = np.flatnonzero(flagged)
    before = np.maximum(at - 1, 0)
    opened = part["ts_start"].to_numpy().astype(np.int64) if "ts_start" in part.columns else end
    start = np.where((at > 0) & (segment[before] == segment[at]), end[before], opened[at])
    return start, end[at], known[at]


def _jumps(frame: pl.DataFrame, config: ExclusionConfig) -> _Floats:
    """Longest label (ns) for which the jump of each bucket is abnormal, NaN without a jump; row for row as the frame.

    A jump of d root mean squares is abnormal for labels of ``(d / jump_deviations)^2`` buckets of their usual length.
    """
    from marketprism.labels.jumps import frame_jumps
    from marketprism.labels.state_inputs import bucket_returns, stretches

    result = np.full(frame.height, np.nan)
    if frame.is_empty():
        return result
    tested = frame_jumps(frame, window=config.jump_window, significance=config.jump_significance).jump
    returns, numbers, ends = bucket_returns(frame, "raw"), stretches(frame), frame["ts_end"].to_numpy()
    for rows in series_rows(frame).values():
        own, stretch, end = returns[rows], numbers[rows], ends[rows]
        running = np.append(0.0, np.cumsum(np.where(np.isfinite(own), own * own, 0.0)))
        for i in np.flatnonzero(tested[rows]).tolist():
            begin = max(i - config.jump_window, int(np.searchsorted(stretch, stretch[i])))
            usual = math.sqrt(max(running[i] - running[begin], 0.0) / (i - begin))
            size = abs(own[i]) / usual if usual > 0 else math.inf
            if size >= config.jump_deviations:
                # One bucket's label is always touched, however long that bucket is.
                buckets = (size / config.jump_deviations) ** 2 if config.jump_deviations > 0 else math.inf
                spacing = (end[i - 1] - end[begin]) / (i - 1 - begin)
                result[rows[i]] = max(buckets * spacing, float(end[i] - end[i - 1]))
    return np.where(np.isinf(result), np.finfo(np.float64).max, result)


def _invalid_mids(mids: pl.DataFrame, config: ExclusionConfig) -> tuple[_Ints, _Ints, _Ints]:
    """Stretches of the mid series without a valid mid that last long enough, each known when it was over."""
    event, recv = (
        mids[name if name in mids.columns else "ts"].to_numpy().astype(np.int64) for name in ("ts_event", "ts_recv")
    )
    bad = ~np.isfinite(mids["mid"].fill_null(float("nan")).to_numpy())
    edges = np.flatnonzero(np.diff(np.concatenate(([False], bad, [False])).astype(np.int8)))
    start, stop = edges[::2], edges[1::2]
    start, stop = start[stop < bad.size], stop[stop < bad.size]
    long = event[stop] - event[start] >= config.invalid_s * NS
    return event[start][long], event[stop][long], recv[stop][long]


def _moment(value: int | str) -> int:
    return parse_time(str(value)) if isinstance(value, str) else int(value)
