"""Page of study 1: quoting at a fixed distance."""

from __future__ import annotations

from marketprism.pipelines.backtest_sections.inventory import inventory_sentence
from marketprism.pipelines.backtest_sections.markouts import markout_curves
from marketprism.pipelines.backtest_sections.words import digits_for
from marketprism.pipelines.study_pages.parts import Context, lane_table, page, split_figure, split_lead
from marketprism.pipelines.texts import number, share
from marketprism.report.document import Card, Document, Figure, Item, Note, Section, Verdict
from marketprism.report.figures import backtest as draw
from marketprism.report.figures.studies import paths
from marketprism.studies.lanes import Lane
from marketprism.studies.symmetric import SymmetricStudy

__all__ = ["symmetric_page"]


def symmetric_page(study: SymmetricStudy, context: Context) -> Document:
    """Lay out the page."""
    lane, unit = study.busiest, context.unit
    verdict = _verdict(study, context)
    account = lane.account
    held = lane.control.largest / context.ground.quantity
    cards = [
        Card(f"Busiest: {lane.name}", f"{account.trades:,}", "executions"),
        Card(f"P&L ({unit})", number(account.pnl, digits_for(account.pnl)), "", "bad" if account.pnl < 0 else "plain"),
        Card(
            "Spread eaten up",
            _eaten(lane),
            "by adverse selection within a second" if account.spread_capture > 0 else "none was captured",
        ),
        Card("Largest position", number(held, 0), "orders"),
    ]
    sections = [_pnl(study, context), _inventory(study, context), _adverse(study)]
    return page(context, "Quotes at a fixed distance", verdict, cards, sections)


def _eaten(lane: Lane) -> str:
    account = lane.account
    return share(-account.adverse_selection / account.spread_capture, 0) if account.spread_capture > 0 else "–"


def _verdict(study: SymmetricStudy, context: Context) -> Verdict:
    lanes = [lane for lane in study.lanes if lane.account.trades]
    if not lanes:
        return Verdict("Nothing traded at any distance", [split_lead(study.lanes[0], context.unit)], "bad")
    wild = [lane for lane in lanes if not lane.control.controlled]
    bets = [lane for lane in lanes if abs(lane.account.inventory_pnl) > abs(lane.account.spread_capture)]
    if len(wild) == len(lanes):
        headline, tone = "It loses control of its inventory at every distance", "bad"
    elif wild:
        headline, tone = f"It loses control of its inventory at {len(wild)} of {len(lanes)} distances", "warn"
    else:
        headline, tone = "On these data the position came back by itself at every distance", "warn"
    reasons = [
        split_lead(study.busiest, context.unit),
        f"{study.busiest.name}: {inventory_sentence(study.busiest.control)}",
        (
            f"At {len(bets)} of {len(lanes)} distances the position moved the result more than the spread that was "
            f"captured{': that is a bet on the price, not market making' if bets else ''}."
        ),
        split_lead(study.limited, context.unit),
    ]
    return Verdict(headline, reasons, "bad" if tone == "bad" else "warn")


def _pnl(study: SymmetricStudy, context: Context) -> Section:
    lanes = [*study.lanes, study.limited]
    intro = (
        "Quotes stand at a fixed distance on both sides of the mid, whatever is held. Wider quotes earn more each time "
        "and are hit less often, by those who know more."
    )
    if context.ground.config.half_spreads is None:
        intro += (
            " The distances go from half the typical spread to four times the volatility of a second on these data: a "
            "grid to look at, not tuned to what it earned."
        )
    figure = split_figure(lanes, context.unit, "Where the P&L comes from", "Bars add up to the mark.")
    return Section("pnl", "P&L by distance", intro, [figure, lane_table(lanes, context.unit, context.ground.quantity)])


def _inventory(study: SymmetricStudy, context: Context) -> Section:
    size = context.ground.quantity
    shown = {lane.name: lane.account.equity["position"].to_numpy() / size for lane in [*study.lanes, study.limited]}
    ts = study.lanes[0].account.equity["ts"].to_numpy()
    limit = context.ground.config.max_inventory
    few = {name: values for name, values in shown.items() if values.any()} or shown
    wild = [lane.name for lane in study.lanes if lane.account.trades and not lane.control.controlled]
    note = (
        f"A random walk is not rejected at {', '.join(wild)}: nothing brings the position back."
        if wild
        else "A random walk is rejected wherever there were executions: fills on both sides balanced the position."
    )
    intro = (
        "Nothing pulls the position back, so it adds up fills as they come: a random walk whose reach grows with time. "
        "What that does to the result is luck."
    )
    items: list[Item] = [
        Note(note, "warn" if wild else "plain"),
        Figure(paths(ts, shown, "position (orders)", (-limit, limit)), "Position over time",
               f"Dashed: the limit of {limit:g} orders, which only the last maker has.", wide=True),
        Figure(draw.inventory_shares(few, "orders"), "Where the time was spent", "Share of time at each position."),
        Figure(draw.inventory_shares({study.limited.name: shown[study.limited.name]}, "orders"), "With the limit",
               "The same for the maker with a limit."),
    ]  # fmt: skip
    return Section("inventory", "Inventory", intro, items)


def _adverse(study: SymmetricStudy) -> Section:
    intro = (
        "The mid after a fill, in the fill's direction. Below zero the quote was hit because the price was about to "
        "move: adverse selection, what makers pay to those who know more or are faster."
    )
    curves = {
        lane.name: points for lane in study.lanes for points in [markout_curves(lane.account).get("maker")] if points
    }
    if not curves:
        return Section("adverse", "Adverse fills", intro, [Note("No fill lived to a horizon.", "warn")])
    worst = {name: min(points, key=lambda point: point[1]) for name, points in curves.items() if len(points)}
    name = min(worst, key=lambda key: worst[key][1])
    horizon, mean, error = worst[name]
    sure = mean < -2 * error
    said = (
        f"Worst: {name}, {number(mean, digits_for(mean))} ticks {horizon:g} s after a fill"
        f"{', beyond two standard errors' if sure else ', within two standard errors of zero'}."
    )
    figure = Figure(draw.markouts(curves, "ticks", wide=True), "Mark-out by horizon",
                    "Means with bars of two standard errors.", wide=True)  # fmt: skip
    return Section("adverse", "Adverse fills", intro, [Note(said, "warn" if sure else "plain"), figure])
