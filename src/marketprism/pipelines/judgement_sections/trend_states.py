"""Trend states as they would have been known live, and the gates that a labelling must pass."""

from __future__ import annotations

from marketprism.evaluate.case import Case
from marketprism.evaluate.trend_evidence import TrendEvidence
from marketprism.labels.state_quality import StateGates
from marketprism.pipelines.texts import number, share
from marketprism.report.document import Figure, Item, Note, Section, Table
from marketprism.report.figures import slices as draw

__all__ = ["trend_states_section"]

_INTRO = (
    "Can up, down and neutral trends be told while they last? Every state comes from a model fitted on earlier rows "
    "and filtered online, as it would have been live. A labelling that flips too often, dwells too short, says nothing "
    "about the next buckets or puts almost all rows into one state fails its gates and is refused; the causal state "
    "machine (rules: fast against slow average, neutral zone, least dwell) then takes its place."
)
_NAMES = {
    "rules": "state machine (rules)",
    "jump 2": "jump model, 2 states",
    "jump 3": "jump model, 3 states",
    "sparse jump 2": "sparse jump model, 2 states",
    "hmm 2": "hidden Markov, 2 states",
}


def trend_states_section(result: TrendEvidence, case: Case) -> Section:
    """Lay out the labellings, their gates, what chance does, and the states on the price."""
    items: list[Item] = []
    for series, method in result.in_use.items():
        items.append(_verdict(result, series, method))
    if result.table.height:
        items += _timeline(result)
        items.append(_table(result, len(case.judgement.series) > 1))
        items.append(Note(_gates(result.gates)))
        told = " ".join(result.notes)
        items += [
            Note(f"{row['series']}: {_NAMES[row['method']]} fails its gates: {row['reasons']}.", "warn")
            for row in result.table.iter_rows(named=True)
            if not row["passed"] and row["reasons"] not in told
        ]
    items += [Note(f"{note[:1].upper()}{note[1:]}.", "warn") for note in result.notes]
    return Section("trend-states", "Trend states", _INTRO, items)


def _verdict(result: TrendEvidence, series: str, method: str) -> Note:
    rows = [row for row in result.table.iter_rows(named=True) if row["series"] == series and row["method"] == method]
    if not rows:
        return Note(f"{series}: the state machine is in use, but could not be measured.", "warn")
    row = rows[0]
    chance = row["ic_null"] is not None and row["mean_ic"] is not None and row["mean_ic"] > row["ic_null"]
    text = (
        f"{series}: {_NAMES[method]} is in use and {'passes' if row['passed'] else 'fails'} the gates; its mean "
        f"forward IC of {number(row['mean_ic'])} is {'above' if chance else 'within'} what chance does "
        f"({number(row['ic_null'])} in 95 of 100 shifts)."
    )
    if not row["passed"]:
        text += " Do not use its states as inputs or gates here."
    return Note(text, "good" if row["passed"] and chance else "warn" if row["passed"] else "bad")


def _timeline(result: TrendEvidence) -> list[Item]:
    series, method = next(iter(result.in_use.items()))
    part = result.states.filter((result.states["series"] == series) & (result.states["method"] == method))
    part = part.filter(part["mid"].is_not_null())
    if part.height < 2:
        return []
    state = part["state"].cast(float).fill_null(float("nan")).to_numpy()
    svg = draw.state_timeline(part["ts"].to_numpy(), part["mid"].to_numpy(), state)
    caption = (
        f"{series}, {_NAMES[method]}. Green up, red down, white neutral or unknown (the first stretch is only learnt "
        "from). Look for colours that come late: a state is only known after the move that made it."
    )
    return [Figure(svg, "States on the price", caption, wide=True)]


def _table(result: TrendEvidence, panel: bool) -> Table:
    rows = []
    for row in result.table.iter_rows(named=True):
        shares = " / ".join(share(row[f"share_{name}"], 0) for name in ("down", "neutral", "up"))
        rows.append(
            [
                *([row["series"]] if panel else []),
                _NAMES[row["method"]],
                f"{row['rows']:,}",
                number(row["flips_per_100"], 2),
                number(row["mean_dwell"], 1),
                number(row["p90_dwell"], 1),
                shares,
                " / ".join(number(row[f"ic_{steps}"], 2) for steps in (1, 2, 3)),
                f"{number(row['mean_ic'])} ({number(row['ic_null'])})",
                "passed" if row["passed"] else "failed",
            ]
        )
    columns = [
        *(["series"] if panel else []),
        "labelling",
        "rows",
        "flips per 100",
        "mean dwell",
        "p90 dwell",
        "down / neutral / up",
        "IC 1 / 2 / 3",
        "mean IC (chance)",
        "gates",
    ]
    caption = (
        "Models of 2 states are neutral where their evidence is weak. Dwell: buckets that a state lasts. "
        "IC: rank correlation of the state with the return of the next 1, 2 and 3 "
        "buckets. Chance: what 95 of 100 stay below when the same states are turned round in time, so that their runs "
        "stay as long."
    )
    return Table(columns, rows, "Labellings", caption, text_columns=["series", "labelling", "gates"], wide=True)


def _gates(gates: StateGates) -> str:
    return (
        f"Gates: flips below {gates.max_flips_per_100:g} per 100 buckets, mean dwell at least "
        f"{gates.min_mean_dwell:g} and its 90th percentile at least {gates.min_p90_dwell:g} buckets, mean forward IC "
        f"at least {gates.min_forward_ic:g}, no state above {share(gates.max_class_share, 0)} of the rows."
    )
