"""Depth: imbalances, cumulative size, slope, centroid and the cost of walking the book, at the close."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from marketprism.book.views import ViewStatus
from marketprism.factors._depth_factors import PER_LEVELS, DepthParams, depth_factors, usable_levels
from marketprism.factors.base import Family, Setup
from marketprism.factors.marks import AFTER, BEFORE, DEPTH, RESET, TRADE
from marketprism.factors.windows import LOG_TWO

__all__ = ["FAMILY"]

_STATE = np.dtype(
    [
        ("valid", np.int64),
        ("changed", np.int64),
        ("time", np.int64),
        ("first_time", np.int64),
        ("trades", np.int64),
        ("trade_size", np.float64),  # decaying sum of sizes
        ("trade_weight", np.float64),
        ("trade_left", np.float64),  # what one trade leaves of the sum
        ("least_trades", np.int64),
    ]
)
_DEPTH_VALID = int(ViewStatus.DEPTH_VALID)
_NOW, _FIRST, _SUM, _TIME = range(4)


def _state(setup: Setup) -> dict[str, np.ndarray]:
    p = setup.params
    levels = usable_levels(setup)
    state = np.zeros(1, _STATE)
    state["trade_left"] = math.exp(-LOG_TWO / p.trade_half_life)
    state["least_trades"] = p.least_trades
    means = np.zeros((4, len(levels)))
    means[:2] = np.nan
    return {
        "state": state,
        "levels": np.array(levels, np.int64),
        "multiples": np.array(p.sweep_multiples, np.float64),
        "weights": np.exp(-p.level_decay * np.arange(max(levels, default=1))),
        "means": means,
    }


@njit(cache=True, error_model="numpy")
def _imbalances(quantity, levels, out):  # type: ignore[no-untyped-def]
    """Write the volume imbalance over each number of levels, NaN where a level is missing."""
    out[:] = np.nan
    bid = ask = 0.0
    done = 0
    for j in range(len(levels)):
        for l in range(done, levels[j]):
            if quantity[0, l] <= 0 or quantity[1, l] <= 0:
                return
            bid += quantity[0, l]
            ask += quantity[1, l]
        done = levels[j]
        out[j] = (bid - ask) / (bid + ask)


@njit(cache=True, error_model="numpy")
def _change(s, view, quantity, time, levels, means):  # type: ignore[no-untyped-def]
    if not s.changed:
        s.changed, s.first_time = 1, time
        means[_FIRST] = means[_NOW]
    else:
        held = float(time - s.time)
        for j in range(len(levels)):
            if not np.isnan(means[_NOW, j]):
                means[_SUM, j] += means[_NOW, j] * held
                means[_TIME, j] += held
    s.time = time
    s.valid = 1 if view.status & _DEPTH_VALID else 0
    if s.valid:
        _imbalances(quantity, levels, means[_NOW])
    else:
        means[_NOW] = np.nan


@njit(cache=True, error_model="numpy")
def _mean(s, bucket, means, j):  # type: ignore[no-untyped-def]
    total, time = means[_SUM, j], means[_TIME, j]
    now, first = means[_NOW, j], means[_FIRST, j]
    if not np.isnan(now):
        held = max(float(bucket.ts_end - (s.time if s.changed else bucket.ts_start)), 0.0)
        total += now * held
        time += held
    if s.changed and not np.isnan(first):
        held = max(float(s.first_time - bucket.ts_start), 0.0)
        total += first * held
        time += held
    return total / time if time > 0 else now


@njit(cache=True, error_model="numpy")
def _shape(price, quantity, n, weights, out):  # type: ignore[no-untyped-def]
    """Write the per-levels columns but the means; every level to ``n`` is there on both sides."""
    twice_mid = price[0, 0] + price[1, 0]
    sums = np.zeros((2, 7))
    for side in range(2):
        x = sums[side]
        for l in range(n):
            q = quantity[side, l]
            d = 0.5 * abs(2 * price[side, l] - twice_mid)  # ticks from the mid
            x[0] += q
            x[1] += q * weights[l]
            x[2] += q / d
            x[3] += d * x[0]
            x[4] += d * d
            x[5] += q * d
        x[6] = x[5] / x[0]
    bid, ask = sums[0], sums[1]
    out[0] = (bid[0] - ask[0]) / (bid[0] + ask[0])
    out[2] = (bid[1] - ask[1]) / (bid[1] + ask[1])
    if price[0, 0] != price[1, 0]:  # locked: the best level has no distance
        out[3] = (bid[2] - ask[2]) / (bid[2] + ask[2])
    out[4], out[5] = bid[0], ask[0]
    out[6], out[7] = bid[3] / bid[4], ask[3] / ask[4]
    out[8], out[9] = bid[6], ask[6]
    out[10] = math.log(bid[0] / ask[0])


@njit(cache=True, error_model="numpy")
def _sweep(price, quantity, side, size):  # type: ignore[no-untyped-def]
    """Return the cost in bps of the mid of taking ``size`` from one side, NaN if the visible levels hold less."""
    twice_mid = price[0, 0] + price[1, 0]
    left, cost = size, 0.0
    for l in range(quantity.shape[1]):
        if quantity[side, l] <= 0:
            break
        taken = min(left, quantity[side, l])
        cost += taken * abs(2 * price[side, l] - twice_mid)
        left -= taken
        if left <= 0:
            return 1e4 * cost / (size * twice_mid)
    return np.nan


@njit(cache=True, error_model="numpy")
def _emit(s, bucket, price, quantity, levels, multiples, weights, means, out):  # type: ignore[no-untyped-def]
    out[:] = np.nan
    for j in range(len(levels)):
        at = j * PER_LEVELS
        out[at + 1] = _mean(s, bucket, means, j)
        if s.valid and not np.isnan(means[_NOW, j]):
            _shape(price, quantity, levels[j], weights, out[at : at + PER_LEVELS])
    s.changed = 0
    means[_SUM:] = 0.0
    if not s.valid or s.trades < s.least_trades:
        return
    at = PER_LEVELS * len(levels)
    size = s.trade_size / s.trade_weight
    for multiple in multiples:
        buy = _sweep(price, quantity, 1, multiple * size)
        sell = _sweep(price, quantity, 0, multiple * size)
        out[at], out[at + 1], out[at + 2] = buy, sell, buy - sell
        at += 3


@njit(cache=True)
def _reset(s, means):  # type: ignore[no-untyped-def]
    s.changed = s.trades = 0
    s.trade_size = s.trade_weight = 0.0
    means[_SUM:] = 0.0


@njit(cache=True)
def _kernel(  # type: ignore[no-untyped-def]
    rows, top, depth_price, depth_quantity, marks, clock, buckets, state, levels, multiples, weights, means, out
):  # fmt: skip
    s = state[0]
    k = 0
    for i in range(len(marks)):
        mark = marks[i]
        if mark & (BEFORE | AFTER | RESET | DEPTH | TRADE) == 0:
            continue
        if mark & BEFORE:
            now = top[i - 1].depth if i > 0 else 0  # record 0 is the one in force before the block
            _emit(s, buckets[k], depth_price[now], depth_quantity[now], levels, multiples, weights, means, out[k])
            k += 1
        if mark & RESET:
            _reset(s, means)
        if mark & TRADE:
            s.trade_size = s.trade_size * s.trade_left + rows[i].quantity
            s.trade_weight = s.trade_weight * s.trade_left + 1.0
            s.trades += 1
        if mark & DEPTH:
            _change(s, top[i], depth_quantity[top[i].depth], clock[i], levels, means)
        if mark & AFTER:
            now = top[i].depth
            _emit(s, buckets[k], depth_price[now], depth_quantity[now], levels, multiples, weights, means, out[k])
            k += 1


FAMILY = Family(
    name="depth", factors=depth_factors, state=_state, kernel=_kernel, wants=DEPTH | TRADE, params=DepthParams
)
