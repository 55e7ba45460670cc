"""Compiled passes over a recording: order flow and best quotes, and the time that queues spent at each size."""

# mypy: disable-error-code="no-any-return"
# Kernels read records and array items, whose static type is Any.

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

__all__ = ["FLOW_DTYPE", "NONE", "QUOTE_DTYPE", "expose", "scan"]

NONE = -1
"""Tick of a best quote that is not there."""
_BID, _ASK, _CLEAR, _LOST, _BUY = 1, 2, 3, 4, 5
_LIMIT, _CANCEL, _MARKET = 0, 1, 2
_PENDING_NS = 1_000_000_000

QUOTE_DTYPE = np.dtype(
    [
        ("ts", np.int64),  # from when on
        ("bid", np.int64),
        ("ask", np.int64),
        ("bid_quantity", np.float64),
        ("ask_quantity", np.float64),
    ],
    align=True,
)
FLOW_DTYPE = np.dtype(
    [
        ("ts", np.int64),
        ("what", np.int64),  # Order
        ("side", np.int64),  # of the book: 1 bids, -1 asks; a market order's is that of the queue it hits
        ("tick", np.int64),
        ("quantity", np.float64),
        ("level", np.float64),  # at the tick before
        ("bid", np.int64),  # best quotes before
        ("ask", np.int64),
        ("bid_quantity", np.float64),
        ("ask_quantity", np.float64),
    ],
    align=True,
)


@njit(cache=True)
def _set_level(ladder: np.ndarray, best: np.ndarray, s: int, at: int, quantity: float) -> None:
    """Set a level of side ``s`` (0 bids) and keep its best; ``at`` and ``best`` are places in the ladder."""
    ladder[s, at] = quantity
    away = -1 if s == 0 else 1
    if quantity > 0.0:
        if best[s] < 0 or (at - best[s]) * away < 0:
            best[s] = at
    elif at == best[s]:
        place = at + away
        while 0 <= place < ladder.shape[1] and ladder[s, place] == 0.0:
            place += away
        best[s] = place if 0 <= place < ladder.shape[1] else -1


@njit(cache=True)
def _copy_quote(quote: Any, ladder: np.ndarray, best: np.ndarray, low: int) -> None:
    quote["bid"] = best[0] + low if best[0] >= 0 else NONE
    quote["ask"] = best[1] + low if best[1] >= 0 else NONE
    quote["bid_quantity"] = ladder[0, best[0]] if best[0] >= 0 else 0.0
    quote["ask_quantity"] = ladder[1, best[1]] if best[1] >= 0 else 0.0


@njit(cache=True)
def _note(
    flow: Any, record: Any, what: int, side: int, quantity: float, level: float, ladder: Any, best: Any, low: int
) -> None:
    flow["ts"], flow["tick"] = record["ts"], record["tick"]
    flow["what"], flow["side"], flow["quantity"], flow["level"] = what, side, quantity, level
    _copy_quote(flow, ladder, best, low)


