"""Times that no later record confirms: the made-up end-of-day time with which some writers close a file."""

from __future__ import annotations

import numpy as np

__all__ = ["JumpFilter"]


class JumpFilter:
    """Finds records whose time jumps ahead and is not confirmed.

    A record more than ``limit_ns`` ahead of the record before is suspect. It is believed when the next different
    time is not earlier than its own minus ``limit_ns``; it is refused, with all records of the same time, when
    that goes back, or when there is none: the end of a file cannot vouch for itself. A true silence longer than
    the limit costs records only at the very end of a file.

    Parameters
    ----------
    limit_ns : int
        Largest jump that is believed at once.
    """

    def __init__(self, limit_ns: int) -> None:
        self._limit = limit_ns
        self._latest: int | None = None

    def unconfirmed(self, times: np.ndarray, *, final: bool) -> np.ndarray:
        """Return the mask of refused records; ``final`` says that no record follows these."""
        refused = np.zeros(len(times), np.bool_)
        if not len(times):
            return refused
        before = np.append(times[0] if self._latest is None else self._latest, times[:-1])
        for row in np.flatnonzero(times - before > self._limit).tolist():
            if refused[row]:
                continue
            following = times[row:]
            different = np.flatnonzero(following != times[row])
            if len(different):
                believed = int(following[different[0]]) >= int(times[row]) - self._limit
            else:
                believed = not final
            if not believed:
                refused[row : row + int(different[0]) if len(different) else len(times)] = True
        if not refused.all():
            self._latest = int(times[~refused][-1])
        return refused
