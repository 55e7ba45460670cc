"""Queue race of Cont and de Larrard: probability that the price moves up, by the two best queues."""

from __future__ import annotations

from functools import partial

import numpy as np

from marketprism.pipelines.selfcheck.registry import Oracle
from marketprism.simulate.cont_de_larrard import up_probability, up_probability_table

__all__ = ["ORACLES"]

_SOURCE = "Cont and de Larrard (2013), proposition 1; computed from the definition"
_VALUES = {(1, 1): 0.5, (1, 2): 0.30235, (1, 5): 0.12713, (3, 7): 0.25865, (10, 2): 0.87397}


def _step_error() -> float:
    """Largest violation, over queues 1..11, of P(b, a) = mean of its four neighbours."""
    p = np.zeros((12, 12))
    p[1:, 0] = 1.0
    p[1:, 1:] = up_probability_table(11)
    mean = (p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2]) / 4
    return float(np.abs(p[1:-1, 1:-1] - mean).max())


ORACLES = (
    *(
        Oracle(
            f"queue race, P(up), bid {b}, ask {a}", "balanced flow", value, partial(up_probability, b, a), 1e-5, _SOURCE
        )
        for (b, a), value in _VALUES.items()
    ),
    Oracle("queue race, one-step equation", "balanced flow, queues 1..11", 0.0, _step_error, 1e-9, "Markov property"),
)
