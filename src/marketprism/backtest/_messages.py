"""Orders and messages in pools, and the two buses of an account: requests to the exchange and responses from it."""

from __future__ import annotations

from typing import Any

from marketprism.backtest import _views as view
from marketprism.core.kernels import inner

__all__ = [
    "drop_reference",
    "new_message",
    "new_order",
    "pop_request",
    "pop_response",
    "send_request",
    "send_response",
]


@inner
def new_order(e: Any) -> int:
    """Take an order from the pool; -1 where it is empty."""
    clock = view.clock(e)
    slot = clock.free_order
    if slot < 0:
        clock.overflow = 1
        return -1
    clock.free_order = view.order(e, slot).next
    clock.orders_free -= 1
    return int(slot)


@inner
def drop_reference(e: Any, slot: int) -> None:
    """Forget one use of an order; the last one returns it to the pool."""
    order = view.order(e, slot)
    order.references -= 1
    if order.references == 0:
        clock = view.clock(e)
        order.next = clock.free_order
        clock.free_order = slot
        clock.orders_free += 1


@inner
def new_message(e: Any) -> int:
    """Take a message from the pool; -1 where it is empty."""
    clock = view.clock(e)
    slot = clock.free_message
    if slot < 0:
        clock.overflow = 1
        return -1
    clock.free_message = view.message(e, slot).next
    clock.messages_free -= 1
    return int(slot)


@inner
def send_request(e: Any, account: Any, market: Any, slot: int, overtake: bool) -> None:
    """Queue a message to the exchange; without ``overtake`` it arrives no earlier than the one before it."""
    message = view.message(e, slot)
    last = account.request_last
    message.next = -1
    if last < 0:
        account.request_first = slot
        account.request_last = slot
    elif not overtake or message.ts >= view.message(e, last).ts:
        message.ts = max(message.ts, view.message(e, last).ts)
        view.message(e, last).next = slot
        account.request_last = slot
    else:
        at = account.request_first
        if message.ts < view.message(e, at).ts:
            message.next = at
            account.request_first = slot
        else:
            while view.message(e, view.message(e, at).next).ts <= message.ts:
                at = view.message(e, at).next
            message.next = view.message(e, at).next
            view.message(e, at).next = slot
    market.request_ts = min(market.request_ts, message.ts)


@inner
def send_response(e: Any, account: Any, market: Any, slot: int, overtake: bool) -> None:
    """Queue a message to the local side; without ``overtake`` it arrives no earlier than the one before it."""
    message = view.message(e, slot)
    last = account.response_last
    message.next = -1
    if last < 0:
        account.response_first = slot
        account.response_last = slot
    elif not overtake or message.ts >= view.message(e, last).ts:
        message.ts = max(message.ts, view.message(e, last).ts)
        view.message(e, last).next = slot
        account.response_last = slot
    else:
        at = account.response_first
        if message.ts < view.message(e, at).ts:
            message.next = at
            account.response_first = slot
        else:
            while view.message(e, view.message(e, at).next).ts <= message.ts:
                at = view.message(e, at).next
            message.next = view.message(e, at).next
            view.message(e, at).next = slot
    market.response_ts = min(market.response_ts, message.ts)


@inner
def pop_request(e: Any, account: Any) -> int:
    """Take the first request off the bus."""
    slot = account.request_first
    account.request_first = view.message(e, slot).next
    if account.request_first < 0:
        account.request_last = -1
    return int(slot)


@inner
def pop_response(e: Any, account: Any) -> int:
    """Take the first response off the bus."""
    slot = account.response_first
    account.response_first = view.message(e, slot).next
    if account.response_first < 0:
        account.response_last = -1
    return int(slot)
