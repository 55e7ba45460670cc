"""Statistics on 100,000 predictions: seconds for 1,000 bootstrap replications of each metric, and of the tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from marketprism.evaluate import (
    block_bootstrap,
    calibration_test,
    diebold_mariano,
    drift_test,
    information_by,
    performance_metrics,
    reality_check,
    stationary_bootstrap,
    superior_predictive_ability,
)
from marketprism.evaluate import metrics as m
from marketprism.evaluate.bootstrap import block_length, plan_blocks

N, REPLICATIONS, MODELS = 100_000, 1000, 20


def _cases() -> dict[str, Callable[[], object]]:
    rng = np.random.default_rng(0)
    score = rng.normal(size=N)
    returns = 0.05 * score + rng.normal(size=N)
    classes = (np.sign(returns) * (np.abs(returns) > 0.4)).astype(np.int8)
    up = 1 / (1 + np.exp(-0.1 * score))
    probabilities = np.column_stack((0.7 * (1 - up), np.full(N, 0.3), 0.7 * up))
    base = np.tile((0.35, 0.3, 0.35), (N, 1))
    models = rng.normal(size=(N, MODELS))

    def plan(n: int = N) -> Any:
        return plan_blocks(n, block_length(n), REPLICATIONS, 0)

    return {
        "IC": lambda: m.information_coefficient(score, returns, plan()),
        "rank IC": lambda: m.rank_information_coefficient(score, returns, plan()),
        "AUC": lambda: m.area_under_curve(score, classes, plan, 0.95),
        "Brier skill": lambda: m.brier_skill(probabilities, base, classes, plan()),
        "log-loss skill": lambda: m.log_loss_skill(probabilities, base, classes, plan()),
        "hit rate": lambda: m.hit_rate(score, returns, plan()),
        "calibration error": lambda: m.calibration_error(probabilities[:, 2], classes > 0, plan(), 0.95),
        "Sharpe, Lo, Sortino, Calmar, drawdown, hit rate": lambda: performance_metrics(returns, 1e6),
        "mean, stationary bootstrap": lambda: stationary_bootstrap(returns, lambda s: s[:, 0] / N, of_sums=True),
        "mean, block bootstrap": lambda: block_bootstrap(returns, lambda s: s[:, 0] / N, of_sums=True),
        "calibration null": lambda: calibration_test(up, returns > 0),
        "PSI with permutations": lambda: drift_test(score, returns),
        "KS with permutations": lambda: drift_test(score, returns, statistic="ks"),
        f"Reality Check, {MODELS} models": lambda: reality_check(models),
        f"SPA, {MODELS} models": lambda: superior_predictive_ability(models),
        "Diebold-Mariano": lambda: diebold_mariano(score**2, returns**2),
        "IC by 24 slices": lambda: information_by(score, returns, np.arange(N) % 24),
    }


def measure() -> list[dict[str, Any]]:
    """Best and worst of three runs of each case, after one that compiles."""
    rows = []
    for name, case in _cases().items():
        case()
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            case()
            seconds.append(time.perf_counter() - start)
        rows.append(
            {
                "case": f"{name}, {N:,} rows, {REPLICATIONS:,} replications",
                "value": round(min(seconds), 3),
                "unit": "s",
                "target": 1.0,
                "spread": [round(min(seconds), 3), round(max(seconds), 3)],
            }
        )
    return rows


if __name__ == "__main__":
    for row in measure():
        print(row)
