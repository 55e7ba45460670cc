"""How often market orders reach a depth, and how much the mid moves: what the models of optimal quotes need."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from marketprism.backtest.engine import Engine
from marketprism.backtest.tape import Tape
from marketprism.core.errors import ConfigError, DataError
from marketprism.strategies._flow import NEAREST
from marketprism.strategies._maker import measure
from marketprism.strategies._plan import FLOW_DTYPE

__all__ = ["IntensityFit", "fit_intensity"]

_NS = 1_000_000_000
_DEPTHS = 64


@dataclass(frozen=True)
class IntensityFit:
    """``rate(depth) = A exp(-k depth)`` a side, and the volatility of the mid.

    Attributes
    ----------
    A, k, sigma : float
        Market orders a second and side at the mid, decay a tick, ticks a root second.
    A_stderr, k_stderr, sigma_stderr : float
        Standard errors: of a Poisson count and a geometric sample, and of normal moves.
    orders : int
        Market orders that went half a tick or further from the mid.
    seconds : float
        Observed, with a mid.
    moves : int
        Samples behind sigma.
    depths, rates : ndarray
        Depths half a tick, one and a half, ... and how many orders a second and side went that far or further.
    """

    A: float
    k: float
    sigma: float
    A_stderr: float
    k_stderr: float
    sigma_stderr: float
    orders: int
    seconds: float
    moves: int
    depths: np.ndarray
    rates: np.ndarray

    def rate(self, depth: np.ndarray | float) -> np.ndarray:
        """Return the fitted rate at a depth (ticks), a second and side."""
        return np.asarray(self.A * np.exp(-self.k * np.asarray(depth)))


def fit_intensity(
    tape: Tape, *, seconds: float | None = None, interval_ms: float = 100.0, sample_s: float = 1.0
) -> IntensityFit:
    """Fit the arrival of market orders by depth, and volatility, to what was heard at the beginning of a tape.

    The depth of a market order is how far its furthest trade was from the mid of the last wake, which is where quotes
    stood. Depths beyond half a tick are counted in whole ticks and geometric under the model; with n of them and s
    their sum, the maximum likelihood is ``k = log(1 + n / s)``, ``A = n / (2 seconds) exp(k / 2)``. This is what the
    maker loop does, with forgetting.

    Parameters
    ----------
    tape : Tape
        Read by its local clock.
    seconds : float, optional
        Use no more than this of its beginning: what a strategy knows when it starts. Default: all of it.
    interval_ms : float
        Between wakes.
    sample_s : float
        Between the mids that volatility is measured from; longer than their bounce.

    Raises
    ------
    DataError
        No market order went beyond the nearest depth, or the mid was never sampled twice.
    """
    for name, value in (("seconds", seconds), ("interval_ms", interval_ms), ("sample_s", sample_s)):
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f"{name} was {value}", hint="finite and positive")
    heard = tape.events["local_ts"][(tape.events["kind"] & 128) != 0]
    until = np.iinfo(np.int64).max if seconds is None else int(heard[0]) + round(seconds * _NS)
    flow = np.zeros(1, FLOW_DTYPE)
    flow["mid"] = flow["sample_mid"] = np.nan
    totals, histogram = np.zeros(6), np.zeros(_DEPTHS, np.int64)
    engine = Engine([tape])
    engine.run(measure, round(interval_ms * 1e6), until, round(sample_s * _NS), flow[0], totals, histogram)
    n, beyond, observed, squares, square_seconds, moves = totals.tolist()
    if not beyond or not moves:
        raise DataError(
            f"{n:g} market orders, {beyond:g} ticks beyond the nearest depth, and {moves:g} moves of the mid were seen",
            hint="fit to more of the tape",
        )
    k = math.log1p(n / beyond)
    A = 0.5 * n / observed * math.exp(k * NEAREST)
    share = beyond / (n + beyond)
    k_stderr = (1.0 - share) / math.sqrt(share * n)
    sigma = math.sqrt(squares / square_seconds)
    return IntensityFit(
        A=A,
        k=k,
        sigma=sigma,
        A_stderr=A * math.sqrt(1.0 / n + (NEAREST * k_stderr) ** 2),
        k_stderr=k_stderr,
        sigma_stderr=sigma / math.sqrt(2.0 * moves),
        orders=int(n),
        seconds=observed,
        moves=int(moves),
        depths=NEAREST + np.arange(_DEPTHS),
        rates=np.cumsum(histogram[::-1])[::-1] / (2.0 * observed),
    )
