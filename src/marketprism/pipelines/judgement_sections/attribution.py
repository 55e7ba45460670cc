"""What the models listen to, whether it matters out of sample, and how much of it a few inputs explain."""

from __future__ import annotations

import numpy as np

from marketprism.evaluate.attribution import Attribution, ModelAttribution
from marketprism.evaluate.case import Case
from marketprism.evaluate.permutation import PermutedInput
from marketprism.pipelines.texts import horizon_text, interval, number, plural, share
from marketprism.report.document import Figure, Item, Note, Section, Table
from marketprism.report.figures import confidence as draw
from marketprism.report.figures.judgement import interval_bars

__all__ = ["attribution_section"]

_GATE = 0.6
_SHOWN = 12


def attribution_section(result: Attribution, case: Case) -> Section:
    """Lay out SHAP values, permutation importance, interactions and explainability coverage."""
    intro = (
        f"Which inputs move the forecast of the next {horizon_text(case.judgement.primary)}, which way, and does "
        "taking one away cost anything out of sample? It would be bad if the model leaned on inputs whose loss costs "
        f"nothing, or if its {plural(result.config.top, 'strongest input')} explained little of what it says."
    )
    items: list[Item] = [Note(f"{note[:1].upper()}{note[1:]}.", "warn") for note in result.notes]
    items += [_answer(name, one, result.config.top) for name, one in result.models.items()]
    for name, one in result.models.items():
        items += _shap_figure(name, one) + _permutation_figure(name, one)
    for name, one in result.models.items():
        items += _inputs(name, one) + _interactions(name, one)
        items += [Note(f"{name}: {note}.") for note in one.notes]
    return Section("attribution", "What the models listen to", intro, items)


def _answer(name: str, one: ModelAttribution, top: int) -> Note:
    values = ", ".join(f"{share(value, 0)} with {plural(count, 'input')}" for count, value in one.coverage.items())
    said = f"{name}: explainability coverage {values}"
    value = one.coverage.get(top, float("nan"))
    if not np.isfinite(value):
        return Note(f"{name}: explainability coverage is not defined (constant forecasts, or fewer than 50).", "warn")
    costly = [part for part in one.permuted if part.loss.star]
    found = (
        f"; losing {costly[0].inputs[0]} costs most IC" if costly else "; no single input's loss costs IC for certain"
    )
    return Note(f"{said}{found}.", "good" if value >= _GATE else "warn")


def _shap_figure(name: str, one: ModelAttribution) -> list[Item]:
    names = [text for text in one.inputs["input"].to_list() if one.points["input"].eq(text).any()][:_SHOWN]
    strongest = set(one.inputs.filter(one.inputs["mean_abs"] > 0)["input"])
    names = [text for text in names if text in strongest]
    if not names:
        return []
    points = {}
    for text in names:
        part = one.points.filter(one.points["input"] == text)
        points[text] = (part["value"].to_numpy(), part["shap"].to_numpy())
    return [
        Figure(
            draw.attribution_points(names, points, f"SHAP value ({one.explains})"),
            f"What moves {name}",
            "One dot a row: how far the input moved that forecast, to the right towards up. Red on the right: high "
            "values forecast a rise.",
        )
    ]


def _permutation_figure(name: str, one: ModelAttribution) -> list[Item]:
    shown = [part for part in one.permuted if np.isfinite(part.loss.low)][:_SHOWN]
    if not shown:
        return []
    value, low, high = (np.array([getattr(part.loss, key) for part in shown]) for key in ("value", "low", "high"))
    return [
        Figure(
            interval_bars([_group(part) for part in shown], value, low, high, "out-of-sample IC lost"),
            f"What {name} cannot do without",
            "IC lost when the input (with its near duplicates, counted behind it) is shuffled in the test rows. Grey "
            "crosses zero; red: the model is better off without it. Not corrected for how many were tried.",
        )
    ]


def _group(part: PermutedInput) -> str:
    return part.inputs[0] + (f" +{len(part.inputs) - 1}" if len(part.inputs) > 1 else "")


def _inputs(name: str, one: ModelAttribution) -> list[Item]:
    losses = {member: part.loss for part in one.permuted for member in part.inputs}
    rows = []
    for row in one.inputs.filter(one.inputs["mean_abs"] > 0).head(3 * _SHOWN).iter_rows(named=True):
        loss = losses.get(row["input"])
        rows.append(
            [
                row["input"],
                number(row["mean_abs"], 4),
                share(row["share"]),
                {"up": "rises: up", "down": "rises: down", "mixed": "no clear way"}.get(row["direction"], "–"),
                number(row["association"], 2),
                "" if row["group"] == row["input"] else row["group"],
                "not shuffled" if loss is None else interval(loss, 4) + (" ★" if loss.star else ""),
            ]
        )
    if not rows:
        return []
    how = {
        "linear": "exact for a linear model, inputs taken as independent",
        "tree": "exact for trees, along the paths of the training rows",
        "sampled": "sampled, because the kind of model is unknown",
    }[one.kind]
    return [
        Table(
            ["input", "mean |SHAP|", "share", "when it", "rank correlation", "duplicate of", "IC lost without it"],
            rows,
            f"Inputs of {name}",
            f"SHAP values of {one.rows:,} rows in {one.explains}: {how}. They say what the model does; only the last "
            "column, out of sample and for near duplicates together, says whether that is worth anything.",
            text_columns=["input", "when it", "duplicate of"],
            shown=_SHOWN,
        )
    ]


def _interactions(name: str, one: ModelAttribution) -> list[Item]:
    rows = [
        [row["left"], row["right"], number(row["strength"], 4), share(row["share"], 2)]
        for row in one.interactions.iter_rows(named=True)
    ]
    if not rows:
        return []
    return [
        Table(
            ["input", "with", "mean |interaction|", "share of all effects"],
            rows,
            f"Interactions in {name}",
            f"What two inputs do together beyond their sum, on {one.interaction_rows:,} of {one.rows:,} rows (the cost "
            "of rows times leaves is capped).",
            text_columns=["input", "with"],
            shown=8,
            wide=True,
        )
    ]
