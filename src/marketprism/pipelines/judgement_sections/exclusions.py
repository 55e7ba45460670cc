"""What was left out of training and of the headline, and what the numbers are with it."""

from __future__ import annotations

import numpy as np

from marketprism.core.timebase import format_ns
from marketprism.evaluate.case import Case
from marketprism.evaluate.exclusions import Exclusions
from marketprism.labels.forward import series_rows
from marketprism.pipelines.texts import horizon_text, interval, number, plural, share
from marketprism.report.document import Figure, Item, Note, Section, Table
from marketprism.report.figures import events as draw

__all__ = ["exclusions_section"]

_INTRO = (
    "Outages and abnormal jumps say little about ordinary trading, but one of them can make or break an average. "
    "Forecasts whose outcome touches one neither train a model nor count in the headline of forecast quality; here "
    "they are counted and judged apart. It would be bad if much were left out, or if the verdict hung on it. Profit "
    "and loss always includes everything: nobody can skip a jump in trading."
)
_WORDS = {
    "gap": "gap in the record",
    "silence": "silence",
    "invalid_book": "no valid book",
    "jump": "abnormal jump",
    "given": "given by the user",
}
_METRICS = (("ic", "IC", 3), ("rank_ic", "rank IC", 3), ("auc", "AUC", 3), ("brier_skill", "Brier skill", 4))
_LISTED = 200


def exclusions_section(case: Case) -> Section:
    """Lay out the excluded spans, their cost in rows, and the metrics with and without them."""
    result = case.judgement.exclusions
    items: list[Item] = [_answer(result, case)]
    if result.spans.height:
        items += _drawing(result, case)
        items.append(_spans(result))
    items += _apart(case)
    return Section("exclusions", "Left out, and judged apart", _INTRO, items)


def _answer(result: Exclusions, case: Case) -> Note:
    if not result.config.enabled:
        return Note("Exclusion is switched off: every row trains and counts.", "warn")
    if not result.spans.height:
        return Note("No outage and no abnormal jump was found: nothing was left out.", "good")
    part = result.rows / result.labelled if result.labelled else 0.0
    spans, rows = plural(result.spans.height, "span"), plural(result.rows, "row")
    text = (
        f"{spans} excluded; {'they touch' if result.spans.height > 1 else 'it touches'} {rows} of {result.labelled:,} "
        f"({share(part, 2)}) that have an outcome over the next {horizon_text(case.judgement.primary)}."
    )
    if not result.rows and (result.spans["reason"] == "gap").any():
        text += " No outcome is ever taken across a gap, so a gap costs no row here."
    return Note(text, "warn" if part > 0.01 else "plain")


def _drawing(result: Exclusions, case: Case) -> list[Item]:
    """Price of the instrument with most spans, where there is one."""
    named = result.spans.filter(result.spans["series"] != "")["series"]
    groups = {":".join(key): rows for key, rows in series_rows(case.frame).items()}
    chosen = str(named.mode().sort()[0]) if named.len() else next(iter(groups))
    part = case.frame[groups[chosen]]
    ts, mid = part["ts_end"].to_numpy(), part["mid_last"].fill_null(float("nan")).to_numpy()
    if np.isfinite(mid).sum() < 2:
        return []
    own = result.spans.filter(result.spans["series"].is_in([chosen, ""]))
    spans = list(own.select("reason", "start_ts", "end_ts").head(_LISTED).iter_rows())
    title = "Excluded spans on the price" + (f", {chosen}" if len(groups) > 1 else "")
    return [Figure(draw.excluded_spans(ts, mid, spans), title, "Shaded stretches are left out.", wide=True)]


def _spans(result: Exclusions) -> Table:
    several = result.spans["series"].n_unique() > 1
    rows = [
        [
            *([row["series"] or "all"] if several else []),
            _WORDS[row["reason"]],
            format_ns(row["start_ts"])[:23],
            number((row["end_ts"] - row["start_ts"]) / 1e9, 1),
            f"{row['rows']:,}",
            f"{row['barred']:,}",
        ]
        for row in result.spans.head(_LISTED).iter_rows(named=True)
    ]
    columns = [*(["series"] if several else []), "reason", "from (UTC)", "seconds", "rows", "not trained on"]
    return Table(
        columns,
        rows,
        "The exclusion list",
        "Rows: forecasts whose outcome touches the span. Not trained on: those for which the span was known by the "
        "time their outcome was; the others may train, as they would have live.",
        text_columns=["series", "reason", "from (UTC)"],
        shown=12,
        wide=True,
    )


def _apart(case: Case) -> list[Item]:
    judgement = case.judgement
    rows = []
    for name, result in judgement.models.items():
        part = result.horizons[judgement.primary]
        for key, label, digits in _METRICS if part.included else ():
            cells = [part.metrics[key], part.included[key]]
            alone = part.excluded[key]
            rows.append(
                [name, label, *(interval(one, digits) for one in cells), number(alone.value, digits), f"{alone.n:,}"]
            )
    if not rows:
        return []
    return [
        Table(
            ["model", "metric", "headline", "with excluded rows", "excluded rows alone", "their number"],
            rows,
            "With and without",
            "Which test rows are left out is a choice of reporting, made with hindsight; both numbers stand here.",
            text_columns=["model", "metric"],
            wide=True,
        )
    ]
