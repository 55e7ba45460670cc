"""Conversions between venue units and ours, usable in kernels and in Python with the same bits."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["inverse_base_quantity"]


@njit(cache=True)
def inverse_base_quantity(contracts: float, multiplier: float, price: float) -> float:
    """Return base units of an inverse contract: ``contracts * multiplier / price``, to eight decimals.

    Parameters
    ----------
    contracts : float
        Number of contracts, zero or positive.
    multiplier : float
        Quote value of one contract (100 USD for BTCUSD_PERP).
    price : float
        Price in quote currency, positive.

    Returns
    -------
    float
        Base units; the float nearest to a decimal with eight places (ties to even), so that a store which
        keeps eight decimals gives the same bits back. Zero contracts are exactly 0.0.

    Examples
    --------
    >>> inverse_base_quantity(1243.0, 100.0, 61668.6)
    2.01561248
    """
    base: float = np.rint(contracts * multiplier / price * 1e8) / 1e8
    return base
