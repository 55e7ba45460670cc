"""Calibration of the queue-reactive market: rates by level and queue size around a reference price."""

from __future__ import annotations

import numpy as np

from marketprism.simulate.calibrate_queues import Calibration, Estimate, feed_values, rate_table
from marketprism.simulate.flow import Order, OrderFlow
from marketprism.simulate.flow_kernel import NONE
from marketprism.simulate.queue_reactive import QueueReactiveConfig, ReactiveRates

__all__ = ["calibrate_queue_reactive", "reference_prices"]

_LEVELS, _FEWEST_SIZES, _MOST_SIZES = 5, 11, 101
_COVERED = 0.99
_RARE_S = 5.0
_MARGIN = 1.02


def reference_prices(quotes: np.ndarray) -> np.ndarray:
    """Return, for each state of the best quotes, the tick below the reference price; -1 where there are none.

    At a spread of one tick the reference lies between the quotes. A wider spread leaves it open until the next spread
    of one tick shows on which side new orders came: that reference is taken, as near as the quotes allow. Where none
    follows, it is the middle.
    """
    bid, ask = quotes["bid"], quotes["ask"]
    good = (bid != NONE) & (ask > bid)
    one = np.flatnonzero(good & (ask - bid == 1))
    later = np.searchsorted(one, np.arange(len(quotes)))
    wanted = np.where(
        later < len(one), bid[one[np.minimum(later, len(one) - 1)]] if one.size else 0, (bid + ask - 1) // 2
    )
    return np.where(good, np.clip(wanted, bid, np.maximum(ask - 1, bid)), NONE)


def calibrate_queue_reactive(
    flow: OrderFlow, *, seed: int = 1, levels: int = _LEVELS, sizes: int | None = None
) -> Calibration:
    """Calibrate the queue-reactive market of Huang, Lehalle and Rosenbaum.

    Rates of arrivals and cancellations by level and size of the queue, of market orders by size of the best queue, the
    probability that the reference price follows the mid, and the share of its moves at which more than half of the
    queues changed at once. Sizes that were seen for less than five seconds take the nearest size that was seen.

    Parameters
    ----------
    flow : OrderFlow
        A market.
    seed : int
        Of the calibrated market.
    levels : int
        Levels a side.
    sizes : int, optional
        Queue sizes told apart, the last one and all longer queues together. Default: what covers 99 % of the time at
        the best quotes, from 11 to 101.
    """
    sizes = _sizes(flow) if sizes is None else sizes
    quotes, orders = flow.quotes, flow.orders
    reference = reference_prices(quotes)
    seconds, _ = flow.exposure("reference", levels, sizes, reference)
    state = np.searchsorted(quotes["ts"], orders["ts"], "left") - 1
    ours = np.where(state >= 0, reference[np.maximum(state, 0)], NONE)
    bids = orders["side"] > 0
    level = np.where(bids, ours - orders["tick"], orders["tick"] - ours - 1)
    size = np.minimum(np.ceil(orders["level"] / flow.unit - 1e-6).astype(np.int64), sizes - 1)
    good = (ours != NONE) & (level >= 0) & (level < levels)
    # A message that moves the reference brings levels into the window, or a book drawn anew: no orders but its first.
    moved = quotes["ts"][1:][np.diff(reference) != 0]
    at_move = np.isin(orders["ts"], moved)
    good &= ~at_move | (np.diff(orders["ts"], prepend=0) > 0)
    found: list[Estimate] = []
    values = {}
    for name, what in (("limit", Order.LIMIT), ("cancel", Order.CANCEL)):
        cells = np.where(good & (orders["what"] == what), level * sizes + size, -1)
        table = rate_table(flow, orders, cells, seconds)
        # A queue of a size that was seen but never shrank gets half an order in that time.
        least = 0.5 / np.maximum(seconds, _RARE_S) * (what == Order.CANCEL)
        rates = np.where(np.isfinite(table[0]), np.maximum(table[0], least), np.nan)
        values[name] = np.array([_nearest(*pair) for pair in zip(rates, seconds, strict=True)])
        found += [
            Estimate(f"{name}[{i + 1}, {n}]", float(table[0][i, n]), float(table[1][i, n]), int(table[2][i, n]))
            for i in range(levels)
            for n in range(sizes)
            if seconds[i, n] >= _RARE_S
        ]
    market, best_seconds = _market_rates(flow, sizes)
    values["market"] = _nearest(market[0], best_seconds)
    found += [
        Estimate(f"market[{n}]", float(market[0][n]), float(market[1][n]), int(market[2][n]))
        for n in range(1, sizes)
        if best_seconds[n] >= _RARE_S
    ]
    notes = _make_stable(values)
    follow, moves = _follow(quotes, reference)
    found.append(Estimate("follow", follow, float(np.sqrt(follow * (1 - follow) / max(moves, 1))), moves))
    if (quotes["ask"] - quotes["bid"] == 1)[flow.valid].mean() < 0.2:
        notes.append("the spread is seldom one tick: levels around a reference price describe this market badly")
    renewed = np.unique(orders["ts"][at_move], return_counts=True)[1] > levels
    renew = float(renewed.sum() / max(moved.size, 1))
    found.append(Estimate("renew", renew, float(np.sqrt(renew * (1 - renew) / max(moved.size, 1))), moved.size))
    tables = ReactiveRates(
        limit=tuple(map(tuple, values["limit"].tolist())),
        cancel=tuple(map(tuple, values["cancel"].tolist())),
        market=tuple(values["market"].tolist()),
    )
    config = QueueReactiveConfig.from_mapping(
        {**feed_values(flow), "seed": seed, "rates": tables.to_mapping(), "follow": follow, "renew": renew}
    )
    return Calibration("queue_reactive", config, tuple(found), tuple(notes))


