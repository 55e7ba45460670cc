"""The whole judgement on tapes whose truth is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError
from marketprism.evaluate import CostConfig, JudgeConfig, judge
from marketprism.labels import LabelConfig
from marketprism.models import Manifest, ModelConfig, factor_signature, feature_matrix, pack_artefact, unpack_artefact

QUICK = JudgeConfig(
    labels=LabelConfig(bucket_horizons=(1, 3)), folds=3, replications=300, control_repeats=5,
    models={"logistic": ModelConfig(), "lightgbm": ModelConfig(kind="lightgbm", trees=30)},
)  # fmt: skip


@pytest.fixture(scope="module")
def judgement(make_tape, instruments):
    return judge(make_tape(1500, ic=0.25), QUICK, instruments=instruments)


def test_planted_signal_is_recovered(judgement):
    ic = judgement.models["logistic"].horizons["1_buckets"].metrics["ic"]
    assert ic.low < 0.25 < ic.high
    assert ic.star
    table = judgement.factor_table.filter(pl.col("horizon") == "1_buckets")
    assert table.filter("star")["factor"].to_list() == ["signal"]
    row = table.row(0, named=True)
    assert row["low"] < 0.25 < row["high"]
    assert row["sign_consistency"] >= 0.9
    assert table.filter(pl.col("factor") == "noise_0")["coverage"].item() == pytest.approx(0.9, abs=0.03)


def test_controls_ran_and_passed(judgement):
    assert [control.name for control in judgement.controls] == ["shuffled_labels", "planted_leak", "noise_factors"]
    assert all(control.passed for control in judgement.controls), judgement.notes
    assert judgement.suspects == {}


def test_shape_of_the_results(judgement):
    assert set(judgement.models) == {"logistic", "lightgbm"}
    result = judgement.models["lightgbm"].horizons["3_buckets"]
    assert set(result.metrics) == {
        "ic", "ic_after_latency", "ic_ir", "rank_ic", "auc", "average_precision", "brier_skill", "log_loss_skill",
        "ece", "hit_rate", "turnover", "gross_pnl_bps", "net_pnl_bps", "gross_sharpe", "net_sharpe",
        "gross_per_unit_bps",
    }  # fmt: skip
    assert result.by_series == {}
    assert result.fold_ic.height == len(judgement.folds) == 3
    assert result.calibration["n"].sum() == result.metrics["ic"].n
    assert result.calibration["predicted"].is_sorted()
    assert result.equity.height == judgement.predictions.height / 4
    assert result.equity["net_bps"][-1] == pytest.approx(result.metrics["net_pnl_bps"].value)
    assert "annualised by sqrt(" in result.metrics["net_sharpe"].note
    summary = judgement.summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert set(summary["models"]["logistic"]["ic"]) >= {"value", "low", "high"}
    assert any("annualisation" in line for line in judgement.assumptions)


def test_costs_eat_a_weak_signal(judgement):
    metrics = judgement.models["logistic"].horizons["1_buckets"].metrics
    assert metrics["gross_pnl_bps"].star
    assert metrics["net_pnl_bps"].high < 0


def test_fitted_model_exports_and_predicts_the_same(judgement, make_tape):
    tape = make_tape(1500, ic=0.25)
    for fitted in judgement.fitted.values():
        manifest = Manifest(
            name=fitted.name, factors=fitted.factors, factor_hash=factor_signature(fitted.factors),
            label_scheme=judgement.labels.scheme, label_hash=judgement.labels.hash, horizon=fitted.horizon,
            metrics=judgement.summary()["models"][fitted.name], train_end_ts=fitted.train_end_ts,
        )  # fmt: skip
        loaded = unpack_artefact(pack_artefact(fitted.pipeline, manifest), factors=judgement.factors)
        X = feature_matrix(tape, fitted.factors, fitted.series)
        assert np.abs(loaded.predict_proba(X) - fitted.pipeline.predict_proba(X)).max() <= 1e-5
        assert fitted.train_end_ts == tape["ts_known"].max()


def test_no_signal_is_not_significant(make_tape, instruments):
    result = judge(make_tape(1500, ic=0.0, seed=5), QUICK.replace(models={"logistic": {}}), instruments=instruments)
    for metric in ("ic", "rank_ic", "auc", "brier_skill", "ic_ir"):
        assert not result.models["logistic"].horizons["1_buckets"].metrics[metric].star
    assert not result.factor_table["star"].any()


def test_panel_is_judged_together_and_apart(make_tape, instruments):
    tape = pl.concat([make_tape(600, ic=0.3), make_tape(600, ic=0.3, seed=1, symbol="ETH-USDT", volatility=3e-3)])
    config = QUICK.replace(models={"logistic": {}}, horizons=("1_buckets",))
    result = judge(tape, config, instruments=instruments)
    assert result.series == ("binance:linear:BTC-USDT", "binance:linear:ETH-USDT")
    part = result.models["logistic"].horizons["1_buckets"]
    assert set(part.by_series) == set(part.equity_by_series) == set(result.series)
    assert part.metrics["ic"].low < 0.3 < part.metrics["ic"].high
    assert part.metrics["ic"].n == sum(metrics["ic"].n for metrics in part.by_series.values())
    assert result.fitted["logistic"].series == result.series
    assert set(result.summary()["series"]["logistic"]) == set(result.series)


def test_moves_before_the_fill_do_not_count_after_latency(make_tape, instruments):
    """The next bucket's move happens at once: the IC is high, the IC after latency is nothing."""
    tape = make_tape(900, ic=0.5).with_columns(mid_open=pl.col("mid_last"))
    config = QUICK.replace(models={"logistic": {}}, horizons=("1_buckets",), control_repeats=3)
    jump = judge(tape, config, instruments=instruments).models["logistic"].horizons["1_buckets"].metrics
    assert jump["ic"].star
    assert abs(jump["ic_after_latency"].value) < 0.1 or np.isnan(jump["ic_after_latency"].value)
    for scheme in ("raw", "per_second"):
        calm = judge(make_tape(900, ic=0.5), config.replace(labels={"scheme": scheme}), instruments=instruments)
        found = calm.models["logistic"].horizons["1_buckets"].metrics
        assert found["ic_after_latency"].star
        if scheme == "raw":
            assert found["ic_after_latency"].value == pytest.approx(found["ic"].value, abs=0.01)


