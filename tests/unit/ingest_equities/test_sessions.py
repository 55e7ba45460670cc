"""Days, time zones, durations, and the codes of the Chinese exchanges."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.core.timebase import parse_time
from marketprism.ingest.ashare_codes import instrument_of, phase_of_text, sessions_of, split_code
from marketprism.ingest.equity_ticks import equity_tick
from marketprism.ingest.sessions import find_date, local_midnight_ns, option_ns, parse_date


def test_midnight_knows_the_clock_changes() -> None:
    assert local_midnight_ns(date(2013, 10, 7), "America/New_York") == parse_time("2013-10-07T04:00:00Z")
    assert local_midnight_ns(date(2013, 12, 2), "America/New_York") == parse_time("2013-12-02T05:00:00Z")
    assert local_midnight_ns(date(2021, 12, 1), "Asia/Shanghai") == parse_time("2021-11-30T16:00:00Z")


@pytest.mark.parametrize("text", ["2012-06-21", "20120621", "2012.06.21", "2012/06/21", " 2012_06_21 "])
def test_dates(text: str) -> None:
    assert parse_date(text) == date(2012, 6, 21)


@pytest.mark.parametrize("text", ["", "2012-6-21", "2012-13-01", "20120231", "yesterday"])
def test_no_dates(text: str) -> None:
    with pytest.raises(DataError, match="date was"):
        parse_date(text)


def test_dates_in_names() -> None:
    assert find_date("20211301_20211201.csv") == date(2021, 12, 1)
    assert find_date("x_99990101_34200000") is None


def test_durations() -> None:
    assert [option_ns(text) for text in ("0", "5", "5ns", "1.5us", "2ms", "1s")] == [0, 5, 5, 1_500, 2_000_000, 10**9]
    for text in ("-1", "1h", "ms", "1 ms"):
        with pytest.raises(ConfigError, match="latency was"):
            option_ns(text)


def test_security_ids() -> None:
    assert [split_code(text) for text in ("600311", "510300", "900901", "110001")] == [
        ("sse", "600311"),
        ("sse", "510300"),
        ("sse", "900901"),
        ("sse", "110001"),
    ]
    assert [split_code(text) for text in ("1", "300750", "159915.sz", "000001.XSHG", "600000.SS")] == [
        ("szse", "000001"),
        ("szse", "300750"),
        ("szse", "159915"),
        ("sse", "000001"),
        ("sse", "600000"),
    ]
    for text in ("", "6000000", "600000.NY", "AAPL"):
        with pytest.raises(DataError, match="security id was"):
            split_code(text)
    ticks = [("sse", "600000"), ("sse", "900901"), ("szse", "159915"), ("szse", "200002"), ("szse", "128000")]
    assert [str(instrument_of(*code).tick_size) for code in ticks] == ["0.01", "0.001", "0.001", "0.01", "0.001"]


def test_phases() -> None:
    continuous, auction, halt = 0, 1, 2
    texts = {b"TRADE": continuous, b"trade ": continuous, b"T0": continuous, b"3": continuous, b"": continuous}
    texts |= dict.fromkeys(
        [b"OCALL", b"CCALL", b"START", b"CLOSE", b"ENDTR", b"B0", b"E110", b"5", b"TEST", b"??"], auction
    )
    texts |= dict.fromkeys([b"SUSP", b"H1", b"P", b"V", b"M", b"N", b"8", b"VOLA"], halt)
    assert {text: phase_of_text(text) for text in texts} == texts


def test_sessions() -> None:
    clocks = [
        "09:14",
        "09:25",
        "09:29",
        "09:30",
        "11:30",
        "11:31",
        "12:59",
        "13:00",
        "14:56",
        "14:57",
        "15:00",
        "15:01",
    ]
    minutes = np.array([int(c[:2]) * 60 + int(c[3:]) for c in clocks])
    ns = minutes * 60 * 10**9
    for closing_call, late in ((True, [0, 0, 0]), (False, [1, 1, 0])):
        continuous, half, opening = sessions_of(ns, np.full(len(ns), closing_call))
        assert continuous.tolist() == [0, 0, 0, 1, 1, 0, 0, 1, 1, *late]
        assert half.tolist() == [0] * 6 + [1] * 6
        assert opening.tolist() == [1] + [0] * 11


def test_us_ticks() -> None:
    assert equity_tick("0.005", [], "x")[0] == Decimal("0.005")
    assert equity_tick("", ["1000050"] + ["1000000"] * 99, "x")[0] == Decimal("0.0001")
    tick, fact = equity_tick("", ["1000050", "nan", "-5", "9999999999"] + ["1000000"] * 100, "a.csv")
    assert (tick, fact) == (Decimal("0.01"), "0.01: 1 of 101 prices are finer than 0.01 in a.csv")
    assert equity_tick("", [], "x")[0] == Decimal("0.01")
