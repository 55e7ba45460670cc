"""A planted exponential signal is found again with its half-life; trading late is trading late."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import JudgeConfig, effective_sharpe, judge, signal_decay
from marketprism.evaluate.case import Case
from marketprism.evaluate.decay import fit_lifetime
from marketprism.evaluate.signal_decay import DecayConfig, assess_decay
from marketprism.labels.config import LabelConfig
from marketprism.models.baselines import ModelConfig
from marketprism.pipelines.judgement_sections.decay import decay_section

NS = 10**9
STEP = NS // 10
LIFETIME_S = 2.0


def planted(n=2500, seed=0, symbol="BTC-USDT"):
    """Buckets of 5 s on a mid whose drift is an Ornstein-Uhlenbeck process of known lifetime, and the mids."""
    rng = np.random.default_rng(seed)
    per = 50
    count = n * per + 1
    keep = math.exp(-0.1 / LIFETIME_S)
    shock = rng.standard_normal(count) * math.sqrt(1 - keep * keep)
    drift = np.empty(count)
    drift[0] = shock[0]
    for i in range(1, count):
        drift[i] = keep * drift[i - 1] + shock[i]
    moves = 1e-5 * drift[:-1] + 2e-5 * rng.standard_normal(count - 1)
    mid = 60_000 * np.exp(np.r_[0.0, np.cumsum(moves)])
    ts = 1_723_161_600 * NS + STEP * np.arange(count)
    at = per * np.arange(1, n + 1)
    key = {"exchange": "binance", "market_type": "linear", "symbol": symbol}
    frame = pl.DataFrame(
        {
            **key, "bucket_id": np.arange(n), "segment": np.arange(n) * 2 // n, "ts_start": ts[at - per],
            "ts_end": ts[at], "ts_known": ts[at], "duration_ns": np.full(n, per * STEP), "mid_open": mid[at - per],
            "mid_last": mid[at], "spread_last_ticks": np.ones(n, np.int64), "drift": drift[at],
            "noise": rng.standard_normal(n),
        }
    )  # fmt: skip
    return frame, pl.DataFrame({**key, "ts_event": ts, "ts_recv": ts, "mid": mid})


def made(frame, mids, instruments, scheme="raw"):
    config = JudgeConfig(
        labels=LabelConfig(bucket_horizons=(1,), scheme=scheme),
        models={"logistic": ModelConfig()}, replications=200, control_repeats=3, folds=2,
    )  # fmt: skip
    return Case(frame, judge(frame, config, instruments=instruments, mids=mids), instruments, mids)


@pytest.fixture(scope="module")
def alive(instruments):
    frame, mids = planted(seed=1)
    return made(frame, mids, instruments[:1])


@pytest.fixture(scope="module")
def found(alive):
    return assess_decay(alive)


def test_fit_recovers_exponentials_of_any_sign_and_scale():
    delays = np.array([0.0, 10, 50, 100, 500, 1000])
    for lifetime in (7.0, 80.0, 3000.0):
        curves = np.array([0.3, -0.02])[:, None] * np.exp(-delays / lifetime)
        assert fit_lifetime(delays, curves) == pytest.approx([lifetime, lifetime], rel=1e-4)


def test_fit_at_the_edges():
    delays = [0.0, 1.0, 2.0]
    assert fit_lifetime(delays, [0.1, 0.1, 0.1]) == math.inf
    assert fit_lifetime(delays, [0.1, 0.12, 0.15]) == math.inf
    assert fit_lifetime(delays, [0.1, 0.0, 0.0]) == 0.0
    assert np.isnan(fit_lifetime(delays, [[0.1, math.nan, 0.0], [0.0, 0.0, 0.0]])).all()
    for bad in ([0.0], [1.0, 2.0, 3.0], [0.0, 2.0, 2.0]):
        with pytest.raises(DataError, match="delays were"):
            fit_lifetime(bad, np.ones(len(bad)))
    with pytest.raises(DataError, match="shape"):
        fit_lifetime(delays, [0.1, 0.2])


def test_planted_half_life_is_found(found):
    curve = found.clock["logistic"]
    truth = 1e3 * LIFETIME_S * math.log(2)
    assert curve.half_life.low < truth < curve.half_life.high
    assert curve.half_life.value == pytest.approx(truth, rel=0.2)
    assert curve.lifetime == pytest.approx(curve.half_life.value / math.log(2))
    ic = np.array([metric.value for metric in curve.metrics])
    expected = ic[0] * np.exp(-curve.delays / (1e3 * LIFETIME_S))
    assert ic == pytest.approx(expected, abs=0.05)
    assert curve.metrics[0].significant
    assert len({metric.n for metric in curve.metrics}) == 1


def test_decay_in_buckets(found, alive):
    curve = found.buckets["logistic"]
    assert curve.metrics[0].value == pytest.approx(
        alive.judgement.models["logistic"].horizons["1_buckets"].metrics["ic"].value, abs=0.01
    )
    # One bucket is 5 s: exp(-2.5) of it is left.
    assert curve.metrics[1].value / curve.metrics[0].value == pytest.approx(math.exp(-2.5), abs=0.1)


def test_latency_is_a_simulation_and_the_formula(found, alive):
    table = found.latency
    assert table["latency_ms"].to_list() == sorted({0.0, alive.judgement.config.costs.latency_ms, *table["latency_ms"]})
    own = table.filter(pl.col("latency_ms") == found.own_latency_ms).row(0, named=True)
    metrics = alive.judgement.models["logistic"].horizons["1_buckets"].metrics
    assert own["net_sharpe"] == metrics["net_sharpe"].value
    assert own["low"] == metrics["net_sharpe"].low
    assert own["net_pnl_bps"] == metrics["net_pnl_bps"].value
    raw = table["gross_sharpe"][0]
    for row in table.iter_rows(named=True):
        assert row["effective_sharpe"] == pytest.approx(
            effective_sharpe(raw, row["latency_ms"], found.clock["logistic"].lifetime)
        )
    assert table["gross_sharpe"][-1] < 0.5 * raw


def test_complexity_is_charged(alive, found):
    config = DecayConfig(complexity={"logistic": 4.0}, latencies_ms=(0.0,), delays_ms=DecayConfig().delays_ms)
    charged = assess_decay(alive, config).latency["effective_sharpe"][0]
    assert charged == pytest.approx(found.latency["effective_sharpe"][0] - 0.2)


def test_prices_that_stand_still_have_no_half_life(alive):
    frozen = dataclasses.replace(alive, mids=alive.mids.with_columns(mid=pl.lit(100.0)))
    found = assess_decay(frozen, DecayConfig(latencies_ms=()))
    assert "not identifiable" in found.clock["logistic"].half_life.note
    assert math.isnan(found.clock["logistic"].metrics[0].value)


def test_noise_has_no_half_life(alive):
    noise = np.random.default_rng(5).standard_normal(alive.judgement.predictions.height)
    judgement = dataclasses.replace(
        alive.judgement, predictions=alive.judgement.predictions.with_columns(score=pl.Series(noise))
    )
    blind = dataclasses.replace(alive, judgement=judgement)
    found = assess_decay(blind)
    assert math.isnan(found.clock["logistic"].half_life.value)
    assert "not identifiable" in found.clock["logistic"].half_life.note
    assert found.latency["effective_sharpe"].is_nan().all()
    assert "cannot be told" in decay_section(found, blind).items[0].text
    assert (
        json.loads(json.dumps(found.summary(), allow_nan=False))["models"]["logistic"]["half_life_ms"]["value"] is None
    )


def test_a_signal_that_stays_and_one_that_is_gone(alive):
    table = alive.judgement.predictions
    path = np.log(alive.mids["mid"].to_numpy())
    times = alive.mids["ts_recv"].to_numpy()

    def move(first_s, last_s):
        known = table["ts_known"].to_numpy()
        a, b = (np.clip(np.searchsorted(times, known + int(s * NS)), 0, path.size - 1) for s in (first_s, last_s))
        return pl.Series(path[b] - path[a])

    def seen(score):
        judgement = dataclasses.replace(alive.judgement, predictions=table.with_columns(score=score))
        other = dataclasses.replace(alive, judgement=judgement)
        result = assess_decay(other)
        return result.clock["logistic"].half_life, decay_section(result, other).items[0].text

    # Scores that know the future: one the shock of the first tenth of a second only, one what comes after every delay.
    drift = table.join(alive.frame.select("bucket_id", "drift"), on="bucket_id", how="left")["drift"]
    gone, text = seen(move(0.0, 0.1) - 1e-5 * drift)
    assert gone.value < 150
    assert "is gone after" in text
    stays, text = seen(move(5.0, 15.0))
    assert math.isinf(stays.value)
    assert "longer than that" in stays.note
    assert "does not decay" in text


@pytest.mark.parametrize(
    ("lifetime", "note"), [(0.0, "nothing is left after 10 ms"), (math.nan, "not identifiable"), (5.0, "")]
)
def test_what_is_said_of_a_half_life(alive, monkeypatch, lifetime, note):
    monkeypatch.setattr(signal_decay, "fit_lifetime", lambda _, values: np.full(values.shape[:-1], lifetime))
    found = assess_decay(alive, DecayConfig(latencies_ms=()))
    half = found.clock["logistic"].half_life
    assert half.value == pytest.approx(lifetime * math.log(2), nan_ok=True)
    assert half.note.startswith(note)
    text = decay_section(found, alive).items[0].text
    assert ("cannot be told" in text) == math.isnan(lifetime)
    assert decay_section(found, alive).items[0].tone in {"bad", "warn"}


def test_no_return_crosses_a_gap(alive):
    # A wild jump between the segments: were it in any return, correlations would be ruined.
    cut = alive.frame.filter(pl.col("segment") == 1)["ts_end"][0] - 5 * NS
    jump = pl.when(pl.col("ts_recv") > cut).then(3.0).otherwise(1.0)
    jumped = dataclasses.replace(alive, mids=alive.mids.with_columns(pl.col("mid") * jump))
    same, moved = (assess_decay(case, DecayConfig(latencies_ms=())).clock["logistic"] for case in (alive, jumped))
    assert [m.value for m in moved.metrics] == pytest.approx([m.value for m in same.metrics], abs=1e-9)


def test_excluded_rows_are_left_out(alive):
    table = alive.judgement.predictions
    outage = pl.int_range(pl.len()) < 200
    marked = dataclasses.replace(
        alive,
        judgement=dataclasses.replace(alive.judgement, predictions=table.with_columns(excluded=outage)),
    )
    before, after = (assess_decay(c, DecayConfig(latencies_ms=())) for c in (alive, marked))
    assert after.clock["logistic"].metrics[0].n <= before.clock["logistic"].metrics[0].n - 200
    assert after.buckets["logistic"].metrics[0].n <= before.buckets["logistic"].metrics[0].n - 200


@pytest.mark.parametrize("scheme", ["raw", "per_second"])
def test_panel_and_scheme(instruments, scheme):
    parts = [planted(500, seed=3), planted(500, seed=4, symbol="ETH-USDT")]
    frame, mids = (pl.concat(tables) for tables in zip(*parts, strict=True))
    # A series without mids of its own falls back to its bucket ends.
    both = assess_decay(made(frame, mids, instruments, scheme))
    one = assess_decay(made(frame, mids.filter(pl.col("symbol") == "BTC-USDT"), instruments, scheme))
    assert both.clock["logistic"].metrics[0].value > 0.3
    assert both.clock["logistic"].metrics[0].value > both.clock["logistic"].metrics[-1].value + 0.2
    half_a_second = 5
    assert one.clock["logistic"].metrics[0].value == pytest.approx(both.clock["logistic"].metrics[0].value)
    assert one.clock["logistic"].metrics[half_a_second].value != both.clock["logistic"].metrics[half_a_second].value


def test_without_a_mid_series(case):
    found = assess_decay(case)
    assert not found.exact
    assert any("straight line" in note for note in found.notes)
    assert found.clock["logistic"].metrics[0].value > 0.1
    section = decay_section(found, case)
    assert [item.kind for item in section.items].count("figure") == 3
    assert json.dumps(found.summary(), allow_nan=False)


def test_section(found, alive):
    section = decay_section(found, alive)
    assert section.slug == "decay"
    assert "Half of the IC of logistic is gone after 1." in section.items[0].text
    assert "(assumed)" in str(section.items[-1])


def test_nothing_judged(make_tape, instruments):
    frame = make_tape(60)
    short = Case(frame, judge(frame, JudgeConfig(min_rows=100), instruments=instruments[:1]), instruments[:1])
    found = assess_decay(short)
    assert found.latency.is_empty()
    assert found.clock == {}
    assert "no model was judged" in found.notes[0]
    assert "No model was judged" in str(decay_section(found, short))
    assert found.summary()["models"] == {}


def test_too_few_rows_reach_the_longest_delay(case):
    found = assess_decay(case, DecayConfig(delays_ms=(0.0, 1e9), latencies_ms=()))
    assert math.isnan(found.clock["logistic"].metrics[0].value)
    assert "reach the longest delay" in found.clock["logistic"].half_life.note
    section = decay_section(found, case)
    assert next(item.title for item in section.items if item.kind == "figure") == "IC against delay in buckets"


@pytest.mark.parametrize(
    "change",
    [{"delays_ms": (0.0,)}, {"delays_buckets": (1, 2)}, {"latencies_ms": (-1.0,)}, {"complexity": {"m": -1.0}}],
)
def test_bad_settings(change):
    with pytest.raises(ConfigError, match="was"):
        DecayConfig(**change)
