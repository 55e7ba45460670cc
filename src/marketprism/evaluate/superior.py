"""Data snooping: White's Reality Check and Hansen's test of superior predictive ability over a whole set of models."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.evaluate.arrays import finite_matrix, finite_vector
from marketprism.evaluate.bootstrap import block_length
from marketprism.evaluate.resample import plan_stationary, resample_stationary_sums

__all__ = ["SuperiorityTest", "long_run_variance", "reality_check", "superior_predictive_ability"]

_Floats = npt.NDArray[np.float64]


class SuperiorityTest(NamedTuple):
    """Outcome of a test that no model beats the benchmark.

    Attributes
    ----------
    lower, consistent, upper : float
        p-values, ``(1 + hits) / (1 + replications)``. ``upper`` counts every model at its null mean (White;
        conservative with bad models around), ``consistent`` drops models that are significantly bad (Hansen),
        ``lower`` drops all that look bad (liberal).
    statistic : float
        Largest (studentised) mean advantage, times the root of the sample size.
    best : int
        Column of the model that reached it.
    model_p_values : ndarray of shape (k,)
        Per model, adjusted for the choice among all k (single step, consistent centring).
    studentised : bool
        Whether each model's advantage was divided by its standard error.
    mean_length : float
        Mean block length of the bootstrap, in rows.
    """

    lower: float
    consistent: float
    upper: float
    statistic: float
    best: int
    model_p_values: _Floats
    studentised: bool
    mean_length: float

    @property
    def p_value(self) -> float:
        """White's p-value for a Reality Check, Hansen's consistent one for the studentised test."""
        return self.consistent if self.studentised else self.upper


def reality_check(
    models: npt.ArrayLike,
    benchmark: npt.ArrayLike | None = None,
    *,
    losses: bool = False,
    mean_length: float | None = None,
    replications: int = 1000,
    seed: int = 0,
) -> SuperiorityTest:
    """White's Reality Check: tell whether the best of many models beats the benchmark, or was lucky.

    The null distribution of ``max_k sqrt(n) mean(d_k)`` comes from the stationary bootstrap, with ``d_k`` the advantage
    of model k over the benchmark in each row.

    Parameters
    ----------
    models : array of float, shape (n, k)
        Returns (or losses) of every model that was tried, rows in time order, finite.
    benchmark : array of float, shape (n,), optional
        Those of the benchmark; by default 0, which is to earn nothing.
    losses : bool, default False
        Whether smaller is better.
    mean_length : float, optional
        Mean block length in rows; by default :func:`~marketprism.evaluate.bootstrap.block_length` of n. Make it longer
        than the overlap of labels.
    replications, seed : int
        Of the bootstrap.

    Returns
    -------
    SuperiorityTest
        ``p_value`` is ``upper``, White's own.

    Raises
    ------
    DataError
        Shapes do not fit, or a number is not finite.

    References
    ----------
    White (2000), "A reality check for data snooping", Econometrica 68(5). The p-values agree with those of
    ``arch.bootstrap.SPA``, whose statistic is not divided by standard errors either; here sums are resampled instead
    of rows, which is what makes 100,000 rows feasible.

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((500, 20))
    >>> reality_check(noise).p_value > 0.05
    True
    """
    advantage = _advantage(models, benchmark, losses=losses)
    return _test(advantage, mean_length, replications, seed, studentised=False)


def superior_predictive_ability(
    models: npt.ArrayLike,
    benchmark: npt.ArrayLike | None = None,
    *,
    losses: bool = False,
    mean_length: float | None = None,
    replications: int = 1000,
    seed: int = 0,
) -> SuperiorityTest:
    """Hansen's SPA test: the Reality Check, studentised, and blind to models that are far worse than the benchmark.

    The statistic is ``max(0, max_k sqrt(n) mean(d_k) / w_k)`` with ``w_k^2`` the long-run variance of ``d_k``. Model k
    counts at its null mean (``consistent``) if ``sqrt(n) mean(d_k) / w_k >= -sqrt(2 log log n)``. Parameters and
    errors as in :func:`reality_check`; a model that never differs from the benchmark can not be studentised and is
    an error.

    Returns
    -------
    SuperiorityTest
        ``p_value`` is ``consistent``.

    References
    ----------
    Hansen (2005), "A test for superior predictive ability", Journal of Business and Economic Statistics 23(4).

    Examples
    --------
    >>> returns = np.random.default_rng(0).standard_normal((500, 20))
    >>> returns[:, 7] += 0.3
    >>> test = superior_predictive_ability(returns)
    >>> test.best, test.p_value < 0.01
    (7, True)
    """
    advantage = _advantage(models, benchmark, losses=losses)
    return _test(advantage, mean_length, replications, seed, studentised=True)


def _advantage(models: npt.ArrayLike, benchmark: npt.ArrayLike | None, *, losses: bool) -> _Floats:
    table = finite_matrix(models, "models", 8)
    if benchmark is not None:
        base = finite_vector(benchmark, "benchmark", 8)
        if base.size != len(table):
            raise DataError(
                f"models had {len(table)} rows, the benchmark {base.size}",
                hint="models are a matrix of one column each, the benchmark one vector of as many rows",
            )
        table = table - base[:, None]
    return -table if losses else table


def long_run_variance(values: npt.ArrayLike, mean_length: float) -> _Floats:
    """Variance of ``sqrt(n)`` times the mean of each column, as the stationary bootstrap sees it.

    ``g_0 + 2 sum_i ((1 - i/n) (1 - p)^i + i/n (1 - p)^(n - i)) g_i`` with autocovariances g and ``p = 1/mean_length``.

    Parameters
    ----------
    values : array of float, shape (n,) or (n, k)
        Rows in time order.
    mean_length : float
        Mean block length, in rows.

    Returns
    -------
    ndarray of shape (k,)

    References
    ----------
    Politis and Romano (1994), lemma 1.

    Examples
    --------
    >>> float(long_run_variance([1.0, -1.0, 1.0, -1.0], 1)[0])
    1.0
    """
    table = finite_matrix(values, "values")
    n = len(table)
    centred = table - table.mean(axis=0)
    spectrum = np.fft.rfft(centred, 2 * n, axis=0)
    covariance = np.fft.irfft(spectrum * spectrum.conj(), 2 * n, axis=0)[:n] / n
    lag = np.arange(1, n)
    stay = 1.0 - 1.0 / mean_length
    weight = (1 - lag / n) * stay**lag + lag / n * stay ** (n - lag)
    return np.asarray(covariance[0] + 2 * (weight @ covariance[1:]))


def _test(
    advantage: _Floats, mean_length: float | None, replications: int, seed: int, *, studentised: bool
) -> SuperiorityTest:
    n = len(advantage)
    length = float(block_length(n) if mean_length is None else mean_length)
    mean = advantage.mean(axis=0)
    variance = long_run_variance(advantage, length)
    size = np.sqrt((advantage**2).mean(axis=0))
    flat = variance <= 1e-24 * np.maximum(size * size, 1e-300)
    if studentised and flat.any():
        raise DataError(
            f"model {int(np.flatnonzero(flat)[0])} differed from the benchmark by a constant in every row",
            hint="leave it out: it can not be studentised",
        )
    scale = np.sqrt(np.maximum(variance, 0.0))
    root = math.sqrt(n)
    unit = scale if studentised else np.ones_like(scale)
    found = root * mean / unit
    plan = plan_stationary(n, length, replications, seed)
    noise = root * (resample_stationary_sums(advantage - mean, plan) / n) / unit
    relevant = root * mean >= -scale * math.sqrt(2 * math.log(math.log(n)))
    # Models that are kept stand at their null mean; the others keep their bad one.
    kept = {"lower": mean >= 0, "consistent": relevant, "upper": np.ones_like(relevant)}
    statistic = max(0.0, float(found.max())) if studentised else float(found.max())
    largest = {name: (noise + np.where(keep, 0.0, found)).max(axis=1) for name, keep in kept.items()}
    if studentised:
        largest = {name: np.maximum(values, 0.0) for name, values in largest.items()}
    p = {name: (1 + int((values >= statistic).sum())) / (1 + replications) for name, values in largest.items()}
    order = np.sort(largest["consistent"])
    models = (1 + replications - np.searchsorted(order, found, side="left")) / (1 + replications)
    best = int(found.argmax())
    return SuperiorityTest(p["lower"], p["consistent"], p["upper"], statistic, best, models, studentised, length)
