"""Page of study 5: several makers in one queue."""

from __future__ import annotations

from marketprism.pipelines.backtest_sections.words import digits_for
from marketprism.pipelines.study_pages.parts import Context, lane_table, page, split_figure, split_lead, ticks_a_unit
from marketprism.pipelines.study_pages.race import duel_section, duel_sentence, race_section, race_sentence
from marketprism.pipelines.texts import chance, interval, number, plural, share
from marketprism.report.document import Card, Document, Figure, Item, Note, Section, Table, Verdict
from marketprism.report.figures import studies as draw
from marketprism.studies.competition import CompetitionStudy
from marketprism.studies.race import corrected_p

__all__ = ["competition_page", "competition_verdict"]


def competition_page(study: CompetitionStudy, context: Context) -> Document:
    """Lay out the page."""
    shares = study.shares(study.together)
    first = _first(shares)
    volume = [sum(lane.account.volume for lane in lanes) for lanes in (study.alone, study.together)]
    cards = [
        Card("Most of the spread", share(shares[first], 0), study.together[first].name),
        Card("Executions, each alone", f"{sum(lane.account.trades for lane in study.alone):,}", "all makers"),
        Card("Executions, together", f"{sum(lane.account.trades for lane in study.together):,}", "all makers"),
        Card("Volume left by sharing", share(volume[1] / volume[0], 0) if volume[0] else "–", "together over alone"),
    ]
    sections = [
        _spread(study, context, shares),
        _crowding(study, context),
        duel_section(study.duel_alone, study.duels, context, study.together[0].name),
        race_section(study.slow, context, slow=True),
        race_section(study.fast, context, slow=False),
        _latency(study, context),
    ]
    return page(context, "Several makers in one queue", competition_verdict(study, context), cards, sections)


def _first(shares: list[float]) -> int:
    return max(range(len(shares)), key=shares.__getitem__)


def competition_verdict(study: CompetitionStudy, context: Context) -> Verdict:
    """Say who earns the spread, and what latency does."""
    shares = study.shares(study.together)
    first = _first(shares)
    if not any(lane.account.trades for lane in study.together):
        return Verdict("Nothing traded", ["No maker had an execution."], "bad")
    winner = study.together[first]
    richest = max(study.together, key=lambda lane: lane.account.pnl)
    alone = sum(lane.account.volume for lane in study.alone)
    together = sum(lane.account.volume for lane in study.together)
    reasons = [
        split_lead(winner, context.unit),
        (f"Largest P&L: {richest.name}." if richest is not winner else f"{winner.name} also has the largest P&L."),
        (
            f"Alone, the makers would trade {number(alone, digits_for(alone))} {context.base} in all; in one queue "
            f"they trade {number(together, digits_for(together))}: the market's trades are shared, not copied."
        ),
        duel_sentence(study.duel_alone, study.duels),
        race_sentence(study.slow, context.ground.config, slow=True),
        _latency_sentence(study),
    ]
    lost = richest.account.pnl <= 0
    earners = sum(lane.account.spread_capture > 0 for lane in study.together)
    if earners > 1:
        name = f"{winner.name[:1].upper()}{winner.name[1:]}"
        headline = f"{name} earns {share(shares[first], 0)} of the spread"
    else:
        headline = f"Only {winner.name} captured any spread" if earners else "Nobody captured any spread"
    headline += "; nobody earns money" if lost else ""
    return Verdict(headline, reasons, "bad" if lost else "plain")


def _latency_sentence(study: CompetitionStudy) -> str:
    latencies = list(study.by_latency)
    fast, slow = study.by_latency[latencies[0]], study.by_latency[latencies[-1]]
    lost = [a.name for a, b in zip(fast, slow, strict=True) if b.account.pnl < a.account.pnl]
    fewer = sum(b.account.volume < a.account.volume for a, b in zip(fast, slow, strict=True))
    falls = f"{len(lost)}: {', '.join(lost)}" if lost else "none"
    return (
        f"From {latencies[0]:g} to {latencies[-1]:g} ms of latency for all alike, {fewer} of {len(fast)} makers trade "
        f"less, and P&L falls for {falls}."
    )


