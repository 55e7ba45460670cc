"""Sharpe ratios for a sceptic: probabilistic, deflated by the number of trials, corrected for serial correlation."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.evaluate.arrays import finite_vector, in_range

__all__ = [
    "annualisation_factor",
    "autocorrelations",
    "deflated_sharpe_ratio",
    "expected_maximum_sharpe",
    "minimum_track_record",
    "newey_west_lags",
    "probabilistic_sharpe_ratio",
    "serial_sharpe_ratio",
    "sharpe_ratio",
]

_Floats = npt.NDArray[np.float64]
_EULER = 0.5772156649015329


def sharpe_ratio(returns: npt.ArrayLike, periods_per_year: float = 1.0) -> float:
    """Mean over sample standard deviation (ddof 1), times ``sqrt(periods_per_year)``.

    Parameters
    ----------
    returns : array of float, shape (n,)
        Net returns in excess of the risk-free rate, one a period, finite.
    periods_per_year : float, default 1
        1 gives the per-period ratio.

    Returns
    -------
    float
        NaN where the returns do not vary.

    Examples
    --------
    >>> round(sharpe_ratio([0.01, -0.01, 0.02, 0.0], 4), 4)
    0.7746
    """
    values = finite_vector(returns, "returns", 2)
    in_range("periods_per_year", periods_per_year, 0)
    spread = float(values.std(ddof=1))
    if spread <= 1e-12 * float(np.abs(values).max()):
        return math.nan
    return math.sqrt(periods_per_year) * float(values.mean()) / spread


def _deviation(sharpe: float, skew: float, kurtosis: float) -> float:
    """Return the standard deviation of an estimated Sharpe ratio, times the root of the sample size."""
    variance = 1.0 - skew * sharpe + 0.25 * (kurtosis - 1.0) * sharpe * sharpe
    if not variance > 0:
        raise DataError(
            f"skew was {skew}, kurtosis {kurtosis} at a Sharpe ratio of {sharpe}",
            hint="no distribution has kurtosis below skew^2 + 1; pass the non-excess kurtosis (3 for a normal)",
        )
    return math.sqrt(variance)


def probabilistic_sharpe_ratio(
    sharpe_per_period: float, n: int, skew: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0
) -> float:
    """Probability that the true Sharpe ratio exceeds ``benchmark``, given the estimate and the shape of the returns.

    ``PSR = Phi((SR - SR*) sqrt(n - 1) / sqrt(1 - skew SR + (kurtosis - 1) / 4 SR^2))``

    Parameters
    ----------
    sharpe_per_period : float
        Estimated Sharpe ratio per period: NOT annualised.
    n : int
        Number of returns behind it, at least 2.
    skew, kurtosis : float
        Of the returns; kurtosis is not the excess: 3 for a normal distribution.
    benchmark : float, default 0
        Sharpe ratio to beat, per period as well.

    Returns
    -------
    float
        In [0, 1]; NaN where the Sharpe ratio is NaN.

    Raises
    ------
    DataError
        Skew and kurtosis contradict each other.

    References
    ----------
    Bailey and Lopez de Prado (2012), "The Sharpe ratio efficient frontier", Journal of Risk 15(2), eq. 10.

    Examples
    --------
    >>> round(probabilistic_sharpe_ratio(0.458, 24, -2.448, 10.164), 4)
    0.9134
    """
    from scipy.special import ndtr

    in_range("n", n, 2)
    if math.isnan(sharpe_per_period):
        return math.nan
    z = (sharpe_per_period - benchmark) * math.sqrt(n - 1) / _deviation(sharpe_per_period, skew, kurtosis)
    return float(ndtr(z))


def minimum_track_record(
    sharpe_per_period: float, skew: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0, confidence: float = 0.95
) -> float:
    """Return how many periods it takes for the probabilistic Sharpe ratio to reach ``confidence``.

    ``1 + (1 - skew SR + (kurtosis - 1) / 4 SR^2) (z / (SR - SR*))^2``; infinite where the estimate is not above the
    benchmark. Arguments as in :func:`probabilistic_sharpe_ratio`.

    References
    ----------
    Bailey and Lopez de Prado (2012), eq. 11.

    Examples
    --------
    >>> n = minimum_track_record(0.1)
    >>> round(probabilistic_sharpe_ratio(0.1, n), 6)
    0.95
    """
    from scipy.special import ndtri

    in_range("confidence", confidence, 0.5, 1.0)
    if not sharpe_per_period > benchmark:
        return math.inf
    scale = _deviation(sharpe_per_period, skew, kurtosis) * float(ndtri(confidence))
    return 1.0 + (scale / (sharpe_per_period - benchmark)) ** 2


def expected_maximum_sharpe(trials: float, trial_variance: float) -> float:
    """Sharpe ratio that the best of ``trials`` independent strategies without any skill is expected to show.

    ``SR0 = sqrt(V) ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e)))`` with Euler's g and Z the normal quantile function.

    Parameters
    ----------
    trials : float
        Number of (effectively) independent trials N, at least 1. Take it from the run ledger: all of them count.
    trial_variance : float
        Variance of the trials' Sharpe ratios, in the unit of the wanted ratio squared.

    Returns
    -------
    float
        0 for one trial.

    References
    ----------
    Bailey and Lopez de Prado (2014), "The deflated Sharpe ratio", Journal of Portfolio Management 40(5), eq. 1.

    Examples
    --------
    >>> round(expected_maximum_sharpe(100, 0.5 / 250), 5)
    0.11317
    """
    from scipy.special import ndtri

    in_range("trials", trials, 1)
    in_range("trial_variance", trial_variance, 0)
    if trials == 1:
        return 0.0
    most = (1 - _EULER) * float(ndtri(1 - 1 / trials)) + _EULER * float(ndtri(1 - 1 / (trials * math.e)))
    return math.sqrt(trial_variance) * max(most, 0.0)


def deflated_sharpe_ratio(
    sharpe_per_period: float,
    n: int,
    trials: float,
    trial_variance: float,
    skew: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Probability that the true Sharpe ratio is positive after the best of ``trials`` was picked.

    The probabilistic Sharpe ratio against :func:`expected_maximum_sharpe`. All ratios per period.

    Parameters
    ----------
    sharpe_per_period, n, skew, kurtosis
        As in :func:`probabilistic_sharpe_ratio`, of the strategy that was chosen.
    trials : float
        How many were tried.
    trial_variance : float
        Variance of the trials' Sharpe ratios per period (an annualised variance over the periods per year).

    References
    ----------
    Bailey and Lopez de Prado (2014), eq. 2.

    Examples
    --------
    >>> round(deflated_sharpe_ratio(2.5 / 250**0.5, 1250, 100, 0.5 / 250, -3, 10), 4)
    0.9004
    """
    benchmark = expected_maximum_sharpe(trials, trial_variance)
    return probabilistic_sharpe_ratio(sharpe_per_period, n, skew, kurtosis, benchmark)


