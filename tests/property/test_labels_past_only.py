"""Cutting the tape changes no earlier threshold, and no label that was already complete."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from marketprism.labels import LabelConfig, make_labels

NS = 10**9


@st.composite
def tapes(draw):
    n = draw(st.integers(5, 60))
    steps = np.array(draw(st.lists(st.integers(0, 20), min_size=n, max_size=n)))
    delays = np.array(draw(st.lists(st.integers(0, 40), min_size=n, max_size=n)))
    mids = np.array(draw(st.lists(st.sampled_from([0.0, 99.0, 100.0, 101.0, np.nan]), min_size=n, max_size=n)))
    gaps = np.array(draw(st.lists(st.sampled_from([0, 0, 0, 1]), min_size=n, max_size=n)))
    end = np.cumsum(steps)
    return pl.DataFrame(
        {
            "exchange": "x",
            "market_type": "spot",
            "symbol": "A",
            "bucket_id": np.arange(n),
            "segment": np.cumsum(gaps),
            "ts_end": end * NS,
            "ts_known": np.maximum.accumulate(end + delays) * NS,
            "mid_last": mids,
        }
    )


@settings(max_examples=60, deadline=None)
@given(tapes(), st.data(), st.sampled_from(["raw", "per_second"]))
def test_truncation_changes_nothing_earlier(tape, data, scheme):
    cut = data.draw(st.integers(1, tape.height))
    config = LabelConfig(
        bucket_horizons=(1, 3), time_horizons_s=(7.0,), scheme=scheme, threshold_min_moves=2, threshold_half_life=5
    )
    whole, part = make_labels(tape, config).frame.head(cut), make_labels(tape.head(cut), config).frame
    for horizon in config.horizons:
        threshold = f"threshold_{horizon.name}"
        assert whole[threshold].equals(part[threshold], null_equal=True)
        known_later = part[f"return_{horizon.name}"].is_null() & whole[f"return_{horizon.name}"].is_not_null()
        # A label that the cut took away became known only after the cut.
        last_known = tape["ts_known"][cut - 1]
        assert (whole.filter(known_later)[f"label_known_ts_{horizon.name}"] >= last_known).all()
        for column in ("return", "class", "label_end_ts", "label_known_ts"):
            name = f"{column}_{horizon.name}"
            assert whole.filter(~known_later)[name].equals(part.filter(~known_later)[name], null_equal=True)


@settings(max_examples=40, deadline=None)
@given(tapes(), st.data())
def test_the_future_changes_no_threshold(tape, data):
    cut = data.draw(st.integers(1, tape.height))
    config = LabelConfig(bucket_horizons=(2,), time_horizons_s=(7.0,), threshold_min_moves=1)
    other = tape.with_columns(mid_last=pl.when(pl.int_range(pl.len()) < cut).then("mid_last").otherwise(pl.lit(5.0)))
    for name in ("threshold_2_buckets", "threshold_7_s"):
        first, second = (make_labels(frame, config).frame[name].head(cut) for frame in (tape, other))
        assert first.equals(second, null_equal=True)
