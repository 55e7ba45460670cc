"""What a sceptic asks of a signal, and what the evidence answers: a list of yes, no and not measurable."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from marketprism.evaluate.case import Case
from marketprism.evaluate.evidence import Evidence
from marketprism.evaluate.metric import Metric

__all__ = ["Answer", "answer_questions"]

_ENOUGH = 0.95


@dataclass(frozen=True)
class Answer:
    """One question and its answer.

    Attributes
    ----------
    question : str
        Asked so that "yes" is what one hopes for.
    answer : {"yes", "no", "unknown"}
        ``unknown`` where the samples do not tell.
    found : str
        The numbers behind the answer.
    grave : bool
        A "no" means that the other answers cannot be believed.
    """

    question: str
    answer: Literal["yes", "no", "unknown"]
    found: str
    grave: bool = False


def answer_questions(case: Case, evidence: Evidence) -> tuple[Answer, ...]:
    """Answer every question for the best model of a case at its primary horizon.

    Returns
    -------
    tuple of Answer
        Empty where no model was judged.
    """
    if not case.names:
        return ()
    asked: tuple[Callable[[Case, Evidence], Answer], ...] = (
        _controls,
        _suspects,
        _information,
        _after_latency,
        _many_models,
        _net,
        _deflated,
        _better_than_nothing,
        _steady,
        _paths,
        _drift,
        _robust,
        _bounce,
        _probabilities,
        _capacity,
    )
    return tuple(question(case, evidence) for question in asked)


def _metrics(case: Case) -> dict[str, Metric]:
    return case.judgement.models[case.best].horizons[case.judgement.primary].metrics


def _number(value: float, digits: int = 3) -> str:
    return f"{value:,.{digits}f}" if math.isfinite(value) else "unknown"


def _interval(metric: Metric, digits: int = 3) -> str:
    return f"{_number(metric.value, digits)} [{_number(metric.low, digits)}, {_number(metric.high, digits)}]"


def _yes(holds: bool, known: bool = True) -> Literal["yes", "no", "unknown"]:
    return ("yes" if holds else "no") if known else "unknown"


def _star(question: str, metric: Metric, digits: int, unit: str = "") -> Answer:
    found = f"{_interval(metric, digits)}{unit}, n = {metric.n:,}"
    return Answer(question, _yes(metric.star, metric.enough and math.isfinite(metric.low)), found)


def _controls(case: Case, evidence: Evidence) -> Answer:
    del evidence
    controls = case.judgement.controls
    failed = [control.name.replace("_", " ") for control in controls if not control.passed]
    found = f"failed: {', '.join(failed)}" if failed else f"{len(controls)} of {len(controls)} passed"
    question = "Do shuffled labels and noise find nothing, and is a planted leak caught?"
    return Answer(question, _yes(not failed, bool(controls)), found, grave=True)


def _suspects(case: Case, evidence: Evidence) -> Answer:
    del evidence
    named = list(case.judgement.suspects)
    found = f"too good to be honest: {', '.join(named[:3])}" if named else f"{len(case.judgement.factors)} looked at"
    return Answer("Are all factors below the IC that only a leak reaches?", _yes(not named), found, grave=True)


def _information(case: Case, evidence: Evidence) -> Answer:
    del evidence
    return _star("Does the score predict out of sample?", _metrics(case)["ic"], 3)


def _after_latency(case: Case, evidence: Evidence) -> Answer:
    del evidence
    return _star("Does it still predict after latency?", _metrics(case)["ic_after_latency"], 3)


def _many_models(case: Case, evidence: Evidence) -> Answer:
    rows = evidence.significance.information.filter(
        (evidence.significance.information["model"] == case.best)
        & (evidence.significance.information["horizon"] == case.judgement.primary)
    )
    value = rows["holm"][0] if rows.height else None
    tested = evidence.significance.information.height
    question = "Does the IC survive that several models and horizons were tried?"
    if value is None or not _metrics(case)["ic"].enough:
        return Answer(question, "unknown", "too few samples")
    positive = _metrics(case)["ic"].value > 0
    alpha = evidence.significance.config.alpha
    return Answer(question, _yes(positive and value <= alpha), f"p = {value:.3g} after Holm over {tested}")


def _net(case: Case, evidence: Evidence) -> Answer:
    del evidence
    return _star("Does it earn more than it costs?", _metrics(case)["net_pnl_bps"], 1, " bps")


def _deflated(case: Case, evidence: Evidence) -> Answer:
    record = next(one for one in evidence.significance.records if one.model == case.best)
    trials = evidence.significance.trials
    question = "Is the Sharpe ratio more than the luckiest of all trials on these data?"
    found = f"deflated Sharpe probability {_number(record.dsr)}, {trials.count} trials"
    return Answer(question, _yes(record.dsr >= _ENOUGH, math.isfinite(record.dsr)), found)


def _better_than_nothing(case: Case, evidence: Evidence) -> Answer:
    del case
    test = evidence.significance.against_nothing
    question = "Does the best model beat doing nothing, counting that it was picked?"
    return Answer(
        question,
        _yes(test.spa <= evidence.significance.config.alpha and test.advantage_bps > 0, math.isfinite(test.spa)),
        f"SPA p = {_number(test.spa)}" if math.isfinite(test.spa) else test.note,
    )


def _steady(case: Case, evidence: Evidence) -> Answer:
    del case
    part = evidence.stability
    count = part.periods.height
    question = "Does it work in most periods?"
    if not math.isfinite(part.positive_share) or count < 3:
        return Answer(question, "unknown", "too few periods")
    found = f"{part.positive_share:.0%} of {count} {part.period_name}s, by luck p = {_number(part.positive_p)}"
    return Answer(question, _yes(part.positive_share > 0.5 and part.positive_p <= 0.05), found)


def _paths(case: Case, evidence: Evidence) -> Answer:
    del case
    part = evidence.stability.paths
    question = "Does every way to split the history into training and test agree?"
    if part is None:
        return Answer(question, "unknown", "too few samples")
    found = f"{part.negative_share:.0%} of {part.paths.height} paths without skill ({part.model})"
    return Answer(question, _yes(part.negative_share == 0), found)


def _drift(case: Case, evidence: Evidence) -> Answer:
    del case
    part = evidence.stability.drift
    question = "Are the score and its inputs distributed in the end as in the beginning?"
    if part.is_empty():
        return Answer(question, "unknown", "too few samples")
    drifted = part.filter(part["p_holm"] <= 0.05)["name"].unique(maintain_order=True).to_list()
    looked = part["name"].n_unique()
    found = f"{len(drifted)} of {looked} drifted" + (f": {', '.join(drifted[:3])}" if drifted else "")
    return Answer(question, _yes(not drifted), found)


def _robust(case: Case, evidence: Evidence) -> Answer:
    part = evidence.counterfactual
    question = "Does it survive retraining without the extremes and with disturbed inputs?"
    known = [row for row in part.rows if math.isfinite(row.ic.value) and row.original.enough]
    if not known:
        return Answer(question, "unknown", "; ".join(part.notes[:1]) or "too few samples")
    lost = [row.text for row in known if row.broken or row.ic.value <= 0]
    found = f"{len(known) - len(lost)} of {len(known)} retrainings keep it"
    others = [name for name in dict.fromkeys(row.model for row in known) if name != case.best]
    found += f" ({', '.join(others)})" if others else ""
    return Answer(question, _yes(not lost), found + (f"; lost: {', '.join(lost[:3])}" if lost else ""))


def _bounce(case: Case, evidence: Evidence) -> Answer:
    skill = next((one for one in evidence.targets.skills if one.name == case.best and one.kind == "model"), None)
    question = "Is it the mid that it predicts, and not the bounce of trade prices?"
    if skill is None or "mid" not in skill.information:
        return Answer(question, "unknown", "; ".join(evidence.targets.notes[:1]) or "no targets")
    if "trade" not in skill.information:
        return Answer(question, "unknown", "no trades in the data")
    mid, trade = (_number(skill.information[name].value) for name in ("mid", "trade"))
    found = f"IC {mid} on the mid, {trade} on trades"
    return Answer(question, _yes(not skill.bounce), found)


def _probabilities(case: Case, evidence: Evidence) -> Answer:
    model = evidence.calibration.models.get(case.best)
    question = "Are its probabilities what they say?"
    test = None if model is None else model.methods["raw"].test
    if test is None or not math.isfinite(test.p_value):
        return Answer(question, "unknown", "too few samples")
    return Answer(question, _yes(test.p_value > 0.05), f"p = {_number(test.p_value)} that perfect ones look as bad")


def _capacity(case: Case, evidence: Evidence) -> Answer:
    limits = evidence.capacity.limits.get(case.best, {})
    zero = limits.get("zero_notional")
    question = "Can more than the smallest size be traded before impact eats it?"
    if zero is None or math.isnan(zero.value):
        return Answer(question, "unknown", "; ".join(evidence.capacity.notes[:1]) or "not known")
    found = "never profitable" if zero.value == 0 else f"net P&L is zero at {zero.value:,.0f} a trade"
    return Answer(question, _yes(zero.value > 0), found)
