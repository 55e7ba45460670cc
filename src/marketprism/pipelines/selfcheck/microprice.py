"""The micro-price identity, through book, buckets and factor engine on the simulated market."""

from __future__ import annotations

from functools import cache

import polars as pl

from marketprism.factors.config import EngineConfig
from marketprism.factors.engine import FactorEngine
from marketprism.pipelines.selfcheck.registry import Oracle
from marketprism.simulate.config import MarketConfig
from marketprism.simulate.market import MarkovMarket

__all__ = ["ORACLES"]

_SETUP = "simulated market, 10 minutes, level-1 factors at every bucket"
_SOURCE = "identity: (microprice - mid) / S = queue_imbalance / 2"


@cache
def _rows() -> pl.DataFrame:
    market = MarkovMarket(MarketConfig(duration_s=600.0))
    config = EngineConfig.from_mapping({"families": ["level1"], "buckets": {"t_target_s": 2.0}})
    engine = FactorEngine(config, instrument=market.instrument)
    parts = [engine.push(block) for block in market.blocks()]
    return pl.concat([*parts, engine.flush()])


def _largest(difference: pl.Expr) -> float:
    value = _rows().select(difference.abs().max()).item()
    return float("nan") if value is None else float(value)


def _factor_identity() -> float:
    return _largest(pl.col("microprice_deviation") - pl.col("queue_imbalance") / 2)


def _price_identity() -> float:
    """Return the same from prices: the factor in quote currency must agree with the bucket's own mid."""
    tick = MarketConfig().instrument.tick
    spread = pl.col("spread_last_ticks") * tick
    return _largest((pl.col("microprice") - pl.col("mid_last")) / spread - pl.col("queue_imbalance") / 2)


ORACLES = (
    Oracle("microprice_deviation - queue_imbalance / 2, largest", _SETUP, 0.0, _factor_identity, 1e-12, _SOURCE),
    Oracle("(microprice - mid) / S - queue_imbalance / 2, largest", _SETUP, 0.0, _price_identity, 1e-9, _SOURCE),
)
