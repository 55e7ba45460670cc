"""Rates of the queue models, read off order flow: volumes in units over time, with standard errors.

A rate is ``sum(v) / T``, v the volumes of the orders in units of a mean market order and T the time (or unit time) in
which they could come; its standard error ``sqrt(sum(v^2)) / T`` is exact for compound Poisson arrivals.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from marketprism.core.errors import DataError
from marketprism.simulate.config import FlowConfig, MarketConfig
from marketprism.simulate.cst import QueueRates
from marketprism.simulate.feed import FeedConfig
from marketprism.simulate.flow import Order, OrderFlow
from marketprism.simulate.imbalance_reactive import ImbalanceRates, ImbalanceReactiveConfig
from marketprism.simulate.queue_race import QueueRaceConfig

__all__ = [
    "Calibration",
    "Estimate",
    "calibrate_cont_de_larrard",
    "calibrate_cst",
    "calibrate_imbalance_reactive",
    "feed_values",
    "queue_rates",
    "rate_table",
]

_DEPTH = 20
_FIRST_LEVELS = 5
_SPREADS, _IMBALANCES = 3, 5
_SELDOM_S = 1.0


class Estimate(NamedTuple):
    """One calibrated parameter: name, value and standard error in its own unit, and the orders behind it.

    The standard error is NaN where the value was not estimated but matched or set.
    """

    name: str
    value: float
    error: float
    orders: int


class Calibration(NamedTuple):
    """A generator calibrated on a market.

    Attributes
    ----------
    model : str
        Name of the generator.
    config : FeedConfig
        Its configuration: ready to stream.
    estimates : tuple of Estimate
        What was estimated.
    notes : tuple of str
        What a reader should know: parameters set for want of data, doubts.
    """

    model: str
    config: FeedConfig
    estimates: tuple[Estimate, ...]
    notes: tuple[str, ...] = ()


def feed_values(flow: OrderFlow, ticks: int = 400) -> dict[str, Any]:
    """Return what the calibrated market shares with the source: tick, price, size of an order, length.

    The price is raised to ``ticks`` ticks where it is lower; the lot is the power of ten next to a mean market order.
    """
    tick = flow.recording.tick_size
    bid = int(flow.quotes["bid"][flow.valid][0])
    power = int(np.clip(round(-np.log10(flow.unit)), 0, 8))
    return {
        "tick_size": str(tick),
        "initial_price": str(max(bid, ticks) * tick),
        "lots_per_unit": 10**power,
        "duration_s": flow.span_s,
    }


def rate_table(
    flow: OrderFlow, orders: np.ndarray, cells: np.ndarray, exposure: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rates, standard errors and counts by cell; NaN where there was no exposure.

    Parameters
    ----------
    flow : OrderFlow
        Gives the unit.
    orders : ndarray of FLOW_DTYPE, shape (n,)
        Orders.
    cells : int ndarray, shape (n,)
        Flat index of each order's cell; negative: left out.
    exposure : float ndarray
        Seconds, or unit seconds, of each cell.
    """
    own = cells >= 0
    volume = orders["quantity"][own] / flow.unit
    sums, squares, counts = (
        np.bincount(cells[own], weights, exposure.size).reshape(exposure.shape)
        for weights in (volume, volume**2, np.ones_like(volume))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        blank = np.where(exposure > 0, 1.0, np.nan)
        return sums / exposure * blank, np.sqrt(squares) / exposure * blank, counts.astype(np.int64)


def _within(orders: np.ndarray, what: Order, place: np.ndarray, top: int) -> np.ndarray:
    """Cells of orders of one kind whose 0-based place lies in [0, top); -1 for the others."""
    return np.where((orders["what"] == what) & (place >= 0) & (place < top), place, -1)


def _estimates(name: str, rates: np.ndarray, errors: np.ndarray, counts: np.ndarray) -> list[Estimate]:
    # Places count from 1: distances, spreads and imbalances do.
    return [
        Estimate(
            f"{name}[{', '.join(str(k + 1) for k in place)}]", float(rate), float(errors[place]), int(counts[place])
        )
        for place, rate in np.ndenumerate(rates)
    ]


def queue_rates(flow: OrderFlow, depth: int = _DEPTH) -> tuple[QueueRates, list[Estimate], list[str]]:
    """Estimate the rates of the Cont-Stoikov-Talreja book by distance from the opposite best quote.

    Arrivals and market orders a second and side, cancellations a second of each order (unit) at a distance. Beyond
    five ticks arrivals follow a power law, fitted by weighted least squares on logarithms.
    """
    orders, span = flow.orders, flow.span_s
    place = flow.behind_opposite(orders) - 1
    _, units = flow.exposure("opposite", depth)
    seconds = np.full(depth, 2 * span)
    limit = rate_table(flow, orders, _within(orders, Order.LIMIT, place, depth), seconds)
    cancel = rate_table(flow, orders, _within(orders, Order.CANCEL, place, depth), units)
    market = rate_table(flow, orders, np.where(orders["what"] == Order.MARKET, 0, -1), np.array([2 * span]))
    notes = []
    floor = 0.5 / (2 * span)
    unseen = int((limit[2] == 0).sum())
    if unseen:
        notes.append(f"{unseen} of {depth} distances saw no limit order: half an order in the span stands for them")
    first = min(_FIRST_LEVELS, depth)
    scale, exponent = _power_law(np.arange(first + 1, depth + 1), limit[0][first:], limit[2][first:], floor)
    fallback = np.nansum(cancel[0] * units) / max(units.sum(), 1e-12)
    leaving = np.where(np.isfinite(cancel[0]) & (cancel[0] > 0), cancel[0], max(fallback, floor))
    rates = QueueRates(
        limit=tuple(np.maximum(limit[0][:first], floor).tolist()),
        cancel=tuple(leaving.tolist()),
        market=float(market[0][0]),
        tail_scale=scale,
        tail_exponent=exponent,
    )
    found = [Estimate("market", float(market[0][0]), float(market[1][0]), int(market[2][0]))]
    return rates, found + _estimates("limit", *limit) + _estimates("cancel", *cancel), notes


def _power_law(distance: np.ndarray, rate: np.ndarray, count: np.ndarray, floor: float) -> tuple[float, float]:
    """Return scale and exponent of ``scale / distance ** exponent``."""
    seen = rate > 0
    if seen.sum() < 2:
        return max(float(rate.sum()) / max(len(rate), 1), floor), 0.0
    slope, level = np.polyfit(np.log(distance[seen]), np.log(rate[seen]), 1, w=np.sqrt(count[seen]))
    return float(np.exp(level)), float(-slope)


def calibrate_cst(flow: OrderFlow, *, seed: int = 1, depth: int = _DEPTH) -> Calibration:
    """Calibrate the Cont-Stoikov-Talreja book: rates by distance, independent flow, unit orders."""
    rates, found, notes = queue_rates(flow, depth)
    config = MarketConfig.from_mapping(
        {
            **feed_values(flow, 10 * depth),
            "seed": seed,
            "depth": depth,
            "rates": rates.to_mapping(),
            "flow": FlowConfig.independent().to_mapping(),
        }
    )
    return Calibration("cst", config, tuple(found), tuple(notes))


def calibrate_cont_de_larrard(flow: OrderFlow, *, seed: int = 1) -> Calibration:
    """Calibrate the race of the two best queues, on the time at which they stand one tick apart.

    Rates of the best queues, and the mean queues just after a price change.
    """
    orders, quotes, seconds = flow.orders, flow.quotes, flow.seconds
    one = flow.valid & (quotes["ask"] - quotes["bid"] == 1)
    time = float(seconds[one].sum())
    notes = []
    if time < max(_SELDOM_S, 0.01 * flow.span_s):
        raise DataError(
            f"{flow.recording.key or 'the market'} had a spread of one tick for {time:.1f} of {flow.span_s:.0f} s",
            hint="the queue race has no wider spread: use another model",
        )
    if time < 0.5 * flow.span_s:
        notes.append(f"the spread was one tick for {time / flow.span_s:.0%} of the time, and the model's always is")
    best = np.where(orders["side"] > 0, orders["bid"], orders["ask"])
    at_best = (orders["tick"] == best) | (orders["what"] == Order.MARKET)
    close = (orders["ask"] - orders["bid"] == 1) & (orders["bid"] >= 0) & at_best
    found, values = [], {}
    for what, name in ((Order.LIMIT, "limit"), (Order.MARKET, "market"), (Order.CANCEL, "cancel")):
        cells = np.where(close & (orders["what"] == what), 0, -1)
        rate, error, count = rate_table(flow, orders, cells, np.array([2 * time]))
        found.append(Estimate(name, float(rate[0]), float(error[0]), int(count[0])))
        values[name] = max(float(rate[0]), 1e-6)
    still = quotes[one]
    moved = np.flatnonzero(np.diff(still["bid"]) != 0) + 1
    if not moved.size:
        raise DataError(f"the price of {flow.recording.key or 'the market'} never moved", hint="give more data")
    up = still["bid"][moved] > still["bid"][moved - 1]
    bid, ask = (np.ceil(still[name][moved] / flow.unit - 1e-6) for name in ("bid_quantity", "ask_quantity"))
    for name, queue in (("advancing_mean", np.where(up, bid, ask)), ("retreating_mean", np.where(up, ask, bid))):
        values[name] = max(1.0, float(queue.mean()))
        found.append(Estimate(name, values[name], float(queue.std() / np.sqrt(len(queue))), len(queue)))
    if values["limit"] > 1.1 * (values["market"] + values["cancel"]):
        notes.append("arrivals outrun removals at the best quotes: simulated queues grow, and prices may stop moving")
    config = QueueRaceConfig.from_mapping({**feed_values(flow), "seed": seed, **values})
    return Calibration("cont_de_larrard", config, tuple(found), tuple(notes))


def calibrate_imbalance_reactive(flow: OrderFlow, *, seed: int = 1, depth: int = 10) -> Calibration:
    """Calibrate rates by spread (1, 2, 3 and more ticks) and by the imbalance of the best queues (five parts).

    A cell that was not seen for a second takes the rate of its spread, or of the whole sample.
    """
    quotes, seconds, orders = flow.quotes, flow.seconds, flow.orders
    exposure, unit_exposure = np.zeros((_SPREADS, _IMBALANCES)), np.zeros((_SPREADS, _IMBALANCES))
    for side in (1, -1):
        cells, own = _imbalance_cells(quotes, np.full(len(quotes), side))
        there = (seconds > 0) & (cells >= 0)
        for target, weight in ((exposure, seconds), (unit_exposure, seconds * own / flow.unit)):
            target += np.bincount(cells[there], weight[there], target.size).reshape(target.shape)
    cells, _ = _imbalance_cells(orders, orders["side"])
    best = np.where(orders["side"] > 0, orders["bid"], orders["ask"])
    ahead = orders["side"] * (orders["tick"] - best)
    what = orders["what"]
    wide = np.where(np.arange(_SPREADS)[:, None] == 0, 0.0, exposure)
    parts = {
        "market": (what == Order.MARKET, exposure),
        "join": ((what == Order.LIMIT) & (ahead == 0), exposure),
        "improve": ((what == Order.LIMIT) & (ahead > 0), wide),
        "cancel": ((what == Order.CANCEL) & (ahead == 0), unit_exposure),
    }
    found, notes = [], []
    values: dict[str, Any] = {}
    for name, (chosen, time) in parts.items():
        table = rate_table(flow, orders, np.where(chosen, cells, -1), time)
        found += _estimates(name, *table)
        values[name] = _filled(table[0], time, exposure, name == "join")
    rare = int((exposure < _SELDOM_S).sum())
    if rare:
        notes.append(f"{rare} of {exposure.size} cells were seen for less than a second: they take a wider mean")
    deep = (ahead < 0) & (ahead >= 1 - depth)
    _, units = flow.exposure("behind", depth - 1)
    for name, kind, total in (
        ("deep_limit", Order.LIMIT, 2 * flow.span_s * (depth - 1)),
        ("deep_cancel", Order.CANCEL, float(units.sum())),
    ):
        rate, error, count = rate_table(flow, orders, np.where((what == kind) & deep, 0, -1), np.array([total]))
        found.append(Estimate(name, float(rate[0]), float(error[0]), int(count[0])))
        values[name] = float(rate[0])
        if not float(rate[0]) > 0:
            values[name] = getattr(ImbalanceRates(), name)
            notes.append(f"nothing was seen behind the best quotes: {name} is the default")
    config = ImbalanceReactiveConfig.from_mapping(
        {**feed_values(flow, 10 * depth), "seed": seed, "depth": depth, "rates": values}
    )
    return Calibration("imbalance_reactive", config, tuple(found), tuple(notes))


def _imbalance_cells(states: np.ndarray, side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat cell of each state as the owner of ``side`` sees it (-1: no valid quotes), and the owner's queue."""
    own, other = (
        np.where(side > 0, states[first], states[second])
        for first, second in (("bid_quantity", "ask_quantity"), ("ask_quantity", "bid_quantity"))
    )
    spread = states["ask"] - states["bid"]
    good = (states["bid"] >= 0) & (states["ask"] >= 0) & (spread > 0) & (own + other > 0)
    share = own / np.where(good, own + other, 1.0)
    column = np.minimum((_IMBALANCES * share).astype(np.int64), _IMBALANCES - 1)
    cell = (np.minimum(spread, _SPREADS) - 1) * _IMBALANCES + column
    return np.where(good, cell, -1), own


def _filled(rate: np.ndarray, time: np.ndarray, seen: np.ndarray, positive: bool) -> list[list[float]]:
    """Put the mean of the row, or of the table, where a cell was hardly seen."""
    weight = np.where(np.isfinite(rate), time, 0.0)
    known = np.nan_to_num(rate)
    whole = float((known * weight).sum() / max(weight.sum(), 1e-12))
    total = weight.sum(axis=1)
    mean = (known * weight).sum(axis=1) / np.maximum(total, _SELDOM_S)
    rows = np.where(total > _SELDOM_S, mean, whole)
    out = np.where((seen < _SELDOM_S) | ~np.isfinite(rate), rows[:, None], known)
    filled: list[list[float]] = (np.maximum(out, 1e-6) if positive else out).tolist()
    return filled
