"""Metrics against their definitions, bootstrap against brute force, and the published calibration numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate import Metric, expected_calibration_error, metrics
from marketprism.evaluate.bootstrap import (
    block_length,
    interval,
    plan_blocks,
    resample_average_precision,
    resample_sums,
    resample_weighted_auc,
)
from marketprism.evaluate.metrics import average_precision
from marketprism.evaluate.resample import resample_rows


def sample(n=500, seed=0, ic=0.3):
    rng = np.random.default_rng(seed)
    score = np.round(rng.standard_normal(n), 1)  # ties
    returns = ic * score + math.sqrt(1 - ic * ic) * rng.standard_normal(n)
    classes = (returns > 0.4).astype(np.int8) - (returns < -0.4).astype(np.int8)
    probabilities = rng.dirichlet((3, 3, 3), n)
    return score, returns, classes, probabilities


def rows_of(plan, replication):
    blocks = [(start + np.arange(plan.length)) % plan.n for start in plan.starts[replication]]
    return np.concatenate(blocks)[: plan.n]


def test_resampled_sums_equal_brute_force():
    plan = plan_blocks(53, 7, 20, 1)
    values = np.random.default_rng(0).normal(size=(53, 3))
    sums = resample_sums(values, plan)
    for r in range(20):
        assert sums[r] == pytest.approx(values[rows_of(plan, r)].sum(axis=0))


def test_resampled_auc_equals_brute_force():
    score, _, classes, _ = sample(60)
    plan = plan_blocks(60, 7, 20, 1)
    found = resample_weighted_auc(score, classes > 0, plan)
    for r in range(20):
        rows = rows_of(plan, r)
        assert found[r] == pytest.approx(roc_auc_score(classes[rows] > 0, score[rows]))
    assert np.isnan(resample_weighted_auc(score, np.ones(60, bool), plan)).all()


def test_plans_are_reproducible_and_seed_zero_is_a_seed():
    assert (plan_blocks(50, 3, 9, 0).starts == plan_blocks(50, 3, 9, 0).starts).all()
    assert (plan_blocks(50, 3, 9, 0).starts != plan_blocks(50, 3, 9, 1).starts).any()
    for bad in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
        with pytest.raises(ConfigError, match="at least 1"):
            plan_blocks(*bad, 0)


def test_block_length_holds_overlap_and_series():
    assert block_length(1000) == 10
    assert block_length(1000, overlap=30) == 60
    assert block_length(4000, series=4) == 40
    assert block_length(0) == 0 or block_length(1) == 1


def test_interval_widens_for_few_blocks_and_is_undefined_without():
    draws = np.random.default_rng(0).normal(size=2000)
    wide, narrow = interval(0.0, draws, 4, 0.95), interval(0.0, draws, 10_000, 0.95)
    assert wide[1] - wide[0] == pytest.approx((narrow[1] - narrow[0]) * stats.t.ppf(0.975, 3) / 1.96, rel=0.01)
    assert all(math.isnan(x) for x in interval(0.0, draws, 1, 0.95))
    assert all(math.isnan(x) for x in interval(math.nan, draws, 9, 0.95))


def test_values_equal_their_definitions():
    score, returns, classes, p = sample()
    plan = plan_blocks(500, 8, 200, 0)
    base = np.tile((0.3, 0.4, 0.3), (500, 1))
    truth = classes[:, None] == np.array((-1, 0, 1))
    moved = classes != 0
    assert metrics.information_coefficient(score, returns, plan).value == pytest.approx(
        np.corrcoef(score, returns)[0, 1]
    )
    rank = metrics.rank_information_coefficient(score, returns, plan)
    assert rank.value == pytest.approx(stats.spearmanr(score, returns).statistic)
    auc = metrics.area_under_curve(score, classes, lambda n: plan_blocks(n, 8, 200, 0), 0.95)
    assert auc.value == pytest.approx(roc_auc_score(classes[moved] > 0, score[moved]))
    assert auc.n == moved.sum()
    brier = metrics.brier_skill(p, base, classes, plan)
    assert brier.value == pytest.approx(1 - ((p - truth) ** 2).sum() / ((base - truth) ** 2).sum())
    loss = metrics.log_loss_skill(p, base, classes, plan)
    assert loss.value == pytest.approx(1 - log_loss(classes, p) / log_loss(classes, base))
    hit = metrics.hit_rate(score, returns, plan)
    used = score != 0
    assert hit.value == pytest.approx((np.sign(score[used]) == np.sign(returns[used])).mean())
    assert hit.n == used.sum()
    for metric in (rank, auc, brier, loss, hit):
        assert metric.low < metric.value < metric.high


def test_best_possible_brier_follows_from_the_ic():
    """With balanced classes and linear probabilities, Brier skill is the squared correlation (ORACLES)."""
    rng = np.random.default_rng(0)
    r, n = 0.05, 400_000
    up = rng.random(n) < 0.5
    p_up = 0.5 + 0.5 * r * np.where(rng.random(n) < 0.5 * (1 + r), 1.0, -1.0) * np.where(up, 1, -1)
    p = np.column_stack((1 - p_up, np.zeros(n), p_up))
    base = np.tile((0.5, 0.0, 0.5), (n, 1))
    classes = np.where(up, 1, -1).astype(np.int8)
    skill = metrics.brier_skill(p, base, classes, plan_blocks(n, 100, 100, 0))
    assert 0.25 * (1 - skill.value) == pytest.approx(0.25 * (1 - r * r), abs=4e-4)


def test_ic_does_not_care_for_units_and_constants_have_none():
    score, returns, _, _ = sample()
    plan = plan_blocks(500, 8, 200, 0)
    one = metrics.information_coefficient(score, returns, plan)
    other = metrics.information_coefficient(1e6 + 1e-6 * score, 1e9 * returns, plan)
    assert other.value == pytest.approx(one.value, rel=1e-3)
    assert math.isnan(metrics.information_coefficient(np.full(500, 0.1), returns, plan).value)


def test_information_ratio():
    score, returns, _, _ = sample(400)
    period = np.arange(400) // 40
    ics = np.array([np.corrcoef(score[period == k], returns[period == k])[0, 1] for k in range(10)])
    found = metrics.information_ratio(score, returns, period, 0, period_name="40-row")
    assert found.value == pytest.approx(ics.mean() / ics.std(ddof=1))
    assert "10 40-row ICs" in found.note
    assert "few samples" in found.note
    few = metrics.information_ratio(score, returns, np.zeros(400, np.int64), 0)
    assert math.isnan(few.value)
    assert not few.significant


def test_auc_without_moves_is_undefined():
    assert math.isnan(metrics.area_under_curve(np.zeros(3), np.zeros(3, np.int8), None, 0.95).value)
    one_sided = metrics.area_under_curve(np.arange(3.0), np.ones(3, np.int8), lambda n: plan_blocks(n, 1, 100, 0), 0.95)
    assert math.isnan(one_sided.value)


@pytest.mark.parametrize(("n", "published"), [(1000, 0.032), (10_000, 0.010)])
def test_ece_of_a_perfect_model(n, published):
    """ORACLES: .032 at n=1e3 and .010 at 1e4 raw (15 bins); debiased about 0."""
    rng = np.random.default_rng(0)
    raw, debiased = [], []
    for _ in range(400 if n == 1000 else 150):
        p = rng.uniform(0.3, 0.7, n)
        up = rng.random(n) < p
        raw.append(expected_calibration_error(up, p, debias=False))
        debiased.append(expected_calibration_error(up, p))
    assert np.mean(raw) == pytest.approx(published, rel=0.1)
    assert abs(np.mean(debiased)) < 0.05 * published


def test_ece_sees_a_miscalibrated_model():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.2, 0.8, 20_000)
    up = rng.random(20_000) < 0.5 + 0.5 * (p - 0.5)
    assert expected_calibration_error(up, p) == pytest.approx(0.075, abs=0.01)
    metric = metrics.calibration_error(p, up, plan_blocks(20_000, 28, 500, 0), 0.95)
    assert metric.low < 0.075 < metric.high
    assert metric.value == pytest.approx(expected_calibration_error(up, p))
    assert not metric.significant


@pytest.mark.parametrize(
    ("outcome", "probability", "message"),
    [
        ([1], [0.1, 0.2], "shape"),
        ([], [], "shape"),
        ([1], [1.5], r"probability was 1\.5"),
        ([1], [math.nan], "was nan"),
    ],
)
def test_ece_refuses_nonsense(outcome, probability, message):
    with pytest.raises(DataError, match=message):
        expected_calibration_error(outcome, probability)


def test_no_star_without_evidence():
    strong = {"value": 0.5, "low": 0.4, "high": 0.6, "null": 0.0}
    assert Metric(**strong, n=1000, blocks=100).star
    assert not Metric(**strong, n=100, blocks=100).significant
    assert not Metric(**strong, n=1000, blocks=10).significant
    assert not Metric(value=0.1, low=-0.1, high=0.3, n=1000, blocks=100, null=0.0).significant
    assert not Metric(value=0.1, low=0.05, high=0.3, n=1000, blocks=100).significant
    assert not Metric(value=0.1, low=math.nan, high=0.3, n=1000, blocks=100, null=0.0).significant
    bad = Metric(value=-0.5, low=-0.6, high=-0.4, n=1000, blocks=100, null=0.0)
    assert bad.significant
    assert not bad.star
    assert Metric(value=math.nan, low=0.0, high=math.inf, n=1).to_mapping()["value"] is None


def test_few_samples_are_said_to_be_few():
    score, returns, _, _ = sample(60)
    metric = metrics.information_coefficient(score, returns, plan_blocks(60, 4, 200, 0))
    assert metric.note == "few samples: 60 rows in 15 blocks, not evidence"
    assert not metric.significant


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_intervals_cover(rho):
    """95 % intervals of the IC cover the truth 95 times in 100, also when both series are persistent."""
    rng = np.random.default_rng(5)
    n, truth, trials = 800, 0.1, 400
    covered = {"ic": 0, "rank": 0}
    rank_truth = 6 / math.pi * math.asin(truth / 2)
    for trial in range(trials):
        noise = rng.standard_normal((n, 2)) @ np.linalg.cholesky([[1, truth], [truth, 1]]).T
        path = np.empty_like(noise)
        path[0] = noise[0]
        for i in range(1, n):
            path[i] = rho * path[i - 1] + math.sqrt(1 - rho * rho) * noise[i]
        plan = plan_blocks(n, block_length(n, overlap=4 if rho else 1), 400, trial)
        one = metrics.information_coefficient(path[:, 0], path[:, 1], plan)
        two = metrics.rank_information_coefficient(path[:, 0], path[:, 1], plan)
        covered["ic"] += one.low <= truth <= one.high
        covered["rank"] += two.low <= rank_truth <= two.high
    # Three standard errors of a binomial share, and a little undercoverage that every bootstrap has.
    for count in covered.values():
        assert 0.90 <= count / trials <= 0.985


@pytest.mark.parametrize("ties", [0, 1])
def test_average_precision_is_sklearns_and_its_replications_are_those_of_the_rows(ties):
    rng = np.random.default_rng(3)
    score = np.round(rng.normal(size=400), ties) if ties else rng.normal(size=400)
    classes = np.sign(np.round(score + rng.normal(size=400))).astype(np.int8)
    plan = plan_blocks(400, 7, 60, 0)
    found = average_precision(score, classes, plan)
    assert found.value == pytest.approx(average_precision_score(classes > 0, score), abs=1e-12)
    assert found.null == pytest.approx((classes > 0).mean())
    assert found.low < found.value < found.high
    assert found.low > found.null
    samples = resample_average_precision(score, classes > 0, plan)
    slow = [average_precision_score(classes[rows] > 0, score[rows]) for rows in resample_rows(plan)]
    assert samples == pytest.approx(slow, abs=1e-12)
    aucs = resample_weighted_auc(score, classes > 0, plan)
    assert aucs == pytest.approx([roc_auc_score(classes[rows] > 0, score[rows]) for rows in resample_rows(plan)])


def test_average_precision_of_nothing_and_of_noise():
    plan = plan_blocks(300, 7, 200, 0)
    score = np.random.default_rng(0).normal(size=300)
    nothing = average_precision(score, np.zeros(300, np.int8), plan)
    assert np.isnan(nothing.value)
    assert np.isnan(nothing.low)
    noise = average_precision(score, np.random.default_rng(1).integers(-1, 2, 300).astype(np.int8), plan)
    assert not noise.significant
    constant = average_precision(np.zeros(300), np.arange(300).astype(np.int8) % 2, plan)
    assert constant.value == pytest.approx(0.5)
    assert (constant.low, constant.high) == pytest.approx((0.5, 0.5))


def test_average_precision_of_plain_lists_makes_its_own_plan():
    from marketprism.core.errors import DataError
    from marketprism.evaluate import average_precision as public

    rng = np.random.default_rng(5)
    score = rng.normal(size=300)
    up = (score + rng.normal(size=300) > 0).astype(int)
    found = public(score.tolist(), up.tolist())
    assert found.value == pytest.approx(average_precision_score(up, score), abs=1e-12)
    assert found == public(score, up)
    assert found.star
    with pytest.raises(DataError, match="score was not finite in row 1"):
        public([0.1, float("nan")], [0, 1])
    with pytest.raises(DataError, match="lengths were"):
        public([0.1, 0.2], [0, 1, 1])
