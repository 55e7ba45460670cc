"""Compiled functions that are cheap to compile into others: one copy each, no wrappers, and calls by address.

Numba makes a copy of a compiled function for every combination of argument types, where the literals ``0`` and ``1``
are two types and so are the widths of an integer; each copy comes with two wrappers; and all of it is optimised again
inside every caller. The functions here have one copy, and a :func:`caller` keeps what it calls out of its own caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numba import types
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic

__all__ = ["address", "caller", "inlined", "inner", "kernel"]

_SMALL = (types.int8, types.int16, types.int32, types.uint8, types.uint16, types.uint32)


def _common(kind: Any) -> Any:
    """Return the type that stands for a type: no literals, one integer."""
    plain = types.unliteral(kind)
    return types.int64 if plain in _SMALL else plain


class _Kernel(CPUDispatcher):  # type: ignore[misc]
    """A dispatcher that compiled callers share one copy of."""

    def get_call_template(self, args: Sequence[Any], kws: Mapping[str, Any]) -> Any:
        plain = {name: _common(kind) for name, kind in kws.items()}
        return super().get_call_template(tuple(_common(kind) for kind in args), plain)


class _Inner(_Kernel):
    """One without the wrapper for calls from Python: it says so instead of failing."""

    def add_overload(self, cres: Any) -> None:
        self.overloads[tuple(cres.signature.args)] = cres

    def _compile_for_args(self, *args: Any, **kws: Any) -> Any:
        del args, kws
        raise TypeError(f"{self.py_func.__qualname__} can only be called from compiled functions")


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function like ``njit(cache=True)``, once for all literals and widths of integers of compiled callers.

    Like that it needs a source file, beside which the result is kept.
    """
    made = _Kernel(function, targetoptions={"nopython": True, "boundscheck": None, "no_cfunc_wrapper": True})
    made.enable_caching()
    return made


def inner(function: Callable[..., Any]) -> Any:
    """Compile a function like :func:`kernel` that only compiled functions call: a third less to compile.

    Raises
    ------
    TypeError
        When the result is called from Python.
    """
    return _without_wrappers(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function like :func:`inner` that becomes part of each of its callers, which are few.

    A call costs some twenty instructions: registers saved and restored, and a look whether the callee raised.
    """
    return _without_wrappers(function, forceinline=True)


def _without_wrappers(function: Callable[..., Any], **options: bool) -> Any:
    plain = {"nopython": True, "boundscheck": None, "no_cfunc_wrapper": True, "no_cpython_wrapper": True}
    made = _Inner(function, targetoptions={**plain, **options})
    made.enable_caching()
    return made


def address(function: Any, signature: Any) -> int:
    """Return where a kernel begins, for a :func:`caller` of the same signature; it is compiled first if need be."""
    function.compile(signature)
    made = function.overloads[tuple(signature.args)]._asdict()
    returned = made["signature"].return_type
    if types.unliteral(returned) != signature.return_type:
        raise TypeError(f"{function.py_func.__qualname__} returns {returned}, not {signature}")
    return int(made["library"].get_pointer_to_function(made["fndesc"].llvm_func_name))


def caller(signature: Any) -> Callable[..., Any]:
    """Return ``call(address, arguments)`` for compiled functions: a call that cannot be compiled into the caller.

    ``arguments`` is a tuple, converted to the types of the signature. The function at the address is part neither of
    what the caller's compilation optimises nor of what it keeps on disk.
    """

    def build(context: Any, builder: Any, called: Any, arguments: Any) -> Any:
        convention, given = context.call_conv, called.args[1]
        values = [
            context.cast(builder, builder.extract_value(arguments[1], at), given[at], wanted)
            for at, wanted in enumerate(signature.args)
        ]
        kind = convention.get_function_type(signature.return_type, signature.args)
        function = builder.inttoptr(arguments[0], kind.as_pointer())
        status, result = convention.call_function(builder, function, signature.return_type, signature.args, values)
        with builder.if_then(status.is_error, likely=False):
            convention.return_status_propagate(builder, status)
        return result

    def call(typing_context: Any, address: Any, arguments: Any) -> Any:
        del typing_context, address
        return signature.return_type(types.int64, arguments), build

    return intrinsic(call)  # type: ignore[no-any-return]
