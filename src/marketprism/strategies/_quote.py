"""Where a maker wants to quote: estimates, risk aversion, distances, and the ticks of every level."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from marketprism.backtest import _views as view
from marketprism.core.kernels import inner
from marketprism.strategies._flow import NEAREST
from marketprism.strategies._formulas import asymptotic, call_table, finite, interpolated, stationary

__all__ = ["equity", "estimate", "skew", "targets"]

_MOST_K = 10.0
_LEAST_K = 1e-3
_NS = 1e-9
_FAR = 1e9
_ROUNDING = 1e-9
_CHANGED = 0.01


@inner
def estimate(plan: Any, state: Any, flow: Any, now: int) -> None:
    """Take in what happened since the last wake, and set the k, rate and volatility in use."""
    warm = now - state.start_ts < plan.warmup
    if warm or plan.rolling:
        if not warm:
            keep = 0.5 ** (flow.seconds / plan.half_life)
            state.hits *= keep
            state.beyond *= keep
            state.seconds *= keep
            if flow.square_seconds > 0.0:
                keep = 0.5 ** (flow.square_seconds / plan.half_life)
                state.squares *= keep
                state.square_seconds *= keep
        state.hits += flow.hits
        state.beyond += flow.beyond
        state.seconds += flow.seconds
        state.squares += flow.square
        state.square_seconds += flow.square_seconds
    state.slow_squares += flow.square
    state.slow_seconds += flow.square_seconds
    state.k, state.rate, state.sigma = plan.k, plan.rate, plan.sigma
    if plan.k == 0.0 and state.hits > 0.0:
        # Depths beyond the nearest are geometric: their maximum likelihood.
        state.k = math.log1p(state.hits / state.beyond) if state.beyond > 0.0 else _MOST_K
        state.k = min(max(state.k, _LEAST_K), _MOST_K)
    if plan.rate == 0.0 and state.seconds > 0.0 and state.k > 0.0:
        state.rate = 0.5 * state.hits / state.seconds * math.exp(state.k * NEAREST)
    if plan.sigma == 0.0 and state.square_seconds > 0.0:
        state.sigma = math.sqrt(state.squares / state.square_seconds)


@inner
def equity(market: Any, account: Any, mid: float) -> float:
    """Return cash, position and fees at the mid, quote currency (base currency of an inverse contract)."""
    price = mid * market.tick_size
    if market.inverse:
        return float(account.cash - market.multiplier * account.position / price - account.fees)
    return float(account.cash + market.multiplier * account.position * price - account.fees)


@inner
def _aversion(plan: Any, state: Any, market: Any, account: Any, mid: float) -> float:
    """Factor on risk aversion: more after losses and while volatility is above its usual level."""
    factor = 1.0
    if plan.loss_scale > 0.0:
        worth = equity(market, account, mid)
        state.peak = max(state.peak, worth)
        factor += (state.peak - worth) / plan.loss_scale
    if plan.volatility_power > 0.0 and state.square_seconds > 0.0 and state.slow_squares > 0.0:
        fast = state.squares / state.square_seconds
        slow = state.slow_squares / state.slow_seconds
        factor *= (fast / slow) ** (0.5 * plan.volatility_power)
    return float(min(max(factor, 1.0 / plan.aversion_cap), plan.aversion_cap))


@inner
def skew(plan: Any, state: Any, flow: Any, values: np.ndarray, weights: np.ndarray, stats: np.ndarray) -> None:
    """Take in new rows of signals; each is standardised by the mean and variance of the rows before it."""
    for row in range(flow.signal_from, flow.signal_to):
        total = 0.0
        for i in range(plan.signals):
            value = values[row, i]
            if math.isnan(value):
                continue
            if plan.standardize:
                ready = state.signal_rows >= plan.signal_warmup and stats[1, i] > 0.0
                score = (value - stats[0, i]) / math.sqrt(stats[1, i]) if ready else 0.0
                keep = max(plan.signal_decay, 1.0 - 1.0 / (1.0 + stats[2, i]))
                away = value - stats[0, i]
                stats[0, i] += (1.0 - keep) * away
                stats[1, i] = keep * (stats[1, i] + (1.0 - keep) * away * away)
                stats[2, i] += 1.0
                value = score
            total += weights[i] * min(max(value, -plan.signal_clip), plan.signal_clip)
        state.signal_rows += 1
        state.skew = min(max(total, -plan.skew_limit), plan.skew_limit)


@inner
def _gamma(plan: Any, state: Any) -> float:
    """Return the risk aversion, where it is not given the one with which an order held moves the quotes as asked."""
    if not math.isnan(plan.gamma):
        return float(plan.gamma)
    shift = plan.skew_per_order / state.k
    variance = state.sigma * state.sigma
    if plan.kind == 1 and plan.horizon > 0.0:
        return float(2.0 * shift / (variance * plan.horizon))
    if plan.kind == 1:
        return float(2.0 / (shift * (plan.bound + 1.0) ** 2))
    return float(2.0 * shift * shift * state.k * state.rate / (variance * math.e))


@inner
def _distances(plan: Any, state: Any, q: float, now: int, table: np.ndarray) -> Any:
    """Distances of bid and ask from the mid by inventory, ticks."""
    if plan.kind == 0:
        shift = plan.inventory_skew * state.aversion * q
        return plan.half_spread + shift, plan.half_spread - shift
    state.gamma = _gamma(plan, state)
    gamma = state.gamma * state.aversion
    if plan.kind == 1 and plan.horizon > 0.0:
        remaining = plan.horizon - ((now - state.start_ts) * _NS) % plan.horizon
        return finite(q, gamma, state.sigma, state.k, remaining)
    if plan.kind == 1:
        return stationary(q, gamma, state.sigma, state.k, plan.bound)
    if plan.kind == 2:
        return asymptotic(q, gamma, state.sigma, state.k, state.rate)
    size = 2 * int(plan.bound)
    changed = max(
        abs(state.k / state.table_k - 1.0),
        abs(state.rate / state.table_rate - 1.0),
        abs(state.sigma / state.table_sigma - 1.0),
        abs(gamma / state.table_gamma - 1.0),
    )
    if not changed < _CHANGED:
        call_table(plan.table_function, (gamma, state.sigma, state.k, state.rate, table[:size]))
        state.table_k, state.table_rate = state.k, state.rate
        state.table_sigma, state.table_gamma = state.sigma, gamma
    return interpolated(q, table[:size])


@inner
def _best(plan: Any, market: Any, q: float) -> Any:
    """Ticks of the touch kinds: behind the best, or one inside the spread."""
    bid, ask = market.known_bid, market.known_ask
    if plan.kind == 4:
        return bid - int(plan.half_spread), ask + int(plan.half_spread)
    if ask - bid == 2:
        # There is room for one: the side that brings the position back.
        return (bid, ask - 1) if q > 0.0 else (bid + 1, ask)
    return (bid + 1, ask - 1) if ask - bid > 2 else (bid, ask)


@inner
def _sizes(plan: Any, lot: float, position: float, sizes: np.ndarray) -> None:
    """Quantities of one side's levels, ``position`` counted in its direction.

    No fill of all of them breaks the hard limit; beyond the soft one they shrink in proportion to what is left, or
    vanish.
    """
    scale = 1.0
    if plan.soft_position < plan.max_position and position > plan.soft_position:
        left = (plan.max_position - position) / (plan.max_position - plan.soft_position)
        scale = 0.0 if plan.one_sided else max(left, 0.0)
    room = plan.max_position - position
    for level in range(plan.levels):
        wanted = min(plan.quantity * scale, room)
        lots = math.floor(wanted / lot + 1e-6)
        sizes[level] = max(lots, 0) * lot
        room -= sizes[level]


@inner
def targets(
    e: Any,
    index: int,
    plan: Any,
    state: Any,
    account: Any,
    mid: float,
    table: np.ndarray,
    ticks: np.ndarray,
    sizes: Any,
) -> None:
    """Fill the ticks and sizes ``[side, level]`` of wanted quotes, buys first; a size of 0: none."""
    market, now = view.market(e, index), view.clock(e).now
    sizes[:] = 0.0
    state.aversion = _aversion(plan, state, market, account, mid)
    if now - state.start_ts < plan.warmup:
        return
    if 1 <= plan.kind <= 3 and not (state.k > 0.0 and state.sigma > 0.0 and (state.rate > 0.0 or plan.kind == 1)):
        return
    q = account.position / plan.quantity
    if plan.kind >= 4:
        bid, ask = _best(plan, market, q)
    else:
        below, above = _distances(plan, state, q, now, table)
        fair = mid + state.skew
        bid = math.floor(min(max(fair - below, -_FAR), _FAR) + _ROUNDING)
        ask = math.ceil(min(max(fair + above, -_FAR), _FAR) - _ROUNDING)
        bid = min(bid, market.known_ask - 1)
        ask = max(ask, market.known_bid + 1, bid + 1)
    state.quoted += 1
    _sizes(plan, market.lot_size, account.position, sizes[0])
    _sizes(plan, market.lot_size, -account.position, sizes[1])
    for level in range(plan.levels):
        ticks[0, level] = bid - level * plan.level_step
        ticks[1, level] = ask + level * plan.level_step
        for side in range(2):
            if not market.low <= ticks[side, level] < market.low + market.size:
                sizes[side, level] = 0.0
