"""Stationary and block bootstrap for everybody: plans, fast resampling of sums, and any statistic of the rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from marketprism.core.random import stream
from marketprism.evaluate.arrays import finite_matrix, in_range
from marketprism.evaluate.bootstrap import BlockPlan, block_length, plan_blocks, resample_sums

__all__ = [
    "StationaryPlan",
    "block_bootstrap",
    "optimal_block_lengths",
    "plan_stationary",
    "resample_rows",
    "resample_stationary_sums",
    "stationary_bootstrap",
]

_Floats = npt.NDArray[np.float64]
Statistic = Callable[[_Floats], npt.ArrayLike]


class StationaryPlan(NamedTuple):
    """Blocks of every replication of a stationary bootstrap.

    Replication r is the concatenation of the rows ``starts[b], starts[b] + 1, ...`` (modulo n), ``lengths[b]`` each,
    for ``offsets[r] <= b < offsets[r + 1]``: n rows in all.
    """

    starts: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    n: int

    @property
    def replications(self) -> int:
        """Number of replications."""
        return self.offsets.size - 1


def plan_stationary(n: int, mean_length: float, replications: int, seed: int) -> StationaryPlan:
    """Draw blocks of geometric length with the given mean; the same arguments give the same plan on every machine.

    Raises
    ------
    ConfigError
        A size is not positive, or the mean length is below 1 or above n.

    References
    ----------
    Politis and Romano (1994), "The stationary bootstrap", JASA 89(428).

    Examples
    --------
    >>> plan = plan_stationary(10, 3, 2, 0)
    >>> int(plan.lengths[: plan.offsets[1]].sum())
    10
    """
    in_range("n", n, 1)
    in_range("mean_length", mean_length, 1, n)
    in_range("replications", replications, 1)
    random = stream(seed, "stationary", n, str(mean_length))
    # The blocks of ALL replications in a row, cut at random places and at the end of each replication.
    total = n * replications
    parts = [np.arange(0, total, n, dtype=np.int64)]
    reached = 0
    while reached < total:
        size = int(1.1 * (total - reached) / mean_length) + 16
        places = reached + np.cumsum(_geometric(random, mean_length, size))
        parts.append(places[places < total])
        reached = int(places[-1])
    # A stable sort merges the sorted runs; np.unique would hash them.
    edges = np.sort(np.concatenate(parts), kind="stable")
    edges = edges[np.diff(edges, prepend=-1) > 0]
    lengths = np.diff(edges, append=total).astype(np.int32)
    offsets = np.searchsorted(edges, np.arange(0, total + 1, n, dtype=np.int64))
    starts = random.integers(0, n, edges.size, dtype=np.int32)
    return StationaryPlan(starts, lengths, offsets.astype(np.int64), n)


def _geometric(random: np.random.Generator, mean: float, size: int) -> npt.NDArray[np.int64]:
    """Draw 1, 2, ... with the given mean: a rounded-up exponential, several times faster than numpy's own."""
    if mean == 1:
        return np.ones(size, np.int64)
    return np.ceil(random.standard_exponential(size) / -math.log1p(-1 / mean)).astype(np.int64)


def resample_stationary_sums(values: _Floats, plan: StationaryPlan) -> _Floats:
    """Column sums of every replication, from running sums: O(blocks) a replication.

    Parameters
    ----------
    values : ndarray of shape (n, m)
        What to add up, in time order; finite. Centre columns of large mean first.
    plan : StationaryPlan
        Blocks of the same n.

    Returns
    -------
    ndarray of shape (replications, m)
    """
    running = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=running[1:])
    return np.asarray(_stationary_sums(running, plan.starts, plan.lengths, plan.offsets))


@njit(cache=True)
def _stationary_sums(
    running: _Floats, starts: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32], offsets: npt.NDArray[np.int64]
) -> _Floats:
    n, m = running.shape[0] - 1, running.shape[1]
    result = np.zeros((offsets.size - 1, m))
    for r in range(offsets.size - 1):
        for b in range(offsets[r], offsets[r + 1]):
            start = starts[b]
            end = start + lengths[b]
            if end <= n:
                for c in range(m):
                    result[r, c] += running[end, c] - running[start, c]
            else:
                for c in range(m):
                    result[r, c] += running[n, c] - running[start, c] + running[end - n, c]
    return result


def resample_rows(plan: BlockPlan | StationaryPlan) -> Iterator[npt.NDArray[np.int64]]:
    """Row numbers of each replication in turn, shape (n,) each: for statistics that are no function of sums."""
    for starts, lengths in _blocks(plan):
        yield _rows(starts, lengths, plan.n)


def _blocks(plan: BlockPlan | StationaryPlan) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
    """Where the blocks of each replication start, and how long they are."""
    if isinstance(plan, StationaryPlan):
        for first, stop in zip(plan.offsets[:-1], plan.offsets[1:], strict=True):
            yield plan.starts[first:stop], plan.lengths[first:stop]
        return
    lengths = np.full(plan.starts.shape[1], plan.length, np.int32)
    for starts in plan.starts:
        yield starts, lengths


