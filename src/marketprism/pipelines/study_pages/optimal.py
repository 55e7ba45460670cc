"""Page of study 2: optimal quotes."""

from __future__ import annotations

import math

import numpy as np

from marketprism.pipelines.backtest_sections.words import digits_for, seconds_text
from marketprism.pipelines.study_pages.parts import Context, lane_table, page, split_figure, split_lead
from marketprism.pipelines.texts import number, plural, share
from marketprism.report.document import Card, Document, Facts, Figure, Item, Note, Section, Verdict
from marketprism.report.figures import studies as draw
from marketprism.strategies.intensity import IntensityFit
from marketprism.studies.lanes import Lane
from marketprism.studies.optimal import OptimalStudy

__all__ = ["optimal_page"]

_COUNTED = 100


def optimal_page(study: OptimalStudy, context: Context) -> Document:
    """Lay out the page."""
    unit = context.unit
    best, plain = _best(study.lanes), _best(study.symmetric)
    found = study.fit.intensity
    sigma, rate, k = (found.sigma, found.A, found.k) if found is not None else (math.nan,) * 3
    cards = [
        Card("Volatility", number(sigma, digits_for(sigma)), "ticks a root second"),
        Card("Rate at the mid, A", number(rate, digits_for(rate)), "market orders a second and side"),
        Card("Decay of fills, k", number(k, digits_for(k)), "a tick"),
        Card(f"Best P&L ({unit})", number(best.account.pnl, digits_for(best.account.pnl)), best.name),
    ]
    sections = [_fit(study), _frontier(study, context), _split(study, context)]
    return page(context, "Optimal quotes", _verdict(study, context, best, plain), cards, sections)


def _best(lanes: list[Lane]) -> Lane:
    return max([lane for lane in lanes if lane.account.trades] or lanes, key=lambda lane: lane.account.pnl)


def _verdict(study: OptimalStudy, context: Context, best: Lane, plain: Lane) -> Verdict:
    traded = [lane for lane in study.lanes if lane.account.trades]
    if not traded:
        return Verdict("Nothing traded", ["No maker had an execution at any risk aversion."], "bad")
    sure = best.record.pnl.star and best.record.dsr >= context.ground.config.confidence
    if best.account.pnl <= 0:
        headline, tone = "No solution earned money at any risk aversion", "bad"
    elif sure:
        headline, tone = (
            f"Best of {plural(len(study.lanes), 'lane')} earned more than luck explains: {best.name}",
            "good",
        )
    else:
        headline = f"The best of {plural(len(study.lanes), 'lane')} earned money, but luck explains it: {best.name}"
        tone = "warn"
    reasons = [split_lead(best, context.unit)]
    if best is not plain:
        reasons.append(f"Best at a fixed distance with the same limit: {split_lead(plain, context.unit)}")
    reasons.append(_less_risk(study))
    reasons.append(
        f"Deflated for {plural(best.record.trials, 'trial')}, the chance that the best one's Sharpe ratio is positive "
        f"is {share(best.record.dsr)}."
    )
    return Verdict(headline, reasons, "good" if tone == "good" else "bad" if tone == "bad" else "warn")


def _less_risk(study: OptimalStudy) -> str:
    """Say whether more risk aversion meant less inventory, family by family."""
    falling = []
    for name, lanes in study.families.items():
        traded = [lane for lane in lanes if lane.account.trades]
        if len(traded) > 1 and traded[-1].control.deviation < traded[0].control.deviation:
            falling.append(name)
    if not falling:
        return "In no family did the largest risk aversion hold less inventory than the smallest."
    share_of = f"{len(falling)} of {len(study.families)}"
    return f"The largest risk aversion held less inventory than the smallest in {share_of} families."


