"""Orders and messages in pools, and the two buses of an account: requests to the exchange and responses from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from marketprism.backtest._layout import NEVER
from marketprism.core.kernels import inner

__all__ = [
    "drop_reference",
    "first_request",
    "first_response",
    "new_message",
    "new_order",
    "pop_request",
    "pop_response",
    "send_request",
    "send_response",
]

_NEVER = int(NEVER)


@inner
def new_order(orders: np.ndarray, clock: Any) -> int:
    """Take an order from the pool; -1 where it is empty."""
    slot = clock.free_order
    if slot < 0:
        clock.overflow = 1
        return -1
    clock.free_order = orders[slot].next
    clock.orders_free -= 1
    return int(slot)


@inner
def drop_reference(orders: np.ndarray, clock: Any, slot: int) -> None:
    """Forget one use of an order; the last one returns it to the pool."""
    order = orders[slot]
    order.references -= 1
    if order.references == 0:
        order.next = clock.free_order
        clock.free_order = slot
        clock.orders_free += 1


@inner
def new_message(messages: np.ndarray, clock: Any) -> int:
    """Take a message from the pool; -1 where it is empty."""
    slot = clock.free_message
    if slot < 0:
        clock.overflow = 1
        return -1
    clock.free_message = messages[slot].next
    clock.messages_free -= 1
    return int(slot)


@inner
def send_request(messages: np.ndarray, account: Any, market: Any, slot: int, overtake: bool) -> None:
    """Queue a message to the exchange; without ``overtake`` it arrives no earlier than the one before it."""
    message = messages[slot]
    last = account.request_last
    message.next = -1
    if last < 0:
        account.request_first = slot
        account.request_last = slot
    elif not overtake or message.ts >= messages[last].ts:
        message.ts = max(message.ts, messages[last].ts)
        messages[last].next = slot
        account.request_last = slot
    else:
        at = account.request_first
        if message.ts < messages[at].ts:
            message.next = at
            account.request_first = slot
        else:
            while messages[messages[at].next].ts <= message.ts:
                at = messages[at].next
            message.next = messages[at].next
            messages[at].next = slot
    market.request_ts = min(market.request_ts, message.ts)


@inner
def send_response(messages: np.ndarray, account: Any, market: Any, slot: int, overtake: bool) -> None:
    """Queue a message to the local side; without ``overtake`` it arrives no earlier than the one before it."""
    message = messages[slot]
    last = account.response_last
    message.next = -1
    if last < 0:
        account.response_first = slot
        account.response_last = slot
    elif not overtake or message.ts >= messages[last].ts:
        message.ts = max(message.ts, messages[last].ts)
        messages[last].next = slot
        account.response_last = slot
    else:
        at = account.response_first
        if message.ts < messages[at].ts:
            message.next = at
            account.response_first = slot
        else:
            while messages[messages[at].next].ts <= message.ts:
                at = messages[at].next
            message.next = messages[at].next
            messages[at].next = slot
    market.response_ts = min(market.response_ts, message.ts)


@inner
def first_request(messages: np.ndarray, accounts: np.ndarray, first: int, lanes: int) -> int:
    """Return when the next request reaches a market whose accounts begin at ``first``."""
    earliest = _NEVER
    for at in range(first, first + lanes):
        slot = accounts[at].request_first
        if slot >= 0:
            earliest = min(earliest, messages[slot].ts)
    return earliest


@inner
def first_response(messages: np.ndarray, accounts: np.ndarray, first: int, lanes: int) -> int:
    """Return when the next response of a market is heard."""
    earliest = _NEVER
    for at in range(first, first + lanes):
        slot = accounts[at].response_first
        if slot >= 0:
            earliest = min(earliest, messages[slot].ts)
    return earliest


@inner
def pop_request(messages: np.ndarray, account: Any) -> int:
    """Take the first request off the bus."""
    slot = account.request_first
    account.request_first = messages[slot].next
    if account.request_first < 0:
        account.request_last = -1
    return int(slot)


@inner
def pop_response(messages: np.ndarray, account: Any) -> int:
    """Take the first response off the bus."""
    slot = account.response_first
    account.response_first = messages[slot].next
    if account.response_first < 0:
        account.response_last = -1
    return int(slot)
