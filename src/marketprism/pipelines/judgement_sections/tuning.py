"""The parameters that models chose for themselves, fold by fold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marketprism.evaluate.case import Case
from marketprism.pipelines.texts import plural
from marketprism.report.document import Item, Note, Section, Table

__all__ = ["tuning_section"]

_INTRO = (
    "A model may choose its own parameters, but only on the rows that it trains on: inside each fold, on inner folds "
    "cut by time and purged like the outer ones. No tested row can influence the choice. It would be a warning if the "
    "choice swung wildly from fold to fold: the data then do not determine it."
)


def tuning_section(case: Case) -> Section:
    """Lay out what each searching model chose in each fold and on all rows."""
    items: list[Item] = []
    for name, folds in case.judgement.folds_by_model.items():
        final = case.judgement.fitted[name].parameters
        if final or any(fold.parameters for fold in folds):
            items.append(_table(name, [fold.parameters for fold in folds], final))
    if not items:
        items = [Note("No model searched for parameters: they were fixed before the data were seen.", "plain")]
    return Section("tuning", "Chosen parameters", _INTRO, items)


def _table(name: str, folds: list[Mapping[str, Any]], final: Mapping[str, Any]) -> Table:
    keys = sorted({key for one in (*folds, final) for key in one})
    rows = [
        *([f"fold {number}", *(_cell(one.get(key)) for key in keys)] for number, one in enumerate(folds, 1)),
        ["all rows, exported", *(_cell(final.get(key)) for key in keys)],
    ]
    return Table(
        ["trained on", *(key.rpartition("__")[2] for key in keys)],
        rows,
        f"Parameters of {name}",
        f"Chosen by log-loss on inner folds, anew in each of {plural(len(folds), 'fold')}. A dash: too few "
        "rows to choose.",
        text_columns=["trained on"],
    )


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
