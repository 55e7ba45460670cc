"""The backtest page says what the numbers show, and nothing traded is said loudly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from marketprism.ingest.source import IngestReport, Rejection
from marketprism.pipelines.backtest_config import BacktestConfig
from marketprism.pipelines.backtest_document import backtest_document, backtest_headline
from marketprism.pipelines.backtest_replay import Replay
from marketprism.pipelines.backtest_summary import backtest_summary
from marketprism.report.document import Document, Note, Section
from marketprism.report.page import render_page

Build = Callable[..., Any]


def section(document: Document, slug: str) -> Section:
    return next(one for one in document.sections if one.slug == slug)


def notes(part: Section) -> str:
    return " ".join(item.text for item in part.items if isinstance(item, Note))


def test_a_page_has_every_section_and_is_the_same_each_time(replay: Build) -> None:
    document = backtest_document(replay())
    slugs = [one.slug for one in document.sections]
    assert slugs == ["pnl", "inventory", "markouts", "orders", "assumptions", "definitions"]
    html = render_page(document)
    assert html == render_page(backtest_document(replay()))
    assert "From spread to pocket" in html
    assert not re.search(r"""(?:src|href)="(?!#)[^"]*\"""", re.sub(r"""xlink:href|xmlns(:\w+)?="[^"]*\"""", "", html))


def test_lanes_get_a_section_with_a_warning(replay: Build, account: Build) -> None:
    found: Replay = replay([account(lane) for lane in range(3)])
    document = backtest_document(found)
    assert "lanes" in [one.slug for one in document.sections]
    said = notes(section(document, "lanes"))
    assert "of 3 trials in this replay" in said
    assert "luck" in said
    assert "gamma 0." in said
    table = next(item for item in section(document, "lanes").items if item.kind == "table")
    assert [row[0].startswith("★") for row in table.rows].count(True) == 1
    assert table.rows[found.best][0].startswith("★")


def test_the_number_of_trials_in_the_ledger_deflates(replay: Build) -> None:
    one, many = replay(), replay(trials=500, ledger=True)
    assert many.records[0].luckiest > one.records[0].luckiest == 0.0
    assert many.records[0].dsr <= one.records[0].dsr
    assert "After 500 trials" in " ".join(backtest_document(many).verdict.reasons)
    assert "run ledger" in render_page(backtest_document(many))


@pytest.mark.parametrize(
    ("drift", "trades", "headline"),
    [
        (0.05, 400, "more than luck"),
        (0.0, 20, "Too little to judge: 20 executions"),
        (-0.1, 400, "It lost money"),
        (0.0, 0, "Nothing traded"),
    ],
)
def test_headlines(replay: Build, account: Build, drift: float, trades: int, headline: str) -> None:
    assert headline in backtest_headline(replay([account(drift=drift, trades=trades)]))[0]


def test_luck_is_not_ruled_out_near_zero(replay: Build, account: Build) -> None:
    found = {
        backtest_headline(replay([account(drift=d, seed=s)]))[0] for d, s in ((-0.008, 1), (-0.012, 2), (-0.006, 3))
    }
    assert any("luck" in one for one in found)


@pytest.mark.parametrize(
    ("orders", "why"),
    [([(0, "rejected", "position_limit")] * 3, "most often for: position limit"), ([(0, "new", "none")], "too far")],
)
def test_nothing_traded_says_why(replay: Build, account: Build, orders: list[Any], why: str) -> None:
    document = backtest_document(replay([account(trades=0)], orders=orders))
    assert document.verdict.tone == "bad"
    assert why in " ".join(document.verdict.reasons)
    assert "Nothing traded" in notes(section(document, "pnl"))
    assert "Nothing traded" in notes(section(document, "inventory"))
    assert "No fill" in notes(section(document, "markouts"))
    render_page(document)


def test_a_strategy_that_sent_nothing(replay: Build, account: Build) -> None:
    idle = replace(account(trades=0), orders=0, queue={"requests": 0.0})
    document = backtest_document(replay([idle, idle], orders=[]))
    assert "no request at all" in " ".join(document.verdict.reasons)
    assert "None of 2 lanes" in " ".join(document.verdict.reasons)


def test_refusals_are_listed_and_said_when_many(replay: Build) -> None:
    many = [(0, "rejected", "off_grid")] * 500 + [(0, "expired", "would_take")] * 3
    part = section(backtest_document(replay(orders=many)), "orders")
    assert "500 requests of" in notes(part)
    table = next(item for item in part.items if item.kind == "table" and item.title.startswith("Refused"))
    assert table.rows[0] == ["the price is no multiple of the tick", "rejected", "500"]


def test_what_was_read_and_assumed_is_told(replay: Build) -> None:
    rejected = IngestReport()
    rejected.rejected["price not positive"] = Rejection(count=2)
    config = BacktestConfig.from_mapping(
        {
            "replications": 50,
            "market": {"queue": "power", "cancel_latency_ms": 3, "jitter_ms": 2, "fill_on_cross": True},
            "risk": {"max_position": 5},
        }
    )
    found = replay(ingest=rejected, config=config, gaps=2, shift_ns=5 * 10**9, worst_latency_ns=-4 * 10**9)
    document = backtest_document(found)
    said = notes(section(document, "assumptions"))
    for part in ("No fees", "2 gaps", "2 records", "5.0 s"):
        assert part in said
    page = render_page(document)
    for part in ("power, exponent 2", "3 ms", "max_position", "fill on cross"):
        assert part in page
    assert "2 gaps in the data" in " ".join(document.verdict.reasons)


def test_the_summary_has_the_public_keys_and_no_nan(replay: Build, account: Build) -> None:
    found = backtest_summary(replay([account(0), account(1)]))
    for key in (
        "pnl", "spread_capture", "inventory_pnl", "adverse_selection", "fees", "funding", "trades", "max_drawdown",
        "sharpe", "fill_rate", "order_to_trade", "lanes", "config", "gaps", "facts", "hashes",
    ):  # fmt: skip
        assert key in found
    assert len(found["lanes"]) == 2
    assert found["pnl"] == max(lane["pnl"] for lane in found["lanes"])
    json.loads(msgspec.json.encode(found))
    assert found["sharpe"]["trade"] is None
    assert not found["nothing_traded"]


def test_a_bet_on_the_price_is_called_one(replay: Build, account: Build) -> None:
    said = notes(section(backtest_document(replay([account(drift=0.5)])), "pnl"))
    assert "bet on the price" in said


def test_adverse_selection_beyond_the_spread_is_told(replay: Build, account: Build) -> None:
    eaten = replace(account(), adverse_selection=-3 * account().spread_capture)
    assert "took back 3.0 times" in notes(section(backtest_document(replay([eaten])), "pnl"))


def test_a_wandering_position_is_told(replay: Build, account: Build) -> None:
    wild = backtest_document(replay([account(wander=True)]))
    assert "does not come back" in notes(section(wild, "inventory"))
    tame = backtest_document(replay([account()]))
    assert "comes back" in notes(section(tame, "inventory"))
