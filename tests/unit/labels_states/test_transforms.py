"""Transforms against pandas, plain formulas and hand-made tapes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.labels import bucket_returns, stretches, transforms, trend_inputs

NS = 10**9
X = np.random.default_rng(0).normal(size=200)
S = pd.Series(X)


def frame(mids, ids=None, segments=None, ends=None, symbol="A"):
    n = len(mids)
    return pl.DataFrame(
        {
            "exchange": "x",
            "market_type": "spot",
            "symbol": symbol,
            "bucket_id": np.array(ids if ids is not None else range(n), np.int64),
            "segment": np.array(segments if segments is not None else [0] * n, np.int64),
            "ts_end": np.array(ends if ends is not None else range(n), np.int64) * NS,
            "mid_last": pl.Series(mids, dtype=pl.Float64),
        }
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (transforms.ewma(X, 9), S.ewm(span=9).mean()),
        (transforms.rolling_mean(X, 20), S.rolling(20).mean()),
        (transforms.momentum_sum(X, 5), S.rolling(5).sum()),
        (transforms.fast_minus_slow(X, 5, 20), S.rolling(5).mean() - S.rolling(20).mean()),
        (transforms.downside_deviation(X, 20), (S.clip(upper=0) ** 2).rolling(20).mean() ** 0.5),
        (transforms.rolling_zscore(X, 15), (S - S.rolling(15).mean()) / S.rolling(15).std(ddof=0)),
        (transforms.relative_strength(X, 14), 100 * S.clip(lower=0).rolling(14).sum() / S.abs().rolling(14).sum()),
        (
            transforms.stochastic_k(X, 14),
            100 * (S - S.rolling(14).min()) / (S.rolling(14).max() - S.rolling(14).min()),
        ),
        (transforms.macd(np.exp(X), 8, 21), S.ewm(span=8).mean() - S.ewm(span=21).mean()),
    ],
)
def test_against_pandas(ours, theirs):
    assert np.isfinite(ours).sum() > 100
    assert np.array_equal(np.isnan(ours), theirs.isna().to_numpy())
    np.testing.assert_allclose(ours, theirs.to_numpy(), atol=1e-9)


def test_edges():
    assert transforms.relative_strength([0.0, 0.0], 2)[1] == 50
    assert transforms.stochastic_k([5.0, 5.0], 2)[1] == 50
    assert transforms.stochastic_k([2.0, 3.0], 2, high=[4.0, 5.0], low=[1.0, 1.0])[1] == 50
    assert transforms.rolling_zscore([0.1, 0.1, 0.1], 3)[2] == 0
    assert np.isnan(transforms.macd([1.0, -1.0, 0.0], 2, 3)[1:]).all()
    assert np.isnan(transforms.rolling_mean([np.inf, 1.0, 2.0], 2)).tolist() == [True, True, False]
    assert transforms.ewma([1.0, np.nan, 3.0], 3).tolist() == pytest.approx(
        [1.0, np.nan, 3.0 / 1.5 + 1 / 3], nan_ok=True
    )


def test_bad_calls():
    with pytest.raises(ConfigError, match="window was 0"):
        transforms.rolling_mean(X, 0)
    with pytest.raises(ConfigError, match="fast was 5 and slow 5"):
        transforms.macd(X, 5, 5)
    with pytest.raises(DataError, match="one length"):
        transforms.ewma(X, 3, [1])


def test_returns_never_cross_a_gap_or_a_series():
    tape = pl.concat(
        [frame([1.0, 2.0, 4.0, 8.0], segments=[0, 0, 1, 1]), frame([1.0, 3.0, 9.0], ids=[0, 1, 3], symbol="B")]
    )
    mixed = tape[[6, 0, 5, 1, 4, 2, 3]]
    two, three = np.log(2), np.log(3)
    expected = [np.nan, np.nan, three, two, np.nan, np.nan, two]
    np.testing.assert_allclose(bucket_returns(mixed, "raw"), expected)
    assert stretches(mixed).tolist() == [3, 0, 2, 0, 2, 1, 1]


def test_per_second_returns():
    tape = frame([1.0, 2.0, 2.0, None, -1.0, 4.0], ends=[0, 4, 4, 5, 6, 7])
    np.testing.assert_allclose(bucket_returns(tape), [np.nan, np.log(2) / 4, *[np.nan] * 4])


def test_trend_inputs_match_the_transforms_row_for_row():
    mids = np.exp(np.cumsum(X) / 100)
    one, two = frame(mids), frame(mids[::-1].copy(), symbol="B")
    inputs = trend_inputs(pl.concat([two, one]).sample(fraction=1.0, shuffle=True, seed=1))
    assert inputs.height == 400
    assert len(inputs.columns) == 13
    alone = trend_inputs(one)
    assert alone["macd_8_21"].to_list() == pytest.approx(transforms.macd(mids, 8, 21).tolist())
    returns = bucket_returns(one)
    assert alone["trend_mean_30"][40] == pytest.approx(returns[11:41].mean())
    assert trend_inputs(pl.concat([one, two])).head(200).equals(alone)


def test_bad_frames():
    with pytest.raises(DataError, match="no column 'mid_last'"):
        bucket_returns(frame([1.0]).drop("mid_last"))
    with pytest.raises(DataError, match="no rows"):
        trend_inputs(frame([1.0]).head(0))
    with pytest.raises(ConfigError, match="did you mean 'per_second'"):
        bucket_returns(frame([1.0]), "per_secon")
