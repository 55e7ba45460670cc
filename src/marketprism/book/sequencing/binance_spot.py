"""Binance spot diff depth streams: update ids are contiguous (``U`` is the previous ``u`` + 1).

Rules as the venue publishes them
(https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#how-to-manage-a-local-order-book-correctly):

1. "Buffer the events received from the stream. Note the U of the first event you received."
2. "If the lastUpdateId from the snapshot is strictly less than the U from step 2, go back": the snapshot is
   refused and another one awaited.
3. "In the buffered events, discard any event where u is <= lastUpdateId of the snapshot. The first buffered event
   should now have lastUpdateId within its [U;u] range."
4. "Set your local order book to the snapshot. Its update ID is lastUpdateId."
5. "If the event last update ID (u) is less than the update ID of your local order book, ignore the event." (Equal is
   the same event again: ignored too, and counted apart.)
6. "If the event first update ID (U) is greater than the update ID of your local order book plus 1, you have missed
   some events. Discard your local order book and restart the process from the beginning."
7. "Set the order book update ID to the last update ID (u) in the processed event."
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
def accept_snapshot(machine: np.ndarray, last_id: int, held: int, held_first: int) -> bool:
    """Decide whether a snapshot starts a book, and set the machine to it.

    Parameters
    ----------
    machine : int64 ndarray
        State, see :mod:`marketprism.book.sequencing.machine`.
    last_id : int
        ``lastUpdateId`` of the snapshot.
    held : int
        Messages in the buffer.
    held_first : int
        ``U`` of the first of them.
    """
    if held > 0 and last_id < held_first:  # rule 2
        return False
    if machine[SYNCED] == 1 and last_id < machine[LAST_ID]:  # a late answer: the book is newer
        return False
    machine[SYNCED] = 1  # rule 4
    machine[LAST_ID] = last_id
    machine[PENDING] = 1
    return True


@njit(cache=True)
def on_update(machine: np.ndarray, first_id: int, last_id: int) -> int:
    """Return the :class:`Verdict` on a diff with ids ``U = first_id`` and ``u = last_id``, and move the machine."""
    if machine[SYNCED] == 0:  # rule 1
        return _WAIT
    book = machine[LAST_ID]
    if last_id <= book:  # rules 3 and 5
        return _DUPLICATE if last_id == book and machine[PENDING] == 0 else _STALE
    if first_id > book + 1:  # rule 6
        machine[SYNCED] = 0
        machine[LOST] = first_id - book - 1
        return _GAP
    machine[LAST_ID] = last_id  # rule 7
    machine[PENDING] = 0
    return _APPLY
