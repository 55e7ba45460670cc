"""The first-passage solver against cases with a closed form and against direct iteration."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.core.errors import ConfigError
from marketprism.simulate import QueueRates, mid_up_table


def test_without_arrivals_and_cancellations_it_is_a_coin_race():
    """Only market orders, equal rates: P(up) is the chance of a heads before b tails."""
    tiny = 1e-12
    rates = QueueRates(limit=(tiny,), cancel=(tiny,), market=1.0, tail_scale=tiny)
    table = mid_up_table(1, 3, rates)
    np.testing.assert_allclose(
        table, [[1 / 2, 1 / 4, 1 / 8], [3 / 4, 1 / 2, 5 / 16], [7 / 8, 11 / 16, 1 / 2]], atol=1e-9
    )


def test_truncation_is_out_of_reach():
    for spread in (1, 2, 3):
        np.testing.assert_allclose(mid_up_table(spread, truncation=30), mid_up_table(spread), atol=1e-9)


def test_solution_satisfies_the_one_step_equation():
    rates = QueueRates()
    p = np.zeros((12, 12))
    p[1:, 1:] = mid_up_table(2, 11, rates)
    p[1:, 0] = 1.0
    birth, inside = rates.limit_at(2), rates.limit_at(1)
    for b in range(1, 11):
        for a in range(1, 11):
            down, up = (rates.market + n * rates.cancel_at(2) for n in (b, a))
            flow = inside + birth * (p[b + 1, a] + p[b, a + 1]) + down * p[b - 1, a] * (b > 1) + up * p[b, a - 1]
            assert p[b, a] == pytest.approx(flow / (2 * inside + 2 * birth + down + up), abs=1e-12)


@pytest.mark.parametrize("arguments", [(0, 5), (1, 0), (1, 61)])
def test_impossible_request_is_refused(arguments):
    with pytest.raises(ConfigError, match="spread was"):
        mid_up_table(*arguments)
