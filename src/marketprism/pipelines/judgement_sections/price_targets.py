"""Is it skill or bounce: the same forecasts against mid, micro-price and trade price."""

from __future__ import annotations

import math

from marketprism.evaluate.case import Case
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.price_targets import PriceTargets
from marketprism.pipelines.texts import horizon_text, interval, number
from marketprism.report.document import Figure, Item, Note, Section, Table
from marketprism.report.figures import economics as draw

__all__ = ["price_targets_section"]

_LABELS = {"mid": "mid", "micro": "micro-price", "trade": "last trade"}


def price_targets_section(result: PriceTargets, case: Case) -> Section:
    """Lay out ICs on every target, and how much each price bounces."""
    intro = (
        "The last trade jumps between bid and ask while nothing happens, and what predicts that jump earns nothing: it "
        "would have to buy at the bid and sell at the ask. So the same scores are set against three prices: the mid, "
        "the micro-price (the mid leaning to the thinner side of the book) and the last trade, over the next "
        f"{horizon_text(case.judgement.primary)}. It would be bad if the skill showed only on trade prices."
    )
    items: list[Item] = [*_answer(result, case)]
    items += [Note(f"{note[:1].upper()}{note[1:]}.", "warn") for note in result.notes]
    shown = [
        skill for skill in result.skills if any(math.isfinite(metric.value) for metric in skill.information.values())
    ]
    if shown and len(result.targets) > 1:
        found = {
            target: [
                (skill.information[target].value, skill.information[target].low, skill.information[target].high)
                for skill in shown
            ]
            for target in result.targets
        }
        names = [skill.name + (" (model)" if skill.kind == "model" else "") for skill in shown]
        items.append(
            Figure(
                draw.price_targets(names, found, _LABELS),
                "One score, three prices",
                "Information coefficient with interval. Dots together: skill about the price itself. A red dot far out "
                "alone: bounce.",
                wide=True,
            )
        )
    items += [_skills(result), _moves(result)]
    return Section("price-targets", "Skill or bounce", intro, items)


def _answer(result: PriceTargets, case: Case) -> list[Item]:
    models = {skill.name: skill for skill in result.skills if skill.kind == "model"}
    if not models or "trade" not in result.targets:
        return []
    skill = models[case.best]
    mid, trade = skill.information["mid"], skill.information["trade"]
    if not (math.isfinite(mid.value) and math.isfinite(trade.value)):
        return [Note("Too few rows to tell skill from bounce.", "warn")]
    text = f"{skill.name} has an IC of {interval(mid)} on the mid and {interval(trade)} on the last trade: "
    if skill.bounce:
        return [Note(f"{text}part of what it predicts is bounce.", "bad")]
    if not mid.significant:
        return [Note(f"{text}no skill on the mid beyond chance, and no sign of bounce.", "warn")]
    return [Note(f"{text}its skill is not bounce.", "good")]


def _skills(result: PriceTargets) -> Table:
    def cell(metric: Metric) -> str:
        return interval(metric) + (" ★" if metric.significant else "")

    rows = [
        [
            f"{skill.name} (model)" if skill.kind == "model" else skill.name,
            *(cell(skill.information[target]) for target in result.targets),
            interval(skill.excess),
            "bounce" if skill.bounce else "",
        ]
        for skill in result.skills
    ]
    return Table(
        ["name", *(_LABELS[target] for target in result.targets), "trade over mid", "verdict"],
        rows,
        "IC by target price",
        "Models out of sample; factors over the whole sample: those strongest on the mid, then those that the last "
        "trade flatters most (picked for it, so expect some by chance). ★ beyond chance. The difference is resampled "
        "in pairs.",
        text_columns=["name", "verdict"],
        wide=True,
    )


def _moves(result: PriceTargets) -> Table:
    rows = [
        [
            _LABELS[target],
            number(found["rms_bps"].value, 2),
            interval(found["autocorrelation"]) + (" ★" if found["autocorrelation"].significant else ""),
            number(found["bounce_spread_bps"].value, 2),
            f"{found['autocorrelation'].n:,}",
        ]
        for target, found in result.moves.items()
    ]
    return Table(
        ["price", "usual move (bps)", "correlation with the next move", "spread it implies (bps)", "moves"],
        rows,
        "How each price moves from bucket to bucket",
        "A clearly negative correlation of neighbouring moves is bounce; the spread that would make it is Roll's "
        "estimate, 0 where moves do not turn back.",
        text_columns=["price"],
        wide=True,
    )
