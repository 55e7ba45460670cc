"""Labels: forward returns and classes, trend states filtered online, regimes, barriers, path classes and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketprism.labels.config import Horizon, LabelConfig
from marketprism.labels.forward import make_labels
from marketprism.labels.fractional import fractional_difference, fractional_weights
from marketprism.labels.jumps import JumpTest, frame_jumps, jump_regime, jump_threshold, lee_mykland
from marketprism.labels.labelset import LabelSet, LabelView
from marketprism.labels.model_regimes import SLOW_INPUTS, model_regime
from marketprism.labels.past_quantiles import past_levels, past_quantiles
from marketprism.labels.paths import (
    PATH_NAMES,
    meta_labels,
    past_volatility,
    path_labels,
    smoothed_labels,
    triple_barrier_labels,
)
from marketprism.labels.regimes import (
    Regime,
    funding_open_interest_regime,
    jump_share,
    jump_share_regime,
    spread_regime,
    volatility_intensity_regime,
)
from marketprism.labels.sessions import SESSION_STARTS, session_regime, standardise_by_session
from marketprism.labels.state_filter import StateFilter
from marketprism.labels.state_frames import StateSet, walk_forward_states
from marketprism.labels.state_inputs import bucket_returns, stretches, trend_inputs
from marketprism.labels.state_quality import NO_STATE, StateGates, StateQuality, state_quality
from marketprism.labels.targets import price_bounce, price_targets
from marketprism.labels.weights import (
    average_uniqueness,
    combine_weights,
    confidence_weights,
    cost_aware_classes,
    cost_aware_weights,
    smooth_classes,
)

if TYPE_CHECKING:
    from marketprism.labels.trend_states import TrendStates

__all__ = [
    "NO_STATE",
    "PATH_NAMES",
    "SESSION_STARTS",
    "SLOW_INPUTS",
    "Horizon",
    "JumpTest",
    "LabelConfig",
    "LabelSet",
    "LabelView",
    "Regime",
    "StateFilter",
    "StateGates",
    "StateQuality",
    "StateSet",
    "TrendStates",
    "average_uniqueness",
    "bucket_returns",
    "combine_weights",
    "confidence_weights",
    "cost_aware_classes",
    "cost_aware_weights",
    "fractional_difference",
    "fractional_weights",
    "frame_jumps",
    "funding_open_interest_regime",
    "jump_regime",
    "jump_share",
    "jump_share_regime",
    "jump_threshold",
    "lee_mykland",
    "make_labels",
    "meta_labels",
    "model_regime",
    "past_levels",
    "past_quantiles",
    "past_volatility",
    "path_labels",
    "price_bounce",
    "price_targets",
    "session_regime",
    "smooth_classes",
    "smoothed_labels",
    "spread_regime",
    "standardise_by_session",
    "state_quality",
    "stretches",
    "trend_inputs",
    "triple_barrier_labels",
    "volatility_intensity_regime",
    "walk_forward_states",
]


def __getattr__(name: str) -> Any:
    # scikit-learn takes a second to import: only those who fit states wait for it.
    if name == "TrendStates":
        from marketprism.labels.trend_states import TrendStates

        return TrendStates
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
