"""Study 2: optimal quotes of Avellaneda and Stoikov, and of Gueant, Lehalle and Fernandez-Tapia, by risk aversion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from marketprism.core.errors import DataError
from marketprism.strategies.avellaneda_stoikov import stationary_distances
from marketprism.strategies.glft import closed_form_distances, exact_distances
from marketprism.strategies.intensity import IntensityFit, fit_intensity
from marketprism.studies.lanes import Ground, Lane, Maker, run_makers

__all__ = ["ModelFit", "OptimalStudy", "study_optimal"]


@dataclass(frozen=True)
class ModelFit:
    """The model fitted to the whole tape, and the quotes that follow from it.

    Makers of the study do not see it: they use what they have heard so far.

    Attributes
    ----------
    gamma : float
        Risk aversion of the quotes, a tick.
    intensity : IntensityFit, optional
        Rate of market orders by depth, and volatility; None where the tape says too little.
    inventory : ndarray
        In orders.
    quotes : mapping of str to (ndarray, ndarray)
        Places of bid and ask from the mid (ticks) at each inventory, by solution; empty without a fit.
    """

    gamma: float
    intensity: IntensityFit | None
    inventory: np.ndarray
    quotes: Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class OptimalStudy:
    """Optimal makers by solution and risk aversion.

    Attributes
    ----------
    families : mapping of str to list of Lane
        Lanes of each solution, by rising risk aversion.
    gammas : tuple of float
        Risk aversions, a tick.
    symmetric : list of Lane
        Makers at a fixed distance with the same hard limit, for comparison.
    fit : ModelFit
        The model on the whole tape.
    """

    families: Mapping[str, list[Lane]]
    gammas: tuple[float, ...]
    symmetric: list[Lane]
    fit: ModelFit

    @property
    def lanes(self) -> list[Lane]:
        """All of them."""
        return [*self.symmetric, *(lane for lanes in self.families.values() for lane in lanes)]


def study_optimal(ground: Ground) -> OptimalStudy:
    """Run four solutions at every risk aversion of the settings, all with the same hard limit."""
    config = ground.config
    limit = {"max_inventory": config.max_inventory}
    solutions: dict[str, tuple[str, dict[str, Any]]] = {
        "Avellaneda-Stoikov, no end": ("avellaneda_stoikov", {}),
        f"Avellaneda-Stoikov, {config.horizon_s:g} s": ("avellaneda_stoikov", {"horizon_s": config.horizon_s}),
        "GLFT, closed form": ("glft", {"solution": "closed"}),
        "GLFT, exact": ("glft", {"solution": "exact"}),
    }
    gammas = tuple(sorted(config.gammas))
    makers = [
        Maker(f"{half:g} ticks", "symmetric", {"half_spread_ticks": half, **limit})
        for half in sorted(config.half_spreads)
    ]
    fixed = len(makers)
    makers += [
        Maker(f"{name}, gamma {gamma:g}", strategy, {"gamma": gamma, **limit, **more})
        for name, (strategy, more) in solutions.items()
        for gamma in gammas
    ]
    lanes = run_makers(ground, makers)
    families = {
        name: lanes[fixed + place * len(gammas) : fixed + (place + 1) * len(gammas)]
        for place, name in enumerate(solutions)
    }
    return OptimalStudy(families, gammas, lanes[:fixed], _fit(ground, gammas[len(gammas) // 2]))


def _fit(ground: Ground, gamma: float) -> ModelFit:
    bound = max(1, int(ground.config.max_inventory))
    held = np.arange(-bound, bound + 1)
    try:
        found = fit_intensity(ground.tape, interval_ms=ground.config.interval_ms)
    except DataError:
        return ModelFit(gamma, None, held, {})
    own = {"gamma": gamma, "sigma": found.sigma, "k": found.k}
    distances = {
        "Avellaneda-Stoikov, no end": [stationary_distances(float(q), bound=bound, **own) for q in held],
        "GLFT, closed form": [closed_form_distances(float(q), A=found.A, **own) for q in held],
        "GLFT, exact": list(zip(*exact_distances(A=found.A, bound=bound, **own), strict=True)),
    }
    quotes = {}
    for name, pairs in distances.items():
        # At the largest inventory one side is infinitely far: it is not drawn.
        bid, ask = np.where(np.isfinite(pairs), pairs, np.nan).T
        quotes[name] = (-bid, ask)
    return ModelFit(gamma, found, held, quotes)
