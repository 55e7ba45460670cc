"""Pages of the study say what the numbers show: each verdict is tried with numbers that lead to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from marketprism.backtest.evidence import paired_pnl, track_records
from marketprism.pipelines.backtest_replay import increments_of
from marketprism.pipelines.study_pages.competition import competition_page
from marketprism.pipelines.study_pages.index import index_page
from marketprism.pipelines.study_pages.inventory import inventory_page
from marketprism.pipelines.study_pages.optimal import optimal_page
from marketprism.pipelines.study_pages.parts import Context, lane_summary
from marketprism.pipelines.study_pages.signals import signals_page
from marketprism.pipelines.study_pages.symmetric import symmetric_page
from marketprism.report.document import Document
from marketprism.report.page import render_page
from marketprism.strategies.intensity import IntensityFit
from marketprism.studies.competition import CompetitionStudy
from marketprism.studies.config import StudyConfig
from marketprism.studies.control import inventory_control
from marketprism.studies.inventory import InventoryStudy
from marketprism.studies.lanes import Ground, Lane, Maker
from marketprism.studies.optimal import ModelFit, OptimalStudy
from marketprism.studies.signals import SignalStudy, SignalWeight
from marketprism.studies.symmetric import SymmetricStudy

Make = Callable[..., Lane]


@pytest.fixture(scope="module")
def make(account: Callable[..., Any]) -> Make:
    def build(name: str, **settings: Any) -> Lane:
        found = account(**settings)
        increments = increments_of(found)
        record = track_records([increments], replications=50)[0]
        control = inventory_control(found.equity["position"].to_numpy(), 1.0)
        return Lane(Maker(name, "symmetric", {"levels": 1}), found, increments, record, control)

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


def test_competition(make: Make, context: Context) -> None:
    first, second = make("keeper", drift=0.1), make("jumper", drift=-0.3, seed=5, trades=100)
    study = CompetitionStudy([first, first], [first, second], {1.0: [first, second], 50.0: [second, second]})
    found = text(competition_page(study, context))
    assert "of the spread" in found
    assert "shared, not copied" in found
    assert "P&L falls for 1 of 2 makers: keeper" in found
    assert sum(study.shares(study.together)) == pytest.approx(1)
    poor = CompetitionStudy([second], [second], {1.0: [second]})
    assert "nobody earns money" in text(competition_page(poor, context))
    against = replace(second, account=replace(second.account, spread_capture=-1.0))
    one = CompetitionStudy([first, against], [first, against], {1.0: [first, against]})
    assert "Only keeper captured any spread" in text(competition_page(one, context))
    none = CompetitionStudy([against], [against], {1.0: [against]})
    assert "Nobody captured any spread" in text(competition_page(none, context))
    idle = make("idle", trades=0)
    nothing = CompetitionStudy([idle], [idle], {1.0: [idle]})
    assert "Nothing traded" in text(competition_page(nothing, context))
    assert nothing.shares([idle]) == [0.0]
    assert lane_summary(first)["controlled"]


def test_the_index_links_every_page(make: Make, context: Context) -> None:
    one = symmetric_page(SymmetricStudy([make("tame")], make("limited")), context)
    html = render_page(index_page({"symmetric": one}, context))
    assert 'href="symmetric.html"' in html
    assert one.verdict.headline in html
