"""Recorded latencies in compat mode: interpolated the way the peer does it, refusals included."""

from __future__ import annotations

from typing import Any

from marketprism.backtest._rules import delays
from marketprism.core.kernels import inner

__all__ = ["recorded_entry", "recorded_response"]


@inner
def _between(at: int, first_at: int, first: int, last_at: int, last: int) -> int:
    slope = float(last - first) / float(last_at - first_at)
    return int(slope * float(at - first_at)) + first


@inner
def recorded_entry(e: Any, market: Any, now: int) -> int:
    """Return the latency of a request sent at ``now``, ns; negative next to a record that never reached the exchange.

    A record with an exchange time of 0 is a request that was refused: what is sent between it and its neighbours is
    refused as well, and the local side hears of it after the interpolated time to the response.
    """
    table, at, end = delays(e), market.entry_at, market.delays_at + market.delays_size
    if now < table[market.delays_at, 0]:
        return int(table[market.delays_at, 1] - table[market.delays_at, 0])
    while at + 1 < end and now >= table[at + 1, 0]:
        at += 1
    market.entry_at = at
    if at + 1 == end:
        return int(table[at, 1] - table[at, 0])
    if table[at, 1] <= 0 or table[at + 1, 1] <= 0:
        first, last = table[at, 2] - table[at, 0], table[at + 1, 2] - table[at + 1, 0]
        return -int(_between(now, table[at, 0], first, table[at + 1, 0], last))
    first, last = table[at, 1] - table[at, 0], table[at + 1, 1] - table[at + 1, 0]
    return int(_between(now, table[at, 0], first, table[at + 1, 0], last))


@inner
def recorded_response(e: Any, market: Any, ts: int) -> int:
    """Return the latency of a response sent at ``ts``, ns; a record that was refused counts as one sent at time 0."""
    table, at, end = delays(e), market.response_at, market.delays_at + market.delays_size
    if ts < table[market.delays_at, 1]:
        return int(table[market.delays_at, 2] - table[market.delays_at, 1])
    while at + 1 < end and not (table[at, 1] <= ts < table[at + 1, 1]):
        at += 1
    market.response_at = at
    first = table[at, 2] - table[at, 1]
    if at + 1 == end:
        return int(first)
    return int(_between(ts, table[at, 1], first, table[at + 1, 1], table[at + 1, 2] - table[at + 1, 1]))
