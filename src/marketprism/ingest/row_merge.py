"""Merge time-ordered streams of rows without holding more than a chunk of each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["merge_rows"]


def merge_rows(first: Iterator[np.ndarray], second: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the rows of two streams in order of ``ts_recv``; at equal times ``first`` comes first.

    Each stream yields arrays of rows ordered by ``ts_recv``; the order inside a stream is kept, and the result does
    not depend on where the arrays are cut. Arrays without payload indices only (a gap is not merged here).

    Examples
    --------
    >>> from marketprism.core.rows import empty_rows
    >>> def rows(*times):
    ...     result = empty_rows(len(times))
    ...     result["ts_recv"] = times
    ...     return result
    >>> merged = np.concatenate(list(merge_rows(iter([rows(1, 3), rows(3, 9)]), iter([rows(2, 3, 4)]))))
    >>> merged["ts_recv"].tolist()
    [1, 2, 3, 3, 3, 4, 9]
    """
    a, b = next(first, None), next(second, None)
    while a is not None and b is not None:
        if len(a) == 0:
            a = next(first, None)
            continue
        if len(b) == 0:
            b = next(second, None)
            continue
        # A row may go once nothing that belongs before it can still come from the other stream.
        cut_a = int(np.searchsorted(a["ts_recv"], b["ts_recv"][-1], side="right"))
        cut_b = int(np.searchsorted(b["ts_recv"], a["ts_recv"][-1], side="left"))
        yield _interleave(a[:cut_a], b[:cut_b])
        a, b = a[cut_a:], b[cut_b:]
    for rest, stream in ((a, first), (b, second)):
        if rest is not None:
            yield rest
            yield from stream


def _interleave(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if not len(b):
        return a
    place = np.searchsorted(a["ts_recv"], b["ts_recv"], side="right") + np.arange(len(b))
    rows = np.zeros(len(a) + len(b), a.dtype)
    from_a = np.ones(len(rows), np.bool_)
    from_a[place] = False
    rows[from_a], rows[place] = a, b
    return rows
