"""What a strategy earned and risked: Sharpe, Sortino, Calmar, drawdown and hit rate of net returns, with intervals."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from marketprism.core.errors import DataError
from marketprism.evaluate.arrays import finite_vector, in_range
from marketprism.evaluate.bootstrap import BlockPlan, block_length, interval, plan_blocks
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.metrics import measured
from marketprism.evaluate.sharpe import annualisation_factor, newey_west_lags

__all__ = [
    "calmar_ratio",
    "drawdowns",
    "maximum_drawdown",
    "performance_metrics",
    "return_hit_rate",
    "sortino_ratio",
]

_Floats = npt.NDArray[np.float64]


def sortino_ratio(returns: npt.ArrayLike, periods_per_year: float = 1.0, target: float = 0.0) -> float:
    """Mean excess over ``target`` divided by the downside deviation, times ``sqrt(periods_per_year)``.

    The downside deviation is ``sqrt(mean(min(r - target, 0)^2))`` over ALL periods.

    Parameters
    ----------
    returns : array of float, shape (n,)
        Net returns, one a period, finite.
    periods_per_year : float, default 1
        1 gives the per-period ratio.
    target : float, default 0
        Return per period that is asked for.

    Returns
    -------
    float
        NaN where no period fell short.

    References
    ----------
    Sortino and Price (1994), "Performance measurement in a downside risk framework", Journal of Investing 3(3).

    Examples
    --------
    >>> round(sortino_ratio([0.02, -0.01, 0.01, -0.01]), 4)
    0.3536
    """
    excess = finite_vector(returns, "returns") - target
    in_range("periods_per_year", periods_per_year, 0)
    short = float((np.minimum(excess, 0.0) ** 2).mean())
    return math.sqrt(periods_per_year / short) * float(excess.mean()) if short > 0 else math.nan


def drawdowns(returns: npt.ArrayLike, *, compound: bool = False) -> _Floats:
    """How far the equity is below its highest point so far (the start counts), after each period; never negative.

    Parameters
    ----------
    returns : array of float, shape (n,)
        Net returns, finite.
    compound : bool, default False
        Reinvest (the result is a share of the peak; returns must exceed -1), or trade a constant notional (returns add
        up, the result is a share of that notional).

    Examples
    --------
    >>> drawdowns([0.5, -0.25, 0.5])
    array([0.  , 0.25, 0.  ])
    """
    values = finite_vector(returns, "returns")
    if compound and (values <= -1).any():
        raise DataError(f"return was {values.min()}", hint="compounding needs returns above -1")
    equity = np.append(0.0, np.cumsum(np.log1p(values) if compound else values))
    depth = (np.maximum.accumulate(equity) - equity)[1:]
    return np.asarray(-np.expm1(-depth) if compound else depth)


def maximum_drawdown(returns: npt.ArrayLike, *, compound: bool = False) -> float:
    """Largest of the :func:`drawdowns`.

    Examples
    --------
    >>> maximum_drawdown([0.5, -0.25, -0.25, 0.5])
    0.5
    """
    return float(drawdowns(returns, compound=compound).max())


def calmar_ratio(returns: npt.ArrayLike, periods_per_year: float, *, compound: bool = False) -> float:
    """Annual return over the largest drawdown; NaN without a drawdown.

    The annual return is ``mean(r) periods_per_year``; with ``compound``
    ``exp(mean(log(1 + r)) periods_per_year) - 1``.

    References
    ----------
    Young (1991), "Calmar ratio: a smoother tool", Futures 20.

    Examples
    --------
    >>> round(calmar_ratio([0.01, -0.02, 0.03], 250), 1)
    83.3
    """
    values = finite_vector(returns, "returns")
    in_range("periods_per_year", periods_per_year, 0)
    depth = maximum_drawdown(values, compound=compound)
    annual = (
        math.expm1(float(np.log1p(values).mean()) * periods_per_year)
        if compound
        else float(values.mean()) * periods_per_year
    )
    return annual / depth if depth > 0 else math.nan


def return_hit_rate(returns: npt.ArrayLike) -> float:
    """Share of periods that won among those that won or lost; NaN where none did.

    Examples
    --------
    >>> return_hit_rate([0.1, 0.0, -0.1, 0.2]) == 2 / 3
    True
    """
    values = finite_vector(returns, "returns")
    moved = int((values != 0).sum())
    return int((values > 0).sum()) / moved if moved else math.nan


def performance_metrics(
    returns: npt.ArrayLike,
    periods_per_year: float,
    *,
    overlap: int = 1,
    lags: int | None = None,
    replications: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Metric]:
    """Sharpe (plain, and corrected for serial correlation), Sortino, Calmar, drawdown and hit rate with intervals.

    Parameters
    ----------
    returns : array of float, shape (n,)
        Net returns on a constant notional, one a period, in time order, finite; at least 3.
    periods_per_year : float
        Of these periods.
    overlap : int, default 1
        Rows by which positions overlap, for the block length.
    lags : int, optional
        Autocorrelations that the corrected Sharpe ratio counts; by default
        :func:`~marketprism.evaluate.sharpe.newey_west_lags`.
    replications, level, seed
        Of the circular block bootstrap, whose plan all metrics share.

    Returns
    -------
    dict of Metric
        ``sharpe``, ``sharpe_serial``, ``sortino``, ``calmar``, ``max_drawdown`` and ``hit_rate``.

    Examples
    --------
    >>> found = performance_metrics(np.random.default_rng(0).normal(0.1, 1, 500), 250)
    >>> found["sharpe"].low < found["sharpe"].value < found["sharpe"].high
    True
    """
    values = finite_vector(returns, "returns", 3)
    in_range("periods_per_year", periods_per_year, 1e-300)
    n = values.size
    plan = plan_blocks(n, block_length(n, overlap), replications, seed)
    span = f"annualised by {periods_per_year:.0f} periods a year"
    count = min(newey_west_lags(n) if lags is None else lags, n - 1)
    return {
        "sharpe": _sharpe(values, periods_per_year, 0, plan, level, span),
        "sharpe_serial": _sharpe(
            values, periods_per_year, count, plan, level, f"{span}, {count} autocorrelations counted (Lo)"
        ),
        "sortino": _sortino(values, periods_per_year, plan, level, span),
        **_drawdown_metrics(values, periods_per_year, plan, level),
        "hit_rate": measured(
            np.column_stack((values > 0, values != 0)).astype(np.float64),
            lambda sums: sums[..., 0] / sums[..., 1],
            plan,
            level,
            null=None,
            note="share of periods that won",
        ),
    }


def _sharpe(values: _Floats, periods: float, lags: int, plan: BlockPlan, level: float, note: str) -> Metric:
    """Sharpe ratio from sums of returns, squares and lagged products (around the mean of the whole sample)."""
    n, centre = values.size, float(values.mean())
    z = values - centre
    columns = np.zeros((n, 2 + lags))
    columns[:, 0], columns[:, 1] = z, z * z
    for lag in range(1, lags + 1):
        columns[lag:, 1 + lag] = z[lag:] * z[:-lag]
    weight = np.array([annualisation_factor(np.eye(1, lags, k)[0], periods, taper=True) for k in range(lags)])
    # 1 / eta^2 is linear in the correlations: (1 + 2 sum w_k rho_k) / periods.
    weight = periods / weight**2 - 1.0

    def statistic(sums: _Floats) -> _Floats:
        shift = sums[..., 0] / n
        variance = sums[..., 1] / n - shift * shift
        products = sums[..., 2:] / n - (shift * shift)[..., None]
        total = variance + products @ weight if lags else variance
        safe = (variance > 1e-12 * centre * centre) & (total > 0)
        scale = np.sqrt(np.where(safe, total, 1.0) * n / (n - 1))
        return np.where(safe, math.sqrt(periods) * (centre + shift) / scale, np.nan)

    return measured(columns, statistic, plan, level, null=0.0, note=note)


def _sortino(values: _Floats, periods: float, plan: BlockPlan, level: float, note: str) -> Metric:
    n = values.size
    columns = np.column_stack((values, np.minimum(values, 0.0) ** 2))

    def statistic(sums: _Floats) -> _Floats:
        short = sums[..., 1] / n
        return np.where(short > 0, math.sqrt(periods) * sums[..., 0] / n / np.sqrt(np.maximum(short, 1e-300)), np.nan)

    return measured(columns, statistic, plan, level, null=0.0, note=note)


def _drawdown_metrics(values: _Floats, periods: float, plan: BlockPlan, level: float) -> dict[str, Metric]:
    n = values.size
    total, depth = _paths(values, plan.starts, plan.length)
    annual = total * (periods / n)
    with np.errstate(divide="ignore", invalid="ignore"):
        calmar = np.where(depth > 0, annual / depth, np.nan)
    notes = {"calmar": "annual return over the largest drawdown", "max_drawdown": "share of the notional"}
    found = {
        "calmar": (calmar_ratio(values, periods), calmar, 0.0),
        "max_drawdown": (maximum_drawdown(values), depth, None),
    }
    metrics = {}
    for name, (value, samples, null) in found.items():
        low, high = interval(value, samples, plan.blocks, level)
        few = "" if plan.blocks >= 20 else "few blocks, not evidence; "
        metrics[name] = Metric(
            value=value, low=low, high=high, n=n, blocks=plan.blocks, null=null, note=few + notes[name]
        )
    return metrics


@njit(cache=True)
def _paths(values: _Floats, starts: npt.NDArray[np.int32], length: int) -> tuple[_Floats, _Floats]:
    """Total return and largest drawdown of every replication."""
    n = values.size
    replications, blocks = starts.shape
    total, depth = np.zeros(replications), np.zeros(replications)
    for r in range(replications):
        equity, peak, worst, left = 0.0, 0.0, 0.0, n
        for j in range(blocks):
            at = starts[r, j]
            rows = min(length, left)
            left -= rows
            for _ in range(rows):
                equity += values[at]
                peak = max(peak, equity)
                worst = max(worst, peak - equity)
                at += 1
                if at == n:
                    at = 0
        total[r], depth[r] = equity, worst
    return total, depth
