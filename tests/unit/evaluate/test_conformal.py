"""Prediction sets keep their promise, adaptive ones under drift too, and the band trades only when sure."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.core.instrument import Instrument
from marketprism.evaluate.case import Case
from marketprism.evaluate.config import CostConfig, JudgeConfig
from marketprism.evaluate.conformal import ConformalConfig, assess_conformal
from marketprism.evaluate.conformal_sets import adaptive_sets, label_scores, split_sets
from marketprism.evaluate.judge import judge
from marketprism.labels.config import LabelConfig
from marketprism.models.baselines import ModelConfig
from marketprism.pipelines.judgement_sections.conformal import conformal_section
from marketprism.report.document import Document, Verdict
from marketprism.report.page import render_page


def drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and classes that follow them."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet((2.0, 3.0, 2.0), n)
    return p, (rng.random(n)[:, None] > np.cumsum(p, axis=1)).sum(axis=1) - 1


def covered(sets: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return sets[np.arange(len(sets)), classes + 1]


@pytest.mark.parametrize("score", ["lac", "aps"])
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2, 0.35])
def test_the_sequential_path_equals_mapie(score: str, alpha: float) -> None:
    p, y = drawn(600)
    sets = split_sets(p[:250], y[:250], p[250:], alpha, score, seed=3)  # type: ignore[arg-type]
    # mapie draws the chance of aps from a legacy generator, afresh for calibration and for prediction.
    chance = np.concatenate([np.random.RandomState(3).uniform(size=size) for size in (250, 350)])
    scores = label_scores(p, score, chance)  # type: ignore[arg-type]
    known = np.where(np.arange(600) < 250, np.arange(600), 9_999)
    found = adaptive_sets(scores, y, np.arange(600), known, alpha, rate=0.0, window=250, least=1)
    np.testing.assert_array_equal(found.sets[250:], sets)
    assert 0 < sets.mean() < 1


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_without_drift_both_keep_the_promise(score: str) -> None:
    p, y = drawn(6000, seed=1)
    chance = np.random.default_rng(0).random(6000)
    sets = split_sets(p[:2000], y[:2000], p[2000:], 0.2, score)  # type: ignore[arg-type]
    assert covered(sets, y[2000:]).mean() == pytest.approx(0.8, abs=0.03)
    clock = np.arange(6000)
    found = adaptive_sets(label_scores(p, score, chance), y, clock, clock + 3, 0.2)  # type: ignore[arg-type]
    assert covered(found.sets, y)[500:].mean() == pytest.approx(0.8, abs=0.02)


def test_under_drift_static_sets_lose_coverage_and_adaptive_ones_regain_it() -> None:
    p, y = drawn(6000, seed=2)
    # From the middle on the model is wrong about the sides: what it calls up goes down as often as not.
    rng = np.random.default_rng(4)
    late = np.arange(6000) >= 3000
    y = np.where(late & (rng.random(6000) < 0.6), rng.integers(-1, 2, 6000), y)
    static = split_sets(p[:1000], y[:1000], p, 0.1)
    clock = np.arange(6000)
    found = adaptive_sets(label_scores(p, "lac"), y, clock, clock + 5, 0.1, rate=0.02, window=300)
    assert covered(static, y)[1000:3000].mean() == pytest.approx(0.9, abs=0.02)
    assert covered(static, y)[3000:].mean() < 0.85
    assert covered(found.sets, y)[3500:].mean() == pytest.approx(0.9, abs=0.015)
    # A limit that follows by its window alone, without the moving aim, is what the aim improves on.
    assert found.alpha[4000:].mean() != 0.1


def test_feedback_waits_until_labels_are_known() -> None:
    p, y = drawn(400, seed=3)
    clock, delay = np.arange(400), 50
    scores = label_scores(p, "lac")
    one = adaptive_sets(scores, y, clock, clock + delay, 0.1, least=5)
    other = y.copy()
    other[200:] = -other[200:]
    two = adaptive_sets(scores, other, clock, clock + delay, 0.1, least=5)
    np.testing.assert_array_equal(one.sets[: 200 + delay], two.sets[: 200 + delay])
    np.testing.assert_array_equal(one.alpha[: 200 + delay], two.alpha[: 200 + delay])
    assert not np.array_equal(one.alpha[200 + delay :], two.alpha[200 + delay :])
    # Nothing was known before row 50 + 5, so nothing was left out.
    assert one.sets[:54].all()
    assert np.isinf(one.limit[:54]).all()
    assert not one.sets[54:].all()


def test_the_aim_moves_by_the_published_rule() -> None:
    p, y = drawn(200, seed=5)
    clock = np.arange(200)
    found = adaptive_sets(label_scores(p, "lac"), y, clock, clock + 1, 0.1, rate=0.05, window=50, least=10)
    outside = ~covered(found.sets, y)
    aim, seen = 0.1, []
    for t in range(200):
        row = t - 1
        if row >= 10:  # the first ten rows had no limit
            aim += 0.05 * (0.1 - outside[row])
        seen.append(aim)
    np.testing.assert_allclose(found.alpha, seen, atol=1e-12)
    for t in (60, 150):
        kept = np.sort((1 - p)[np.arange(200), y + 1][t - 50 : t])
        rank = int(np.ceil(51 * (1 - found.alpha[t]) - 1e-9))
        assert found.limit[t] == (np.inf if rank > 50 else kept[rank - 1])


def test_aims_outside_the_unit_interval_mean_all_and_none() -> None:
    p, _ = drawn(120, seed=6)
    clock = np.arange(120)
    right = np.argmax(p, axis=1) - 1
    wrong = np.argmin(p, axis=1) - 1
    always = adaptive_sets(label_scores(p, "lac"), wrong, clock, clock, 0.1, rate=0.9, window=20, least=2)
    assert always.alpha.min() < 0
    assert always.sets[always.alpha < 0].all()
    never = adaptive_sets(label_scores(p, "lac"), right, clock, clock, 0.9, rate=0.9, window=20, least=2)
    assert never.alpha.max() > 1
    assert not never.sets[never.alpha > 1].any()


def test_rows_that_cannot_teach() -> None:
    p, y = drawn(300, seed=7)
    p[::9] = np.nan
    y[1::9] = 9
    clock = np.arange(300)
    found = adaptive_sets(label_scores(p, "lac"), y, clock, clock + 1, 0.2, least=5)
    assert found.sets[::9].all()
    keep = np.ones(300, bool)
    keep[::9] = False
    less = adaptive_sets(label_scores(p[keep], "lac"), y[keep], clock[keep], clock[keep] + 1, 0.2, least=5)
    np.testing.assert_array_equal(found.sets[keep], less.sets)


def test_a_conservative_aps_needs_no_chance() -> None:
    p = np.array([[0.2, 0.5, 0.3]])
    np.testing.assert_allclose(label_scores(p, "aps"), [[1.0, 0.5, 0.8]])
    np.testing.assert_allclose(label_scores(p, "aps", np.array([0.5])), [[0.9, 0.25, 0.65]])


def test_too_few_rows_leave_nothing_out() -> None:
    p, y = drawn(20)
    assert split_sets(p[:8], y[:8], p[8:], 0.1).all()
    assert split_sets(p[:8], y[:8], p[:0], 0.1).shape == (0, 3)
    with pytest.raises(DataError, match="calibration"):
        split_sets(p[:0], y[:0], p, 0.1)
    with pytest.raises(DataError, match="calibration"):
        split_sets(p[:8], y[:7], p, 0.1)


def test_mapie_reads_given_probabilities() -> None:
    from marketprism.evaluate.conformal_sets import _Given

    given = _Given()
    p, y = drawn(10)
    assert given.fit(p, y) is given
    np.testing.assert_array_equal(given.predict(p), np.argmax(p, axis=1) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split_sets(p, y, p, 0.4)


def test_a_case_is_judged_with_coverage_and_a_band(case: Case) -> None:
    found = assess_conformal(case)
    assert set(found.models) == set(case.names)
    for one in found.models.values():
        assert one.adaptive.coverage.value == pytest.approx(0.9, abs=0.03)
        assert one.adaptive.coverage.null == 0.9
        assert 1 < one.adaptive.size.value <= 3
        assert one.adaptive.full + one.adaptive.one_sided <= 1
        assert 0 < one.band.share < 1
        # Fewer positions are opened, never more.
        assert one.band.within["turnover"].value <= one.band.without["turnover"].value
        assert one.rolling.height > 50
    json.dumps(found.summary(), allow_nan=False)


def test_the_band_only_lets_positions_close(case: Case) -> None:
    strict = assess_conformal(case, ConformalConfig(coverage=0.999, trade_when="singleton"))
    for one in strict.models.values():
        assert one.band.share == 1.0
        assert one.band.within["turnover"].value == 0.0
        assert one.band.within["hit_rate"].n == 0
        assert one.band.gain.value == pytest.approx(-one.band.without["net_pnl_bps"].value)
    free = assess_conformal(case, ConformalConfig(coverage=0.02, score="aps", least=1))
    assert all(one.adaptive.empty > 0.5 for one in free.models.values())


def test_a_threshold_of_zero_still_closes_what_turned(case: Case) -> None:
    found = []
    for enter in (0.0, 1e-9):
        config = case.judgement.config.replace(costs=CostConfig(enter=enter).to_mapping())
        one = Case(case.frame, replace(case.judgement, config=config), case.instruments)
        found.append(assess_conformal(one).models[case.best].band)
    assert found[0].within == found[1].within
    assert found[0].within["turnover"].value < found[0].without["turnover"].value


def test_excluded_rows_are_traded_but_not_judged(case: Case) -> None:
    problem = case.problem
    marked = np.zeros(len(problem.known), bool)
    marked[-50:] = True
    part = Case(case.frame, case.judgement, case.instruments)
    part.__dict__["problem"] = replace(problem, excluded=marked)
    whole, less = (assess_conformal(one).models["loose"] for one in (case, part))
    assert less.rows == whole.rows - int(problem.labelled[-50:].sum()) + int(problem.excluded[:-50].sum())
    assert less.band.without["net_pnl_bps"].value == whole.band.without["net_pnl_bps"].value


def test_panels_few_rows_and_one_fold(
    panel_case: Case, make_tape: Callable[..., pl.DataFrame], instruments: tuple[Instrument, ...]
) -> None:
    few = make_tape(60)
    single = make_tape(400, ic=0.3)
    config = JudgeConfig(
        labels=LabelConfig(bucket_horizons=(1,)),
        models={"logistic": ModelConfig()},
        folds=1,
        replications=100,
        control_repeats=3,
    )
    cases = {
        "panel": panel_case,
        "few": Case(few, judge(few, JudgeConfig(), instruments=instruments[:1]), instruments[:1]),
        "one fold": Case(single, judge(single, config, instruments=instruments[:1]), instruments[:1]),
    }
    results = {name: assess_conformal(one) for name, one in cases.items()}
    assert results["panel"].models["logistic"].rows > 600
    assert "no model was judged" in results["few"].notes[0]
    assert results["one fold"].models["logistic"].rows > 50
    wary = assess_conformal(panel_case, ConformalConfig(least=400))
    assert "fewer than 400" in wary.notes[0]
    for name, result in [*results.items(), ("panel", wary)]:
        json.dumps(result.summary(), allow_nan=False)
        page = render_page(Document("t", "s", Verdict("v", []), [], [conformal_section(result, cases[name])]))
        assert "Confidence" in page


def test_the_page_says_when_the_promise_is_broken(case: Case) -> None:
    found = assess_conformal(case, ConformalConfig(trade_when="singleton"))
    one = found.models["loose"]
    coverage = replace_metric(one.adaptive.coverage, 0.5)
    broken = replace(found, models={"loose": replace(one, adaptive=one.adaptive._replace(coverage=coverage))})
    section = conformal_section(broken, case)
    assert any(item.kind == "note" and item.tone == "bad" for item in section.items)
    assert "nothing but the forecast side" in render_page(Document("t", "s", Verdict("v", []), [], [section]))
    calm = conformal_section(replace(found, models={"loose": replace(one, rolling=one.rolling.head(1))}), case)
    assert len(calm.items) == len(section.items) - 1


def replace_metric(metric: object, value: float) -> object:
    import msgspec

    return msgspec.structs.replace(metric, value=value, low=value - 0.01, high=value + 0.01)  # type: ignore[type-var]


def test_results_repeat(case: Case) -> None:
    config = ConformalConfig(score="aps")
    assert assess_conformal(case, config).summary() == assess_conformal(case, config).summary()


@pytest.mark.parametrize(
    "values",
    [{"coverage": 1.0}, {"rate": 1.0}, {"window": 0}, {"least": 0}, {"rolling_rows": 0}, {"least": 501}],
)
def test_impossible_settings_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        ConformalConfig(**values)  # type: ignore[arg-type]
