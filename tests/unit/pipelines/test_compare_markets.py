"""Generators beside a source: recording through the book, the files written, and what is refused."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from marketprism.cli.main import cli
from marketprism.core.block import concat
from marketprism.core.errors import ConfigError, DataError, MarketPrismError
from marketprism.ingest.registry import open_source
from marketprism.pipelines import compare_document
from marketprism.pipelines.compare_document import fact_rows
from marketprism.pipelines.compare_markets import _until, compare_markets, record_source
from marketprism.report.figures.generators import overlaid_curves
from marketprism.simulate import FACTS, order_flow, record_market, stylised_facts
from marketprism.simulate.models import MODELS, market_config, open_market

SIM = "sim:?seed=4&minutes=12"


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("compare")
    stale = out / "models" / "old.json"
    stale.parent.mkdir()
    stale.write_text("{}")
    return out, compare_markets(open_source(SIM), ["cst", "cont_de_larrard"], out=out)


@pytest.fixture
def one_figure(monkeypatch):
    """Spare the drawing where the page is not looked at."""
    first = next(iter(compare_document._FIGURES.items()))
    monkeypatch.setattr(compare_document, "_FIGURES", dict([first]))


@pytest.fixture
def still(tmp_path):
    """Return a source whose price never moves."""
    file = tmp_path / "still.json"
    file.write_text('{"limit": 9.0, "market": 0.5, "cancel": 0.5}')
    return f"sim:?model=cont_de_larrard&config={file}&seed=1&minutes=1"


@pytest.mark.parametrize("model", ["markov", "queue_reactive", "agents"])
def test_a_source_is_recorded_as_its_market_is(model):
    """Through source, book and tape the flow is what the generator's own rows say."""
    source = order_flow(record_source(open_source(f"sim:?model={model}&seed=4&minutes=5")))
    market = order_flow(record_market(open_market(model, market_config(model, {"seed": 4, "duration_s": 300.0}))))
    assert source.unit == market.unit
    np.testing.assert_array_equal(source.quotes[1:], market.quotes[1:])
    for name in ("ts", "what", "side", "quantity"):
        ours, theirs = (np.sort(flow.market_orders()[name]) for flow in (source, market))
        np.testing.assert_array_equal(ours, theirs)
    assert abs(len(source.orders) - len(market.orders)) <= 2


def test_reading_ends_where_it_should():
    whole = record_source(open_source(SIM))
    part = record_source(open_source(SIM), minutes=3)
    assert whole.span_s > 700
    assert 170 < part.span_s <= 180
    np.testing.assert_array_equal(part.records, whole.records[: len(part.records)])


def test_empty_blocks_are_passed_over():
    block = concat(open_source(SIM))
    parts = list(_until([block[:0], block[:100], block[:0], block[100:]], 1.0))
    assert len(parts[0]) == 100
    late = block.rows["ts_event"] > block.rows["ts_event"][0] + 60 * 10**9
    assert sum(map(len, parts)) == (~late).sum()


def test_files_and_summary(compared):
    out, result = compared
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    models = {"models/cst.json", "models/cont_de_larrard.json"}
    assert names == {"report.html", "summary.json", "facts.parquet", *models}
    summary = msgspec.json.decode((out / "summary.json").read_bytes())
    assert set(summary["facts"]) == set(FACTS)
    assert sorted(summary["ranking"]) == ["cont_de_larrard", "cst"]
    assert summary["market_orders"] == len(order_flow(record_source(open_source(SIM))).market_orders())
    cst = summary["models"]["cst"]
    assert 0 < cst["close"] <= cst["compared"] <= len(FACTS)
    z = [fact["cst z"] for fact in summary["facts"].values() if fact["cst z"] is not None]
    assert cst["close"] == sum(abs(value) <= 2 for value in z)
    assert cst["median_z"] == pytest.approx(np.median(np.abs(z)))
    assert pl.read_parquet(out / "facts.parquet").equals(result.table)


def test_calibrated_model_streams_from_its_file(compared):
    out, result = compared
    source = open_source(f"sim:?model=cst&config={out / 'models' / 'cst.json'}")
    assert source.config == result.calibrations["cst"].config
    facts = stylised_facts(order_flow(record_source(source))).facts
    for name, fact in result.facts["cst"].facts.items():
        if math.isfinite(fact.value):
            assert facts[name].value == pytest.approx(fact.value, rel=0.02, abs=0.02), name


