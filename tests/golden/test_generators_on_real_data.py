"""Generators beside recorded markets: what real flow has, and which models have it."""

from __future__ import annotations

import pytest

from marketprism.ingest.registry import open_source
from marketprism.pipelines import compare_document
from marketprism.pipelines.compare_markets import compare_markets


@pytest.fixture
def one_figure(monkeypatch):
    first = next(iter(compare_document._FIGURES.items()))
    monkeypatch.setattr(compare_document, "_FIGURES", dict([first]))


@pytest.mark.slow
def test_a_small_tick_stock(data_dir, one_figure):
    source = open_source(f"lobster:{data_dir / 'lobster' / 'LOBSTER_SampleFile_GOOG_2012-06-21_10.zip'}")
    result = compare_markets(source, ["cst", "cont_de_larrard", "hawkes", "agents"], minutes=60)
    facts = {name: {fact: one.value for fact, one in found.facts.items()} for name, found in result.facts.items()}
    real = facts["source"]
    assert 15 < real["spread, ticks"] < 60
    assert real["arrival variation"] > 1.5
    assert real["sign autocorrelation, lag 1"] > 0.3
    assert real["excess kurtosis, 10 s"] > 2
    assert real["impact after 1 s, ticks"] > 2
    # The queue race has one spread; independent flow has no memory; Hawkes flow and agents have some.
    assert "spread of one tick" in result.failed["cont_de_larrard"]
    assert facts["cst"]["sign autocorrelation, lag 1"] < real["sign autocorrelation, lag 1"] - 0.3
    assert facts["hawkes"]["arrival variation"] > 1.3 > facts["cst"]["arrival variation"] + 0.1
    assert facts["agents"]["sign autocorrelation, lag 1"] > 0.3
    assert facts["agents"]["spread, ticks"] == pytest.approx(real["spread, ticks"], rel=0.3)


@pytest.mark.slow
def test_a_large_tick_perpetual(data_dir, one_figure):
    folder = data_dir / "binance_ws_20240808"
    source = open_source(f"binance-ws:{folder / 'usdm_btcusdt_20240808.gz'}?clock=correct")
    result = compare_markets(source, ["cst", "queue_reactive", "hawkes"])
    facts = {name: {fact: one.value for fact, one in found.facts.items()} for name, found in result.facts.items()}
    real = facts["source"]
    assert real["share at one tick"] > 0.95
    assert real["imbalance foretells the move"] > 0.55
    assert real["sign autocorrelation, lag 1"] > 0.1
    for name in ("cst", "queue_reactive", "hawkes"):
        # Books that move by single ticks: the price jumps by tens of them.
        assert facts[name]["impact after 1 s, ticks"] < 0.3 * real["impact after 1 s, ticks"]
    assert facts["cst"]["market orders a second"] == pytest.approx(real["market orders a second"], rel=0.1)
    assert facts["cst"]["best queue, orders"] == pytest.approx(real["best queue, orders"], rel=0.3)
    branching = result.calibrations["hawkes"].config.flow.branching_ratio
    assert 0.3 < branching < 1
