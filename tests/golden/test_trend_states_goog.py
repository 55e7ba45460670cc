"""Trend states on a real half hour and more of GOOG: gates hold, refusals happen, nothing looks ahead."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import marketprism as mp
from marketprism.labels import StateGates, TrendStates, bucket_returns, stretches, trend_inputs

COLUMNS = ("return_ewma_10", "macd_8_21", "momentum_5", "trend_mean_20")


@pytest.mark.slow
def test_goog(data_dir):
    source = mp.open_source(f"lobster:{data_dir}/lobster/LOBSTER_SampleFile_GOOG_2012-06-21_10.zip")
    config = mp.EngineConfig(buckets=mp.BucketConfig(policy="event", target_updates=100))
    engine = mp.FactorEngine(config, instrument=source.instrument)
    frame = pl.concat([*[engine.push(block) for block in source], engine.flush()])
    X, returns, numbers = trend_inputs(frame).select(COLUMNS), bucket_returns(frame), stretches(frame)
    rules = TrendStates("rules").fit(X, returns, numbers)
    assert rules.failures_ == ()
    for method in ("jump", "sparse_jump", "hmm"):
        kept = TrendStates(method, n_init=1, refuse=False).fit(X, returns, numbers)
        assert kept.method_ == method
        model = TrendStates(method, n_init=1).fit(X, returns, numbers)
        assert model.method_ == ("rules" if kept.failures_ else method)
        assert model.failures_ == ()
        states, cut = kept.predict_online(X, numbers), 700
        assert np.array_equal(states[:cut], kept.predict_online(X[:cut], numbers[:cut]))
    impossible = TrendStates("hmm", gates=StateGates(min_forward_ic=0.9)).fit(X, returns, numbers)
    assert impossible.method_ == "rules"
    assert impossible.failures_
