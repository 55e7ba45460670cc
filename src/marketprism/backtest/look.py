"""What a compiled strategy sees: the clock, the book as it is known locally, its account and its orders."""

from __future__ import annotations

from typing import Any

from marketprism.backtest import _views as view
from marketprism.backtest._layout import NO_ASK, NO_BID
from marketprism.core.kernels import kernel

__all__ = [
    "NO_ASK",
    "NO_BID",
    "best_ask",
    "best_bid",
    "cash",
    "data_over",
    "first_order",
    "level",
    "next_order",
    "now",
    "order",
    "position",
]


@kernel
def now(e: Any) -> int:
    """Return the local time, ns."""
    return int(view.clock(e).now)


@kernel
def data_over(e: Any) -> bool:
    """Return whether no market has events left: a strategy that goes on sending would never end."""
    for index in range(view.clock(e).markets):
        market = view.market(e, index)
        if market.exchange_at < market.end or market.local_at < market.end:
            return False
    return True


@kernel
def best_bid(e: Any, market: int) -> int:
    """Return the best bid, ticks; NO_BID: nobody bids."""
    return int(view.market(e, market).known_bid)


@kernel
def best_ask(e: Any, market: int) -> int:
    """Return the best ask, ticks; NO_ASK: nobody asks."""
    return int(view.market(e, market).known_ask)


@kernel
def level(e: Any, market: int, side: int, tick: int) -> float:
    """Return the quantity of a level, 1 bids and -1 asks, base units."""
    record = view.market(e, market)
    if not record.low <= tick < record.low + record.size:
        return 0.0
    base = 2 * record.offset - record.low + (0 if side > 0 else record.size)
    return float(view.known(e)[base + tick])


@kernel
def position(e: Any, account: int, market: int) -> float:
    """Return the position as heard, base units or contracts."""
    return float(view.account(e, market * view.clock(e).lanes + account).position)


@kernel
def cash(e: Any, account: int, market: int) -> float:
    """Return the cash as heard, fees not included."""
    return float(view.account(e, market * view.clock(e).lanes + account).cash)


@kernel
def first_order(e: Any, account: int, market: int) -> int:
    """Return the handle of the oldest own order, -1: none."""
    return int(view.account(e, market * view.clock(e).lanes + account).first)


@kernel
def next_order(e: Any, handle: int) -> int:
    """Return the handle of the next own order, -1: none."""
    return int(view.order(e, handle).local_next)


@kernel
def order(e: Any, handle: int) -> Any:
    """Return an own order as a record: ``id, side, tick, known_leaves, status, request`` among others."""
    return view.order(e, handle)
