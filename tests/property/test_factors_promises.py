"""Every registered factor keeps every promise of the check suite; the engine keeps them on panels and mixed streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from marketprism.book.config import BookConfig
from marketprism.buckets.config import BucketConfig
from marketprism.buckets.record import Cut, Trigger
from marketprism.core.block import EventBlock, concat
from marketprism.core.kinds import Flag
from marketprism.factors.chain import Chain
from marketprism.factors.config import EngineConfig
from marketprism.factors.engine import FactorEngine
from marketprism.factors.registry import families
from marketprism.testing.factors import FACTOR_CHECKS, check_family
from marketprism.testing.streams import every_column_stream
from marketprism.testing.tapes import market_tape

TAPE = market_tape(2500)
FILLS = BucketConfig(policy="event", target_updates=15)


@pytest.mark.parametrize("check", FACTOR_CHECKS)
@pytest.mark.parametrize("family", sorted(families()))
def test_family_keeps_its_promises(family: str, check: str) -> None:
    assert check_family(family, TAPE, checks=[check]) == (check,)


@pytest.mark.parametrize("family", sorted(families()))
def test_cut_after_a_row_is_the_cut_before_the_next(family: str) -> None:
    """The clock cuts before rows only; families obey the cuts of other clocks too, after a row."""
    config = EngineConfig(families=(family,), buckets=FILLS, book=BookConfig(depth_levels=20))
    chain = Chain(config, TAPE.instrument)
    views = chain.book.push(TAPE.rows)
    cuts, buckets = chain.clock.push(TAPE.rows, views)
    fills = np.flatnonzero(cuts)[buckets["trigger"] == Trigger.EVENT]
    # A message that was cut by a gap has no end to close after.
    fills = fills[(TAPE.rows["flags"][fills - 1] & Flag.LAST) != 0]
    moved = cuts.copy()
    moved[fills] = Cut.NONE
    moved[fills - 1] |= np.uint8(Cut.AFTER)
    assert len(fills) > 80
    before = chain.compute(TAPE.rows, views, cuts, buckets)
    after = Chain(config, TAPE.instrument).compute(TAPE.rows, views, moved, buckets)
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(after.values, before.values)
    assert np.isfinite(before.values).any()


def run(block: EventBlock, config: EngineConfig, size: int, save_every: int = 0) -> pl.DataFrame:
    engine = FactorEngine(config, instrument=block.instruments)
    parts = []
    for n, part in enumerate(block.chunks(size or max(1, len(block)))):
        if save_every and n % save_every == 0:
            engine = FactorEngine.load(engine.save())
        parts.append(engine.push(part))
    return pl.concat([*parts, engine.flush()])


CONFIGS = [
    EngineConfig(buckets=BucketConfig(policy="volume", target_volume=400.0), book=BookConfig(depth_levels=5)),
    EngineConfig(buckets=BucketConfig(policy="time", t_target_s=1.0)),
    EngineConfig(buckets=BucketConfig(policy="adaptive", t_target_s=2.0), book=BookConfig(depth_levels=0)),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.buckets.policy)
def test_panel_is_chunk_invariant(config: EngineConfig) -> None:
    panel = every_column_stream(1500, seed=3)
    whole = run(panel, config, 0)
    assert whole.height > 20
    assert whole["symbol"].n_unique() == 3
    for size in (1, 37, 4096):
        assert run(panel, config, size).equals(whole)
    assert run(panel, config, 501, save_every=1).equals(whole)


def test_panel_is_its_instruments_apart() -> None:
    panel, config = every_column_stream(1500, seed=4), CONFIGS[1]
    whole = run(panel, config, 0)
    for index, instrument in enumerate(panel.instruments):
        alone = run(panel.only(index), config, 0)
        same = pl.col("symbol") == instrument.symbol, pl.col("market_type") == instrument.market_type
        assert whole.filter(*same).equals(alone)


def _real(data_dir: Path, spec: str, rows: int) -> EventBlock:
    from marketprism.ingest.registry import open_source

    parts, n = [], 0
    for block in open_source(spec.format(data_dir)):
        parts.append(block[: rows - n])
        n += len(parts[-1])
        if n >= rows:
            break
    return concat(parts)


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        "binance-ws:{0}/binance_ws_20240808/usdm_btcusdt_20240808.gz",
        "lobster:{0}/lobster/LOBSTER_SampleFile_GOOG_2012-06-21_10.zip",
        "us-l1:{0}/us_equity_l1_201310/bac_20131007_quote.zip,{0}/us_equity_l1_201310/bac_20131007_trade.zip",
    ],
    ids=["binance", "lobster", "us-l1"],
)
def test_real_data(data_dir: Path, spec: str) -> None:
    block = _real(data_dir, spec, 20_000)
    config = EngineConfig(
        buckets=BucketConfig(policy="adaptive", t_target_s=1.0), book=BookConfig(start="first_update")
    )
    whole = run(block, config, 0)
    assert whole.height > 10
    for size in (1, 37, 4096):
        assert run(block, config, size).equals(whole)
    assert run(block, config, 3001, save_every=1).equals(whole)
    half = run(block[: len(block) // 2], config, 0)[:-1]
    names = FactorEngine(config, instrument=block.instruments).factor_names
    np.testing.assert_array_equal(half.select(names).to_numpy(), whole[: half.height].select(names).to_numpy())
