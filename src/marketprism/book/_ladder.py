"""Price levels of both sides: an array of ticks around the best price, the rest sorted beside it.

Both sides use one code path: a level's *key* is its price in ticks for bids and the negative price for asks, so the
best level always has the highest key. ``ladder[side, key - base]`` holds the quantity, a bitmap says which slots are
occupied, and levels outside the range are kept in ``overflow[side]``, sorted by key. :func:`move_range` re-centres a
side; nothing is lost by it.
"""

# mypy: disable-error-code="no-any-return, return-value"
# Kernels read records and array items, whose static type is Any.

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from marketprism.book._bits import SLOTS, clear_bit, highest_below, set_bit
from marketprism.book._state import LEVEL_DTYPE, NO_KEY, Count

__all__ = [
    "best_key",
    "clear_side",
    "level_quantity",
    "levels_of",
    "move_range",
    "put_levels",
    "read_depth",
    "set_level",
]

_HOME = SLOTS * 3 // 4
"""Slot where the best level sits after a move: most levels lie below (behind) it."""
_LOW = SLOTS // 4
_MOVES = int(Count.RANGE_MOVES)


@njit(cache=True)
def _find(overflow: np.ndarray, side: int, n: int, key: int) -> int:
    low, high = 0, n
    while low < high:
        middle = (low + high) >> 1
        if overflow[side, middle].key < key:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _set_overflow(s: Any, overflow: np.ndarray, side: int, key: int, quantity: float) -> float:
    n = s.overflow_levels[side]
    at = _find(overflow, side, n, key)
    if at < n and overflow[side, at].key == key:
        old = overflow[side, at].quantity
        if quantity > 0.0:
            overflow[side, at].quantity = quantity
            return old
        for i in range(at, n - 1):
            overflow[side, i].key = overflow[side, i + 1].key
            overflow[side, i].quantity = overflow[side, i + 1].quantity
        s.overflow_levels[side] = n - 1
        return old
    if quantity > 0.0:
        for i in range(n, at, -1):
            overflow[side, i].key = overflow[side, i - 1].key
            overflow[side, i].quantity = overflow[side, i - 1].quantity
        overflow[side, at].key = key
        overflow[side, at].quantity = quantity
        s.overflow_levels[side] = n + 1
    return 0.0


@njit(cache=True, inline="always")
def set_level(
    s: Any, ladder: np.ndarray, bits: np.ndarray, overflow: np.ndarray, side: int, key: int, quantity: float
) -> float:
    """Set the quantity of a level (0 removes it) and return what it was, 0 for an unknown level."""
    slot = key - s.base[side]
    if slot < 0 or slot >= SLOTS:
        if quantity == 0.0 or s.ladder_levels[side] + s.overflow_levels[side] > 0:
            return _set_overflow(s, overflow, side, key, quantity)
        s.base[side] = key - _HOME
        slot = _HOME
    old = ladder[side, slot]
    if quantity > 0.0:
        ladder[side, slot] = quantity
        if old == 0.0:
            set_bit(bits, side, slot)
            s.ladder_levels[side] += 1
            s.best[side] = max(s.best[side], slot)
    elif old > 0.0:
        ladder[side, slot] = 0.0
        clear_bit(bits, side, slot)
        s.ladder_levels[side] -= 1
        if slot == s.best[side]:
            s.best[side] = highest_below(bits, side, slot)
    return old


@njit(cache=True)
def level_quantity(s: Any, ladder: np.ndarray, overflow: np.ndarray, side: int, key: int) -> float:
    """Return the quantity at ``key``, 0 where there is no level."""
    slot = key - s.base[side]
    if 0 <= slot < SLOTS:
        return ladder[side, slot]
    n = s.overflow_levels[side]
    at = _find(overflow, side, n, key)
    return overflow[side, at].quantity if at < n and overflow[side, at].key == key else 0.0


@njit(cache=True)
def clear_side(s: Any, ladder: np.ndarray, bits: np.ndarray, side: int) -> None:
    """Remove every level of ``side``; costs time in the number of levels, not of slots."""
    slot = s.best[side]
    while slot >= 0:
        ladder[side, slot] = 0.0
        clear_bit(bits, side, slot)
        slot = highest_below(bits, side, slot)
    s.best[side] = -1
    s.ladder_levels[side] = 0
    s.overflow_levels[side] = 0


