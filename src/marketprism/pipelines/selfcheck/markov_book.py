"""Queue book of Cont, Stoikov and Talreja: probability that the mid moves up."""

from __future__ import annotations

from functools import cache, partial

import numpy as np

from marketprism.pipelines.selfcheck.registry import Oracle
from marketprism.simulate.first_passage import mid_up_table

__all__ = ["ORACLES"]

_SOURCE = "Cont, Stoikov and Talreja (2010), table 3"
_EXACT = "computed from the model's definition, cross-checked by simulation"
_SETUP = "published rates, unit orders, queues 1..5"
_TABLE = (
    (0.500, 0.336, 0.259, 0.216, 0.188),
    (0.664, 0.500, 0.407, 0.348, 0.307),
    (0.741, 0.593, 0.500, 0.437, 0.391),
    (0.784, 0.652, 0.563, 0.500, 0.452),
    (0.812, 0.693, 0.609, 0.548, 0.500),
)
_RANGES = {2: (0.367, 0.633), 3: (0.412, 0.588)}


@cache
def _solved(spread: int) -> np.ndarray:
    return mid_up_table(spread)


def _cell(bid: int, ask: int) -> float:
    return float(_solved(1)[bid - 1, ask - 1])


def _least(spread: int) -> float:
    return float(_solved(spread).min())


def _most(spread: int) -> float:
    return float(_solved(spread).max())


def _asymmetry() -> float:
    return max(float(np.abs(_solved(s) + _solved(s).T - 1).max()) for s in (1, 2, 3))


def _reversals() -> float:
    """Count neighbouring queues where a heavier bid (or lighter ask) does not raise P(up)."""
    steps = [np.diff(_solved(s), axis=0) for s in (1, 2, 3)] + [-np.diff(_solved(s), axis=1) for s in (1, 2, 3)]
    return float(sum(np.count_nonzero(step <= 0) for step in steps))


ORACLES = (
    *(
        Oracle(f"P(mid up), spread 1, bid {b}, ask {a}", _SETUP, value, partial(_cell, b, a), 1e-3, _SOURCE)
        for b, line in enumerate(_TABLE, 1)
        for a, value in enumerate(line, 1)
    ),
    *(
        Oracle(
            f"P(mid up), spread {spread}, {name} over queues 1..5", _SETUP, value, partial(ours, spread), 1e-3, _EXACT
        )
        for spread, values in _RANGES.items()
        for name, value, ours in zip(("least", "most"), values, (_least, _most), strict=True)
    ),
    Oracle("P(mid up): largest |p(b, a) + p(a, b) - 1|", "spreads 1, 2, 3", 0.0, _asymmetry, 1e-9, "symmetry"),
    Oracle("P(mid up): reversals in bid heaviness", "spreads 1, 2, 3", 0.0, _reversals, 0.0, _EXACT),
)
