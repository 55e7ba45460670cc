"""What happens around funding times, liquidation cascades, outages and jumps, to the market and to the signal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError, DataError
from marketprism.core.random import child_seed
from marketprism.core.timebase import NS, format_ns
from marketprism.evaluate.bootstrap import block_length, plan_blocks
from marketprism.evaluate.case import Case
from marketprism.evaluate.events import Discontinuity, EventStudy, event_study, regression_discontinuity
from marketprism.evaluate.exclusions import ExclusionConfig, find_exclusions
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.metrics import information_coefficient
from marketprism.evaluate.multiple import holm
from marketprism.labels.forward import SERIES_KEY, series_rows

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "KINDS",
    "EventConfig",
    "EventEvidence",
    "JumpAtEvents",
    "SignalAroundEvents",
    "StudiedEvents",
    "find_market_events",
    "study_events",
]

KINDS = ("funding", "liquidations", "outage", "jump")
"""Kinds of events, in the order of the report."""

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]
_PERPETUAL = ("linear", "inverse")
_LISTED = 50


class EventConfig(Config, frozen=True):
    """Which events are looked for, and how far around them.

    Parameters
    ----------
    window_buckets : float
        Reach before and after an event, in median bucket spacings.
    window_s : float, optional
        The same in seconds, in its place.
    funding_hours : float
        Hours between funding times, from 00:00 UTC, where the frame tells none. Only perpetuals (linear, inverse)
        have them.
    cascade_multiple : float
        A liquidation cascade begins with a bucket whose liquidated volume is more than this many times the median of
        those of the last 500 buckets that had liquidations (at least 5).
    jump_window : int
        Buckets behind the volatility that jumps are measured by.
    jump_significance : float
        Chance of any false jump among 1000 returns; see :func:`~marketprism.labels.lee_mykland`.
    placebos : int
        Random shifts of the events that they are compared with.
    series : int
        Instruments of a panel that are studied, those with most buckets first.
    """

    window_buckets: float = 20.0
    window_s: float | None = None
    funding_hours: float = 8.0
    cascade_multiple: float = 10.0
    jump_window: int = 60
    jump_significance: float = 0.01
    placebos: int = 200
    series: int = 4

    def __post_init__(self) -> None:
        for name in ("window_buckets", "window_s", "funding_hours", "cascade_multiple"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} was {value}", hint="it must be positive")
        if not 0 < self.jump_significance < 1:
            raise ConfigError(f"jump_significance was {self.jump_significance}", hint="it must be above 0 and below 1")
        for name, lowest in (("placebos", 40), ("series", 1), ("jump_window", 10)):
            if getattr(self, name) < lowest:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint=f"it must be at least {lowest}")


class StudiedEvents(NamedTuple):
    """One quantity around the events of one kind.

    Attributes
    ----------
    kind, series, quantity : str
        ``quantity`` is ``return`` (cumulative, bps), ``move`` (size of bucket returns, bps) or ``spread`` (bps).
    study : EventStudy
        Mean path, and the same at placebo times.
    adjusted_p : float
        p-value of the path, adjusted for all the paths looked at (Holm).
    """

    kind: str
    series: str
    quantity: str
    study: EventStudy
    adjusted_p: float


class JumpAtEvents(NamedTuple):
    """Discontinuity of one quantity at the events of one kind."""

    kind: str
    series: str
    quantity: str
    found: Discontinuity


class SignalAroundEvents(NamedTuple):
    """IC of the best model's score in the window before the events, in that after them, and elsewhere."""

    kind: str
    before: Metric
    after: Metric
    elsewhere: Metric


