"""What the gate measures on the packed model itself: the latency of one prediction, and what its inputs explain."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketprism.core.random import stream
from marketprism.evaluate.attribution import explainability_coverage
from marketprism.models.artefact import LoadedModel

__all__ = ["Latency", "input_weights", "measure_coverage", "measure_latency", "serve"]

_Floats = npt.NDArray[np.float64]
_WARM_UP = 200
_CALLS = 2000
_WEIGHT_ROWS = 400
_BATCH = 16


@dataclass(frozen=True)
class Latency:
    """Wall time of one prediction.

    Attributes
    ----------
    p50_ms, p99_ms : float
        Over the timed calls.
    calls, warm_up : int
        Timed calls, and calls before them.
    """

    p50_ms: float
    p99_ms: float
    calls: int
    warm_up: int


def measure_latency(model: LoadedModel, rows: _Floats, calls: int = _CALLS, warm_up: int = _WARM_UP) -> Latency:
    """Time single-row predictions of the packed model, one thread, rows in turn, after a warm-up.

    It is the model alone: book, buckets and factors take the same time whatever the model.
    """
    seconds = np.empty(calls)
    singles = [np.ascontiguousarray(rows[i % len(rows)][None, :]) for i in range(min(calls, len(rows)))]
    for i in range(warm_up):
        model.predict_proba(singles[i % len(singles)])
    for i in range(calls):
        row = singles[i % len(singles)]
        start = time.perf_counter_ns()
        model.predict_proba(row)
        seconds[i] = time.perf_counter_ns() - start
    p50, p99 = np.quantile(seconds, (0.5, 0.99)) / 1e6
    return Latency(float(p50), float(p99), calls, warm_up)


def input_weights(model: LoadedModel, X: _Floats, seed: int) -> _Floats:
    """Mean absolute change of the score when one input is permuted over the rows: any packed model, at most 400 rows.

    Returns
    -------
    ndarray of shape (F,)
        One weight for each factor of the model (the series code of a panel is left alone).
    """
    rows = X[:: max(1, -(-len(X) // _WEIGHT_ROWS))]
    width = len(model.manifest.factors)
    base = serve(model, rows)
    order = stream(seed, "input weights").permutation(len(rows))
    weights = np.zeros(width)
    for start in range(0, width, _BATCH):
        columns = range(start, min(width, start + _BATCH))
        changed = np.tile(rows, (len(columns), 1, 1))
        for place, column in enumerate(columns):
            changed[place, :, column] = rows[order, column]
        said = serve(model, changed.reshape(-1, rows.shape[1])).reshape(len(columns), -1)
        weights[start : start + len(columns)] = np.abs(said - base).mean(axis=1)
    return weights


def measure_coverage(model: LoadedModel, X: _Floats, top: int, seed: int) -> float:
    """Explainability coverage of the packed model on ``X`` by its ``top`` inputs of largest weight; NaN if unknown."""
    return explainability_coverage(serve(model, X), X, input_weights(model, X, seed), top, seed)


def serve(model: LoadedModel, X: _Floats) -> _Floats:
    """Return the score P(up) - P(down) of each row."""
    said = model.predict_proba(X)
    return np.asarray(said[:, 2] - said[:, 0])
