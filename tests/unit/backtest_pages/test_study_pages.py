"""Pages of the study say what the numbers show: each verdict is tried with numbers that lead to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from marketprism.backtest.evidence import paired_pnl, track_records
from marketprism.evaluate.metric import Metric
from marketprism.pipelines.backtest_replay import increments_of
from marketprism.pipelines.backtest_sections.words import digits_for
from marketprism.pipelines.study_pages.competition import competition_page, competition_verdict
from marketprism.pipelines.study_pages.index import index_page
from marketprism.pipelines.study_pages.inventory import inventory_page
from marketprism.pipelines.study_pages.optimal import optimal_page
from marketprism.pipelines.study_pages.parts import Context, lane_summary, split_figure
from marketprism.pipelines.study_pages.race import (
    duel_section,
    duel_sentence,
    duel_summary,
    race_section,
    race_sentence,
    race_summary,
)
from marketprism.pipelines.study_pages.signals import signals_page
from marketprism.pipelines.study_pages.symmetric import symmetric_page
from marketprism.pipelines.texts import number
from marketprism.report.document import Document, Table
from marketprism.report.page import render_page
from marketprism.strategies.intensity import IntensityFit
from marketprism.studies.competition import CompetitionStudy
from marketprism.studies.config import StudyConfig
from marketprism.studies.control import inventory_control
from marketprism.studies.inventory import InventoryStudy
from marketprism.studies.lanes import Ground, Lane, Maker, increments
from marketprism.studies.optimal import ModelFit, OptimalStudy
from marketprism.studies.race import Duel, Entrant, Race
from marketprism.studies.signals import SignalStudy, SignalWeight
from marketprism.studies.standing import Standing
from marketprism.studies.symmetric import SymmetricStudy

Make = Callable[..., Lane]


@pytest.fixture(scope="module")
def make(account: Callable[..., Any]) -> Make:
    def build(name: str, **settings: Any) -> Lane:
        found = account(**settings)
        gained = increments_of(found)
        record = track_records([gained], replications=50)[0]
        control = inventory_control(found.equity["position"].to_numpy(), 1.0)
        return Lane(Maker(name, "symmetric", {"levels": 1}), found, gained, record, control)

    return build


@pytest.fixture(scope="module")
def context(market: Callable[..., Any]) -> Context:
    read = market()
    return Context(Ground(read.tape, StudyConfig(replications=50), 1.0), read, "sim:?seed=1", "USDT", "SIM")


def text(document: Document) -> str:
    assert render_page(document) == render_page(document)
    return " ".join([document.verdict.headline, *document.verdict.reasons])


def test_symmetric(make: Make, context: Context) -> None:
    tame, wild, idle = make("tame"), make("wild", wander=True, drift=0.5), make("idle", trades=0)
    limited = make("limited")
    both = symmetric_page(SymmetricStudy([tame, wild, idle], limited), context)
    assert "at 1 of 2 distances" in text(both)
    assert "at every distance" in text(symmetric_page(SymmetricStudy([wild], limited), context))
    assert "came back by itself" in text(symmetric_page(SymmetricStudy([tame], limited), context))
    nothing = symmetric_page(SymmetricStudy([idle], idle), context)
    assert nothing.verdict.tone == "bad"
    assert "Nothing traded" in text(nothing)
    assert SymmetricStudy([tame, idle], limited).busiest is tame


def fit(**quotes: Any) -> ModelFit:
    depths = np.array([0.5, 1.5, 2.5, 3.5])
    rates = np.array([0.5, 0.2, 0.08, 0.0])
    found = IntensityFit(0.8, 0.9, 0.3, 0.01, 0.02, 0.01, 500, 600.0, 599, depths, rates)
    return ModelFit(0.1, found if quotes else None, np.arange(-2, 3), quotes)


def test_optimal(make: Make, context: Context) -> None:
    drawn = fit(glft=(-np.ones(5), np.ones(5)))
    rich, poor, idle = make("rich", drift=0.05), make("poor", drift=-0.2), make("idle", trades=0)
    good = OptimalStudy({"glft": [rich, make("other", wander=True)]}, (0.1, 0.2), [poor], drawn)
    assert "more than luck explains: rich" in text(optimal_page(good, context))
    assert good.lanes[0] is poor
    assert "off by at most a factor" in render_page(optimal_page(good, context))
    rare = replace(drawn, intensity=replace(drawn.intensity, seconds=10.0))
    assert "Too few orders went" in render_page(optimal_page(replace(good, fit=rare), context))
    steep = replace(drawn, intensity=replace(drawn.intensity, k=3.0))
    assert "not exponential" in render_page(optimal_page(replace(good, fit=steep), context))
    assert "No solution earned" in text(optimal_page(OptimalStudy({"glft": [poor]}, (0.1,), [poor], drawn), context))
    lucky = min((make("lucky", drift=-0.012, seed=s) for s in range(8)), key=lambda lane: abs(lane.account.pnl))
    assert not lucky.record.pnl.star
    found = text(optimal_page(OptimalStudy({"glft": [lucky]}, (0.1,), [poor], drawn), context))
    assert ("luck explains it: lucky" in found) == (lucky.account.pnl > 0)
    nothing = optimal_page(OptimalStudy({"glft": [idle]}, (0.1,), [idle], fit()), context)
    assert "Nothing traded" in text(nothing)
    assert "to fit the model" in render_page(nothing)


def study_of(plain: Lane, *skewed: Lane, p: float) -> SignalStudy:
    pairs = [paired_pnl(lane.increments, plain.increments, replications=50) for lane in skewed]
    weights = [SignalWeight("ofi", 0.1, 0.2, 0.05, -0.01), SignalWeight("x", 0.0, 0.0, float("nan"), float("nan"))]
    return SignalStudy(plain, list(skewed), pairs, [p] * len(pairs), weights, 60.0)


def test_signals(make: Make, context: Context) -> None:
    plain, better, idle = make("plain", drift=-0.05), make("better", drift=0.05, seed=7), make("idle", trades=0)
    found = signals_page(study_of(plain, better, p=0.001), context)
    assert "Signals help: better" in text(found)
    assert "ofi changed sign" in render_page(found)
    assert "Signals hurt: plain" in text(signals_page(study_of(better, plain, p=0.001), context))
    assert "No signal beat" in text(signals_page(study_of(plain, better, p=0.4), context))
    nothing = signals_page(study_of(idle, idle, p=float("nan")), context)
    assert "Nothing traded" in text(nothing)
    assert "No fill lived" in render_page(nothing)


def test_inventory(make: Make, context: Context) -> None:
    free, held, idle = make("none", wander=True), make("limit"), make("idle", trades=0)
    pairs = [paired_pnl(held.increments, free.increments, replications=50)]
    found = inventory_page(InventoryStudy(free, [held], pairs), context)
    assert "1 of 1 controls hold less" in text(found)
    assert "Tightest: limit" in text(found)
    assert InventoryStudy(free, [held], pairs).lanes == [free, held]
    assert "Nothing traded" in text(inventory_page(InventoryStudy(idle, [idle], pairs), context))


def race_of(*pairs: tuple[Lane, Lane], p: float = 0.001) -> Race:
    """Each maker as an equal, and at the largest difference."""
    entrants = {}
    for equal, odd in pairs:
        found = [paired_pnl(increments(odd.account, of), increments(equal.account, of), replications=50)
                 for of in ("equity", "spread_capture")]  # fmt: skip
        first = Entrant(equal.maker, 1.0, 1.0, equal.account, Standing(10, 0.5))
        last = Entrant(equal.maker, 50.0, 1.0, odd.account, Standing(8, 0.9), found[0], found[1], p, p)
        entrants[equal.name] = [first, last]
    return Race((1.0, 50.0), entrants)


def duel_of(first: Lane, second: Lane, latency: float, part: float) -> Duel:
    pair = paired_pnl(first.increments, second.increments, replications=50)
    share = Metric(value=part, low=part - 0.01, high=part + 0.01, n=600, blocks=60, null=0.5)
    return Duel((1.0, latency), (first.account, second.account), share, pair, 500.0, 0.9)


def study_of_makers(alone: list[Lane], together: list[Lane], by_latency: dict[float, list[Lane]]) -> CompetitionStudy:
    one = together[0]
    race = race_of(*((lane, lane) for lane in together))
    duels = [duel_of(one, one, 1.0, 0.5), duel_of(one, one, 50.0, 0.41)]
    first, last = by_latency[min(by_latency)], by_latency[max(by_latency)]
    slower = [paired_pnl(b.increments, a.increments, replications=50) for a, b in zip(first, last, strict=True)]
    return CompetitionStudy(alone, together, by_latency, slower, race, race, one.account, duels)


def test_competition(make: Make, context: Context) -> None:
    first, second = make("keeper", drift=0.1), make("jumper", drift=-0.3, seed=5, trades=100)
    by_latency = {1.0: [first, first], 50.0: [second, second]}
    study = study_of_makers([first, first], [first, second], by_latency)
    page = competition_page(study, context)
    found = text(page)
    assert "of the spread" in found
    assert "shared, not copied" in found
    assert "2 of 2 makers trade less, and P&L falls for 2: keeper, keeper" in found
    assert "the twin has 50.0% [49.0%, 51.0%] of it, at 50 ms against 1 ms 41.0% [40.0%, 42.0%]" in found
    assert "betters the market" in render_page(page)
    table = page.sections[5].items[-1]
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["keeper", "keeper"]
    gained = second.account.pnl - first.account.pnl
    assert table.rows[0][3].startswith(number(gained, digits_for(gained)))
    assert sum(study.shares(study.together)) == pytest.approx(1)
    poor = study_of_makers([second], [second], {1.0: [second]})
    assert "nobody earns money" in competition_verdict(poor, context).headline
    against = replace(second, account=replace(second.account, spread_capture=-1.0))
    one = study_of_makers([first, against], [first, against], {1.0: [first, against]})
    assert "Only keeper captured any spread" in competition_verdict(one, context).headline
    assert "Spread capture below zero" in split_figure([first, against], "USDT", "", "").caption
    assert "below zero" not in split_figure([first], "USDT", "", "").caption
    none = study_of_makers([against], [against], {1.0: [against]})
    assert "Nobody captured any spread" in competition_verdict(none, context).headline
    idle = make("idle", trades=0)
    nothing = study_of_makers([idle], [idle], {1.0: [idle]})
    assert "Nothing traded" in competition_verdict(nothing, context).headline
    assert "did not trade" in duel_sentence(nothing.duel_alone, nothing.duels)
    assert nothing.shares([idle]) == [0.0]
    assert lane_summary(first)["controlled"]


def test_what_a_race_says(make: Make, context: Context) -> None:
    rich, poor = make("rich", drift=0.3), make("poor", drift=-0.3, seed=3)
    slower = make("rich", drift=-0.1, trades=100)
    rich_too = replace(rich, maker=replace(rich.maker, name="rich too"))
    better = make("poor", drift=-0.1, seed=3, trades=200)
    race = race_of((rich, slower), (poor, better))
    sure = StudyConfig()
    said = race_sentence(race, sure, slow=True)
    assert "At 50 ms among makers at 1 ms, a maker trades 25% to 50% of what it trades as an equal" in said
    assert "P&L is lower for rich and higher for poor beyond chance" in said
    assert "lose money" not in said
    assert "P&L is lower for all beyond chance" in race_sentence(
        race_of((rich, slower), (rich_too, slower)), sure, slow=True
    )
    by_chance = race_sentence(race_of((rich, slower), (poor, better), p=0.2), sure, slow=False)
    assert by_chance.startswith("At 1 ms among makers at 50 ms")
    assert "P&L is no different beyond chance" in by_chance
    assert "As equals 1 of 1 lose money" in race_sentence(race_of((poor, better)), sure, slow=True)
    section = race_section(race, context, slow=True)
    worth = section.items[-1]
    assert isinstance(worth, Table)
    assert [row[0] for row in worth.rows] == ["rich", "poor"]
    assert "2 makers" in worth.caption
    few = StudyConfig(replications=30)
    assert "30 replications are too few to call any of 2 differences" in race_sentence(race, few, slow=True)
    assert "too few" not in said
    (entrants,) = ([found[0]] for found in race.entrants.values() if found[0].maker.name == "rich")
    single = Race((1.0,), {"rich": entrants})
    assert "one latency only" in race_sentence(single, sure, slow=True)
    assert not [item for item in race_section(single, context, slow=False).items if item.kind == "note"][1:]
    plain = race_summary(race)
    assert [(one["name"], one["own_ms"], one["behind_a_maker"]) for one in plain][:2] == [
        ("rich", 1.0, 0.5),
        ("rich", 50.0, 0.9),
    ]
    assert plain[0]["pnl_more"] is None
    assert plain[1]["pnl_more"]["p_corrected"] == 0.001


def test_twins(make: Make, context: Context) -> None:
    one, other = make("one"), make("other", trades=300)
    duels = [duel_of(one, other, 1.0, 300 / 700)]
    assert duel_sentence(one.account, duels).endswith("of it.")
    table = duel_section(one.account, duels, context, "keeper").items[2]
    assert isinstance(table, Table)
    assert [row[1] for row in table.rows] == ["400", "400"]
    assert table.rows[1][3] == "175%"
    summary = duel_summary(one.account, duels)
    assert summary["duels"][0]["twin_share"]["value"] == pytest.approx(3 / 7)
    assert summary["alone"]["trades"] == 400


def test_the_currency_of_equities(market: Callable[..., Any]) -> None:
    read = market()
    assert (read.currency(inverse=False), read.currency(inverse=True)) == ("USDT", "SIM")
    known = {"nasdaq": "USD", "sse": "CNY", "mars": "quote currency"}
    for exchange, currency in known.items():
        stock = replace(read, instrument=structs.replace(read.instrument, exchange=exchange, symbol="GOOG"))
        assert stock.currency(inverse=False) == currency


def test_the_page_says_how_distances_were_chosen(make: Make, context: Context) -> None:
    study = SymmetricStudy([make("tame")], make("limited"))
    html = render_page(symmetric_page(study, context))
    assert "0.5, 1, 2, 4 ticks" in html
    assert "to span them" in html
    assert "four times the volatility" in html
    config = context.ground.config.replace(half_spreads=(3.0,))
    given = replace(context, ground=replace(context.ground, config=config, distances=(3.0,)))
    html = render_page(symmetric_page(study, given))
    assert "3 ticks" in html
    assert "the settings" in html
    assert "four times the volatility" not in html


def test_the_index_links_every_page(make: Make, context: Context) -> None:
    one = symmetric_page(SymmetricStudy([make("tame")], make("limited")), context)
    html = render_page(index_page({"symmetric": one}, context))
    assert 'href="symmetric.html"' in html
    assert one.verdict.headline in html
