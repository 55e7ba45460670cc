"""The engine's arrays as kernels see them: one record of addresses, so that a call passes one pointer.

Passing ten arrays to a function costs more than most of these functions do, and counting references to them costs it
again. The engine object owns the arrays and outlives every call.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

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

__all__ = ["accounts", "clock", "depth", "events", "heads", "known", "log", "markets", "messages", "orders"]


@intrinsic
def _pointer(typing_context: Any, address: Any) -> Any:
    """Read an integer as an address."""
    del typing_context

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.voidptr(address), build


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
def orders(e: Any) -> np.ndarray:
    """Return the pool of orders."""
    array: np.ndarray = carray(_pointer(e.orders), e.orders_size, ORDER_DTYPE)
    return array


@inner
def messages(e: Any) -> np.ndarray:
    """Return the pool of messages."""
    array: np.ndarray = carray(_pointer(e.messages), e.messages_size, MESSAGE_DTYPE)
    return array


@inner
def markets(e: Any) -> np.ndarray:
    """Return the markets."""
    array: np.ndarray = carray(_pointer(e.markets), e.markets_size, MARKET_DTYPE)
    return array


@inner
def accounts(e: Any) -> np.ndarray:
    """Return the accounts: those of market 0 by lane, then those of market 1."""
    array: np.ndarray = carray(_pointer(e.accounts), e.accounts_size, ACCOUNT_DTYPE)
    return array


@inner
def clock(e: Any) -> Any:
    """Return the clock and the counters."""
    return carray(_pointer(e.clock), 1, CLOCK_DTYPE)[0]


@inner
def log(e: Any) -> np.ndarray:
    """Return the log of responses."""
    array: np.ndarray = carray(_pointer(e.log), e.log_size, LOG_DTYPE)
    return array
