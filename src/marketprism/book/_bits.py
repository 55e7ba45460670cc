"""A two-level bitmap: the next occupied slot below another in a few instructions."""

# mypy: disable-error-code="no-any-return, return-value"
# Kernels read records and array items, whose static type is Any.

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["BITMAP_WORDS", "SLOTS", "clear_bit", "highest_below", "set_bit"]

SLOTS = 65_536
"""Ticks that one side's ladder covers."""

_WORDS = SLOTS // 64
_SUMMARY = _WORDS // 64
BITMAP_WORDS = _WORDS + _SUMMARY
"""Words a side: one bit a slot, then one bit a word."""

_ONE = np.uint64(1)


@intrinsic
def _leading_zeros(_context: Any, _value: Any) -> Any:
    def codegen(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


@njit(cache=True)
def set_bit(bits: np.ndarray, side: int, slot: int) -> None:
    """Mark ``slot`` of ``side`` occupied."""
    word = slot >> 6
    bits[side, word] |= _ONE << np.uint64(slot & 63)
    bits[side, _WORDS + (word >> 6)] |= _ONE << np.uint64(word & 63)


@njit(cache=True)
def clear_bit(bits: np.ndarray, side: int, slot: int) -> None:
    """Mark ``slot`` of ``side`` free."""
    word = slot >> 6
    bits[side, word] &= ~(_ONE << np.uint64(slot & 63))
    if bits[side, word] == np.uint64(0):
        bits[side, _WORDS + (word >> 6)] &= ~(_ONE << np.uint64(word & 63))


@njit(cache=True)
def highest_below(bits: np.ndarray, side: int, slot: int) -> int:
    """Return the highest occupied slot strictly below ``slot``, -1 if there is none."""
    word = slot >> 6
    found = bits[side, word] & ((_ONE << np.uint64(slot & 63)) - _ONE)
    if found:
        return (word << 6) + 63 - _leading_zeros(found)
    block = word >> 6
    words = bits[side, _WORDS + block] & ((_ONE << np.uint64(word & 63)) - _ONE)
    while words == np.uint64(0):
        block -= 1
        if block < 0:
            return -1
        words = bits[side, _WORDS + block]
    word = (block << 6) + 63 - _leading_zeros(words)
    return (word << 6) + 63 - _leading_zeros(bits[side, word])
