"""Page of study 4: inventory control."""

from __future__ import annotations

from marketprism.pipelines.backtest_sections.inventory import inventory_sentence
from marketprism.pipelines.backtest_sections.words import digits_for
from marketprism.pipelines.study_pages.parts import Context, lane_table, page, split_figure, split_lead
from marketprism.pipelines.texts import chance, interval, number, share
from marketprism.report.document import Card, Document, Figure, Item, Section, Table, Verdict
from marketprism.report.figures import backtest as draw
from marketprism.report.figures.studies import paths
from marketprism.studies.inventory import InventoryStudy
from marketprism.studies.lanes import Lane

__all__ = ["inventory_page"]


def inventory_page(study: InventoryStudy, context: Context) -> Document:
    """Lay out the page."""
    size, unit = context.ground.quantity, context.unit
    traded = [lane for lane in study.controlled if lane.account.trades]
    tightest = min(traded or study.controlled, key=lambda lane: lane.control.deviation)
    best = max(study.controlled, key=lambda lane: lane.account.pnl)
    cards = [
        Card("Without control", number(study.free.control.largest / size, 0), "orders, largest position"),
        Card("Tightest", number(tightest.control.deviation / size, 2), f"orders, deviation: {tightest.name}"),
        Card(f"P&L without ({unit})", number(study.free.account.pnl, digits_for(study.free.account.pnl)), ""),
        Card(f"Best P&L with ({unit})", number(best.account.pnl, digits_for(best.account.pnl)), best.name),
    ]
    sections = [_positions(study, context, tightest), _price(study, context)]
    return page(context, "Inventory control", _verdict(study, context, tightest, best), cards, sections)


def _verdict(study: InventoryStudy, context: Context, tightest: Lane, best: Lane) -> Verdict:
    if not any(lane.account.trades for lane in study.lanes):
        return Verdict("Nothing traded", ["No maker had an execution."], "bad")
    size = context.ground.quantity
    free = study.free.control
    uncontrolled = inventory_sentence(free)
    held = [lane for lane in study.controlled if lane.control.deviation < free.deviation]
    costs = [
        lane.name
        for lane, found in zip(study.controlled, study.against_free, strict=True)
        if found.difference.significant and found.difference.value < 0
    ]
    gains = [
        lane.name
        for lane, found in zip(study.controlled, study.against_free, strict=True)
        if found.difference.significant and found.difference.value > 0
    ]
    headline = f"{len(held)} of {len(study.controlled)} controls hold less inventory than none"
    reasons = [
        (
            f"Without control, {uncontrolled[0].lower()}{uncontrolled[1:]} "
            f"Largest position {number(free.largest / size, 1)} orders."
        ),
        (
            f"Tightest: {tightest.name}, deviation {number(tightest.control.deviation / size, 2)} orders against "
            f"{number(free.deviation / size, 2)}."
        ),
        split_lead(best, context.unit),
        (
            f"Against none, P&L was lower beyond chance with {_controls(costs, study)}, higher with "
            f"{_controls(gains, study)} (each by itself, not corrected for their number)."
        ),
    ]
    return Verdict(headline, reasons, "good" if len(held) == len(study.controlled) else "warn")


def _controls(names: list[str], study: InventoryStudy) -> str:
    if len(names) == len(study.controlled):
        return "all of the controls"
    return ", ".join(names) or "none of the controls"


def _positions(study: InventoryStudy, context: Context, tightest: Lane) -> Section:
    size, limit = context.ground.quantity, context.ground.config.max_inventory
    ts = study.free.account.equity["ts"].to_numpy()
    chosen = list(dict.fromkeys([study.free.name, study.controlled[0].name, "mean-reverting skew", tightest.name]))
    positions = {lane.name: lane.account.equity["position"].to_numpy() / size for lane in study.lanes}
    shown = {name: positions[name] for name in chosen if name in positions}
    some = {lane.name: positions[lane.name] for lane in study.controlled[:6]}
    rows = [
        [
            lane.name,
            share(lane.control.flat),
            share(lane.control.at_largest),
            number(lane.control.growth, 2),
            "yes" if lane.control.controlled else "no",
        ]
        for lane in study.lanes
    ]
    table = Table(
        ["control", "time flat", "time at nine tenths of the largest", "second half over first", "comes back"],
        rows,
        "How positions behave",
        f"{_skews(study)}Comes back: a random walk is rejected at one percent (Dickey-Fuller).",
        text_columns=["control", "comes back"],
        wide=True,
    )
    intro = (
        "A limit stops the position where it is worst, and stands there; a skew brings it back before. One maker, the "
        "same distance, one kind of control each."
    )
    items: list[Item] = [
        Figure(paths(ts, shown, "position (orders)", (-limit, limit)), "Position over time",
               f"Dashed: the hard limit of {limit:g} orders.", wide=True),
        Figure(draw.inventory_shares(some, "orders", wide=True), "Where the time was spent",
               "Share of time at each position.", wide=True),
        table,
    ]  # fmt: skip
    return Section("positions", "Positions", intro, items)


def _skews(study: InventoryStudy) -> str:
    ticks = [f"{skew:g}" for skew in study.skews_ticks]
    return f"The skews move the quotes by {' and '.join(ticks)} ticks for each order held. " if ticks else ""


def _price(study: InventoryStudy, context: Context) -> Section:
    unit = context.unit
    figure = split_figure(study.lanes, unit, "Where the P&L comes from", "Bars add up to the mark.")
    rows = [
        [lane.name, interval(found.difference, digits_for(found.difference.value)), chance(found.p)]
        for lane, found in zip(study.controlled, study.against_free, strict=True)
    ]
    table = Table(["control", f"P&L more than without ({unit})", "p"], rows, "What control costs",
                  "Paired block bootstrap over the same bars.", text_columns=["control"], wide=True)  # fmt: skip
    intro = "Control gives up executions on one side: what it costs in spread, and what it saves in drawdown."
    return Section(
        "price", "What it costs", intro, [figure, lane_table(study.lanes, unit, context.ground.quantity), table]
    )
