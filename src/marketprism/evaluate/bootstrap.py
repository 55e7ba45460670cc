"""Circular block bootstrap: one plan of blocks, shared by all metrics, and kernels that resample sums or weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from marketprism.core.errors import ConfigError
from marketprism.core.random import stream

__all__ = [
    "BlockPlan",
    "block_length",
    "interval",
    "plan_blocks",
    "resample_average_precision",
    "resample_sums",
    "resample_weighted_auc",
]

_Floats = npt.NDArray[np.float64]


class BlockPlan(NamedTuple):
    """Where the blocks of every replication start.

    Replication r is the concatenation of the rows ``starts[r, j], starts[r, j] + 1, ...`` (modulo n), ``length`` rows
    each, the last block cut so that n rows result.
    """

    starts: npt.NDArray[np.int32]
    length: int
    n: int

    @property
    def blocks(self) -> int:
        """Blocks in a replication: the number of roughly independent observations."""
        return int(self.starts.shape[1])


def block_length(n: int, overlap: int = 1, series: int = 1) -> int:
    """Rows a block: the larger of the cube root of n and twice the label overlap, in times, times the series a time.

    Examples
    --------
    >>> block_length(1000), block_length(1000, overlap=20), block_length(8, overlap=20)
    (10, 40, 8)
    """
    series = max(1, series)
    times = max(1, n // series)
    root = math.ceil(round(math.cbrt(times), 9))
    return max(1, min(n, max(root, 2 * overlap) * series))


def plan_blocks(n: int, length: int, replications: int, seed: int) -> BlockPlan:
    """Draw a plan; the same arguments give the same plan on every machine.

    Raises
    ------
    ConfigError
        A size is not positive.

    Examples
    --------
    >>> plan_blocks(10, 3, 2, 0).starts.shape
    (2, 4)
    """
    for name, value in (("n", n), ("length", length), ("replications", replications)):
        if value < 1:
            raise ConfigError(f"{name} was {value}", hint="it must be at least 1")
    blocks = -(-n // length)
    starts = stream(seed, "bootstrap", n, length).integers(0, n, (replications, blocks), dtype=np.int32)
    return BlockPlan(starts, length, n)


def resample_sums(values: _Floats, plan: BlockPlan) -> _Floats:
    """Column sums of every replication, from running sums: O(blocks) a replication, not O(n).

    Parameters
    ----------
    values : ndarray of shape (n, m)
        What to add up, in time order; finite. Centre columns of large mean first.
    plan : BlockPlan
        Blocks of the same n.

    Returns
    -------
    ndarray of shape (replications, m)
    """
    running = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=running[1:])
    return np.asarray(_sums(running, plan.starts, plan.length))


@njit(cache=True)
def _sums(running: _Floats, starts: npt.NDArray[np.int32], length: int) -> _Floats:
    n, m = running.shape[0] - 1, running.shape[1]
    replications, blocks = starts.shape
    result = np.zeros((replications, m))
    tail = n - (blocks - 1) * length
    for r in range(replications):
        for j in range(blocks):
            start = starts[r, j]
            end = start + (length if j < blocks - 1 else tail)
            if end <= n:
                for c in range(m):
                    result[r, c] += running[end, c] - running[start, c]
            else:
                for c in range(m):
                    result[r, c] += running[n, c] - running[start, c] + running[end - n, c]
    return result


def resample_weighted_auc(score: _Floats, positive: npt.NDArray[np.bool_], plan: BlockPlan) -> _Floats:
    """Exact area under the ROC curve of every replication (ties count half); NaN where a class is absent."""
    order = np.argsort(score, kind="stable").astype(np.int32)
    ordered = score[order]
    last = np.append(ordered[1:] != ordered[:-1], True)
    return np.asarray(_auc(order, last, positive[order].astype(np.float64), plan.starts, plan.length))


@njit(cache=True)
def _count_rows(
    starts: npt.NDArray[np.int32], length: int, edges: npt.NDArray[np.int32], weight: npt.NDArray[np.int32]
) -> None:
    """Write how often each row stands in one replication."""
    n, blocks = weight.size, starts.size
    tail = n - (blocks - 1) * length
    edges[:] = 0
    for j in range(blocks):
        start = starts[j]
        end = start + (length if j < blocks - 1 else tail)
        edges[start] += 1
        if end <= n:
            edges[end] -= 1
        else:
            edges[n] -= 1
            edges[0] += 1
            edges[end - n] -= 1
    running = np.int32(0)
    for i in range(n):
        running += edges[i]
        weight[i] = running


@njit(cache=True)
def _auc(
    order: npt.NDArray[np.int32],
    last: npt.NDArray[np.bool_],
    positive: _Floats,
    starts: npt.NDArray[np.int32],
    length: int,
) -> _Floats:
    n = order.size
    replications = starts.shape[0]
    result = np.full(replications, np.nan)
    edges = np.zeros(n + 1, np.int32)
    weight = np.zeros(n, np.int32)
    for r in range(replications):
        _count_rows(starts[r], length, edges, weight)
        below, pairs, ups, up, down = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            here = weight[order[i]]
            up += here * positive[i]
            down += here * (1.0 - positive[i])
            if last[i]:
                pairs += up * (below + 0.5 * down)
                below += down
                ups += up
                up, down = 0.0, 0.0
        if ups > 0 and below > 0:
            result[r] = pairs / (ups * below)
    return result


def resample_average_precision(score: _Floats, positive: npt.NDArray[np.bool_], plan: BlockPlan) -> _Floats:
    """Exact average precision of every replication (rows of one score enter together); NaN without positives."""
    order = np.argsort(-score, kind="stable").astype(np.int32)
    ordered = score[order]
    last = np.append(ordered[1:] != ordered[:-1], True)
    return np.asarray(_average_precision(order, last, positive[order].astype(np.float64), plan.starts, plan.length))


@njit(cache=True, error_model="numpy")
def _average_precision(
    order: npt.NDArray[np.int32],
    last: npt.NDArray[np.bool_],
    positive: _Floats,
    starts: npt.NDArray[np.int32],
    length: int,
) -> _Floats:
    n = order.size
    replications = starts.shape[0]
    result = np.full(replications, np.nan)
    edges = np.zeros(n + 1, np.int32)
    weight = np.zeros(n, np.int32)
    for r in range(replications):
        _count_rows(starts[r], length, edges, weight)
        rows, hits, new, area = 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            here = weight[order[i]]
            rows += here
            new += here * positive[i]
            if last[i]:
                # No test for new positives: a division costs less than a branch that cannot be foretold.
                hits += new
                area += new * hits / max(rows, 1.0)
                new = 0.0
        if hits > 0:
            result[r] = area / hits
    return result


def interval(value: float, samples: _Floats, blocks: int, level: float) -> tuple[float, float]:
    """Percentile interval around ``value``, widened for few blocks by Student's t over the normal quantile.

    Returns
    -------
    tuple of float
        Low and high; NaN with fewer than two blocks or without finite replications.
    """
    from scipy.special import ndtri, stdtrit

    finite = samples[np.isfinite(samples)]
    if blocks < 2 or finite.size == 0 or not math.isfinite(value):
        return math.nan, math.nan
    tail = 0.5 * (1 - level)
    low, high = np.quantile(finite, (tail, 1 - tail))
    widen = float(stdtrit(blocks - 1, 1 - tail) / ndtri(1 - tail))
    return value + widen * float(low - value), value + widen * float(high - value)


Statistic = Callable[[_Floats], _Floats]
"""Turns column sums ``(..., m)`` into the statistic ``(...)``."""
