"""The track record of one traded model: risk-adjusted return, drawdown, trades, and the odds that it was luck."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from marketprism.evaluate.economics import Trading, pool
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.performance import drawdowns, performance_metrics
from marketprism.evaluate.sharpe import (
    autocorrelations,
    minimum_track_record,
    newey_west_lags,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
)
from marketprism.evaluate.trials import Trials

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Drawdown",
    "TrackRecord",
    "drawdown_by_period",
    "largest_drawdown",
    "market_time",
    "round_trips",
    "track_record",
]

_Floats = npt.NDArray[np.float64]
_FEW_TRADES = 30
_MIN_ROWS = 3
_RATIOS = ("sharpe", "sharpe_serial", "sortino", "calmar", "max_drawdown")
_ANNUAL_S = 30 * 86_400.0
_FORMATS = {"month": "%Y-%m", "day": "%Y-%m-%d"}


@dataclass(frozen=True)
class Drawdown:
    """The largest fall of the equity below its highest point so far.

    Attributes
    ----------
    depth_bps : float
        How far, bps of notional.
    peak_ts, low_ts : int
        When it began and when it was deepest, ns UTC.
    recovered_ts : int, optional
        When the old high was reached again; None where it never was.
    """

    depth_bps: float
    peak_ts: int
    low_ts: int
    recovered_ts: int | None


@dataclass(frozen=True)
class TrackRecord:
    """What trading one model's scores earned out of sample, net of all costs, and how likely luck explains it.

    Attributes
    ----------
    model : str
        Its name.
    n : int
        Periods (decisions) that were traded.
    effective_n : float
        Independent periods they are worth: ``n / max(1, 1 + 2 sum_k w_k rho_k)`` with the autocorrelations of the net
        returns and Bartlett weights. The probabilities below count these.
    periods_per_year, observed_s : float
        Of the periods; seconds of market time behind them.
    sharpe_per_period : float
        Not annualised; NaN without trades.
    metrics : dict of str to Metric
        ``sharpe`` (annual, times the root of the periods a year), ``sharpe_serial`` (annual, with Lo's correction),
        ``sortino``, ``calmar``, ``max_drawdown`` (share of notional) and ``hit_rate`` (share of trades that won, Wilson
        interval).
    drawdown : Drawdown, optional
        The largest one; None where the equity never fell.
    trades : int
        Round trips.
    skew, kurtosis : float
        Of the net returns; 3 is the kurtosis of a normal distribution.
    psr : float
        Probability that the true Sharpe ratio is above 0.
    luckiest : float
        Annual Sharpe ratio that the best of all trials would show without skill.
    dsr : float
        Probability that the true Sharpe ratio is above 0 although the best of all trials was picked.
    needed_n : float
        Periods of this performance that it takes until ``psr`` reaches the confidence wanted; infinite where the
        Sharpe ratio is not positive, NaN without trades.
    notes : tuple of str
        What to know when reading it.
    """

    model: str
    n: int
    effective_n: float
    periods_per_year: float
    observed_s: float
    sharpe_per_period: float
    metrics: dict[str, Metric]
    drawdown: Drawdown | None
    trades: int
    skew: float
    kurtosis: float
    psr: float
    luckiest: float
    dsr: float
    needed_n: float
    notes: tuple[str, ...]

    @property
    def needed_s(self) -> float:
        """Seconds of market time that :attr:`needed_n` periods take."""
        return self.needed_n * self.observed_s / self.n if self.n else math.nan

    def summary(self) -> dict[str, Any]:
        """Plain data for JSON: NaN and infinity become None."""
        numbers = (
            "effective_n", "periods_per_year", "observed_s", "sharpe_per_period", "skew", "kurtosis", "psr",
            "luckiest", "dsr", "needed_n",
        )  # fmt: skip
        fall = self.drawdown
        return {
            "n": self.n,
            "trades": self.trades,
            **{name: _plain(getattr(self, name)) for name in numbers},
            "metrics": {name: metric.to_mapping() for name, metric in self.metrics.items()},
            "drawdown": fall
            and {
                "depth_bps": fall.depth_bps,
                "peak_ts": fall.peak_ts,
                "low_ts": fall.low_ts,
                "recovered_ts": fall.recovered_ts,
            },
            "notes": list(self.notes),
        }


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def track_record(
    model: str,
    parts: Mapping[str, Trading],
    trials: Trials,
    *,
    overlap: int = 1,
    confidence: float = 0.95,
    replications: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> TrackRecord:
    """Measure what trading a model's scores earned.

    Parameters
    ----------
    model : str
        Its name.
    parts : mapping of str to Trading
        Per instrument, from :func:`~marketprism.evaluate.economics.trade`; a panel is pooled to one book of equal
        notional.
    trials : Trials
        Everything that was tried on the data set.
    overlap : int
        Decisions inside a label, for the block length.
    confidence : float
        Of the minimum track record.
    replications, level, seed
        Of the block bootstrap behind the intervals.

    References
    ----------
    Lo (2002); Bailey and Lopez de Prado (2012, 2014); Sortino and Price (1994).
    """
    from scipy.stats import kurtosis, skew

    book = pool(parts) if parts else None
    returns = np.empty(0) if book is None else book.net
    known = book is not None and math.isfinite(book.periods_per_year) and book.periods_per_year > 0
    rate = book.periods_per_year if book is not None and known else 1.0
    observed = book.observed_s if book is not None else 0.0
    won = np.concatenate([round_trips(part) for part in parts.values()]) if parts else np.empty(0)
    metrics = _metrics(returns, rate, overlap, replications, level, seed)
    metrics["hit_rate"] = _hit_rate(won, level)
    moves = bool(returns.size >= _MIN_ROWS and returns.std() > 0)
    sharpe = sharpe_ratio(returns) if moves else math.nan
    shape = (float(skew(returns)), float(kurtosis(returns, fisher=False))) if moves else (math.nan, math.nan)
    effective = _effective(returns) if moves else float(returns.size)
    luckiest = trials.luckiest(rate if known else 0.0, effective)
    psr = dsr = needed = math.nan
    if math.isfinite(sharpe):
        count = max(2, int(effective))
        psr = probabilistic_sharpe_ratio(sharpe, count, *shape)
        dsr = probabilistic_sharpe_ratio(sharpe, count, *shape, benchmark=luckiest)
        needed = minimum_track_record(sharpe, *shape, confidence=confidence) * returns.size / effective
    return TrackRecord(
        model=model,
        n=returns.size,
        effective_n=effective,
        periods_per_year=rate if known else math.nan,
        observed_s=observed,
        sharpe_per_period=sharpe,
        metrics=metrics,
        drawdown=largest_drawdown(book) if book is not None and returns.size else None,
        trades=won.size,
        skew=shape[0],
        kurtosis=shape[1],
        psr=psr,
        luckiest=luckiest * math.sqrt(rate) if known else math.nan,
        dsr=dsr,
        needed_n=needed,
        notes=_notes(returns.size, won.size, observed, known=known, moves=moves),
    )


def _metrics(
    returns: _Floats, rate: float, overlap: int, replications: int, level: float, seed: int
) -> dict[str, Metric]:
    if returns.size < _MIN_ROWS:
        nan, note = math.nan, f"few samples: {returns.size} periods"
        return {name: Metric(value=nan, low=nan, high=nan, n=returns.size, note=note) for name in _RATIOS}
    found = performance_metrics(returns, rate, overlap=overlap, replications=replications, level=level, seed=seed)
    return {name: found[name] for name in _RATIOS}


def _hit_rate(won: _Floats, level: float) -> Metric:
    from scipy.stats import binomtest

    note = "share of trades that won after costs"
    if won.size < _FEW_TRADES:
        note = f"only {won.size} trades, not evidence; {note}"
    if not won.size:
        nan = math.nan
        return Metric(value=nan, low=nan, high=nan, n=0, note=note)
    wins = int((won > 0).sum())
    bounds = binomtest(wins, won.size).proportion_ci(level, method="wilson")
    return Metric(
        value=wins / won.size, low=float(bounds.low), high=float(bounds.high), n=won.size, blocks=won.size, note=note
    )


def _effective(returns: _Floats) -> float:
    lags = newey_west_lags(returns.size)
    weight = 1 - np.arange(1, lags + 1) / (lags + 1)
    inflation = 1 + 2 * float(weight @ autocorrelations(returns, lags)) if lags else 1.0
    return returns.size / max(1.0, inflation) if math.isfinite(inflation) else float(returns.size)


def _notes(n: int, trades: int, observed_s: float, *, known: bool, moves: bool) -> tuple[str, ...]:
    notes = []
    if n < _MIN_ROWS:
        notes.append(f"few samples: {n} periods, nothing can be measured")
    elif not moves:
        notes.append("it never traded, so that there is nothing to judge")
    elif trades < _FEW_TRADES:
        word = "trade" if trades == 1 else "trades"
        notes.append(f"only {trades} {word}: an anecdote, whatever the ratios say")
    if n >= _MIN_ROWS and not known:
        notes.append("the length of the periods is not known: ratios are per period, not annual")
    elif moves and observed_s < _ANNUAL_S:
        notes.append(
            f"annual figures stretch {market_time(observed_s)} of market time over a year: good for comparison only"
        )
    return tuple(notes)


def market_time(seconds: float) -> str:
    """Return a span in words.

    Examples
    --------
    >>> market_time(300), market_time(7200), market_time(864_000)
    ('5.0 minutes', '2.0 hours', '10 days')
    """
    if seconds < 3600:
        return f"{seconds / 60:,.1f} minutes"
    return f"{seconds / 3600:,.1f} hours" if seconds < 3 * 86_400 else f"{seconds / 86_400:,.0f} days"


def round_trips(trading: Trading) -> _Floats:
    """Net return of each trade on one instrument, from entry to exit or turn, in the order of entry.

    A turn closes one trade and opens the next: its cost is split by the amounts traded.

    Parameters
    ----------
    trading : Trading
        Of one instrument (a pooled book has no trades of its own).

    Returns
    -------
    ndarray of shape (trades,)
        They add up to the net profit and loss.
    """
    after = trading.position
    before = np.append(0.0, after)[:-1]
    changed = after != before
    entered = changed & (after != 0)
    number = np.cumsum(entered)
    with np.errstate(divide="ignore", invalid="ignore"):
        closing = np.where(trading.traded > 0, np.abs(before) / trading.traded, 0.0)
    result = np.zeros(int(number[-1]) if number.size else 0)
    held = before != 0
    np.add.at(result, number[held] - entered[held] - 1, (trading.gross - closing * trading.cost)[held])
    np.add.at(result, number[entered] - 1, -((1 - closing) * trading.cost)[entered])
    return result


def largest_drawdown(trading: Trading) -> Drawdown | None:
    """When the equity fell most below its highest point so far, net of costs; None where it never fell.

    The peak of a fall that began with the first period is dated to that period.
    """
    depth = drawdowns(trading.net)
    low = int(depth.argmax())
    if not depth[low] > 0:
        return None
    peak = int(np.flatnonzero(depth[:low] == 0)[-1]) if (depth[:low] == 0).any() else 0
    back = np.flatnonzero(depth[low:] == 0)
    return Drawdown(
        depth_bps=1e4 * float(depth[low]),
        peak_ts=int(trading.ts[peak]),
        low_ts=int(trading.ts[low]),
        recovered_ts=int(trading.ts[low + back[0]]) if back.size else None,
    )


def drawdown_by_period(trading: Trading) -> tuple[str, pl.DataFrame]:
    """Net return and largest drawdown of each calendar month (UTC), or of each day where there is only one month.

    Returns
    -------
    tuple of str and polars.DataFrame
        ``"month"``, ``"day"`` or, where the data lie within one day, ``""``; and ``period, n, net_bps, drawdown_bps``,
        empty in the last case. Each drawdown counts from the highest point of its own period.
    """
    import polars as pl

    schema = {"period": pl.String, "n": pl.Int64, "net_bps": pl.Float64, "drawdown_bps": pl.Float64}
    moments = pl.Series(trading.ts).cast(pl.Datetime("ns"))
    for unit, pattern in _FORMATS.items():
        names = moments.dt.strftime(pattern).to_numpy()
        starts = np.flatnonzero(np.append(True, names[1:] != names[:-1])) if names.size else np.empty(0, np.int64)
        if starts.size > 1:
            parts = np.split(trading.net, starts[1:])
            rows = [
                (str(names[start]), part.size, 1e4 * float(part.sum()), 1e4 * float(drawdowns(part).max()))
                for start, part in zip(starts, parts, strict=True)
            ]
            return unit, pl.DataFrame(rows, schema=schema, orient="row")
    return "", pl.DataFrame(schema=schema)
