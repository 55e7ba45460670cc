"""Market impact by the square-root law: what an order of a given size moves the price against itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.evaluate.config import CostConfig

if TYPE_CHECKING:
    import polars as pl

__all__ = ["IMPACT_SOURCES", "impact_scale", "square_root_impact", "traded_notional"]

_Floats = npt.NDArray[np.float64]

IMPACT_SOURCES = ("notional", "volume")
"""Bucket columns that tell what was traded: notional in quote currency, else volume times the last mid."""
_LEAST_MOVES = 5


def square_root_impact(
    notional: npt.ArrayLike, volatility: npt.ArrayLike, traded: npt.ArrayLike, coefficient: float = 1.0
) -> _Floats:
    """Relative price move that an order causes: ``coefficient volatility sqrt(notional / traded)``.

    Volatility and traded notional belong to the same span of time; under a random walk the result does not depend on
    which. The whole order is charged the move that it ends with; the average over an order worked in small pieces
    would be two thirds of it.

    Parameters
    ----------
    notional : array of float
        Size of the order, quote currency, at least 0.
    volatility : array of float
        Standard deviation of the log mid over the span.
    traded : array of float
        Notional traded by everybody in the span, quote currency.
    coefficient : float, default 1
        Y, of order 1 across markets.

    Returns
    -------
    ndarray
        Fraction of the price; NaN where nothing was traded or an input is NaN.

    References
    ----------
    Almgren, Thum, Hauptmann and Li (2005), "Direct estimation of equity market impact", Risk 18 (an exponent of .6,
    from orders of one broker); Toth et al. (2011), "Anomalous price impact and the critical nature of liquidity in
    financial markets", Physical Review X 1, 021006 (the square root, Y of order 1).

    Examples
    --------
    >>> float(square_root_impact(10_000.0, 0.0004, 1_000_000.0).round(8))
    4e-05
    """
    size, sigma, volume = (np.asarray(values, np.float64) for values in (notional, volatility, traded))
    safe = np.where(volume > 0, volume, np.nan)
    return np.asarray(coefficient * sigma * np.sqrt(size / safe), np.float64)


def traded_notional(frame: pl.DataFrame) -> _Floats:
    """Notional traded in each bucket, quote currency: ``notional``, else ``volume`` times ``mid_last``.

    Raises
    ------
    DataError
        The frame has neither column.
    """
    for name in IMPACT_SOURCES:
        if name in frame.columns:
            values = frame[name].cast(float).fill_null(float("nan")).to_numpy()
            if name == "volume":
                values = values * frame["mid_last"].fill_null(float("nan")).to_numpy()
            return np.where(np.isfinite(values), values, np.nan)
    raise DataError(
        "market impact needs what was traded, and the frame has no column 'notional' or 'volume'",
        hint="add one, or leave costs.notional at 0",
    )


def impact_scale(frame: pl.DataFrame, costs: CostConfig) -> _Floats:
    """Impact of an order of 1 quote currency unit after each bucket; that of N units is ``sqrt(N)`` times it.

    ``Y sigma / sqrt(V)`` with sigma the root mean square of the one-bucket log moves of ``mid_last`` (never over a
    gap) and V the mean notional traded in a bucket, both over the last ``costs.impact_buckets`` buckets: known when
    the bucket is.

    Parameters
    ----------
    frame : polars.DataFrame
        Buckets of ONE instrument, by ``bucket_id``, with ``segment``, ``mid_last`` and ``notional`` or ``volume``.
    costs : CostConfig
        ``impact_coefficient`` and ``impact_buckets``.

    Returns
    -------
    ndarray of shape (n,)
        NaN with fewer than 5 moves in the span (fewer where the span is shorter), or where nothing was traded in it.

    Raises
    ------
    DataError
        The frame does not tell what was traded.
    """
    traded = traded_notional(frame)
    mid = frame["mid_last"].fill_null(float("nan")).to_numpy().astype(np.float64)
    logs = np.log(np.where(np.isfinite(mid) & (mid > 0), mid, np.nan))
    squares = np.append(np.nan, np.diff(logs)) ** 2
    squares[np.append(True, np.diff(frame["segment"].to_numpy()) != 0)] = np.nan
    variance, moves = _trailing_mean(squares, costs.impact_buckets)
    volume, _ = _trailing_mean(traded, costs.impact_buckets)
    sigma = np.where(moves >= min(_LEAST_MOVES, costs.impact_buckets), np.sqrt(variance), np.nan)
    return square_root_impact(1.0, sigma, volume, costs.impact_coefficient)


def _trailing_mean(values: _Floats, span: int) -> tuple[_Floats, npt.NDArray[np.int64]]:
    """Mean of the finite ones among the last ``span`` values, and their number."""
    padded = np.concatenate((np.full(span - 1, np.nan), values))
    window = np.lib.stride_tricks.sliding_window_view(padded, span)
    count = np.isfinite(window).sum(axis=1)
    total = np.where(np.isfinite(window), window, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), count
