"""Calls of the engine's entries by address: what calls them does not compile them in.

The addresses are in the record of the engine, see :mod:`~marketprism.backtest._entries`.
"""

from __future__ import annotations

from typing import Any

from numba import from_dtype, types

from marketprism.backtest._layout import ENGINE_DTYPE
from marketprism.core.kernels import caller, inner

__all__ = [
    "SIGNATURES",
    "cancel",
    "exchange",
    "execute",
    "liquidate",
    "local",
    "modify",
    "order",
    "reply",
    "serve",
    "step",
    "step_to_feed",
    "stop_lane",
    "watch",
]

_E, _INT, _FLOAT, _BOOL, _NONE = from_dtype(ENGINE_DTYPE), types.int64, types.float64, types.boolean, types.none

SIGNATURES = {
    "step": _INT(_E, _INT),
    "step_to_feed": _INT(_E, _INT, _BOOL),
    "exchange": _BOOL(_E, _INT, _INT),
    "local": _NONE(_E, _INT, _INT),
    "serve": _BOOL(_E, _INT, _INT),
    "liquidate": _NONE(_E, _INT, _INT, _BOOL),
    "execute": _NONE(_E, _INT, _INT, _INT, _INT, _FLOAT, _INT, _INT, _INT),
    "reply": _NONE(_E, _INT, _INT, _INT, _INT, _INT, _FLOAT, _INT, _INT, _INT, _INT, _FLOAT),
    "watch": _NONE(_E),
    "order": _INT(_E, _INT, _INT, _INT, _INT, _FLOAT, _INT, _INT),
    "cancel": _BOOL(_E, _INT),
    "modify": _BOOL(_E, _INT, _INT, _FLOAT),
    "stop_lane": _NONE(_E, _INT),
}
"""What each entry takes and returns, by its name in ``ENGINE_DTYPE``."""

_step = caller(SIGNATURES["step"])
_step_to_feed = caller(SIGNATURES["step_to_feed"])
_exchange = caller(SIGNATURES["exchange"])
_local = caller(SIGNATURES["local"])
_serve = caller(SIGNATURES["serve"])
_liquidate = caller(SIGNATURES["liquidate"])
_execute = caller(SIGNATURES["execute"])
_reply = caller(SIGNATURES["reply"])
_watch = caller(SIGNATURES["watch"])
_order = caller(SIGNATURES["order"])
_cancel = caller(SIGNATURES["cancel"])
_modify = caller(SIGNATURES["modify"])
_stop_lane = caller(SIGNATURES["stop_lane"])


@inner
def step(e: Any, duration: int) -> int:
    """See :func:`~marketprism.backtest.actions.advance`."""
    return int(_step(e.step, (e, duration)))


@inner
def step_to_feed(e: Any, timeout: int, responses: bool) -> int:
    """See :func:`~marketprism.backtest.actions.advance_to_feed`."""
    return int(_step_to_feed(e.step_to_feed, (e, timeout, responses)))


@inner
def exchange(e: Any, index: int, until: int) -> bool:
    """Let the exchange of one market do everything up to and including ``until``; False: a pool must grow first."""
    return bool(_exchange(e.exchange, (e, index, until)))


@inner
def local(e: Any, index: int, until: int) -> None:
    """Let the local side of one market hear everything up to and including ``until``."""
    _local(e.local, (e, index, until))


@inner
def serve(e: Any, index: int, ts: int) -> bool:
    """Do what is due at ``ts`` (strict mode); False: a pool must grow first."""
    return bool(_serve(e.serve, (e, index, ts)))


@inner
def liquidate(e: Any, index: int, ts: int, moved: bool) -> None:
    """Liquidate the accounts whose price of liquidation the market has reached (strict mode)."""
    _liquidate(e.liquidate, (e, index, ts, moved))


@inner
def execute(
    e: Any, index: int, slot: int, ts: int, tick: int, quantity: float, maker: int, sent: int, reason: int
) -> None:
    """Execute ``quantity`` of an order at ``tick`` (strict mode)."""
    _execute(e.execute, (e, index, slot, ts, tick, quantity, maker, sent, reason))


@inner
def reply(
    e: Any,
    index: int,
    slot: int,
    ts: int,
    status: int,
    request: int,
    executed: float,
    tick: int,
    maker: int,
    sent: int,
    reason: int,
    fee: float,
) -> None:
    """Send a response about an order from the exchange at ``ts`` (strict mode)."""
    _reply(e.reply, (e, index, slot, ts, status, request, executed, tick, maker, sent, reason, fee))


@inner
def watch(e: Any) -> None:
    """Look at every account with limits."""
    _watch(e.watch, (e,))


@inner
def order(e: Any, lane: int, index: int, side: int, tick: int, quantity: float, kind: int, time_in_force: int) -> int:
    """See :func:`~marketprism.backtest.actions.submit`."""
    return int(_order(e.order, (e, lane, index, side, tick, quantity, kind, time_in_force)))


@inner
def cancel(e: Any, slot: int) -> bool:
    """See :func:`~marketprism.backtest.actions.cancel`."""
    return bool(_cancel(e.cancel, (e, slot)))


@inner
def modify(e: Any, slot: int, tick: int, quantity: float) -> bool:
    """See :func:`~marketprism.backtest.actions.modify`."""
    return bool(_modify(e.modify, (e, slot, tick, quantity)))


@inner
def stop_lane(e: Any, lane: int) -> None:
    """See :func:`~marketprism.backtest.actions.kill`."""
    _stop_lane(e.stop_lane, (e, lane))
