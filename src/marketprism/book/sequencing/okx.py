"""OKX ``books`` channels: each update names its predecessor in ``prevSeqId``.

Rules (https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel and the 2026 notices on
the checksum field and on the initial websocket snapshot):

1. A snapshot sent on the websocket has ``prevSeqId = -1`` and starts the book at its ``seqId``.
2. Each update's ``prevSeqId`` equals the ``seqId`` of the message before it; otherwise messages were lost.
3. ``seqId == prevSeqId`` is a heartbeat: nothing changed for a while.
4. ``seqId < prevSeqId`` is a maintenance reset: the numbering restarts, the update itself is in order.
5. Where the websocket sends no snapshot: buffer, fetch REST ``books``, and require its ``seqId`` at or above the
   second event's ``prevSeqId`` (of a single held event: its own ``prevSeqId``); otherwise fetch again.
6. Then drop events with ``seqId`` at or below the snapshot's.
7. The first event applied has ``prevSeqId <= snapshot seqId < seqId``.
"""

# mypy: disable-error-code="no-any-return, return-value"
# Kernels read records and array items, whose static type is Any.

from __future__ import annotations

import numpy as np
from numba import njit

from marketprism.book.sequencing.machine import LAST_ID, LOST, PENDING, SYNCED, Verdict

__all__ = ["accept_snapshot", "on_update"]

_APPLY, _STALE, _DUPLICATE, _GAP, _WAIT, _RESET = (
    int(Verdict.APPLY),
    int(Verdict.STALE),
    int(Verdict.DUPLICATE),
    int(Verdict.GAP),
    int(Verdict.WAIT),
    int(Verdict.RESET),
)


@njit(cache=True)
def accept_snapshot(machine: np.ndarray, last_id: int, held: int, held_previous: int, second_previous: int) -> bool:
    """Decide whether a snapshot starts a book, and set the machine to it.

    Parameters
    ----------
    machine : int64 ndarray
        State, see :mod:`marketprism.book.sequencing.machine`.
    last_id : int
        ``seqId`` of the snapshot.
    held : int
        Messages in the buffer.
    held_previous, second_previous : int
        ``prevSeqId`` of the first and of the second of them.
    """
    if held > 0 and last_id < (second_previous if held > 1 else held_previous):  # rule 5
        return False
    machine[SYNCED] = 1  # rule 1
    machine[LAST_ID] = last_id
    machine[PENDING] = 1
    return True


@njit(cache=True)
def on_update(machine: np.ndarray, last_id: int, previous_id: int) -> int:
    """Return the :class:`Verdict` on an update with ``seqId`` and ``prevSeqId``, and move the machine."""
    if machine[SYNCED] == 0:
        return _WAIT
    book = machine[LAST_ID]
    in_order = previous_id == book
    reset = last_id < previous_id
    if machine[PENDING] == 1 and not in_order and not reset:
        if last_id <= book:  # rule 6
            return _STALE
        in_order = previous_id < book  # rule 7
    if not in_order:
        if last_id <= book and not reset:
            return _DUPLICATE if last_id == book else _STALE
        machine[SYNCED] = 0  # rule 2
        machine[LOST] = -1
        return _GAP
    machine[LAST_ID] = last_id  # rule 3: a heartbeat leaves it where it is
    machine[PENDING] = 0
    return _RESET if reset else _APPLY  # rule 4
