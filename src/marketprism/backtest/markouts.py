"""Mark-outs: how the mid moved after each fill, by horizon, makers' and takers' fills apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from marketprism.backtest.accounting import MarketAccount
from marketprism.core.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["markout_table"]

_NS = 1_000_000_000
_BPS = 1e4


def markout_table(accounts: Sequence[MarketAccount], horizons_s: Sequence[float]) -> pl.DataFrame:
    """Return how far, on average, the mid moved with the fills of an account.

    Parameters
    ----------
    accounts : sequence of MarketAccount
        One for each market.
    horizons_s : sequence of float
        Seconds of the exchange's clock after each fill, at least 0.

    Returns
    -------
    polars.DataFrame
        One row for each market, horizon and ``maker`` (True, False): ``market, horizon_s, maker, n, mean_ticks,
        stderr, mean_bps, stderr_bps, edge_ticks, edge_bps``. The mark-out of a fill is ``side (m(t + h) - m)``, with
        ``m`` the mid just before the fill: negative is adverse. The edge is ``side (m - price)`` of the same fills,
        so that edge plus mark-out is what a fill was worth after ``h``. Fills count alike, whatever their size. NaN
        where there is no fill, and for the standard error of fewer than two clusters.

    Raises
    ------
    ConfigError
        A horizon is negative or not finite.

    Notes
    -----
    Left out of a horizon: fills with a gap or the end of the tape before its end. Standard errors are clustered: fills
    within one horizon of each other share their future, so time is cut into bins of ``h``, and
    ``stderr^2 = G / (G - 1) sum_g (sum_(i in g) (x_i - mean))^2 / n^2`` over the G bins with fills.

    References
    ----------
    Cameron and Miller (2015), "A practitioner's guide to cluster-robust inference", Journal of Human Resources 50(2).
    """
    import polars as pl

    for horizon in horizons_s:
        if not (math.isfinite(horizon) and horizon >= 0):
            raise ConfigError(f"horizon was {horizon} s", hint="0 or more")
    rows = [
        {"market": index, "horizon_s": float(horizon), "maker": maker, **_row(account, round(horizon * _NS), maker)}
        for index, account in enumerate(accounts)
        for maker in (True, False)
        for horizon in horizons_s
    ]
    return pl.DataFrame(rows)


def _row(account: MarketAccount, horizon: int, maker: bool) -> dict[str, float]:
    mids = account.mids
    chosen = np.flatnonzero(account.maker == maker)
    ends = account.ts[chosen] + horizon
    crossed = np.searchsorted(mids.gaps, ends, side="right") > np.searchsorted(
        mids.gaps, account.ts[chosen], side="left"
    )
    chosen = chosen[(ends <= mids.last_ts) & ~crossed]
    ts = account.ts[chosen]
    mid, price = account.half_ticks[chosen], account.price_half_ticks[chosen]
    side = np.sign(account.lots[chosen]).astype(np.float64)
    moved = side * (mids.at(ts + horizon) - mid)
    edge = side * (mid - price)
    clusters = ts // max(horizon, 1)
    row: dict[str, float] = {"n": len(chosen)}
    for name, scale in (("", np.full(len(ts), 0.5)), ("_bps", _BPS / mid)):
        unit = name or "_ticks"
        row[f"mean{unit}"] = _mean(moved * scale)
        row[f"stderr{name}"] = _stderr(moved * scale, clusters)
        row[f"edge{unit}"] = _mean(edge * scale)
    return row


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _stderr(values: np.ndarray, clusters: np.ndarray) -> float:
    """Return the cluster-robust standard error of the mean."""
    _, at = np.unique(clusters, return_inverse=True)
    if not len(values) or at.max() < 1:
        return math.nan
    sums = np.bincount(at, values - values.mean())
    return math.sqrt(len(sums) / (len(sums) - 1) * float((sums**2).sum())) / len(values)
