"""What every sequencing machine shares: its state, its verdicts and how one is chosen."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

__all__ = ["LAST_ID", "LOST", "MACHINE_FIELDS", "PENDING", "SYNCED", "Verdict", "new_machine"]

SYNCED = 0
"""1 while the book follows the venue's sequence."""
LAST_ID = 1
"""Update id of the book, -1 before there is one."""
PENDING = 2
"""1 between a snapshot and the first update applied to it."""
LOST = 3
"""After a GAP verdict: how many update ids are missing, -1 if the venue's ids do not tell."""
MACHINE_FIELDS = 4
"""Length of a machine's state."""


class Verdict(IntEnum):
    """What to do with a message."""

    APPLY = 1
    STALE = 2
    """Older than the book: drop."""
    DUPLICATE = 3
    """Seen already: drop."""
    GAP = 4
    """Messages before this one are missing: the book is invalid from here on."""
    WAIT = 5
    """There is no book to apply it to yet: hold it for the snapshot."""
    RESET = 6
    """Apply; the venue restarted its numbering."""


def new_machine() -> np.ndarray:
    """Return the state of a machine that has seen nothing.

    Examples
    --------
    >>> new_machine().tolist()
    [0, -1, 0, 0]
    """
    state = np.zeros(MACHINE_FIELDS, np.int64)
    state[LAST_ID] = -1
    return state
