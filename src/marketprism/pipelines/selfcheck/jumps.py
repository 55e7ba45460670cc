"""The test for jumps: its critical values, and how often it cries jump where there is none."""

from __future__ import annotations

from functools import cache, partial

from marketprism.core.random import stream
from marketprism.labels.jumps import jump_threshold, lee_mykland
from marketprism.pipelines.selfcheck.registry import Oracle

__all__ = ["ORACLES"]

_SOURCE = "Lee and Mykland (2008), lemma 1"
_TAPES, _WINDOW = 1000, 100


def _part(significance: float, place: int) -> float:
    return jump_threshold(significance, 1000)[place]


@cache
def _size(significance: float) -> float:
    """Share of tapes of 1000 tested normal returns, without any jump, in which at least one is found."""
    random = stream(0, "selfcheck", "lee mykland")
    found = 0
    for _ in range(_TAPES):
        returns = random.standard_normal(1000 + _WINDOW - 1)
        found += lee_mykland(returns, window=_WINDOW, significance=significance, tests=1000).count > 0
    return found / _TAPES


ORACLES = (
    Oracle("Lee-Mykland beta*, 1 %", "-log(-log(1 - .01))", 4.6001, partial(_part, 0.01, 0), 1e-4, _SOURCE),
    Oracle("Lee-Mykland beta*, 5 %", "-log(-log(1 - .05))", 2.9702, partial(_part, 0.05, 0), 1e-4, _SOURCE),
    Oracle("Lee-Mykland C", "n = 1000, c = sqrt(2 / pi)", 4.1396, partial(_part, 0.01, 1), 1e-4, _SOURCE),
    Oracle("Lee-Mykland S", "n = 1000, c = sqrt(2 / pi)", 0.3372, partial(_part, 0.01, 2), 1e-4, _SOURCE),
    Oracle(
        "Lee-Mykland true size at 1 %",
        f"{_TAPES} tapes of 1000 normal returns, window {_WINDOW}; passes from 1 to 5 %",
        0.03,
        partial(_size, 0.01),
        0.02,
        "a volatility from few returns is uncertain: the size exceeds 1 %, and stays within 5 %",
    ),
)
