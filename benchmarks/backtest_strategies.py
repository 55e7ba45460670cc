"""The strategies of the backtest benchmark as compiled loops; backtest_peers/hftbacktest_server.py has their twins."""

from __future__ import annotations

import numpy as np
from numba import njit

from marketprism.backtest import _views as view
from marketprism.backtest.actions import advance, advance_to_feed, can_change, cancel, forget, submit

SIZE, MOST = 0.5, 50.0
"""Quantity of an order, and the position beyond which a side is not quoted."""


@njit(cache=True)
def replay(e):  # type: ignore[no-untyped-def]
    """Go through the data and do nothing."""
    while True:
        code = advance(e, 60_000_000_000)
        if code != 1:
            return code


@njit(cache=True)
def _quote(e, lane, levels, away, have):  # type: ignore[no-untyped-def]
    """Keep one post-only order on each of ``levels`` ticks a side, from ``away`` ticks behind the best."""
    forget(e, lane, 0)
    market = view.market(e, 0)
    bid, ask = market.known_bid - away, market.known_ask + away
    if market.known_bid < 0 or market.known_ask > 10**9:
        return
    account = view.account(e, lane)
    have[:] = False
    slot = account.first
    while slot >= 0:
        order = view.order(e, slot)
        behind = bid - order.tick if order.side > 0 else order.tick - ask
        if 0 <= behind < levels:
            have[0 if order.side > 0 else 1, behind] = True
        elif can_change(order):
            cancel(e, slot)
        slot = order.local_next
    for k in range(levels):
        if account.position < MOST and not have[0, k]:
            submit(e, lane, 0, 1, bid - k, SIZE, 0, 1)
        if account.position > -MOST and not have[1, k]:
            submit(e, lane, 0, -1, ask + k, SIZE, 0, 1)


@njit(cache=True)
def grid(e, step, levels):  # type: ignore[no-untyped-def]
    """Quote ``levels`` ticks a side every ``step`` ns; lane k stays k ticks behind the best."""
    have = np.zeros((2, levels), np.bool_)
    while True:
        code = advance(e, step)
        if code != 1:
            return code
        for lane in range(view.clock(e).lanes):
            _quote(e, lane, levels, lane, have)


@njit(cache=True)
def touch(e):  # type: ignore[no-untyped-def]
    """Quote the best prices after every feed event."""
    have = np.zeros((2, 1), np.bool_)
    while True:
        code = advance_to_feed(e, 1_000_000_000_000_000_000)
        if code != 1:
            return code
        _quote(e, 0, 1, 0, have)
