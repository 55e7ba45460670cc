"""Page of study 3: quotes moved by signals."""

from __future__ import annotations

import math

from marketprism.pipelines.backtest_sections.markouts import markout_curves
from marketprism.pipelines.backtest_sections.words import digits_for, seconds_text
from marketprism.pipelines.study_pages.parts import Context, lane_table, page, split_figure, split_lead
from marketprism.pipelines.texts import chance, interval, number, plural
from marketprism.report.document import Card, Document, Figure, Item, Note, Section, Table, Tone, Verdict
from marketprism.report.figures import backtest as draw
from marketprism.report.figures.backtest import lane_equity
from marketprism.studies.signals import SignalStudy

__all__ = ["signals_page"]


def signals_page(study: SignalStudy, context: Context) -> Document:
    """Lay out the page."""
    unit = context.unit
    cards = [
        Card(f"Plain P&L ({unit})", number(study.plain.account.pnl, digits_for(study.plain.account.pnl)), "no signal")
    ]
    for lane, found, p in zip(study.skewed, study.differences, study.adjusted, strict=True):
        gain = found.difference.value
        tone: Tone = "good" if gain > 0 and p < 0.05 else "bad" if gain < 0 and p < 0.05 else "plain"
        cards.append(Card(lane.name, number(gain, digits_for(gain)), f"{unit} more; p {chance(p)}", tone))
    sections = [_difference(study, context), _weights(study, context), _fills(study)]
    return page(context, "Quotes moved by signals", _verdict(study, context), cards, sections)


def _verdict(study: SignalStudy, context: Context) -> Verdict:
    alpha = 1 - context.ground.config.confidence
    if not any(lane.account.trades for lane in study.lanes):
        return Verdict("Nothing traded", ["No maker had an execution after the calibration."], "bad")
    better = [
        lane.name
        for lane, found, p in zip(study.skewed, study.differences, study.adjusted, strict=True)
        if found.difference.value > 0 and p < alpha and found.difference.enough
    ]
    worse = [
        lane.name
        for lane, found, p in zip(study.skewed, study.differences, study.adjusted, strict=True)
        if found.difference.value < 0 and p < alpha and found.difference.enough
    ]
    if better:
        headline, good = f"Signals help: {', '.join(better)} beat the plain maker beyond chance", True
    elif worse:
        headline, good = f"Signals hurt: {', '.join(worse)} lost to the plain maker beyond chance", False
    else:
        headline, good = "No signal beat the plain maker beyond chance", False
    reasons = [split_lead(study.plain, context.unit)]
    reasons += [_against(study, place, context.unit) for place in range(len(study.skewed))]
    reasons.append(
        f"Weights come from the first {seconds_text(study.calibration_s)}; nobody quoted before that was over. "
        f"p-values are corrected (Holm) for {plural(len(study.skewed), 'comparison')}."
    )
    return Verdict(headline, reasons, "good" if good else "bad" if worse else "warn")


def _against(study: SignalStudy, place: int, unit: str) -> str:
    lane, found, p = study.skewed[place], study.differences[place], study.adjusted[place]
    digits = digits_for(found.difference.value, found.difference.low)
    return (
        f"{lane.name}: {interval(found.difference, digits)} {unit} against plain, p {chance(p)}"
        f"{f' ({found.difference.note})' if found.difference.note else ''}."
    )


def _difference(study: SignalStudy, context: Context) -> Section:
    unit = context.unit
    ts = study.plain.account.equity["ts"].to_numpy()
    curves = {lane.name: lane.increments.cumsum() - study.plain.increments.cumsum() for lane in study.skewed}
    final = max(curves, key=lambda name: float(curves[name][-1]) if len(curves[name]) else -math.inf)
    items: list[Item] = [
        Figure(
            lane_equity(ts, curves, final, unit),
            "P&L more than the plain maker's",
            "Over the same events, bar by bar; zero is the maker without signals.",
            wide=True,
        ),
        split_figure(study.lanes, unit, "Where the P&L comes from", "Bars add up to the mark."),
        lane_table(study.lanes, unit, context.ground.quantity),
    ]
    rows = [
        [
            lane.name,
            interval(found.difference, digits_for(found.difference.value)),
            chance(found.p),
            chance(p),
            f"{found.block:,}",
        ]
        for lane, found, p in zip(study.skewed, study.differences, study.adjusted, strict=True)
    ]
    items.append(
        Table(
            ["maker", f"P&L more ({unit})", "p", "p, corrected", "bars a block"],
            rows,
            "Paired block bootstrap",
            "Both makers are resampled by the same blocks of time, so that what the market did to both cancels.",
            text_columns=["maker"],
            wide=True,
        )
    )
    intro = (
        "The same maker with and without a view: the mid around which it quotes is moved by what signals say the price "
        "will do next. What counts is the difference on the same events, and whether luck explains it."
    )
    return Section("difference", "With and without signals", intro, items)


def _weights(study: SignalStudy, context: Context) -> Section:
    config = context.ground.config
    rows = [
        [one.name, number(one.single, 4), number(one.joint, 4), number(one.correlation), number(one.later)]
        for one in study.weights
    ]
    lost = [
        one.name
        for one in study.weights
        if math.isfinite(one.later) and math.isfinite(one.correlation) and one.later * one.correlation < 0
    ]
    items: list[Item] = [
        Table(
            [
                "signal",
                "weight alone",
                "weight beside the others",
                "correlation, calibration",
                "correlation, afterwards",
            ],
            rows,
            "Weights",
            f"Ticks of the mid over the next {seconds_text(config.signal_horizon_s)} for one standard deviation of the "
            "signal, from the calibration alone.",
            text_columns=["signal"],
            wide=True,
        )
    ]
    if lost:
        items.insert(0, Note(f"{', '.join(lost)} changed sign after the calibration.", "warn"))
    intro = "How far a signal moves the quotes: by as many ticks as it foretold in the calibration, never by hindsight."
    return Section("weights", "What the signals foretold", intro, items)


def _fills(study: SignalStudy) -> Section:
    curves = {
        lane.name: points for lane in study.lanes for points in [markout_curves(lane.account).get("maker")] if points
    }
    intro = "A view should show after the fills: the mid should run less against a maker that leans the right way."
    if not curves:
        return Section("fills", "Fills", intro, [Note("No fill lived to a horizon.", "warn")])
    figure = Figure(draw.markouts(curves, "ticks", wide=True), "Mark-out by horizon",
                    "Means with bars of two standard errors.", wide=True)  # fmt: skip
    return Section("fills", "Fills", intro, [figure])
