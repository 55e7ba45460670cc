"""Luck or skill: trials, track records, tests over all models, surviving factors."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError
from marketprism.core.instrument import Instrument
from marketprism.evaluate import many_tests
from marketprism.evaluate.case import Case
from marketprism.evaluate.compare import diebold_mariano
from marketprism.evaluate.config import CostConfig, JudgeConfig
from marketprism.evaluate.economics import Trading, trade
from marketprism.evaluate.judge import judge
from marketprism.evaluate.many_tests import BASE_RATES, superiority
from marketprism.evaluate.multiple import benjamini_hochberg, holm
from marketprism.evaluate.sharpe import (
    autocorrelations,
    deflated_sharpe_ratio,
    probabilistic_sharpe_ratio,
    serial_sharpe_ratio,
    sharpe_ratio,
)
from marketprism.evaluate.significance import (
    Significance,
    SignificanceConfig,
    TrialResult,
    Trials,
    assess_significance,
    trial_results,
)
from marketprism.evaluate.track_record import (
    TrackRecord,
    drawdown_by_period,
    largest_drawdown,
    market_time,
    round_trips,
    track_record,
)
from marketprism.labels.config import LabelConfig
from marketprism.models.baselines import ModelConfig

NS = 10**9
T0 = 1_704_067_200 * NS  # 2024-01-01
NO_TRIALS = Trials(1, math.nan, 0)


def trading(
    net: list[float], position: list[float] | None = None, cost: list[float] | None = None, step_s: int = 60
) -> Trading:
    n = len(net)
    held = np.array(position if position is not None else [1.0] * n)
    paid = np.array(cost if cost is not None else [0.0] * n)
    moved = np.abs(np.diff(held, prepend=0.0))
    ts = T0 + NS * step_s * np.arange(n)
    return Trading(ts, held, np.array(net) + paid, paid, moved, 365.25 * 86_400 / step_s, float(n * step_s))


@pytest.fixture(scope="module")
def found(case: Case) -> Significance:
    return assess_significance(case)


def test_of_a_judgement_every_model_and_horizon_is_a_trial(case: Case) -> None:
    results = trial_results(case)
    assert [(one.model, one.horizon) for one in results] == [
        (model, horizon) for model in ("logistic", "loose") for horizon in ("1_buckets", "3_buckets")
    ]
    net = case.trading("loose", "3_buckets").net
    last = results[-1]
    assert last.sharpe == sharpe_ratio(net)
    assert last.net_bps == pytest.approx(1e4 * net.sum())
    metrics = case.judgement.models["loose"].horizons["3_buckets"].metrics
    assert (last.ic, last.n) == (metrics["ic"].value, metrics["ic"].n)
    assert last.sharpe * math.sqrt(last.periods_per_year) == pytest.approx(metrics["net_sharpe"].value)


def test_the_luckiest_of_the_trials_is_known_from_their_spread() -> None:
    results = [TrialResult("m", str(k), 100, 0.0, sharpe, 100.0, 0.0) for k, sharpe in enumerate((0.1, 0.3, math.nan))]
    trials = Trials.of(results)
    assert (trials.count, trials.measured, trials.from_ledger) == (3, 2, False)
    assert trials.sharpe_variance == pytest.approx(2.0)  # annual: 1 and 3
    many = Trials(100, 0.5, 100)
    assert many.luckiest(250.0, 1250) == pytest.approx(0.11317, abs=5e-6)
    # Without a known spread, that of Sharpe ratios of no skill stands in.
    assert Trials(100, math.nan, 1).luckiest(250.0, 1251) == pytest.approx(
        math.sqrt(250 / 1250 / 0.5) * 0.11317, rel=1e-4
    )
    assert NO_TRIALS.luckiest(250.0, 100) == 0.0
    assert Trials(0, math.nan, 0).luckiest(math.nan, 1) == 0.0


def test_trades_add_up_to_the_profit() -> None:
    position = [1.0, 1.0, -1.0, -1.0, 0.0, 0.0, 1.0, 0.0]
    gross = np.array([0.0, 3.0, 1.0, 2.0, -1.0, 0.0, 0.0, 5.0])
    cost = [0.5, 0.0, 1.0, 0.0, 0.5, 0.0, 0.25, 0.25]
    one = trading(list(gross - cost), position, cost)
    won = round_trips(one)
    assert won.tolist() == [3.0 + 1.0 - 0.5 - 0.5, 2.0 - 1.0 - 0.5 - 0.5, 5.0 - 0.5]
    assert won.sum() == pytest.approx(one.net.sum())
    assert round_trips(trading([0.0, 0.0], [0.0, 0.0])).size == 0
    assert round_trips(trading([], [])).size == 0


def test_trades_of_a_judgement_add_up(case: Case, panel_case: Case) -> None:
    for one in (case, panel_case):
        for part in trade(one.predictions("logistic"), one.executions, one.judgement.config.costs).values():
            assert round_trips(part).sum() == pytest.approx(part.net.sum())


def test_the_largest_drawdown_has_its_dates() -> None:
    fall = largest_drawdown(trading([2.0, -1.0, 1.0, 1.0, -2.0, -1.0, 3.0, 1.0, -1.0]))
    assert fall is not None
    assert fall.depth_bps == 3e4
    minutes = [(ts - T0) // (60 * NS) for ts in (fall.peak_ts, fall.low_ts, fall.recovered_ts or 0)]
    assert minutes == [3, 5, 6]
    never = largest_drawdown(trading([-1.0, -1.0, 1.0]))
    assert never is not None
    assert (never.peak_ts, never.low_ts, never.recovered_ts) == (T0, T0 + 60 * NS, None)
    assert largest_drawdown(trading([1.0, 0.0, 1.0])) is None


def test_drawdowns_by_month_or_day() -> None:
    unit, table = drawdown_by_period(trading([1.0, -1.0, -1.0] * 20, step_s=86_400))
    assert unit == "month"
    assert table.rows() == [("2024-01", 31, -9e4, 11e4), ("2024-02", 29, -11e4, 11e4)]
    unit, table = drawdown_by_period(trading([1.0, -2.0, 1.0, 3.0], step_s=43_200))
    assert (unit, table.rows()) == ("day", [("2024-01-01", 2, -1e4, 2e4), ("2024-01-02", 2, 4e4, 0.0)])
    unit, table = drawdown_by_period(trading([1.0, -2.0]))
    assert (unit, table.height) == ("", 0)
    assert drawdown_by_period(trading([]))[0] == ""


def record_of(net: list[float], trials: Trials = NO_TRIALS, **changes: list[float]) -> TrackRecord:
    return track_record("m", {"x": trading(net, **changes)}, trials, replications=100)


def test_a_track_record_is_what_the_sharpe_functions_say() -> None:
    rng = np.random.default_rng(0)
    net = rng.normal(0.05, 1.0, 2000)
    net -= 0.5 * np.r_[0, net[:-1]]  # negative autocorrelation: the sample is not inflated beyond its size
    one = record_of(list(net), Trials(20, 4000.0, 20), position=list(np.resize([1.0, 0.0], 2000)))
    rate = 365.25 * 1440
    assert one.effective_n == 2000
    assert one.sharpe_per_period == sharpe_ratio(net)
    assert one.psr == probabilistic_sharpe_ratio(one.sharpe_per_period, 2000, one.skew, one.kurtosis)
    assert one.dsr == deflated_sharpe_ratio(one.sharpe_per_period, 2000, 20, 4000.0 / rate, one.skew, one.kurtosis)
    assert one.dsr < one.psr
    assert one.metrics["sharpe_serial"].value == pytest.approx(serial_sharpe_ratio(net, rate))
    assert one.luckiest == pytest.approx(math.sqrt(4000.0) * 1.8665, rel=2e-2)
    needed = probabilistic_sharpe_ratio(one.sharpe_per_period, int(one.needed_n), one.skew, one.kurtosis)
    assert needed == pytest.approx(0.95, abs=1e-3)
    assert one.needed_s == pytest.approx(60 * one.needed_n)
    assert one.trades == 1000


def test_returns_that_follow_one_another_are_worth_fewer_periods() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0.1, 1.0, 4000)
    smooth = np.convolve(noise, np.ones(3) / 3, "valid")
    one = record_of(list(smooth))
    assert autocorrelations(smooth, 1)[0] > 0.6
    assert one.effective_n < 0.5 * one.n
    plain = probabilistic_sharpe_ratio(one.sharpe_per_period, one.n, one.skew, one.kurtosis)
    assert 0.5 < one.psr < plain
    assert one.needed_n == pytest.approx(one.n / one.effective_n * 1.6449**2 / one.sharpe_per_period**2, rel=0.1)


def test_losing_never_becomes_skill() -> None:
    one = record_of([-1.0, 0.5, -1.0, 0.2] * 50)
    assert one.needed_n == math.inf
    assert one.psr < 0.01
    assert one.summary()["needed_n"] is None


@pytest.mark.parametrize(
    ("net", "said"),
    [([], "few samples: 0 periods"), ([1.0, -1.0], "few samples: 2 periods"), ([0.0] * 50, "never traded")],
)
def test_nothing_to_measure_is_said(net: list[float], said: str) -> None:
    one = record_of(net, position=[0.0] * len(net))
    assert any(said in note for note in one.notes)
    assert math.isnan(one.psr)
    assert math.isnan(one.dsr)
    assert one.drawdown is None or net
    json.dumps(one.summary(), allow_nan=False)


def test_a_model_without_predictions_or_a_clock_is_no_crash() -> None:
    nothing = track_record("m", {}, NO_TRIALS)
    assert (nothing.n, nothing.trades) == (0, 0)
    assert math.isnan(nothing.needed_s)
    base = trading([1.0, -0.5] * 50)
    timeless = track_record("m", {"x": replace(base, periods_per_year=math.nan)}, Trials(5, 1.0, 5), replications=100)
    assert "per period" in " ".join(timeless.notes)
    assert math.isnan(timeless.luckiest)
    assert timeless.metrics["sharpe"].value == pytest.approx(timeless.sharpe_per_period)
    assert timeless.dsr < timeless.psr


def test_few_trades_are_an_anecdote() -> None:
    one = record_of([1.0, -0.9] * 100)
    assert "only 1 trade: an anecdote" in one.notes[0]
    assert "not evidence" in one.metrics["hit_rate"].note


def test_spans_in_words() -> None:
    assert market_time(90) == "1.5 minutes"


def test_without_the_ledger_the_notes_say_so(found: Significance) -> None:
    assert found.trials.count == 4
    assert any("run ledger was not used" in note for note in found.notes)


def test_the_number_of_trials_comes_from_the_ledger(case: Case, found: Significance) -> None:
    many = assess_significance(case, Trials(5000, 1e6, 5000, since=T0))
    assert many.trials.count == 5000
    assert not any("ledger" in note for note in many.notes)
    for more, less in zip(many.records, found.records, strict=True):
        assert more.luckiest > less.luckiest
        assert more.dsr <= less.dsr
    # The page must not depend on the clock.
    assert "since" not in json.dumps(many.summary())
    short = assess_significance(case, Trials(1, math.nan, 0))
    assert short.trials.count == 4
    assert any("this judgement alone made 4" in note for note in short.notes)


def test_skill_is_found_where_there_is_some(
    make_tape: Callable[..., pl.DataFrame], instruments: tuple[Instrument, ...]
) -> None:
    frame = make_tape(2000, ic=0.3)
    config = JudgeConfig(
        labels=LabelConfig(bucket_horizons=(1,)),
        models={"good": ModelConfig(), "flat": ModelConfig(inverse_penalty=1e-9)},
        costs=CostConfig(fee_bps=0.0, half_spread_bps=0.1),
        replications=200,
        control_repeats=3,
    )
    case = Case(frame, judge(frame, config, instruments=instruments[:1]), instruments[:1])
    found = assess_significance(case)
    good, flat = found.records
    assert good.psr > 0.999
    assert good.dsr > 0.95
    assert (flat.trades, math.isnan(flat.dsr)) == (0, True)
    assert found.against_nothing.best == "good"
    assert found.against_nothing.reality_check < 0.01
    assert found.against_nothing.spa < 0.01
    assert found.against_nothing.advantage_bps == pytest.approx(1e4 * case.trading("good").net.mean())
    assert "flat earned the same as doing nothing" in found.against_nothing.note
    assert found.against_baseline.benchmark == "good"
    assert found.against_baseline.spa > 0.5
    row = found.forecasts.row(0, named=True)
    assert (row["first"], row["second"], row["better"]) == (BASE_RATES, "good", "good")
    idle = superiority(
        replace(case, judgement=replace(case.judgement, models={"flat": case.judgement.models["flat"]})), "", 0
    )
    assert idle.note == "no model ever traded, so that there is nothing to test"


def test_a_baseline_that_is_matched_can_not_be_tested(case: Case) -> None:
    twin = case.judgement.predictions.filter(pl.col("model") == "logistic")
    both = pl.concat([twin, twin.with_columns(pl.lit("loose").alias("model"))])
    same = Case(case.frame, replace(case.judgement, predictions=both), case.instruments)
    found = assess_significance(same)
    assert found.against_baseline.note == "every model trades as logistic does, so that there is nothing to test"
    row = found.forecasts.row(-1, named=True)
    assert (row["p_value"], row["holm"], row["better"]) == (None, None, "")


def test_forecasts_are_compared_pair_by_pair(case: Case, found: Significance) -> None:
    table = found.forecasts
    assert table.select("first", "second").rows() == [
        (BASE_RATES, "logistic"), (BASE_RATES, "loose"), ("logistic", "loose"),
    ]  # fmt: skip
    rows = [
        case.predictions(name).filter(pl.col("class").is_not_null(), pl.col("p_up").is_not_null(), ~pl.col("excluded"))
        for name in case.names
    ]
    losses = []
    for part in rows:
        p = part.select("p_down", "p_flat", "p_up").to_numpy()
        losses.append(-np.log(p[np.arange(len(p)), part["class"].to_numpy().astype(int) + 1]))
    expected = diebold_mariano(losses[0], losses[1], case.overlap)
    assert table["statistic"][2] == pytest.approx(expected.statistic)
    assert table["holm"].to_list() == pytest.approx(list(holm(table["p_value"].to_numpy())))
    brier = assess_significance(case, config=SignificanceConfig(loss="brier")).forecasts
    skill = case.judgement.models["logistic"].horizons[case.judgement.primary].metrics["brier_skill"].value
    assert brier["gain"][0] > 0
    assert np.sign(brier["gain"][0]) == np.sign(skill)
    capped = assess_significance(case, config=SignificanceConfig(max_pairs=1))
    assert capped.forecasts.height == 3  # every pair touches the base rates or the first model
    assert any("of 3 pairs" in note for note in capped.notes)


def test_every_ic_pays_for_the_number_of_them(case: Case, found: Significance) -> None:
    table = found.information
    assert table.height == 4
    for row in table.iter_rows(named=True):
        ic = case.judgement.models[row["model"]].horizons[row["horizon"]].metrics["ic"]
        assert (row["ic"], row["n"]) == (pytest.approx(ic.value), ic.n)
        assert row["p_value"] <= row["benjamini_hochberg"] <= row["holm"] <= row["bonferroni"]
    assert table["holm"].to_list() == pytest.approx(list(holm(table["p_value"].to_numpy())))


def test_factors_that_survive_are_counted(case: Case, found: Significance) -> None:
    table = case.judgement.factor_table
    assert found.factors["horizon"].to_list() == ["1_buckets", "3_buckets", "all"]
    assert found.factors["tested"].to_list() == [4, 4, 8]
    assert found.factors["by_luck"].to_list() == pytest.approx([0.2, 0.2, 0.4])
    p = table["p_value"].to_numpy()
    whole = found.factors.row(-1, named=True)
    assert whole["unadjusted"] == (p <= 0.05).sum()
    assert whole["benjamini_hochberg"] == (benjamini_hochberg(p) <= 0.05).sum() >= 1
    assert whole["holm"] == (holm(p) <= 0.05).sum() >= whole["bonferroni"] >= 1
    assert found.best_factors["factor"][0] == "signal"
    assert found.best_factors["p_value"].is_sorted()


def test_few_samples_and_constant_factors_never_survive(case: Case) -> None:
    table = case.judgement.factor_table.with_columns(
        pl.lit("few samples: 12 rows").alias("note"),
        p_value=pl.when(pl.col("factor") == "noise_1").then(None).otherwise(1e-9),
    )
    counts, best = many_tests.factor_survival(
        replace(case, judgement=replace(case.judgement, factor_table=table)), 0.05
    )
    assert counts["tested"].to_list() == [3, 3, 6]
    assert counts["unadjusted"].to_list() == [0, 0, 0]
    assert "noise_1" not in best["factor"].to_list()


def test_a_panel_is_one_book(panel_case: Case) -> None:
    found = assess_significance(panel_case)
    (record,) = found.records
    parts = trade(panel_case.predictions("logistic"), panel_case.executions, panel_case.judgement.config.costs)
    assert record.trades == sum(round_trips(part).size for part in parts.values())
    assert record.n == panel_case.trading("logistic").net.size
    assert found.against_baseline.note == "there is no other model to compare"
    assert found.information["ic"][0] == pytest.approx(
        panel_case.judgement.models["logistic"].horizons["1_buckets"].metrics["ic"].value
    )
    assert found.factors["horizon"].to_list() == ["1_buckets"]


@pytest.mark.parametrize("n", [30, 60, 150])
def test_few_samples_are_said_and_no_crash(
    n: int, make_tape: Callable[..., pl.DataFrame], instruments: tuple[Instrument, ...]
) -> None:
    frame = make_tape(n).with_columns(pl.lit(1.0).alias("constant"))
    config = JudgeConfig(labels=LabelConfig(bucket_horizons=(1,)), models={"logistic": ModelConfig()}, replications=100,
                         control_repeats=3)  # fmt: skip
    case = Case(frame, judge(frame, config, instruments=instruments[:1]), instruments[:1])
    found = assess_significance(case)
    text = " ".join(found.notes)
    assert "few samples" in text
    assert bool(found.records) == (n == 150)
    if n < 150:
        assert "no model was judged" in text
        assert found.against_nothing.note == found.against_baseline.note == "no model was judged"
        assert found.drawdowns.columns == ["model", "period", "n", "net_bps", "drawdown_bps"]
    else:
        assert "few samples" in found.against_nothing.note
    json.dumps(found.summary(), allow_nan=False)


def test_almost_no_predictions_are_no_crash(case: Case) -> None:
    place = pl.int_range(pl.len()).over("model", "horizon")
    for rows in (1, 5):
        few = case.judgement.predictions.filter(place < rows)
        found = assess_significance(Case(case.frame, replace(case.judgement, predictions=few), case.instruments))
        assert found.forecasts.height == 0
        assert "few samples" in found.against_nothing.note
        assert found.information["p_value"].null_count() == 4 or rows == 5
        json.dumps(found.summary(), allow_nan=False)


def test_labels_that_are_not_defined_overlap_nothing(case: Case) -> None:
    rows = case.predictions("logistic").with_columns(pl.lit(None, pl.Int64).alias("label_end_ts"))
    assert many_tests._overlap(rows, 1) == 1
    assert many_tests._overlap(case.predictions("logistic", "3_buckets"), 1) == 3


def test_the_result_is_the_same_each_time(case: Case, found: Significance) -> None:
    again = assess_significance(Case(case.frame, case.judgement, case.instruments))
    assert json.dumps(again.summary()) == json.dumps(found.summary())


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"alpha": 0.0}, "alpha was 0"), ({"confidence": 0.5}, "confidence"), ({"max_pairs": 0}, "max_pairs")],
)
def test_bad_settings_are_refused(settings: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SignificanceConfig(**settings)  # type: ignore[arg-type]
