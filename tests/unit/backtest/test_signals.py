"""Signals on a tape's clock: never visible before they were known."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from marketprism.backtest.signals import SignalTape, latest_signal, signal_tape
from marketprism.core.errors import DataError


def test_rows_in_order_of_when_they_were_known_and_shifted_with_the_tape() -> None:
    frame = pl.DataFrame({"ts_known": [30, 10, 20], "a": [3, 1, None], "b": [0.3, 0.1, float("nan")]})
    signals = signal_tape(frame, ["b", "a"], shift_ns=5)
    assert signals.names == ("b", "a")
    assert signals.ts.tolist() == [15, 25, 35]
    assert np.array_equal(signals.values, [[0.1, 1.0], [np.nan, np.nan], [0.3, 3.0]], equal_nan=True)
    assert len(signals) == 3


def test_datetimes() -> None:
    frame = pl.DataFrame({"ts_known": [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)], "a": [1.0]})
    assert signal_tape(frame, ["a"]).ts.tolist() == [10**9]


@pytest.mark.parametrize("compiled", [True, False])
def test_a_row_is_seen_from_its_time_on(compiled: bool) -> None:
    ts = np.array([10, 20, 20, 30], np.int64)
    seen = latest_signal if compiled else latest_signal.py_func
    at, found = -1, []
    for now in (9, 10, 19, 20, 29, 30, 99):
        at = seen(ts, now, at)
        found.append(at)
    assert found == [-1, 0, 0, 2, 2, 3, 3]


def test_refused() -> None:
    frame = pl.DataFrame({"ts_known": [1, None], "a": [1.0, 2.0]})
    with pytest.raises(DataError, match="no column 'b'"):
        signal_tape(frame, ["b"])
    with pytest.raises(DataError, match="null in 1 rows"):
        signal_tape(frame, ["a"])
    ts, values = np.array([1, 2], np.int64), np.zeros((2, 1))
    for wrong, message in (
        ((ts, values, ("a", "b")), "shape"),
        ((ts, values.astype(np.float32), ("a",)), "float32"),
        ((ts[::-1].copy(), values, ("a",)), "before 2"),
        ((ts, values + np.inf, ("a",)), "a of row 0 was infinite"),
    ):
        with pytest.raises(DataError, match=message):
            SignalTape(*wrong)