def _fit(study: OptimalStudy) -> Section:
    intro = (
        "The models assume that market orders reach a depth d at the rate A exp(−k d), and that the mid is a random "
        "walk with volatility sigma. All three are fitted to the whole tape here; makers use what "
        "they have heard so far."
    )
    fit = study.fit
    found = fit.intensity
    if found is None:
        note = Note("Too few market orders, or too little movement, to fit the model.", "warn")
        return Section("fit", "What was estimated", intro, [note])
    facts = Facts(
        [
            ("sigma (ticks a root second)", _with_error(found.sigma, found.sigma_stderr)),
            ("A (market orders a second and side at the mid)", _with_error(found.A, found.A_stderr)),
            ("k (a tick)", _with_error(found.k, found.k_stderr)),
            ("market orders counted", f"{found.orders:,} in {seconds_text(found.seconds)}"),
            ("moves of the mid", f"{found.moves:,}"),
        ],
        "Fitted to the whole tape",
    )
    curves = {name: (fit.inventory, bid, ask) for name, (bid, ask) in fit.quotes.items()}
    seen = found.rates > 0
    items: list[Item] = [
        _answer(found),
        Figure(
            draw.intensity(found.depths[seen], found.rates[seen], found.A, found.k),
            "How far market orders reach",
            "Dots: orders a second and side that went that far from the mid or further. Line: the fit.",
        ),
        Figure(
            draw.quotes(curves),
            "Quotes by inventory",
            f"With this fit, each order held moving the quotes by {fit.skew:g} / k: a maker that is long asks nearer "
            "and bids further away.",
        ),
        facts,
    ]
    return Section("fit", "What was estimated", intro, items)


def _with_error(value: float, error: float) -> str:
    digits = digits_for(2 * error)
    return f"{number(value, digits)} ± {number(2 * error, digits)}"


def _answer(found: IntensityFit) -> Note:
    """Say how well the exponential fits: the largest factor by which it misses depths with a hundred orders or more."""
    enough = found.rates * 2 * found.seconds >= _COUNTED
    if enough.sum() < 2:
        return Note("Too few orders went beyond the nearest depth to see whether their rate is exponential.", "warn")
    ratio = np.abs(np.log(found.rates[enough] / found.rate(found.depths[enough])))
    worst = int(np.argmax(ratio))
    factor = float(np.exp(ratio[worst]))
    said = (
        f"At depths that {_COUNTED} orders or more reached, the fit is off by at most a factor of {number(factor, 2)} "
        f"({found.depths[enough][worst]:g} ticks from the mid)"
    )
    good = factor < 1.5
    return Note(f"{said}{'.' if good else ': the rate is not exponential here.'}", "plain" if good else "warn")


def _frontier(study: OptimalStudy, context: Context) -> Section:
    unit = context.unit
    curves = {name: [(lane.risk, lane.account.pnl) for lane in lanes] for name, lanes in study.families.items()}
    points = [(lane.risk, lane.account.pnl, lane.name) for lane in study.symmetric]
    bar = f"{context.ground.config.bar_s:g} s"
    figure = Figure(
        draw.frontier(curves, f"standard deviation of the P&L of {bar} ({unit})", f"P&L ({unit})", points),
        "Risk and return",
        f"One line a solution, from the smallest risk aversion (hollow, skew {study.skews[0]:g}) to the largest (skew "
        f"{study.skews[-1]:g}); squares quote at a fixed distance with "
        "the same hard limit. Up and to the left is better.",
        wide=True,
    )
    intro = (
        "Risk aversion buys less risk with less return: where the line lies, not where it ends, is what a model is "
        "worth."
    )
    return Section("frontier", "Risk and return", intro, [figure])


def _split(study: OptimalStudy, context: Context) -> Section:
    middle = len(study.skews) // 2
    shown = [*study.symmetric[:1], *(lanes[middle] for lanes in study.families.values())]
    figure = split_figure(
        shown, context.unit, f"Where the P&L comes from, skew {study.skews[middle]:g}", "Bars add up to the mark."
    )
    table = lane_table(study.lanes, context.unit, context.ground.quantity)
    intro = "Spread, adverse selection and inventory by solution, and all lanes in numbers."
    return Section("split", "All lanes", intro, [figure, table])
