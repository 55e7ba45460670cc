"""What a score earns: positions after latency, fills at mid and half spread, fees, slippage, impact, and the ratios."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numba import njit

from marketprism.core.errors import DataError
from marketprism.core.instrument import Instrument
from marketprism.core.timebase import NS
from marketprism.evaluate.bootstrap import block_length, plan_blocks
from marketprism.evaluate.config import BASE_FEES_BPS, SECONDS_PER_YEAR, CostConfig
from marketprism.evaluate.frame_check import check_bucket_frame, check_mids
from marketprism.evaluate.impact import impact_scale
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.metrics import measured
from marketprism.labels.forward import SERIES_KEY, series_rows
from marketprism.models.features import QUOTED_SPREAD

if TYPE_CHECKING:
    import polars as pl

__all__ = ["COST_PARTS", "Execution", "Trading", "execution", "half_spread_column", "pool", "trade", "trading_metrics"]

COST_PARTS = ("half_spread", "fee", "slippage", "impact")
"""What a change of position pays for, in the order of :attr:`Trading.parts`."""

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Execution:
    """Per bucket: when a decision taken on it is filled and at which mid, half spread and whether it is the last.

    Built once per instrument from ALL its buckets, by :func:`execution`.
    """

    bucket_id: _Ints
    segment: _Ints
    fill_ts: _Ints
    """Receive clock, ns UTC."""
    fill_mid: _Floats
    mid_last: _Floats
    half_spread: _Floats
    """Relative to the mid."""
    duration_s: _Floats
    fee: float
    """Fraction of notional."""
    seconds_per_year: float
    key: str
    slippage: float
    """Fraction of notional."""
    impact: _Floats
    """Impact of trading one unit of ``CostConfig.notional``, as a fraction of it; 0 without a notional, NaN where
    volatility or traded notional are not known."""


@dataclass(frozen=True)
class Trading:
    """Profit and loss of one traded score.

    Attributes
    ----------
    ts : ndarray of int
        Fill times, ns UTC (receive clock).
    position : ndarray
        Position held after each fill, in units of notional (-1, 0, 1; a pooled book averages its instruments).
    gross, cost : ndarray
        Return on notional accrued up to each fill, and paid at it.
    traded : ndarray
        Absolute change of position.
    periods_per_year : float
        Decisions in a year at the rate seen while the market was observed.
    observed_s : float
        Seconds of market time behind it (gaps not counted).
    parts : mapping of str to ndarray
        ``half_spread``, ``fee``, ``slippage`` and ``impact``, which sum to ``cost``.
    """

    ts: _Ints
    position: _Floats
    gross: _Floats
    cost: _Floats
    traded: _Floats
    periods_per_year: float
    observed_s: float
    parts: Mapping[str, _Floats] = field(default_factory=dict)

    @property
    def net(self) -> _Floats:
        """Gross minus cost."""
        return self.gross - self.cost

    def equity(self) -> pl.DataFrame:
        """Curve: ``ts``, ``position``, cumulative ``gross_bps``, ``cost_bps`` and ``net_bps`` of notional."""
        import polars as pl

        return pl.DataFrame(
            {
                "ts": self.ts,
                "position": self.position,
                "gross_bps": 1e4 * np.cumsum(self.gross),
                "cost_bps": 1e4 * np.cumsum(self.cost),
                "net_bps": 1e4 * np.cumsum(self.net),
            }
        )


def half_spread_column(
    frame: pl.DataFrame, costs: CostConfig, instruments: Sequence[Instrument] = ()
) -> tuple[_Floats, str]:
    """Half spread relative to the mid of each bucket, and in words where it came from.

    In order: ``costs.half_spread_bps``; ``spread_last_ticks`` with the instrument's tick size; ``quoted_spread_bps``
    of a user's frame; the factor ``spread_bps``. NaN where the book was invalid.

    Raises
    ------
    DataError
        None of them is at hand.
    """
    import polars as pl

    if costs.half_spread_bps is not None:
        return np.full(frame.height, costs.half_spread_bps * 1e-4), f"fixed at {costs.half_spread_bps:g} bps"
    ticks = {instrument.key: instrument.tick for instrument in instruments}
    keys = pl.concat_str([pl.col(name).cast(pl.String) for name in SERIES_KEY], separator=":")
    names = frame.select(keys.alias("key"))["key"]
    if ticks and set(names.unique()) <= set(ticks) and "spread_last_ticks" in frame.columns:
        tick = names.replace_strict(ticks, return_dtype=pl.Float64).to_numpy()
        spread = frame["spread_last_ticks"].cast(pl.Float64).fill_null(-1.0).to_numpy()
        mid = frame["mid_last"].fill_null(float("nan")).to_numpy()
        half = np.where(spread >= 0, 0.5 * spread * tick / mid, np.nan)
        return half, "half the spread in force when the bucket closed"
    if QUOTED_SPREAD in frame.columns:
        half = 0.5e-4 * frame[QUOTED_SPREAD].fill_null(float("nan")).to_numpy()
        return half, "half the spread that came with the bars"
    if "spread_bps" in frame.columns:
        half = 0.5e-4 * frame["spread_bps"].fill_null(float("nan")).to_numpy()
        return np.where(half >= 0, half, np.nan), "half the spread_bps factor of the bucket"
    raise DataError(
        "the half spread is not known", hint="pass the instruments, a spread_bps factor or costs.half_spread_bps"
    )


def execution(
    frame: pl.DataFrame,
    half_spread: _Floats,
    costs: CostConfig,
    mids: pl.DataFrame | None = None,
) -> dict[str, Execution]:
    """When and where each decision is filled, by series key.

    A decision on bucket i is known at ``ts_known`` and filled ``latency_ms`` later on the receive clock. With a mid
    series (``ts_recv`` or ``ts``, ``mid``) the fill mid is the last one at or before the fill time. Without one it
    lies on the straight line of the bucket in which the fill falls, from its opening mid to its closing mid: on
    average fair, but blind to moves that come faster than the line. Fills never cross a segment.

    Raises
    ------
    DataError
        A column is missing or holds what it cannot (see :func:`~marketprism.evaluate.frame_check.check_bucket_frame`),
        or ``costs.notional`` asks for impact and the frame does not tell what was traded.
    """
    import polars as pl

    check_bucket_frame(frame)
    if mids is not None:
        check_mids(mids)
    latency = round(costs.latency_ms * 1e6)
    result = {}
    for key, rows in series_rows(frame).items():
        part = frame[rows]
        get = {name: part[name].to_numpy().astype(np.int64) for name in ("bucket_id", "segment", "ts_known")}
        mid_last, mid_open = (
            part[name].fill_null(float("nan")).to_numpy() if name in part.columns else np.full(len(rows), np.nan)
            for name in ("mid_last", "mid_open")
        )
        fill_ts = get["ts_known"] + latency
        path = None
        if mids is not None:
            path = mids.filter(
                *(pl.col(name).cast(pl.String) == value for name, value in zip(SERIES_KEY, key, strict=True))
            )
        if path is not None and path.height:
            clock = "ts_recv" if "ts_recv" in path.columns else "ts"
            at = np.searchsorted(path[clock].to_numpy(), fill_ts, side="right") - 1
            fill = np.append(path["mid"].fill_null(float("nan")).to_numpy(), np.nan)[at]
            _, inside = _fill_between(get["ts_known"], get["segment"], mid_open, mid_last, fill_ts)
            fill = np.where(inside, fill, np.nan)
        else:
            fill, _ = _fill_between(get["ts_known"], get["segment"], mid_open, mid_last, fill_ts)
        fee = BASE_FEES_BPS[key[1]] if costs.fee_bps is None else costs.fee_bps
        year = SECONDS_PER_YEAR[key[1]] if costs.seconds_per_year is None else costs.seconds_per_year
        duration = part["duration_ns"].to_numpy() / NS if "duration_ns" in part.columns else _durations(get["ts_known"])
        name = ":".join(key)
        result[name] = Execution(
            get["bucket_id"],
            get["segment"],
            fill_ts,
            fill,
            mid_last,
            half_spread[rows],
            duration,
            fee * 1e-4,
            year,
            name,
            costs.slippage_bps * 1e-4,
            math.sqrt(costs.notional) * impact_scale(part, costs) if costs.notional else np.zeros(len(rows)),
        )
    return result


def _durations(known: _Ints) -> _Floats:
    return np.diff(known, prepend=known[:1]) / NS


@njit(cache=True)
def _fill_between(
    known: _Ints, segment: _Ints, mid_open: _Floats, mid_last: _Floats, fill_ts: _Ints
) -> tuple[_Floats, npt.NDArray[np.bool_]]:
    """Mid at each fill time on the line of the bucket it falls in; whether that bucket is of the same segment."""
    n = known.size
    fill = np.full(n, np.nan)
    inside = np.zeros(n, np.bool_)
    j = 0
    for i in range(n):
        j = max(j, i + 1)
        while j < n and known[j] < fill_ts[i]:
            j += 1
        if j >= n or segment[j] != segment[i]:
            continue
        inside[i] = True
        left = mid_open[j] if np.isfinite(mid_open[j]) else mid_last[j - 1]
        span = known[j] - known[j - 1]
        share = (fill_ts[i] - known[j - 1]) / span if span > 0 else 1.0
        # At the very opening the closing mid does not matter, not even a missing one.
        fill[i] = left if share <= 0.0 else left + min(share, 1.0) * (mid_last[j] - left)
    return fill, inside


@njit(cache=True)
def _run(
    score: _Floats,
    fill: _Floats,
    half: _Floats,
    closing: _Floats,
    last: npt.NDArray[np.bool_],
    impact: _Floats,
    enter: float,
) -> tuple[_Floats, _Floats, _Floats, _Floats, _Floats]:
    """Follow one score: position after each fill, gross accrued until it, amount traded, half spread, impact paid."""
    n = score.size
    position, gross, traded = np.zeros(n), np.zeros(n), np.zeros(n)
    crossed, paid = np.zeros(n), np.zeros(n)
    held, mark, spread, moved = 0.0, np.nan, np.nan, np.nan
    for i in range(n):
        if np.isfinite(half[i]):
            spread = half[i]
        if np.isfinite(impact[i]):
            moved = impact[i]
        price = closing[i] if last[i] else fill[i]
        if not np.isfinite(price) and last[i]:
            price = mark
        if np.isfinite(price):
            if held != 0.0 and np.isfinite(mark):
                gross[i] = held * (price / mark - 1.0)
            target = held
            if last[i] or np.isnan(score[i]) or held * score[i] < 0.0:
                target = 0.0
            if not last[i] and np.isfinite(half[i]) and np.isfinite(impact[i]):
                if score[i] >= enter and score[i] > 0.0:
                    target = 1.0
                elif score[i] <= -enter and score[i] < 0.0:
                    target = -1.0
            if target != held:
                traded[i] = abs(target - held)
                crossed[i] = spread
                paid[i] = traded[i] * math.sqrt(traded[i]) * moved
                held = target
            mark = price
        position[i] = held
        if last[i]:
            mark, spread, moved = np.nan, np.nan, np.nan
    return position, gross, traded, crossed, paid


def trade(predictions: pl.DataFrame, executions: Mapping[str, Execution], costs: CostConfig) -> dict[str, Trading]:
    """Trade each instrument's score on its own (notional 1) and return the results by series key.

    A position is flattened at the last known mid of its segment, and at once where the score is null: nothing is
    held over a gap. Each change of position pays the fee, half the spread, slippage and, with a notional, impact:
    a change by d units pays ``d sqrt(d)`` times the impact of one. Where half spread or impact are not known there is
    no entry, and an exit pays the last known ones.
    """
    result = {}
    for key, rows in series_rows(predictions).items():
        part, one = predictions[rows], executions[":".join(key)]
        at = np.searchsorted(one.bucket_id, part["bucket_id"].to_numpy())
        score = part["score"].fill_null(float("nan")).to_numpy()
        segment, ids = one.segment[at], one.bucket_id[at]
        last = np.append((np.diff(segment) != 0) | (np.diff(ids) != 1), True)
        position, gross, traded, crossed, paid = _run(
            score, one.fill_mid[at], one.half_spread[at], one.mid_last[at], last, one.impact[at], costs.enter
        )
        cost = traded * (one.fee + crossed + one.slippage) + paid
        shares = (traded * crossed, traded * one.fee, traded * one.slippage, paid)
        observed = float(one.duration_s[at].sum())
        rate = one.seconds_per_year * len(at) / observed if observed > 0 else math.nan
        parts = dict(zip(COST_PARTS, shares, strict=True))
        result[one.key] = Trading(one.fill_ts[at], position, gross, cost, traded, rate, observed, parts)
    return result


def pool(parts: Mapping[str, Trading]) -> Trading:
    """One book of equal notional in every instrument; returns add up in time bins of their mean decision spacing."""
    if len(parts) == 1:
        return next(iter(parts.values()))
    share = 1.0 / len(parts)
    observed = max(part.observed_s for part in parts.values())
    bins = max(1, round(float(np.mean([part.ts.size for part in parts.values()]))))
    start = min(int(part.ts[0]) for part in parts.values())
    stop = max(int(part.ts[-1]) for part in parts.values())
    width = max(1, -(-(stop - start + 1) // bins))
    place = {key: (part.ts - start) // width for key, part in parts.items()}
    used = np.unique(np.concatenate(list(place.values())))
    total = {name: np.zeros(used.size) for name in ("gross", "cost", "traded", "position", *COST_PARTS)}
    for key, part in parts.items():
        at = np.searchsorted(used, place[key])
        flows = {"gross": part.gross, "cost": part.cost, "traded": part.traded, **part.parts}
        for name, values in flows.items():
            total[name] += share * np.bincount(at, values, used.size)
        newest = np.searchsorted(part.ts, start + (used + 1) * width, side="left") - 1
        total["position"] += share * np.where(newest >= 0, part.position[newest], 0.0)
    year = float(np.mean([part.periods_per_year * part.observed_s / part.ts.size for part in parts.values()]))
    rate = year * used.size / observed if observed > 0 else math.nan
    ts = start + (used + 1) * width
    shares = {name: total[name] for name in COST_PARTS}
    return Trading(ts, total["position"], total["gross"], total["cost"], total["traded"], rate, observed, shares)


def trading_metrics(result: Trading, replications: int, level: float, seed: int) -> dict[str, Metric]:
    """Turnover, gross and net profit (bps of notional over the whole sample), Sharpe ratios, profit per unit traded."""
    n = result.ts.size
    plan = plan_blocks(n, block_length(n), replications, seed)
    trades = int((result.traded > 0).sum())
    few = f"only {trades} trades, not evidence" if trades < 30 else ""
    annual = math.sqrt(result.periods_per_year) if result.periods_per_year > 0 else math.nan
    span = (
        f"annualised by sqrt({result.periods_per_year:.0f} decisions a year), "
        f"seen over {result.observed_s / 3600:.2f} h of market time"
    )

    def sharpe(sums: _Floats) -> _Floats:
        first, second = sums[..., 0] / n, sums[..., 1] / n
        variance = (second - first * first) * n / max(1, n - 1)
        return np.where(variance > 1e-12 * second, annual * first / np.sqrt(np.maximum(variance, 1e-300)), np.nan)

    def total(sums: _Floats) -> _Floats:
        return 1e4 * sums[..., 0]

    def per_unit(sums: _Floats) -> _Floats:
        return 1e4 * sums[..., 0] / sums[..., 1]

    found: dict[str, Metric] = {
        "turnover": measured(
            result.traded[:, None], lambda sums: sums[..., 0] / n, plan, level, note="notional traded per decision"
        )
    }
    for name, values in (("gross", result.gross), ("net", result.net)):
        columns = np.column_stack((values, values * values))
        money = "before" if name == "gross" else "after"
        found[f"{name}_pnl_bps"] = measured(
            columns[:, :1],
            total,
            plan,
            level,
            null=None if few else 0.0,
            note=_join(few, f"whole sample, {money} costs"),
        )
        found[f"{name}_sharpe"] = measured(
            columns, sharpe, plan, level, null=None if few else 0.0, note=_join(few, span)
        )
    paid = 1e4 * float(result.cost.sum()) / float(result.traded.sum()) if trades else math.nan
    found["gross_per_unit_bps"] = measured(
        np.column_stack((result.gross, result.traded)),
        per_unit,
        plan,
        level,
        null=None if few else 0.0,
        note=_join(few, f"earned per unit traded before costs; {paid:.3g} bps were paid for it"),
    )
    return found


def _join(*notes: str) -> str:
    return "; ".join(filter(None, notes))
