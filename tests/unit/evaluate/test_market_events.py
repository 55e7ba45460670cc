"""Events are found where they were planted, and studied against other times."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError
from marketprism.core.timebase import NS
from marketprism.evaluate.case import Case
from marketprism.evaluate.market_events import KINDS, EventConfig, find_market_events, study_events

_HOUR = 3600 * NS
BTC = "binance:linear:BTC-USDT"


def times(events: pl.DataFrame, kind: str) -> list[int]:
    return events.filter(pl.col("kind") == kind)["ts"].to_list()


def with_frame(case: Case, frame: pl.DataFrame) -> Case:
    return replace(case, frame=frame)


def test_funding_grid_of_perpetuals_only(make_tape):
    tape = make_tape(2400)
    found = times(find_market_events(tape), "funding")
    step = 8 * _HOUR
    assert found
    assert all(ts % step == 0 and tape["ts_start"][0] <= ts <= tape["ts_end"][-1] for ts in found)
    assert len(found) == tape["ts_end"][-1] // step - (tape["ts_start"][0] - 1) // step
    assert len(times(find_market_events(tape, EventConfig(funding_hours=1)), "funding")) > 4 * len(found)
    spot = tape.with_columns(market_type=pl.lit("spot"))
    assert times(find_market_events(spot), "funding") == []


def test_funding_columns_beat_the_grid(make_tape):
    tape = make_tape(900)
    first, last = tape["ts_end"][100], tape["ts_end"][500]
    known = pl.when(pl.col("ts_end") < first).then(first).when(pl.col("ts_end") < last).then(last)
    schedule = tape.with_columns(next_funding_ts=known.otherwise(last + 100 * _HOUR))
    assert times(find_market_events(schedule), "funding") == [first, last]
    rate = pl.when(pl.col("bucket_id") < 100).then(1e-4).when(pl.col("bucket_id") < 500).then(2e-4).otherwise(3e-4)
    assert times(find_market_events(tape.with_columns(funding_rate=rate)), "funding") == [first, last]
    # A rate that changes all the time is a forecast of the next payment: the grid holds.
    moving = tape.with_columns(funding_rate=pl.col("bucket_id") * 1e-6)
    assert times(find_market_events(moving), "funding") == times(find_market_events(tape), "funding")


def test_cascades_begin_once(make_tape):
    volume = np.zeros(900)
    volume[np.arange(20, 900, 20)] = 1.0
    volume[[400, 401, 402, 700]] = 30.0
    tape = make_tape(900).with_columns(
        liquidation_buy_volume=pl.Series(volume), liquidation_sell_volume=pl.lit(None, pl.Float64),
        liquidation_count=pl.lit(1e9),
    )  # fmt: skip
    ends = tape["ts_end"]
    assert times(find_market_events(tape), "liquidations") == [ends[400], ends[700]]
    assert times(find_market_events(tape, EventConfig(cascade_multiple=500)), "liquidations") == []


def test_outages_and_jumps(make_tape):
    tape = make_tape(600)
    up = tape.with_columns(
        mid_last=pl.when(pl.col("bucket_id") >= 300).then(pl.col("mid_last") * 1.05).otherwise("mid_last")
    )
    found = find_market_events(up)
    starts = tape.filter(pl.col("segment").diff() == 1)["ts_start"].to_list()
    assert times(found, "outage") == starts
    assert up["ts_end"][300] in times(found, "jump")
    assert find_market_events(tape.with_columns(segment=pl.lit(0))).filter(pl.col("kind") == "outage").is_empty()
    assert found["kind"].unique(maintain_order=True).to_list() == [k for k in KINDS if k in set(found["kind"])]


@pytest.fixture(scope="module")
def planted(case):
    """Spread of 1 tick, of 9 for five minutes after each full hour."""
    since = pl.col("ts_end") % _HOUR
    frame = case.frame.with_columns(
        segment=pl.lit(0, pl.Int64), spread_last_ticks=pl.when(since < 300 * NS).then(9).otherwise(1)
    )
    return with_frame(case, frame)


@pytest.fixture(scope="module")
def evidence(planted):
    return study_events(planted, EventConfig(funding_hours=1.0, window_s=600.0))


def test_planted_effect_is_seen_and_nothing_else(evidence):
    found = {one.quantity: one for one in evidence.studies if one.kind == "funding"}
    assert set(found) == {"return", "move", "spread"}
    assert found["spread"].adjusted_p < 0.05
    assert found["spread"].study.mean.max() > 5 * abs(found["spread"].study.low).max() / 10
    assert found["return"].adjusted_p > 0.05
    jump = {one.quantity: one.found for one in evidence.discontinuities}
    assert jump["spread"].p_value < 1e-4
    assert jump["spread"].jump == pytest.approx(8 * 0.1 / 60_000 * 1e4, rel=0.3)
    assert jump["move"].p_value > 0.01


def test_signal_is_split_by_time_of_decision(evidence, planted):
    (funding,) = [one for one in evidence.signal if one.kind == "funding"]
    total = planted.judgement.models["logistic"].horizons["1_buckets"].metrics["ic"].n
    assert funding.before.n + funding.after.n + funding.elsewhere.n == total
    share = funding.after.n / total
    assert share == pytest.approx(600 / 3600, abs=0.05)
    assert funding.before.n == pytest.approx(funding.after.n, rel=0.25)
    assert funding.elsewhere.low < 0.2 < funding.elsewhere.high


def test_summary_is_plain(evidence):
    summary = evidence.summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["counts"]["funding"] == evidence.count("funding") > 5
    assert "the data carry no liquidations" in summary["notes"]
    assert "no outage was seen" in summary["notes"]


def test_after_a_jump_the_path_starts_at_its_close(case):
    frame = case.frame.with_columns(
        segment=pl.lit(0, pl.Int64),
        mid_last=pl.when(pl.col("bucket_id") >= 600).then(pl.col("mid_last") * 1.05).otherwise("mid_last"),
    )
    found = study_events(with_frame(case, frame))
    (path,) = [one.study for one in found.studies if (one.kind, one.quantity) == ("jump", "return")]
    assert path.mean[0] == 0
    assert np.abs(path.mean).max() < 100  # the jump is 488 bps
    (moves,) = [one.study for one in found.studies if (one.kind, one.quantity) == ("jump", "move")]
    assert np.abs(moves.mean).max() < 100


def test_panel_is_studied_by_instrument(panel_case):
    found = study_events(panel_case, EventConfig(funding_hours=1.0))
    names = {one.series for one in found.studies}
    assert names == {BTC, "binance:linear:ETH-USDT"}
    assert {one.series for one in study_events(panel_case, EventConfig(funding_hours=1.0, series=1)).studies} < names
    (funding,) = [one for one in found.signal if one.kind == "funding"]
    assert funding.after.n > 50


def test_no_model_no_events_no_mid_are_notes(case, make_tape):
    frame = make_tape(60).with_columns(segment=pl.lit(0), market_type=pl.lit("spot"))
    empty = Case(frame, _judged(frame, case), ())
    found = study_events(empty)
    assert found.events.is_empty()
    assert found.studies == found.discontinuities == found.signal == ()
    assert found.notes[0] == "the instrument pays no funding"
    blind = frame.with_columns(mid_last=pl.lit(None, pl.Float64), market_type=pl.lit("linear"))
    found = study_events(Case(blind, _judged(blind, case), ()), EventConfig(funding_hours=0.1))
    assert found.count("funding") > 0
    assert found.studies == ()


def _judged(frame, case):
    from marketprism.evaluate import CostConfig, judge

    config = case.judgement.config.replace(costs=CostConfig(half_spread_bps=1.0).to_mapping())
    return judge(frame, config)


def test_windows_that_do_not_fit_are_notes(case):
    found = study_events(case, EventConfig(window_s=1e5))
    assert any(note.startswith("outage events of") for note in found.notes)
    assert not found.studies


@pytest.mark.parametrize(
    "wrong", [{"window_buckets": 0.0}, {"window_s": -1.0}, {"jump_significance": 1.0}, {"placebos": 1}, {"series": 0}]
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ConfigError):
        EventConfig(**wrong)
