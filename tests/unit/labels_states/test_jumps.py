"""Lee-Mykland: critical values, the statistic by hand, size and power, gaps, and the past only."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.labels import frame_jumps, jump_regime, jump_threshold, lee_mykland
from marketprism.pipelines.selfcheck import run_selfcheck
from marketprism.pipelines.selfcheck.jumps import ORACLES


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: oracle.piece)
def test_oracle(oracle):
    (result,) = run_selfcheck([oracle])
    assert result.passed, result


def test_correcting_the_volatility_twice_would_never_find_a_jump_by_chance():
    random = np.random.default_rng(0)
    found = [lee_mykland(random.standard_normal(1099), tests=1000) for _ in range(300)]
    once = np.mean([np.nanmax(np.abs(test.statistic)) > test.threshold for test in found])
    twice = np.mean([np.nanmax(np.abs(test.statistic)) / np.sqrt(np.pi / 2) > test.threshold for test in found])
    assert 0.005 < once < 0.05
    assert twice == 0


def test_statistic_by_hand():
    random = np.random.default_rng(1)
    returns, window = random.standard_normal(80), 30
    test = lee_mykland(returns, window=window)
    assert np.isnan(test.statistic[: window - 1]).all()
    for i in (29, 50, 79):
        size = np.abs(returns[i - window + 1 : i])  # the K - 1 returns before, of which K - 2 pairs
        assert test.statistic[i] == pytest.approx(returns[i] / np.sqrt(np.mean(size[1:] * size[:-1])))
    _, centre, scale = jump_threshold(0.01, 1000)
    gumbel = 1 - np.exp(-np.exp(-(np.abs(test.statistic[29:]) - centre) / scale))
    assert test.p_value[29:] == pytest.approx(gumbel)
    assert test.tested == 51
    assert test.threshold == pytest.approx(centre + 4.600149 * scale)


def test_jumps_are_found_and_do_not_hide_the_next():
    returns = np.random.default_rng(2).standard_normal(600)
    returns[[300, 340]] = 12.0, -12.0
    test = lee_mykland(returns)
    assert np.flatnonzero(test.jump).tolist() == [300, 340]
    assert test.count == 2
    assert test.p_value[300] < 0.01 < np.nanmedian(test.p_value)
    assert test.statistic[340] < 0


def test_later_rows_change_nothing():
    returns = np.random.default_rng(3).standard_normal(400)
    whole, cut = lee_mykland(returns), lee_mykland(returns[:250])
    assert np.array_equal(whole.statistic[:250], cut.statistic, equal_nan=True)
    assert np.array_equal(whole.jump[:250], cut.jump)
    assert np.isfinite(cut.statistic).sum() == 151


def test_missing_returns_flat_prices_and_stretches():
    returns = np.random.default_rng(4).standard_normal(300)
    returns[150] = np.nan
    test = lee_mykland(returns, window=20)
    assert np.isnan(test.statistic[150:170]).all()
    assert np.isfinite(test.statistic[170:]).all()
    assert not test.jump[150:170].any()
    flat = lee_mykland(np.zeros(200), window=20)
    assert flat.tested == 0
    assert flat.count == 0
    broken = lee_mykland(np.random.default_rng(4).standard_normal(100), np.arange(100) // 50, window=20)
    assert np.isfinite(broken.statistic).tolist() == ([False] * 19 + [True] * 31) * 2


def test_frames_series_by_series_and_across_no_gap(tape):
    random = np.random.default_rng(5)
    moves = random.normal(scale=1e-3, size=400)
    moves[300] = 0.05
    mids = 100 * np.exp(np.cumsum(moves))
    frame = tape(mids, segments=[0] * 200 + [1] * 200)
    test = frame_jumps(frame, window=50)
    assert np.flatnonzero(test.jump).tolist() == [300]
    assert np.isnan(test.statistic[200:250]).all()  # the return over the gap is unknown, then 50 returns are
    assert np.isfinite(test.statistic[250:]).all()
    two = pl.concat([frame, frame.with_columns(symbol=pl.lit("B"))])
    assert np.flatnonzero(frame_jumps(two, window=50).jump).tolist() == [300, 700]
    other = frame.with_columns(trade=pl.Series(mids), mid_last=pl.lit(5.0))
    assert np.flatnonzero(frame_jumps(other, window=50, price="trade").jump).tolist() == [300]
    assert frame_jumps(other, window=50).tested == 0
    with pytest.raises(DataError, match="no rows"):
        frame_jumps(frame.clear())


def test_regime_remembers_a_jump(tape):
    moves = np.random.default_rng(5).normal(scale=1e-3, size=400)
    moves[[150, 395]] = 0.05, 0.05
    frame = tape(100 * np.exp(np.cumsum(moves)), segments=[0] * 160 + [1] * 240)
    names = jump_regime(frame, 20, window=50).names()
    assert names[:50] == [None] * 50
    assert names[50:150] == ["no_jump"] * 100
    assert names[150:160] == ["recent_jump"] * 10
    assert names[160:210] == [None] * 50  # a new stretch: nothing is remembered
    assert names[394:] == ["no_jump"] + ["recent_jump"] * 5
    with pytest.raises(ConfigError, match="memory was 0"):
        jump_regime(frame, 0)


def test_bad_parameters():
    with pytest.raises(ConfigError, match="window was 5"):
        lee_mykland([1.0], window=5)
    with pytest.raises(ConfigError, match="significance was 0"):
        jump_threshold(0.0, 100)
    with pytest.raises(ConfigError, match="tests was 2"):
        lee_mykland([1.0], tests=2)
    with pytest.raises(DataError, match="2 returns"):
        lee_mykland([1.0, 2.0], [0])
