"""What happens around funding times, liquidation cascades, outages and jumps."""

from __future__ import annotations

import math

from marketprism.evaluate.case import Case
from marketprism.evaluate.market_events import KINDS, EventEvidence, StudiedEvents
from marketprism.evaluate.metric import Metric
from marketprism.pipelines.texts import interval, number, plural
from marketprism.report.document import Figure, Item, Note, Section, Table
from marketprism.report.figures import events as draw

__all__ = ["events_section"]

_INTRO = (
    "Markets behave differently around scheduled payments, forced selling, outages and jumps. Each is compared with "
    "equally many random other times of the same sample. It would be bad if the signal worked only there, or failed "
    "there: its average would then hide what it is."
)
_TITLES = {
    "funding": "Funding times",
    "liquidations": "Liquidation cascades",
    "outage": "Ends of outages",
    "jump": "After jumps",
}
_QUANTITIES = {"return": "return since the window began", "move": "size of moves, change", "spread": "spread, change"}


def events_section(result: EventEvidence, case: Case) -> Section:
    """Lay out the mean paths, the discontinuities and the signal around events."""
    counts = ", ".join(
        f"{_TITLES[kind].removeprefix('After ').lower()}: {result.count(kind)}" for kind in KINDS if result.count(kind)
    )
    text = f"Found: {counts}." if counts else "No event of any kind was found, so there is nothing to study."
    if result.count("jump"):
        text += (
            " A jump is a return too large for the volatility before it (Lee-Mykland test); the list of what was "
            "left out asks for far larger ones."
        )
    items: list[Item] = [Note(text, "plain")]
    missing = [f"{note[:1].upper()}{note[1:]}." for note in result.notes]
    if missing:
        items.append(Note(" ".join(missing), "plain"))
    for kind in KINDS:
        names = dict.fromkeys(one.series for one in result.studies if one.kind == kind)
        items += [_paths(result, case, kind, series) for series in names]
    if result.studies:
        items.append(_tests(result.studies, case))
    if result.discontinuities:
        items.append(_jumps(result, case))
    if result.signal:
        items.append(_signal(result, case))
    return Section("events", "Around events", _INTRO, items)


def _paths(result: EventEvidence, case: Case, kind: str, series: str) -> Figure:
    own = [one for one in result.studies if (one.kind, one.series) == (kind, series)]
    paths = {
        _QUANTITIES[one.quantity]: (one.study.offsets / 1e9, one.study.mean, one.study.low, one.study.high)
        for one in own
    }
    return Figure(
        draw.event_paths(paths),
        _TITLES[kind] + (f", {series}" if case.series_count > 1 else ""),
        f"Mean of {plural(own[0].study.events, 'event')} whose window of {number(result.window_s, 0)} s fits the sample"
        "; grey: the same at random other times. Only a line that leaves the grey is unusual.",
        wide=True,
    )


def _tests(studies: tuple[StudiedEvents, ...], case: Case) -> Table:
    several = case.series_count > 1
    rows = [
        [
            _TITLES[one.kind],
            *([one.series] if several else []),
            _QUANTITIES[one.quantity],
            str(one.study.events),
            number(float(one.study.mean[-1]), 2),
            f"{number(float(one.study.low[-1]), 2)} to {number(float(one.study.high[-1]), 2)}",
            number(one.study.p_value),
            number(one.adjusted_p),
        ]
        for one in studies
    ]
    columns = ["events", *(["series"] if several else []), "quantity", "number", "at the end (bps)", "usual range"]
    return Table(
        [*columns, "p", "p, adjusted"],
        rows,
        "Are the paths unusual?",
        "p: chance that random other times show a path as far from the usual at any moment; adjusted for all paths "
        "looked at (Holm). With a handful of events nothing here is proof.",
        text_columns=["events", "series", "quantity", "usual range"],
        shown=12,
        wide=True,
    )


def _jumps(result: EventEvidence, case: Case) -> Table:
    several = case.series_count > 1
    rows = [
        [
            *([one.series] if several else []),
            _QUANTITIES[one.quantity].split(" since")[0].split(",")[0],
            str(one.found.events),
            f"{number(one.found.jump, 3)} ± {number(one.found.error, 3)}",
            number(one.found.p_value),
            number(one.found.placebo_p_value),
        ]
        for one in result.discontinuities
    ]
    return Table(
        [*(["series"] if several else []), "quantity", "events", "jump (bps)", "p", "p, other times"],
        rows,
        "Sudden change at funding times",
        "Difference between the trends just after and just before (regression discontinuity), with its standard error; "
        "the last column: how often random other times show as much.",
        text_columns=["series", "quantity", "jump (bps)"],
    )


def _signal(result: EventEvidence, case: Case) -> Table:
    def cell(metric: Metric) -> str:
        if not math.isfinite(metric.value):
            return "–"
        return f"{interval(metric)} ({plural(metric.n, 'row')})"

    rows = [[_TITLES[one.kind], cell(one.before), cell(one.after), cell(one.elsewhere)] for one in result.signal]
    return Table(
        ["events", "in the window before", "in the window after", "elsewhere"],
        rows,
        f"Does the signal of {case.best} work there?",
        f"IC (correlation of score and return) of forecasts made within {number(result.window_s, 0)} s of an event. "
        "Few rows give wide intervals.",
        text_columns=["events"],
        wide=True,
    )
