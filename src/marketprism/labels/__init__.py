"""Forward labels: returns over buckets and seconds, three classes with a past-only volatility threshold."""

from marketprism.labels.config import Horizon, LabelConfig
from marketprism.labels.forward import make_labels
from marketprism.labels.labelset import LabelSet, LabelView

__all__ = ["Horizon", "LabelConfig", "LabelSet", "LabelView", "make_labels"]
