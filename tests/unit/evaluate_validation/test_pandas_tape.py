"""Leaks of factor functions written for pandas, index and all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import marketprism as mp
from marketprism.core.errors import DataError
from marketprism.evaluate.pandas_tape import PandasTape


@pytest.fixture(params=["time index", "range index", "text index"])
def bars(request: pytest.FixtureRequest) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"close": 100 + rng.normal(size=200).cumsum(), "volume": rng.integers(1, 9, 200)})
    if request.param == "time index":
        frame.index = pd.date_range("2026-01-05", periods=200, freq="1min", tz="UTC", name="time")
    elif request.param == "text index":
        frame.index = pd.Index([f"bar {i}" for i in range(200)])
    return frame


Factors = Callable[[pd.DataFrame], Any]
HONEST: dict[str, Factors] = {
    "rolling": lambda bars: bars["close"].rolling(10).std(),
    "ewm": lambda bars: bars.assign(f=bars["close"].ewm(span=20).mean()),
    "by group": lambda bars: bars.groupby(np.arange(len(bars)) // 50)["volume"].cumsum(),
    "expanding rank": lambda bars: bars["close"].expanding().rank(),
}
PEEKING: dict[str, tuple[Factors, int, int]] = {
    "shift": (lambda bars: bars["close"].shift(-1), 1, 1),
    "far shift": (lambda bars: bars["close"].shift(-5), 5, 5),
    "centred": (lambda bars: bars["close"].rolling(7, center=True).mean(), 1, 3),
    "backfill": (lambda bars: bars["close"].where(np.arange(len(bars)) % 3 == 0).bfill(), 1, 2),
    "zscore": (lambda bars: (bars["close"] - bars["close"].mean()) / bars["close"].std(), 1, 100),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_pandas_functions_pass(bars: pd.DataFrame, name: str) -> None:
    assert mp.check_leaks(HONEST[name], bars, samples=8) == []


@pytest.mark.parametrize("name", PEEKING)
def test_pandas_functions_that_look_ahead_are_named(bars: pd.DataFrame, name: str) -> None:
    function, ahead, reach = PEEKING[name]
    (leak,) = mp.check_leaks(function, bars, samples=8)
    assert leak.factor == "close"
    assert leak.rows_ahead == ahead
    assert leak.reach >= reach


def test_only_the_column_that_leaks_is_named(bars: pd.DataFrame) -> None:
    def factors(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(good=frame["close"].diff(), bad=frame["close"].diff(-1))

    assert [leak.factor for leak in mp.check_leaks(factors, bars, samples=4)] == ["bad"]


def test_the_function_gets_pandas_with_its_index_and_types(bars: pd.DataFrame) -> None:
    before = bars.copy()
    seen: list[pd.DataFrame] = []

    def factors(frame: pd.DataFrame) -> pd.Series:
        seen.append(frame)
        frame["scratch"] = 0  # a user's function may write into what it gets
        return frame["close"]

    assert mp.check_leaks(factors, bars, samples=4) == []
    for frame in seen:
        assert frame.index.equals(bars.index[: len(frame)])
        assert frame["volume"].dtype == bars["volume"].dtype
    pd.testing.assert_frame_equal(bars, before)


def late_tape() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    event = pd.date_range("2026-01-05", periods=160, freq="1s", tz="UTC")
    return pd.DataFrame({"ts_event": event, "ts_recv": event + pd.Timedelta("5ms"), "x": rng.normal(size=160)})


@pytest.mark.parametrize("index", ["range", "time"])
def test_backfilled_late_rows_must_be_invisible(index: str) -> None:
    tape = late_tape()
    if index == "time":
        tape = tape.set_index(pd.DatetimeIndex(tape["ts_recv"], name="clock"))

    def by_event(frame: pd.DataFrame) -> pd.DataFrame:
        ordered = frame.reset_index(drop=True).sort_values("ts_event")
        return pd.DataFrame(
            {"sorted": ordered["x"].cumsum().sort_index(), "honest": frame.reset_index(drop=True)["x"].cumsum()}
        )

    (leak,) = mp.check_leaks(by_event, tape)
    assert (leak.factor, leak.tests) == ("sorted", ("late row",))


def test_late_rows_keep_the_types_of_the_tape() -> None:
    tape = late_tape()
    late = PandasTape(tape, None, None).backfilled(20, 3)
    assert late is not None
    assert late.dtypes.equals(tape.dtypes)
    assert late.index.equals(pd.RangeIndex(161))
    assert late["x"].iloc[21] == tape["x"].iloc[3]
    assert late["ts_event"].iloc[21] <= tape["ts_event"].iloc[20]
    assert late["ts_recv"].iloc[21] == tape["ts_recv"].iloc[21]


def test_without_both_times_as_columns_nothing_comes_late() -> None:
    tape = late_tape()
    assert PandasTape(tape.drop(columns="ts_event"), None, None).backfilled(20, 3) is None
    assert PandasTape(tape.set_index("ts_recv"), None, "ts_recv").backfilled(20, 3) is None


def test_rows_received_out_of_order_are_refused() -> None:
    with pytest.raises(DataError, match="row 1 was received before row 0"):
        mp.check_leaks(lambda frame: frame["x"], late_tape().iloc[::-1])


def test_pandas_results_of_a_polars_tape() -> None:
    tape = pl.from_pandas(late_tape())
    leaks = mp.check_leaks(lambda frame: frame.to_pandas().assign(next=lambda f: f["x"].shift(-1)), tape)
    assert [leak.factor for leak in leaks] == ["next"]
