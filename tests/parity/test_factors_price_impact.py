"""Order-flow imbalance explains the price moves of its own interval on a large-tick stock.

They report a mean R2 of 0.65 over 50 stocks and 10 s intervals; one stock and day here, hence a band.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from marketprism.buckets.config import BucketConfig
from marketprism.factors.config import EngineConfig
from marketprism.factors.engine import FactorEngine


@pytest.mark.slow
def test_contemporaneous_regression(data_dir: Path) -> None:
    from marketprism.ingest.registry import open_source

    folder = data_dir / "us_equity_l1_201310"
    source = open_source(f"us-l1:{folder}/bac_20131007_quote.zip,{folder}/bac_20131007_trade.zip")
    config = EngineConfig(buckets=BucketConfig(policy="time", t_target_s=10.0), families=("level1", "ofi", "returns"))
    engine = FactorEngine(config, instrument=source.instrument)
    rows = pl.concat([*(engine.push(block) for block in source), engine.flush()])
    assert rows["spread_ticks_mean"].median() == pytest.approx(1.0, abs=0.01)
    both = rows.with_columns(move=pl.col("mid_last").diff().over("segment")).drop_nulls(["move", "ofi"])
    assert both.height > 2000
    move, ofi = both["move"].to_numpy(), both["ofi"].to_numpy()
    assert np.polyfit(ofi, move, 1)[0] > 0
    assert 0.45 < np.corrcoef(ofi, move)[0, 1] ** 2 < 0.75
    # The next interval is another matter: what explains the present hardly tells the future.
    assert np.corrcoef(ofi[:-1], move[1:])[0, 1] ** 2 < 0.02
