"""How fast a signal dies: IC against delay, its half-life, and what latency leaves of a Sharpe ratio."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate.arrays import in_range
from marketprism.evaluate.bootstrap import block_length, plan_blocks
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.metrics import information_coefficient

__all__ = ["SignalDecay", "effective_sharpe", "fit_lifetime", "information_by_delay", "information_by_rows"]

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


class SignalDecay(NamedTuple):
    """IC at each delay.

    Attributes
    ----------
    delays : ndarray
        In the unit that was asked for (ns or rows).
    metrics : tuple of Metric
        IC with block-bootstrap interval, one a delay.
    """

    delays: _Floats
    metrics: tuple[Metric, ...]

    @property
    def values(self) -> _Floats:
        """IC at each delay."""
        return np.array([metric.value for metric in self.metrics])

    def lifetime(self) -> float:
        """Delay after which ``exp(-1)`` of the IC is left: the ``half_life`` that :func:`effective_sharpe` takes.

        Least squares on ``log(IC / IC_0)`` through the first delay, over the delays before the IC first drops below a
        tenth of it. Infinite where the IC does not fall, NaN with fewer than two usable delays or without an IC.
        """
        values, first = self.values, self.values[0] if self.metrics else math.nan
        if not abs(first) > 0:
            return math.nan
        ratio = values / first
        low = np.flatnonzero(~(ratio > 0.1))
        stop = int(low[0]) if low.size else values.size
        if stop < 2:
            return math.nan
        x, y = self.delays[1:stop] - self.delays[0], np.log(ratio[1:stop])
        slope = float(x @ y) / float(x @ x)
        return -1.0 / slope if slope < 0 else math.inf


def fit_lifetime(delays: npt.ArrayLike, values: npt.ArrayLike) -> _Floats:
    """Time in which a signal falls to ``1 / e``: least squares of ``a exp(-delay / lifetime)`` on ICs, a free.

    Unlike a line through logarithms it may see ICs of either sign, as noise gives them. The half-life is ``log(2)``
    times it.

    Parameters
    ----------
    delays : array of float, shape (d,)
        At least two, increasing from 0, in any unit.
    values : array of float, shape (..., d)
        IC at each delay; one curve or many.

    Returns
    -------
    ndarray of shape (...)
        In the unit of the delays: 0 where only the first IC differs from zero (below a tenth of the first delay after
        0), infinite where they do not fall (beyond 100 times the last delay), NaN where a value is NaN or all are 0.

    Raises
    ------
    DataError
        Fewer than two delays, or not increasing from 0.

    Examples
    --------
    >>> delays = np.array([0.0, 1.0, 2.0, 5.0])
    >>> float(fit_lifetime(delays, 0.1 * np.exp(-delays / 3)).round(3))
    3.0
    """
    x, y = np.asarray(delays, np.float64), np.asarray(values, np.float64)
    if x.ndim != 1 or x.size < 2 or x[0] != 0 or not (np.diff(x) > 0).all() or y.shape[-1:] != x.shape:
        raise DataError(
            f"delays were {x.tolist()}, values of shape {y.shape}", hint="give at least two delays, increasing from 0"
        )
    low, high = 0.1 * x[1], 100.0 * x[-1]
    curves = y.reshape(-1, x.size)
    grid = np.geomspace(low, high, 400)
    best = grid[np.argmax(_explained(curves, x, grid), axis=1)]
    for width in (0.03, 0.0005):
        step = np.linspace(1 - width, 1 + width, 81)
        near = best[:, None] * step
        best = near[np.arange(len(near)), np.argmax(_explained(curves, x, near), axis=1)]
    best = np.where(best <= 1.02 * low, 0.0, np.where(best >= 0.98 * high, np.inf, best))
    known = np.isfinite(curves).all(axis=1) & (curves != 0).any(axis=1)
    return np.asarray(np.where(known, best, np.nan).reshape(y.shape[:-1]))


def _explained(curves: _Floats, delays: _Floats, lifetimes: _Floats) -> _Floats:
    """Sum of squares that each exponential explains of each curve; lifetimes are shared, or one row a curve."""
    shape = np.exp(-delays / lifetimes[..., None])
    product = np.einsum("cd,gd->cg" if lifetimes.ndim == 1 else "cd,cgd->cg", np.nan_to_num(curves), shape)
    return np.asarray(product * product / (shape * shape).sum(axis=-1))


def effective_sharpe(sharpe: float, latency: float, half_life: float, complexity: float = 0.0) -> float:
    """Sharpe ratio that is left after latency decay, less a charge for complexity.

    ``sharpe exp(-latency / half_life) - .05 complexity``: ``half_life`` is the convention's name, but it is the time in
    which the signal falls to ``1 / e``.

    Parameters
    ----------
    sharpe : float
        Before latency.
    latency, half_life : float
        In one unit, such as milliseconds; latency at least 0, half_life above 0 (infinite: no decay).
    complexity : float, default 0
        Score of the model's complexity, at least 0.

    Examples
    --------
    >>> round(effective_sharpe(0.8, 1, 200, 1), 4), round(effective_sharpe(2.1, 250, 80, 15), 4)
    (0.746, -0.6577)
    """
    in_range("latency", latency, 0)
    in_range("half_life", half_life, 1e-300)
    in_range("complexity", complexity, 0)
    return sharpe * math.exp(-latency / half_life) - 0.05 * complexity


def information_by_rows(
    score: npt.ArrayLike,
    returns: npt.ArrayLike,
    delays: Sequence[int],
    *,
    series: npt.ArrayLike | None = None,
    overlap: int = 1,
    replications: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> SignalDecay:
    """IC of the score of ``delay`` rows ago with each row's forward return: what acting that late leaves.

    Parameters
    ----------
    score, returns : array of float, shape (n,)
        Per bucket, in order; pairs with NaN are left out.
    delays : sequence of int
        In rows, 0 or more.
    series : array of shape (n,), optional
        Number of the run (instrument and segment) of each row: delays never cross from one to another.
    overlap : int, default 1
        Rows by which labels overlap, for the block length.
    replications, level, seed
        Of the bootstrap.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=400)
    >>> decay = information_by_rows(x, x, [0, 1])
    >>> float(round(decay.values[0], 6)), bool(abs(decay.values[1]) < 0.2)
    (1.0, True)
    """
    x, y = _pair(score, returns)
    run = np.zeros(x.size, np.int64) if series is None else np.asarray(series)
    if run.shape != x.shape:
        raise DataError(f"series had shape {run.shape}, the score {x.shape}", hint="pass one number a row")
    metrics = []
    for delay in delays:
        in_range("delay", delay, 0, x.size - 1)
        early, late = slice(0, x.size - delay), slice(delay, x.size)
        same = run[early] == run[late]
        metrics.append(_metric(x[early][same], y[late][same], overlap, replications, level, seed))
    return SignalDecay(np.asarray(delays, np.float64), tuple(metrics))


def information_by_delay(
    score: npt.ArrayLike,
    known: npt.ArrayLike,
    price_ts: npt.ArrayLike,
    price: npt.ArrayLike,
    horizon_ns: int,
    delays_ns: Sequence[int],
    *,
    until: Literal["fixed_end", "fixed_length"] = "fixed_end",
    overlap: int = 1,
    replications: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> SignalDecay:
    """IC against delay on the clock: the return that is still to be had when the order arrives late.

    Parameters
    ----------
    score : array of float, shape (n,)
        Signal; NaN rows are left out.
    known : array of int, shape (n,)
        When each score was known, ns, non-decreasing.
    price_ts, price : arrays of shape (m,)
        Price path of ONE instrument without gaps: non-decreasing ns on the clock of ``known``, and prices above 0 (NaN
        where invalid). The price at t is the last one at or before t.
    horizon_ns : int
        Label horizon, above 0.
    delays_ns : sequence of int
        0 or more; with ``fixed_end`` below the horizon.
    until : {"fixed_end", "fixed_length"}
        Return from ``known + delay`` to ``known + horizon`` (what is left of the same move), or to
        ``known + delay + horizon`` (a whole horizon, later).
    overlap, replications, level, seed
        As in :func:`information_by_rows`.

    Returns
    -------
    SignalDecay
        Rows whose return would end after the last price are left out, the same rows at every delay.

    Raises
    ------
    DataError
        Shapes differ or times run backwards.
    ConfigError
        A delay or horizon is out of range.
    """
    x, times = np.asarray(score, np.float64), np.asarray(known, np.int64)
    clock, path = np.asarray(price_ts, np.int64), np.asarray(price, np.float64)
    if x.shape != times.shape or clock.shape != path.shape or x.ndim != 1 or clock.ndim != 1 or not clock.size:
        raise DataError(
            f"score had shape {x.shape}, known {times.shape}, price_ts {clock.shape}, price {path.shape}",
            hint="pass two vectors of one length, and two of another",
        )
    if (np.diff(clock) < 0).any() or (np.diff(times) < 0).any():
        raise DataError("times ran backwards", hint="sort by time first")
    if until not in {"fixed_end", "fixed_length"}:
        raise ConfigError(f"until was {until!r}", hint="expected 'fixed_end' or 'fixed_length'")
    fixed = until == "fixed_end"
    in_range("horizon_ns", horizon_ns, 1)
    most = horizon_ns + (0 if fixed else max(delays_ns, default=0))
    inside = (times + most <= clock[-1]) & (times >= clock[0]) & np.isfinite(x)
    x, times = x[inside], times[inside]

    def at(ts: _Ints) -> _Floats:
        found: _Floats = np.log(path[np.searchsorted(clock, ts, side="right") - 1])
        return found

    metrics = []
    for delay in delays_ns:
        in_range("delay", delay, 0, horizon_ns - 1 if fixed else math.inf)
        moves = at(times + horizon_ns + (0 if fixed else delay)) - at(times + delay)
        metrics.append(_metric(x, moves, overlap, replications, level, seed))
    return SignalDecay(np.asarray(delays_ns, np.float64), tuple(metrics))


def _pair(score: npt.ArrayLike, returns: npt.ArrayLike) -> tuple[_Floats, _Floats]:
    x, y = np.asarray(score, np.float64), np.asarray(returns, np.float64)
    if x.shape != y.shape or x.ndim != 1 or not x.size:
        raise DataError(f"score had shape {x.shape}, returns {y.shape}", hint="pass two vectors of one length")
    return x, y


def _metric(x: _Floats, y: _Floats, overlap: int, replications: int, level: float, seed: int) -> Metric:
    both = np.isfinite(x) & np.isfinite(y)
    n = int(both.sum())
    if n < 3:
        return Metric(value=math.nan, low=math.nan, high=math.nan, n=n, null=0.0, note=f"only {n} rows")
    plan = plan_blocks(n, block_length(n, overlap), replications, seed)
    return information_coefficient(x[both], y[both], plan, level)