@dataclass(frozen=True)
class EventEvidence:
    """Result of :func:`study_events`.

    Attributes
    ----------
    events : polars.DataFrame
        ``kind, series, ts`` (ns UTC, event clock).
    studies : tuple of StudiedEvents
        Event studies.
    discontinuities : tuple of JumpAtEvents
        Regression discontinuities at funding times.
    signal : tuple of SignalAroundEvents
        The signal before, after and elsewhere.
    window_s : float
        Reach of every window, seconds.
    notes : tuple of str
        What was not found or could not be told.
    """

    events: pl.DataFrame
    studies: tuple[StudiedEvents, ...]
    discontinuities: tuple[JumpAtEvents, ...]
    signal: tuple[SignalAroundEvents, ...]
    window_s: float
    notes: tuple[str, ...]

    def count(self, kind: str) -> int:
        """Return the number of events of a kind, over all instruments."""
        return int((self.events["kind"] == kind).sum())

    def summary(self) -> dict[str, Any]:
        """Return plain data; the first fifty events are listed."""

        def plain(value: float) -> float | None:
            return float(value) if math.isfinite(value) else None

        return {
            "window_s": plain(self.window_s),
            "counts": {kind: self.count(kind) for kind in KINDS},
            "events": [
                {"kind": kind, "series": series, "at": format_ns(ts)}
                for kind, series, ts in self.events.head(_LISTED).iter_rows()
            ],
            "studies": [
                {
                    "kind": one.kind,
                    "series": one.series,
                    "quantity": one.quantity,
                    "events": one.study.events,
                    "last": plain(float(one.study.mean[-1])),
                    "p_value": plain(one.study.p_value),
                    "adjusted_p_value": plain(one.adjusted_p),
                }
                for one in self.studies
            ],
            "discontinuities": [
                {
                    "kind": one.kind,
                    "series": one.series,
                    "quantity": one.quantity,
                    "events": one.found.events,
                    "jump": plain(one.found.jump),
                    "error": plain(one.found.error),
                    "p_value": plain(one.found.p_value),
                    "placebo_p_value": plain(one.found.placebo_p_value),
                }
                for one in self.discontinuities
            ],
            "signal": {
                one.kind: {
                    "before": one.before.to_mapping(),
                    "after": one.after.to_mapping(),
                    "elsewhere": one.elsewhere.to_mapping(),
                }
                for one in self.signal
            },
            "notes": list(self.notes),
        }