def _spread(study: CompetitionStudy, context: Context, shares: list[float]) -> Section:
    queues = [
        [
            lane.name,
            f"{lane.account.trades:,}",
            share(part),
            share(lane.account.fill_rate),
            number(lane.account.order_to_trade, 1),
            number(ticks_a_unit(lane.account.spread_capture, lane.account, context), 3),
        ]
        for lane, part in zip(study.together, shares, strict=True)
    ]
    table = Table(
        ["maker", "executions", "share of the spread", "fill rate", "requests each", "captured (ticks a unit)"],
        queues,
        "Who earns the spread",
        "All makers in one world: their orders stand in one queue behind and before those of the market.",
        text_columns=["maker"],
        wide=True,
    )
    figure = split_figure(
        study.together, context.unit, "Where the P&L comes from", "In one world. Bars add up to the mark."
    )
    intro = (
        "Five kinds of makers share one book: one keeps its place in the queue, one jumps ahead by a tick with small "
        "orders, one cancels and sends anew all the time, one quotes at a fixed distance, one lets its inventory "
        "decide."
    )
    numbers = lane_table(study.together, context.unit, context.ground.quantity)
    note = Note(
        "Makers see the book of the recording, not each other's quotes, which meet theirs in the exchange's queue: the "
        "queue jumper betters the market's best price, not that of another maker.",
        "plain",
    )
    return Section("spread", "Who earns the spread", intro, [table, note, figure, numbers])


def _crowding(study: CompetitionStudy, context: Context) -> Section:
    lanes = [*study.alone, *study.together]
    digits = digits_for(*(lane.account.pnl for lane in lanes), *(lane.account.spread_capture for lane in lanes))
    rows = [
        [
            alone.name,
            f"{alone.account.trades:,}",
            f"{together.account.trades:,}",
            share(together.account.volume / alone.account.volume if alone.account.volume else float("nan"), 0),
            number(alone.account.spread_capture, digits),
            number(together.account.spread_capture, digits),
            number(alone.account.pnl, digits),
            number(together.account.pnl, digits),
        ]
        for alone, together in zip(study.alone, study.together, strict=True)
    ]
    unit = context.unit
    table = Table(
        ["maker", "executions alone", "together", "volume kept", f"spread alone ({unit})", "together",
         f"P&L alone ({unit})", "together"],
        rows, "Alone and together", text_columns=["maker"], wide=True,
    )  # fmt: skip
    alone = sum(lane.account.volume for lane in study.alone)
    together = sum(lane.account.volume for lane in study.together)
    fewer = together < alone
    note = Note(
        f"The makers trade {share(together / alone, 0) if alone else '–'} of what they would trade alone: "
        + ("a trade that fills one of them cannot fill the next." if fewer else "here they hardly meet."),
        "plain",
    )
    intro = (
        "A backtest of one maker fills it with trades that a rival would have taken. Each maker alone and all of them "
        "in one queue, on the same events."
    )
    return Section("crowding", "Alone and together", intro, [note, table])


def _slower(study: CompetitionStudy, context: Context) -> Table:
    """Lay out whether the P&L at the highest latency is another one than at the lowest."""
    lowest, highest = (study.by_latency[f(study.by_latency)] for f in (min, max))
    digits = digits_for(*(lane.account.pnl for lane in [*lowest, *highest]))
    rows = [
        [
            fast.name,
            number(fast.account.pnl, digits),
            number(slow.account.pnl, digits),
            interval(more.difference, digits),
            chance(p),
        ]
        for fast, slow, more, p in zip(lowest, highest, study.slower, corrected_p(study.slower), strict=True)
    ]
    first, last = min(study.by_latency), max(study.by_latency)
    return Table(
        ["maker", f"P&L at {first:g} ms ({context.unit})", f"at {last:g} ms", "more", "p"],
        rows, "All fast, all slow",
        f"Paired block bootstrap over the same bars; p-values are corrected for {plural(len(rows), 'maker')} (Holm).",
        text_columns=["maker"], wide=True,
    )  # fmt: skip


def _latency(study: CompetitionStudy, context: Context) -> Section:
    latencies = list(study.by_latency)
    names = [lane.name for lane in study.together]
    pnl = {name: [study.by_latency[x][place].account.pnl for x in latencies] for place, name in enumerate(names)}
    spread = {name: [study.shares(study.by_latency[x])[place] for x in latencies] for place, name in enumerate(names)}
    intro = (
        "The same makers in one queue, all of them slower: nobody gains a place by it, and quotes stand longer after "
        "the price has moved away."
    )
    items: list[Item] = [
        Note(_latency_sentence(study), "plain"),
        Figure(draw.curves_by(latencies, pnl, "one-way latency (ms)", f"P&L ({context.unit})"), "P&L against latency",
               "All makers have the same latency.", wide=True),
        Figure(draw.curves_by(latencies, spread, "one-way latency (ms)", "share of the spread", percent=True),
               "Share of the spread against latency", "", wide=True),
        _slower(study, context),
    ]  # fmt: skip
    return Section("latency", "All slower alike", intro, items)
