"""Sections of study 5 on makers of different latency."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from marketprism.backtest.evidence import PairedPnl
from marketprism.backtest.result import AccountReport
from marketprism.pipelines.backtest_sections.words import digits_for
from marketprism.pipelines.backtest_summary import account_summary
from marketprism.pipelines.study_pages.parts import Context, ticks_a_unit
from marketprism.pipelines.texts import chance, interval, number, plural, share
from marketprism.report.document import Figure, Item, Note, Section, Table
from marketprism.report.figures import studies as draw
from marketprism.studies.config import StudyConfig
from marketprism.studies.race import RANDOM_MS, Duel, Entrant, Race

__all__ = ["duel_section", "duel_sentence", "duel_summary", "race_section", "race_sentence", "race_summary"]


def _kept(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def race_sentence(race: Race, config: StudyConfig, *, slow: bool) -> str:
    """Say what being the odd one out does to what makers trade and earn."""
    sure, replications = config.confidence, config.replications
    pairs = [(found[0], found[-1]) for found in race.entrants.values() if len(found) > 1]
    if not pairs:
        return "There is one latency only: nobody is slower than the others."
    kept = [_kept(last.account.volume, first.account.volume) for first, last in pairs]
    known = sorted(value for value in kept if math.isfinite(value))
    lowest, highest = race.latencies_ms[0], race.latencies_ms[-1]
    own, others = (highest, lowest) if slow else (lowest, highest)
    traded = f"{share(known[0], 0)} to {share(known[-1], 0)}" if known else "nothing"
    said = f"At {own:g} ms among makers at {others:g} ms, a maker trades {traded} of what it trades as an equal."
    for what, of, p in (("Spread capture", "spread_more", "spread_p"), ("P&L", "pnl_more", "pnl_p")):
        lower, higher = (
            [
                last.maker.name
                for _, last in pairs
                if sign * getattr(last, of).difference.value > 0 and getattr(last, p) < 1 - sure
            ]
            for sign in (-1, 1)
        )
        parts = [
            f"{word} for {'all' if len(names) == len(pairs) > 1 else ', '.join(names)}"
            for word, names in (("lower", lower), ("higher", higher))
            if names
        ]
        said += f" {what} is {' and '.join(parts) or 'no different'} beyond chance."
    if len(pairs) / (replications + 1) >= 1 - sure:
        said += f" {replications} replications are too few to call any of {len(pairs)} differences more than chance."
    losers = sum(first.account.pnl < 0 for first, _ in pairs)
    if slow and losers > len(pairs) / 2:
        said += (
            f" As equals {losers} of {len(pairs)} lose money on what they trade: those who trade less can lose less."
        )
    return said


def race_section(race: Race, context: Context, *, slow: bool) -> Section:
    """Lay out one slow maker among fast ones, or one fast one among slow ones."""
    lowest = race.latencies_ms[0]
    if slow:
        slug, title = "slow", "One slow among fast ones"
        intro = (
            f"All five in one queue. One of them gets slower, the others stay at {lowest:g} ms: five worlds at each "
            "latency, another maker the slow one in each. Lines: the slow one."
        )
        across = "one-way latency of the slow one (ms)"
    else:
        slug, title = "fast", "One fast among slow ones"
        intro = (
            f"The reverse: one maker stays at {lowest:g} ms, the other four get slower. What it gains is what they "
            "lose in the queue. Lines: the fast one."
        )
        across = "one-way latency of the others (ms)"
    figure = Figure(
        draw.panels(race.latencies_ms, _panels(race, context, slow), across), "The odd one out",
        "As an equal: where all have the lowest latency. Intervals: "
        f"{share(context.ground.config.confidence, 0)}, paired block bootstrap over the same bars. Panels that do not "
        "begin at zero show differences larger than they are.", wide=True,
    )  # fmt: skip
    note = Note(race_sentence(race, context.ground.config, slow=slow), "plain")
    worth = _worth(race, context)
    items: list[Item] = [note, figure, _places(race, context, slow), *([worth] if worth else [])]
    return Section(slug, title, intro, items)


def _panels(race: Race, context: Context, slow: bool) -> list[draw.Panel]:
    def curves(value: Callable[[Entrant], float]) -> dict[str, list[float]]:
        return {name: [value(one) for one in found] for name, found in race.entrants.items()}

    def low_high(one: Entrant) -> tuple[float, float]:
        found = one.pnl_more
        return (math.nan, math.nan) if found is None else (found.difference.low, found.difference.high)

    def more(title: str, of: str) -> draw.Panel:
        def low_high(one: Entrant) -> tuple[float, float]:
            found: PairedPnl | None = getattr(one, of)
            return (math.nan, math.nan) if found is None else (found.difference.low, found.difference.high)

        return draw.Panel(
            f"{title} more than as an equal ({context.unit})",
            curves(lambda one: 0.0 if getattr(one, of) is None else getattr(one, of).difference.value),
            {name: [low_high(one) for one in found] for name, found in race.entrants.items()},
        )

    equal = {name: found[0].account.volume for name, found in race.entrants.items()}
    result = [
        draw.Panel(
            "volume, of that as an equal",
            curves(lambda one: _kept(one.account.volume, equal[one.maker.name])),
            percent=True,
        ),
        more("spread", "spread_more"),
        more("P&L", "pnl_more"),
    ]
    if not slow:
        return result
    size = context.ground.quantity
    return [
        *result,
        draw.Panel("orders executed (fill rate)", curves(lambda one: one.account.fill_rate), percent=True),
        draw.Panel("joins a queue behind another maker", curves(lambda one: one.standing.behind), percent=True),
        draw.Panel("market's queue ahead on joining (orders)", curves(lambda one: _ahead(one.account, size))),
        draw.Panel(
            "spread captured (ticks a unit)",
            curves(lambda one: ticks_a_unit(one.account.spread_capture, one.account, context)),
        ),
        draw.Panel(
            "adverse selection (ticks a unit)",
            curves(lambda one: ticks_a_unit(one.account.adverse_selection, one.account, context)),
        ),
        draw.Panel(
            "both together (ticks a unit)",
            curves(
                lambda one: ticks_a_unit(
                    one.account.spread_capture + one.account.adverse_selection, one.account, context
                )
            ),
        ),
    ]


def _ahead(account: AccountReport, size: float) -> float:
    return account.queue.get("ahead_mean", math.nan) / size


def _difference(found: PairedPnl | None, digits: int) -> str:
    return "–" if found is None else interval(found.difference, digits)


def _places(race: Race, context: Context, slow: bool) -> Table:
    """Lay out where each maker stands as an equal and at the largest difference."""
    rows = [
        [
            one.maker.name,
            f"{one.own_ms if slow else one.others_ms:g}",
            f"{one.account.trades:,}",
            share(_kept(one.account.volume, found[0].account.volume), 0),
            share(one.account.fill_rate, 0),
            number(_ahead(one.account, context.ground.quantity), 2),
            share(one.standing.behind, 0),
            number(ticks_a_unit(one.account.spread_capture, one.account, context), 2),
            number(ticks_a_unit(one.account.adverse_selection, one.account, context), 2),
        ]
        for found in race.entrants.values()
        for one in (found[:1] if len(found) == 1 else [found[0], found[-1]])
    ]
    return Table(
        ["maker", "its ms" if slow else "others' ms", "fills", "volume", "fill rate", "queue ahead", "behind a maker",
         "spread (ticks)", "adverse (ticks)"],
        rows, "As an equal, and at the largest difference",
        "Volume: of that as an equal. Queue ahead: of the market's quantity, in orders, on joining. Behind a maker: "
        "share of joins. Spread and adverse selection: for each unit traded. All latencies are in summary.json.",
        text_columns=["maker"], wide=True,
    )  # fmt: skip


def _worth(race: Race, context: Context) -> Table | None:
    """Lay out what the largest difference is worth."""
    pairs = [(found[0], found[-1]) for found in race.entrants.values() if len(found) > 1]
    rows = []
    spread_digits = digits_for(*(first.account.spread_capture for first, _ in pairs))
    digits = digits_for(*(first.account.pnl for first, _ in pairs))
    for first, last in pairs:
        if last.pnl_more is not None and last.spread_more is not None:
            rows.append(
                [
                    last.maker.name,
                    number(first.account.spread_capture, spread_digits),
                    interval(last.spread_more.difference, spread_digits),
                    chance(last.spread_p),
                    number(first.account.pnl, digits),
                    interval(last.pnl_more.difference, digits),
                    chance(last.pnl_p),
                ]
            )
    unit = context.unit
    return None if not rows else Table(
        ["maker", f"spread as an equal ({unit})", "more at the largest", "p", f"P&L as an equal ({unit})",
         "more at the largest", "p"],
        rows, "What the largest difference is worth",
        f"Paired block bootstrap over the same bars; p-values are corrected for {plural(len(rows), 'maker')} (Holm).",
        text_columns=["maker"], wide=True,
    )  # fmt: skip


def duel_sentence(alone: AccountReport, duels: list[Duel]) -> str:
    """Say how two of a kind share the queue."""
    equal, last = duels[0], duels[-1]
    if not alone.volume or not equal.volume:
        return "The maker and its twin did not trade."
    said = (
        f"A maker and its twin together trade {number(equal.volume / alone.volume, 2)} times what one of them trades "
        f"alone, not twice as much; as equals the twin has {_percent(equal)} of it"
    )
    if last is equal:
        return f"{said}."
    return (
        f"{said}, at {last.latencies_ms[1]:g} ms against {last.latencies_ms[0]:g} ms {_percent(last)}: where both are "
        f"at the same price, the faster one stands ahead {share(last.first, 0)} of the time."
    )


def _percent(duel: Duel) -> str:
    found = duel.share
    return f"{share(found.value)} [{share(found.low)}, {share(found.high)}]"


def duel_section(alone: AccountReport, duels: list[Duel], context: Context, name: str) -> Section:
    """Lay out two makers that differ in latency alone."""
    unit, base = context.unit, context.base
    digits = digits_for(*(duel.pnl.difference.value for duel in duels), alone.pnl)
    lowest = duels[0].latencies_ms[0]
    rows = [["–", f"{alone.trades:,}", "–", "100%", "–", "–", "–", "–", "–"]]
    rows += [
        [
            f"{duel.latencies_ms[1]:g}",
            f"{duel.accounts[0].trades:,}",
            f"{duel.accounts[1].trades:,}",
            share(_kept(duel.volume, alone.volume), 0),
            _percent(duel),
            number(duel.met_s, 0),
            share(duel.first, 0),
            interval(duel.pnl.difference, digits),
            chance(duel.pnl.p),
        ]
        for duel in duels
    ]
    table = Table(
        ["twin's ms", "fills", "twin's fills", "both, of one alone", "twin's share", "met (s)", "first ahead",
         f"P&L more ({unit})", "p"],
        rows, "Two of a kind",
        f"The first always at {lowest:g} ms. Both, of one alone: volume; twin's share: of that volume. Met: time at "
        "the same price, both sides of the book added up; first ahead: share of it. Slow quotes are ahead where the "
        "price comes back before they were moved. P&L: of the first less the twin's. Intervals: blocks of bars, drawn "
        "for both together; p-values each by itself.",
        wide=True,
    )  # fmt: skip
    names = ["alone", *(f"twin at {duel.latencies_ms[1]:g} ms" for duel in duels)]
    parts = {
        f"first, {lowest:g} ms": [alone.volume, *(duel.accounts[0].volume for duel in duels)],
        "twin": [0.0, *(duel.accounts[1].volume for duel in duels)],
    }
    figure = Figure(
        draw.stacked_volumes(names, parts, alone.volume, f"volume ({base})"), "One queue, two makers",
        "Dashed: what one trades alone. Dotted: twice that, what two backtests of one maker each would report.",
        wide=True,
    )  # fmt: skip
    random_ms = max(RANDOM_MS, context.ground.config.market.jitter_ms)
    interval_ms = context.ground.config.interval_ms
    when = f"at the same instants, every {interval_ms:g} ms" if interval_ms else "at every event"
    intro = (
        f"The {name} and a twin: same quotes, same size, same world; the twin gets slower. Two alike split the fills "
        "evenly, and what one gets the other does not."
    )
    items: list[Item] = [
        Note(duel_sentence(alone, duels), "plain"),
        figure,
        table,
        Note(
            f"Latency here is of messages. All makers hear the feed at the same time and decide {when}, so that the "
            "least lead wins each race to a new price; more of it only lengthens how long quotes stand after the price "
            f"has moved. Every message takes a random time of {random_ms:g} ms on average on top: equals are served in "
            "random order.",
            "plain",
        ),
    ]
    return Section("twins", "Two of a kind", intro, items)


def race_summary(race: Race) -> list[dict[str, Any]]:
    """Return every entrant as plain data."""
    return [
        {
            "name": one.maker.name,
            "own_ms": one.own_ms,
            "others_ms": one.others_ms,
            **account_summary(one.account),
            "queue_ahead": one.account.queue.get("ahead_mean", math.nan),
            "joins": one.standing.joins,
            "behind_a_maker": one.standing.behind,
            "spread_more": _plain(one.spread_more, one.spread_p),
            "pnl_more": _plain(one.pnl_more, one.pnl_p),
        }
        for found in race.entrants.values()
        for one in found
    ]


def _plain(found: PairedPnl | None, corrected: float) -> dict[str, Any] | None:
    if found is None:
        return None
    return {**found.difference.to_mapping(), "p": found.p, "p_corrected": corrected}


def duel_summary(alone: AccountReport, duels: list[Duel]) -> dict[str, Any]:
    """Return the twins as plain data."""
    return {
        "alone": account_summary(alone),
        "duels": [
            {
                "latencies_ms": list(duel.latencies_ms),
                "first": account_summary(duel.accounts[0]),
                "twin": account_summary(duel.accounts[1]),
                "twin_share": duel.share.to_mapping(),
                "at_one_price_s": duel.met_s,
                "first_ahead": duel.first,
                "pnl_first_less_twin": {**duel.pnl.difference.to_mapping(), "p": duel.pnl.p},
            }
            for duel in duels
        ],
    }
