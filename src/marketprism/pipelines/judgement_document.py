"""The judgement page: all that a risk committee asks of a signal, from the answer down to the details."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marketprism.core.timebase import format_ns
from marketprism.evaluate.case import Case
from marketprism.evaluate.checklist import Answer, answer_questions
from marketprism.evaluate.evidence import Evidence
from marketprism.pipelines.judgement_sections.attribution import attribution_section
from marketprism.pipelines.judgement_sections.calibration import calibration_section
from marketprism.pipelines.judgement_sections.capacity import capacity_section
from marketprism.pipelines.judgement_sections.conformal import conformal_section
from marketprism.pipelines.judgement_sections.counterfactual import counterfactual_section
from marketprism.pipelines.judgement_sections.decay import decay_section
from marketprism.pipelines.judgement_sections.events import events_section
from marketprism.pipelines.judgement_sections.exclusions import exclusions_section
from marketprism.pipelines.judgement_sections.price_targets import price_targets_section
from marketprism.pipelines.judgement_sections.significance import significance_section
from marketprism.pipelines.judgement_sections.slices import slices_section
from marketprism.pipelines.judgement_sections.stability import stability_section
from marketprism.pipelines.judgement_sections.trend_states import trend_states_section
from marketprism.pipelines.judgement_sections.tuning import tuning_section
from marketprism.pipelines.sections_judgement import controls_section, models_section
from marketprism.pipelines.texts import horizon_text, interval, number
from marketprism.report.document import Card, Document, Facts, Item, Note, Section, Table, Verdict

__all__ = ["judgement_document", "judgement_verdict"]

_WORD = {"yes": "yes ✓", "no": "NO ✗", "unknown": "not measurable"}
_UNPAID = "It predicts, but nobody has shown that it earns"
_MUST = 8
"""So many of the first questions must be answered with yes for the page to speak of evidence."""


def judgement_document(
    case: Case, evidence: Evidence, *, title: str, subtitle: str, hashes: Mapping[str, str] | None = None
) -> Document:
    """Lay out the judgement page of a case.

    Parameters
    ----------
    title, subtitle : str
        What was judged, and on which data.
    hashes : mapping of str to str, optional
        Of data, configuration, factors and code.
    """
    answers = answer_questions(case, evidence)
    sections = [
        _checklist_section(case, answers),
        significance_section(evidence.significance, case),
        models_section(case.judgement),
        controls_section(case.judgement),
        capacity_section(evidence.capacity, case),
        decay_section(evidence.decay, case),
        stability_section(evidence.stability, case),
        slices_section(evidence.slices, case),
        counterfactual_section(evidence.counterfactual, case),
        calibration_section(evidence.calibration, case),
        conformal_section(evidence.conformal, case),
        attribution_section(evidence.attribution, case),
        price_targets_section(evidence.targets, case),
        events_section(evidence.events, case),
        exclusions_section(case),
        trend_states_section(evidence.trend_states, case),
        *(
            [tuning_section(case)]
            if any(model.tuning is not None for model in case.judgement.config.models.values())
            else []
        ),
        _assumptions_section(case, hashes or {}),
    ]
    headline, tone = judgement_verdict(answers)
    return Document(
        title=f"Judgement of {title}",
        subtitle=subtitle,
        verdict=Verdict(headline, _reasons(case, answers), tone),
        cards=_cards(case, evidence),
        sections=sections,
        footer="Made by MarketPrism. Out of sample unless it says so; past results promise nothing.",
    )


def judgement_verdict(answers: Sequence[Answer]) -> tuple[str, Any]:
    """Return the headline of a list of answers, and its tone.

    Examples
    --------
    >>> judgement_verdict([])
    ('Too little to judge', 'warn')
    """
    if not answers:
        return "Too little to judge", "warn"
    if any(one.grave and one.answer == "no" for one in answers):
        return "Do not believe these numbers: the machinery or the data leak", "bad"
    first = [one.answer for one in answers[:_MUST]]
    if all(answer == "yes" for answer in first):
        weak = sum(one.answer == "no" for one in answers)
        return ("Evidence of a tradable signal" + (f", with {weak} weak points" if weak else "")), "good"
    if answers[2].answer == "yes" and answers[3].answer == "yes":
        lucky = answers[4].answer != "yes"
        return ("It may predict, but luck is not ruled out" if lucky else _UNPAID), "warn"
    if answers[2].answer == "unknown":
        return "Too few samples to call anything a signal", "warn"
    return "No evidence of a tradable signal", "warn"


def _reasons(case: Case, answers: Sequence[Answer]) -> list[str]:
    if not answers:
        return list(case.judgement.notes) or ["no model could be trained"]
    count = {kind: sum(one.answer == kind for one in answers) for kind in ("yes", "no", "unknown")}
    total = (
        f"Model {case.best}, next {horizon_text(case.judgement.primary)}: of {len(answers)} questions {count['yes']} "
        f"are answered with yes, {count['no']} with no; {count['unknown']} cannot be answered from these data."
    )
    lines = [total]
    lines += [f"{one.question} No: {one.found}." for one in answers if one.answer == "no"]
    return lines + list(case.judgement.notes)


def _cards(case: Case, evidence: Evidence) -> list[Card]:
    if not case.names:
        return []
    metrics = case.judgement.models[case.best].horizons[case.judgement.primary].metrics
    record = next(one for one in evidence.significance.records if one.model == case.best)
    decay = evidence.decay.clock.get(case.best)
    cards = [
        Card("Information coefficient", number(metrics["ic"].value), f"{interval(metrics['ic'])}, {case.best}"),
        Card("Net P&L (bps)", number(metrics["net_pnl_bps"].value, 1), interval(metrics["net_pnl_bps"], 1)),
        Card(
            "Deflated Sharpe",
            number(record.dsr),
            f"probability of skill after {evidence.significance.trials.count} trials",
        ),
        Card("Max drawdown", number(100 * record.metrics["max_drawdown"].value, 2) + " %", "of notional, net"),
        Card("Periods with skill", number(100 * evidence.stability.positive_share, 0) + " %", "out of sample"),
    ]
    if decay is not None:
        cards.append(Card("Half-life", _half_life(decay.half_life.value), "of the IC against delay"))
    return cards


def _half_life(milliseconds: float) -> str:
    if milliseconds == float("inf"):
        return "no fall"
    return number(milliseconds / 1e3, 1) + " s" if milliseconds >= 1000 else number(milliseconds, 0) + " ms"


def _checklist_section(case: Case, answers: Sequence[Answer]) -> Section:
    intro = (
        "What a sceptic asks, each answered from the sections below for the best model. A no to one of the first two "
        "questions makes all the others worthless; not measurable means that the sample is too short to tell."
    )
    if not answers:
        notes = [Note(note, "warn") for note in case.judgement.notes] or [Note("No model could be trained.", "warn")]
        return Section("questions", "Fifteen questions", intro, notes)
    rows = [[one.question, _WORD[one.answer], one.found] for one in answers]
    table = Table(["question", "answer", "found"], rows, text_columns=["question", "answer", "found"], wide=True)
    return Section("questions", "Fifteen questions", intro, [table])


def _assumptions_section(case: Case, hashes: Mapping[str, str]) -> Section:
    judgement = case.judgement
    spans = [f"{format_ns(fold.test_start)[:19]} to {format_ns(fold.test_end)[:19]}" for fold in judgement.folds]
    facts = [
        (
            "instruments",
            ", ".join(item.key for item in case.instruments[:4]) + (" ..." if len(case.instruments) > 4 else ""),
        ),
        ("buckets", f"{case.frame.height:,}"),
        ("factors", f"{len(judgement.factors):,}"),
        ("labels", f"{judgement.labels.scheme}, {', '.join(horizon_text(h.name) for h in judgement.labels.horizons)}"),
        (
            "folds",
            f"{len(judgement.folds)}"
            + (f", tested {spans[0].split(' to ')[0]} to {spans[-1].split(' to ')[1]}" if spans else ""),
        ),
        ("seed", str(judgement.config.seed)),
    ]
    items: list[Item] = [
        Table(["assumption"], [[line] for line in judgement.assumptions], text_columns=["assumption"]),
        Facts(facts, "What was judged"),
    ]
    if hashes:
        items.append(Facts(list(hashes.items()), "Hashes"))
    return Section("assumptions", "Assumptions", "What every number above rests on.", items)
