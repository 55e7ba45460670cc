"""Bucket frames and mid series that cannot be what they claim are refused, with row, column and value."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import DataError
from marketprism.evaluate import CostConfig, JudgeConfig, judge
from marketprism.evaluate.economics import execution
from marketprism.evaluate.frame_check import check_bucket_frame, check_mids


@pytest.fixture
def frame(make_tape):
    return make_tape(60).with_columns(notional=pl.lit(1e5), close=pl.col("mid_last"))


def put(frame, column, row, value):
    values = frame[column].to_list()
    values[row] = value
    return frame.with_columns(pl.Series(column, values, dtype=frame[column].dtype))


def test_a_good_frame_passes(frame):
    check_bucket_frame(frame)
    check_bucket_frame(put(put(frame, "mid_last", 3, None), "close", 4, math.nan))
    check_bucket_frame(frame.with_columns(close=None))


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("mid_last", 7, math.inf, r"mid_last of bucket 7 \(row 7\) was inf"),
        ("mid_last", 7, -1.0, "mid_last of bucket 7 .* was -1"),
        ("close", 5, 0.0, "close of bucket 5 .* was 0"),
        ("notional", 2, -3.0, "notional of bucket 2 .* was -3"),
        ("notional", 2, math.inf, "notional of bucket 2 .* was inf"),
        ("duration_ns", 9, -1, "duration_ns of bucket 9 .* was -1"),
        ("segment", 4, None, "segment of row 4 was null"),
        ("symbol", 4, None, "symbol of row 4 was null"),
    ],
)
def test_bad_values(frame, column, row, value, message):
    with pytest.raises(DataError, match=message):
        check_bucket_frame(put(frame, column, row, value))


def test_bad_types_and_missing_columns(frame):
    with pytest.raises(DataError, match="no column 'ts_known'"):
        check_bucket_frame(frame.drop("ts_known"))
    with pytest.raises(DataError, match="no rows"):
        check_bucket_frame(frame.clear())
    with pytest.raises(DataError, match="column 'ts_known' was of type Float64"):
        check_bucket_frame(frame.with_columns(pl.col("ts_known").cast(pl.Float64)))
    with pytest.raises(DataError, match="column 'ts_end' was of type Datetime"):
        check_bucket_frame(frame.with_columns(pl.col("ts_end").cast(pl.Datetime("ns"))))
    with pytest.raises(DataError, match="column 'close' was of type String"):
        check_bucket_frame(frame.with_columns(pl.col("close").cast(pl.String)))


def test_bad_frames_do_not_get_through_a_judgement(frame):
    config = JudgeConfig(costs=CostConfig(half_spread_bps=1.0))
    with pytest.raises(DataError, match="mid_last of bucket 7"):
        judge(put(frame, "mid_last", 7, -1.0), config)


def test_mid_series(frame):
    mids = frame.select(
        "exchange", "market_type", "symbol", pl.col("ts_end").alias("ts_recv"), pl.col("mid_last").alias("mid")
    )
    check_mids(mids)
    check_mids(mids.clear())
    with pytest.raises(DataError, match="no column 'mid'"):
        check_mids(mids.drop("mid"))
    with pytest.raises(DataError, match="no column 'ts'"):
        check_mids(mids.drop("ts_recv"))
    with pytest.raises(DataError, match="binance:linear:BTC-USDT ran backwards"):
        check_mids(mids.reverse())
    with pytest.raises(DataError, match="was -5"):
        check_mids(put(mids, "mid", 3, -5.0))
    with pytest.raises(DataError, match="ran backwards"):
        execution(frame, np.zeros(frame.height), CostConfig(), mids.reverse())
