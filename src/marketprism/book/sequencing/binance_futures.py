"""Binance USDT-M and COIN-M diff depth streams: update ids skip, each diff names its predecessor in ``pu``.

Rules as the venue publishes them
(https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams/How-to-manage-a-local-order-book-correctly,
the COIN-M page has the same text):

1. "Buffer the events you receive from the stream."
2. "Get a depth snapshot". One that ends before the first buffered event begins cannot be joined: it is refused and
   another one awaited, unless that event's ``pu`` is the snapshot's id (nothing lies between them).
3. "Drop any event where u is < lastUpdateId in the snapshot."
4. "The first processed event should have U <= lastUpdateId AND u >= lastUpdateId" (or ``pu == lastUpdateId``, which
   proves the same).
5. "While listening to the stream, each new event's pu should be equal to the previous event's u, otherwise
   initialize the process from step 3": a resync. The spot rule (``U == u + 1``) never holds here.
6. An event with ``u`` at or below the book's was applied before: dropped and counted.
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
def accept_snapshot(machine: np.ndarray, last_id: int, held: int, held_first: int, held_previous: int) -> bool:
    """Decide whether a snapshot starts a book, and set the machine to it.

    Parameters
    ----------
    machine : int64 ndarray
        State, see :mod:`marketprism.book.sequencing.machine`.
    last_id : int
        ``lastUpdateId`` of the snapshot.
    held : int
        Messages in the buffer.
    held_first, held_previous : int
        ``U`` and ``pu`` of the first of them.
    """
    if held > 0 and last_id < held_first and last_id != held_previous:  # rule 2
        return False
    if machine[SYNCED] == 1 and last_id < machine[LAST_ID]:  # a late answer: the book is newer
        return False
    machine[SYNCED] = 1
    machine[LAST_ID] = last_id
    machine[PENDING] = 1
    return True


@njit(cache=True)
def on_update(machine: np.ndarray, first_id: int, last_id: int, previous_id: int) -> int:
    """Return the :class:`Verdict` on a diff with ids ``U``, ``u`` and ``pu``, and move the machine."""
    if machine[SYNCED] == 0:  # rule 1
        return _WAIT
    book = machine[LAST_ID]
    if machine[PENDING] == 1:
        if last_id < book:  # rule 3
            return _STALE
        joined = first_id <= book or previous_id == book  # rule 4
    else:
        if last_id <= book:  # rule 6
            return _DUPLICATE if last_id == book else _STALE
        joined = previous_id == book  # rule 5
    if not joined:
        machine[SYNCED] = 0
        machine[LOST] = max(previous_id - book, -1)
        return _GAP
    machine[LAST_ID] = last_id
    machine[PENDING] = 0
    return _APPLY
