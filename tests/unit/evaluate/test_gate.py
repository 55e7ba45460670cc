"""Adoption gate: paired gain, costs, conditions, success card; defined near zero; ADOPT only for what deserves it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import AdoptionConfig, Candidate, adoption_gate, best_possible_brier
from marketprism.evaluate.bootstrap import plan_blocks
from marketprism.evaluate.economics import Trading
from marketprism.evaluate.gate_pairs import bootstrap_p_value, common_rows, make_pairs, paired_ic, paired_sharpe

_DAY = 86_400 * 10**9
N = 3000
BEFORE = 500


def predictions(score: np.ndarray, target: np.ndarray, step_ns: int = 20 * 60 * 10**9) -> pl.DataFrame:
    n = len(score)
    known = 4 * _DAY + np.arange(n) * step_ns
    up = np.clip(0.5 + score / (4 * max(1e-9, np.abs(score).max())), 0, 1)
    return pl.DataFrame(
        {
            "exchange": "sim", "market_type": "spot", "symbol": "A", "bucket_id": np.arange(n), "segment": 0,
            "ts_end": known - 5, "ts_known": known, "model": "m", "horizon": "1_buckets", "scheme": "raw",
            "fold": 0, "return": target, "class": np.sign(target).astype(np.int8), "label_end_ts": known + step_ns,
            "threshold": 1.0, "p_down": 1 - up, "p_flat": 0.0, "p_up": up, "score": score,
        }
    )  # fmt: skip


def trading(net: np.ndarray, step_ns: int = 20 * 60 * 10**9) -> Trading:
    n = len(net)
    ones = np.ones(n)
    ts = 4 * _DAY + np.arange(n) * step_ns
    return Trading(ts, ones, net, 0 * ones, ones, 365.25 * _DAY / step_ns, n * step_ns / 1e9)


def side(name: str, score: np.ndarray, target: np.ndarray, net: np.ndarray, **facts: object) -> Candidate:
    table = predictions(score, target)
    rng = np.random.default_rng(9)
    before = rng.permutation(score)[:BEFORE]  # rows that trained the first fold
    known = np.r_[table["ts_known"][0] - 10**9 * np.arange(len(before), 0, -1), table["ts_known"].to_numpy()]
    values_of = {f"f{i}": np.r_[before, score] + i * rng.normal(size=len(known)) for i in range(5)}
    frame = pl.DataFrame({"ts_known": known, **values_of})
    values = {"size": 100.0, "latency_p50_ms": 0.02, "latency_p99_ms": 0.05, "coverage": 0.9, **facts}
    return Candidate(name, table, trading(net), frame, tuple(f"f{i}" for i in range(5)), **values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def market() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    signal, noise = rng.normal(size=N), rng.normal(size=N)
    target = 1e-4 * (0.3 * signal + rng.normal(size=N))
    return signal, noise, target


@pytest.fixture(scope="module")
def good(market: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[Candidate, Candidate]:
    signal, noise, target = market
    weak, strong = 0.3 * signal + noise, signal
    return (
        side("weak", weak, target, 1e-5 + 0.2 * np.sign(weak) * target),
        side("strong", strong, target, 2e-5 + 0.4 * np.sign(strong) * target),
    )


def status(checks: tuple, name: str) -> str:
    return next(check.status for check in checks if check.name == name)


def test_a_better_candidate_is_adopted(good: tuple[Candidate, Candidate]) -> None:
    found = adoption_gate(*good, seed=3, replications=400)
    assert found.verdict == "ADOPT", found.reasons
    ic = [np.corrcoef(s.predictions["score"], s.predictions["return"])[0, 1] for s in good]
    assert found.ic.baseline.value == pytest.approx(ic[0], abs=1e-12)
    assert found.ic.candidate.value == pytest.approx(ic[1], abs=1e-12)
    assert found.score.gain == pytest.approx((ic[1] - ic[0]) / ic[0], abs=1e-9)
    assert found.score.latency_cost == 0
    assert found.score.complexity == 0
    assert found.score.interpretability_loss == pytest.approx(0.1)
    assert found.score.value == pytest.approx(found.score.gain - 0.02)
    assert found.score.low < found.score.value < found.score.high
    assert {check.status for check in found.card} == {"pass"}, found.card
    assert json.loads(json.dumps(found.summary(), allow_nan=False))["verdict"] == "ADOPT"


def test_costs_are_as_defined(good: tuple[Candidate, Candidate]) -> None:
    heavy = replace(good[1], size=1000.0, latency_p99_ms=50.05, coverage=0.7)
    score = adoption_gate(good[0], heavy, replications=100).score
    assert score.latency_cost == pytest.approx(0.5)
    assert score.complexity == pytest.approx(math.log(10))
    assert score.interpretability_loss == pytest.approx(0.3)
    assert score.value == pytest.approx(score.gain - 0.25 - 0.3 * math.log(10) - 0.06)
    light = adoption_gate(heavy, replace(good[1], size=500.0), replications=100).score
    assert light.complexity == pytest.approx(-math.log(2))
    assert light.latency_cost == 0


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"latency_p99_ms": 100.0}, "latency p99"),
        ({"coverage": 0.6}, "explainability coverage"),
        ({"size": 1e9}, "score"),
    ],
)
def test_a_missed_condition_rejects(good: tuple[Candidate, Candidate], facts: dict[str, float], name: str) -> None:
    found = adoption_gate(good[0], replace(good[1], **facts), replications=100)
    assert found.verdict == "REJECT"
    assert status(found.conditions, name) == "fail"
    assert found.reasons[0].startswith(name)


@pytest.mark.parametrize("fact", ["latency_p99_ms", "coverage"])
def test_what_was_not_measured_is_charged_and_inconclusive(good: tuple[Candidate, Candidate], fact: str) -> None:
    config = AdoptionConfig(latency_weight=0.01)
    found = adoption_gate(good[0], replace(good[1], **{fact: math.nan}), config, replications=100)
    assert found.verdict == "INCONCLUSIVE"
    charged = {"latency_p99_ms": found.score.latency_cost, "coverage": found.score.interpretability_loss}
    assert charged[fact] == 1.0


def test_losses_after_costs_reject(good: tuple[Candidate, Candidate]) -> None:
    losing = replace(good[1], trading=trading(good[1].trading.net - 1e-3))
    found = adoption_gate(good[0], losing, replications=100)
    assert found.verdict == "REJECT"
    assert status(found.conditions, "profit after costs") == "fail"
    assert status(found.conditions, "net Sharpe not worse") == "fail"
    assert status(found.card, "monthly drawdown") == "fail"
    lenient = adoption_gate(good[0], losing, AdoptionConfig(require_profit=False), replications=100)
    assert "profit after costs" not in [check.name for check in lenient.conditions]


def test_luck_is_inconclusive_and_no_gain_is_rejected(market: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    signal, noise, target = market
    short, other = slice(0, 400), np.random.default_rng(36).normal(size=N)
    base = side("base", (signal + noise)[short], target[short], 1e-5 + 0 * target[short] + 1e-6 * noise[short])
    lucky = side("lucky", (signal + 0.7 * noise)[short], target[short], 2e-5 + 1e-6 * noise[short])
    loose = AdoptionConfig(adopt_above=-9, min_gain=-9, p_value=1, ic_ir=-9, psi=9, monthly_drawdown=9)
    found = adoption_gate(
        base,
        replace(lucky, predictions=predictions((signal + other)[short], target[short])),
        loose,
        replications=400,
    )
    assert found.verdict == "INCONCLUSIVE"
    assert "luck" in found.reasons[0]
    same = adoption_gate(base, base, loose, replications=100)
    assert same.score.gain == 0
    assert (same.ic.gain.low, same.ic.gain.high, same.ic.p_difference) == (0, 0, 1)
    assert same.verdict == "REJECT"
    few = adoption_gate(
        *(
            replace(s, predictions=s.predictions.head(60), trading=trading(s.trading.net[:60]), frame=s.frame)
            for s in (base, lucky)
        ),
        replications=100,
    )
    assert few.verdict == "INCONCLUSIVE"
    assert "too few to decide" in few.reasons[0]


def test_rows_of_the_card_that_need_more_data_do_not_count_unless_asked(good: tuple[Candidate, Candidate]) -> None:
    quick = 10**9  # a row a second: no week, no month

    def hurried(one: Candidate) -> Candidate:
        table = predictions(one.predictions["score"].to_numpy(), one.predictions["return"].to_numpy(), quick)
        frame = one.frame.tail(N).with_columns(table["ts_known"])
        return replace(one, predictions=table, trading=trading(one.trading.net, quick), frame=frame)

    sides = [hurried(one) for one in good]
    found = adoption_gate(*sides, replications=200)
    assert found.verdict == "ADOPT"
    assert status(found.card, "week-to-week IC correlation") == "not measurable"
    assert status(found.card, "monthly drawdown") == "not measurable"
    assert any("success card" in reason for reason in found.reasons)
    assert adoption_gate(*sides, AdoptionConfig(require_card=True), replications=200).verdict == "INCONCLUSIVE"


def test_drift_of_the_served_model_fails_the_card(good: tuple[Candidate, Candidate]) -> None:
    shifted = np.repeat([0.0, 3.0], (N + BEFORE) // 2) + np.random.default_rng(0).normal(size=N + BEFORE)
    found = adoption_gate(good[0], replace(good[1], served=shifted), replications=100)
    assert status(found.card, "PSI of the score") == "fail"
    assert found.verdict == "REJECT"
    with pytest.raises(DataError, match="one score for each row"):
        replace(good[1], served=shifted[:5])


def test_defined_near_zero(market: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    signal, _, target = market
    flat = side("flat", np.zeros(N), target, np.zeros(N))
    strong = side("strong", signal, target, 2e-5 + 0.4 * np.sign(signal) * target)
    found = adoption_gate(flat, strong, replications=200)
    assert found.ic.baseline.value == 0
    assert "constant score of the baseline" in found.ic.gain.note
    assert found.ic.gain.value == pytest.approx(found.ic.candidate.value / 0.01)
    assert found.sharpe.baseline.value == 0
    assert found.sharpe.gain.value == pytest.approx(found.sharpe.candidate.value / 0.1)
    assert all(
        math.isfinite(v) for v in (found.ic.gain.low, found.ic.gain.high, found.score.low, found.sharpe.gain.low)
    )
    back = adoption_gate(strong, flat, replications=200)
    assert back.score.gain == pytest.approx(-1)
    assert back.verdict == "REJECT"
    json.dumps(back.summary(), allow_nan=False)


def test_pairing_narrows_the_interval_and_is_honest(market: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    signal, noise, target = market
    pairs = make_pairs(predictions(signal, target), predictions(signal + 0.1 * noise, target))
    found = paired_ic(pairs, pairs.plan(400, 0), 0.95, 0.01)
    alone = found.candidate.high - found.candidate.low
    assert found.difference.high - found.difference.low < 0.3 * alone
    again = paired_ic(pairs, pairs.plan(400, 0), 0.95, 0.01)
    assert again == found
    assert paired_ic(pairs, pairs.plan(400, 1), 0.95, 0.01) != found


def test_size_of_the_paired_test() -> None:
    """Two equally good models: the gain is called significant in about 5 % of samples."""
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(200):
        common, a, b, e = rng.normal(size=(4, 300))
        target = 0.2 * common + e
        pairs = make_pairs(predictions(common + a, target), predictions(common + b, target))
        found = paired_ic(pairs, plan_blocks(pairs.n, 7, 200, int(rng.integers(1 << 30))), 0.95, 0.01)
        hits += found.p_difference < 0.05
    assert hits <= 22


def test_sides_that_cannot_be_compared(market: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    signal, _, target = market
    one = predictions(signal, target)
    for other, said in (
        (one.with_columns(horizon=pl.lit("5_buckets")), "horizon 5_buckets|candidate 5_buckets"),
        (one.with_columns(scheme=pl.lit("per_second")), "label scheme"),
        (one.with_columns(bucket_id=pl.col("bucket_id") + N), "none in common"),
        (one.with_columns(pl.col("return") * 2), "labels or times of common buckets differ"),
        (pl.concat([one, one.head(1)]), "predicts some rows twice"),
        (one.with_columns(score=pl.lit(None, pl.Float64)), "0 of 3000 common rows"),
    ):
        with pytest.raises(DataError, match=said):
            make_pairs(one, other)
    left, right = common_rows(one.head(100), one.slice(40, 100))
    assert left.equals(right)
    assert left.height == 60
    assert make_pairs(one.head(100), one.slice(40, 100)).left_out == 40
    excluded = one.with_columns(excluded=pl.int_range(pl.len()) < 10)
    assert make_pairs(excluded, excluded).n == N - 10
    with pytest.raises(DataError, match="not the same"):
        paired_sharpe(trading(target), trading(target[:-1]), 100, 0, 0.95, 0.1)


def test_p_value() -> None:
    samples = np.random.default_rng(0).normal(size=4000)
    assert bootstrap_p_value(1.96, samples, 10_000) == pytest.approx(0.05, abs=0.005)
    assert bootstrap_p_value(1.96, samples, 5) > 0.09
    assert bootstrap_p_value(0.0, samples, 50) == 1
    assert bootstrap_p_value(1.0, samples, 1) == 1
    assert bootstrap_p_value(1.0, np.ones(10), 50) == 0


def test_brier_limits_must_be_attainable(good: tuple[Candidate, Candidate]) -> None:
    found = adoption_gate(*good, AdoptionConfig(brier_limit=0.2), replications=100)
    assert status(found.conditions, "Brier score") == "unattainable"
    assert found.verdict == "ADOPT"
    assert any("ignored" in reason for reason in found.reasons)
    assert found.attainable.best_return == pytest.approx(best_possible_brier(found.ic.candidate.value, of="return"))
    assert found.attainable.best_outcome <= found.attainable.observed
    assert adoption_gate(*good, AdoptionConfig(brier_limit=0.2499), replications=100).verdict == "ADOPT"
    strict = AdoptionConfig(brier_limit=found.attainable.best_outcome + 1e-6)
    assert adoption_gate(*good, strict, replications=100).verdict == "REJECT"


def test_decay(market: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    rng = np.random.default_rng(2)
    signal = np.zeros(N)
    for i in range(1, N):
        signal[i] = 0.8 * signal[i - 1] + rng.normal()
    target = 1e-4 * (0.5 * signal + rng.normal(size=N))
    slow = side("slow", signal, target, 1e-5 + 0.4 * np.sign(signal) * target)
    quick = side("quick", market[0], market[2], 1e-5 + 0.4 * np.sign(market[0]) * market[2])
    found = adoption_gate(slow, slow, replications=100).decay[0]
    assert found.row_ms == 20 * 60 * 1000
    assert found.lifetime_ms / found.row_ms == pytest.approx(-1 / math.log(0.8), rel=0.3)
    assert not found.at_most
    left = dict(found.sharpe)
    assert left[0.0] > left[1.0] > left[1000.0] > 0
    gone = adoption_gate(quick, quick, replications=100).decay[0]
    assert gone.at_most
    losing = adoption_gate(replace(slow, trading=trading(-slow.trading.net)), slow, replications=100).decay[0]
    assert len({value for _, value in losing.sharpe}) == 1


def test_panels(market: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    signal, noise, target = market
    one = predictions(signal[:1000], target[:1000])
    two = predictions(signal[1000:2000], 50 * target[1000:2000]).with_columns(
        symbol=pl.lit("B"), threshold=pl.lit(50.0)
    )
    panel = pl.concat([one, two])
    worse = panel.with_columns(score=pl.col("score") + pl.Series(noise[:2000]))
    pairs = make_pairs(worse, panel)
    assert (pairs.series, pairs.n, pairs.overlap) == (2, 2000, 1)
    assert abs(np.corrcoef(pairs.candidate, pairs.target)[0, 1] - 0.29) < 0.06
    assert sorted(set(pairs.run.tolist())) == [1, 2]


@pytest.mark.parametrize(
    "values",
    [
        {"ic_floor": 0.0}, {"level": 1.0}, {"min_coverage": 1.5}, {"delays_rows": (1, 2)}, {"delays_rows": (0, 3, 3)},
        {"psi": -1.0}, {"adopt_above": math.nan}, {"brier_limit": 2.0}, {"latencies_ms": (-1.0,)},
    ],
)  # fmt: skip
def test_settings_out_of_range(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        AdoptionConfig(**values)  # type: ignore[arg-type]


def test_candidates_out_of_range(good: tuple[Candidate, Candidate]) -> None:
    for facts in ({"size": 0.0}, {"size": math.nan}, {"coverage": 1.1}, {"latency_p99_ms": -1.0}):
        with pytest.raises(DataError):
            replace(good[0], **facts)
