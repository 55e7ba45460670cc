"""Study 2: optimal quotes of Avellaneda and Stoikov, and of Gueant, Lehalle and Fernandez-Tapia, by risk aversion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from marketprism.core.errors import DataError
from marketprism.strategies.avellaneda_stoikov import stationary_distances
from marketprism.strategies.glft import closed_form_distances, exact_distances
from marketprism.strategies.intensity import IntensityFit, fit_intensity
from marketprism.studies.lanes import Ground, Lane, Maker, run_makers, ticks_text

__all__ = ["ModelFit", "OptimalStudy", "study_optimal"]


@dataclass(frozen=True)
class ModelFit:
    """The model fitted to the whole tape, and the quotes that follow from it.

    Makers of the study do not see it: they use what they have heard so far.

    Attributes
    ----------
    skew : float
        How far an order held moves the quotes, in units of ``1 / k``.
    intensity : IntensityFit, optional
        Rate of market orders by depth, and volatility; None where the tape says too little.
    inventory : ndarray
        In orders.
    quotes : mapping of str to (ndarray, ndarray)
        Places of bid and ask from the mid (ticks) at each inventory, by solution; empty without a fit.
    """

    skew: float
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
    skews : tuple of float
        Risk aversions, as how far an order held moves the quotes, in units of ``1 / k``.
    symmetric : list of Lane
        Makers at a fixed distance with the same hard limit, for comparison.
    fit : ModelFit
        The model on the whole tape.
    """

    families: Mapping[str, list[Lane]]
    skews: tuple[float, ...]
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
    skews = tuple(sorted(config.skews))
    makers = [
        Maker(ticks_text(half), "symmetric", {"half_spread_ticks": half, **limit}) for half in sorted(ground.distances)
    ]
    fixed = len(makers)
    makers += [
        Maker(f"{name}, skew {skew:g}", strategy, {"skew_per_order": skew, **limit, **more})
        for name, (strategy, more) in solutions.items()
        for skew in skews
    ]
    lanes = run_makers(ground, makers)
    families = {
        name: lanes[fixed + place * len(skews) : fixed + (place + 1) * len(skews)]
        for place, name in enumerate(solutions)
    }
    return OptimalStudy(families, skews, lanes[:fixed], _fit(ground, skews[len(skews) // 2]))


def _fit(ground: Ground, skew: float) -> ModelFit:
    bound = max(1, int(ground.config.max_inventory))
    held = np.arange(-bound, bound + 1)
    try:
        found = fit_intensity(ground.tape, interval_ms=ground.config.interval_ms)
    except DataError:
        return ModelFit(skew, None, held, {})
    own = {"sigma": found.sigma, "k": found.k}
    shift = skew / found.k
    endless = 2.0 / (shift * (bound + 1.0) ** 2)
    glft = 2.0 * shift**2 * found.k * found.A / (found.sigma**2 * math.e)
    distances = {
        "Avellaneda-Stoikov, no end": [stationary_distances(float(q), gamma=endless, bound=bound, **own) for q in held],
        "GLFT, closed form": [closed_form_distances(float(q), gamma=glft, A=found.A, **own) for q in held],
        "GLFT, exact": list(zip(*exact_distances(gamma=glft, A=found.A, bound=bound, **own), strict=True)),
    }
    quotes = {}
    for name, pairs in distances.items():
        # At the largest inventory one side is infinitely far: it is not drawn.
        bid, ask = np.where(np.isfinite(pairs), pairs, np.nan).T
        quotes[name] = (-bid, ask)
    return ModelFit(skew, found, held, quotes)
