"""Sections about slices, steadiness and trend states say what their parts measured."""

from __future__ import annotations

import dataclasses

import polars as pl
import pytest

from marketprism.evaluate.case import Case
from marketprism.evaluate.config import JudgeConfig
from marketprism.evaluate.judge import judge
from marketprism.evaluate.slicing import assess_slices
from marketprism.evaluate.stability_report import assess_stability
from marketprism.evaluate.trend_evidence import TrendEvidenceConfig, assess_trend_states
from marketprism.labels import StateGates
from marketprism.pipelines.judgement_sections.slices import slices_section
from marketprism.pipelines.judgement_sections.stability import stability_section
from marketprism.pipelines.judgement_sections.trend_states import trend_states_section
from marketprism.report.document import Document, Facts, Figure, Note, Table, Verdict
from marketprism.report.page import render_page


def _of(section, kind):
    return [item for item in section.items if isinstance(item, kind)]


def _texts(section):
    return " ".join(item.text for item in _of(section, Note))


@pytest.fixture(scope="module")
def slices(case):
    return assess_slices(case)


@pytest.fixture(scope="module")
def stability(case):
    return assess_stability(case)


@pytest.fixture(scope="module")
def empty(make_tape, instruments):
    frame = make_tape(40)
    return Case(frame, judge(frame, JudgeConfig(control_repeats=3), instruments=instruments[:1]), instruments[:1])


def test_slices(case, slices):
    section = slices_section(slices, case)
    equal, table = _of(section, Table)
    assert len(table.rows) == slices.table.height
    assert len(equal.rows) == slices.dimensions.height
    stars = sum("★" in row[1] for row in table.rows)
    clear = slices.table.filter((pl.col("p_holm") < 0.05) & (pl.col("ic") > 0)).height
    assert stars == clear > 0
    assert f"Of {slices.tests} slices with samples enough for a test, {clear} " in _texts(section)
    assert "funding x open interest" in _texts(section)
    assert len(_of(section, Figure)) == 1


def test_slices_that_differ_are_named(case, slices):
    dimensions = slices.dimensions.with_columns(p_equal=pl.lit(0.001), p_equal_holm=pl.lit(0.01))
    text = _texts(slices_section(dataclasses.replace(slices, dimensions=dimensions), case))
    assert "The IC differs by hour (UTC), " in text
    dimensions = slices.dimensions.with_columns(p_equal=pl.lit(None, pl.Float64), p_equal_holm=pl.lit(None, pl.Float64))
    text = _texts(slices_section(dataclasses.replace(slices, dimensions=dimensions), case))
    assert "No division has samples enough" in text


def test_slices_without_intervals_have_no_figure(case, slices):
    table = slices.table.with_columns(low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64))
    assert not _of(slices_section(dataclasses.replace(slices, table=table), case), Figure)


def test_stability(case, stability):
    section = stability_section(stability, case)
    periods, paths, drift = _of(section, Figure)
    assert (periods.title, paths.title, drift.title) == (
        "IC by run",
        "IC on every backtest path",
        "Drift against chance",
    )
    path_table, drift_table = _of(section, Table)
    assert len(path_table.rows) == 5
    assert len(drift_table.rows) == stability.drift.height
    (facts,) = _of(section, Facts)
    assert len(facts.pairs) == 4
    assert "of 8 runs" in _texts(section)


def test_what_speaks_against_steadiness_is_said(case, stability):
    worse = dataclasses.replace(
        stability,
        positive_p=0.4,
        drift=stability.drift.with_columns(p_holm=pl.lit(0.01)),
        overfitting=stability.overfitting._replace(probability=0.7),
        paths=dataclasses.replace(stability.paths, negative_share=0.4),
    )
    section = stability_section(worse, case)
    text = _of(section, Note)[0]
    assert text.tone == "warn"
    for part in (
        "may be chance",
        "score",
        "drifted by more than chance",
        "40% of the backtest paths",
        "no better than",
    ):
        assert part in text.text
    calm = dataclasses.replace(
        stability,
        positive_p=0.004,
        paths=dataclasses.replace(
            stability.paths, paths=stability.paths.paths.with_columns(net_bps=pl.lit(5.0)), negative_share=0.0
        ),
    )
    assert "lose money" not in _texts(stability_section(calm, case))


def test_stability_with_parts_left_out(case, stability):
    bare = dataclasses.replace(
        stability,
        paths=None,
        overfitting=None,
        drift=stability.drift.clear(),
        periods=stability.periods.with_columns(ic=None),
    )
    section = stability_section(bare, case)
    assert not _of(section, Figure)
    assert not _of(section, Table)
    assert len(_of(section, Facts)[0].pairs) == 2


def test_trend_states(case):
    found = assess_trend_states(case, TrendEvidenceConfig(methods=()))
    section = trend_states_section(found, case)
    (table,) = _of(section, Table)
    assert table.rows[0][0] == "state machine (rules)"
    assert table.rows[0][-1] == "failed"
    assert "flips below 5 per 100 buckets" in _texts(section)
    assert "Do not use its states" in _texts(section)
    assert _of(section, Figure)[0].title == "States on the price"


def test_a_refused_labelling_is_explained_once(panel_case):
    strict = TrendEvidenceConfig(methods=(), gates=StateGates(max_flips_per_100=0.01))
    found = assess_trend_states(panel_case, strict)
    section = trend_states_section(found, panel_case)
    assert _of(section, Table)[0].columns[0] == "series"
    assert _texts(section).count("flips per 100 buckets were") == 2
    silent = dataclasses.replace(found, notes=())
    assert "fails its gates: flips" in _texts(trend_states_section(silent, panel_case))
    unmeasured = dataclasses.replace(found, table=found.table.clear())
    assert "could not be measured" in _texts(trend_states_section(unmeasured, panel_case))
    timeless = dataclasses.replace(found, states=found.states.clear())
    assert not _of(trend_states_section(timeless, panel_case), Figure)


def test_all_three_render(case, slices, stability, empty):
    for one, parts in (
        (case, (slices, stability)),
        (empty, (assess_slices(empty), assess_stability(empty))),
    ):
        states = assess_trend_states(one, TrendEvidenceConfig(methods=()))
        sections = [
            slices_section(parts[0], one),
            stability_section(parts[1], one),
            trend_states_section(states, one),
        ]
        page = render_page(Document("t", "", Verdict("v", []), [], sections))
        assert "Where it works" in page
        assert "nan" not in page.lower().replace("binance", "").replace("finan", "").replace("dominan", "")
    assert "no model was judged" in page.lower()
