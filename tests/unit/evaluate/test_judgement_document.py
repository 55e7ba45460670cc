"""The judgement page says what the answers say."""

from __future__ import annotations

import re

import pytest

from marketprism.evaluate.case import Case
from marketprism.evaluate.checklist import Answer, answer_questions
from marketprism.evaluate.evidence import Evidence, gather_evidence
from marketprism.evaluate.judge import judge
from marketprism.pipelines.judgement_document import judgement_document, judgement_verdict
from marketprism.report.page import render_page


@pytest.fixture(scope="module")
def evidence(case: Case) -> Evidence:
    return gather_evidence(case)


def _answers(*words: str, grave: int = 2) -> list[Answer]:
    return [Answer(f"q{i}", word, "", grave=i < grave) for i, word in enumerate(words)]  # type: ignore[arg-type]


def test_verdicts() -> None:
    good = ["yes"] * 8
    assert judgement_verdict(_answers("no", *good)) == (
        "Do not believe these numbers: the machinery or the data leak",
        "bad",
    )
    assert judgement_verdict(_answers(*good, "unknown")) == ("Evidence of a tradable signal", "good")
    assert judgement_verdict(_answers(*good, "no", "no"))[0] == "Evidence of a tradable signal, with 2 weak points"
    assert judgement_verdict(_answers("yes", "yes", "yes", "yes", "yes", "no", "no", "no"))[1] == "warn"
    paid = judgement_verdict(_answers(*["yes"] * 5, *["no"] * 3))[0]
    assert paid == "It predicts, but nobody has shown that it earns"
    assert "luck is not ruled out" in judgement_verdict(_answers("yes", "yes", "yes", "yes", *["no"] * 4))[0]
    assert judgement_verdict(_answers("yes", "yes", "unknown", "unknown", *["no"] * 4))[0].startswith("Too few")
    assert judgement_verdict(_answers("yes", "yes", "no", "no", *["no"] * 4))[0] == "No evidence of a tradable signal"


def test_the_page_holds_every_section_and_every_answer(case: Case, evidence: Evidence) -> None:
    hashes = {"data": "d" * 8, "config": "c" * 8}
    document = judgement_document(case, evidence, title="BTC <x>", subtitle="s", hashes=hashes)
    slugs = [section.slug for section in document.sections]
    assert len(slugs) == len(set(slugs)) >= 17
    page = render_page(document)
    assert "BTC &lt;x&gt;" in page
    assert "dddddddd" in page
    for answer in answer_questions(case, evidence):
        assert answer.question in page
    assert not re.search(r">\s*(nan|None|inf)\s*<", page)
    assert page == render_page(judgement_document(case, evidence, title="BTC <x>", subtitle="s", hashes=hashes))


def test_a_case_without_models_gets_a_page_that_says_so(case: Case) -> None:
    frame = case.frame.head(60)
    empty = Case(frame, judge(frame, case.judgement.config, instruments=case.instruments), case.instruments)
    document = judgement_document(empty, gather_evidence(empty), title="t", subtitle="s")
    assert document.verdict.headline == "Too little to judge"
    assert not document.cards
    assert "few samples" in render_page(document)


def test_a_panel_gets_a_page(panel_case: Case) -> None:
    document = judgement_document(panel_case, gather_evidence(panel_case), title="t", subtitle="s")
    assert "ETH-USDT" in render_page(document)
