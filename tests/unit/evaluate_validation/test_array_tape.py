"""Leaks of factor functions written for NumPy: arrays, structured arrays, dicts of arrays; and for pandas series."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import marketprism as mp
from marketprism.core.errors import DataError
from marketprism.evaluate.array_tape import ArrayTape

N = 160
RNG = np.random.default_rng(3)
EVENT = np.arange(N) * 1_000_000_000
RECEIVED = EVENT + 5_000_000
PRICE = 100 + RNG.normal(size=N).cumsum()


def ahead(values: Any) -> Any:
    return np.append(np.diff(values), np.nan)


def back(values: Any) -> Any:
    return np.append(np.nan, np.diff(values))


def mapping() -> dict[str, Any]:
    return {"ts_event": EVENT, "ts_recv": RECEIVED, "price": PRICE}


def structured() -> Any:
    rows = np.zeros(N, [("ts_event", "i8"), ("ts_recv", "i8"), ("price", "f8")])
    for name, values in mapping().items():
        rows[name] = values
    return rows


@pytest.mark.parametrize("tape", [mapping(), structured()], ids=["mapping", "structured"])
def test_a_step_ahead_in_numpy_is_named(tape: Any) -> None:
    def factors(part: Any) -> dict[str, Any]:
        return {"past": back(part["price"]), "peek": ahead(part["price"])}

    (leak,) = mp.check_leaks(factors, tape)
    assert (leak.factor, leak.rows_ahead, leak.reach) == ("peek", 1, 1)


def test_a_plain_array_is_a_tape() -> None:
    (leak,) = mp.check_leaks(ahead, PRICE, samples=6)
    assert (leak.factor, leak.rows_ahead, leak.reach) == ("ahead", 1, 1)
    assert mp.check_leaks(back, PRICE, samples=6) == []
    table = np.column_stack((PRICE, PRICE**2))
    (leak,) = mp.check_leaks(lambda x: np.column_stack((back(x[:, 0]), ahead(x[:, 1]))), table, samples=6)
    assert leak.factor.endswith("_1")
    assert leak.rows_ahead == 1


def test_a_pandas_series_is_a_tape() -> None:
    series = pd.Series(PRICE, name="close", index=pd.date_range("2026-01-05", periods=N, freq="1min", tz="UTC"))
    (leak,) = mp.check_leaks(lambda close: close.shift(-2), series, samples=6)
    assert (leak.factor, leak.rows_ahead, leak.reach) == ("close", 2, 2)
    assert mp.check_leaks(lambda close: close.rolling(5).mean(), series, samples=6) == []


@pytest.mark.parametrize("tape", [mapping(), structured()], ids=["mapping", "structured"])
def test_a_late_row_must_be_invisible(tape: Any) -> None:
    def by_event(part: Any) -> dict[str, Any]:
        order = np.argsort(part["ts_event"], kind="stable")
        total = np.empty(len(order))
        total[np.arange(len(order))] = np.cumsum(part["price"][order])
        return {"sorted": total, "honest": np.cumsum(part["price"])}

    (leak,) = mp.check_leaks(by_event, tape)
    assert (leak.factor, leak.tests) == ("sorted", ("late row",))


def test_the_function_gets_copies_of_what_was_given() -> None:
    tape, seen = mapping(), []

    def factors(part: dict[str, Any]) -> Any:
        seen.append({name: values.dtype for name, values in part.items()})
        part["price"][:] = np.round(part["price"], 3)
        return part["price"]

    assert mp.check_leaks(factors, tape, samples=3) == []
    assert all(dtypes == {name: values.dtype for name, values in tape.items()} for dtypes in seen)
    assert np.array_equal(tape["price"], PRICE)


def test_times_stay_where_contents_move() -> None:
    moved = ArrayTape(mapping(), None, None).rearranged(np.arange(N)[::-1])
    assert np.array_equal(moved["ts_event"], EVENT)
    assert np.array_equal(moved["price"], PRICE[::-1])


def test_without_both_times_nothing_comes_late() -> None:
    assert ArrayTape(PRICE, None, None).backfilled(20, 3) is None


@pytest.mark.parametrize(
    ("tape", "said"),
    [
        ({}, "an empty mapping"),
        ({"a": np.zeros(5), "b": np.zeros(6)}, "'a': 5, 'b': 6"),
        ({"a": np.zeros(5), "b": 1.0}, "arrays of one length"),
        ([1.0, 2.0, 3.0, 4.0], "the tape was a list"),
        ({"ts_recv": RECEIVED[::-1], "price": PRICE}, "row 1 was received before row 0"),
    ],
)
def test_what_is_no_tape_is_refused(tape: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        mp.check_leaks(lambda part: part, tape)
