"""Fills, costs and ratios on tapes small enough to work out by hand."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.core.instrument import Instrument
from marketprism.evaluate import CostConfig
from marketprism.evaluate.economics import Trading, execution, half_spread_column, pool, trade, trading_metrics

NS = 10**9
FREE = CostConfig(fee_bps=0.0, half_spread_bps=0.0, latency_ms=0.0)


def tape(mids, segments=None, symbol="A", known=None, opens=None, market_type="spot"):
    n = len(mids)
    end = 10 * NS * np.arange(1, n + 1)
    return pl.DataFrame(
        {
            "exchange": "x",
            "market_type": market_type,
            "symbol": symbol,
            "bucket_id": np.arange(n),
            "segment": np.array(segments or [0] * n),
            "ts_end": end,
            "ts_known": np.array(known) * NS if known else end,
            "duration_ns": np.full(n, 10 * NS),
            "mid_open": pl.Series(opens or [mids[0], *mids[:-1]], dtype=pl.Float64),
            "mid_last": pl.Series(mids, dtype=pl.Float64),
            "spread_last_ticks": np.full(n, 2),
        }
    )


def run(frame, score, costs=FREE, mids=None):
    half, _ = half_spread_column(frame, costs)
    predictions = frame.select("exchange", "market_type", "symbol", "bucket_id").with_columns(score=pl.Series(score))
    return trade(predictions, execution(frame, half, costs, mids), costs)


def one(*args, **kwargs):
    (result,) = run(*args, **kwargs).values()
    return result


def test_long_then_short_without_costs():
    result = one(tape([100.0, 110.0, 99.0, 99.0]), [0.5, -0.5, 0.0, 0.0])
    # Filled where the next bucket opens: long at 100, turned short at 110, closed at the end at 99.
    assert result.position.tolist() == [1, -1, -1, 0]
    assert result.gross == pytest.approx([0, 0.1, 0.1, 0])
    assert result.traded.tolist() == [1, 2, 0, 1]
    assert (result.cost == 0).all()


def test_costs_are_fee_and_half_spread_per_unit():
    costs = CostConfig(fee_bps=3.0, half_spread_bps=2.0, latency_ms=0.0)
    result = one(tape([100.0] * 4), [0.5, -0.5, 0.0, 0.0], costs)
    assert result.cost == pytest.approx([5e-4, 10e-4, 0, 5e-4])
    assert result.net.sum() == pytest.approx(-20e-4)
    assert result.equity()["net_bps"].to_list() == pytest.approx([-5, -15, -15, -20])


def test_holds_inside_the_band_and_leaves_when_the_sign_turns():
    result = one(tape([100.0] * 6), [0.5, 0.05, -0.05, 0.09, 0.1, 0.0])
    assert result.position.tolist() == [1, 1, 0, 0, 1, 0]


def test_flat_at_a_gap_and_where_the_score_is_null():
    result = one(tape([100.0, 110.0, 500.0, 500.0, 500.0], [0, 0, 1, 1, 1]), [0.5, 0.5, 0.5, None, 0.5])
    assert result.position.tolist() == [1, 0, 1, 0, 0]
    assert result.gross == pytest.approx([0, 0.1, 0, 0, 0])


def test_latency_moves_the_fill_along_the_bucket():
    result = one(
        tape([100.0, 110.0, 110.0]), [0.5, 0.0, 0.0], CostConfig(fee_bps=0, half_spread_bps=0, latency_ms=4000)
    )
    assert result.gross.sum() == pytest.approx(110 / 104 - 1)
    late = one(
        tape([100.0, 110.0, 120.0]), [0.5, 0.0, 0.0], CostConfig(fee_bps=0, half_spread_bps=0, latency_ms=15_000)
    )
    assert late.gross.sum() == pytest.approx(120 / 115 - 1)
    never = one(
        tape([100.0, 110.0, 120.0]), [0.5, 0.0, 0.0], CostConfig(fee_bps=0, latency_ms=60_000, half_spread_bps=0)
    )
    assert (never.position == 0).all()


def test_mid_series_gives_exact_fills():
    mids = pl.DataFrame(
        {
            "exchange": "x", "market_type": "spot", "symbol": "A",
            "ts_recv": np.array([1, 12, 13, 25]) * NS, "mid": [100.0, 104.0, 105.0, math.nan],
        }
    )  # fmt: skip
    costs = CostConfig(fee_bps=0, half_spread_bps=0, latency_ms=2500)
    result = one(tape([100.0, 110.0, 121.0, 130.0]), [0.5, -0.5, 0.0, 0.0], costs, mids)
    # Filled at 12.5 s at 104; the fill at 22.5 s at 105; no mid at 32.5 s: held until the end.
    assert result.position.tolist() == [1, -1, -1, 0]
    assert result.gross == pytest.approx([0, 105 / 104 - 1, 0, -(130 / 105 - 1)])


def test_unknown_spread_forbids_entry_but_not_exit():
    frame = tape([100.0] * 5)
    instrument = Instrument(exchange="x", market_type="spot", symbol="A", tick_size=Decimal("0.5"))
    frame = frame.with_columns(spread_last_ticks=pl.Series([-1, 2, -1, -1, 2]))
    costs = CostConfig(fee_bps=0.0, latency_ms=0.0)
    half, source = half_spread_column(frame, costs, [instrument])
    assert half[1] == pytest.approx(0.005)
    assert np.isnan(half[0])
    assert "in force" in source
    predictions = frame.select("exchange", "market_type", "symbol", "bucket_id").with_columns(
        score=pl.Series([0.5, 0.5, -0.5, 0.5, 0.0])
    )
    (result,) = trade(predictions, execution(frame, half, costs), costs).values()
    assert result.position.tolist() == [0, 1, 0, 0, 0]
    assert result.cost == pytest.approx([0, 0.005, 0.005, 0, 0])


def test_half_spread_sources():
    frame = tape([100.0] * 2)
    assert half_spread_column(frame.with_columns(spread_bps=pl.lit(4.0)), CostConfig())[0].tolist() == [2e-4, 2e-4]
    with pytest.raises(DataError, match="half spread is not known"):
        half_spread_column(frame, CostConfig())


def test_missing_opening_mid_falls_back_to_the_previous_close():
    result = one(tape([100.0, 110.0, 110.0]).drop("mid_open", "duration_ns"), [0.5, 0.0, 0.0])
    assert result.gross.sum() == pytest.approx(0.1)


def test_invalid_closing_mid_closes_at_the_last_mark():
    result = one(tape([100.0, 110.0, math.nan], opens=[100.0, 100.0, 110.0]), [0.5, 0.5, 0.0])
    assert result.gross.sum() == pytest.approx(0.1)
    assert result.position.tolist() == [1, 1, 0]


def test_pool_averages_instruments():
    frame = pl.concat([tape([100.0, 110.0, 110.0]), tape([100.0, 90.0, 90.0], symbol="B")])
    parts = run(frame, [0.5, 0.0, 0.0, -0.5, 0.0, 0.0])
    book = pool(parts)
    assert book.gross.sum() == pytest.approx(0.1)
    assert book.traded.sum() == pytest.approx(2)
    assert book.position[-1] == 0
    alone = pool({"only": parts["x:spot:A"]})
    assert alone is parts["x:spot:A"]


def test_sharpe_and_totals():
    rng = np.random.default_rng(0)
    gross, n = 1e-4 * (0.1 + rng.standard_normal(2000)), 2000
    result = Trading(np.arange(n), np.ones(n), gross, np.full(n, 2e-5), np.full(n, 0.5), 10_000.0, 7200.0)
    found = trading_metrics(result, 500, 0.95, 0)
    net = gross - 2e-5
    assert found["net_sharpe"].value == pytest.approx(math.sqrt(10_000) * net.mean() / net.std(ddof=1))
    assert found["net_pnl_bps"].value == pytest.approx(1e4 * net.sum())
    assert found["turnover"].value == pytest.approx(0.5)
    assert found["gross_per_unit_bps"].value == pytest.approx(1e4 * gross.sum() / 1000)
    assert "sqrt(10000 decisions a year), seen over 2.00 h" in found["net_sharpe"].note
    assert found["gross_sharpe"].star
    for metric in found.values():
        assert metric.low < metric.value < metric.high or metric.low == pytest.approx(metric.value)


def test_few_trades_are_no_evidence():
    n = 1000
    gross = np.full(n, 1e-4) + 1e-6 * np.arange(n)
    traded = np.r_[1.0, np.zeros(n - 2), 1.0]
    found = trading_metrics(Trading(np.arange(n), np.ones(n), gross, np.zeros(n), traded, 1e5, 1.0), 200, 0.95, 0)
    assert not found["net_pnl_bps"].significant
    assert "only 2 trades" in found["net_sharpe"].note


def test_never_trading_has_no_sharpe():
    nothing = np.zeros(300)
    found = trading_metrics(Trading(np.arange(300), nothing, nothing, nothing, nothing, 1e5, 1.0), 200, 0.95, 0)
    assert math.isnan(found["net_sharpe"].value)
    assert found["net_pnl_bps"].value == 0


@pytest.mark.parametrize(
    "change",
    [
        {"enter": -1.0},
        {"fee_bps": math.nan},
        {"latency_ms": -1.0},
        {"half_spread_bps": -1.0},
        {"seconds_per_year": 0.0},
    ],
)
def test_bad_costs(change):
    with pytest.raises(ConfigError, match="was"):
        CostConfig(**change)


def test_rebates_are_negative_fees():
    assert one(tape([100.0] * 3), [0.5, 0.0, 0.0], CostConfig(fee_bps=-1.0, half_spread_bps=0.0)).net.sum() > 0
