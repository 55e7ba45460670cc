"""How steady the signal is: periods, persistence of factors, drift against chance, backtest paths, overfitting."""

from __future__ import annotations

import math

from marketprism.evaluate.case import Case
from marketprism.evaluate.stability_report import StabilityReport
from marketprism.pipelines.texts import chance, interval, number, plural, share
from marketprism.report.document import Facts, Figure, Item, Note, Section, Table
from marketprism.report.figures import slices as draw

__all__ = ["stability_section"]

_SIGNIFICANT = 0.05
_POOR = 0.5
_INTRO = (
    "Did the signal work all the time, do the factors that worked go on working, and are the data still what the model "
    "was trained on? Bad would be an IC (correlation of score and return) carried by one period, factors whose merit "
    "does not last, inputs that drift by more than chance, or a best factor that is only the luckiest of many."
)


def stability_section(result: StabilityReport, case: Case) -> Section:
    """Lay out IC by period, persistence, drift, backtest paths and the probability of overfitting."""
    items: list[Item] = []
    if result.periods.height:
        items.append(_verdict(result))
        items += _periods(result)
        items += _paths(result, case)
        items.append(_facts(result))
        items += _drift(result)
    items += [Note(f"{note[:1].upper()}{note[1:]}.", "warn") for note in result.notes]
    return Section("stability", "How steady it is", _INTRO, items)


def _verdict(result: StabilityReport) -> Note:
    known = result.periods.drop_nulls("ic").height
    text = (
        f"{result.model}: the IC was above zero in {share(result.positive_share, 0)} of {known} {result.period_name}s "
        f"(as often or more by coin tossing: p {chance(result.positive_p)}). "
    )
    worries = []
    if result.positive_p >= _SIGNIFICANT:
        worries.append("that may be chance")
    if math.isfinite(result.across.low) and result.across.low <= 0:
        worries.append("which factors work in one period says nothing clear about the next")
    drifted = _drifted(result)
    if drifted:
        worries.append(f"{', '.join(drifted)} drifted by more than chance")
    if result.paths is not None and result.paths.negative_share > 0:
        worries.append(f"{share(result.paths.negative_share, 0)} of the backtest paths had no skill")
    losing = 0 if result.paths is None else int((result.paths.paths["net_bps"] < 0).sum())
    if result.paths is not None and losing:
        worries.append(f"{losing} of {result.paths.paths.height} backtest paths lose money after costs")
    if result.overfitting is not None and result.overfitting.probability >= _POOR:
        worries.append("the best factor of one half of the data was no better than the median in the other")
    text += f"But: {'; '.join(worries)}." if worries else "Nothing found here speaks against it."
    return Note(text, "warn" if worries else "good")


def _drifted(result: StabilityReport) -> list[str]:
    if result.drift.is_empty():
        return []
    hit = result.drift.filter(result.drift["p_holm"] < _SIGNIFICANT)
    return hit["name"].unique(maintain_order=True).to_list()


def _periods(result: StabilityReport) -> list[Item]:
    shown = result.periods.drop_nulls("ic")
    if shown.is_empty():
        return []
    value, low, high = (shown[name].cast(float).fill_null(math.nan).to_numpy() for name in ("ic", "low", "high"))
    name = {"run": "equal run of rows", "day": "day", "week": "week"}[result.period_name]
    svg = draw.period_ics(value, low, high, float(value.mean()), name)
    caption = (
        "Out-of-sample IC of each period with its interval; dotted: their mean. All bars on one side is what to see."
    )
    return [Figure(svg, f"IC by {result.period_name}", caption)]


def _paths(result: StabilityReport, case: Case) -> list[Item]:
    paths = result.paths
    if paths is None:
        return []
    ics = paths.paths["ic"].drop_nulls().to_numpy()
    caption = (
        f"{paths.model} trained on every choice of {paths.groups - paths.tested} of {paths.groups} stretches and "
        f"tested on the others ({plural(paths.splits, 'fit')}, {paths.rows:,} rows): each dot is one full history "
        "put together from tests. One below zero is a history in which the model failed. Training may lie after the "
        "test here, and paths share data: see the spread, not a significance."
    )
    items: list[Item] = [Figure(draw.path_ics(ics), "IC on every backtest path", caption)] if ics.size else []
    rows = [
        [
            str(row["path"] + 1),
            number(row["ic"]),
            number(row["gross_bps"], 1),
            number(row["net_bps"], 1),
            number(row["net_sharpe"], 1),
        ]
        for row in paths.paths.iter_rows(named=True)
    ]
    columns = ["path", "IC", "gross (bps)", "net (bps)", "net Sharpe"]
    latency = case.judgement.config.costs.latency_ms
    return [
        *items,
        Table(columns, rows, "Backtest paths", f"Net of all costs, filled {latency:g} ms after each decision."),
    ]


def _facts(result: StabilityReport) -> Facts:
    pairs = [
        (f"IC_IR (mean over deviation of the {result.period_name} ICs)", interval(result.ratio, 2)),
        ("correlation of all factors' ICs with the next period's", interval(result.across, 2)),
    ]
    found = result.overfitting
    if found is not None:
        pairs += [
            (
                f"probability of overfitting: best of {found.trials} factors in one half, below median in the other",
                share(found.probability, 0),
            ),
            (
                "IC of that best factor where it was chosen, and in the other half (medians)",
                f"{number(found.in_sample)} and {number(found.out_of_sample)}",
            ),
        ]
    return Facts(pairs, "Does it last?", wide=True)


def _drift(result: StabilityReport) -> list[Item]:
    table = result.drift
    if table.is_empty():
        return []
    clear = (table["p_holm"] < _SIGNIFICANT).to_list()
    names = [f"{row['name']}, {_short(row['comparison'])}" for row in table.iter_rows(named=True)]
    svg = draw.drift_against_chance(names, table["psi"].to_numpy(), table["psi_null"].to_numpy(), clear)
    caption = (
        "Dots: population stability index (PSI), how far a distribution moved. Grey: what blocks of the same data "
        "dealt at random reach in 95 of 100 cases: slow factors in short samples reach a lot. Red: moved by more than "
        "chance, after adjustment for all comparisons."
    )
    rows = [
        [
            row["name"],
            row["comparison"],
            f"{row['n']:,} / {row['m']:,}",
            f"{number(row['psi'], 2)} ({number(row['psi_null'], 2)})",
            f"{number(row['ks'], 2)} ({number(row['ks_null'], 2)})",
            chance(min(row["psi_p"], row["ks_p"])),
            chance(row["p_holm"]),
        ]
        for row in table.iter_rows(named=True)
    ]
    columns = ["what", "compared", "rows", "PSI (95 % by chance)", "KS (95 % by chance)", "smaller p", "p adjusted"]
    text = "KS: largest distance between the two distribution functions. Rules of thumb (PSI .1, .25) ignore chance."
    return [
        Figure(svg, "Drift against chance", caption),
        Table(
            columns,
            rows,
            "Drift of the score and the strongest factors",
            text,
            text_columns=["what", "compared"],
            shown=8,
            wide=True,
        ),
    ]


def _short(comparison: str) -> str:
    return {"train to test": "train/test", "first to second half": "halves"}[comparison]
