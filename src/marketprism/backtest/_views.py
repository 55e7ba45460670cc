"""The engine's arrays as kernels see them: one record of addresses, so that a call passes one pointer.

Passing ten arrays to a function costs more than most of these functions do, and counting references to them costs it
again. The engine object owns the arrays and outlives every call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

from marketprism.backtest._layout import (
    ACCOUNT_DTYPE,
    CLOCK_DTYPE,
    EVENT_DTYPE,
    LOG_DTYPE,
    MARKET_DTYPE,
    MESSAGE_DTYPE,
    ORDER_DTYPE,
)
from marketprism.core.kernels import inner

__all__ = [
    "account",
    "clock",
    "depth",
    "event",
    "events",
    "heads",
    "known",
    "market",
    "message",
    "order",
    "records",
    "row",
]


@intrinsic
def _pointer(typing_context: Any, address: Any) -> Any:
    """Read an integer as an address."""
    del typing_context

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.voidptr(address), build


def records(dtype: np.dtype[Any]) -> Callable[[int, int], Any]:
    """Return an intrinsic that takes the address of an array and an index, and returns that record."""
    record, size = from_dtype(dtype), dtype.itemsize

    @intrinsic
    def at(typing_context: Any, address: Any, index: Any) -> Any:
        del typing_context, address, index

        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            offset = builder.mul(arguments[1], arguments[1].type(size))
            place = builder.add(arguments[0], offset)
            return builder.inttoptr(place, context.get_value_type(signature.return_type))

        return record(types.int64, types.int64), build

    function: Callable[[int, int], Any] = at
    return function


_event, _market, _account = records(EVENT_DTYPE), records(MARKET_DTYPE), records(ACCOUNT_DTYPE)
_order, _message = records(ORDER_DTYPE), records(MESSAGE_DTYPE)
_clock, _row = records(CLOCK_DTYPE), records(LOG_DTYPE)


@inner
def events(e: Any) -> np.ndarray:
    """Return the tape of all markets, one behind the other."""
    array: np.ndarray = carray(_pointer(e.events), e.events_size, EVENT_DTYPE)
    return array


@inner
def depth(e: Any) -> np.ndarray:
    """Return the ladders of the exchanges, base units."""
    array: np.ndarray = carray(_pointer(e.depth), e.ladder_size, np.float64)
    return array


@inner
def known(e: Any) -> np.ndarray:
    """Return the ladders as the local side knows them, base units."""
    array: np.ndarray = carray(_pointer(e.known), e.ladder_size, np.float64)
    return array


@inner
def heads(e: Any) -> np.ndarray:
    """Return the first own order of each level, -1 for none."""
    array: np.ndarray = carray(_pointer(e.heads), e.ladder_size, np.int32)
    return array


@inner
def event(e: Any, at: int) -> Any:
    """Return an event of the tapes, which lie one behind the other."""
    return _event(e.events, at)


@inner
def order(e: Any, slot: int) -> Any:
    """Return an order of the pool."""
    return _order(e.orders, slot)


@inner
def message(e: Any, slot: int) -> Any:
    """Return a message of the pool."""
    return _message(e.messages, slot)


@inner
def market(e: Any, index: int) -> Any:
    """Return a market."""
    return _market(e.markets, index)


@inner
def account(e: Any, which: int) -> Any:
    """Return an account: those of market 0 by lane, then those of market 1."""
    return _account(e.accounts, which)


@inner
def row(e: Any, at: int) -> Any:
    """Return a row of the log of responses."""
    return _row(e.log, at)


@inner
def clock(e: Any) -> Any:
    """Return the clock and the counters."""
    return _clock(e.clock, 0)
