"""How long each model's signal lives, and what it earns when orders arrive later."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.core.timebase import NS
from marketprism.evaluate.bootstrap import block_length, plan_blocks
from marketprism.evaluate.case import Case
from marketprism.evaluate.decay import effective_sharpe, fit_lifetime
from marketprism.evaluate.economics import execution, half_spread_column, pool, trade, trading_metrics
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.paired import PairedInformation, paired_information
from marketprism.labels.forward import SERIES_KEY, series_rows

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Decay", "DecayConfig", "DecayCurve", "assess_decay"]

_Floats = npt.NDArray[np.float64]
_NAN = math.nan
_LN2 = math.log(2)


class DecayConfig(Config, frozen=True):
    """Delays and latencies to look at.

    Parameters
    ----------
    delays_ms : tuple of float
        Delays on the clock, increasing from 0.
    delays_buckets : tuple of int
        Delays in buckets, increasing from 0.
    latencies_ms : tuple of float
        Latencies at which trading is simulated again, not negative; 0 and the judgement's own are added.
    complexity : mapping of str to float
        Complexity score of models, charged at .05 each in the effective Sharpe ratio; 0 where not named.
    """

    delays_ms: tuple[float, ...] = (0.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0)
    delays_buckets: tuple[int, ...] = (0, 1, 2, 3, 5, 8)
    latencies_ms: tuple[float, ...] = (0.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0)
    complexity: dict[str, float] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("delays_ms", "delays_buckets"):
            values = getattr(self, name)
            if len(values) < 2 or values[0] != 0 or any(b <= a for a, b in pairwise(values)):
                raise ConfigError(f"{name} was {values}", hint="give at least two delays, increasing from 0")
        for value in (*self.latencies_ms, *self.complexity.values()):
            if not 0 <= value < math.inf:
                raise ConfigError(f"latency or complexity was {value}", hint="it must be finite and not negative")


@dataclass(frozen=True)
class DecayCurve:
    """IC of one model against delay, over the same rows at every delay.

    Attributes
    ----------
    unit : {"ms", "buckets"}
        Of the delays.
    delays : ndarray of shape (d,)
        From 0.
    metrics : tuple of Metric
        IC with block-bootstrap interval at each delay.
    half_life : Metric
        Time in which the IC halves, in ``unit``, from the best exponential; NaN where it cannot be told, infinite
        where the IC does not fall, 0 where it is gone by the first delay. The note says which.
    """

    unit: Literal["ms", "buckets"]
    delays: _Floats
    metrics: tuple[Metric, ...]
    half_life: Metric

    @property
    def lifetime(self) -> float:
        """Time in which the IC falls to ``1 / e``."""
        return self.half_life.value / _LN2


@dataclass(frozen=True)
class Decay:
    """Result of :func:`assess_decay`.

    Attributes
    ----------
    clock, buckets : dict of str to DecayCurve
        By model: IC of the score with the return over a whole label length that begins the delay later, on the clock
        and in buckets.
    latency : polars.DataFrame
        By model and ``latency_ms``: ``gross_sharpe``, ``net_sharpe`` with ``low`` and ``high``, ``net_pnl_bps``
        (re-simulated, annualised as everywhere) and ``effective_sharpe``, the convention's formula on the gross
        Sharpe ratio without latency: ``raw exp(-latency / lifetime) - .05 complexity``.
    own_latency_ms : float
        Latency of the judgement.
    exact : bool
        Prices between bucket ends came from a mid series.
    notes : tuple of str
        What to know when reading it.
    """

    clock: dict[str, DecayCurve]
    buckets: dict[str, DecayCurve]
    latency: pl.DataFrame
    own_latency_ms: float
    exact: bool
    notes: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """Plain data for ``summary.json``."""
        rows = self.latency.fill_nan(None)
        return {
            "models": {
                name: {
                    "half_life_ms": curve.half_life.to_mapping(),
                    "half_life_buckets": self.buckets[name].half_life.to_mapping(),
                    "ic_by_delay_ms": _pairs(curve),
                    "ic_by_delay_buckets": _pairs(self.buckets[name]),
                    "latency": [
                        {key: value for key, value in row.items() if key != "model"}
                        for row in rows.iter_rows(named=True)
                        if row["model"] == name
                    ],
                }
                for name, curve in self.clock.items()
            },
            "notes": list(self.notes),
        }


def _pairs(curve: DecayCurve) -> list[list[float | None]]:
    return [
        [float(delay), metric.value if math.isfinite(metric.value) else None]
        for delay, metric in zip(curve.delays, curve.metrics, strict=True)
    ]


def assess_decay(case: Case, config: DecayConfig | None = None) -> Decay:
    """Measure how fast the IC of every model dies, and trade its scores at a grid of latencies.

    At delay d the score of a bucket is correlated with the log return from ``d`` after the bucket was known to a whole
    label length later (not what is left of the label: a return that shrinks to nothing would hide the decay). Prices
    are those of the mid series, else on the straight line between bucket ends. No return crosses a gap.

    Parameters
    ----------
    case : Case
        Primary horizon, costs, bootstrap and mid series of its judgement.
    config : DecayConfig, optional
        Delays and latencies.

    Returns
    -------
    Decay
        Without judged models, empty with a note.

    Notes
    -----
    Takes about .4 s on 700 buckets and two models.
    """
    config = config or DecayConfig()
    exact = case.mids is not None and case.mids.height > 0
    notes = []
    if not case.names:
        notes.append("no model was judged: " + ("; ".join(case.judgement.notes) or "too few rows"))
    if not exact:
        notes.append(
            "there is no mid series: prices between bucket ends lie on a straight line, and delays shorter than a "
            "bucket are only a guess"
        )
    clock, buckets = {}, {}
    delays_ms, steps = np.asarray(config.delays_ms), np.asarray(config.delays_buckets, np.float64)
    for name in case.names:
        table = case.predictions(name)
        clock[name] = _curve(case, table, _clock_moves(case, table, delays_ms), "ms", delays_ms)
        buckets[name] = _curve(case, table, _bucket_moves(case, table, config.delays_buckets), "buckets", steps)
    return Decay(
        clock=clock,
        buckets=buckets,
        latency=_by_latency(case, config, {name: curve.lifetime for name, curve in clock.items()}),
        own_latency_ms=case.judgement.config.costs.latency_ms,
        exact=exact,
        notes=tuple(notes),
    )


def _clock_moves(case: Case, table: pl.DataFrame, delays_ms: _Floats) -> _Floats:
    """Log return over a label length from each delay on, shape (n, d); over the threshold in a panel."""
    delays = np.round(delays_ms * 1e6).astype(np.int64)
    moves = np.full((table.height, delays.size), np.nan)
    frames = {key: case.frame[rows] for key, rows in series_rows(case.frame).items()}
    for key, rows in series_rows(table).items():
        part, whole = table[rows], frames[key]
        known, mid = whole["ts_known"].to_numpy(), whole["mid_last"].fill_null(_NAN).to_numpy()
        segment = whole["segment"].to_numpy()
        last = known[np.searchsorted(segment, part["segment"].to_numpy(), side="right") - 1]
        start = part["ts_known"].to_numpy()[:, None] + delays
        span = (part["label_end_ts"].fill_null(-1) - part["ts_end"]).to_numpy()
        stop = start + span[:, None]
        inside = (stop[:, -1] <= last) & (span > 0)
        path = _path(case, key)
        if path is None:
            first, then = np.interp(start, known, mid), np.interp(stop, known, mid)
        else:
            first, then = (path[1][np.searchsorted(path[0], at, side="right")] for at in (start, stop))
        with np.errstate(divide="ignore", invalid="ignore"):
            moves[rows] = np.where(inside[:, None], np.log(then / first), np.nan)
    if case.problem.series:
        moves /= _threshold(table)[:, None]
    return moves


def _path(case: Case, key: tuple[str, str, str]) -> tuple[npt.NDArray[np.int64], _Floats] | None:
    """Receive times and mids of one instrument, a NaN ahead; None without a mid series of it."""
    import polars as pl

    if case.mids is None:
        return None
    same = [pl.col(name).cast(pl.String) == value for name, value in zip(SERIES_KEY, key, strict=True)]
    path = case.mids.filter(*same)
    if path.is_empty():
        return None
    times = path["ts_recv" if "ts_recv" in path.columns else "ts"].to_numpy()
    return times, np.append(_NAN, path["mid"].fill_null(_NAN).to_numpy())


def _threshold(table: pl.DataFrame) -> _Floats:
    """Past-only threshold of each row, as a raw return; NaN where it is not positive."""
    threshold = table["threshold"].fill_null(_NAN).to_numpy()
    if table["scheme"].eq("per_second").any():
        threshold = threshold * (table["label_end_ts"].fill_null(-1) - table["ts_end"]).to_numpy() / NS
    return np.where(threshold > 0, threshold, np.nan)


def _bucket_moves(case: Case, table: pl.DataFrame, delays: tuple[int, ...]) -> _Floats:
    """Label of the bucket ``delay`` later, in the same segment, shape (n, d)."""
    import polars as pl

    target = pl.col("return") / pl.col("threshold") if case.problem.series else pl.col("return")
    target = pl.when(~pl.col("excluded")).then(target)
    group = [*SERIES_KEY, "segment"]
    columns = [
        pl.when(pl.col("bucket_id").shift(-delay).over(group) - pl.col("bucket_id") == delay)
        .then(target.shift(-delay).over(group))
        .otherwise(None)
        .fill_null(_NAN)
        .alias(str(delay))
        for delay in delays
    ]
    return np.ascontiguousarray(table.select(columns).to_numpy(), dtype=np.float64)


def _curve(
    case: Case, table: pl.DataFrame, moves: _Floats, unit: Literal["ms", "buckets"], delays: _Floats
) -> DecayCurve:
    """IC at every delay over the rows that have all of them, resampled together."""
    import polars as pl

    config = case.judgement.config
    # Excluded rows (outages, abnormal jumps) are left out, as in every headline IC.
    score = table.select(pl.when(~pl.col("excluded")).then("score").fill_null(_NAN))["score"].to_numpy()
    keep = np.isfinite(score) & np.isfinite(moves).all(axis=1)
    x, y, n = score[keep], moves[keep], int(keep.sum())
    if n < 3:
        none = Metric(value=_NAN, low=_NAN, high=_NAN, n=n, null=0.0, note=f"only {n} rows reach the longest delay")
        return DecayCurve(unit, delays, (none,) * delays.size, none)
    plan = plan_blocks(n, block_length(n, case.overlap, case.series_count), config.replications, config.seed)
    found = paired_information(x, y, plan, config.level)
    half_life = _half_life(found, delays, unit, config.level)
    return DecayCurve(unit, delays, found.metrics, half_life)


def _half_life(found: PairedInformation, delays: _Floats, unit: str, level: float) -> Metric:
    first = found.metrics[0]

    def unknown(note: str) -> Metric:
        return Metric(value=_NAN, low=_NAN, high=_NAN, n=first.n, blocks=first.blocks, note=note)

    if not first.significant:
        return unknown("not identifiable: the IC without delay cannot be told from zero")
    value = _LN2 * float(fit_lifetime(delays, found.values))
    if math.isnan(value):
        return unknown("not identifiable: returns did not vary at some delay")
    again = _LN2 * fit_lifetime(delays, found.samples)
    again = again[~np.isnan(again)]
    tail = 0.5 * (1 - level)
    low, high = (float(np.quantile(again, at, method="inverted_cdf")) for at in (tail, 1 - tail))
    notes = []
    if math.isinf(value):
        notes.append(
            f"no exponential fall within {delays[-1]:g} {unit}: the half-life is longer than that, or noise hides it"
        )
    elif value == 0:
        first_delay = "1 bucket" if unit == "buckets" and delays[1] == 1 else f"{delays[1]:g} {unit}"
        notes.append(f"nothing is left after {first_delay}: the half-life is shorter than was looked at")
    elif math.isinf(high):
        notes.append("the data do not bound it from above")
    return Metric(value=value, low=low, high=high, n=first.n, blocks=first.blocks, note="; ".join(notes))


_LATENCY = ("latency_ms", "gross_sharpe", "net_sharpe", "low", "high", "net_pnl_bps", "effective_sharpe")


def _by_latency(case: Case, config: DecayConfig, lifetimes: dict[str, float]) -> pl.DataFrame:
    import polars as pl

    judged = case.judgement.config
    schema = {"model": pl.String, **dict.fromkeys(_LATENCY, pl.Float64)}
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in case.names}
    grid = np.unique((0.0, judged.costs.latency_ms, *config.latencies_ms)).tolist() if case.names else []
    if not grid:
        return pl.DataFrame(schema=schema)
    half_spread, _ = half_spread_column(case.frame, judged.costs, case.instruments)
    raw: dict[str, float] = {}
    for latency in grid:
        costs = judged.costs.replace(latency_ms=latency)
        fills = execution(case.frame, half_spread, costs, case.mids)
        for name in case.names:
            book = pool(trade(case.predictions(name), fills, costs))
            found = trading_metrics(book, judged.replications, judged.level, judged.seed)
            net = found["net_sharpe"]
            raw.setdefault(name, found["gross_sharpe"].value)
            lifetime = max(lifetimes[name], 1e-9)
            left = _NAN
            if not math.isnan(lifetimes[name]):
                left = effective_sharpe(raw[name], latency, lifetime, config.complexity.get(name, 0.0))
            values = (latency, found["gross_sharpe"].value, net.value, net.low, net.high)
            pnl = found["net_pnl_bps"].value
            rows[name].append({"model": name, **dict(zip(_LATENCY, (*values, pnl, left), strict=True))})
    return pl.DataFrame([row for part in rows.values() for row in part], schema=schema, orient="row")
