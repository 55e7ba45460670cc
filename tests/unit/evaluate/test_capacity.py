"""The waterfall sums exactly, and the limits of size are where a re-simulation at that size says they are."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import polars as pl
import pytest

from marketprism.core.errors import ConfigError
from marketprism.evaluate import CostConfig, JudgeConfig, judge
from marketprism.evaluate.capacity import CapacityConfig, assess_capacity
from marketprism.evaluate.case import Case
from marketprism.evaluate.economics import COST_PARTS
from marketprism.labels.config import LabelConfig
from marketprism.models.baselines import ModelConfig
from marketprism.pipelines.judgement_sections.capacity import capacity_section

STEPS = ("paper_bps", "latency_bps", *(f"{part}_bps" for part in COST_PARTS))


def with_costs(case, **changes):
    """The same judgement with other costs; what was measured with the old ones is not read here."""
    config = case.judgement.config.replace(costs=case.judgement.config.costs.replace(**changes).to_mapping())
    return Case(case.frame, dataclasses.replace(case.judgement, config=config), case.instruments, case.mids)


def with_trades(case):
    rng = np.random.default_rng(0)
    return dataclasses.replace(
        case, frame=case.frame.with_columns(notional=pl.Series(rng.uniform(5e5, 2e6, case.frame.height)))
    )


@pytest.fixture(scope="module")
def cheap(case):
    """Costs low enough for the planted signal to pay."""
    return with_costs(with_trades(case), fee_bps=0.0, half_spread_bps=0.05)


def total(case, name):
    return 1e4 * float(case.trading(name).net.sum())


def test_waterfall_sums_to_net(case):
    paid = with_costs(with_trades(case), slippage_bps=0.3, notional=2e4, latency_ms=2000)
    found = assess_capacity(paid)
    for row in found.waterfall.iter_rows(named=True):
        assert math.fsum(row[step] for step in STEPS) == row["net_bps"]
        assert row["net_bps"] == pytest.approx(total(paid, row["model"]), rel=1e-12)
        assert row["slippage_bps"] == pytest.approx(-0.3 * row["traded"])
        assert row["fee_bps"] == pytest.approx(-5.0 * row["traded"])
        assert row["impact_bps"] < 0
        assert row["latency_bps"] < 0
    assert found.notional == 2e4
    book = paid.trading("logistic")
    assert found.costs["logistic"]["break_even_bps"].value == pytest.approx(1e4 * book.gross.sum() / book.traded.sum())
    assert found.costs["logistic"]["paid_bps"].value == pytest.approx(1e4 * book.cost.sum() / book.traded.sum())


def test_paper_is_filled_at_the_decision(case):
    instant = with_costs(case, latency_ms=0.0)
    found = assess_capacity(instant).waterfall.row(0, named=True)
    late = assess_capacity(with_costs(case, latency_ms=10_000.0)).waterfall.row(0, named=True)
    # The tape opens each bucket on the close of the one before: at once is on paper.
    assert found["latency_bps"] == pytest.approx(0, abs=1e-9)
    assert late["latency_bps"] < -5


def test_limits_are_where_a_simulation_of_that_size_says(cheap):
    found = assess_capacity(cheap)
    name = "logistic"
    limits = found.limits[name]
    assert limits["zero_notional"].value == pytest.approx(4 * limits["half_notional"].value)
    assert limits["zero_notional"].low < limits["zero_notional"].value < limits["zero_notional"].high
    smallest = total(cheap, name)
    assert smallest > 0
    zero, half, best = (
        total(with_costs(cheap, notional=limits[f"{key}_notional"].value), name) for key in ("zero", "half", "best")
    )
    assert zero == pytest.approx(0, abs=1e-6 * smallest)
    assert half == pytest.approx(smallest / 2)
    money = best * limits["best_notional"].value
    for step in (0.9, 1.1):
        size = step * limits["best_notional"].value
        assert size * total(with_costs(cheap, notional=size), name) < money
    gross = with_costs(cheap, notional=limits["gross_notional"].value).trading(name)
    assert gross.gross.sum() == pytest.approx(gross.parts["impact"].sum())


def test_curve_is_a_simulation_at_each_size(cheap):
    found = assess_capacity(cheap, CapacityConfig(points=3, least_share=1e-4, most_share=0.1))
    curve = found.curve.filter(pl.col("model") == "loose")
    assert curve["share"].to_list() == pytest.approx([1e-4, 10**-2.5, 0.1])
    assert curve["notional"].to_list() == pytest.approx([share * found.bucket_notional for share in curve["share"]])
    for row in curve.iter_rows(named=True):
        book = with_costs(cheap, notional=row["notional"]).trading("loose")
        net = book.net
        assert row["net_pnl_bps"] == pytest.approx(1e4 * net.sum())
        assert row["net_sharpe"] == pytest.approx(math.sqrt(book.periods_per_year) * net.mean() / net.std(ddof=1))
        assert row["impact_bps"] == pytest.approx(1e4 * book.parts["impact"].sum() / book.traded.sum())
        assert row["low"] < row["net_pnl_bps"] < row["high"]
    assert curve["net_pnl_bps"].is_sorted(descending=True)


def test_never_profitable(case):
    found = assess_capacity(with_costs(with_trades(case), fee_bps=50.0))
    metric = found.limits["logistic"]["zero_notional"]
    assert metric.value == 0
    assert metric.note.startswith("never profitable")
    assert found.limits["logistic"]["gross_notional"].value > 0


def test_turnover_and_holding_time(case):
    found = assess_capacity(case).costs["logistic"]
    book = case.trading("logistic")
    assert found["turnover"].value == pytest.approx(book.traded.mean())
    entries = int(((book.position != 0) & (book.position != np.r_[0, book.position[:-1]])).sum())
    held = float((np.diff(book.ts) * (book.position[:-1] != 0)).sum()) / 1e9
    assert found["holding_s"].n == entries
    assert found["holding_s"].value == pytest.approx(held / entries)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda frame: frame, "no column 'notional' or 'volume'"),
        (lambda frame: frame.with_columns(volume=pl.lit(0.0)), "holds no trades"),
        (lambda frame: frame.with_columns(notional=pl.lit(None, pl.Float64)), "holds no trades"),
    ],
)
def test_without_trades_there_is_a_waterfall_but_no_curve(case, change, note):
    found = assess_capacity(dataclasses.replace(case, frame=change(case.frame)))
    assert found.waterfall.height == 2
    assert found.curve.is_empty()
    assert found.limits == {}
    assert note in found.notes[0]
    capacity_section(found, case)


def test_mostly_silent_buckets_still_have_a_usual_size(case):
    quiet = np.where(np.arange(case.frame.height) % 3 == 0, 1e6, 0.0)
    found = assess_capacity(dataclasses.replace(case, frame=case.frame.with_columns(notional=quiet)))
    assert found.bucket_notional == 1e6
    assert found.curve["impact_bps"].is_finite().all()


def test_panel(panel_case):
    found = assess_capacity(with_costs(with_trades(panel_case), notional=1e4))
    row = found.waterfall.row(0, named=True)
    assert math.fsum(row[step] for step in STEPS) == row["net_bps"]
    assert row["net_bps"] == pytest.approx(total(with_costs(with_trades(panel_case), notional=1e4), "logistic"))
    assert set(found.limits) == {"logistic"}


def test_nothing_judged_and_never_trading(make_tape, instruments):
    frame = make_tape(60)
    short = Case(frame, judge(frame, JudgeConfig(min_rows=100), instruments=instruments[:1]), instruments[:1])
    found = assess_capacity(short)
    assert found.waterfall.is_empty()
    assert any("no model was judged" in note for note in found.notes)
    assert json.dumps(found.summary())
    assert "No model was judged" in str(capacity_section(found, short))
    frame = make_tape(300).with_columns(notional=pl.lit(1e6))
    config = JudgeConfig(
        labels=LabelConfig(bucket_horizons=(1,)), models={"m": ModelConfig()}, costs=CostConfig(enter=2.0),
        replications=100, control_repeats=3,
    )  # fmt: skip
    still = Case(frame, judge(frame, config, instruments=instruments[:1]), instruments[:1])
    found = assess_capacity(still)
    assert any("m never traded" in note for note in found.notes)
    assert found.limits == {}
    assert math.isnan(found.costs["m"]["break_even_bps"].value)
    assert json.loads(json.dumps(found.summary(), allow_nan=False))["models"]["m"]["holding_s"]["value"] is None
    assert "never traded" in str(capacity_section(found, still))


def test_summary_and_section(cheap):
    found = assess_capacity(cheap)
    summary = json.loads(json.dumps(found.summary(), allow_nan=False))
    assert summary["models"]["logistic"]["waterfall"]["net_bps"] == pytest.approx(total(cheap, "logistic"))
    section = capacity_section(found, cheap)
    assert section.slug == "capacity"
    kinds = [item.kind for item in section.items]
    assert kinds.count("figure") == 2
    assert kinds.count("table") == 3
    assert "earns more than it pays" in section.items[0].text
    sized = with_costs(cheap, notional=1e6)
    assert "orders of 1,000,000" in str(capacity_section(assess_capacity(sized), sized))


def test_sizes_as_people_read_them(cheap):
    found = assess_capacity(cheap)
    metric = found.limits["logistic"]["zero_notional"]
    shown = []
    for value in (0.4, 25_099.0, 3.21e6, 4.5e9):
        sized = type(metric)(value=value, low=math.nan, high=value, n=1)
        limits = {name: dict.fromkeys(parts, sized) for name, parts in found.limits.items()}
        table = capacity_section(dataclasses.replace(found, limits=limits), cheap).items[-1]
        shown.append(table.rows[0][1])
    assert shown == [
        "0.4 [–, 0.4]",
        "25,000 [–, 25,000]",
        "3.21 million [–, 3.21 million]",
        "4.5 billion [–, 4.5 billion]",
    ]


@pytest.mark.parametrize("change", [{"points": 1}, {"least_share": 0.0}, {"most_share": 1e-6}])
def test_bad_settings(change):
    with pytest.raises(ConfigError, match=r"was|were"):
        CapacityConfig(**change)
