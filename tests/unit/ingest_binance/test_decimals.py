"""Exact decimals: values, rounding, and every kind of number that must not pass."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketprism.core.decimals import infer_tick, parse_decimal, parse_quantity, parse_ticks
from marketprism.core.errors import DataError
from marketprism.core.units import inverse_base_quantity

DECIMALS = st.decimals(0, 10**9, allow_nan=False, allow_infinity=False, places=8)


@given(st.integers(0, 2**53 - 1), st.sampled_from(["0.1", "0.01", "0.5", "0.00025", "1", "5"]))
def test_ticks_round_trip(ticks, tick):
    assert parse_ticks(format(ticks * Decimal(tick), "f"), Decimal(tick)) == ticks


@given(DECIMALS)
def test_quantity_is_the_nearest_float(value):
    number = parse_quantity(format(value, "f"))
    error = abs(Fraction(number) - Fraction(value))
    import math

    for other in (math.nextafter(number, 0), math.nextafter(number, math.inf)):
        assert error <= abs(Fraction(other) - Fraction(value))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "price not a number"),
        ("inf", "price not a number"),
        ("banana", "price not a number"),
        ("", "price not a number"),
        ("1_000", "price not a number"),
        ("٣", "price not a number"),
        (" 1", "price not a number"),
        ("-1", "price not positive"),
        ("1e308", "price out of range"),
        ("9223372036854775808", "price out of range"),
        ("1" * 40, "price out of range"),
        ("1" * 70, "price out of range"),
        ("100.05", "price off tick"),
        ("0." + "0" * 38 + "1", "price off tick"),
    ],
)
def test_bad_prices_say_why(text, reason):
    with pytest.raises(DataError) as caught:
        parse_ticks(text, Decimal("0.1"))
    assert caught.value.context["reason"] == reason
    if reason == "price off tick":
        assert "tick is 0.1" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", "quantity not a number"),
        ("-0.1", "quantity negative"),
        ("1e308", "quantity out of range"),
        ("1e15", "quantity out of range"),
        ("9" * 40, "quantity out of range"),
    ],
)
def test_bad_quantities_say_why(text, reason):
    with pytest.raises(DataError) as caught:
        parse_quantity(text)
    assert caught.value.context["reason"] == reason


def test_zero_is_a_plain_zero():
    assert str(parse_quantity("-0.000")) == "0.0"
    assert parse_ticks("0.00000000", Decimal("0.1")) == 0


def test_numbers_keep_their_exact_value():
    assert parse_decimal("1e-7") == Decimal("0.0000001")


def test_tick_is_the_common_divisor_of_enough_prices():
    assert infer_tick([str(Decimal(100) + Decimal("0.25") * i) for i in range(40)]) == Decimal("0.25")


def test_tick_of_few_prices_is_their_last_place():
    assert infer_tick(["100", "200", "0", "300.50"]) == Decimal("0.1")
    assert infer_tick(["7000"]) == Decimal(1)
    with pytest.raises(DataError, match="no positive price"):
        infer_tick(["0.0"])


def test_inverse_quantity_has_eight_decimals():
    assert inverse_base_quantity(1001.0, 100.0, 61773.6) == round(100100 / 61773.6, 8)
    assert inverse_base_quantity.py_func(1001.0, 100.0, 61773.6) == inverse_base_quantity(1001.0, 100.0, 61773.6)
    assert inverse_base_quantity(0.0, 100.0, 61773.6) == 0.0
