"""The rule that an instrument's ``sequencing`` names, as the book's kernel calls it."""

# mypy: disable-error-code="no-any-return, return-value"
# Kernels read records and array items, whose static type is Any.

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numba import njit

from marketprism.book.sequencing import binance_futures, binance_spot, deribit, okx
from marketprism.book.sequencing.machine import LAST_ID, PENDING, SYNCED, Verdict

__all__ = ["RULES", "Rule", "accept_snapshot", "on_update"]


class Rule(IntEnum):
    """Number of a rule in saved state."""

    NONE = 0
    BINANCE_SPOT = 1
    BINANCE_FUTURES = 2
    OKX = 3
    DERIBIT = 4


RULES = {rule.name.lower(): rule for rule in Rule}
"""Rule by the name that :class:`~marketprism.core.instrument.Instrument` uses."""

_SPOT, _FUTURES, _OKX, _DERIBIT = (
    int(Rule.BINANCE_SPOT),
    int(Rule.BINANCE_FUTURES),
    int(Rule.OKX),
    int(Rule.DERIBIT),
)
_APPLY, _WAIT = int(Verdict.APPLY), int(Verdict.WAIT)

# Bound to names of this module: Numba resolves globals, not attributes of modules.
_spot_snapshot, _spot_update = binance_spot.accept_snapshot, binance_spot.on_update
_futures_snapshot, _futures_update = binance_futures.accept_snapshot, binance_futures.on_update
_okx_snapshot, _okx_update = okx.accept_snapshot, okx.on_update
_deribit_snapshot, _deribit_update = deribit.accept_snapshot, deribit.on_update


@njit(cache=True)
def accept_snapshot(rule: int, machine: np.ndarray, last_id: int, held: int, first: Any, second: Any) -> bool:
    """Ask ``rule`` whether a snapshot starts a book; ``first`` and ``second`` are rows of the held messages.

    Without a rule, or where the snapshot carries no id, it always does.
    """
    if last_id >= 0:
        if rule == _SPOT:
            return _spot_snapshot(machine, last_id, held, first.first_id)
        if rule == _FUTURES:
            return _futures_snapshot(machine, last_id, held, first.first_id, first.previous_id)
        if rule == _OKX:
            return _okx_snapshot(machine, last_id, held, first.previous_id, second.previous_id)
        if rule == _DERIBIT:
            return _deribit_snapshot(machine, last_id)
    machine[SYNCED] = 1
    machine[LAST_ID] = last_id
    machine[PENDING] = 0
    return True


@njit(cache=True)
def on_update(rule: int, machine: np.ndarray, row: Any) -> int:
    """Ask ``rule`` for its verdict on the message that ``row`` belongs to.

    Without a rule, or where the message carries no id, it applies to a synced book and waits otherwise.
    """
    if row.event_id >= 0:
        if rule == _SPOT:
            return _spot_update(machine, row.first_id, row.event_id)
        if rule == _FUTURES:
            return _futures_update(machine, row.first_id, row.event_id, row.previous_id)
        if rule == _OKX:
            return _okx_update(machine, row.event_id, row.previous_id)
        if rule == _DERIBIT:
            return _deribit_update(machine, row.event_id, row.previous_id)
    if machine[SYNCED] == 0:
        return _WAIT
    machine[LAST_ID] = row.event_id
    return _APPLY
