"""MarketPrism: raw order-book feeds in, validated short-horizon signals out.

The names below load on first use, so that ``import marketprism`` stays fast.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from marketprism.core.lazy import exports

# LightGBM and the linear algebra below it spin while they wait unless told before OpenMP loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from marketprism.book.book import Book
    from marketprism.book.config import BookConfig
    from marketprism.buckets.config import BucketConfig
    from marketprism.core.block import EventBlock
    from marketprism.core.errors import MarketPrismError
    from marketprism.core.instrument import Instrument
    from marketprism.evaluate.config import JudgeConfig
    from marketprism.evaluate.judge import judge
    from marketprism.evaluate.leaks import check_leaks
    from marketprism.evaluate.user_frames import bucket_frame, with_factors
    from marketprism.factors.config import EngineConfig
    from marketprism.factors.engine import FactorEngine
    from marketprism.labels.forward import make_labels
    from marketprism.models.adapters import as_classifier
    from marketprism.pipelines.sources import open_source

__version__ = "0.1.0"

__all__ = [
    "Book",
    "BookConfig",
    "BucketConfig",
    "EngineConfig",
    "EventBlock",
    "FactorEngine",
    "Instrument",
    "JudgeConfig",
    "MarketPrismError",
    "__version__",
    "as_classifier",
    "bucket_frame",
    "check_leaks",
    "judge",
    "make_labels",
    "open_source",
    "with_factors",
]

_HOME = {
    "Book": "book.book",
    "BookConfig": "book.config",
    "BucketConfig": "buckets.config",
    "EngineConfig": "factors.config",
    "EventBlock": "core.block",
    "FactorEngine": "factors.engine",
    "Instrument": "core.instrument",
    "JudgeConfig": "evaluate.config",
    "MarketPrismError": "core.errors",
    "as_classifier": "models.adapters",
    "bucket_frame": "evaluate.user_frames",
    "check_leaks": "evaluate.leaks",
    "judge": "evaluate.judge",
    "make_labels": "labels.forward",
    "open_source": "pipelines.sources",
    "with_factors": "evaluate.user_frames",
}

__getattr__, __dir__ = exports(__name__, _HOME)
