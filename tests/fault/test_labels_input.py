"""Bad frames are refused, naming what was wrong."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import DataError
from marketprism.labels import LabelConfig, make_labels

GOOD = pl.DataFrame(
    {
        "exchange": "x",
        "market_type": "spot",
        "symbol": "A",
        "bucket_id": np.arange(4),
        "segment": np.zeros(4, np.int64),
        "ts_end": np.arange(4),
        "ts_known": np.arange(4),
        "mid_last": np.ones(4),
    }
)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (GOOD.drop("segment"), "no column 'segment'"),
        (GOOD.head(0), "no rows"),
        (GOOD.with_columns(bucket_id=pl.lit(7)), "bucket 7 of x:spot:A came twice"),
        (GOOD.with_columns(ts_end=-pl.col("ts_end")), "ts_end of bucket 1 of x:spot:A ran backwards"),
        (GOOD.with_columns(ts_known=-pl.col("ts_known")), "ts_known of bucket 1"),
    ],
)
def test_bad_frame(frame, message):
    with pytest.raises(DataError, match=message):
        make_labels(frame)


def test_good_frame_is_accepted():
    assert make_labels(GOOD).frame.height == 4


def test_bad_mid_series():
    config = LabelConfig(time_horizons_s=(1.0,))
    keys = {"exchange": "x", "market_type": "spot", "symbol": "A"}
    with pytest.raises(DataError, match="no column 'mid'"):
        make_labels(GOOD, config, pl.DataFrame({**keys, "ts_event": [1]}))
    with pytest.raises(DataError, match="mid series of x:spot:A ran backwards"):
        make_labels(GOOD, config, pl.DataFrame({**keys, "ts_event": [2, 1], "mid": [1.0, 1.0]}))