@njit(cache=True)
def best_key(s: Any, overflow: np.ndarray, side: int) -> int:
    """Return the key of the best level, NO_KEY for an empty side."""
    n = s.overflow_levels[side]
    if n > 0 and overflow[side, n - 1].key >= s.base[side] + SLOTS:
        return overflow[side, n - 1].key
    if s.best[side] >= 0:
        return s.base[side] + s.best[side]
    return overflow[side, n - 1].key if n > 0 else NO_KEY


@njit(cache=True)
def levels_of(s: Any, ladder: np.ndarray, bits: np.ndarray, overflow: np.ndarray, side: int) -> np.ndarray:
    """Return all levels of ``side`` as LEVEL_DTYPE records, worst first."""
    n, m = s.overflow_levels[side], s.ladder_levels[side]
    out = np.empty(n + m, LEVEL_DTYPE)
    below = _find(overflow, side, n, s.base[side])
    for i in range(below):
        out[i].key = overflow[side, i].key
        out[i].quantity = overflow[side, i].quantity
    slot = s.best[side]
    for i in range(below + m - 1, below - 1, -1):
        out[i].key = s.base[side] + slot
        out[i].quantity = ladder[side, slot]
        slot = highest_below(bits, side, slot)
    for i in range(below, n):
        out[i + m].key = overflow[side, i].key
        out[i + m].quantity = overflow[side, i].quantity
    return out


@njit(cache=True)
def put_levels(
    s: Any, ladder: np.ndarray, bits: np.ndarray, overflow: np.ndarray, side: int, levels: np.ndarray
) -> None:
    """Fill an empty side with ``levels`` (worst first) without moving its range."""
    n = 0
    for i in range(len(levels)):
        slot = levels[i].key - s.base[side]
        if 0 <= slot < SLOTS:
            set_level(s, ladder, bits, overflow, side, levels[i].key, levels[i].quantity)
        else:
            overflow[side, n].key = levels[i].key
            overflow[side, n].quantity = levels[i].quantity
            n += 1
    s.overflow_levels[side] = n


@njit(cache=True)
def move_range(s: Any, ladder: np.ndarray, bits: np.ndarray, overflow: np.ndarray, side: int) -> None:
    """Re-centre the ladder of ``side`` on its best level where that left the comfortable part of the range."""
    best = best_key(s, overflow, side)
    slot = best - s.base[side]
    if best == NO_KEY or _LOW <= slot < SLOTS or (s.overflow_levels[side] == 0 and 0 <= slot < SLOTS):
        return
    levels = levels_of(s, ladder, bits, overflow, side)
    clear_side(s, ladder, bits, side)
    s.base[side] = best - _HOME
    put_levels(s, ladder, bits, overflow, side, levels)
    s.counters[_MOVES] += 1


@njit(cache=True)
def read_depth(
    s: Any,
    ladder: np.ndarray,
    bits: np.ndarray,
    overflow: np.ndarray,
    side: int,
    price: np.ndarray,
    quantity: np.ndarray,
) -> int:
    """Write the best levels of ``side`` into ``price`` and ``quantity`` (their length decides how many).

    Returns the key of the last level written, NO_KEY where the side has fewer levels than asked for.
    """
    wanted = len(price)
    sign = 1 if side == 0 else -1
    base, top = s.base[side], s.base[side] + SLOTS
    at = s.overflow_levels[side] - 1
    n = 0
    key = NO_KEY
    while n < wanted and at >= 0 and overflow[side, at].key >= top:
        key = overflow[side, at].key
        price[n], quantity[n] = sign * key, overflow[side, at].quantity
        n, at = n + 1, at - 1
    slot = s.best[side]
    while n < wanted and slot >= 0:
        key = base + slot
        price[n], quantity[n] = sign * key, ladder[side, slot]
        n, slot = n + 1, highest_below(bits, side, slot)
    while n < wanted and at >= 0:
        key = overflow[side, at].key
        price[n], quantity[n] = sign * key, overflow[side, at].quantity
        n, at = n + 1, at - 1
    if n == wanted:
        return key
    for i in range(n, wanted):
        price[i], quantity[i] = 0, 0.0
    return NO_KEY
