"""Statistics of judgement: Sharpe ratios and multiple trials, drift, calibration, latency decay, differencing."""

from __future__ import annotations

import math
from functools import cache, partial

import numpy as np

from marketprism.core.random import stream
from marketprism.evaluate.decay import effective_sharpe
from marketprism.evaluate.drift import kolmogorov_smirnov, population_stability_index
from marketprism.evaluate.reliability import best_possible_brier, calibration_test
from marketprism.evaluate.sharpe import deflated_sharpe_ratio, expected_maximum_sharpe, probabilistic_sharpe_ratio
from marketprism.evaluate.superior import reality_check
from marketprism.labels.fractional import fractional_weights
from marketprism.pipelines.selfcheck.registry import Oracle

__all__ = ["ORACLES"]

_PSR = "Bailey and Lopez de Prado (2012)"
_DSR = "Bailey and Lopez de Prado (2014)"
_DSR_SETUP = "Sharpe 2.5 a year, 1250 days, skew -3, kurtosis 10, variance of trials 1/2 a year, N = {}"
_DRIFT = "N(0, 1) against N(.5, 1), a million quantiles of each"
_HANSEN = "Hansen (2005); sizes by simulation, this set-up"
_EXACT = "computed from the definition"
_TRIALS = 300


def _deflated(trials: int) -> float:
    return deflated_sharpe_ratio(2.5 / math.sqrt(250), 1250, trials, 0.5 / 250, -3, 10)


def _normal(shift: float, n: int = 1_000_000) -> np.ndarray:
    from scipy.special import ndtri

    return shift + np.asarray(ndtri((np.arange(n) + 0.5) / n))


def _stability(bins: int) -> float:
    return population_stability_index(_normal(0.0), _normal(0.5), bins)


def _distance() -> float:
    return kolmogorov_smirnov(_normal(0.0), _normal(0.5))


def _perfect_model(n: int) -> float:
    """ECE that a perfect model shows on average: the mean of the null that every calibration test reports."""
    random = stream(0, "selfcheck", "calibration", n)
    p = random.uniform(0.3, 0.7, n)
    return calibration_test(p, random.uniform(size=n) < p).null_mean


@cache
def _sizes() -> tuple[float, float, float]:
    """Share of data sets without any skill in which the Reality Check rejects at 5 %, for its three centrings."""
    random = stream(0, "selfcheck", "reality check")
    rejected = np.zeros(3)
    for trial in range(_TRIALS):
        returns = random.standard_normal((400, 20))
        returns[:, 10:] -= 0.3
        found = reality_check(returns, replications=200, seed=trial)
        rejected += np.array((found.lower, found.consistent, found.upper)) <= 0.05
    lower, consistent, upper = rejected / _TRIALS
    return float(lower), float(consistent), float(upper)


def _size(which: int) -> float:
    return _sizes()[which]


def _weight(k: int) -> float:
    return float(fractional_weights(0.4, 6)[k])


_DECAY = (
    (1, 0.8, 1, 200, 0.7460),
    (8, 1.2, 3, 150, 0.9877),
    (25, 1.5, 5, 120, 0.9679),
    (80, 1.8, 8, 100, 0.4088),
    (250, 2.1, 15, 80, -0.6577),
)

ORACLES = (
    Oracle(
        "PSR, skewed returns",
        "Sharpe .458, n = 24, skew -2.448, kurtosis 10.164",
        0.9134,
        partial(probabilistic_sharpe_ratio, 0.458, 24, -2.448, 10.164),
        1e-4,
        _PSR,
    ),
    Oracle(
        "PSR, normal returns", "Sharpe .458, n = 24", 0.9817, partial(probabilistic_sharpe_ratio, 0.458, 24), 1e-4, _PSR
    ),
    Oracle(
        "expected maximum Sharpe a day",
        "100 trials, variance 1/2 a year",
        0.11317,
        partial(expected_maximum_sharpe, 100, 0.5 / 250),
        1e-5,
        _DSR,
    ),
    *(
        Oracle(f"DSR, {trials} trials", _DSR_SETUP.format(trials), value, partial(_deflated, trials), 1e-4, _DSR)
        for trials, value in ((100, 0.9004), (46, 0.9505))
    ),
    *(
        Oracle(
            f"Reality Check size, {name}",
            f"20 models, 10 of them bad, 400 rows, 5 %, {_TRIALS} data sets",
            value,
            partial(_size, place),
            # Three Monte Carlo standard errors of a share of about .05.
            3 * math.sqrt(value * (1 - value) / _TRIALS),
            _HANSEN,
        )
        for place, (name, value) in enumerate((("lower", 0.080), ("consistent", 0.055), ("upper", 0.035)))
    ),
    *(
        Oracle(f"PSI, {bins} bins", _DRIFT, value, partial(_stability, bins), 1e-3, "tends to d^2")
        for bins, value in ((10, 0.2377), (1000, 0.2499))
    ),
    Oracle("KS distance", _DRIFT, 0.1974, _distance, 1e-3, "2 Phi(d / 2) - 1"),
    *(
        Oracle(
            f"ECE of a perfect model, n = {n}",
            "15 bins, probabilities .3 to .7",
            value,
            partial(_perfect_model, n),
            0.1 * value,
            _EXACT,
        )
        for n, value in ((1000, 0.032), (10_000, 0.010))
    ),
    Oracle(
        "best possible Brier score, IC .05",
        "balanced classes",
        0.249375,
        partial(best_possible_brier, 0.05),
        1e-6,
        "b (1 - b) (1 - r^2)",
    ),
    *(
        Oracle(
            f"effective Sharpe ratio at {latency} ms",
            f"raw {raw}, complexity {complexity}, half-life {half_life} ms",
            value,
            partial(effective_sharpe, raw, latency, half_life, complexity),
            1e-4,
            _EXACT,
        )
        for latency, raw, complexity, half_life, value in _DECAY
    ),
    *(
        Oracle(f"fractional differencing, weight {k}", "d = .4", value, partial(_weight, k), 1e-15, "Hosking (1981)")
        for k, value in enumerate((1.0, -0.4, -0.12, -0.064, -0.0416, -0.029952))
    ),
)