@njit(cache=True)
def _rows(starts: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32], n: int) -> npt.NDArray[np.int64]:
    rows = np.empty(n, np.int64)
    place = 0
    for b in range(starts.size):
        at = starts[b]
        for _ in range(lengths[b]):
            if place == n:
                break
            rows[place] = at
            place += 1
            at = at + 1 if at + 1 < n else 0
    return rows


def stationary_bootstrap(
    values: npt.ArrayLike,
    statistic: Statistic,
    mean_length: float | None = None,
    replications: int = 1000,
    seed: int = 0,
    *,
    of_sums: bool = False,
) -> _Floats:
    """Replications of a statistic under the stationary bootstrap.

    Parameters
    ----------
    values : array of float, shape (n,) or (n, m)
        Rows in time order, finite. Columns are resampled together, so that paired comparisons stay paired.
    statistic : callable
        ``rows -> number or vector`` on resampled rows of the shape of ``values``; with ``of_sums``
        ``sums[replications, m] -> one entry a replication``, thousands of times faster.
    mean_length : float, optional
        Mean length of the blocks; by default :func:`~marketprism.evaluate.bootstrap.block_length` of n.
    replications, seed : int
        How many, and the seed of the plan.
    of_sums : bool, default False
        Whether the statistic is a function of column sums.

    Returns
    -------
    ndarray of shape (replications, ...)

    Examples
    --------
    >>> x = np.sin(np.arange(50.0))
    >>> slow = stationary_bootstrap(x, np.mean, replications=9)
    >>> fast = stationary_bootstrap(x, lambda sums: sums[:, 0] / 50, replications=9, of_sums=True)
    >>> bool(np.allclose(slow, fast))
    True
    """
    table = finite_matrix(values, "values")
    length = block_length(len(table)) if mean_length is None else mean_length
    plan = plan_stationary(len(table), length, replications, seed)
    if of_sums:
        return np.asarray(statistic(resample_stationary_sums(table, plan)), np.float64)
    return _replicate(np.asarray(values, np.float64), statistic, plan)


def block_bootstrap(
    values: npt.ArrayLike,
    statistic: Statistic,
    length: int | None = None,
    replications: int = 1000,
    seed: int = 0,
    *,
    of_sums: bool = False,
) -> _Floats:
    """Replications of a statistic under the circular block bootstrap: blocks of one length.

    Parameters as in :func:`stationary_bootstrap`; ``length`` in rows.

    References
    ----------
    Politis and Romano (1992), "A circular block-resampling procedure for stationary data".

    Examples
    --------
    >>> block_bootstrap([1.0, 2.0, 3.0], np.mean, length=3, replications=2)
    array([2., 2.])
    """
    table = finite_matrix(values, "values")
    rows = block_length(len(table)) if length is None else length
    in_range("length", rows, 1, len(table))
    plan = plan_blocks(len(table), rows, replications, seed)
    if of_sums:
        return np.asarray(statistic(resample_sums(table, plan)), np.float64)
    return _replicate(np.asarray(values, np.float64), statistic, plan)


def _replicate(values: _Floats, statistic: Statistic, plan: BlockPlan | StationaryPlan) -> _Floats:
    table = values.reshape(len(values), -1)
    found = []
    for starts, lengths in _blocks(plan):
        resampled = np.empty_like(table)
        _gather(table, starts, lengths, resampled)
        found.append(statistic(resampled.reshape(values.shape)))
    return np.array(found, np.float64)


@njit(cache=True)
def _gather(values: _Floats, starts: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32], result: _Floats) -> None:
    """Copy whole blocks: their rows lie side by side, but for those that run over the end."""
    n = len(values)
    place = 0
    for b in range(starts.size):
        size, at = min(lengths[b], n - place), starts[b]
        first = min(size, n - at)
        result[place : place + first] = values[at : at + first]
        result[place + first : place + size] = values[: size - first]
        place += size


def optimal_block_lengths(values: npt.ArrayLike) -> tuple[float, float]:
    """Automatic lengths for the mean of a series: (stationary, circular), by the rule of Politis and White.

    Parameters
    ----------
    values : array of float, shape (n,) or (n, m)
        At least 16 rows; of several columns the longest lengths count.

    Returns
    -------
    tuple of float
        Between 1 and n.

    References
    ----------
    Politis and White (2004), Econometric Reviews 23(1), with the correction of Patton, Politis and White (2009);
    computed by the ``arch`` package.
    """
    from arch.bootstrap import optimal_block_length

    table = finite_matrix(values, "values", 16)
    found = optimal_block_length(table)
    stationary, circular = (
        float(np.nanmax(found[name].to_numpy(), initial=1.0)) for name in ("stationary", "circular")
    )
    most = float(len(table))
    return min(max(1.0, stationary), most), min(max(1.0, math.ceil(circular)), most)
