"""Evidence is whole on any case, and the questions are answered from it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import msgspec
import polars as pl
import pytest

from marketprism.evaluate.case import Case
from marketprism.evaluate.checklist import Answer, answer_questions
from marketprism.evaluate.config import CostConfig, JudgeConfig
from marketprism.evaluate.controls import Control
from marketprism.evaluate.evidence import Evidence, EvidenceConfig, gather_evidence
from marketprism.evaluate.judge import judge
from marketprism.evaluate.metric import Metric
from marketprism.models.baselines import ModelConfig


@pytest.fixture(scope="module")
def evidence(case: Case) -> Evidence:
    return gather_evidence(case)


def _by_question(answers: tuple[Answer, ...]) -> dict[str, Answer]:
    return {one.question: one for one in answers}


def test_every_part_has_its_summary_and_its_configuration(case: Case, evidence: Evidence) -> None:
    summary = evidence.summary()
    assert list(summary) == [field.name for field in dataclasses.fields(Evidence)]
    assert set(EvidenceConfig().to_mapping()) - {"enabled"} == set(summary)
    text = msgspec.json.encode(summary)
    assert b"NaN" not in text
    assert msgspec.json.decode(text)["capacity"]["models"].keys() == set(case.names)


def test_progress_names_the_parts_in_order(case: Case, evidence: Evidence) -> None:
    said: list[str] = []
    again = gather_evidence(case, progress=said.append)
    assert said == list(evidence.summary())
    assert msgspec.json.encode(again.summary()) == msgspec.json.encode(evidence.summary())


def test_a_planted_signal_predicts_and_does_not_pay_for_its_costs(case: Case, evidence: Evidence) -> None:
    answers = _by_question(answer_questions(case, evidence))
    assert len(answers) == 15
    assert answers["Does the score predict out of sample?"].answer == "yes"
    assert answers["Does it earn more than it costs?"].answer == "no"
    assert answers["Is the Sharpe ratio more than the luckiest of all trials on these data?"].answer == "no"
    assert answers["Can more than the smallest size be traded before impact eats it?"].answer in ("no", "unknown")
    graves = [one for one in answers.values() if one.grave]
    assert [one.answer for one in graves] == ["yes", "yes"]


def test_without_costs_a_strong_signal_earns(case: Case, make_tape: Callable[..., pl.DataFrame]) -> None:
    frame = make_tape(ic=0.5)
    config = JudgeConfig(
        labels=case.judgement.config.labels,
        models={"logistic": ModelConfig()},
        costs=CostConfig(fee_bps=0.0, half_spread_bps=0.0, latency_ms=0.0),
        replications=200,
        control_repeats=3,
    )
    free = Case(frame, judge(frame, config, instruments=case.instruments), case.instruments)
    answers = _by_question(answer_questions(free, gather_evidence(free)))
    for question in (
        "Does it earn more than it costs?",
        "Does the best model beat doing nothing, counting that it was picked?",
        "Is the Sharpe ratio more than the luckiest of all trials on these data?",
        "Does it work in most periods?",
    ):
        assert answers[question].answer == "yes", answers[question]


def test_a_failed_control_is_grave(case: Case, evidence: Evidence) -> None:
    nan = Metric(value=math.nan, low=math.nan, high=math.nan, n=0)
    broken = Control(name="shuffled_labels", passed=False, reason="IC .3", metric=nan, named=())
    judgement = dataclasses.replace(case.judgement, controls=(broken,), suspects={"spy": 0.9})
    first, second, *_ = answer_questions(Case(case.frame, judgement, case.instruments), evidence)
    assert (first.answer, first.grave, first.found) == ("no", True, "failed: shuffled labels")
    assert (second.answer, second.grave, second.found) == ("no", True, "too good to be honest: spy")


def test_evidence_of_a_panel(panel_case: Case) -> None:
    found = gather_evidence(panel_case)
    assert len(answer_questions(panel_case, found)) == 15
    assert set(found.slices.table["dimension"]) >= {"instrument"}


def test_too_few_rows_leave_notes_and_no_answers(case: Case) -> None:
    frame = case.frame.head(60)
    empty = Case(frame, judge(frame, case.judgement.config, instruments=case.instruments), case.instruments)
    found = gather_evidence(empty)
    assert answer_questions(empty, found) == ()
    assert msgspec.json.encode(found.summary())
    assert found.significance.notes
    assert found.capacity.notes
