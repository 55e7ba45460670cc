"""The compiled loop of all built-in makers: accounts of different kinds in one replay."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from marketprism.backtest import _views as view
from marketprism.backtest.actions import advance, advance_to_feed
from marketprism.backtest.look import data_over
from marketprism.core.kernels import inner, kernel
from marketprism.strategies._flow import watch
from marketprism.strategies._orders import work
from marketprism.strategies._plan import MOST_LEVELS
from marketprism.strategies._quote import estimate, skew, targets

__all__ = ["drive", "measure"]

_LEVELS = MOST_LEVELS
_DAY = 86_400_000_000_000
_SAMPLE = 1_000_000_000


@inner
def _next(e: Any, interval: int) -> int:
    return int(advance(e, interval) if interval > 0 else advance_to_feed(e, _DAY))


@inner
def _act(
    e: Any,
    lane: int,
    index: int,
    mid: float,
    plan: Any,
    state: Any,
    flow: Any,
    table: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    stats: np.ndarray,
    ticks: np.ndarray,
    sizes: np.ndarray,
    scratch: np.ndarray,
) -> None:
    """Let one account decide."""
    now = view.clock(e).now
    if state.start_ts == 0:
        state.start_ts = now
    estimate(plan, state, flow, now)
    if plan.signals > 0:
        skew(plan, state, flow, values, weights, stats)
    if math.isnan(mid):
        sizes[:] = 0.0
    else:
        account = view.account(e, index * view.clock(e).lanes + lane)
        targets(e, index, plan, state, account, mid, table, ticks, sizes)
    work(e, lane, index, plan, state, ticks, sizes, scratch)


@kernel
def drive(
    e: Any,
    interval: int,
    plans: np.ndarray,
    states: np.ndarray,
    flows: np.ndarray,
    tables: np.ndarray,
    signal_ts: np.ndarray,
    signal_values: np.ndarray,
    weights: np.ndarray,
    stats: np.ndarray,
) -> int:
    """Run every account's plan until the data are over; 0 nanoseconds of interval: at every feed event.

    All it remembers is in the arrays, one row an account (``flows``: a market), so that it goes on where it stopped.
    """
    ticks = np.zeros((2, _LEVELS), np.int64)
    sizes = np.zeros((2, _LEVELS))
    scratch = np.zeros((4, _LEVELS), np.int64)
    histogram = np.zeros(1, np.int64)
    lanes, markets = view.clock(e).lanes, view.clock(e).markets
    while True:
        code = _next(e, interval)
        if code != 1:
            return int(code)
        if data_over(e):
            continue
        for index in range(markets):
            flow = flows[index]
            mid = watch(e, index, flow, _SAMPLE, signal_ts, histogram)
            for lane in range(lanes):
                which = index * lanes + lane
                _act(
                    e,
                    lane,
                    index,
                    mid,
                    plans[which],
                    states[which],
                    flow,
                    tables[which],
                    signal_values,
                    weights[which],
                    stats[which],
                    ticks,
                    sizes,
                    scratch,
                )


@kernel
def measure(e: Any, interval: int, until: int, sample_ns: int, flow: Any, totals: np.ndarray, histogram: Any) -> int:
    """Replay without orders up to ``until``; add up market orders, their depths and the moves of the mid.

    ``totals``: market orders, ticks beyond the nearest depth, seconds, squares of moves, their seconds and number.
    """
    nothing = np.zeros(0, np.int64)
    while True:
        code = _next(e, interval)
        if code != 1:
            return int(code)
        if view.clock(e).now > until:
            return 0
        watch(e, 0, flow, sample_ns, nothing, histogram)
        totals[0] += flow.hits
        totals[1] += flow.beyond
        totals[2] += flow.seconds
        totals[3] += flow.square
        totals[4] += flow.square_seconds
        totals[5] += flow.square_seconds > 0.0
