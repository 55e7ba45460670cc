"""Statistics on 100,000 predictions: seconds for 1,000 bootstrap replications of each metric, and of the tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from marketprism.evaluate import (
    block_bootstrap,
    calibration_test,
    deflated_sharpe_ratio,
    diebold_mariano,
    drift_test,
    information_by,
    information_by_rows,
    optimal_block_lengths,
    performance_metrics,
    reality_check,
    serial_sharpe_ratio,
    stationary_bootstrap,
    superior_predictive_ability,
)
from marketprism.evaluate import metrics as m
from marketprism.evaluate.bootstrap import block_length, plan_blocks
from marketprism.evaluate.economics import Trading, trading_metrics
from marketprism.evaluate.gate_pairs import Pairs, paired_ic, paired_sharpe

N, REPLICATIONS, MODELS = 100_000, 1000, 20
_RNG = np.random.default_rng(0)
_SCORE = _RNG.normal(size=N)
_RETURNS = 0.05 * _SCORE + _RNG.normal(size=N)
_CLASSES = (np.sign(_RETURNS) * (np.abs(_RETURNS) > 0.4)).astype(np.int8)
_UP = 1 / (1 + np.exp(-0.1 * _SCORE))
_PROBABILITIES = np.column_stack((0.7 * (1 - _UP), np.full(N, 0.3), 0.7 * _UP))
_BASE = np.tile((0.35, 0.3, 0.35), (N, 1))
_Case = Callable[[], object]


def _plan(n: int = N) -> Any:
    return plan_blocks(n, block_length(n), REPLICATIONS, 0)


def _forecasts() -> dict[str, _Case]:
    """Every function of ``evaluate.metrics``."""
    return {
        "IC": lambda: m.information_coefficient(_SCORE, _RETURNS, _plan()),
        "rank IC": lambda: m.rank_information_coefficient(_SCORE, _RETURNS, _plan()),
        "IC_IR of 200 periods": lambda: m.information_ratio(_SCORE, _RETURNS, np.arange(N) // 500, 0),
        "AUC": lambda: m.area_under_curve(_SCORE, _CLASSES, _plan, 0.95),
        "average precision": lambda: m.average_precision(_SCORE, _CLASSES, _plan()),
        "Brier skill": lambda: m.brier_skill(_PROBABILITIES, _BASE, _CLASSES, _plan()),
        "log-loss skill": lambda: m.log_loss_skill(_PROBABILITIES, _BASE, _CLASSES, _plan()),
        "hit rate": lambda: m.hit_rate(_SCORE, _RETURNS, _plan()),
        "calibration error": lambda: m.calibration_error(_PROBABILITIES[:, 2], _CLASSES > 0, _plan(), 0.95),
        "calibration null": lambda: calibration_test(_UP, _RETURNS > 0),
        "IC by 24 slices": lambda: information_by(_SCORE, _RETURNS, np.arange(N) % 24),
        "IC at 5 delays": lambda: information_by_rows(_SCORE, _RETURNS, [0, 1, 2, 3, 5]),
    }


def _money() -> dict[str, _Case]:
    held = np.sign(_SCORE)
    traded = np.abs(np.diff(held, prepend=0.0))
    ts = np.arange(N, dtype=np.int64) * 10**9
    first, second = (
        Trading(ts, held, 1e-4 * held * _RETURNS, fee * 1e-4 * traded, traded, 1e6, float(N)) for fee in (0.5, 0.6)
    )
    sharpe = first.net.mean() / first.net.std()
    return {
        "turnover, P&L, Sharpe, gross and net, per unit": lambda: trading_metrics(first, REPLICATIONS, 0.95, 0),
        "Sharpe, Lo, Sortino, Calmar, drawdown, hit rate": lambda: performance_metrics(_RETURNS, 1e6),
        "Lo's Sharpe, deflated for 100 trials (no bootstrap)": lambda: (
            serial_sharpe_ratio(first.net, 1e6),
            deflated_sharpe_ratio(sharpe, N, 100, 1e-5),
        ),
        "paired gain of net Sharpe": lambda: paired_sharpe(first, second, REPLICATIONS, 0, 0.95, 0.1),
    }


def _tests() -> dict[str, _Case]:
    models = _RNG.normal(size=(N, MODELS))
    zero = np.zeros(N, np.int64)
    pairs = Pairs(_SCORE, _SCORE + _RNG.normal(size=N), _RETURNS, np.arange(N), zero, 1, 1, 0)
    return {
        "paired gain of IC": lambda: paired_ic(pairs, _plan(), 0.95, 0.01),
        "mean, stationary bootstrap": lambda: stationary_bootstrap(_RETURNS, lambda s: s[:, 0] / N, of_sums=True),
        "mean, block bootstrap": lambda: block_bootstrap(_RETURNS, lambda s: s[:, 0] / N, of_sums=True),
        "optimal block lengths (no bootstrap)": lambda: optimal_block_lengths(_RETURNS),
        "PSI with permutations": lambda: drift_test(_SCORE, _RETURNS),
        "PSI with permuted blocks of 20": lambda: drift_test(_SCORE, _RETURNS, block=20),
        "KS with permutations": lambda: drift_test(_SCORE, _RETURNS, statistic="ks"),
        "KS with permuted blocks of 20": lambda: drift_test(_SCORE, _RETURNS, statistic="ks", block=20),
        "Diebold-Mariano (no bootstrap)": lambda: diebold_mariano(_SCORE**2, _RETURNS**2),
        f"Reality Check, {MODELS} models": lambda: reality_check(models),
        f"SPA, {MODELS} models": lambda: superior_predictive_ability(models),
    }


def _any_statistic() -> dict[str, _Case]:
    """Rows copied and handed to a function of the user's own: no target, the time is numpy's."""
    return {"any statistic: numpy.median of copied rows": lambda: block_bootstrap(_RETURNS, np.median)}


def measure() -> list[dict[str, Any]]:
    """Best and worst of three runs of each case, after one that compiles."""
    rows = []
    own = _any_statistic()
    for name, case in (_forecasts() | _money() | _tests() | own).items():
        case()
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            case()
            seconds.append(time.perf_counter() - start)
        row: dict[str, Any] = {
            "case": f"{name}, {N:,} rows, {REPLICATIONS:,} replications",
            "value": round(min(seconds), 3),
            "unit": "s",
            "spread": [round(min(seconds), 3), round(max(seconds), 3)],
        }
        rows.append(row if name in own else row | {"target": 1.0})
    return rows


if __name__ == "__main__":
    for row in measure():
        print(row)
