"""Calibration of the agents' market: simulated moments are moved onto those of the source, a parameter each."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from scipy.linalg import hadamard

from marketprism.core.errors import ConfigError, DataError
from marketprism.simulate.agents import AgentMarket, AgentMarketConfig
from marketprism.simulate.calibrate_queues import Calibration, Estimate, feed_values
from marketprism.simulate.facts import mid_returns
from marketprism.simulate.flow import Order, OrderFlow, order_flow
from marketprism.simulate.recording import record_market

__all__ = ["agent_moments", "calibrate_agents"]

_NEAR = 20
_ROUNDS = 12
_RUN_S = 1200.0
_LIMITS = {
    "noise_market": (1e-3, 1e3),
    "noise_limit": (1e-2, 1e4),
    "noise_cancel": (1e-3, 1e2),
    "noise_distance": (1.0, 30.0),
    "news_ticks": (1e-2, 1e3),
    "maker_half_spread": (0.25, 200.0),
}
_MOVES = {
    "market orders a second": "noise_market",
    "limit orders a second": "noise_limit",
    "depth, orders": "noise_cancel",
    "distance, ticks": "noise_distance",
    "volatility, ticks": "news_ticks",
    "spread, ticks": "maker_half_spread",
}
_RISES = {"depth, orders": -1.0}
_STEP = 0.2
_DESIGN = (1, 2, 4, 8, 7, 11)
"""Columns of the Hadamard matrix of order 16 whose products in pairs are none of them."""
_PARTS, _SHORTEST_S, _FEWEST = 12, 30.0, 4
_WORST = 1e6


def agent_moments(flow: OrderFlow) -> dict[str, float]:
    """Return the moments that the agents' market is matched on.

    Returns
    -------
    dict of str to float
        Market and limit orders a second (within 20 ticks of the opposite quote); ``depth, orders``: resting within 20
        ticks, both sides, in mean market orders; ``distance, ticks``: mean distance of limit orders from the opposite
        quote; ``volatility, ticks``: standard deviation of 10 s mid returns; ``spread, ticks``: mean over time.
    """
    distance = flow.behind_opposite(flow.orders)
    near = (flow.orders["what"] == Order.LIMIT) & (distance >= 1) & (distance <= _NEAR)
    span, seconds = flow.span_s, flow.seconds
    spread = flow.quotes["ask"] - flow.quotes["bid"]
    returns = mid_returns(flow, 10.0)
    return {
        "market orders a second": len(flow.market_orders()) / span,
        "limit orders a second": near.sum() / span,
        "depth, orders": float(flow.exposure("opposite", _NEAR)[1].sum()) / span,
        "distance, ticks": float(distance[near].mean()) if near.any() else 1.0,
        "volatility, ticks": float(returns.std()) if len(returns) > 1 else 0.0,
        "spread, ticks": float((spread * seconds).sum() / span),
    }


def calibrate_agents(flow: OrderFlow, *, seed: int = 1, rounds: int = _ROUNDS) -> Calibration:
    """Calibrate the agents' market by the method of simulated moments.

    Noise traders' rates, cancellations and distances, the size of news and the makers' half-spread are moved, each by
    the ratio of one moment of the source to that of a simulation with a fixed seed, until they agree; the best round is
    kept. Numbers of agents and how they act stay at their defaults, without spoofers.

    Standard errors are those of the method of simulated moments, by the delta method: with ``J`` the elasticities of
    the moments to the parameters, ``Var(log theta) = J^-1 (V + S) J^-T``. ``V`` is the covariance of the source's
    logarithmic moments, from up to twelve parts of its time (of at least half a minute: dependence over longer times
    is not in it), ``S`` that of a simulation. ``J`` and ``S`` come from a regression over sixteen simulations around
    the estimate (a two-level design in which no two parameters' effects mix). NaN for a parameter at its limit, and
    for all where the source is shorter than two minutes. They measure chance alone: a parameter that the moments hardly
    tell (the makers' half-spread where others quote inside it) stays near its default, with a large error.

    Parameters
    ----------
    flow : OrderFlow
        A market.
    seed : int
        Of the calibrated market.
    rounds : int, default 12
        Simulations of twenty minutes, or of the length of the source where it is shorter.

    References
    ----------
    McFadden (1989), "A method of simulated moments for estimation of discrete response models without numerical
    integration", Econometrica 57(5); Duffie and Singleton (1993), Econometrica 61(4).
    """
    target = agent_moments(flow)
    start = AgentMarketConfig()
    # The calibration runs where prices have room; the price of the source comes at the end.
    base = start.replace(spoofers=0, seed=seed, duration_s=float(np.clip(flow.span_s, 60.0, _RUN_S)))
    values = {name: float(getattr(start, name)) for name in _LIMITS}
    best, least, reached = dict(values), np.inf, dict(target)
    for _ in range(rounds):
        ours = agent_moments(order_flow(record_market(AgentMarket(base.replace(**values)))))
        gaps = {name: np.log(max(target[name], 1e-9) / max(ours[name], 1e-9)) for name in target}
        miss = float(np.sqrt(np.mean(np.square(list(gaps.values())))))
        if miss < least:
            best, least, reached = dict(values), miss, ours
        for name, parameter in _MOVES.items():
            step = float(np.clip(0.7 * _RISES.get(name, 1.0) * gaps[name], -1.0, 1.0))
            low, high = _LIMITS[parameter]
            values[parameter] = float(np.clip(values[parameter] * np.exp(step), low, high))
    errors = _errors(flow, base, best)
    found = [Estimate(name, best[name], best[name] * errors[k], 0) for k, name in enumerate(_MOVES.values())]
    found += [Estimate(f"{name}: reached", reached[name], float("nan"), 0) for name in target]
    notes = [
        f"{name}: {reached[name]:.3g} against {target[name]:.3g} of the source"
        for name in target
        if abs(np.log(max(reached[name], 1e-9) / max(target[name], 1e-9))) > np.log(1.2)
    ]
    shared = feed_values(flow)
    lots = min(10 ** int(np.clip(np.ceil(np.log10(start.noise_lots / flow.unit)), 0, 8)), 10**8)
    config = AgentMarketConfig.from_mapping(
        {**base.to_mapping(), **best, **shared, "lots_per_unit": lots, "seed": seed}
    )
    return Calibration("agents", config, tuple(found), tuple(notes))


def _errors(flow: OrderFlow, base: AgentMarketConfig, best: dict[str, float]) -> np.ndarray:
    """Return the standard errors of the logarithmic parameters, in the order of ``_MOVES``."""
    names = list(_MOVES.values())
    nothing = np.full(len(names), np.nan)
    chance = _source_covariance(flow)
    if chance is None:
        return nothing
    design = hadamard(16)[:, list(_DESIGN)]
    steps, moments = [], []
    for n, signs in enumerate(design):
        moved = {
            name: float(np.clip(best[name] * np.exp(_STEP * sign), *_LIMITS[name]))
            for name, sign in zip(names, signs, strict=True)
        }
        try:
            seen = agent_moments(order_flow(record_market(AgentMarket(base.replace(**moved, seed=base.seed + 1 + n)))))
        except (ConfigError, DataError):  # a corner of the design that is no market
            continue
        steps.append([np.log(moved[name] / best[name]) for name in names])
        moments.append([np.log(max(seen[name], 1e-9)) for name in _MOVES])
    if len(steps) <= len(names) + 1:
        return nothing
    x, y = np.column_stack([np.ones(len(steps)), steps]), np.array(moments)
    fitted = np.linalg.lstsq(x, y, rcond=None)[0]
    elasticities = fitted[1:].T
    if not np.linalg.cond(elasticities) < _WORST:
        return nothing
    rest = y - x @ fitted
    inverse = np.linalg.inv(elasticities)
    variance = np.diag(inverse @ (chance + rest.T @ rest / (len(y) - x.shape[1])) @ inverse.T)
    limited = [not low * 1.001 < best[name] < high * 0.999 for name, (low, high) in _LIMITS.items()]
    return np.where(limited, np.nan, np.sqrt(variance))


def _source_covariance(flow: OrderFlow) -> np.ndarray | None:
    """Return the covariance of the logarithmic moments of a source, from parts of its time; None where it is short."""
    parts = min(_PARTS, int(flow.span_s // _SHORTEST_S))
    if parts < _FEWEST:
        return None
    edges = np.linspace(flow.quotes["ts"][0], flow.end_ns, parts + 1).astype(np.int64)
    records = flow.recording.records
    resting = np.array(
        [0.0, *(_resting(flow, int(np.searchsorted(records["ts"], edge, "right"))) for edge in edges[1:])]
    )
    rows = []
    for k, (start, end) in enumerate(itertools.pairwise(edges)):
        part = flow.between(int(start), int(end))
        if part.span_s <= 0:
            continue
        seen = agent_moments(part)
        seen["depth, orders"] = float(resting[k + 1] - resting[k]) / part.span_s
        seen["volatility, ticks"] **= 2
        rows.append(list(seen.values()))
    if len(rows) < _FEWEST or not np.mean(rows, axis=0).all():
        return None
    shares = np.array(rows) / np.mean(rows, axis=0) - 1
    shares[:, list(_MOVES).index("volatility, ticks")] /= 2
    return np.asarray(shares.T @ shares / (len(rows) * (len(rows) - 1)))


def _resting(flow: OrderFlow, until: int) -> float:
    """Return the order seconds that rested within reach in the first records."""
    recording = flow.recording._replace(records=flow.recording.records[:until])
    return float(replace(flow, recording=recording).exposure("opposite", _NEAR)[1].sum()) if until > 1 else 0.0
