"""Calibration of the agents' market: simulated moments are moved onto those of the source, a parameter each."""

from __future__ import annotations

import numpy as np

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

    Parameters
    ----------
    flow : OrderFlow
        A market.
    seed : int
        Of the calibrated market.
    rounds : int, default 12
        Simulations of twenty minutes, or of the length of the source where it is shorter.
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
    found = [Estimate(parameter, best[parameter], float("nan"), 0) for parameter in _MOVES.values()]
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
