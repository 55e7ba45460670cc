"""Distances fit the instrument: from its touch to where its price goes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.studies.distances import typical_distances, volatility


@pytest.mark.parametrize(("spread", "sigma"), [(1.0, 1.2), (1.0, 86.0), (31.0, 6.0), (2.0, 0.0), (200.0, 1000.0)])
def test_from_the_touch_to_where_the_price_goes(spread: float, sigma: float) -> None:
    found = typical_distances(spread, sigma)
    assert list(found) == sorted(set(found))
    assert len(found) == 4
    assert found[0] == pytest.approx(0.5 * spread, rel=0.05)
    assert found[-1] == pytest.approx(max(1.5 * spread, 4 * sigma), rel=0.1)
    assert all(distance % 0.5 == 0 for distance in found)


def test_without_a_spread_or_a_volatility() -> None:
    assert typical_distances(math.nan, 3.0) == (0.5, 1.0, 2.0, 4.0)
    assert typical_distances(0.0, 3.0) == (0.5, 1.0, 2.0, 4.0)
    assert typical_distances(1.0, math.nan) == (0.5, 1.0, 1.5)


def test_volatility_counts_moves_between_known_mids_by_their_time() -> None:
    ts = np.array([0, 1, 3, 4, 5]) * 10**9
    mid = np.array([10.0, 11.0, 9.0, math.nan, 8.0])
    # Moves of 1 in 1 s and 2 in 2 s; the two beside the gap are not known.
    assert volatility(ts, mid) == pytest.approx(math.sqrt(5 / 3))
    assert math.isnan(volatility(ts[:1], mid[:1]))
    random = np.random.default_rng(0)
    walk = np.cumsum(random.normal(0, 2.0, 20_000))
    assert volatility(np.arange(20_000) * 10**9, walk) == pytest.approx(2.0, rel=0.03)
