"""A state depends on no later row, and on nothing but the rows: not on portions, restarts or other segments."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketprism.labels import StateFilter, TrendStates, transforms

N = 400
SETUPS = [
    {"method": method, "n_states": states, "filter_window": window, "delay": delay}
    for method, states, window, delay in [
        ("jump", 2, 60, 0),
        ("jump", 2, None, 1),
        ("jump", 3, 30, 0),
        ("sparse_jump", 2, 30, 1),
        ("hmm", 2, 60, 0),
        ("hmm", 3, None, 0),
        ("rules", 2, 60, 1),
    ]
]


def tape(seed, n=N):
    rng = np.random.default_rng(seed)
    drift = np.repeat(np.resize([1.0, -1.0, 0.0], -(-n // 40)), 40)[:n]
    returns = drift + rng.normal(size=n)
    X = np.column_stack([transforms.ewma(returns, 8), transforms.rolling_mean(returns, 5), rng.normal(size=n)])
    X[rng.random(n) < 0.05, 2] = np.nan
    return X, returns, np.cumsum(rng.random(n) < 0.01)


@functools.cache
def fitted(place):
    X, returns, segments = tape(0)
    model = TrendStates(**SETUPS[place], jump_penalty=2.0, refuse=False, n_init=1).fit(X, returns, segments)
    assert model.method_ == SETUPS[place]["method"]
    return model


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(SETUPS) - 1), st.integers(1, N - 1), st.integers(1, 5))
def test_the_future_changes_nothing(place, cut, seed):
    model, (X, _, segments) = fitted(place), tape(seed)
    whole, margins = model.predict_online(X, segments), model.margin_online(X, segments)
    assert np.array_equal(whole[:cut], model.predict_online(X[:cut], segments[:cut]))
    other = X.copy()
    other[cut:] = np.random.default_rng(seed).normal(size=other[cut:].shape) * 100
    assert np.array_equal(whole[:cut], model.predict_online(other, segments)[:cut])
    assert np.array_equal(margins[:cut], model.margin_online(other, segments)[:cut], equal_nan=True)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(SETUPS) - 1), st.lists(st.integers(0, N), max_size=6), st.integers(1, 5))
def test_portions_and_restarts_change_nothing(place, cuts, seed):
    model, (X, _, segments) = fitted(place), tape(seed)
    state_filter, parts = model.online(), []
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), N], strict=True):
        parts.append(state_filter.push(X[start:stop], segments[start:stop]))
        state_filter = StateFilter.load(state_filter.save())
    assert np.array_equal(np.concatenate(parts), model.predict_online(X, segments))


@pytest.mark.parametrize("place", range(len(SETUPS)))
def test_segments_are_apart(place):
    model, (X, _, _) = fitted(place), tape(3)
    segments = (np.arange(N) >= 150).astype(np.int64)
    both = model.predict_online(X, segments)
    apart = [model.predict_online(X[:150]), model.predict_online(X[150:])]
    assert np.array_equal(both, np.concatenate(apart))
    # The test can see a difference: the evidence right after the seam is another without it.
    assert model.margin_online(X, segments)[150] != model.margin_online(X)[150]


def test_only_the_window_matters_to_the_evidence():
    model, (X, _, _) = fitted(0), tape(4)
    margins = model.margin_online(X)
    assert np.array_equal(margins[200:], model.margin_online(X[200 - 59 :])[59:], equal_nan=True)
    assert not np.array_equal(margins[200:], model.margin_online(X[200:]), equal_nan=True)


TRANSFORMS = {
    "ewma": lambda x, s: transforms.ewma(x, 5, s),
    "mean": lambda x, s: transforms.rolling_mean(x, 4, s),
    "momentum": lambda x, s: transforms.momentum_sum(x, 3, s),
    "gap": lambda x, s: transforms.fast_minus_slow(x, 2, 6, s),
    "downside": lambda x, s: transforms.downside_deviation(x, 4, s),
    "z": lambda x, s: transforms.rolling_zscore(x, 5, s),
    "rsi": lambda x, s: transforms.relative_strength(x, 4, s),
    "k": lambda x, s: transforms.stochastic_k(x, 4, s),
    "macd": lambda x, s: transforms.macd(np.abs(x), 3, 7, s),
}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(TRANSFORMS)),
    st.lists(st.sampled_from([1.0, -1.0, 2.5, -0.1, np.nan]), min_size=2, max_size=60),
    st.data(),
)
def test_transforms_are_causal_and_stay_in_their_segment(name, values, data):
    x = np.array(values)
    cut = data.draw(st.integers(1, x.size - 1))
    segments = (np.arange(x.size) >= cut).astype(np.int64)
    transform = TRANSFORMS[name]
    assert np.array_equal(transform(x, None)[:cut], transform(x[:cut], None), equal_nan=True)
    apart = np.concatenate([transform(x[:cut], None), transform(x[cut:], None)])
    assert np.array_equal(transform(x, segments), apart, equal_nan=True)