def _sizes(flow: OrderFlow) -> int:
    """Sizes that cover the best queues for 99 % of the time."""
    queue = np.concatenate([flow.quotes["bid_quantity"], flow.quotes["ask_quantity"]])
    order = np.argsort(queue)
    time = np.cumsum(np.concatenate([flow.seconds, flow.seconds])[order])
    longest = queue[order][np.searchsorted(time, _COVERED * time[-1])] / flow.unit
    return int(np.clip(np.ceil(longest) + 2, _FEWEST_SIZES, _MOST_SIZES))


def _market_rates(flow: OrderFlow, sizes: int) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Market orders by the size of the queue that they hit, and the seconds at each size."""
    seconds = np.zeros(sizes)
    for name in ("bid_quantity", "ask_quantity"):
        queue = np.minimum(np.ceil(flow.quotes[name] / flow.unit - 1e-6).astype(np.int64), sizes - 1)
        seconds += np.bincount(queue, flow.seconds, sizes)
    orders = flow.orders
    best = np.where(orders["side"] > 0, orders["bid_quantity"], orders["ask_quantity"])
    size = np.minimum(np.ceil(best / flow.unit - 1e-6).astype(np.int64), sizes - 1)
    return rate_table(flow, orders, np.where(orders["what"] == Order.MARKET, size, -1), seconds), seconds


def _nearest(rate: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Give sizes that were hardly seen the rate of the nearest one that was."""
    seen = np.flatnonzero((seconds >= _RARE_S) & np.isfinite(rate))
    if not seen.size:
        return np.zeros_like(rate)
    nearest = seen[np.abs(np.arange(len(rate))[:, None] - seen).argmin(axis=1)]
    return np.asarray(rate[nearest])


def _make_stable(values: dict[str, np.ndarray]) -> list[str]:
    """See to it that empty queues fill and the longest ones shrink; say what was done."""
    notes = []
    limit, cancel = values["limit"], values["cancel"]
    cancel[:, 0] = 0.0
    cancel[:, 1:] = np.maximum(cancel[:, 1:], 1e-6)
    empty = limit[:, 0] <= 0
    limit[empty, 0] = np.maximum(limit[empty].mean(axis=1), 1e-3)
    if empty.any():
        notes.append(f"{int(empty.sum())} levels were never seen empty and filled: they fill at their mean rate")
    grows = limit[:, -1] * _MARGIN >= cancel[:, -1]
    cancel[grows, -1] = np.maximum(limit[grows, -1] * _MARGIN, 1e-3)
    if grows.any():
        notes.append(
            f"the longest queues of {int(grows.sum())} levels grew: their cancellations were raised above arrivals"
        )
    values["market"][0] = 0.0
    return notes


def _follow(quotes: np.ndarray, reference: np.ndarray) -> tuple[float, int]:
    """Return the share of mid moves, from a spread of one tick, after which the reference moved, and their number."""
    bid, ask = quotes["bid"], quotes["ask"]
    tight = (bid[:-1] != NONE) & (ask[:-1] - bid[:-1] == 1)
    opened = tight & (bid[1:] != NONE) & (ask[1:] > bid[1:]) & (bid[1:] + ask[1:] != bid[:-1] + ask[:-1])
    moved = reference[1:] != reference[:-1]
    count = int(opened.sum())
    return (float(moved[opened].mean()) if count else 0.5), count
