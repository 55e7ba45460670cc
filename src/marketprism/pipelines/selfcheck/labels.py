"""Labels and states: online states that ignore the future, overlap of labels, and jumps told from noise."""

from __future__ import annotations

import numpy as np

from marketprism.core.random import stream
from marketprism.labels.state_quality import state_quality
from marketprism.labels.trend_states import TrendStates
from marketprism.labels.weights import average_uniqueness
from marketprism.pipelines.selfcheck.registry import Oracle

__all__ = ["ORACLES"]


def _changed_by_the_future() -> float:
    """States that differ when every later row is replaced by noise, over three methods."""
    random = stream(0, "selfcheck", "trend states")
    drift = np.repeat(np.resize([0.8, -0.8], 6), 50)
    returns = drift + random.normal(size=drift.size)
    X = np.column_stack([np.convolve(returns, np.ones(5) / 5)[: drift.size], returns])
    changed = 0
    for method in ("jump", "hmm", "rules"):
        model = TrendStates(method, jump_penalty=5.0, n_init=1, refuse=False).fit(X, returns)
        states = model.predict_online(X)
        for cut in (50, 120, 250):
            other = X.copy()
            other[cut:] = 100 * random.normal(size=other[cut:].shape)
            changed += int((model.predict_online(other)[:cut] != states[:cut]).sum())
    return float(changed)


def _uniqueness() -> float:
    start = np.arange(1000)
    return float(average_uniqueness(start, start + 5)[500])


def _flips() -> float:
    return state_quality(np.tile(np.repeat([1, -1], 25), 20), np.zeros(1000)).flips_per_100


ORACLES = (
    Oracle(
        "Trend states changed by replacing the future",
        "jump model, HMM and rules, 300 rows, three cuts",
        0.0,
        _changed_by_the_future,
        0.0,
        "exact: online filters see no later row",
    ),
    Oracle(
        "Average uniqueness of labels",
        "one label a row, each open for 5 rows",
        0.2,
        _uniqueness,
        1e-12,
        "Lopez de Prado (2018), chapter 4: exactly 1/5",
    ),
    Oracle(
        "State flips per 100 buckets",
        "1000 buckets, a change after every 25",
        3.9,
        _flips,
        1e-12,
        "exact: 39 changes",
    ),
)
