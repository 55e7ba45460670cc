"""The section on luck or skill says what was found, in words that fit it."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import polars as pl
import pytest

from marketprism.evaluate.case import Case
from marketprism.evaluate.judge import judge
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.significance import Significance, Trials, assess_significance
from marketprism.evaluate.track_record import Drawdown, TrackRecord
from marketprism.models.baselines import ModelConfig
from marketprism.pipelines.collect import collect
from marketprism.pipelines.judgement_sections.significance import significance_section
from marketprism.pipelines.run_config import load_run_config
from marketprism.pipelines.sources import open_source
from marketprism.report.document import Document, Figure, Note, Section, Table, Verdict
from marketprism.report.page import render_page

T0 = 1_704_067_200_000_000_000
SETTINGS = [
    "engine.buckets.t_target_s=3", "judge.replications=100", "judge.control_repeats=3", "judge.horizons=[1_buckets]",
]  # fmt: skip


@pytest.fixture(scope="module")
def case() -> Case:
    source = open_source("sim:?seed=2&minutes=15")
    config = load_run_config(settings=SETTINGS)
    collected = collect(source, config.engine)
    models = {"logistic": ModelConfig(), "loose": ModelConfig(inverse_penalty=0.1)}
    settings = msgspec.structs.replace(config.judge, models=models)
    judged = judge(collected.frame, settings, instruments=source.instruments, mids=collected.mids)
    return Case(collected.frame, judged, source.instruments, collected.mids)


@pytest.fixture(scope="module")
def found(case: Case) -> Significance:
    return assess_significance(case, Trials(12, 100.0, 12))


def notes(section: Section) -> list[str]:
    return [item.text for item in section.items if isinstance(item, Note)]


def tables(section: Section) -> dict[str, Table]:
    return {item.title: item for item in section.items if isinstance(item, Table)}


def answer(found: Significance, case: Case, **changes: float) -> Note:
    records = tuple(replace(record, **changes) for record in found.records)  # type: ignore[arg-type]
    item = significance_section(replace(found, records=records), case).items[0]
    assert isinstance(item, Note)
    return item


def test_tables_hold_the_numbers(found: Significance, case: Case) -> None:
    section = significance_section(found, case)
    shown = tables(section)
    record = shown["Track record, net of all costs"]
    assert record.columns == ["measure", "logistic", "loose", "meaning"]
    lines = {row[0]: row[1:] for row in record.rows}
    assert lines["trades"][:2] == [f"{one.trades:,}" for one in found.records]
    assert lines["luckiest annual Sharpe"][2] == "of 12 trials without skill"
    assert shown["Which forecast is better?"].rows[0][:2] == ["base rates", "logistic"]
    survival = shown["How many factors survive"].rows[0]
    assert survival[1] == f"{found.factors['tested'][0]:,}"
    assert survival[-1] == f"{found.factors['bonferroni'][0]:,}"
    assert len(shown["Out-of-sample IC of everything that was evaluated (2 tests)"].rows) == 2
    assert "P-values of the factors" in [item.title for item in section.items if isinstance(item, Figure)]


def test_the_page_is_the_same_each_time(found: Significance, case: Case) -> None:
    pages = [
        render_page(Document("t", "s", Verdict("v", ["r"]), [], [significance_section(found, case)])) for _ in range(2)
    ]
    assert pages[0] == pages[1]
    assert "nan" not in pages[0].split("<main>")[1].replace("finance", "").lower().split("svg")[0]


@pytest.mark.parametrize(
    ("changes", "tone", "said"),
    [
        ({"dsr": 0.99, "trades": 100, "sharpe_per_period": 0.1}, "good", "is 99.0 %: hard to explain by luck"),
        ({"dsr": 0.9999, "trades": 100, "sharpe_per_period": 0.1}, "good", "> 99.9 %"),
        ({"dsr": 0.6, "trades": 100, "sharpe_per_period": 0.1}, "warn", "luck explains it"),
        ({"dsr": 0.0, "trades": 100, "sharpe_per_period": -0.1}, "bad", "is < 0.1 %: it loses money after costs"),
        ({"dsr": 0.99, "trades": 3, "sharpe_per_period": 0.1}, "warn", "from 3 trades: too few"),
        ({"dsr": math.nan, "trades": 0}, "warn", "No model traded"),
    ],
)
def test_the_answer_fits_what_was_found(
    found: Significance, case: Case, changes: dict[str, float], tone: str, said: str
) -> None:
    item = answer(found, case, **changes)
    assert item.tone == tone
    assert said in item.text
    assert "12 trials" in item.text


def test_where_the_trials_were_counted_is_said(found: Significance, case: Case) -> None:
    changes = {"dsr": 0.99, "trades": 100}
    assert "in the run ledger" in answer(found, case, **changes).text
    alone = replace(found, trials=replace(found.trials, from_ledger=False))
    assert "in this judgement" in answer(alone, case, **changes).text


def test_notes_of_several_models_are_said_once(found: Significance, case: Case) -> None:
    records = tuple(replace(record, notes=("it never traded",)) for record in found.records)
    said = notes(significance_section(replace(found, records=records, notes=("the ledger is new",)), case))
    assert "The ledger is new." in said
    assert said.count("logistic, loose: it never traded.") == 1


def _line(record: TrackRecord, found: Significance, case: Case, name: str) -> str:
    table = tables(significance_section(replace(found, records=(record,)), case))["Track record, net of all costs"]
    return {row[0]: row[1] for row in table.rows}[name]


def test_drawdowns_and_track_records_in_words(found: Significance, case: Case) -> None:
    record = replace(found.records[0], observed_s=7200.0, n=100, needed_n=50.0)
    assert _line(record, found, case, "track record needed") == "1.0 hours (2.0 hours)"
    assert _line(replace(record, needed_n=math.inf), found, case, "track record needed") == "never (2.0 hours)"
    assert _line(replace(record, needed_n=math.nan), found, case, "track record needed") == "–"
    hour = 3600 * 10**9
    fall = replace(record, drawdown=Drawdown(10.0, T0, T0 + hour, T0 + 48 * hour))
    assert _line(fall, found, case, "from its peak to its low") == "2024-01-01 00:00 to 01:00"
    assert _line(fall, found, case, "recovered") == "2024-01-03 00:00"
    long = replace(record, drawdown=Drawdown(10.0, T0, T0 + 48 * hour, None))
    assert _line(long, found, case, "from its peak to its low") == "2024-01-01 00:00 to 01-03 00:00"
    assert _line(long, found, case, "recovered") == "never"
    none = replace(record, drawdown=None, trades=0)
    for name in ("from its peak to its low", "recovered", "trades that won"):
        assert _line(none, found, case, name) == "–"
    unknown = replace(record, psr=math.nan)
    assert _line(unknown, found, case, "probability of skill, alone") == "–"


def test_a_winner_that_loses_money_is_said_to_lose_less(found: Significance, case: Case) -> None:
    def reading(sharpe: float, p: float, note: str = "") -> str:
        test = found.against_nothing._replace(best="loose", reality_check=p, spa=p, note=note)
        records = tuple(replace(record, sharpe_per_period=sharpe) for record in found.records)
        section = significance_section(replace(found, records=records, against_nothing=test), case)
        title = "Does the best of all models earn more, counting that it was picked?"
        return str(tables(section)[title].rows[0][-1])

    assert reading(0.1, 0.0005) == "earns more"
    assert reading(-0.1, 0.01, "few samples") == "loses less; few samples"
    assert reading(0.1, 0.3) == "no evidence that any model earns more"


def test_drawdowns_by_month_are_drawn_and_listed(found: Significance, case: Case) -> None:
    table = pl.DataFrame(
        [(name, month, 10, 5.0, 2.5) for name in ("logistic", "loose") for month in ("2024-01", "2024-02")],
        schema=["model", "period", "n", "net_bps", "drawdown_bps"],
        orient="row",
    )
    section = significance_section(replace(found, drawdown_unit="month", drawdowns=table), case)
    shown = tables(section)["Net P&L and largest drawdown by month (bps)"]
    assert shown.rows == [["2024-01", "5.0 / 2.5", "5.0 / 2.5"], ["2024-02", "5.0 / 2.5", "5.0 / 2.5"]]
    assert "Largest drawdown of each month" in [item.title for item in section.items if isinstance(item, Figure)]


def test_too_few_samples_leave_factors_and_a_note(found: Significance, case: Case) -> None:
    table = case.judgement.factor_table.head(3)
    bare = Case(case.frame, replace(case.judgement, models={}, factor_table=table, notes=("few samples",)))
    section = significance_section(assess_significance(bare), bare)
    assert notes(section) == ["No model was judged."]
    assert list(tables(section)) == ["How many factors survive", "Factors with the smallest p-values"]
    nothing = Case(case.frame, replace(bare.judgement, factor_table=table.head(0)))
    assert tables(significance_section(assess_significance(nothing), nothing)) == {}


def test_forecasts_that_never_differ_have_no_p_value(found: Significance, case: Case) -> None:
    unknown = found.forecasts.with_columns(pl.lit(None, pl.Float64).alias(name) for name in ("p_value", "holm"))
    shown = tables(significance_section(replace(found, forecasts=unknown), case))["Which forecast is better?"]
    assert shown.rows[0][4:6] == ["–", "–"]


def test_models_that_never_trade_have_no_figure(found: Significance, case: Case) -> None:
    nan = math.nan
    flat = tuple(
        replace(record, metrics={name: _without(metric) for name, metric in record.metrics.items()}, dsr=nan)
        for record in found.records
    )
    untested = found.against_nothing._replace(best="", note="no model ever traded")
    section = significance_section(replace(found, records=flat, against_nothing=untested), case)
    assert "Sharpe ratio against luck" not in [item.title for item in section.items if isinstance(item, Figure)]
    title = "Does the best of all models earn more, counting that it was picked?"
    assert tables(section)[title].rows[0][-1] == "not tested: no model ever traded"
    lucky = tuple(replace(record, luckiest=nan) for record in found.records)
    assert significance_section(replace(found, records=lucky), case).items


def _without(metric: Metric) -> Metric:
    return msgspec.structs.replace(metric, value=math.nan, low=math.nan, high=math.nan)
