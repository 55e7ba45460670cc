"""The controls behave on three real markets: nothing in shuffled labels and noise, and a planted leak is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

import marketprism as mp
from marketprism.core.timebase import NS
from marketprism.evaluate import Judgement
from marketprism.pipelines.collect import Collected, collect

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("real-controls")]

FAMILIES = ("level1", "flow", "returns")
CONFIG = mp.JudgeConfig.from_mapping(
    {
        "labels": {"bucket_horizons": [1]},
        "models": {"logistic": {"kind": "logistic"}},
        "replications": 300,
        "control_repeats": 5,
        "folds": 4,
    }
)


class Market(NamedTuple):
    source: str
    files: tuple[str, ...]
    bucket_s: float


MARKETS = {
    "BTC perpetual": Market("binance-ws:{0}", ("binance_ws_20240808/usdm_btcusdt_20240808.gz",), 0.5),
    "GOOG": Market("lobster:{0}", ("lobster/LOBSTER_SampleFile_GOOG_2012-06-21_10.zip",), 20.0),
    "IBM": Market(
        "us-l1:{0},{1}",
        ("us_equity_l1_201310/ibm_20131007_quote.zip", "us_equity_l1_201310/ibm_20131007_trade.zip"),
        20.0,
    ),
}


class Judged(NamedTuple):
    collected: Collected
    instruments: tuple[mp.Instrument, ...]
    judgement: Judgement


@pytest.fixture(scope="module", params=MARKETS)
def judged(request: pytest.FixtureRequest, data_dir: Path) -> Judged:
    market = MARKETS[request.param]
    files = [data_dir / name for name in market.files]
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        pytest.skip(f"real market data are absent: {missing[0]}")
    source = mp.open_source(market.source.format(*files))
    buckets = mp.BucketConfig(policy="time", t_target_s=market.bucket_s)
    collected = collect(source, mp.EngineConfig(buckets=buckets, families=FAMILIES))
    judgement = mp.judge(collected.frame, CONFIG, instruments=source.instruments, mids=collected.mids)
    return Judged(collected, source.instruments, judgement)


def test_there_is_enough_to_judge(judged: Judged) -> None:
    assert judged.collected.frame.height > 400
    assert list(judged.judgement.models) == ["logistic"]
    assert judged.judgement.models["logistic"].horizons["1_buckets"].metrics["ic"].enough


def test_shuffled_labels_and_noise_find_nothing(judged: Judged) -> None:
    controls = {control.name: control for control in judged.judgement.controls}
    for name in ("shuffled_labels", "noise_factors"):
        assert controls[name].passed, controls[name].reason
        assert controls[name].metric.low <= 0 <= controls[name].metric.high
        assert abs(controls[name].metric.value) < 0.15


def test_the_planted_leak_is_caught_and_named_and_nothing_else_is(judged: Judged) -> None:
    planted = next(control for control in judged.judgement.controls if control.name == "planted_leak")
    assert planted.passed, planted.reason
    assert planted.named == ("planted_leak",)
    assert planted.metric.value > CONFIG.leak_ceiling
    assert judged.judgement.suspects == {}


LEAKS: dict[str, Callable[[pl.DataFrame], pl.Expr]] = {
    "next_mid_return": lambda _: (pl.col("mid_last").shift(-1) / pl.col("mid_last")).log(),
    "next_move_smudged": lambda frame: (
        (pl.col("mid_last").shift(-1) - pl.col("mid_last")).rank()
        + 0.1 * frame.height * pl.Series(np.random.default_rng(0).normal(size=frame.height))
    ),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_left_in_as_a_factor_is_named(judged: Judged, leak: str) -> None:
    """The negative: with the leak among the factors, the judgement must not look clean."""
    frame = judged.collected.frame
    leaky = frame.with_columns(LEAKS[leak](frame).cast(pl.Float64).alias(leak))
    small = CONFIG.replace(factors=("queue_imbalance", "spread_bps", leak), replications=100, control_repeats=3)
    found = mp.judge(leaky, small, instruments=judged.instruments, mids=judged.collected.mids)
    assert list(found.suspects) == [leak]
    assert any(repr(leak) in note and "suspected leak" in note for note in found.notes)
    planted = next(control for control in found.controls if control.name == "planted_leak")
    assert set(planted.named) == {"planted_leak", leak}
    honest = judged.judgement.models["logistic"].horizons["1_buckets"].metrics["rank_ic"].value
    assert found.models["logistic"].horizons["1_buckets"].metrics["rank_ic"].value > honest + 0.1


def test_the_leak_detector_sees_it_in_the_factor_function_too(judged: Judged) -> None:
    tape = judged.collected.frame.select("ts_end", "ts_known", "mid_last").drop_nulls().head(300)

    def factors(frame: pl.DataFrame) -> pl.DataFrame:
        mid = pl.col("mid_last")
        return frame.select(honest=mid.diff(), peek=mid.diff().shift(-1), far=mid.shift(-7))

    leaks = {leak.factor: leak for leak in mp.check_leaks(factors, tape, samples=12)}
    assert set(leaks) == {"peek", "far"}
    assert leaks["peek"].rows_ahead == 1
    # A mid that does not move hides some of the rows: the distance is the smallest that could be seen.
    assert 1 <= leaks["far"].rows_ahead <= 7
    assert leaks["far"].reach == 7
    assert (tape["ts_known"].diff().drop_nulls() < 3600 * NS).all()
