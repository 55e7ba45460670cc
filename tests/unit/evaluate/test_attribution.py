"""Attribution finds a planted order, counts twins together, and its coverage means what it says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from marketprism.core.errors import ConfigError, DataError
from marketprism.core.instrument import Instrument
from marketprism.evaluate.attribution import AttributionConfig, attribute, explainability_coverage
from marketprism.evaluate.case import Case
from marketprism.evaluate.config import JudgeConfig
from marketprism.evaluate.judge import judge
from marketprism.evaluate.permutation import _shuffle, factor_groups, permutation_importance
from marketprism.labels.config import LabelConfig
from marketprism.models.baselines import ModelConfig
from marketprism.pipelines.judgement_sections.attribution import attribution_section
from marketprism.report.document import Document, Section, Verdict
from marketprism.report.figures.confidence import attribution_points
from marketprism.report.page import render_page


def page(section: Section) -> str:
    return render_page(Document("t", "s", Verdict("v", []), [], [section]))


@pytest.fixture(scope="module")
def planted(make_tape: Callable[..., pl.DataFrame], instruments: tuple[Instrument, ...]) -> Case:
    """``signal`` forecasts, ``twin`` is nearly the same, noise does not; a linear model and trees."""
    frame = make_tape(1500, ic=0.4)
    rng = np.random.default_rng(9)
    frame = frame.with_columns(
        (pl.col("signal") + pl.Series(0.01 * rng.standard_normal(frame.height))).alias("twin"),
        pl.lit(3.0).alias("constant"),
        pl.lit(None, pl.Float64).alias("empty"),
    )
    config = JudgeConfig(
        labels=LabelConfig(bucket_horizons=(1,)),
        models={"logistic": ModelConfig(), "lightgbm": ModelConfig(kind="lightgbm")},
        replications=200,
        control_repeats=3,
    )
    return Case(frame, judge(frame, config, instruments=instruments[:1]), instruments[:1])


def test_the_planted_order_is_found(planted: Case) -> None:
    found = attribute(planted)
    for one in found.models.values():
        assert set(one.inputs["input"][:2]) == {"signal", "twin"}
        assert one.inputs["direction"][0] == "up"
        assert one.inputs["association"][0] > 0.8
        assert one.inputs["share"].sum() == pytest.approx(1.0)
        for name in ("constant", "empty"):
            assert one.inputs.filter(pl.col("input") == name)["direction"][0] == "none"
        strongest = one.permuted[0]
        assert set(strongest.inputs) == {"signal", "twin"}
        assert strongest.loss.star
        assert strongest.loss.value > 0.3
        assert all(not part.loss.star for part in one.permuted[1:])
    assert found.models["logistic"].kind == "linear"
    assert found.models["lightgbm"].kind == "tree"
    json.dumps(found.summary(), allow_nan=False)


def test_twins_hide_each_other_unless_shuffled_together(planted: Case) -> None:
    groups = factor_groups(planted)
    names = planted.problem.factors
    together = [tuple(names[column] for column in group) for group in groups]
    assert ("signal", "twin") in together
    assert sum(len(group) for group in groups) == len(names)
    strength = np.ones(len(names))
    alone = tuple((column,) for column in range(len(names)))
    apart, _ = permutation_importance(planted, "lightgbm", alone, strength, most=10, budget=10**6)
    joint, _ = permutation_importance(planted, "lightgbm", groups, strength, most=10, budget=10**6)
    largest = max(part.loss.value for part in apart if part.inputs[0] in {"signal", "twin"})
    assert largest < 0.8 * joint[0].loss.value


def test_caps_are_said(planted: Case) -> None:
    config = AttributionConfig(rows=200, interaction_budget=4_000, permuted=2, permutation_budget=500)
    one = attribute(planted, config).models["lightgbm"]
    assert one.rows <= 200
    assert 0 < one.interaction_rows < 200
    assert len(one.permuted) == 2
    said = " ".join(one.notes)
    for word in ("interactions of", "every 8th of 1,500 rows", "the 2 strongest of", "permuted every"):
        assert word in said
    assert one.permuted[0].loss.n < 500
    assert attribute(planted, AttributionConfig(interaction_budget=0)).models["lightgbm"].interactions.is_empty()


def test_results_repeat(planted: Case) -> None:
    assert json.dumps(attribute(planted).summary()) == json.dumps(attribute(planted).summary())


def test_excluded_rows_are_not_permuted(planted: Case) -> None:
    problem = planted.problem
    part = Case(planted.frame, planted.judgement, planted.instruments)
    marked = np.arange(len(problem.known)) >= 1000
    part.__dict__["problem"] = replace(problem, excluded=problem.excluded | marked)
    whole, less = (
        permutation_importance(one, "logistic", factor_groups(one), np.ones(7), most=3, budget=10**6)[0][0].loss.n
        for one in (planted, part)
    )
    assert less < whole - 400


def test_a_users_model_of_unknown_kind(
    make_tape: Callable[..., pl.DataFrame], instruments: tuple[Instrument, ...]
) -> None:
    frame = make_tape(500, ic=0.5)
    config = JudgeConfig(labels=LabelConfig(bucket_horizons=(1,)), replications=100, control_repeats=3)
    models = {
        "rotated": make_pipeline(SimpleImputer(), PCA(random_state=0), LogisticRegression()),
        "dummy": DummyClassifier(),
    }
    one = Case(frame, judge(frame, config, instruments=instruments[:1], models=models), instruments[:1])
    found = attribute(one, AttributionConfig(sample_budget=6_000))
    rotated = found.models["rotated"]
    assert rotated.kind == "sampled"
    assert rotated.inputs["input"][0] == "signal"
    assert any("sampled" in note for note in rotated.notes)
    dummy = found.models["dummy"]
    assert math.isnan(dummy.coverage[10])
    assert dummy.permuted == ()
    assert any("listens to no input" in note for note in dummy.notes)
    text = page(attribution_section(found, one))
    assert "not defined" in text
    assert "kind of model is unknown" in text
    json.dumps(found.summary(), allow_nan=False)


def test_shuffles_stay_inside_their_instrument() -> None:
    code = np.arange(60) % 3 + 1.0
    draw = _shuffle(code, np.random.default_rng(0))
    assert sorted(draw.tolist()) == list(range(60))
    np.testing.assert_array_equal(code[draw], code)
    assert (draw != np.arange(60)).mean() > 0.8


def test_panels_shuffle_inside_each_instrument(panel_case: Case) -> None:
    found = attribute(panel_case)
    one = found.models["logistic"]
    assert one.inputs["input"][0] == "signal"
    assert one.inputs.filter(pl.col("input") == "series")["mean_abs"][0] == 0.0
    assert one.permuted[0].inputs == ("signal",)
    assert "series" not in one.points["input"].to_list()
    assert "What the models listen to" in page(attribution_section(found, panel_case))


def test_nothing_judged_and_too_few_rows(
    case: Case, make_tape: Callable[..., pl.DataFrame], instruments: tuple[Instrument, ...]
) -> None:
    few = make_tape(60)
    nothing = Case(few, judge(few, JudgeConfig(), instruments=instruments[:1]), instruments[:1])
    found = attribute(nothing)
    assert not found.models
    assert "nothing to attribute" in page(attribution_section(found, nothing)).lower()
    blind = Case(case.frame, case.judgement, case.instruments)
    blind.__dict__["problem"] = replace(case.problem, excluded=np.ones(len(case.problem.known), bool))
    parts, note = permutation_importance(blind, "logistic", factor_groups(case), np.ones(4), most=3, budget=100)
    assert parts == ()
    assert "too few rows" in note


def test_the_page_shows_figures_tables_and_caps(planted: Case) -> None:
    text = page(attribution_section(attribute(planted, AttributionConfig(top=1)), planted))
    for word in ("What moves lightgbm", "What logistic cannot do without", "Interactions in", "signal +1", "capped at"):
        assert word in text
    assert "explainability coverage" in text


def test_coverage_is_one_for_what_the_inputs_say_and_less_without_them() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1200, 8))
    said = 3 * X[:, 0] + np.where(X[:, 1] > 0, 1.0, -1.0)
    strength = np.array([3.0, 1.0, 0, 0, 0, 0, 0, 0])
    assert explainability_coverage(said, X, strength, top=2) > 0.97
    # One of two independent parts: coverage is its share of the variance, 9 of 10.
    assert explainability_coverage(said, X, strength, top=1) == pytest.approx(0.9, abs=0.02)
    # Inputs that say nothing cover nothing.
    assert explainability_coverage(said, X, strength[::-1], top=2) == pytest.approx(0.0, abs=0.02)
    # Attributions by row count by their mean size.
    rows = np.zeros((5, 8))
    rows[:, 0] = (1, -1, 1, -1, np.nan)
    assert explainability_coverage(said, X, rows, top=1) == pytest.approx(0.9, abs=0.02)


def test_coverage_does_not_reward_learning_noise_by_heart() -> None:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((400, 30))
    assert explainability_coverage(rng.standard_normal(400), X, np.ones(30), top=30) < 0.05


def test_coverage_of_missing_values_series_and_long_samples() -> None:
    rng = np.random.default_rng(2)
    X = rng.standard_normal((9_000, 3))
    said = X[:, 0].copy()
    X[rng.random(9_000) < 0.1, 0] = np.nan
    series = np.arange(9_000) % 2 + 1.0
    panel = np.column_stack((X * np.where(series == 1, 1.0, 1000.0)[:, None], series))
    said[::10] = np.nan
    for inputs in (X, panel):
        assert explainability_coverage(said, inputs, [1, 0, 0], top=1) == pytest.approx(0.9, abs=0.03)
    assert explainability_coverage(said, X, [1, 0, 0], 1, 5) == explainability_coverage(said, X, [1, 0, 0], 1, 5)


def test_coverage_of_a_model_that_woke_up_late() -> None:
    X = np.random.default_rng(0).standard_normal((200, 2))
    said = np.where(np.arange(200) < 180, 0.0, X[:, 0])
    assert 0.0 <= explainability_coverage(said, X, [1, 0]) < 0.5


def test_points_of_one_value_lie_on_their_line() -> None:
    flat = attribution_points(["a"], {"a": (np.zeros(3), np.zeros(3))}, "x")
    assert flat == attribution_points(["a"], {"a": (np.zeros(3), np.zeros(3))}, "x")
    assert flat.startswith("<svg")


def test_coverage_is_undefined_for_constants_and_few_rows() -> None:
    X = np.random.default_rng(0).standard_normal((200, 2))
    assert math.isnan(explainability_coverage(np.full(200, 0.1), X, [1, 1]))
    assert math.isnan(explainability_coverage(X[:49, 0], X[:49], [1, 1]))
    assert math.isnan(explainability_coverage(np.full(200, np.nan), X, [1, 1]))


def test_coverage_refuses_shapes_that_do_not_fit() -> None:
    X = np.zeros((60, 3))
    with pytest.raises(DataError, match="shapes"):
        explainability_coverage(np.zeros(59), X, [1, 1, 1])
    with pytest.raises(DataError, match="3 inputs"):
        explainability_coverage(np.zeros(60), X, [1])
    with pytest.raises(ConfigError, match="top"):
        explainability_coverage(np.zeros(60), X, [1, 1, 1], top=0)


@pytest.mark.parametrize(
    "values",
    [
        {"top": 0},
        {"rows": 0},
        {"interaction_budget": -1},
        {"sample_budget": 0},
        {"permuted": 0},
        {"permutation_budget": 0},
    ],
)
def test_impossible_settings_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        AttributionConfig(**values)
