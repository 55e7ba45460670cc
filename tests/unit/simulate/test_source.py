"""The ``sim:`` source."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, SourceError
from marketprism.core.timebase import parse_time
from marketprism.ingest.registry import formats, open_source


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


def test_a_path_is_refused():
    with pytest.raises(SourceError, match=r"names 'x.csv'"):
        open_source("sim:x.csv")
