"""The model trained on another past, or on worse inputs: what changes."""

from __future__ import annotations

import numpy as np

from marketprism.evaluate.case import Case
from marketprism.evaluate.counterfactual import Counterfactual, Counterfactuals
from marketprism.evaluate.metric import Metric
from marketprism.pipelines.texts import interval, number
from marketprism.report.document import Figure, Item, Note, Section, Table
from marketprism.report.figures import judgement as draw

__all__ = ["counterfactual_section"]

_INTRO = (
    "The model is trained again, on a past without its wildest stretches or without a third of it, and on inputs that "
    "are late, noisy, cut off or missing, and tested on the same rows as before. A sturdy signal hardly notices. It "
    "would be bad if one of these changes took most of the information coefficient (IC, the correlation of score and "
    "return) away."
)


def counterfactual_section(result: Counterfactuals, case: Case) -> Section:
    """Lay out the change of IC and of net profit under every change of the training."""
    items: list[Item] = [Note(f"{note[:1].upper()}{note[1:]}.", "warn") for note in result.notes]
    for model in dict.fromkeys(row.model for row in result.rows):
        rows = [row for row in result.rows if row.model == model]
        items += [_answer(model, rows), _figure(model, rows), _table(model, rows, len(case.judgement.folds))]
    return Section("counterfactual", "Trained again under other conditions", _INTRO, items)


def _answer(model: str, rows: list[Counterfactual]) -> Note:
    broken = [row.text for row in rows if row.broken]
    if broken:
        return Note(f"{model} loses more than half of its IC with {'; with '.join(broken)}.", "bad")
    if not rows[0].original.significant:
        return Note(f"The IC of {model} is not clearly different from 0, so there is little to lose.", "warn")
    return Note(f"No change takes more than half of the IC of {model} away for certain.", "good")


def _figure(model: str, rows: list[Counterfactual]) -> Figure:
    names = [row.text for row in rows]
    value, low, high = (
        np.array([getattr(row.change, part) for row in rows], np.float64) for part in ("value", "low", "high")
    )
    return Figure(
        draw.interval_bars(names, value, low, high, "change of the IC"),
        f"Change of the IC of {model}",
        "Dot: IC of the changed model less that of the original, on the same rows; bar: interval of the difference. "
        "Left of zero is worse; grey bars may be chance.",
    )


def _table(model: str, rows: list[Counterfactual], folds: int) -> Table:
    def mark(metric: Metric) -> str:
        return interval(metric) + (" ✗" if metric.significant and metric.high < 0 else "")

    cells = [
        [
            row.text,
            f"{row.folds} of {folds}",
            number(row.original.value),
            number(row.ic.value),
            mark(row.change),
            number(row.net.value, 1),
            interval(row.net_change, 1),
        ]
        for row in rows
    ]
    return Table(
        ["change", "folds", "IC before", "IC after", "difference", "net P&L after (bps)", "difference (bps)"],
        cells,
        f"{model.capitalize()}, trained again",
        "Compared on the folds where both could be trained; ✗ the whole interval is worse. Which stretches "
        "were wild, and which inputs strong, is hindsight: these are stress tests, not rules to trade by.",
        text_columns=["change"],
        wide=True,
    )
