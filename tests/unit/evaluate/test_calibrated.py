"""Prequential calibration: only the past teaches, a known fault is repaired, and gates are judged for what they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from marketprism.core.errors import ConfigError
from marketprism.core.instrument import Instrument
from marketprism.evaluate.calibrated import CHOSEN, RAW, CalibrationConfig, assess_calibration, prequential
from marketprism.evaluate.case import Case
from marketprism.evaluate.config import JudgeConfig
from marketprism.evaluate.judge import judge
from marketprism.labels.config import LabelConfig
from marketprism.models.calibration import ProbabilityCalibrator
from marketprism.models.scaler import FactorScaler
from marketprism.pipelines.judgement_sections.calibration import calibration_section
from marketprism.report.document import Document, Verdict
from marketprism.report.page import render_page


class Loud(LogisticRegression):
    """Three times too sure of itself."""

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        p = super().predict_proba(X) ** 6
        return np.asarray(p / p.sum(axis=1, keepdims=True))


@pytest.fixture(scope="module")
def loud_case(make_tape: Callable[..., pl.DataFrame], instruments: tuple[Instrument, ...]) -> Case:
    frame = make_tape(2400, ic=0.35)
    config = JudgeConfig(labels=LabelConfig(bucket_horizons=(1,)), replications=200, control_repeats=3)
    models = {"loud": make_pipeline(FactorScaler(), Loud()), "mute": make_pipeline(FactorScaler(), DummyClassifier())}
    return Case(frame, judge(frame, config, instruments=instruments[:1], models=models), instruments[:1])


def test_overconfidence_is_repaired_out_of_sample(loud_case: Case) -> None:
    found = assess_calibration(loud_case).models["loud"]
    raw = found.methods[RAW]
    assert raw.test is not None
    assert raw.test.p_value < 0.01
    for method in ("isotonic", "platt", "beta"):
        part = found.methods[method]
        assert part.metrics["gain"].star
        assert part.metrics["ece"].value < 0.5 * raw.metrics["ece"].value
        assert part.metrics["brier_skill"].value > raw.metrics["brier_skill"].value
    assert found.methods["beta"].test is not None
    assert found.methods["beta"].test.p_value > 0.01
    assert found.recommended in {"isotonic", "platt", "beta"}
    assert found.calibrator is not None
    again = ProbabilityCalibrator.from_mapping(json.loads(json.dumps(found.calibrator)))
    assert again.method == found.recommended
    assert found.methods[CHOSEN].metrics["gain"].star


def test_the_choice_knows_only_the_past(loud_case: Case) -> None:
    found = assess_calibration(loud_case).models["loud"]
    # Folds 0 and 1 have no compared past; from fold 2 on the past shows that raw is worst.
    assert found.chosen[:2] == (RAW, RAW)
    assert RAW not in found.chosen[2:]


def test_a_model_that_says_base_rates_needs_no_repair(loud_case: Case) -> None:
    found = assess_calibration(loud_case).models["mute"]
    assert abs(found.methods["platt"].metrics["gain"].value) < 0.01
    attainable = {part.question: part for part in found.attainable}
    # A forecast that is constant inside a fold knows next to nothing.
    assert attainable["up or down"].best == pytest.approx(attainable["up or down"].base_brier, abs=2e-3)


def test_only_labels_known_before_the_fold_teach_it() -> None:
    rng = np.random.default_rng(0)
    n = 400
    p = rng.dirichlet((2.0, 2.0, 2.0), n)
    classes = rng.integers(-1, 2, n)
    fold = np.arange(n) // 100
    start = np.arange(4) * 100
    known = np.arange(n) + 5
    one, fitted = prequential(p, classes, fold, start, known, "platt", 30)
    assert fitted.tolist() == (fold > 0).tolist()
    np.testing.assert_array_equal(one[:100], p[:100])
    for number in (1, 2, 3):
        past = np.flatnonzero(known < number * 100)
        expected = ProbabilityCalibrator("platt").fit(p[past], classes[past]).transform(p[fold == number])
        np.testing.assert_array_equal(one[fold == number], expected)
    # Labels of the future, and those not yet known, change nothing before they are known.
    other = classes.copy()
    other[195:] = -other[195:]
    np.testing.assert_array_equal(prequential(p, other, fold, start, known, "platt", 30)[0][:300], one[:300])
    assert not np.array_equal(prequential(p, other, fold, start, known, "platt", 30)[0][300:], one[300:])


def test_undefined_classes_and_missing_probabilities_teach_nothing() -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet((2.0, 2.0, 2.0), 200)
    classes = rng.integers(-1, 2, 200)
    fold, start, known = np.arange(200) // 100, np.array([0, 100]), np.arange(200)
    expected, _ = prequential(p[20:], classes[20:], fold[20:], start, known[20:], "beta", 30)
    holed, strange = p.copy(), classes.copy()
    holed[:10] = np.nan
    strange[10:20] = 9
    found, _ = prequential(holed, strange, fold, start, known, "beta", 30)
    np.testing.assert_array_equal(found[100:], expected[80:])


def test_gates_are_judged_for_what_they_are(case: Case) -> None:
    found = assess_calibration(case).models["logistic"].attainable
    by = {part.question: part for part in found}
    two = by["up or down"]
    assert two.verdict == "not attainable"
    assert two.needed == pytest.approx(np.sqrt(1 - 0.2 / two.base_brier))
    for part in found:
        assert part.best_high <= part.best <= part.base_brier
        assert part.best <= part.observed + 1e-12
    easy = assess_calibration(case, CalibrationConfig(brier_gate=0.3)).models["logistic"].attainable
    assert {part.verdict for part in easy} == {"passed by the base rate"}
    assert easy[0].needed == 0.0
    near = assess_calibration(case, CalibrationConfig(brier_gate=two.best_high + 1e-6)).models["logistic"].attainable
    assert next(part for part in near if part.question == "up or down").verdict == "attainable"


def test_a_market_that_never_moves_answers_one_question(case: Case) -> None:
    still = case.judgement.predictions.with_columns(pl.lit(0, pl.Int8).alias("class"))
    one = Case(case.frame, replace(case.judgement, predictions=still), case.instruments)
    found = assess_calibration(one)
    lines = found.models["logistic"].attainable
    assert [part.question for part in lines] == ["up or not"]
    assert lines[0].base_brier == 0.0
    json.dumps(found.summary(), allow_nan=False)


def test_excluded_rows_are_not_measured(case: Case) -> None:
    whole = assess_calibration(case).models["logistic"].rows
    problem = case.problem
    marked = np.zeros(len(problem.known), bool)
    marked[-40:] = True
    part = Case(case.frame, case.judgement, case.instruments)
    part.__dict__["problem"] = replace(problem, excluded=problem.excluded | marked)
    labelled = int((problem.labelled & ~problem.excluded)[-40:].sum())
    assert assess_calibration(part).models["logistic"].rows == whole - labelled


def test_panels_and_small_samples(
    panel_case: Case, make_tape: Callable[..., pl.DataFrame], instruments: tuple[Instrument, ...]
) -> None:
    found = assess_calibration(panel_case)
    assert found.models["logistic"].rows > 500
    few = make_tape(60)
    nothing = Case(few, judge(few, JudgeConfig(), instruments=instruments[:1]), instruments[:1])
    empty = assess_calibration(nothing)
    assert not empty.models
    assert "no model was judged" in empty.notes[0]
    much = assess_calibration(panel_case, CalibrationConfig(min_rows=10_000))
    assert not much.models
    assert "10000 earlier predictions" in much.notes[0]
    for result, one in ((found, panel_case), (empty, nothing), (much, panel_case)):
        json.dumps(result.summary(), allow_nan=False)
        page = render_page(Document("t", "s", Verdict("v", []), [], [calibration_section(result, one)]))
        assert "Calibration" in page


def test_the_page_says_what_to_do(case: Case, loud_case: Case) -> None:
    section = calibration_section(assess_calibration(loud_case), loud_case)
    notes = [item.text for item in section.items if item.kind == "note"]
    assert any("use it" in text and "more than chance" in text for text in notes)
    page = render_page(Document("t", "s", Verdict("v", []), [], [section]))
    assert "out of reach" in page or "within reach" in page
    quiet = calibration_section(assess_calibration(case), case)
    assert any(item.kind == "note" for item in quiet.items)


def test_results_repeat(case: Case) -> None:
    one, two = assess_calibration(case).summary(), assess_calibration(case).summary()
    assert json.dumps(one) == json.dumps(two)


@pytest.mark.parametrize(
    "values", [{"methods": ("plat",)}, {"methods": ()}, {"min_rows": 1}, {"bins": 1}, {"brier_gate": 1.0}]
)
def test_impossible_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        CalibrationConfig(**values)  # type: ignore[arg-type]
