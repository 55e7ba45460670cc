"""Calibration of the Hawkes order book: maximum likelihood of its order flow, with standard errors."""

from __future__ import annotations

import numpy as np

from marketprism.core.errors import DataError
from marketprism.core.timebase import NS
from marketprism.simulate.calibrate_queues import Calibration, Estimate, feed_values, queue_rates
from marketprism.simulate.flow import Order, OrderFlow
from marketprism.simulate.hawkes import HawkesEvents, HawkesParameters, residual_test
from marketprism.simulate.hawkes_fit import fit_hawkes
from marketprism.simulate.hawkes_kernel import likelihood
from marketprism.simulate.hawkes_market import FLOW_TYPES, HawkesMarketConfig

__all__ = ["calibrate_hawkes", "flow_events", "hawkes_errors"]

_MOST_EVENTS = 150_000
_STEP = 1e-4


def flow_events(flow: OrderFlow, depth: int = 20, most: int | None = None, states: int = 1) -> HawkesEvents:
    """Return market and limit orders as events of the four types of ``FLOW_TYPES``.

    Limit orders further than ``depth`` ticks from the opposite quote are left out; after ``most`` events (150,000 by
    default) it ends. Orders at one time are told apart by up to a microsecond, in order, since the process has no
    simultaneous events. The state that an order leaves is the imbalance of the best queues, in ``states`` equal parts
    from ask-heavy to bid-heavy, as :class:`~marketprism.simulate.HawkesMarketConfig` has it.
    """
    most = _MOST_EVENTS if most is None else most
    orders = flow.orders
    distance = flow.behind_opposite(orders)
    market = orders["what"] == Order.MARKET
    chosen = market | ((orders["what"] == Order.LIMIT) & (distance >= 1) & (distance <= depth))
    own = orders[chosen][:most]
    start = int(flow.recording.records["ts"][0])
    whole = chosen.sum() <= most
    end = int(flow.recording.records["ts"][-1]) if whole else int(own["ts"][-1])
    # A market order on the asks buys; a limit order on the bids is a bid.
    buys = np.where(own["what"] == Order.MARKET, own["side"] < 0, own["side"] > 0)
    types = np.where(own["what"] == Order.MARKET, 0, 2) + np.where(buys, 0, 1)
    times = _apart((own["ts"] - start) / NS)
    quotes = flow.quotes
    both = quotes["bid_quantity"] + quotes["ask_quantity"]
    share = np.divide(quotes["bid_quantity"], both, out=np.full(len(quotes), 0.5), where=both > 0)
    state = np.minimum((states * share).astype(np.int64), states - 1)
    left = state[np.maximum(np.searchsorted(quotes["ts"], own["ts"], "right") - 1, 0)]
    return HawkesEvents(times, types, left, max((end - start) / NS, float(times[-1])), int(state[0]))


def _apart(times: np.ndarray) -> np.ndarray:
    """Spread equal times over a microsecond."""
    first = np.searchsorted(times, times, "left")
    many = np.searchsorted(times, times, "right") - first
    return np.maximum.accumulate(times + 1e-6 * (np.arange(len(times)) - first) / many)


