"""Fractional differencing: take out the trend of a series but keep its memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import ConfigError, DataError

__all__ = ["fractional_difference", "fractional_weights"]

_Floats = npt.NDArray[np.float64]


def fractional_weights(d: float, size: int) -> _Floats:
    """Weights of ``(1 - L)^d``: ``w_0 = 1``, ``w_k = -w_{k-1} (d - k + 1) / k``.

    Parameters
    ----------
    d : float
        Order of differencing; 1 is the plain difference.
    size : int
        How many weights, at least 1.

    Returns
    -------
    ndarray of shape (size,)
        The weight of the newest value first.

    References
    ----------
    Hosking (1981), "Fractional differencing", Biometrika 68(1), eq. 2.

    Examples
    --------
    >>> fractional_weights(0.4, 6)
    array([ 1.      , -0.4     , -0.12    , -0.064   , -0.0416  , -0.029952])
    """
    if size < 1 or not np.isfinite(d):
        raise ConfigError(f"d was {d}, size {size}", hint="expected a finite order and at least one weight")
    k = np.arange(1, size)
    return np.cumprod(np.append(1.0, (k - 1 - d) / k))


def fractional_difference(values: npt.ArrayLike, d: float, width: int) -> _Floats:
    """Fractionally difference a series with a window of fixed width: causal, one filter for every row.

    Parameters
    ----------
    values : array of float, shape (n,)
        Such as log mids of one segment, in time order.
    d : float
        Order of differencing.
    width : int
        Weights used; older values are cut off.

    Returns
    -------
    ndarray of shape (n,)
        NaN for the first ``width - 1`` rows and wherever a value in the window is NaN. Row i is known when
        ``values[i]`` is.

    Examples
    --------
    >>> fractional_difference([1.0, 3.0, 6.0], 1, 2)
    array([nan,  2.,  3.])
    """
    series = np.asarray(values, np.float64)
    if series.ndim != 1:
        raise DataError(f"values had shape {series.shape}", hint="pass one series")
    weights = fractional_weights(d, width)
    result = np.full(series.size, np.nan)
    if series.size >= width:
        result[width - 1 :] = np.lib.stride_tricks.sliding_window_view(series, width) @ weights[::-1]
    return result
