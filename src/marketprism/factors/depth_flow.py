"""Multi-level order-flow imbalance (Xu, Gould and Howison)."""

from __future__ import annotations

import numpy as np
from numba import njit

from marketprism.book.views import DEPTH_LEVELS, ViewStatus
from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.factors.base import Factor, Family, Setup, in_buckets, increasing
from marketprism.factors.marks import AFTER, BEFORE, DEPTH, RESET
from marketprism.factors.windows import window_sum

__all__ = ["FAMILY", "DepthFlowParams"]

_DEPTH_VALID = int(ViewStatus.DEPTH_VALID)


class DepthFlowParams(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Levels and windows of the family.

    Parameters
    ----------
    levels : tuple of int
        Levels, 1 the best; those beyond what the book keeps (``book.depth_levels``) are left out.
    buckets : tuple of int
        Windows in buckets.
    """

    levels: tuple[int, ...] = (1, 2, 3, 4, 5, 10)
    buckets: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        increasing("levels", self.levels)
        increasing("buckets", self.buckets)
        if self.levels and self.levels[-1] > DEPTH_LEVELS:
            raise ConfigError(f"levels was {self.levels}", hint=f"a book keeps at most {DEPTH_LEVELS}")


def _usable(setup: Setup) -> tuple[int, ...]:
    return tuple(n for n in setup.params.levels if n <= setup.depth_levels)


def _factors(setup: Setup) -> tuple[Factor, ...]:
    return tuple(
        Factor(
            name=in_buckets(f"ofi_level_{level}", n), unit="base", inputs=("depth",), mirror="odd", quantity_power=1,
            formula="sum of 1{b>=b'}qb - 1{b<=b'}qb' - 1{a<=a'}qa + 1{a>=a'}qa' with the prices and sizes of the "
            f"level {level} of each side",
            description="Net size added at one level of the bids over the same level of the asks.",
            window=f"{n} bucket(s) up to the present one",
            null="null where the depth is invalid at the close of the bucket or lacks the level"
            + (f", or fewer than {n} buckets have closed since the last gap" if n > 1 else ""),
            source="Xu, Gould and Howison (2018), Multi-level order-flow imbalance in a limit order book, eq. 5",
        )
        for level in _usable(setup)
        for n in setup.params.buckets
    )  # fmt: skip


def _state(setup: Setup) -> dict[str, np.ndarray]:
    p = setup.params
    levels = _usable(setup)
    return {
        "counts": np.zeros(2, np.int64),  # valid depth is held; buckets closed since the last gap
        "levels": np.array(levels, np.int64) - 1,
        "bucket_windows": np.array(p.buckets, np.int64),
        "price": np.zeros((2, len(levels)), np.int64),
        "quantity": np.zeros((2, len(levels))),
        "sums": np.zeros(len(levels)),
        "history": np.zeros((max(p.buckets, default=1), len(levels))),
    }


@njit(cache=True)
def _apply(counts, valid, new_price, new_quantity, levels, price, quantity, sums):  # type: ignore[no-untyped-def]
    compare = valid and counts[0]
    counts[0] = 1 if valid else 0
    if not valid:
        return
    for j in range(len(levels)):
        l = levels[j]
        b, a, qb, qa = new_price[0, l], new_price[1, l], new_quantity[0, l], new_quantity[1, l]
        if compare and qb > 0 and qa > 0 and quantity[0, j] > 0 and quantity[1, j] > 0:
            flow = 0.0
            if b >= price[0, j]:
                flow += qb
            if b <= price[0, j]:
                flow -= quantity[0, j]
            against = 0.0
            if a <= price[1, j]:
                against += qa
            if a >= price[1, j]:
                against -= quantity[1, j]
            sums[j] += flow - against
        price[0, j], price[1, j], quantity[0, j], quantity[1, j] = b, a, qb, qa


@njit(cache=True)
def _emit(counts, bucket_windows, quantity, sums, history, out):  # type: ignore[no-untyped-def]
    slot = counts[1] % len(history)
    counts[1] += 1
    at = 0
    for j in range(len(sums)):
        there = counts[0] and quantity[0, j] > 0 and quantity[1, j] > 0
        history[slot, j] = sums[j] if there else np.nan
        sums[j] = 0.0
        for n in bucket_windows:
            out[at] = window_sum(history, j, counts[1], n)
            at += 1


@njit(cache=True)
def _kernel(  # type: ignore[no-untyped-def]
    rows, top, depth_price, depth_quantity, marks, clock, buckets,
    counts, levels, bucket_windows, price, quantity, sums, history, out,
):  # fmt: skip
    k = 0
    for i in range(len(marks)):
        mark = marks[i]
        if mark & (BEFORE | AFTER | RESET | DEPTH) == 0:
            continue
        if mark & BEFORE:
            _emit(counts, bucket_windows, quantity, sums, history, out[k])
            k += 1
        if mark & RESET:
            counts[:] = 0
            sums[:] = 0.0
        if mark & (DEPTH | RESET):
            now = top[i].depth
            valid = top[i].status & _DEPTH_VALID != 0
            _apply(counts, valid, depth_price[now], depth_quantity[now], levels, price, quantity, sums)
        if mark & AFTER:
            _emit(counts, bucket_windows, quantity, sums, history, out[k])
            k += 1


FAMILY = Family(name="depth_flow", factors=_factors, state=_state, kernel=_kernel, wants=DEPTH, params=DepthFlowParams)
