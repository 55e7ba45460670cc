"""Labels end where they say: cutting the tape takes labels away whole, and changes no other one. Regimes: past only."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketprism.labels import (
    jump_share_regime,
    meta_labels,
    path_labels,
    smoothed_labels,
    spread_regime,
    triple_barrier_labels,
    volatility_intensity_regime,
)

NS = 10**9
LABELS = {
    "smoothed": lambda frame: smoothed_labels(frame, 3, 0.001).frame,
    "barrier": lambda frame: triple_barrier_labels(frame, 4, 0.5, 0.5).frame,
    "meta": lambda frame: meta_labels(frame, np.where(np.arange(frame.height) % 2, 1, -1), 4).frame,
    "path": lambda frame: path_labels(frame, 3),
}
REGIMES = {
    "volatility": lambda frame: volatility_intensity_regime(frame, "a", "b", window=20, least=5),
    "spread": lambda frame: spread_regime(frame, window=20, least=5),
    "jumps": lambda frame: jump_share_regime(frame, 5, past=20, least=5),
}


def tape(seed, n=80):
    rng = np.random.default_rng(seed)
    mids = 100 * np.exp(np.cumsum(rng.choice([-0.001, 0, 0.001, 0.01], n)))
    mids[rng.random(n) < 0.02] = np.nan
    end = np.cumsum(rng.integers(1, 9, n))
    return pl.DataFrame(
        {
            "exchange": "x",
            "market_type": "spot",
            "symbol": "A",
            "bucket_id": np.arange(n),
            "segment": np.cumsum(rng.random(n) < 0.03),
            "ts_end": end * NS,
            "ts_known": np.maximum.accumulate(end + rng.integers(0, 20, n)) * NS,
            "mid_last": mids,
            "spread_last_ticks": rng.integers(-1, 6, n),
            "a": rng.normal(size=n),
            "b": rng.normal(size=n),
        }
    )


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(LABELS)), st.integers(0, 9), st.integers(1, 79))
def test_a_cut_takes_away_only_labels_that_end_later(name, seed, cut):
    frame = tape(seed)
    whole, part = LABELS[name](frame).head(cut), LABELS[name](frame.head(cut))
    (end,) = [column for column in whole.columns if column.startswith("label_end_ts")]
    (known,) = [column for column in whole.columns if column.startswith("label_known_ts")]
    kept = whole[end].is_null() | (whole[end] <= frame["ts_end"][cut - 1])
    threshold = [column for column in whole.columns if column.startswith("threshold_")]
    assert whole.filter(kept).equals(part.filter(kept))
    assert part.filter(~kept)[end].null_count() == (~kept).sum()
    assert whole.select(threshold).equals(part.select(threshold))
    defined = whole.filter(pl.col(end).is_not_null())
    assert (defined[known] >= defined[end]).all()


@pytest.mark.parametrize("name", sorted(LABELS))
def test_labels_exist(name):
    frame = LABELS[name](tape(0))
    (end,) = [column for column in frame.columns if column.startswith("label_end_ts")]
    assert frame[end].null_count() < 70


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(REGIMES)), st.integers(0, 9), st.integers(1, 79))
def test_regimes_use_the_past_only(name, seed, cut):
    frame = tape(seed)
    codes = REGIMES[name](frame).codes
    assert np.array_equal(codes[:cut], REGIMES[name](frame.head(cut)).codes)
    assert (codes >= 0).any()
