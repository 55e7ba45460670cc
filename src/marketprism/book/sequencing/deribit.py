"""Deribit ``book.{instrument}.{interval}`` channels: a full message, then changes that name their predecessor.

Rules (https://docs.deribit.com/subscriptions/orderbook/bookinstrument_nameinterval):

1. "The first notification contains a full snapshot of the book". It comes on the channel itself, so an update seen
   before it is older: dropped, never buffered.
2. "If prev_change_id equals the change_id of the previous message, it indicates that no messages were missed"; else
   the book is invalid until the next full message.
3. A message that repeats the book's ``change_id``, or an older one, was applied before: dropped and counted.
"""

# mypy: disable-error-code="no-any-return, return-value"
# Kernels read records and array items, whose static type is Any.

from __future__ import annotations

import numpy as np
from numba import njit

from marketprism.book.sequencing.machine import LAST_ID, LOST, PENDING, SYNCED, Verdict

__all__ = ["accept_snapshot", "on_update"]

_APPLY, _STALE, _DUPLICATE, _GAP, _WAIT = (
    int(Verdict.APPLY),
    int(Verdict.STALE),
    int(Verdict.DUPLICATE),
    int(Verdict.GAP),
    int(Verdict.WAIT),
)


@njit(cache=True)
def accept_snapshot(machine: np.ndarray, last_id: int) -> bool:
    """Set the machine to a full message with ``change_id = last_id``; such a message is always accepted."""
    machine[SYNCED] = 1  # rule 1
    machine[LAST_ID] = last_id
    machine[PENDING] = 1
    return True


@njit(cache=True)
def on_update(machine: np.ndarray, last_id: int, previous_id: int) -> int:
    """Return the :class:`Verdict` on a change with ``change_id`` and ``prev_change_id``, and move the machine.

    WAIT means "drop" on this venue (rule 1).
    """
    if machine[SYNCED] == 0:
        return _WAIT
    book = machine[LAST_ID]
    if previous_id == book:  # rule 2
        machine[LAST_ID] = last_id
        machine[PENDING] = 0
        return _APPLY
    if last_id <= book:  # rule 3
        return _DUPLICATE if last_id == book else _STALE
    machine[SYNCED] = 0
    machine[LOST] = -1
    return _GAP