def test_page_names_every_fact_and_model(compared):
    html = compared[1].html
    assert all(name in html for name in (*FACTS, *MODELS["cst"].title.split(":")[:1], "cont_de_larrard"))
    assert html.count("<svg") == 10
    assert "sim:?model=cst&amp;config=models/cst.json" in html
    rows = fact_rows(compared[1].facts)
    spread = next(row for row in rows if row[0] == "spread, ticks")
    assert spread[3] == "1.000*"
    assert "±" in spread[1]


def test_runs_are_deterministic(one_figure):
    first, second = (compare_markets(open_source("sim:?seed=4&minutes=5"), ["cst"]) for _ in range(2))
    assert first.html == second.html
    assert first.summary == second.summary


def test_a_model_that_does_not_fit_is_left_out_with_its_reason(still, one_figure):
    with pytest.raises(DataError, match=r"no generator could be calibrated .*never moved"):
        compare_markets(open_source(still), ["cont_de_larrard"])
    both = compare_markets(open_source(still), ["cont_de_larrard", "cst"])
    assert "never moved" in both.failed["cont_de_larrard"]
    assert "cont_de_larrard was left out" in both.html


def test_what_cannot_be_compared_is_refused(tmp_path, one_figure):
    with pytest.raises(ConfigError, match="did you mean 'hawkes'"):
        compare_markets(open_source(SIM), ["hawks"])
    with pytest.raises(ConfigError, match="symbol was 'BTC'"):
        record_source(open_source(SIM), symbol="BTC")
    (tmp_path / "models").write_text("")
    with pytest.raises(MarketPrismError, match="could not be written"):
        compare_markets(open_source("sim:?seed=4&minutes=5"), ["cst"], out=tmp_path)


def test_a_panel_needs_a_symbol(monkeypatch):
    source = open_source("sim:?seed=4&minutes=1")
    other = open_source("sim:?seed=4&minutes=1&symbol=ABC-USD")
    monkeypatch.setattr(source, "instruments", (*source.instruments, *other.instruments))
    with pytest.raises(ConfigError, match="holds 2 instruments"):
        record_source(source)


def test_curves_on_logarithmic_axes_leave_out_what_is_not_positive():
    x = np.array([1.0, 2.0, 3.0])
    svg = overlaid_curves({"a": (x, x), "b": (x, np.array([1.0, -1.0, np.nan]))}, "x", "y", log="xy", level=1.0)
    assert svg.startswith("<svg")
    assert svg == overlaid_curves({"a": (x, x), "b": (x, np.array([1.0, 0.0, np.nan]))}, "x", "y", log="xy", level=1.0)
    nothing = {"a": (x, 0.0 * x)}
    assert overlaid_curves(nothing, "x", "y", log="xy") == overlaid_curves(nothing, "x", "y", log="x")
    assert ">a<" not in overlaid_curves({"a": (x, x)}, "x", "y", legend=False)


def test_verb(tmp_path, still, one_figure):
    found = CliRunner().invoke(
        cli, ["simulate", "compare", "--source", "sim:?seed=4&minutes=5", "--models", "cst", "--out", str(tmp_path)]
    )
    assert found.exit_code == 0, found.output
    assert "closest: cst" in found.output
    assert (tmp_path / "report.html").exists()
    arguments = ["--source", still, "--models", "cst,cont_de_larrard"]
    found = CliRunner().invoke(cli, ["simulate", "compare", *arguments, "--out", str(tmp_path)])
    assert "cont_de_larrard was left out" in found.output
    found = CliRunner().invoke(cli, ["simulate", "compare", *arguments, "--out", str(tmp_path), "--json"])
    assert list(msgspec.json.decode(found.output)["models"]) == ["cst"]


def test_models_are_listed():
    found = CliRunner().invoke(cli, ["simulate", "models"])
    assert all(name in found.output for name in MODELS)
    schemas = msgspec.json.decode(CliRunner().invoke(cli, ["simulate", "models", "--json"]).output)
    assert list(schemas) == list(MODELS)
    assert "follow" in msgspec.json.encode(schemas["queue_reactive"]["schema"]).decode()
