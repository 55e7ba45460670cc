"""What a strategy can do and see, as compiled functions that plain Python calls too.

Each of them is a call by address of what does the work, so that a strategy compiles in no time.
"""

from __future__ import annotations

from typing import Any

from marketprism.backtest import _calls as call
from marketprism.backtest import _views as view
from marketprism.backtest._messages import drop_reference
from marketprism.backtest._send import can_change, is_done
from marketprism.core.kernels import kernel

__all__ = ["advance", "advance_to_feed", "can_change", "cancel", "forget", "kill", "modify", "submit", "submit_at"]

_OFF_GRID = -(1 << 40)
"""Tick of a price off the grid."""


@kernel
def advance(e: Any, duration: int) -> int:
    """Let ``duration`` ns pass, everything at the last of them included; return a Wake."""
    return int(call.step(e, duration))


@kernel
def advance_to_feed(e: Any, timeout: int, responses: bool = False) -> int:
    """Go on to the next feed event of any market, all events of its time included; return a Wake.

    With ``responses``, a response to any request stops it as well.
    """
    return int(call.step_to_feed(e, timeout, responses))


@kernel
def submit(e: Any, lane: int, index: int, side: int, tick: int, quantity: float, kind: int, time_in_force: int) -> int:
    """Send a new order; return its handle, -1 where the pool is empty.

    An order that a risk limit refuses never leaves: it is REJECTED at once, and the log says why.
    """
    return int(call.order(e, lane, index, side, tick, quantity, kind, time_in_force))


@kernel
def cancel(e: Any, slot: int) -> bool:
    """Ask for an order's cancellation; False where a request is in flight or the order is done.

    In strict mode an order may be cancelled before its acknowledgement is heard; the cancellation can come first.
    """
    return bool(call.cancel(e, slot))


@kernel
def forget(e: Any, lane: int, index: int) -> None:
    """Forget the orders that are done."""
    clock = view.clock(e)
    account = view.account(e, index * clock.lanes + lane)
    slot = account.first
    while slot >= 0:
        order = view.order(e, slot)
        following = order.local_next
        if is_done(order.status):
            if order.local_previous >= 0:
                view.order(e, order.local_previous).local_next = order.local_next
            else:
                account.first = order.local_next
            if order.local_next >= 0:
                view.order(e, order.local_next).local_previous = order.local_previous
            else:
                account.last = order.local_previous
            account.active -= 1
            drop_reference(e, slot)
        slot = following


@kernel
def modify(e: Any, slot: int, tick: int, quantity: float) -> bool:
    """Ask for another price or total quantity of a resting order; False where it cannot be changed.

    Less at the same price keeps the place in the queue; more, or another price, goes to the end. A total not above
    what was executed cancels the rest.
    """
    return bool(call.modify(e, slot, tick, quantity))


@kernel
def submit_at(
    e: Any, lane: int, index: int, side: int, price: float, quantity: float, kind: int, time_in_force: int
) -> int:
    """Send a new order at a price; in strict mode one that is no multiple of the tick is rejected by the exchange."""
    ticks = price / view.market(e, index).tick_size
    tick = round(ticks)
    if view.clock(e).strict and abs(ticks - tick) > 1e-6 * max(1.0, abs(ticks) * 1e-6):
        tick = _OFF_GRID
    return int(submit(e, lane, index, side, tick, quantity, kind, time_in_force))


@kernel
def kill(e: Any, lane: int) -> None:
    """Cancel all orders of a lane's agent, in every market, and refuse whatever it sends from now on."""
    view.clock(e).limited = 1
    call.stop_lane(e, lane)
