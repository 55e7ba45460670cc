"""Latency of strict mode: by message type, interpolated from recordings, jittered by seed, or a user's function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from marketprism.backtest._rules import delays, ledger_of, rule_of
from marketprism.backtest._user import call_latency
from marketprism.core.errors import DataError
from marketprism.core.kernels import inner, kernel

__all__ = ["RecordedLatency", "entry_latency", "response_latency", "uniform"]


@dataclass(frozen=True)
class RecordedLatency:
    """Latencies recorded on a live connection, interpolated linearly between records.

    Parameters
    ----------
    req_ts, exch_ts, resp_ts : ndarray of int64
        When a request was sent, reached the exchange, and its response was heard, ns UTC, one clock. Before the first
        and after the last record the nearest one holds.

    Raises
    ------
    DataError
        The arrays differ in length, are empty, or run backwards.
    """

    req_ts: np.ndarray
    exch_ts: np.ndarray
    resp_ts: np.ndarray

    def __post_init__(self) -> None:
        if not len(self.req_ts) or not len(self.req_ts) == len(self.exch_ts) == len(self.resp_ts):
            raise DataError(
                f"{len(self.req_ts)}, {len(self.exch_ts)} and {len(self.resp_ts)} recorded times",
                hint="three arrays of one length, at least one record",
            )
        reached = self.exch_ts > 0
        for name, times in (("req_ts", self.req_ts), ("exch_ts", self.exch_ts[reached])):
            if (np.diff(times) < 0).any():
                raise DataError(f"{name} runs backwards", hint="sort the records by req_ts; they must not cross")
        if (self.exch_ts < self.req_ts)[reached].any() or (self.resp_ts < self.exch_ts).any():
            raise DataError("a recorded latency is negative", hint="bring the clocks together first")


@kernel
def uniform(seed: int, agent: int, number: int, way: int) -> float:
    """Return a number in (0, 1) that depends on its arguments alone (splitmix64)."""
    x = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(agent) * np.uint64(0xD1342543DE82EF95)
    x += np.uint64(number) * np.uint64(0xBF58476D1CE4E5B9) + np.uint64(way + 1) * np.uint64(0x94D049BB133111EB)
    for _ in range(2):
        x += np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return (float(x >> np.uint64(11)) + 0.5) / 9007199254740992.0


@inner
def _interpolate(e: Any, rule: Any, ts: int, column: int) -> int:
    """Return the latency that starts in ``column`` and ends in the next one."""
    table = delays(e)
    low, high = rule.delays_at, rule.delays_at + rule.delays_size - 1
    if ts <= table[low, column]:
        return int(table[low, column + 1] - table[low, column])
    if ts >= table[high, column]:
        return int(table[high, column + 1] - table[high, column])
    while high - low > 1:
        middle = (low + high) // 2
        if table[middle, column] <= ts:
            low = middle
        else:
            high = middle
    first = table[low, column + 1] - table[low, column]
    last = table[high, column + 1] - table[high, column]
    return int(first + round((last - first) * (ts - table[low, column]) / (table[high, column] - table[low, column])))


@inner
def _fixed_entry(rule: Any, ledger: Any, request: int) -> int:
    if request == 1:
        latency = rule.entry_new
    elif request == 4:
        latency = rule.entry_cancel
    else:
        latency = rule.entry_modify
    return int(latency + ledger.extra_latency if latency >= 0 else latency)


@inner
def _other_entry(e: Any, index: int, which: int, ts: int, request: int) -> int:
    """Return an entry latency that is recorded, jittered or a function's."""
    rule, ledger = rule_of(e, index), ledger_of(e, which)
    if rule.latency_function != 0:
        chance = uniform(rule.seed, ledger.agent, ledger.requests, 0)
        return int(call_latency(rule.latency_function, np.int64(ts), np.int64(request), ledger.requests, chance))
    latency = _fixed_entry(rule, ledger, request)
    if rule.delays_size > 0:
        latency = _interpolate(e, rule, ts, 0)
        if latency >= 0:
            latency += ledger.extra_latency
    if rule.jitter > 0.0 and latency >= 0:
        latency += int(-rule.jitter * np.log(uniform(rule.seed, ledger.agent, ledger.requests, 0)))
    return int(latency)


@kernel
def entry_latency(e: Any, index: int, which: int, ts: int, request: int) -> int:
    """Return how long a request sent at ``ts`` takes to the exchange, ns; negative: it is refused after that time."""
    rule, ledger = rule_of(e, index), ledger_of(e, which)
    ledger.requests += 1
    if rule.fixed_latency:
        return int(_fixed_entry(rule, ledger, request))
    return int(_other_entry(e, index, which, ts, request))


@inner
def _other_response(e: Any, index: int, which: int, ts: int) -> int:
    """Return a response latency that is recorded, jittered or a function's."""
    rule, ledger = rule_of(e, index), ledger_of(e, which)
    if rule.latency_function != 0:
        chance = uniform(rule.seed, ledger.agent, ledger.replies, 1)
        return max(0, int(call_latency(rule.latency_function, np.int64(ts), np.int64(0), ledger.replies, chance)))
    latency = _interpolate(e, rule, ts, 1) if rule.delays_size > 0 else rule.response
    latency += ledger.extra_latency
    if rule.jitter > 0.0:
        latency += int(-rule.jitter * np.log(uniform(rule.seed, ledger.agent, ledger.replies, 1)))
    return int(latency)


@kernel
def response_latency(e: Any, index: int, which: int, ts: int) -> int:
    """Return how long a response sent at ``ts`` takes to the local side, ns."""
    rule, ledger = rule_of(e, index), ledger_of(e, which)
    ledger.replies += 1
    if rule.fixed_latency:
        return int(rule.response + ledger.extra_latency)
    return int(_other_response(e, index, which, ts))
