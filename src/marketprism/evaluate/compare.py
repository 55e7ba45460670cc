"""Two forecasts side by side: the Diebold-Mariano test with its small-sample correction."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import ConfigError
from marketprism.evaluate.arrays import equal_vectors, finite_vector, in_range
from marketprism.evaluate.sharpe import newey_west_lags

__all__ = ["DieboldMariano", "diebold_mariano", "newey_west_variance"]

_Floats = npt.NDArray[np.float64]


class DieboldMariano(NamedTuple):
    """Outcome of :func:`diebold_mariano`.

    Attributes
    ----------
    statistic : float
        Positive where the second forecast loses less; NaN where the losses never differ.
    p_value : float
        Two-sided, Student's t with n - 1 degrees of freedom.
    mean_difference : float
        Mean of first minus second loss.
    lags : int
        Autocovariances counted.
    n : int
        Rows.
    """

    statistic: float
    p_value: float
    mean_difference: float
    lags: int
    n: int


def newey_west_variance(values: npt.ArrayLike, lags: int, *, taper: bool = True) -> float:
    """Long-run variance ``g_0 + 2 sum_{k <= lags} w_k g_k`` of a series, with autocovariances g (sums over n).

    Parameters
    ----------
    values : array of float, shape (n,)
        In time order, finite.
    lags : int
        0 to n - 1.
    taper : bool, default True
        Bartlett weights ``w_k = 1 - k / (lags + 1)`` (never negative), else 1.

    References
    ----------
    Newey and West (1987), Econometrica 55(3).

    Examples
    --------
    >>> newey_west_variance([1.0, -1.0, 1.0, -1.0], 1)
    0.25
    """
    series = finite_vector(values, "values")
    in_range("lags", lags, 0, series.size - 1)
    centred = series - series.mean()
    total = float(centred @ centred)
    for lag in range(1, lags + 1):
        weight = 1 - lag / (lags + 1) if taper else 1.0
        total += 2 * weight * float(centred[lag:] @ centred[:-lag])
    return total / series.size


def diebold_mariano(
    first_loss: npt.ArrayLike,
    second_loss: npt.ArrayLike,
    horizon: int = 1,
    *,
    kernel: Literal["bartlett", "rectangular"] = "bartlett",
    lags: int | None = None,
) -> DieboldMariano:
    """Test whether two forecasts lose equally much.

    ``DM = mean(d) / sqrt(V / n)`` with ``d`` the loss of the first less that of the second and V its long-run variance,
    times ``sqrt((n + 1 - 2h + h(h - 1)/n) / n)`` for horizon h (Harvey, Leybourne and Newbold), against Student's t.

    Parameters
    ----------
    first_loss, second_loss : array of float, shape (n,)
        Loss of each forecast per row (squared error, log loss, minus the net return), in time order, finite.
    horizon : int, default 1
        Rows by which neighbouring labels overlap: 3 for three-bucket returns made at every bucket.
    kernel : {"bartlett", "rectangular"}
        Newey-West's weights, or the equal weights of the original test (Bartlett's where these give no positive
        variance).
    lags : int, optional
        Autocovariances: by default ``horizon - 1`` for the rectangular kernel, and for Bartlett's, which shrinks them,
        the larger of ``2 (horizon - 1)`` and :func:`~marketprism.evaluate.sharpe.newey_west_lags`.

    Returns
    -------
    DieboldMariano

    Raises
    ------
    DataError
        Lengths differ or a loss is not finite.
    ConfigError
        A parameter is out of range.

    References
    ----------
    Diebold and Mariano (1995), JBES 13(3); Harvey, Leybourne and Newbold (1997), Int. J. of Forecasting 13(2).

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> truth, noise = random.normal(size=(2, 500))
    >>> test = diebold_mariano((truth - 0.5 * noise) ** 2, (truth - 0.9 * truth) ** 2)
    >>> test.statistic > 2, test.p_value < 0.01
    (True, True)
    """
    from scipy.special import stdtr

    first, second = equal_vectors(8, first_loss=first_loss, second_loss=second_loss)
    n = first.size
    in_range("horizon", horizon, 1, n // 2)
    if kernel not in {"bartlett", "rectangular"}:
        raise ConfigError(f"kernel was {kernel!r}", hint="expected 'bartlett' or 'rectangular'")
    usual = horizon - 1 if kernel == "rectangular" else max(2 * (horizon - 1), newey_west_lags(n))
    count = min(usual, n - 1) if lags is None else lags
    difference = first - second
    mean = float(difference.mean())
    variance = newey_west_variance(difference, count, taper=kernel == "bartlett")
    if variance <= 0 and kernel == "rectangular":
        variance = newey_west_variance(difference, count)
    if variance <= 1e-24 * float(np.abs(difference).max()) ** 2 or not difference.any():
        return DieboldMariano(math.nan, math.nan, mean, count, n)
    correction = math.sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
    statistic = correction * mean / math.sqrt(variance / n)
    return DieboldMariano(statistic, 2 * float(stdtr(n - 1, -abs(statistic))), mean, count, n)
