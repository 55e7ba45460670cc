"""The ``sim:`` source."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import numpy as np
import polars as pl
import pytest

from marketprism.core.block import concat
from marketprism.core.errors import ConfigError, MarketPrismError, SourceError
from marketprism.core.timebase import parse_time
from marketprism.factors.config import EngineConfig
from marketprism.factors.engine import FactorEngine
from marketprism.ingest.registry import formats, open_source
from marketprism.simulate.models import MODELS, market_config, open_market
from marketprism.simulate.queue_reactive import QueueReactiveConfig


def _all(text):
    source = open_source(text)
    blocks = list(source)
    return source, np.concatenate([block.rows for block in blocks])


def test_defaults_are_a_demo():
    source = open_source("sim:")
    assert source.config.duration_s == 14_400
    assert source.instrument.key == "sim:spot:SIM-USDT"
    assert source.files == ()


def test_example_opens():
    assert open_source(formats()["sim"].example).config.duration_s == 3600


def test_options_reach_the_market():
    text = "sim:?seed=7&minutes=0.5&rate=2&symbol=ABC-USD&tick=0.5&price=1000&depth=9&latency=20ms&start=2024-01-02"
    source, rows = _all(text)
    assert source.instrument.tick_size == Decimal("0.5")
    assert source.instrument.symbol == "ABC-USD"
    assert rows["ts_event"][0] == parse_time("2024-01-02")
    assert abs(rows["price"][0] - 2000) < 50
    assert (rows["ts_recv"] - rows["ts_event"]).min() >= 20_000_000
    assert source.config.rate_scale == 2
    assert source.config.seed == 7
    assert source.config.depth == 9


def test_report_counts_messages_and_starts_afresh():
    source, rows = _all("sim:?minutes=1")
    assert source.report.records == np.count_nonzero(rows["flags"] & 2)
    before = source.report.records
    list(source)
    assert source.report.records == before
    assert "simulated" in source.report.facts["model"]


def test_flow_option():
    assert open_source("sim:?flow=independent").config.flow.order_lots == 1
    with pytest.raises(ConfigError, match="did you mean 'independent'"):
        open_source("sim:?flow=independant")


@pytest.mark.parametrize("option", ["seed=x", "minutes=ten", "tick=abc", "price=1e", "depth=2.5", "rate="])
def test_no_number_is_refused(option):
    if option == "rate=":
        assert open_source(f"sim:?{option}").config.rate_scale == 1
        return
    name, value = option.split("=")
    with pytest.raises(ConfigError, match=f"{name} was '{value}'"):
        open_source(f"sim:?{option}")


def test_out_of_range_and_unknown_options_are_refused():
    with pytest.raises(ConfigError, match="duration_s was"):
        open_source("sim:?minutes=-1")
    with pytest.raises(ConfigError, match="did you mean 'seed'"):
        open_source("sim:?sed=1")


@pytest.mark.parametrize("model", list(MODELS))
def test_every_model_streams(model):
    source, rows = _all(f"sim:?model={model}&seed=5&minutes=2&symbol=ABC-USD")
    assert source.model == model
    assert source.instrument.key == "sim:spot:ABC-USD"
    expected = concat(open_market(model, market_config(model, {"seed": 5, "duration_s": 120.0})).blocks()).rows
    np.testing.assert_array_equal(rows, expected)
    assert len(rows) > 200
    assert "simulated" in source.report.facts["model"]


def test_default_model_is_the_markov_book():
    _, named = _all("sim:?model=markov&minutes=1")
    _, plain = _all("sim:?minutes=1")
    _, market = _all("sim:?model=cst&minutes=1")
    _, independent = _all("sim:?flow=independent&minutes=1")
    np.testing.assert_array_equal(named, plain)
    np.testing.assert_array_equal(market, independent)
    assert len(market) != len(plain)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model=hawks", "did you mean 'hawkes'"),
        ("model=agents&depth=5", "the model agents has no depth"),
        ("model=cst&flow=correlated", "the model cst has no flow"),
        ("config=nowhere.json", "cannot be read"),
    ],
)
def test_what_a_model_has_not_is_refused(text, message):
    with pytest.raises(MarketPrismError, match=message):
        open_source(f"sim:?{text}")


def test_configuration_comes_from_a_file_and_options_go_over_it(tmp_path):
    file = tmp_path / "market.json"
    config = QueueReactiveConfig(seed=9, follow=0.4, duration_s=30.0)
    file.write_bytes(msgspec.json.encode(config))
    assert open_source(f"sim:?model=queue_reactive&config={file}").config == config
    assert open_source(f"sim:?model=queue_reactive&config={file}&seed=2").config == config.replace(seed=2)
    with pytest.raises(ConfigError, match="has no key 'follow'"):
        open_source(f"sim:?model=hawkes&config={file}")
    file.write_text("[1]")
    with pytest.raises(SourceError, match="no JSON object"):
        open_source(f"sim:?config={file}")


def test_the_configuration_of_another_model_is_refused():
    with pytest.raises(ConfigError, match="of hawkes was a QueueReactiveConfig"):
        open_market("hawkes", QueueReactiveConfig())
    with pytest.raises(ConfigError, match="model was 'none'"):
        open_market("none", QueueReactiveConfig())
    with pytest.raises(ConfigError, match="model was 'none'"):
        market_config("none")


@pytest.mark.parametrize("model", list(MODELS))
def test_factors_of_every_model(model):
    source = open_source(f"sim:?model={model}&seed=5&minutes=6")
    engine = FactorEngine(EngineConfig.from_mapping({"buckets": {"t_target_s": 5.0}}), instrument=source.instrument)
    frame = pl.concat([*(engine.push(block) for block in source), engine.flush()])
    assert frame.height > 20
    assert frame["queue_imbalance"].is_not_null().mean() > 0.9
    assert frame["queue_imbalance"].std() > 0.05
    assert frame["volume"].sum() > 0


def test_a_path_is_refused():
    with pytest.raises(SourceError, match=r"names 'x.csv'"):
        open_source("sim:x.csv")
