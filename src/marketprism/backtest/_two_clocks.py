"""Order of a tape: events by the exchange's clock and by the local one."""

from __future__ import annotations

import numpy as np
from numba import njit

from marketprism.backtest.codes import TapeFlag, TapeKind

__all__ = ["decimals_of", "in_two_orders"]

_EXCHANGE, _LOCAL = int(TapeFlag.EXCHANGE), int(TapeFlag.LOCAL)
_FIRST_TRADE, _LAST_TRADE = int(TapeKind.BUY_TRADE), int(TapeKind.TRADE)


@njit(cache=True)
def _merge(exchange_ts, by_exchange, by_local):  # type: ignore[no-untyped-def]
    """Walk both orders at once; an event that is next in both is written once, any other one twice."""
    n = len(exchange_ts)
    index = np.empty(2 * n, np.int64)
    flags = np.empty(2 * n, np.uint8)
    out = e = l = 0
    while e < n or l < n:
        a = by_exchange[e] if e < n else -1
        b = by_local[l] if l < n else -1
        if a == b:
            index[out], flags[out] = a, _EXCHANGE | _LOCAL
            e += 1
            l += 1
        elif b < 0 or (a >= 0 and exchange_ts[a] <= exchange_ts[b]):
            index[out], flags[out] = a, _EXCHANGE
            e += 1
        else:
            index[out], flags[out] = b, _LOCAL
            l += 1
        out += 1
    return index[:out], flags[:out]


@njit(cache=True)
def _trades_first(order, times, is_trade):  # type: ignore[no-untyped-def]
    """Move trades ahead of all else of the same time; the order is changed in place and kept otherwise."""
    n = len(order)
    rest = np.empty(n, np.int64)
    start = 0
    while start < n:
        end, kept, out = start, 0, start
        while end < n and times[order[end]] == times[order[start]]:
            if is_trade[order[end]]:
                order[out] = order[end]
                out += 1
            else:
                rest[kept] = order[end]
                kept += 1
            end += 1
        order[out:end] = rest[:kept]
        start = end


def in_two_orders(events: np.ndarray, trades_first: bool = True) -> np.ndarray:
    """Return events flagged EXCHANGE and LOCAL so that both orders hold.

    Parameters
    ----------
    events : ndarray of EVENT_DTYPE
        In order of arrival, without flags. Where both orders agree the same array comes back, flagged in place.
    trades_first : bool, default True
        At equal exchange times trades come before the book's changes, which they cause; otherwise the order of
        arrival decides. At equal local times the exchange's order does.
    """
    exchange_ts, local_ts = events["exchange_ts"], events["local_ts"]
    is_trade = (events["kind"] >= _FIRST_TRADE) & (events["kind"] <= _LAST_TRADE)
    late = trades_first and bool((is_trade[1:] & ~is_trade[:-1] & (np.diff(exchange_ts) == 0)).any())
    if not late and (np.diff(exchange_ts) >= 0).all() and (np.diff(local_ts) >= 0).all():
        events["kind"] |= _EXCHANGE | _LOCAL
        return events
    by_exchange = np.argsort(exchange_ts, kind="stable")
    if trades_first:
        _trades_first(by_exchange, exchange_ts, is_trade)
    by_local = by_exchange[np.argsort(local_ts[by_exchange], kind="stable")]
    index, flags = _merge(exchange_ts, by_exchange, by_local)
    result: np.ndarray = events[index]
    result["kind"] |= flags
    return result


@njit(cache=True)
def decimals_of(quantity: np.ndarray, known: int) -> int:
    """Return how many decimals (at most 8, at least ``known``) it takes to write every quantity."""
    decimals = known
    scale = 10.0**decimals
    for value in quantity:
        while decimals < 8:
            scaled = value * scale
            if abs(scaled - np.rint(scaled)) <= 1e-9 + 4.0 * 2.220446049250313e-16 * scaled:
                break
            decimals += 1
            scale *= 10.0
    return decimals
