"""The square-root law, and costs that pay it."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import CostConfig
from marketprism.evaluate.economics import COST_PARTS, execution, pool, trade
from marketprism.evaluate.impact import impact_scale, square_root_impact, traded_notional

NS = 10**9


def tape(n=40, symbol="A", seed=0, **columns):
    rng = np.random.default_rng(seed)
    mid = 100 * np.exp(np.cumsum(1e-3 * rng.standard_normal(n)))
    end = 10 * NS * np.arange(1, n + 1)
    made = {
        "exchange": "x", "market_type": "spot", "symbol": symbol, "bucket_id": np.arange(n),
        "segment": np.zeros(n, np.int64), "ts_end": end, "ts_known": end, "duration_ns": np.full(n, 10 * NS),
        "mid_open": np.r_[100.0, mid[:-1]], "mid_last": mid, "notional": rng.uniform(1e5, 2e5, n),
    }  # fmt: skip
    return pl.DataFrame({**made, **columns})


def run(frame, score, costs):
    half = np.full(frame.height, (costs.half_spread_bps or 0.0) * 1e-4)
    predictions = frame.select("exchange", "market_type", "symbol", "bucket_id").with_columns(score=pl.Series(score))
    return trade(predictions, execution(frame, half, costs), costs)


def test_law_by_hand():
    assert square_root_impact([1e4, 4e4], 4e-4, 1e6, 0.5) == pytest.approx([2e-5, 4e-5])
    assert np.isnan(square_root_impact(1e4, 4e-4, [0.0, math.nan])).all()


def test_law_does_not_depend_on_the_span_under_a_random_walk():
    # Four times the time: twice the volatility, four times the volume.
    assert square_root_impact(7.0, 0.02, 400.0) == pytest.approx(square_root_impact(7.0, 0.01, 100.0))


def test_scale_is_the_law_of_the_last_buckets():
    frame = tape()
    scale = impact_scale(frame, CostConfig(impact_coefficient=0.7, impact_buckets=10))
    moves = np.diff(np.log(frame["mid_last"].to_numpy()))
    at = 25
    sigma = math.sqrt(np.mean(moves[at - 10 : at] ** 2))
    volume = frame["notional"].to_numpy()[at - 9 : at + 1].mean()
    assert scale[at] == pytest.approx(0.7 * sigma / math.sqrt(volume))
    assert np.isnan(scale[:5]).all()
    assert np.isfinite(scale[5:]).all()


def test_scale_is_causal_and_blind_over_gaps():
    frame = tape()
    costs = CostConfig(impact_buckets=10)
    whole = impact_scale(frame, costs)
    assert impact_scale(frame[:20], costs) == pytest.approx(whole[:20], nan_ok=True)
    jump = frame["mid_last"].to_numpy() * np.where(np.arange(40) < 20, 1.0, 2.0)
    gap = frame.with_columns(mid_last=jump, segment=np.arange(40) // 20)
    across = frame.with_columns(mid_last=jump)
    assert impact_scale(gap, costs)[25] < 0.05 * impact_scale(across, costs)[25]


def test_traded_notional_falls_back_to_volume():
    frame = tape(notional=None)
    assert np.isnan(traded_notional(frame)).all()
    by_volume = frame.drop("notional").with_columns(volume=2.0)
    assert traded_notional(by_volume) == pytest.approx(2.0 * frame["mid_last"].to_numpy())


def test_a_frame_without_trades_is_refused_only_with_a_notional():
    frame = tape().drop("notional")
    run(frame, [0.5] * 40, CostConfig(half_spread_bps=1.0))
    with pytest.raises(DataError, match="impact needs what was traded"):
        run(frame, [0.5] * 40, CostConfig(half_spread_bps=1.0, notional=100.0))


def test_parts_sum_to_the_cost():
    frame = pl.concat([tape(), tape(symbol="B", seed=1)])
    score = np.random.default_rng(2).uniform(-1, 1, 80)
    costs = CostConfig(fee_bps=3.0, half_spread_bps=2.0, slippage_bps=0.5, notional=5e3, latency_ms=0)
    parts = run(frame, score, costs)
    for result in (*parts.values(), pool(parts)):
        assert tuple(result.parts) == COST_PARTS
        assert sum(result.parts.values()) == pytest.approx(result.cost, rel=1e-12)
        assert result.parts["slippage"] == pytest.approx(0.5e-4 * result.traded)
        assert result.parts["fee"] == pytest.approx(3e-4 * result.traded)
        assert result.parts["impact"].sum() > 0


def test_impact_of_a_reversal_and_of_size():
    frame = tape()
    score = [0.0] * 20 + [0.5, -0.5] + [-0.5] * 18
    small, large = (
        run(frame, score, CostConfig(half_spread_bps=0.0, fee_bps=0.0, latency_ms=0, notional=size))["x:spot:A"]
        for size in (1e3, 4e3)
    )
    scale = impact_scale(frame, CostConfig()) * math.sqrt(1e3)
    assert small.parts["impact"][20] == pytest.approx(scale[20])
    assert small.parts["impact"][21] == pytest.approx(2 * math.sqrt(2) * scale[21])
    assert large.parts["impact"] == pytest.approx(2 * small.parts["impact"])
    assert (small.gross == large.gross).all()


def test_defaults_change_nothing():
    frame, score = tape(), np.random.default_rng(2).uniform(-1, 1, 40)
    plain = run(frame, score, CostConfig(fee_bps=3.0, half_spread_bps=2.0))["x:spot:A"]
    assert (plain.cost == plain.traded * (3e-4 + 2e-4)).all()
    assert (plain.parts["impact"] == 0).all()
    none = run(frame, score, CostConfig(fee_bps=3.0, half_spread_bps=2.0, notional=0.0))["x:spot:A"]
    assert (none.cost == plain.cost).all()


def test_no_entry_while_impact_is_not_known():
    result = run(tape(), [0.5] * 40, CostConfig(half_spread_bps=0.0, notional=10.0))["x:spot:A"]
    assert not result.position[:5].any()
    assert result.position[5:-1].all()


@pytest.mark.parametrize(
    "change",
    [{"slippage_bps": -1.0}, {"notional": math.inf}, {"impact_coefficient": -0.1}, {"impact_buckets": 0}],
)
def test_bad_settings(change):
    with pytest.raises(ConfigError, match="was"):
        CostConfig(**change)
