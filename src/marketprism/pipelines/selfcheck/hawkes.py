"""State-dependent Hawkes process of the mpoints tutorial: simulated, fitted and tested by its residuals."""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from marketprism.pipelines.selfcheck.registry import Oracle
from marketprism.simulate.hawkes import HawkesEvents, HawkesParameters, residual_test, simulate_hawkes
from marketprism.simulate.hawkes_fit import HawkesFit, fit_hawkes

__all__ = ["ORACLES"]

_SOURCE = "mpoints tutorial (Morariu-Patrichi and Pakkanen)"
_SETUP = "two types, two states, nu = (1, 1), T = 7200 s"
_T = 7200.0
_TRUTH = HawkesParameters.from_arrays(
    base=[1.0, 1.0],
    impact=[[[2, 1], [2, 10]], [[1, 4], [5, 1]]],
    decay=[[[4, 12], [14, 15]], [[14, 10], [10, 14]]],
    transition=[[[0.7, 0.3], [0.2, 0.8]], [[0.6, 0.4], [0.4, 0.6]]],
)


@cache
def _events() -> HawkesEvents:
    return simulate_hawkes(_TRUTH, _T, seed=0)


@cache
def _fit() -> HawkesFit:
    return fit_hawkes(_events(), 2, 2, starts=1)


def _mean_count() -> float:
    """Mean number of events in one tutorial run, from ten of them."""
    return float(np.mean([len(simulate_hawkes(_TRUTH, _T, seed=seed).times) for seed in range(10)]))


def _base(e: int) -> float:
    return _fit().parameters.base[e]


def _kernel_error() -> float:
    """Children by type and state that the fit places wrongly, as a share of all."""
    ours, truth = (np.array(p.impact) / np.array(p.decay) for p in (_fit().parameters, _TRUTH))
    return float(np.abs(ours - truth).sum() / truth.sum())


def _transition_error() -> float:
    ours, truth = np.array(_fit().parameters.transition), np.array(_TRUTH.transition)
    return float(np.abs(ours / truth - 1).max())


def _rejections() -> float:
    """Event types whose residuals under the fit are not Exp(1): KS p below .01."""
    return float(sum(p < 0.01 for p in residual_test(_fit().parameters, _events()).p_values))


ORACLES = (
    # One run has a standard deviation of about 350 events, the mean of ten of 110.
    Oracle("state-dependent Hawkes, events", f"{_SETUP}, mean of ten runs", 37_188.0, _mean_count, 1100.0, _SOURCE),
    *(
        Oracle(f"state-dependent Hawkes, fitted base rate {e}", _SETUP, 1.0, partial(_base, e), 0.05, _SOURCE)
        for e in range(2)
    ),
    Oracle(
        "state-dependent Hawkes, fitted kernels: children misplaced", _SETUP, 0.0, _kernel_error, 0.05,
        f"{_SOURCE}: estimates within 5 %",
    ),
    Oracle(
        "state-dependent Hawkes, fitted transitions: largest relative error", _SETUP, 0.0, _transition_error, 0.05,
        f"{_SOURCE}: estimates within 5 %",
    ),
    Oracle(
        "state-dependent Hawkes, residuals that are not Exp(1)", f"{_SETUP}, KS at 1 %", 0.0, _rejections, 0.0,
        "random time change",
    ),
)  # fmt: skip
