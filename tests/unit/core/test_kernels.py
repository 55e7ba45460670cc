from __future__ import annotations

import numpy as np
import pytest
from numba import njit, types

from marketprism.core.kernels import address, caller, inner, kernel

SIGNATURE = types.float64(types.int64, types.float64)


@inner
def _half(value):
    return value // 2


@kernel
def _scaled(number, factor):
    if factor < 0.0:
        raise ValueError("negative")
    return number * factor


@kernel
def _always(number):
    return True


_call = caller(SIGNATURE)


@njit
def _far(where, number, factor):
    return _call(where, (number, factor))


def test_one_copy_for_literals_and_widths() -> None:
    @kernel
    def plus(a, b=1):
        return a + b

    @njit
    def use(small):
        return plus(1, 2) + plus(small[0], b=2) + plus(3, 4.0) + plus(small[0], True)

    assert use(np.array([5], np.int8)) == 3 + 7 + 7.0 + 6
    kinds = {signature[1] for signature in plus.signatures}
    assert kinds == {types.int64, types.float64, types.boolean}
    assert {signature[0] for signature in plus.signatures} == {types.int64}


def test_unsigned_64_bit_integers_keep_their_type() -> None:
    @kernel
    def same(value):
        return value

    @njit
    def use(value):
        return same(value)

    assert use(np.uint64(2**64 - 2)) == 2**64 - 2
    assert same.signatures == [(types.uint64,)]


def test_inner_is_not_called_from_python() -> None:
    @njit
    def use(value):
        return _half(value)

    assert use(9) == 4
    with pytest.raises(TypeError, match="_half can only be called from compiled functions"):
        _half(9)


def test_call_by_address_converts_and_passes_errors_on() -> None:
    where = address(_scaled, SIGNATURE)
    assert _far(where, np.int8(3), 2) == 6.0
    assert _scaled(3, 2.0) == 6.0
    with pytest.raises(ValueError, match="negative"):
        _far(where, 3, -1.0)


def test_address_checks_what_is_returned() -> None:
    assert address(_always, types.boolean(types.int64))
    _scaled.compile((types.int64, types.float64))
    with pytest.raises(TypeError, match="_scaled returns float64"):
        address(_scaled, types.int64(types.int64, types.float64))
