"""Kernels behind the labels: targets inside a segment, and the past-only scale of moves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["adaptive_scale", "bucket_targets", "time_targets"]

_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


@njit(cache=True)
def bucket_targets(bucket_id: _Ints, segment: _Ints, steps: int) -> _Ints:
    """Index of the bucket ``steps`` ids later in the same segment, or -1.

    Rows must be of one instrument, by increasing id; a missing id (a filtered row) gives -1, never a later bucket.
    """
    n = bucket_id.size
    target = np.full(n, -1, np.int64)
    j = 0
    for i in range(n):
        wanted = bucket_id[i] + steps
        j = max(j, i)
        while j < n and bucket_id[j] < wanted:
            j += 1
        if j < n and bucket_id[j] == wanted and segment[j] == segment[i]:
            target[i] = j
    return target


@njit(cache=True)
def time_targets(ts_end: _Ints, segment: _Ints, horizon_ns: int) -> tuple[_Ints, _Ints]:
    """Last bucket that ends at or before ``ts_end + horizon_ns``, and the first that ends at or after it.

    The second one is the witness that the tape went on without a gap; both are -1 where it did not.
    """
    n = ts_end.size
    last = np.full(n, -1, np.int64)
    witness = np.full(n, -1, np.int64)
    j = 0
    for i in range(n):
        wanted = ts_end[i] + horizon_ns
        j = max(j, i)
        while j < n and ts_end[j] < wanted:
            j += 1
        if j < n and segment[j] == segment[i]:
            witness[i] = j
            last[i] = j if ts_end[j] == wanted else j - 1
    return last, witness


@njit(cache=True)
def adaptive_scale(returns: _Floats, witness: _Ints, half_life: float, min_moves: int) -> _Floats:
    """Exponentially weighted root-mean-square of the moves whose outcome was known when each row became known.

    Moves enter in row order, once the bucket that completes them (``witness``, -1 where undefined) is not later than
    the row itself; NaN until ``min_moves`` have entered. Cutting the tape changes no earlier value.
    """
    n = returns.size
    scale = np.full(n, np.nan)
    decay = 0.5 ** (1.0 / half_life)
    square, weight, moves, j = 0.0, 0.0, 0, 0
    for i in range(n):
        while j < i and witness[j] <= i:
            if not np.isnan(returns[j]):
                square = decay * square + (1.0 - decay) * returns[j] * returns[j]
                weight = decay * weight + (1.0 - decay)
                moves += 1
            j += 1
        if moves >= min_moves:
            scale[i] = np.sqrt(square / weight)
    return scale
