"""Regimes and sessions: codes by hand, thresholds from the past."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.labels import (
    Regime,
    funding_open_interest_regime,
    jump_share,
    jump_share_regime,
    past_levels,
    past_quantiles,
    session_regime,
    spread_regime,
    standardise_by_session,
    volatility_intensity_regime,
)

NS = 10**9
HOUR = 3600 * NS


def test_past_quantiles_against_numpy():
    x = np.random.default_rng(0).integers(0, 20, 300).astype(float)  # with ties
    x[::7] = np.nan
    bounds = past_quantiles(x, (0.25, 0.9), window=40, least=10)
    for t in range(300):
        past = x[:t][np.isfinite(x[:t])][-40:]
        if past.size < 10:
            assert np.isnan(bounds[t]).all()
        else:
            assert bounds[t] == pytest.approx(np.quantile(past, (0.25, 0.9)))
    assert np.isfinite(bounds).sum() > 500
    levels = past_levels(x, (0.25, 0.9), window=40, least=10)
    assert set(levels[np.isfinite(levels)].tolist()) == {0.0, 1.0, 2.0}
    assert np.isnan(levels[::7]).all()
    for bad in ((), (1.5,)):
        with pytest.raises(ConfigError, match="shares were"):
            past_quantiles(x, bad)
    with pytest.raises(ConfigError, match="least was 9 and window 3"):
        past_quantiles(x, (0.5,), 3, 9)


def test_volatility_and_intensity(tape):
    a = [1.0, 2.0, 3.0, 9.0, 0.0, 9.0, None]
    b = [1.0, 2.0, 3.0, 0.0, 9.0, 9.0, 1.0]
    frame = tape([1.0] * 7, realised_vol_20_buckets=a, trade_intensity_20_buckets=b)
    regime = volatility_intensity_regime(frame, least=3)
    assert regime.names() == [None] * 3 + ["volatile/slow", "calm/busy", "volatile/busy", None]
    masks = regime.masks()
    assert sum(mask.astype(int) for mask in masks.values()).tolist() == [1] * 7
    assert masks["unknown"].tolist() == [True] * 3 + [False] * 3 + [True]
    with pytest.raises(ConfigError, match="did you mean 'calm/busy'"):
        regime.mask("calm/bussy")
    two = pl.concat([frame, frame.with_columns(symbol=pl.lit("B"))])
    assert volatility_intensity_regime(two, least=3).names() == regime.names() * 2
    with pytest.raises(DataError, match="no column 'realised_vol"):
        volatility_intensity_regime(tape([1.0]))


def test_spread_states(tape):
    frame = tape([1.0] * 8, spread_last_ticks=[1, 3, 3, 4, 1, 9, 3, -1])
    assert spread_regime(frame, least=3).names() == [
        "one_tick", None, None, "wide", "one_tick", "wide", "usual", None,
    ]  # fmt: skip


def test_funding_and_open_interest(tape):
    frame = tape(
        [1.0] * 8,
        segments=[0] * 6 + [1] * 2,
        funding_rate=[0.0, 1.0, 2.0, 9.0, -9.0, 1.0, 1.0, 1.0],
        open_interest=[5.0, 5.0, 5.0, 6.0, 7.0, 6.0, 9.0, 9.5],
    )
    names = funding_open_interest_regime(frame, steps=1, least=3).names()
    assert names[:3] == [None] * 3
    assert names[3:] == [
        "funding_high/oi_rising",
        "funding_low/oi_rising",
        "funding_middle/oi_falling",
        None,  # the gap: nothing to compare with
        "funding_middle/oi_rising",
    ]
    with pytest.raises(ConfigError, match="steps was 0"):
        funding_open_interest_regime(frame, steps=0)


def test_jump_share_sees_jumps(tape):
    rng = np.random.default_rng(0)
    moves = rng.normal(size=2000) / 1000
    smooth = jump_share(tape(np.exp(np.cumsum(moves))))
    assert np.isnan(smooth[:50]).all()
    assert np.isfinite(smooth[50:]).all()
    assert np.mean(smooth[50:]) < 0.1
    jumped = moves.copy()
    jumped[1000] = 0.05
    frame = tape(np.exp(np.cumsum(jumped)))
    share = jump_share(frame)
    assert np.array_equal(share[:1000], smooth[:1000], equal_nan=True)
    assert share[1000:1050].min() > 0.9
    assert np.array_equal(share[1051:] > 0.9, smooth[1051:] > 0.9)
    for regime in (jump_share_regime(frame, threshold=0.5), jump_share_regime(frame)):
        assert set(regime.names()[1000:1050]) == {"jumpy"}
        assert regime.names()[0] is None
    formula = (
        1
        - np.pi / 2 * 50 / 49 * (np.abs(moves[951:1000]) * np.abs(moves[950:999])).sum() / (moves[950:1000] ** 2).sum()
    )
    assert smooth[999] == pytest.approx(max(0.0, formula))
    assert jump_share(tape([1.0] * 60))[59] == 0
    with pytest.raises(ConfigError, match="window was 2"):
        jump_share(frame, 2)


def test_crossing_needs_equal_rows():
    one = Regime("a", ("x", "y"), np.array([0, 1, -1]))
    assert one.cross(Regime("b", ("u", "v"), np.array([1, 0, 0]))).names() == ["x/v", "y/u", None]
    with pytest.raises(DataError, match="3 and 1 rows"):
        one.cross(Regime("b", ("u",), np.array([0])))


def test_sessions(tape):
    hours = [0, 6.99, 7, 13.49, 13.5, 23.9, 24, 31]
    frame = tape([1.0] * 8).with_columns(ts_known=pl.Series([int(h * HOUR) for h in hours]))
    names = ["asia", "asia", "europe", "europe", "us", "us", "asia", "europe"]
    assert session_regime(frame).names() == names
    late = session_regime(frame, {"day": 6.0, "night": 20.0}).names()
    assert late == ["night", "day", "day", "day", "day", "night", "night", "day"]
    with pytest.raises(ConfigError, match="session starts were"):
        session_regime(frame, {"a": 5.0, "b": 5.0})


def test_standardised_within_sessions_from_the_past_only(tape):
    rng = np.random.default_rng(0)
    n = 600
    known = np.arange(n) * HOUR
    level = np.where((np.arange(n) % 24) < 7, 100.0, 0.0)
    x = level + rng.normal(size=n)
    frame = tape([1.0] * n, x=x).with_columns(ts_known=pl.Series(known))
    z = standardise_by_session(frame, ["x"], half_life=50, least=20)["x"]
    assert abs(z.mean()) < 0.2
    assert 0.9 < z.std() < 1.3
    asia = np.flatnonzero(level > 50)
    t = asia[60]
    past = x[asia[:60]]
    weights = 0.5 ** (np.arange(60)[::-1] / 50)
    mean = np.average(past, weights=weights)
    deviation = np.sqrt(np.average((past - mean) ** 2, weights=weights))
    assert z[int(t)] == pytest.approx((x[t] - mean) / deviation)
    assert z.head(24 * 2).null_count() == 48
    changed = frame.with_columns(x=pl.when(pl.int_range(pl.len()) > 300).then(9e9).otherwise("x"))
    assert standardise_by_session(changed, ["x"], 50, 20)["x"].head(301).equals(z.head(301))
    gaps = frame.with_columns(x=pl.when(pl.int_range(pl.len()) == 400).then(None).otherwise("x"))
    assert standardise_by_session(gaps, ["x"], 50, 20)["x"][400] is None
    with pytest.raises(ConfigError, match="half_life was 0"):
        standardise_by_session(frame, ["x"], 0.0)
