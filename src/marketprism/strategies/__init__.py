"""Market makers and execution: closed forms, estimates of their parameters, and the compiled loop that runs them.

:func:`~marketprism.strategies.runner.simulate` runs a built-in or an own strategy over tapes;
``STRATEGIES`` in :mod:`~marketprism.strategies.registry` lists the built-in ones. The names below load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketprism.core.lazy import exports

if TYPE_CHECKING:
    from marketprism.strategies.avellaneda_stoikov import (
        optimal_spread,
        quote_distances,
        reservation_price,
        simulate_dealer,
        stationary_distances,
    )
    from marketprism.strategies.config import (
        AvellanedaStoikovConfig,
        CancelReplaceConfig,
        FixedQuoteConfig,
        GlftConfig,
        InventoryConfig,
        MakerConfig,
        QueueJumperConfig,
        SignalSkewConfig,
        SymmetricConfig,
    )
    from marketprism.strategies.glft import closed_form_distances, exact_distances, finite_horizon_distances
    from marketprism.strategies.intensity import IntensityFit, fit_intensity
    from marketprism.strategies.registry import STRATEGIES, StrategyInfo, find_strategy
    from marketprism.strategies.runner import Simulation, simulate
    from marketprism.strategies.user import UserStrategy, load_strategy

__all__ = [
    "STRATEGIES",
    "AvellanedaStoikovConfig",
    "CancelReplaceConfig",
    "FixedQuoteConfig",
    "GlftConfig",
    "IntensityFit",
    "InventoryConfig",
    "MakerConfig",
    "QueueJumperConfig",
    "SignalSkewConfig",
    "Simulation",
    "StrategyInfo",
    "SymmetricConfig",
    "UserStrategy",
    "closed_form_distances",
    "exact_distances",
    "find_strategy",
    "finite_horizon_distances",
    "fit_intensity",
    "load_strategy",
    "optimal_spread",
    "quote_distances",
    "reservation_price",
    "simulate",
    "simulate_dealer",
    "stationary_distances",
]

_HOME = {
    "AvellanedaStoikovConfig": "config",
    "CancelReplaceConfig": "config",
    "FixedQuoteConfig": "config",
    "GlftConfig": "config",
    "IntensityFit": "intensity",
    "InventoryConfig": "config",
    "MakerConfig": "config",
    "QueueJumperConfig": "config",
    "STRATEGIES": "registry",
    "SignalSkewConfig": "config",
    "Simulation": "runner",
    "StrategyInfo": "registry",
    "SymmetricConfig": "config",
    "UserStrategy": "user",
    "closed_form_distances": "glft",
    "exact_distances": "glft",
    "find_strategy": "registry",
    "finite_horizon_distances": "glft",
    "fit_intensity": "intensity",
    "load_strategy": "user",
    "optimal_spread": "avellaneda_stoikov",
    "quote_distances": "avellaneda_stoikov",
    "reservation_price": "avellaneda_stoikov",
    "simulate": "runner",
    "simulate_dealer": "avellaneda_stoikov",
    "stationary_distances": "avellaneda_stoikov",
}

__getattr__, __dir__ = exports(__name__, _HOME)
