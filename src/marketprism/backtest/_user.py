"""Calls of a user's own compiled functions by address: one indirect call, no matter which function it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import cfunc, types
from numba.core.errors import NumbaError
from numba.extending import intrinsic

from marketprism.core.errors import ConfigError

__all__ = ["FEE", "LATENCY", "QUEUE", "call_fee", "call_latency", "call_queue", "compiled"]

LATENCY = types.int64(types.int64, types.int64, types.int64, types.float64)
QUEUE = types.float64(types.float64, types.float64, types.float64, types.float64, types.float64)
FEE = types.float64(types.float64, types.float64, types.float64, types.int64, types.float64)
_NAMES = {LATENCY: "latency", QUEUE: "queue", FEE: "fee"}


def compiled(function: Callable[..., Any], signature: Any) -> Any:
    """Compile a plain or njit function for one of the signatures; keep the result alive as long as its address is used.

    Raises
    ------
    ConfigError
        It does not compile with that signature.
    """
    plain = getattr(function, "py_func", function)
    try:
        return cfunc(signature)(plain)
    except NumbaError as error:
        raise ConfigError(
            f"the {_NAMES[signature]} function {getattr(plain, '__name__', plain)!r} did not compile as {signature}: "
            f"{str(error).splitlines()[0]}",
            hint="see MarketModels for the arguments",
        ) from error


def _caller(signature: Any) -> Callable[..., Any]:
    def build(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        values = [context.get_value_type(kind) for kind in signature.args]
        kind = ir.FunctionType(context.get_value_type(signature.return_type), values)
        return builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])

    return build


@intrinsic
def call_latency(typing_context: Any, address: Any, now: Any, request: Any, number: Any, uniform: Any) -> Any:
    """Call a latency function."""
    del typing_context, address, now, request, number, uniform
    return LATENCY.return_type(types.int64, *LATENCY.args), _caller(LATENCY)


@intrinsic
def call_queue(typing_context: Any, address: Any, front: Any, before: Any, after: Any, traded: Any, n: Any) -> Any:
    """Call a queue model."""
    del typing_context, address, front, before, after, traded, n
    return QUEUE.return_type(types.int64, *QUEUE.args), _caller(QUEUE)


@intrinsic
def call_fee(typing_context: Any, address: Any, value: Any, quantity: Any, price: Any, maker: Any, past: Any) -> Any:
    """Call a fee function."""
    del typing_context, address, value, quantity, price, maker, past
    return FEE.return_type(types.int64, *FEE.args), _caller(FEE)
