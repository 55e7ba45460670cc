"""A synthetic bucket tape with a planted signal."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from marketprism.core.instrument import Instrument
from marketprism.evaluate.case import Case
from marketprism.evaluate.config import JudgeConfig
from marketprism.evaluate.judge import judge
from marketprism.labels.config import LabelConfig
from marketprism.models.baselines import ModelConfig

_NS = 10**9


def tape(
    n: int = 1200, ic: float = 0.2, seed: int = 0, noise: int = 3, symbol: str = "BTC-USDT", volatility: float = 3e-4
) -> pl.DataFrame:
    """Buckets whose next log return has correlation ``ic`` with the factor ``signal``; two gaps."""
    rng = np.random.default_rng(seed)
    duration = rng.integers(5 * _NS, 60 * _NS, n)
    end = 1_723_161_600 * _NS + np.cumsum(duration)
    signal = rng.standard_normal(n)
    move = volatility * (ic * np.r_[0, signal[:-1]] + np.sqrt(1 - ic * ic) * rng.standard_normal(n))
    mid = 60_000 * np.exp(np.cumsum(move))
    factors = {"signal": signal, **{f"noise_{i}": rng.standard_normal(n) for i in range(noise)}}
    holes = rng.random(n) < 0.1
    factors["noise_0"] = np.where(holes, np.nan, factors["noise_0"])
    return pl.DataFrame(
        {
            "exchange": "binance",
            "market_type": "linear",
            "symbol": symbol,
            "bucket_id": np.arange(n),
            "segment": np.arange(n) * 3 // n,
            "ts_start": end - duration,
            "ts_end": end,
            "ts_known": end + 5_000_000,
            "duration_ns": duration,
            "mid_open": np.r_[60_000.0, mid[:-1]],
            "mid_last": mid,
            "spread_last_ticks": np.ones(n, np.int64),
            **factors,
        }
    ).with_columns(pl.col(list(factors)).fill_nan(None))


@pytest.fixture(scope="session")
def make_tape() -> Callable[..., pl.DataFrame]:
    return tape


@pytest.fixture(scope="session")
def instruments() -> tuple[Instrument, ...]:
    return tuple(
        Instrument(exchange="binance", market_type="linear", symbol=symbol, tick_size=Decimal("0.1"))
        for symbol in ("BTC-USDT", "ETH-USDT")
    )


@pytest.fixture(scope="session")
def case(instruments: tuple[Instrument, ...]) -> Case:
    """One instrument, 1200 buckets, a planted signal, two logistic models, two horizons."""
    frame = tape()
    config = JudgeConfig(
        labels=LabelConfig(bucket_horizons=(1, 3)),
        models={"logistic": ModelConfig(), "loose": ModelConfig(inverse_penalty=0.1)},
        replications=200,
        control_repeats=3,
    )
    return Case(frame, judge(frame, config, instruments=instruments[:1]), instruments[:1])


@pytest.fixture(scope="session")
def panel_case(instruments: tuple[Instrument, ...]) -> Case:
    """Two instruments, 700 buckets each, one logistic model, one horizon."""
    frame = pl.concat([tape(700, seed=1), tape(700, seed=2, symbol="ETH-USDT", volatility=6e-4)])
    config = JudgeConfig(
        labels=LabelConfig(bucket_horizons=(1,)),
        models={"logistic": ModelConfig()},
        replications=200,
        control_repeats=3,
    )
    return Case(frame, judge(frame, config, instruments=instruments), instruments)
