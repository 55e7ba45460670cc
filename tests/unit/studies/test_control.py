"""Whether a position comes back: random walks are told from mean reversion, and their half-life is right."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.core.errors import ConfigError, DataError
from marketprism.studies.config import StudyConfig
from marketprism.studies.control import inventory_control


def reverting(keep: float, n: int = 20_000) -> np.ndarray:
    steps, q = np.random.default_rng(1).normal(size=n), np.zeros(n)
    for i in range(1, n):
        q[i] = keep * q[i - 1] + steps[i]
    return q


def test_half_life_of_an_autoregression() -> None:
    found = inventory_control(reverting(0.9), bar_s=2.0)
    assert found.controlled
    assert found.half_life_s == pytest.approx(2.0 * math.log(0.5) / math.log(0.9), rel=0.1)
    assert found.growth == pytest.approx(1, abs=0.2)


def test_random_walks_are_rarely_called_controlled() -> None:
    rng = np.random.default_rng(2)
    called = [inventory_control(np.cumsum(rng.normal(size=500)), 1.0).controlled for _ in range(300)]
    assert sum(called) <= 12


def test_positions_that_say_nothing() -> None:
    still = inventory_control(np.zeros(100), 1.0)
    assert not still.moved
    assert still.flat == 1.0
    short = inventory_control([0.0, 1.0, -1.0], 1.0)
    assert math.isnan(short.t)
    assert math.isnan(short.half_life_s)
    assert short.largest == 1.0
    flips = inventory_control(np.tile([1.0, -1.0], 50), 1.0)
    assert flips.half_life_s == 0.0
    grows = inventory_control(np.arange(1.0, 60.0), 1.0)
    assert grows.half_life_s == math.inf
    assert not grows.controlled
    assert math.isnan(inventory_control([0.0] * 50 + [1.0], 1.0).growth)
    with pytest.raises(DataError, match="shape"):
        inventory_control(np.zeros((2, 2)), 1.0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"skews": []}, "skews was empty"),
        ({"skews": [0.0]}, "positive"),
        ({"half_spreads": []}, "half_spreads was empty"),
        ({"half_spreads": [-1.0]}, "half_spreads were"),
        ({"latencies_ms": [-1.0]}, "latencies_ms were"),
        ({"warmup_s": -1.0}, "warmup_s was"),
        ({"seed": -1}, "seed was"),
        ({"interval_ms": 0.0}, "interval_ms was"),
        ({"order_quantity": 0.0}, "order_quantity was"),
        ({"markout_s": [0.0]}, "markout_s were"),
        ({"market": {"agent_latency_ms": [1.0, 2.0]}}, "latencies_ms"),
        ({"bar_s": 0}, "bar_s"),
        ({"calibration": 1}, "calibration"),
        ({"replications": 0}, "replications"),
        ({"confidence": 0.2}, "confidence"),
    ],
)
def test_settings_out_of_range(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        StudyConfig.from_mapping(values)
