from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from marketprism.factors.windows import decay, last_at_or_before, log_ratio, replace_sorted, window_sum


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(1, 8), st.integers(-1, 51))
def test_last_at_or_before(times: list[int], capacity: int, wanted: int) -> None:
    times = sorted(times)
    ring = np.zeros(capacity, np.int64)
    for n, value in enumerate(times):
        ring[n % capacity] = value
    kept = times[-capacity:]
    slot = last_at_or_before(ring, len(times) % capacity, len(kept), wanted)
    before = [value for value in kept if value <= wanted]
    assert (slot == -1) == (not before)
    if before:
        assert slot == (len(times) - len(kept) + len(before) - 1) % capacity


@settings(deadline=None)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=40), st.integers(1, 9))
def test_replace_sorted(values: list[float], capacity: int) -> None:
    ring, ordered = np.zeros(capacity), np.zeros(capacity)
    for n, value in enumerate(values):
        replace_sorted(ordered, min(n, capacity), ring[n % capacity], value)
        ring[n % capacity] = value
        kept = values[: n + 1][-capacity:]
        assert ordered[: len(kept)].tolist() == sorted(kept)


@settings(deadline=None)
@given(st.integers(1, 10**12), st.integers(-(10**6), 10**9))
def test_log_ratio(old: int, change: int) -> None:
    new = max(1, old + change)
    exact = math.log1p((new - old) / old) if 2 * new > old else math.log(new / old)
    assert math.isclose(log_ratio(new, old), exact, rel_tol=1e-14, abs_tol=0.0)
    assert log_ratio(old, new) == -log_ratio(new, old) or abs(new - old) / (new + old) > 0.02


def test_decay_and_window_sum() -> None:
    assert math.isclose(decay(2_000_000_000, math.log(2) / 1e9), 0.25)
    history = np.array([[4.0], [5.0], [3.0]])  # the fourth and fifth bucket overwrote the first two
    assert window_sum(history, 0, 5, 2) == 9.0
    assert window_sum(history, 0, 5, 3) == 12.0
    assert math.isnan(window_sum(history, 0, 2, 3))