@njit(cache=True)
def scan(records: np.ndarray, low: int, ladder: np.ndarray, quotes: np.ndarray, flows: np.ndarray) -> tuple[int, int]:
    """Replay a recording; write the best quotes (the last state of each time) and one flow for each order.

    A level that shrinks after a trade on it shrinks by the trade first; the rest was cancelled. Trades of one
    aggressor side at one time are one market order. ``ladder`` has shape (2, ticks) and is zero; ``low`` is its first
    tick. Returns the numbers of quotes and flows written.
    """
    n = m = 0
    best = np.full(2, -1, np.int64)
    pending = np.zeros_like(ladder)
    since = np.zeros(ladder.shape, np.int64)
    last_order = np.full(2, -1, np.int64)
    live = False
    begun = np.int64(0)
    for i in range(len(records)):
        record = records[i]
        what = record["what"]
        if what in (_CLEAR, _LOST):
            ladder[:] = 0.0
            best[:] = -1
            pending[:] = 0.0
            live = what == _CLEAR
            begun = record["ts"]
        elif what >= _BUY:
            s = 1 if what == _BUY else 0
            if not live or best[0] < 0 or best[1] < 0:
                continue
            at = record["tick"] - low
            pending[s, at] = record["quantity"] + (
                pending[s, at] if record["ts"] - since[s, at] <= _PENDING_NS else 0.0
            )
            since[s, at] = record["ts"]
            if last_order[s] >= 0 and flows[last_order[s]]["ts"] == record["ts"]:
                flows[last_order[s]]["quantity"] += record["quantity"]
            else:
                side = 1 if s == 0 else -1
                _note(flows[m], record, _MARKET, side, record["quantity"], ladder[s, at], ladder, best, low)
                last_order[s] = m
                m += 1
            continue
        elif live:
            s = what - _BID
            at = record["tick"] - low
            before = ladder[s, at]
            change = record["quantity"] - before
            if change < 0.0:
                if record["ts"] - since[s, at] > _PENDING_NS:
                    pending[s, at] = 0.0
                traded = min(pending[s, at], -change)
                pending[s, at] -= traded
                change += traded
                if change > -1e-9 * before:
                    change = 0.0
            # The levels with which a book begins are no orders.
            if change != 0.0 and best[0] >= 0 and best[1] >= 0 and record["ts"] > begun:
                order = _LIMIT if change > 0.0 else _CANCEL
                _note(flows[m], record, order, 1 if s == 0 else -1, abs(change), before, ladder, best, low)
                m += 1
            _set_level(ladder, best, s, at, record["quantity"])
        if n == 0 or quotes[n - 1]["ts"] != record["ts"]:
            quotes[n]["ts"] = record["ts"]
            n += 1
        _copy_quote(quotes[n - 1], ladder, best, low)
    return n, m


@njit(cache=True)
def expose(
    records: np.ndarray,
    low: int,
    ladder: np.ndarray,
    mode: int,
    changed: np.ndarray,
    reference: np.ndarray,
    unit: float,
    seconds: np.ndarray,
    units: np.ndarray,
) -> None:
    """Add up how long queues had each size.

    Parameters
    ----------
    records, low, ladder
        As for :func:`scan`.
    mode : int
        Where level 0 stands: 0 a tick from the opposite best quote, 1 a tick behind the own best quote, 2 at
        ``reference`` (bids) and a tick above it (asks).
    changed, reference : int64 ndarray
        Times, ns, and the reference from then on; used in mode 2.
    unit : float
        Quantity of one order; a queue of q has ``ceil(q / unit)`` orders.
    seconds : float64 ndarray, shape (levels, sizes)
        Added to: seconds at each size, both sides; the last column is that size and more.
    units : float64 ndarray, shape (levels,)
        Added to: integral of the size in units over time.
    """
    best = np.full(2, -1, np.int64)
    live = False
    levels, sizes = seconds.shape
    now, p = records[0]["ts"], 0
    for i in range(len(records)):
        record = records[i]
        what = record["what"]
        dt = (record["ts"] - now) * 1e-9
        if dt > 0.0 and live and best[0] >= 0 and best[1] > best[0]:
            while p + 1 < len(changed) and changed[p + 1] <= now:
                p += 1
            for s in range(2):
                away = -1 if s == 0 else 1
                first = best[1 - s] + away if mode == 0 else best[s] + away
                if mode == 2:
                    first = reference[p] - low + s
                for k in range(levels):
                    at = first + away * k
                    q = ladder[s, at] / unit if 0 <= at < ladder.shape[1] else 0.0
                    seconds[k, min(math.ceil(q - 1e-6), sizes - 1)] += dt
                    units[k] += q * dt
        now = record["ts"]
        if what in (_CLEAR, _LOST):
            ladder[:] = 0.0
            best[:] = -1
            live = what == _CLEAR
        elif what <= _ASK and live:
            _set_level(ladder, best, what - _BID, record["tick"] - low, record["quantity"])