def hawkes_errors(parameters: HawkesParameters, events: HawkesEvents) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return standard errors of base, impact and decay from the inverse of the observed information.

    The Hessian is the central difference of the exact gradient in the logarithms. NaN where the likelihood is flat:
    an impact at zero leaves its decay undetermined.

    Returns
    -------
    tuple of ndarray
        Shapes (types,), (pairs, types), (pairs, types), as :meth:`HawkesParameters.pairs`.
    """
    events = events.checked(parameters.types, parameters.states)
    base, impact, decay = parameters.pairs()
    pair = events.types * parameters.states + events.states
    errors = np.empty_like(base), np.empty_like(impact), np.empty_like(decay)
    for e in range(parameters.types):
        values = np.concatenate([[base[e]], impact[:, e], decay[:, e]])
        # What stands at its lower bound is held there.
        free = np.flatnonzero(np.concatenate([[True], *[impact[:, e] / decay[:, e] > 1e-4] * 2]))
        spread = np.full(len(values), np.nan)
        hessian = np.empty((len(free), len(free)))
        for row, k in enumerate(free):
            slopes = []
            for sign in (1, -1):
                moved = values.copy()
                moved[k] *= np.exp(sign * _STEP)
                slopes.append(_log_gradient(moved, events, pair, e)[free])
            hessian[row] = (slopes[0] - slopes[1]) / (2 * _STEP)
        information = -0.5 * (hessian + hessian.T)
        variance = np.diag(np.linalg.pinv(information))
        spread[free] = values[free] * np.sqrt(np.where(variance > 0, variance, np.nan))
        pairs = len(impact)
        errors[0][e], errors[1][:, e], errors[2][:, e] = spread[0], spread[1 : 1 + pairs], spread[1 + pairs :]
    return errors


def _log_gradient(values: np.ndarray, events: HawkesEvents, pair: np.ndarray, e: int) -> np.ndarray:
    pairs = (len(values) - 1) // 2
    gradient = np.empty(len(values))
    likelihood(
        float(values[0]), values[1 : 1 + pairs].copy(), values[1 + pairs :].copy(), events.times, pair,
        events.types == e, events.horizon, gradient,
    )  # fmt: skip
    return np.asarray(gradient * values)


def calibrate_hawkes(flow: OrderFlow, *, seed: int = 1, depth: int = 20, states: int = 1) -> Calibration:
    """Calibrate the Hawkes order book.

    Rates of market and limit orders and how they excite each other by maximum likelihood; where limit orders go and
    how fast each is cancelled as for the Cont-Stoikov-Talreja book.

    Parameters
    ----------
    flow : OrderFlow
        A market.
    seed : int
        Of the calibrated market.
    depth : int
        Farthest limit orders, ticks from the opposite quote.
    states : int, default 1
        With more than one, jumps and decays depend on the imbalance that an order leaves, in so many parts.
    """
    events = flow_events(flow, depth, states=states)
    counts = np.bincount(events.types, minlength=len(FLOW_TYPES))
    if counts.min() < 10:
        raise DataError(
            f"orders by type were {dict(zip(FLOW_TYPES, counts.tolist(), strict=True))}",
            hint="each type needs orders: give more data",
        )
    fit = fit_hawkes(events, len(FLOW_TYPES), states, starts=1, seed=seed)
    parameters = fit.parameters
    errors = hawkes_errors(parameters, events)
    found = []
    pairs = [f"{kind} at {x + 1}" if states > 1 else kind for kind in FLOW_TYPES for x in range(states)]
    for name, values, error in zip(("base", "impact", "decay"), parameters.pairs(), errors, strict=True):
        for place, value in np.ndenumerate(values):
            words = [pairs[k] for k in place[:-1]] + [FLOW_TYPES[place[-1]]]
            count = int(counts[place[-1]])
            found.append(Estimate(f"{name}[{' to '.join(words)}]", float(value), float(error[place]), count))
    notes = []
    if not fit.converged:
        notes.append("the optimiser did not converge for every type of order")
    rejected = [FLOW_TYPES[k] for k, p in enumerate(residual_test(parameters, events).p_values) if p < 0.01]
    if rejected:
        notes.append(f"residuals are not Exp(1) at 1 % for {', '.join(rejected)}: the flow has more memory than this")
    if len(events.times) == _MOST_EVENTS:
        notes.append(f"fitted to the first {_MOST_EVENTS:,} orders")
    rates, _, more = queue_rates(flow, depth)
    shared = {**feed_values(flow, 10 * depth), "seed": seed, "depth": depth, "order_lots": 1.0}
    config = HawkesMarketConfig.from_mapping({**shared, "flow": parameters.to_mapping(), "rates": rates.to_mapping()})
    return Calibration("hawkes", config, tuple(found), (*notes, *more))