def newey_west_lags(n: int) -> int:
    """Return the usual number of lags, ``floor(4 (n / 100)^(2/9))``, below n.

    Examples
    --------
    >>> newey_west_lags(100), newey_west_lags(100_000)
    (4, 18)
    """
    return max(0, min(n - 1, int(4 * (n / 100) ** (2 / 9) + 1e-9)))


def autocorrelations(returns: npt.ArrayLike, lags: int) -> _Floats:
    """Sample autocorrelations at lags 1 to ``lags`` (sums over n, so that they form a positive sequence).

    Returns
    -------
    ndarray of shape (lags,)
        NaN where the returns do not vary.

    Examples
    --------
    >>> autocorrelations([1.0, -1.0, 1.0, -1.0], 2)
    array([-0.75,  0.5 ])
    """
    values = finite_vector(returns, "returns", 2)
    in_range("lags", lags, 0, values.size - 1)
    centred = values - values.mean()
    variance = float(centred @ centred)
    if variance <= 1e-24 * float(values @ values):
        return np.full(lags, np.nan)
    return np.array([float(centred[lag:] @ centred[:-lag]) for lag in range(1, lags + 1)]) / variance


def annualisation_factor(correlations: npt.ArrayLike, periods: float, *, taper: bool = False) -> float:
    """Factor from a per-period Sharpe ratio to one over ``periods`` periods, given the returns' autocorrelations.

    ``eta(q) = q / sqrt(q + 2 sum_{k<q} (q - k) rho_k)``; ``sqrt(q)`` without autocorrelation. Correlations beyond those
    given count as 0.

    Parameters
    ----------
    correlations : array of float, shape (m,)
        At lags 1 to m.
    periods : float
        q, such as periods in a year.
    taper : bool, default False
        Weight lag k by ``1 - k / (m + 1)`` (Bartlett): never a negative variance.

    Returns
    -------
    float
        NaN where the implied variance is not positive.

    References
    ----------
    Lo (2002), "The statistics of Sharpe ratios", Financial Analysts Journal 58(4), eq. 19.

    Examples
    --------
    >>> annualisation_factor([], 4), round(annualisation_factor([0.5, 0.25, 0.125], 4), 4)
    (2.0, 1.3926)
    """
    rho = np.asarray(correlations, np.float64)
    in_range("periods", periods, 1e-300)
    lag = np.arange(1, rho.size + 1)
    weight = np.maximum(periods - lag, 0.0)
    if taper:
        weight = weight * (1 - lag / (rho.size + 1))
    variance = periods + 2 * float(weight @ rho)
    return periods / math.sqrt(variance) if variance > 0 else math.nan


def serial_sharpe_ratio(
    returns: npt.ArrayLike, periods_per_year: float, lags: int | None = None, *, taper: bool = True
) -> float:
    """Annual Sharpe ratio that counts the serial correlation of the returns (Lo's correction).

    Parameters
    ----------
    returns : array of float, shape (n,)
        Net returns, one a period, finite.
    periods_per_year : float
        Periods in a year.
    lags : int, optional
        Autocorrelations to count; by default :func:`newey_west_lags`.
    taper : bool, default True
        See :func:`annualisation_factor`.

    Examples
    --------
    >>> x = np.array([0.01, 0.02, -0.01, 0.0, 0.01, 0.01])
    >>> math.isclose(serial_sharpe_ratio(x, 250, lags=0), sharpe_ratio(x, 250))
    True
    """
    values = finite_vector(returns, "returns", 2)
    ratio = sharpe_ratio(values)
    count = newey_west_lags(values.size) if lags is None else lags
    return ratio * annualisation_factor(autocorrelations(values, count), periods_per_year, taper=taper)
