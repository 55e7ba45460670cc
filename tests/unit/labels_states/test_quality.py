"""Quality of a labelling on hand-made states."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from marketprism.core.errors import ConfigError, DataError
from marketprism.labels import NO_STATE, StateGates, state_quality


def test_flips_dwell_and_shares():
    states = [1] * 6 + [NO_STATE] + [1] * 2 + [0] * 3 + [-1] * 4
    segments = [0] * 14 + [1] * 2
    quality = state_quality(states, np.zeros(16), segments)
    # Stays: 6 (cut by the unknown row), 2, 3, 2 (cut by the gap), 2.
    assert quality.rows == 15
    assert quality.flips_per_100 == pytest.approx(100 * 2 / 15)
    assert quality.mean_dwell == 3.0
    assert quality.p90_dwell == pytest.approx(np.quantile([6, 2, 3, 2, 2], 0.9))
    assert quality.shares == pytest.approx({"down": 4 / 15, "neutral": 3 / 15, "up": 8 / 15})


def test_forward_ic_uses_only_later_returns_of_the_segment():
    rng = np.random.default_rng(0)
    states = rng.integers(-1, 2, 300)
    returns = rng.normal(size=300)
    returns[1:] += states[:-1]
    quality = state_quality(states, returns)
    two = returns[1:-1] + returns[2:]
    assert quality.forward_ic[1] == pytest.approx(spearmanr(states[:-1], returns[1:]).statistic)
    assert quality.forward_ic[2] == pytest.approx(spearmanr(states[:-2], two).statistic)
    assert quality.mean_ic == pytest.approx(np.mean(list(quality.forward_ic.values())))
    same = state_quality(states, np.where(np.arange(300) == 0, 1e9, returns))
    assert same.forward_ic == quality.forward_ic
    every_row_alone = state_quality(states, returns, np.arange(300))
    assert math.isnan(every_row_alone.mean_ic)


def test_every_gate_can_fail_and_pass():
    states = np.repeat([1, -1] * 5, 30)
    returns = np.append(0.0, states[:-1]) + np.random.default_rng(0).normal(size=300)
    quality = state_quality(states, returns)
    assert quality.failures(StateGates()) == ()
    for change in (
        {"max_flips_per_100": 1.0},
        {"min_mean_dwell": 31.0},
        {"min_p90_dwell": 31.0},
        {"min_forward_ic": 0.99},
        {"max_class_share": 0.4},
    ):
        assert len(quality.failures(StateGates(**change))) == 1
    assert len(state_quality([NO_STATE] * 5, np.zeros(5)).failures(StateGates())) == 5


def test_constant_states_have_no_ic():
    assert math.isnan(state_quality([1] * 10, np.arange(10.0)).mean_ic)


def test_bad_calls():
    with pytest.raises(DataError, match="a state was 7"):
        state_quality([7], [0.0])
    with pytest.raises(DataError, match="one length"):
        state_quality([1, 1], [0.0])
    with pytest.raises(ConfigError, match="max_class_share was 0"):
        StateGates(max_class_share=0)
    with pytest.raises(ConfigError, match="NaN"):
        StateGates(min_forward_ic=math.nan)