def test_instrument_that_left_early_is_left_out_of_the_test(make_tape, instruments):
    tape = pl.concat([make_tape(600), make_tape(60, seed=1, symbol="ETH-USDT")])
    config = QUICK.replace(models={"logistic": {}}, horizons=("1_buckets",), control_repeats=3)
    part = judge(tape, config, instruments=instruments).models["logistic"].horizons["1_buckets"]
    assert set(part.by_series) == {"binance:linear:BTC-USDT"}


def test_instrument_with_hardly_a_test_row_has_undefined_metrics(make_tape, instruments):
    tape = make_tape(600)
    start = tape["ts_end"][560]
    other = make_tape(3, seed=1, symbol="ETH-USDT").with_columns(
        pl.col("ts_start", "ts_end", "ts_known") + (start - make_tape(3, seed=1)["ts_end"][0]), segment=pl.lit(0)
    )
    config = QUICK.replace(models={"logistic": {}}, horizons=("1_buckets",), control_repeats=3)
    judged = judge(pl.concat([tape, other], how="vertical_relaxed"), config, instruments=instruments)
    metrics = judged.models["logistic"].horizons["1_buckets"].by_series["binance:linear:ETH-USDT"]
    assert metrics["ic"].n == 0
    assert "few samples: 0 rows" in metrics["ic"].note


def test_ic_ir_is_daily_where_there_are_days(make_tape, instruments):
    tape = make_tape(600).with_columns(pl.col("ts_start", "ts_end", "ts_known") + pl.col("bucket_id") * 3600 * 10**9)
    config = QUICK.replace(models={"logistic": {}}, horizons=("1_buckets",), control_repeats=3)
    metric = judge(tape, config, instruments=instruments).models["logistic"].horizons["1_buckets"].metrics["ic_ir"]
    assert "daily ICs" in metric.note


def test_too_few_rows_are_said_to_be_few(make_tape, instruments):
    result = judge(make_tape(60), QUICK, instruments=instruments)
    assert result.models == {}
    assert result.controls == ()
    assert "few samples" in result.notes[0]
    assert result.predictions.is_empty()
    assert result.factor_table.height == 8
    assert not result.factor_table["star"].any()
    json.dumps(result.summary(), allow_nan=False)


@pytest.mark.parametrize("n", [1, 2, 5, 25])
def test_tiny_tapes_do_not_break(make_tape, instruments, n):
    result = judge(make_tape(n), QUICK, instruments=instruments)
    assert "few samples" in result.notes[0]


