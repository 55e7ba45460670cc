"""Bucket frames made by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

NS = 10**9


@pytest.fixture
def tape():
    """Return a maker of bucket frames of one series."""

    def make(mids, segments=None, ids=None, symbol="A", delay=0, **columns):
        n = len(mids)
        end = np.arange(1, n + 1) * 10 * NS
        return pl.DataFrame(
            {
                "exchange": "x",
                "market_type": "spot",
                "symbol": symbol,
                "bucket_id": np.array(ids if ids is not None else range(n), np.int64),
                "segment": np.array(segments if segments is not None else [0] * n, np.int64),
                "ts_end": end,
                "ts_known": end + delay,
                "mid_last": pl.Series(mids, dtype=pl.Float64),
                **columns,
            }
        )

    return make
