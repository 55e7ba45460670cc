"""Walk-forward folds in two processes against one, on the same rows; every bit of the predictions must agree."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

import marketprism as mp
from marketprism.evaluate import PurgedWalkForward, walk_forward
from marketprism.models import ModelConfig, build_model

ROWS, FACTORS, FOLDS, REPEATS = 30_000, 60, 8, 5


def _frame() -> Any:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, FACTORS))
    moves = 1e-4 * (0.1 * np.roll(X[:, 0], 1) + rng.normal(size=ROWS))
    clock = pd.date_range("2026-01-05", periods=ROWS, freq="10s", tz="UTC", name="time")
    bars = pd.DataFrame(X, columns=[f"factor_{i}" for i in range(FACTORS)], index=clock)
    return mp.bucket_frame(bars.assign(mid=100 * np.exp(np.cumsum(moves))), time="time", mid="mid", spread_bps=1.0)


def measure() -> list[dict[str, Any]]:
    """Time both in turn; the ratio is the best serial over the best parallel time."""
    frame = _frame()
    labels = mp.make_labels(frame)
    rows = []
    for kind in ("logistic", "lightgbm"):
        model = build_model(ModelConfig(kind=kind, trees=30))
        seconds: dict[int, list[float]] = {1: [], 2: []}
        found = {}
        walk_forward(frame, labels, "1_buckets", model, PurgedWalkForward(2), jobs=2)  # starts the two processes
        for _ in range(REPEATS):
            for jobs in (1, 2):
                start = time.perf_counter()
                found[jobs] = walk_forward(frame, labels, "1_buckets", model, PurgedWalkForward(FOLDS), jobs=jobs)
                seconds[jobs].append(time.perf_counter() - start)
        if not found[1].predictions.equals(found[2].predictions) or found[1].folds != found[2].folds:
            raise SystemExit(f"{kind}: two processes gave other predictions than one")
        ratios = [a / b for a, b in zip(seconds[1], seconds[2], strict=True)]
        rows.append(
            {
                "case": f"{FOLDS} folds of {kind}, {ROWS:,} rows, {FACTORS} factors, 2 processes; bits identical",
                "value": round(min(seconds[2]), 2),
                "unit": "s",
                "ratio": round(min(seconds[1]) / min(seconds[2]), 2),
                "spread": [round(min(ratios), 2), round(max(ratios), 2)],
                "peer": "1 process",
            }
        )
    return rows


if __name__ == "__main__":
    for row in measure():
        print(row)
