"""The report's sections say what the judgement says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from marketprism.evaluate.judge import judge
from marketprism.evaluate.judgement import Judgement
from marketprism.pipelines import sections_judgement
from marketprism.pipelines.collect import Collected, collect
from marketprism.pipelines.run_config import load_run_config
from marketprism.pipelines.sections_market import book_section, day_section
from marketprism.pipelines.sources import open_source
from marketprism.report.document import Table

SETTINGS = [
    "engine.buckets.t_target_s=3",
    "judge.replications=100",
    "judge.control_repeats=3",
    "judge.horizons=[1_buckets]",
]


@pytest.fixture(scope="module")
def judged() -> tuple[Collected, Judgement]:
    source = open_source("sim:?seed=2&minutes=20")
    config = load_run_config(settings=SETTINGS)
    collected = collect(source, config.engine)
    return collected, judge(collected.frame, config.judge, instruments=source.instruments, mids=collected.mids)


def test_the_equity_drawn_ends_at_the_net_result(
    judged: tuple[Collected, Judgement], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(sections_judgement.draw, "equity", lambda ts, curves, unit: drawn.update(curves) or "<svg/>")
    sections_judgement.models_section(judged[1])
    for name, result in judged[1].models.items():
        metrics = result.horizons["1_buckets"].metrics
        gross, net = drawn[name]
        assert net[-1] == pytest.approx(metrics["net_pnl_bps"].value)
        assert gross[-1] == pytest.approx(metrics["gross_pnl_bps"].value)


def test_stars_mark_evidence_on_the_good_side_only(judged: tuple[Collected, Judgement]) -> None:
    section = sections_judgement.models_section(judged[1])
    table = next(item for item in section.items if isinstance(item, Table) and item.title == "Out of sample")
    for row in table.rows:
        if row[0].startswith("net"):
            assert all("★" not in cell for cell in row[1:3])


def test_every_factor_is_in_the_table(judged: tuple[Collected, Judgement]) -> None:
    section = sections_judgement.factors_section(judged[1])
    table = next(item for item in section.items if isinstance(item, Table) and item.title == "All factors")
    assert {row[0].removesuffix(" ★") for row in table.rows} == set(judged[0].factor_names)


def test_a_factor_with_two_values_does_not_lead_the_tables(judged: tuple[Collected, Judgement]) -> None:
    table = judged[1].factor_table
    two = pl.lit(None, pl.Float64)
    odd = table.head(1).with_columns(
        factor=pl.lit("two_values"), ic=pl.lit(-1.0), low=two, high=two, p_value=two, star=False, n=pl.lit(2)
    )
    other = table.with_columns(horizon=pl.lit("3_buckets"))
    both = pl.concat([odd.cast(table.schema), table, other.head(5)])
    section = sections_judgement.factors_section(replace(judged[1], factor_table=both))
    by_horizon, every = (item for item in section.items if isinstance(item, Table))
    assert "two_values" not in [row[0] for row in by_horizon.rows]
    assert "two_values" in [row[0] for row in every.rows[-10:]]


def test_controls_are_told(judged: tuple[Collected, Judgement]) -> None:
    texts = [item.text for item in sections_judgement.controls_section(judged[1]).items]
    assert len(texts) == 3
    assert all("passed" in text for text in texts)


def test_market_sections_draw_what_was_seen(judged: tuple[Collected, Judgement]) -> None:
    from marketprism.pipelines.run_summary import bucket_summary

    collected = judged[0]
    summary = {"buckets": {**bucket_summary(collected.frame), "t_target_s": 3.0}}
    titles = [getattr(item, "title", "") for item in book_section(open_source("sim:?seed=2"), collected, summary).items]
    assert titles[:4] == ["Mid and buckets", "Resting liquidity", "Shape of the book", "Bucket durations"]
    assert len(day_section(collected).items) == 2
