"""Combinatorial purged cross-validation: numbers of splits and backtest paths."""

from __future__ import annotations

import numpy as np

from marketprism.evaluate.combinatorial import CombinatorialPurgedCV
from marketprism.pipelines.selfcheck.registry import Oracle

__all__ = ["ORACLES"]

_SETUP = "N = 6 stretches, k = 2 tested"
_SOURCE = "Lopez de Prado (2018), chapter 12"


def _splits() -> float:
    """Count the different test sets that the splitter really yields."""
    return float(len({tuple(test.tolist()) for _, test in CombinatorialPurgedCV(6, 2).split(np.zeros(60))}))


def _paths() -> float:
    """Count the different series that the test predictions join into, each split predicting its own number."""
    splitter, X = CombinatorialPurgedCV(6, 2), np.zeros(60)
    predictions = [np.full(test.size, s, np.float64) for s, (_, test) in enumerate(splitter.split(X))]
    return float(len(np.unique(splitter.assemble(predictions, X), axis=0)))


ORACLES = (
    Oracle("CPCV splits", _SETUP, 15.0, _splits, 0.0, _SOURCE),
    Oracle("CPCV backtest paths", _SETUP, 5.0, _paths, 0.0, _SOURCE),
)
