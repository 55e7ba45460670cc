"""Merge two streams of rows by the exchange's sequence number, a chunk of each at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["merge_by_sequence"]


def merge_by_sequence(first: Iterator[np.ndarray], second: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the rows of both streams ordered by ``first_id``; at equal numbers ``first`` comes first.

    Each stream yields arrays of rows ordered by ``first_id``; the order inside a stream is kept, and the result does
    not depend on where the arrays are cut.

    Examples
    --------
    >>> from marketprism.core.rows import empty_rows
    >>> def rows(*numbers):
    ...     result = empty_rows(len(numbers))
    ...     result["first_id"] = numbers
    ...     return result
    >>> merged = list(merge_by_sequence(iter([rows(1, 3), rows(), rows(4, 9)]), iter([rows(2, 3), rows(5)])))
    >>> np.concatenate(merged)["first_id"].tolist()
    [1, 2, 3, 3, 4, 5, 9]
    """
    a, b = _more(first), _more(second)
    while a is not None and b is not None:
        # A row may go once nothing that belongs before it can still come from the other stream.
        cut_a = int(np.searchsorted(a["first_id"], b["first_id"][-1], side="right"))
        cut_b = int(np.searchsorted(b["first_id"], a["first_id"][-1], side="left"))
        yield _interleave(a[:cut_a], b[:cut_b])
        a = a[cut_a:] if cut_a < len(a) else _more(first)
        b = b[cut_b:] if cut_b < len(b) else _more(second)
    for rest, stream in ((a, first), (b, second)):
        if rest is not None:
            yield rest
            yield from stream


def _more(stream: Iterator[np.ndarray]) -> np.ndarray | None:
    return next((rows for rows in stream if len(rows)), None)


def _interleave(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    place = np.searchsorted(a["first_id"], b["first_id"], side="right") + np.arange(len(b))
    rows = np.zeros(len(a) + len(b), a.dtype)
    from_a = np.ones(len(rows), np.bool_)
    from_a[place] = False
    rows[from_a], rows[place] = a, b
    return rows
