"""Labels: forward returns and classes, trend states filtered online, regimes, barriers, path classes and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marketprism.labels.config import Horizon, LabelConfig
from marketprism.labels.forward import make_labels
from marketprism.labels.fractional import fractional_difference, fractional_weights
from marketprism.labels.labelset import LabelSet, LabelView
from marketprism.labels.state_filter import StateFilter
from marketprism.labels.state_inputs import bucket_returns, stretches, trend_inputs
from marketprism.labels.state_quality import NO_STATE, StateGates, StateQuality, state_quality

if TYPE_CHECKING:
    from marketprism.labels.trend_states import TrendStates

__all__ = [
    "NO_STATE",
    "Horizon",
    "LabelConfig",
    "LabelSet",
    "LabelView",
    "StateFilter",
    "StateGates",
    "StateQuality",
    "TrendStates",
    "bucket_returns",
    "fractional_difference",
    "fractional_weights",
    "make_labels",
    "state_quality",
    "stretches",
    "trend_inputs",
]


def __getattr__(name: str) -> Any:
    # scikit-learn takes a second to import: only those who fit states wait for it.
    if name == "TrendStates":
        from marketprism.labels.trend_states import TrendStates

        return TrendStates
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
