from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from marketprism.core.dispatch import bind
from marketprism.core.rows import ROW_DTYPE, empty_rows


@njit
def _total(rows, scale):
    total = 0.0
    for row in rows:
        total += row.quantity * scale
    return total


def test_bound_kernel_gives_the_same() -> None:
    rows = empty_rows(3)
    rows["quantity"] = 1.5, 2.0, 4.0
    call = bind(_total, rows, 2.0)
    assert call is not _total
    assert call(rows[1:], 2.0) == _total(rows[1:], 2.0) == 12.0


def test_bound_kernel_refuses_another_layout() -> None:
    call = bind(_total, np.zeros(0, ROW_DTYPE), 2.0)
    with pytest.raises(TypeError):
        call(np.zeros(3), 2.0)


def test_python_functions_stay() -> None:
    assert bind(sum, [1]) is sum
