"""What a factor engine computes, and how its configuration is hashed."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from marketprism.book.config import BookConfig
from marketprism.buckets.config import BucketConfig
from marketprism.core.config import Config

__all__ = ["EngineConfig", "Signature"]


class EngineConfig(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Configuration of a factor engine.

    Parameters
    ----------
    book : BookConfig
        Book of each instrument.
    buckets : BucketConfig
        Sampling clock of each instrument.
    families : tuple of str, optional
        Factor families to compute; None is all there are.
    params : mapping
        Parameters by family, such as ``{"returns": {"momentum_s": [1, 60]}}``; what is not named has its default.

    Examples
    --------
    >>> EngineConfig.from_mapping({"families": ["level1"], "book": {"depth_levels": 5}}).book.depth_levels
    5
    """

    book: BookConfig = BookConfig()
    buckets: BucketConfig = BucketConfig()
    families: tuple[str, ...] | None = None
    params: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)


class Signature(NamedTuple):
    """What an engine's output depends on besides the data.

    Attributes
    ----------
    config : str
        Hash of the configuration.
    factors : str
        Hash of the factors' definitions and code.
    """

    config: str
    factors: str