def test_small_tape_gets_fewer_folds_and_no_star(make_tape, instruments):
    result = judge(make_tape(170, ic=0.5), QUICK.replace(folds=5), instruments=instruments)
    assert 0 < len(result.folds) < 5
    assert any("folds instead of 5" in note for note in result.notes)
    for part in result.models["logistic"].horizons.values():
        assert not any(metric.star for metric in part.metrics.values())
        assert "few samples" in part.metrics["ic"].note


@pytest.mark.slow
def test_primary_rolling_embargo_and_steps(make_tape, instruments):
    steps: list[str] = []
    config = QUICK.replace(
        primary="3_buckets", window="rolling", embargo_s=120.0, models={"logistic": {}}, jobs=2,
        costs=CostConfig(fee_bps=1.0).to_mapping(),
    )  # fmt: skip
    result = judge(make_tape(700), config, instruments=instruments, progress=steps.append)
    assert result.primary == "3_buckets"
    assert steps[0] == "labels"
    assert steps[-1] == "controls"
    assert any("120 s before the test" in line for line in result.assumptions)
    assert all(fold.purged > 2 for fold in result.folds)


def test_slippage_and_impact_are_among_the_assumptions(make_tape, instruments):
    tape = make_tape(400).with_columns(notional=pl.lit(1e5))
    config = QUICK.replace(models={"logistic": {}}, control_repeats=3, horizons=["1_buckets"])
    costly = config.replace(costs={"slippage_bps": 0.7, "notional": 5e4, "impact_coefficient": 0.5})
    free, paid = (judge(tape, one, instruments=instruments) for one in (config, costly))
    assert not any("slippage" in line or "impact" in line for line in free.assumptions)
    assert any("slippage: 0.7 bps" in line for line in paid.assumptions)
    assert any("impact: 0.5 x volatility x sqrt(50000 of" in line and "30 past" in line for line in paid.assumptions)


def test_fixed_time_labels_and_a_mid_series(make_tape, instruments):
    tape = make_tape(400)
    mids = tape.select(
        "exchange", "market_type", "symbol", pl.col("ts_end").alias("ts_event"), pl.col("ts_known").alias("ts_recv"),
        pl.col("mid_last").alias("mid"),
    )  # fmt: skip
    config = QUICK.replace(
        labels={"bucket_horizons": [], "time_horizons_s": [10.0]}, models={"logistic": {}}, control_repeats=3
    )
    with_series = judge(tape, config, instruments=instruments, mids=mids)
    assert any("from the mid series" in line for line in with_series.assumptions)
    assert any("bucket ends are coarse" in line for line in with_series.assumptions)
    without = judge(tape, config, instruments=instruments)
    assert with_series.labels.frame["return_10_s"].equals(without.labels.frame["return_10_s"], null_equal=True)


@pytest.mark.parametrize(
    "change",
    [
        {"primary": "2_buckets"},
        {"horizons": ("9_s",)},
        {"primary": "1_buckets", "horizons": ("3_buckets",)},
        {"models": {}},
        {"folds": 0},
        {"level": 1.0},
        {"embargo_s": -1.0},
    ],
)
def test_bad_configuration(change):
    with pytest.raises(ConfigError, match="was"):
        JudgeConfig(**change)


_SCRIPT = """
import sys, json, hashlib
sys.path.insert(0, {here!r})
from conftest import tape
from marketprism.evaluate import CostConfig, JudgeConfig, judge
from marketprism.models import ModelConfig, to_onnx_bytes
config = JudgeConfig(
    folds=2, replications=100, control_repeats=3, seed=0, horizons=("1_buckets",),
    costs=CostConfig(half_spread_bps=1.0),
    models={{"a": ModelConfig(), "b": ModelConfig(kind="lightgbm", trees=10, threads={threads})}}, jobs={jobs},
)
result = judge(tape(400), config)
parts = [json.dumps(result.summary(), sort_keys=True), result.predictions.write_csv(), result.factor_table.write_csv()]
digest = hashlib.sha256("".join(parts).encode())
for fitted in result.fitted.values():
    digest.update(to_onnx_bytes(fitted.pipeline))
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_same_bytes_whatever_the_process():
    """Another hash seed, another number of threads: the same numbers and the same model bytes."""
    here = os.path.dirname(__file__)  # noqa: PTH120
    found = set()
    for seed, threads, jobs in (("0", 1, 1), ("123", 2, 2)):
        env = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "OMP_NUM_THREADS": str(threads),
            "POLARS_MAX_THREADS": str(threads),
        }
        script = _SCRIPT.format(here=here, threads=threads, jobs=jobs)
        done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
        found.add(done.stdout.strip())
    assert len(found) == 1
    assert len(found.pop()) == 64
