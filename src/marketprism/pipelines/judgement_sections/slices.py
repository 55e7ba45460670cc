"""Where the signal works: by hour, session, instrument and regime."""

from __future__ import annotations

from typing import Any

from marketprism.evaluate.case import Case
from marketprism.evaluate.slicing import Slices
from marketprism.pipelines.texts import chance, horizon_text, number, plural, share
from marketprism.report.document import Figure, Item, Note, Section, Table
from marketprism.report.figures import slices as draw

__all__ = ["slices_section"]

_SIGNIFICANT = 0.05
_INTRO = (
    "Does the signal work everywhere, or only at some hours, on one instrument or in one state of the market? The "
    "rows are split by what was known with each of them, and the best model's information coefficient (IC: "
    "correlation of score and return) and net P&L are measured in every part. Bad would be an IC that lives in one "
    "slice only or turns negative in another; each slice is also one more chance to be lucky, so p-values are "
    "adjusted for all of them (Holm)."
)


def slices_section(result: Slices, case: Case) -> Section:
    """Lay out IC and P&L by slice, whether slices differ, and which could not be made."""
    items: list[Item] = []
    if result.table.height:
        items.append(_verdict(result))
        items += _figure(result)
        items.append(_equal_table(result))
        items.append(_table(result, case))
    items += [Note(f"{note[:1].upper()}{note[1:]}.", "warn") for note in result.notes]
    if result.missing:
        listed = "; ".join(f"{name} ({reason})" for name, reason in result.missing.items())
        items.append(Note(f"Not sliced: {listed}."))
    return Section("slices", "Where it works", _INTRO, items)


def _verdict(result: Slices) -> Note:
    differ = [
        row["dimension"]
        for row in result.dimensions.iter_rows(named=True)
        if row["p_equal_holm"] is not None and row["p_equal_holm"] < _SIGNIFICANT
    ]
    positive = sum(_clear(row) and row["ic"] > 0 for row in result.table.iter_rows(named=True))
    shown = result.table.drop_nulls("ic")
    negative = shown.filter(shown["ic"] < 0)
    losing = shown.filter(shown["net_high"] < 0).height
    text = (
        f"{result.model}, next {horizon_text(result.horizon)}: IC {number(result.overall_ic)} over all rows. Of "
        f"{plural(result.tests, 'slice')} with samples enough for a test, {positive} "
        f"{'has' if positive == 1 else 'have'} an IC clearly above zero after adjustment. "
    )
    compared = result.dimensions["p_equal"].drop_nulls().len()
    if differ:
        text += f"The IC differs by {', '.join(differ)}. "
    elif compared:
        text += f"In {plural(compared, 'division')} that could be compared the ICs differ by no more than chance. "
    else:
        text += "No division has samples enough in two slices to say whether they differ. "
    if negative.height:
        worst = negative.sort("ic").row(0, named=True)
        text += f"Lowest: {worst['dimension']} {worst['slice']} ({number(worst['ic'])}, n {worst['n']:,}). "
    if losing:
        text += f"Net of costs {losing} of {shown.height} slices clearly lose."
    return Note(text.strip(), "good" if positive and compared and not differ and not losing else "warn")


def _clear(row: dict[str, Any]) -> bool:
    """Whether chance is ruled out, all slices considered."""
    return row["p_holm"] is not None and row["p_holm"] < _SIGNIFICANT


def _figure(result: Slices) -> list[Item]:
    shown = result.table.drop_nulls(["ic", "low", "high"])
    if shown.is_empty():
        return []
    clear = [_clear(row) for row in shown.iter_rows(named=True)]
    names = [f"{row['slice']}  (n {row['n']:,})" for row in shown.iter_rows(named=True)]
    value, low, high = (shown[name].to_numpy() for name in ("ic", "low", "high"))
    svg = draw.slice_intervals(names, shown["dimension"].to_list(), value, low, high, clear, result.overall_ic)
    caption = (
        "One line a slice with its block-bootstrap interval. Coloured: not zero by chance, adjusted for all slices; "
        "grey: not told from zero, or too few rows to test. Dotted: all rows together."
    )
    return [Figure(svg, "IC by slice", caption, wide=True)]


def _equal_table(result: Slices) -> Table:
    rows = [
        [
            row["dimension"],
            str(row["slices"]),
            share(row["known"], 0),
            chance(row["p_equal"]),
            chance(row["p_equal_holm"]),
        ]
        for row in result.dimensions.iter_rows(named=True)
    ]
    caption = (
        "Cochran's Q: the chance of ICs at least this different if all slices of a division had the same; a dash "
        "where fewer than two slices have samples enough. Known: rows whose slice is known."
    )
    columns = ["division", "slices", "known", "p, all equal", "adjusted"]
    return Table(columns, rows, "Do the slices differ?", caption, text_columns=["division"])


def _table(result: Slices, case: Case) -> Table:
    rows = []
    for row in result.table.iter_rows(named=True):
        star = " ★" if _clear(row) and row["ic"] > 0 else ""
        rows.append(
            [
                row["dimension"],
                row["slice"] + star,
                f"{row['n']:,}",
                number(row["ic"]),
                f"{number(row['low'])} to {number(row['high'])}" if row["low"] is not None else "–",
                chance(row["p_holm"]),
                number(row["net_bps"], 2),
                f"{number(row['net_low'], 2)} to {number(row['net_high'], 2)}" if row["net_low"] is not None else "–",
                number(row["total_bps"], 1),
                (row["note"] or "").partition(":")[0].partition(",")[0],
            ]
        )
    level = share(case.judgement.config.level, 0)
    return Table(
        ["division", "slice", "n", "IC", level, "p adjusted", "net bps", level + " ", "net total", "note"],
        rows,
        "Every slice",
        "Net bps: mean net P&L of a decision, in hundredths of a percent of notional, after all costs. ★ marks an IC "
        "above zero after adjustment. No p-value where samples are few.",
        text_columns=["division", "slice", "note"],
        shown=12,
        wide=True,
    )