def find_market_events(
    frame: pl.DataFrame, config: EventConfig | None = None, mids: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Find the events of every kind in a bucket frame.

    * funding: values of ``next_funding_ts`` within the span where the frame has it; else changes of ``funding_rate``
      that lie at least an hour apart in the median; else the grid of ``funding_hours``. Perpetuals only.
    * liquidations: first bucket of each burst of the columns whose names begin with ``liquidation`` and end with
      ``volume``, ``notional`` or ``quantity``.
    * outage: ends of gaps, silences and stretches without a valid book (see
      :func:`~marketprism.evaluate.find_exclusions`).
    * jump: ends of buckets with a Lee-Mykland jump.

    Returns
    -------
    polars.DataFrame
        ``kind, series, ts`` (ns UTC), by kind, series and time.
    """
    import polars as pl

    from marketprism.labels.jumps import frame_jumps

    config = config or EventConfig()
    spans = find_exclusions(frame, ExclusionConfig(), mids).spans
    jumped = frame_jumps(frame, window=config.jump_window, significance=config.jump_significance).jump
    found: list[tuple[str, str, int]] = []
    for key, rows in series_rows(frame).items():
        part, name = frame[rows], ":".join(key)
        end = part["ts_end"].to_numpy()
        outages = spans.filter((pl.col("series") == name) & pl.col("reason").is_in(["gap", "silence", "invalid_book"]))[
            "end_ts"
        ].to_list()
        moments = {
            "funding": _funding(part, config) if key[1] in _PERPETUAL else [],
            "liquidations": _cascades(part, config),
            "outage": outages,
            "jump": end[jumped[rows]].tolist(),
        }
        found += [(kind, name, ts) for kind in KINDS for ts in sorted(moments[kind])]
    table = pl.DataFrame(found, schema={"kind": pl.String, "series": pl.String, "ts": pl.Int64}, orient="row")
    return (
        table.with_columns(pl.col("kind").cast(pl.Enum(KINDS))).sort("kind", "series", "ts").cast({"kind": pl.String})
    )


def _funding(part: pl.DataFrame, config: EventConfig) -> list[int]:
    opened = "ts_start" if "ts_start" in part.columns else "ts_end"
    first, last = int(part[opened].to_numpy().min()), int(part["ts_end"].to_numpy().max())
    if "next_funding_ts" in part.columns:
        times = part["next_funding_ts"].drop_nulls().unique().to_list()
        return [int(ts) for ts in times if first <= ts <= last]
    if "funding_rate" in part.columns:
        known = part.select("ts_end", "funding_rate").drop_nulls()
        changed = known["ts_end"].to_numpy()[1:][np.diff(known["funding_rate"].to_numpy()) != 0]
        if changed.size and np.median(np.diff(changed, prepend=changed[0] - 3600 * NS)) >= 3600 * NS:
            return [int(ts) for ts in changed]
    step = round(config.funding_hours * 3600 * NS)
    return list(range(-(-first // step) * step, last + 1, step))


def _cascades(part: pl.DataFrame, config: EventConfig) -> list[int]:
    import polars as pl

    names = [
        name
        for name in part.columns
        if name.startswith("liquidation") and name.endswith(("volume", "notional", "quantity"))
    ]
    if not names:
        return []
    total = part.select(pl.sum_horizontal(pl.col(name).abs().fill_nan(0).fill_null(0) for name in names)).to_series()
    some = total.to_frame("total").select(pl.when(pl.col("total") > 0).then("total")).to_series()
    usual = some.rolling_median(500, min_samples=5).shift(1).fill_null(float("inf")).to_numpy()
    wild = total.to_numpy() > config.cascade_multiple * usual
    begins = wild & ~np.append(False, wild[:-1])
    return [int(ts) for ts in part["ts_end"].to_numpy()[begins]]


def study_events(case: Case, config: EventConfig | None = None) -> EventEvidence:
    """Look at returns, size of moves, spread and signal around every kind of event.

    Paths are means over the events; the same number of events at random other times says what is usual. After a jump
    the path begins at the close of the jumped bucket: that the jump itself is large is why it was chosen. Windows may
    reach over a gap; the mid then moves at once.

    Parameters
    ----------
    case : Case
        With or without models.
    config : EventConfig, optional
        Capped: ``series`` instruments, ``placebos`` shifts.
    """
    config = config or EventConfig()
    events = find_market_events(case.frame, config, case.mids)
    window = _window(case.frame, config)
    notes = _absent(case, events)
    seed = child_seed(case.judgement.config.seed, "events")
    drawn: list[tuple[str, str, str, EventStudy]] = []
    jumps: list[JumpAtEvents] = []
    for series, part in _largest(case, config):
        for kind in KINDS:
            at = _times(events, kind, series)
            for quantity, ts, values in _quantities(part, case) if at.size else ():
                moment, before = (at + 1, 1) if kind == "jump" else (at, window)
                if kind == "jump" and quantity == "move":
                    # The jump's own move is large by choice: what is usual is the bucket before it.
                    own = np.isin(ts, at)
                    ts, values = ts[~own], values[~own]
                try:
                    study = event_study(ts, values, moment, before, window, placebos=config.placebos, seed=seed)
                except DataError as error:
                    notes.append(f"{kind} events of {series}: {str(error).partition(' (')[0]}")
                    continue
                drawn.append((kind, series, quantity, study))
            if kind == "funding" and at.size > 1:
                jumps += _discontinuities(part, case, series, at, window, config, seed)
    adjusted = holm([one[3].p_value for one in drawn]) if drawn else np.empty(0)
    studies = tuple(StudiedEvents(*one, float(p)) for one, p in zip(drawn, adjusted, strict=True))
    return EventEvidence(
        events, studies, tuple(jumps), _signal(case, events, window), window / NS, tuple(dict.fromkeys(notes))
    )


def _absent(case: Case, events: pl.DataFrame) -> list[str]:
    perpetual = case.frame["market_type"].cast(str).is_in(_PERPETUAL).any()
    liquidations = any(name.startswith("liquidation") for name in case.frame.columns)
    why = {
        "funding": "no funding time falls in the span" if perpetual else "the instrument pays no funding",
        "liquidations": "no cascade of liquidations was seen" if liquidations else "the data carry no liquidations",
        "outage": "no outage was seen",
        "jump": "no jump was seen",
    }
    present = set(events["kind"].unique(maintain_order=True))
    return [text for kind, text in why.items() if kind not in present]


def _window(frame: pl.DataFrame, config: EventConfig) -> int:
    if config.window_s is not None:
        return max(1, round(config.window_s * NS))
    spacing = [np.diff(frame["ts_end"].to_numpy()[rows]) for rows in series_rows(frame).values() if rows.size > 1]
    usual = float(np.median(np.concatenate(spacing))) if spacing else NS
    return max(1, round(config.window_buckets * usual))


def _largest(case: Case, config: EventConfig) -> list[tuple[str, pl.DataFrame]]:
    parts = [(":".join(key), case.frame[rows]) for key, rows in series_rows(case.frame).items()]
    return sorted(parts, key=lambda one: (-one[1].height, one[0]))[: config.series]


def _times(events: pl.DataFrame, kind: str, series: str) -> _Ints:
    import polars as pl

    return events.filter((pl.col("kind") == kind) & (pl.col("series") == series))["ts"].to_numpy().astype(np.int64)


def _quantities(part: pl.DataFrame, case: Case) -> Iterator[tuple[str, _Ints, _Floats]]:
    """Log mid, size of bucket returns and spread of one instrument, each in bps, where they are known."""
    ts, mid = part["ts_end"].to_numpy().astype(np.int64), part["mid_last"].fill_null(float("nan")).to_numpy()
    good = np.isfinite(mid) & (mid > 0)
    if good.sum() < 3:
        return
    level = 1e4 * np.log(mid[good])
    yield "return", ts[good], level - level[0]
    yield "move", ts[good][1:], np.abs(np.diff(level))
    key = ":".join(str(part[name][0]) for name in SERIES_KEY)
    half = case.executions[key].half_spread * 2e4
    known = np.isfinite(half)
    if known.sum() >= 3 and half.size == ts.size:
        yield "spread", ts[known], half[known]


def _discontinuities(
    part: pl.DataFrame, case: Case, series: str, at: _Ints, window: int, config: EventConfig, seed: int
) -> Iterator[JumpAtEvents]:
    for quantity, ts, values in _quantities(part, case):
        try:
            found = regression_discontinuity(ts, values, at, window, placebos=config.placebos, seed=seed)
        except DataError:
            continue  # too few rows on one side: the event study says so already
        yield JumpAtEvents("funding", series, quantity, found)


def _signal(case: Case, events: pl.DataFrame, window: int) -> tuple[SignalAroundEvents, ...]:
    """IC of the best model by distance of the decision from the nearest event of each kind."""
    from marketprism.evaluate.slicing import scored_rows

    if not case.names:
        return ()
    rows = scored_rows(case, case.best)
    decided, score, target = rows["ts_end"].to_numpy(), rows["score"].to_numpy(), rows["target"].to_numpy()
    key = np.full(rows.height, "", object)
    for names, place in series_rows(rows.with_columns(bucket_id=np.arange(rows.height))).items():
        key[place] = ":".join(names)
    config = case.judgement.config
    result = []
    for kind in KINDS:
        before, after = np.zeros(rows.height, bool), np.zeros(rows.height, bool)
        for series in events["series"].unique(maintain_order=True):
            at = _times(events, kind, series)
            own = np.flatnonzero(key == series)
            if not at.size or not own.size:
                continue
            ahead = np.searchsorted(at, decided[own], side="right")
            until = np.where(ahead < at.size, at[np.minimum(ahead, at.size - 1)] - decided[own], window + 1)
            since = np.where(ahead > 0, decided[own] - at[np.maximum(ahead - 1, 0)], window + 1)
            after[own] = since <= window
            before[own] = (until <= window) & ~after[own]
        if not (before | after).any():
            continue

        def measure(chosen: npt.NDArray[np.bool_]) -> Metric:
            n = int(chosen.sum())
            if n < 3:
                return Metric(value=math.nan, low=math.nan, high=math.nan, n=n, null=0.0, note=f"few samples: {n} rows")
            plan = plan_blocks(n, block_length(n, case.overlap, case.series_count), config.replications, config.seed)
            return information_coefficient(score[chosen], target[chosen], plan, config.level)

        result.append(SignalAroundEvents(kind, measure(before), measure(after), measure(~before & ~after)))
    return tuple(result)
