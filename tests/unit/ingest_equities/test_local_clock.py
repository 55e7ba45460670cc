"""Dates and times in the spellings of exchange exports."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from marketprism.ingest.local_clock import BAD, parse_stamps

SECOND = 10**9
CLOCK = (9 * 3600 + 30 * 60 + 3) * SECOND
DAY = 18_962  # 2021-12-01


def _one(text: str, *, with_date: bool, with_time: bool) -> tuple[int, int]:
    days, ns = parse_stamps(np.array([text.encode()], "S32"), date=with_date, time=with_time)
    return int(days[0]), int(ns[0])


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("09:30:03", CLOCK),
        ("9:30:03", CLOCK),
        ("09:30:03.5", CLOCK + SECOND // 2),
        ("09:30:03.123456789", CLOCK + 123_456_789),
        ("93003000", CLOCK),
        ("093003000", CLOCK),
        ("93003", CLOCK),
        ("093003123456", CLOCK + 123_456_000),
        ("93003000.0", CLOCK),
        ("0", 0),
        ("23:59:59.999", 86_400 * SECOND - 1_000_000),
        ("24:00:00", BAD),
        ("09:60:00", BAD),
        ("09:30:60", BAD),
        ("096000", BAD),
        ("0930031234567", BAD),
        ("09:30:03.1234567890", BAD),
        ("09:30", BAD),
        ("009:30:03", BAD),
        ("93003000.5", BAD),
        ("1:2:3:4:5:6:7:8:9", BAD),
        ("12345678901234567890", BAD),
        ("9h30", BAD),
        ("", BAD),
        ("::", BAD),
    ],
)
def test_times(text: str, ns: int) -> None:
    assert _one(text, with_date=False, with_time=True) == (BAD, ns)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("20211201", DAY),
        ("2021-12-01", DAY),
        ("2021/12/1", DAY),
        ("2021.12.01", DAY),
        ("20211201.0", DAY),
        ("2020-02-29", 18_321),
        ("2021-02-29", BAD),
        ("2021-04-31", BAD),
        ("2021-13-01", BAD),
        ("2021-00-01", BAD),
        ("2021-12-00", BAD),
        ("1900-01-01", BAD),
        ("2000-02-29", 11_016),
        ("2100-02-29", BAD),
        ("20211201 1", BAD),
        ("202112", BAD),
        ("12", BAD),
    ],
)
def test_dates(text: str, day: int) -> None:
    assert _one(text, with_date=True, with_time=False) == (day, BAD)


@pytest.mark.parametrize(
    "text",
    ["2021.12.01T09:30:03.000", "2021-12-01 9:30:03", "20211201 93003000", "20211201093003", "20211201093003000"],
)
def test_both(text: str) -> None:
    assert _one(text, with_date=True, with_time=True) == (DAY, CLOCK)


def test_half_of_both() -> None:
    assert _one("2021-12-01", with_date=True, with_time=True) == (DAY, BAD)
    assert _one("09:30:03", with_date=True, with_time=True) == (BAD, BAD)
    days, ns = parse_stamps(np.zeros(0, "S32"), date=True, time=True)
    assert (len(days), len(ns)) == (0, 0)


def test_every_day_of_two_centuries() -> None:
    first = date(1970, 1, 1)
    days = list(range(0, 84_000, 7))
    text = np.array([(first + timedelta(days=n)).isoformat().encode() for n in days], "S32")
    assert parse_stamps(text, date=True, time=False)[0].tolist() == days
