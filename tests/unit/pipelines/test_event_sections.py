"""Sections on what was left out, trained again, around events and chosen: they say what was found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from marketprism.evaluate.case import Case
from marketprism.evaluate.counterfactual import Counterfactuals, retrain_counterfactuals
from marketprism.evaluate.events import Discontinuity
from marketprism.evaluate.judge import judge
from marketprism.evaluate.market_events import EventConfig, JumpAtEvents, study_events
from marketprism.pipelines.collect import collect
from marketprism.pipelines.judgement_sections.counterfactual import counterfactual_section
from marketprism.pipelines.judgement_sections.events import events_section
from marketprism.pipelines.judgement_sections.exclusions import exclusions_section
from marketprism.pipelines.judgement_sections.tuning import tuning_section
from marketprism.pipelines.run_config import load_run_config
from marketprism.pipelines.sources import open_source
from marketprism.report.document import Document, Figure, Note, Section, Table, Verdict
from marketprism.report.page import render_page

SETTINGS = [
    "engine.buckets.t_target_s=3", "judge.replications=100", "judge.control_repeats=3", "judge.horizons=[1_buckets]",
    "judge.models={logistic: {kind: logistic}}", "judge.folds=3",
]  # fmt: skip


def made(extra: tuple[str, ...] = (), *, plant: bool = False, minutes: int = 15) -> Case:
    """A simulated quarter of an hour; planted: an hour's outage in the middle and a jump of 3 % near the end."""
    source = open_source(f"sim:?seed=2&minutes={minutes}")
    config = load_run_config(settings=[*SETTINGS, *extra])
    frame = collect(source, config.engine).frame
    if plant:
        row = np.arange(frame.height)
        late = (row >= frame.height // 2) * 3_600_000_000_000
        up = np.where(row >= frame.height * 4 // 5, 1.03, 1.0)
        frame = frame.with_columns(
            *(pl.col(name) + pl.Series(late) for name in ("ts_start", "ts_end", "ts_known")),
            segment=pl.col("segment") + pl.Series((late > 0).astype(np.int64)),
            mid_last=pl.col("mid_last") * pl.Series(up),
        )
    return Case(frame, judge(frame, config.judge, instruments=source.instruments), source.instruments)


@pytest.fixture(scope="module")
def planted() -> Case:
    return made(plant=True)


def notes(section: Section) -> str:
    return " ".join(item.text for item in section.items if isinstance(item, Note))


def tables(section: Section) -> dict[str, Table]:
    return {item.title: item for item in section.items if isinstance(item, Table)}


def renders(section: Section) -> bool:
    page = render_page(Document("t", "s", Verdict("v", []), [], [section]))
    return section.title in page and "nan" not in " ".join(str(t.rows) for t in tables(section).values())


def test_exclusions_are_listed_drawn_and_judged_apart(planted):
    section = exclusions_section(planted)
    assert renders(section)
    listed = tables(section)["The exclusion list"]
    assert [row[0] for row in listed.rows] == ["gap in the record", "abnormal jump"]
    assert [row[-1] for row in listed.rows] == ["0", "1"]
    assert "2 spans excluded; they touch 1 row of" in notes(section)
    both = tables(section)["With and without"]
    assert {row[1] for row in both.rows} == {"IC", "rank IC", "AUC", "Brier skill"}
    assert all(row[-1] == "1" for row in both.rows)
    assert any(isinstance(item, Figure) and "jump" in item.svg for item in section.items)


def test_a_gap_alone_costs_no_row(planted):
    spans = planted.judgement.exclusions.spans.head(1)
    gap = replace(planted.judgement.exclusions, spans=spans, rows=0)
    section = exclusions_section(replace(planted, judgement=replace(planted.judgement, exclusions=gap)))
    assert "1 span excluded; it touches 0 rows" in notes(section)
    assert "a gap costs no row" in notes(section)


def test_nothing_excluded_and_switched_off():
    quiet = exclusions_section(made())
    assert "nothing was left out" in notes(quiet)
    assert not tables(quiet)
    assert "switched off" in notes(exclusions_section(made(("judge.exclusions.enabled=false",))))


def test_no_mid_no_drawing(planted):
    blind = replace(planted, frame=planted.frame.with_columns(mid_last=pl.lit(None, pl.Float64)))
    assert not any(isinstance(item, Figure) for item in exclusions_section(blind).items)


def test_events_are_drawn_and_tested(planted):
    result = study_events(planted)
    section = events_section(result, planted)
    assert renders(section)
    assert "ends of outages: 1" in notes(section)
    assert "The instrument pays no funding." in notes(section)
    assert {row[0] for row in tables(section)["Are the paths unusual?"].rows} == {"Ends of outages", "After jumps"}
    (signal,) = [table for title, table in tables(section).items() if title.startswith("Does the signal")]
    assert [len(row) for row in signal.rows] == [4] * len(result.signal)
    found = Discontinuity(1.5, 0.5, 0.01, 0.02, 3, 60)
    jump = events_section(replace(result, discontinuities=(JumpAtEvents("funding", "s", "spread", found),)), planted)
    assert tables(jump)["Sudden change at funding times"].rows[0] == ["spread", "3", "1.500 ± 0.500", "0.010", "0.020"]


def test_no_event_is_said():
    case = made()
    section = events_section(study_events(case, EventConfig(jump_significance=1e-9)), case)
    assert "No event of any kind was found" in notes(section)
    assert not tables(section)


def test_counterfactuals_answer_first(planted):
    result = retrain_counterfactuals(planted)
    section = counterfactual_section(result, planted)
    assert renders(section)
    assert len(tables(section)["Logistic, trained again"].rows) == len(result.rows)
    row = result.rows[0]
    good = row._replace(original=_metric(0.2, 0.1, 0.3), ic=_metric(0.19, 0.1, 0.3), change=_metric(-0.01, -0.1, 0.1))
    bad = good._replace(ic=_metric(0.05, -0.1, 0.1), change=_metric(-0.15, -0.2, -0.1))
    weak = good._replace(original=_metric(0.02, -0.1, 0.1))
    for one, words in (
        (good, "No change takes more than half"),
        (bad, "loses more than half"),
        (weak, "little to lose"),
    ):
        assert words in notes(counterfactual_section(Counterfactuals((one,)), planted))
    assert "✗" in tables(counterfactual_section(Counterfactuals((bad,)), planted))["Logistic, trained again"].rows[0][4]
    nothing = counterfactual_section(Counterfactuals((), ("no model was judged",)), planted)
    assert notes(nothing) == "No model was judged."


def _metric(value: float, low: float, high: float):
    from marketprism.evaluate.metric import Metric

    return Metric(value=value, low=low, high=high, n=1000, blocks=100, null=0.0)


def test_chosen_parameters_by_fold(planted):
    assert "No model searched" in notes(tuning_section(planted))
    case = made(("judge.models={tuned: {kind: logistic, tuning: {trials: 3, inner_folds: 2}}}",))
    table = tables(tuning_section(case))["Parameters of tuned"]
    assert list(table.columns) == ["trained on", "C"]
    assert [row[0] for row in table.rows] == ["fold 1", "fold 2", "fold 3", "all rows, exported"]
    assert table.rows[-1][1] == f"{case.judgement.fitted['tuned'].parameters['model__C']:.4g}"
    assert renders(tuning_section(case))
    assert case.judgement.config.tuned
    assert not planted.judgement.config.tuned
