"""Drift between two samples: population stability index, Kolmogorov-Smirnov distance, and what both do by chance."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from marketprism.core.errors import ConfigError, DataError
from marketprism.core.random import stream
from marketprism.evaluate.arrays import finite_vector, in_range

__all__ = ["DriftTest", "drift_test", "kolmogorov_smirnov", "population_stability_index"]

_Floats = npt.NDArray[np.float64]
_GRID = 256


class DriftTest(NamedTuple):
    """A drift statistic beside its distribution when nothing changed.

    Attributes
    ----------
    statistic : float
        As measured.
    p_value : float
        Chance of as much without drift.
    null_mean, null_high : float
        Mean and 95 % quantile without drift.
    method : str
        How the null distribution was found.
    """

    statistic: float
    p_value: float
    null_mean: float
    null_high: float
    method: str


def _edges(expected: _Floats, bins: int) -> _Floats:
    """Return the inner edges of bins (a, b]: quantiles; a value that fills more than a bin gets one of its own."""
    quantiles = np.quantile(expected, np.arange(1, bins) / bins, method="inverted_cdf")
    distinct, times = np.unique(quantiles, return_counts=True)
    heavy = distinct[times > 1]
    return np.unique(np.concatenate((distinct, np.nextafter(heavy, -np.inf))))


def _counts(values: _Floats, edges: _Floats, *, missing: bool) -> npt.NDArray[np.int64]:
    seen = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, seen, side="left"), minlength=edges.size + 1)
    return np.append(counts, values.size - seen.size) if missing else counts


def _index(expected: npt.NDArray[np.number], actual: npt.NDArray[np.number]) -> _Floats:
    """PSI from counts of shape (..., bins); an empty bin counts as half a row, one empty in both as nothing."""
    before, after = (np.maximum(counts, 0.5) / counts.sum(axis=-1, keepdims=True) for counts in (expected, actual))
    terms = (after - before) * np.log(after / before)
    return np.asarray(np.where((expected == 0) & (actual == 0), 0.0, terms).sum(axis=-1))


def _sample(values: npt.ArrayLike, name: str) -> _Floats:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not (~np.isnan(array)).any():
        raise DataError(f"{name} had shape {array.shape} or held only NaN", hint="pass a vector of numbers")
    return array


def population_stability_index(expected: npt.ArrayLike, actual: npt.ArrayLike, bins: int = 10) -> float:
    """PSI: how far the distribution moved from ``expected`` to ``actual``.

    ``sum_b (a_b - e_b) ln(a_b / e_b)`` over bins that hold equal shares of ``expected``. Rules of thumb: below .1
    stable, above .25 moved; but see :func:`drift_test` for what small samples do by chance.

    Parameters
    ----------
    expected, actual : array of float, shapes (n,) and (m,)
        Reference (training) and new sample. NaN rows form a bin of their own; infinities are ordinary values.
    bins : int, default 10
        Quantile bins. Fewer result where values repeat; a value that fills more than one bin gets one of its own.

    Returns
    -------
    float
        0 for equal shares. A bin that is empty on one side counts as half a row there.

    Raises
    ------
    DataError
        A sample is empty, not a vector, or only NaN.

    References
    ----------
    Siddiqi (2006), "Credit risk scorecards"; the symmetrised divergence of Kullback and Leibler (1951). Between
    N(0, 1) and N(d, 1) it tends to d^2 with many bins.

    Examples
    --------
    >>> population_stability_index(range(100), range(100))
    0.0
    >>> round(population_stability_index([0, 0, 1, 1], [0, 1, 1, 1], bins=2), 4)
    0.2747
    """
    return float(_index(*_both_counts(_sample(expected, "expected"), _sample(actual, "actual"), bins)))


def _both_counts(expected: _Floats, actual: _Floats, bins: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    in_range("bins", bins, 2)
    edges = _edges(expected[~np.isnan(expected)], bins)
    missing = bool(np.isnan(expected).any() or np.isnan(actual).any())
    return _counts(expected, edges, missing=missing), _counts(actual, edges, missing=missing)


def kolmogorov_smirnov(expected: npt.ArrayLike, actual: npt.ArrayLike) -> float:
    """Largest distance between the two empirical distribution functions; finite values only.

    Between N(0, 1) and N(d, 1) it tends to ``2 Phi(d / 2) - 1``.

    Examples
    --------
    >>> kolmogorov_smirnov([1, 2, 3, 4], [3, 4, 5, 6])
    0.5
    """
    a, b = np.sort(finite_vector(expected, "expected")), np.sort(finite_vector(actual, "actual"))
    points = np.concatenate((a, b))
    gap = np.searchsorted(a, points, side="right") / a.size - np.searchsorted(b, points, side="right") / b.size
    return float(np.abs(gap).max())


def drift_test(
    expected: npt.ArrayLike,
    actual: npt.ArrayLike,
    *,
    statistic: Literal["psi", "ks"] = "psi",
    bins: int = 10,
    block: int = 1,
    replications: int = 1000,
    seed: int = 0,
) -> DriftTest:
    """PSI or KS distance with its null distribution.

    Parameters
    ----------
    expected, actual : array of float, shapes (n,) and (m,)
        Finite, each in time order.
    statistic : {"psi", "ks"}
        What to measure.
    bins : int, default 10
        Of the PSI.
    block : int, default 1
        Rows that stay together when the samples are shuffled. Factors of neighbouring rows are alike, which makes both
        statistics larger by chance: take a block longer than their memory.
    replications : int, default 1000
        Permutations; 0 takes the asymptotic distribution instead, which needs independent rows: PSI as
        ``(1/n + 1/m)`` times chi-squared with one degree of freedom less than bins (Yurdakul 2018), and Kolmogorov's
        for KS.
    seed : int
        Of the permutations.

    Returns
    -------
    DriftTest
        The permutations compare binned samples (KS: on 256 pooled quantiles); p-values count the sample itself,
        ``(1 + hits) / (1 + replications)``.

    Raises
    ------
    ConfigError
        An unknown statistic, or the asymptotic distribution with a block.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> drift_test(random.normal(size=500), random.normal(size=500)).p_value > 0.05
    True
    >>> drift_test(random.normal(size=500), random.normal(0.5, size=500)).p_value < 0.01
    True
    """
    a, b = finite_vector(expected, "expected"), finite_vector(actual, "actual")
    if statistic not in {"psi", "ks"}:
        raise ConfigError(f"statistic was {statistic!r}", hint="expected 'psi' or 'ks'")
    in_range("block", block, 1, min(a.size, b.size))
    value = population_stability_index(a, b, bins) if statistic == "psi" else kolmogorov_smirnov(a, b)
    if replications == 0:
        if block != 1:
            raise ConfigError(f"block was {block} with 0 replications", hint="blocks need permutations")
        return _asymptotic(value, a, b, statistic, bins)
    if statistic == "psi":
        edges = _edges(a, bins)
    else:
        edges = np.unique(np.quantile(np.concatenate((a, b)), np.arange(1, _GRID) / _GRID, method="inverted_cdf"))
    observed, null = _permuted(a, b, edges, statistic, block, replications, seed)
    hits = int((null >= observed * (1 - 1e-12)).sum())
    method = f"{replications} permutations of blocks of {block}"
    return DriftTest(value, (1 + hits) / (1 + replications), float(null.mean()), float(np.quantile(null, 0.95)), method)


def _asymptotic(value: float, a: _Floats, b: _Floats, statistic: str, bins: int) -> DriftTest:
    from scipy.stats import chi2, kstwobign

    if statistic == "psi":
        freedom, scale = _edges(a, bins).size, 1 / a.size + 1 / b.size
        p, mean, high = chi2.sf(value / scale, freedom), float(freedom), chi2.ppf(0.95, freedom)
        name = f"chi-squared, {freedom} degrees of freedom"
    else:
        scale, name = math.sqrt(1 / a.size + 1 / b.size), "Kolmogorov's distribution"
        p, mean, high = kstwobign.sf(value / scale), math.sqrt(math.pi / 2) * math.log(2), kstwobign.ppf(0.95)
    return DriftTest(value, float(p), mean * scale, float(high) * scale, name)


def _permuted(
    a: _Floats, b: _Floats, edges: _Floats, statistic: str, block: int, replications: int, seed: int
) -> tuple[float, _Floats]:
    random = stream(seed, "drift", statistic, block)

    def measure(first: npt.NDArray[np.number], second: npt.NDArray[np.number]) -> _Floats:
        if statistic == "psi":
            return _index(first, second)
        shares = [np.cumsum(c, axis=-1) / c.sum(axis=-1, keepdims=True) for c in (first, second)]
        return np.asarray(np.abs(shares[0] - shares[1]).max(axis=-1))

    counts = [_counts(x, edges, missing=False) for x in (a, b)]
    total = counts[0] + counts[1]
    if block == 1:
        first = random.multivariate_hypergeometric(total, a.size, replications, method="marginals")
        return float(measure(*counts)), measure(first, total - first)
    # Whole blocks change sides; the rest of each sample is left out on both sides of the comparison.
    tables = [_block_bins(x, edges, block) for x in (a, b)]
    pool, size, width = np.concatenate(tables), len(tables[0]), edges.size + 1
    everything = np.bincount(pool.ravel(), minlength=width)
    place = np.arange(len(pool))
    null = np.empty(replications)
    for r in range(replications):
        first = _count_bins(pool, random.permuted(place)[:size], width)
        null[r] = measure(first, everything - first)
    observed = [np.bincount(table.ravel(), minlength=width) for table in tables]
    return float(measure(*observed)), null


def _block_bins(values: _Floats, edges: _Floats, block: int) -> npt.NDArray[np.int32]:
    """Bin of each row, one line a block."""
    blocks = values.size // block
    return np.searchsorted(edges, values[: blocks * block], side="left").astype(np.int32).reshape(blocks, block)


@njit(cache=True)
def _count_bins(pool: npt.NDArray[np.int32], chosen: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
    """Rows in each bin, over the chosen blocks."""
    counts = np.zeros(width, np.int64)
    for line in chosen:
        for place in pool[line]:
            counts[place] += 1
    return counts
