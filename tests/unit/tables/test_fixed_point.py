from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketprism.core.errors import DataError, IntegrityError
from marketprism.core.fixed_point import (
    NARROW,
    WIDE,
    decimals_to_floats,
    decimals_to_ticks,
    floats_to_decimals,
    multiply_decimals,
    narrow_if_possible,
    ticks_to_decimals,
)

NARROW_TYPE, WIDE_TYPE = pa.decimal128(*NARROW), pa.decimal128(*WIDE)
ZERO = np.zeros(1, np.int64)


def accepted(values: list[float]) -> bool:
    return all(
        np.isnan(v)
        or (
            abs(v) < 1e20
            and (v == 0 or (abs(v) >= 1e-18 and -int(Decimal(repr(v)).normalize().as_tuple().exponent) <= 18))
        )
        for v in values
    )


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.floats(allow_infinity=False),
            st.decimals(-(10**10), 10**10, places=8, allow_nan=False).map(float),
            st.decimals(-(10**6), 10**6, places=12, allow_nan=False).map(float),
            st.integers(-(10**12), 10**12).map(float),
        ),
        max_size=6,
    )
)
def test_floats_survive_or_are_refused(values: list[float]) -> None:
    array = np.array(values, np.float64)
    if not accepted(values):
        with pytest.raises(DataError):
            floats_to_decimals(array, "x")
        return
    column = floats_to_decimals(array, "x")
    np.testing.assert_array_equal(decimals_to_floats(column), array)
    # The decimal is the shortest text of the float, whichever way it took.
    shortest = [None if np.isnan(v) else Decimal(repr(v)) for v in values]
    assert column.to_pylist() == shortest


def test_the_width_is_narrow_where_all_values_fit() -> None:
    assert floats_to_decimals(np.array([0.00000001, 9_999_999_999.0]), "x").type == NARROW_TYPE
    assert floats_to_decimals(np.array([1e10]), "x").type == WIDE_TYPE
    assert floats_to_decimals(np.array([0.5, 1e-9]), "x").type == WIDE_TYPE


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e20, -1e20, 1e308, 1e-19, 5e-324, 1.2345e-15])
def test_what_no_column_can_hold_is_refused_by_name(value: float) -> None:
    with pytest.raises(DataError, match="quantity was"):
        floats_to_decimals(np.array([1.0, value]), "quantity")


def test_a_sliced_column_reads_its_own_values() -> None:
    column = floats_to_decimals(np.array([1.5, np.nan, 2.5, 3.5]), "x")[1:3]
    np.testing.assert_array_equal(decimals_to_floats(column), [np.nan, 2.5])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=5),
    st.sampled_from(["0.01", "0.1", "1", "10", "5E+1", "0.0025", "0.00000001", "1E-11", "1E-18"]),
)
def test_ticks_survive(ticks: list[int], tick_size: str) -> None:
    array, instrument, sizes = np.array(ticks), np.zeros(len(ticks), np.int64), [Decimal(tick_size)]
    column = ticks_to_decimals(array, instrument, sizes, "price")
    assert column.to_pylist() == [t * Decimal(tick_size) for t in ticks]
    np.testing.assert_array_equal(decimals_to_ticks(column, instrument, sizes, "price"), array)


def test_a_panel_mixes_grids() -> None:
    instrument, sizes = np.array([1, 0, 1]), [Decimal("0.01"), Decimal("1E-10")]
    column = ticks_to_decimals(np.array([3, 4, 5]), instrument, sizes, "price")
    assert column.to_pylist() == [Decimal("3E-10"), Decimal("0.04"), Decimal("5E-10")]
    assert decimals_to_ticks(column, instrument, sizes, "price").tolist() == [3, 4, 5]


def test_no_price_is_narrow() -> None:
    assert ticks_to_decimals(np.zeros(0, np.int64), np.zeros(0, np.int64), [Decimal("1E-11")], "p").type == NARROW_TYPE


@pytest.mark.parametrize(("ticks", "size"), [(2**62, "100000"), (1, "1E-19"), (10**15, "1E+6"), (1, "1E-40")])
def test_prices_out_of_range_are_refused(ticks: int, size: str) -> None:
    with pytest.raises(DataError, match="bid price was"):
        ticks_to_decimals(np.array([ticks]), ZERO, [Decimal(size)], "bid price")


@pytest.mark.parametrize("size", ["0.02", "0.0000003", "1E-9", "0.25"])
def test_prices_off_the_grid_are_refused(size: str) -> None:
    column = ticks_to_decimals(np.array([7]), ZERO, [Decimal("0.01")], "price")
    if size == "1E-9":
        column = pa.array([Decimal("0.0000000001")]).cast(WIDE_TYPE)
    with pytest.raises(IntegrityError, match="grid"):
        decimals_to_ticks(column, ZERO, [Decimal(size)], "price")


def test_a_wide_price_off_the_grid_is_refused() -> None:
    column = pa.array([Decimal("0.0000000003")]).cast(WIDE_TYPE)
    with pytest.raises(IntegrityError, match=r"was 3\.00000000E-10, off the grid of 2E-10"):
        decimals_to_ticks(column, ZERO, [Decimal("2E-10")], "price")


def test_a_missing_price_is_refused() -> None:
    with pytest.raises(IntegrityError, match="null"):
        decimals_to_ticks(pa.array([None], NARROW_TYPE), ZERO, [Decimal(1)], "price")


def test_products_are_exact_to_eight_decimals_half_even() -> None:
    def one(text: str) -> pa.Array:
        return narrow_if_possible(pa.array([Decimal(text)]).cast(WIDE_TYPE))

    assert multiply_decimals(one("1.00000001"), one("1.00000001"))[0].as_py() == Decimal("1.00000002")
    assert multiply_decimals(one("0.00005"), one("0.0001"))[0].as_py() == Decimal("0E-8")
    assert multiply_decimals(one("0.00015"), one("0.0001"))[0].as_py() == Decimal("2E-8")
    large = multiply_decimals(one("9000000000"), one("9000000000"))
    assert large.type == WIDE_TYPE
    assert large[0].as_py() == Decimal(81) * 10**18
    assert multiply_decimals(one("1E-12"), one("5"))[0].as_py() == Decimal(0)
    with pytest.raises(DataError, match="product"):
        multiply_decimals(one("90000000000"), one("9000000000"))
