"""Which labels to build: horizons, the scheme, and the volatility-adaptive class threshold."""

from __future__ import annotations

import math
from typing import Literal

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError

__all__ = ["Horizon", "LabelConfig", "Scheme"]

Scheme = Literal["raw", "per_second"]
"""``raw``: log return over the horizon. ``per_second``: the same divided by the elapsed seconds."""


class Horizon(Config, frozen=True):
    """How far a label looks ahead.

    Parameters
    ----------
    kind : {"buckets", "seconds"}
        Count closed buckets, or event-clock seconds.
    length : float
        Number of buckets (a whole number) or seconds; positive.

    Examples
    --------
    >>> Horizon(kind="buckets", length=3).name, Horizon(kind="seconds", length=0.5).name
    ('3_buckets', '0.5_s')
    """

    kind: Literal["buckets", "seconds"]
    length: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.length) and self.length > 0):
            raise ConfigError(f"horizon length was {self.length}", hint="it must be positive")
        if self.kind == "buckets" and self.length != int(self.length):
            raise ConfigError(f"horizon was {self.length} buckets", hint="use a whole number of buckets")

    @property
    def name(self) -> str:
        """Name used in column names: ``3_buckets``, ``10_s``."""
        return f"{int(self.length)}_buckets" if self.kind == "buckets" else f"{self.length:g}_s"


class LabelConfig(Config, frozen=True):
    """Definition of a label set; its hash is stored with every model trained on it.

    Parameters
    ----------
    bucket_horizons : tuple of int
        Horizons in closed buckets.
    time_horizons_s : tuple of float
        Horizons in event-clock seconds.
    scheme : {"raw", "per_second"}
        One scheme per label set; the two are never mixed.
    threshold_multiplier : float
        A move is up (down) when it exceeds plus (minus) this multiple of the past root-mean-square move.
        The default .43 makes the three classes equally likely for normal moves.
    threshold_half_life : float
        Half-life, in moves, of the exponentially weighted mean square.
    threshold_min_moves : int
        Moves that must be known before a threshold exists; until then the class is null.
    max_elapsed_s : float, optional
        A bucket label whose target closes later than this after its start is null (quiet markets, breaks).
    """

    bucket_horizons: tuple[int, ...] = (1, 3, 5)
    time_horizons_s: tuple[float, ...] = ()
    scheme: Scheme = "raw"
    threshold_multiplier: float = 0.43
    threshold_half_life: float = 100.0
    threshold_min_moves: int = 20
    max_elapsed_s: float | None = None

    def __post_init__(self) -> None:
        if not self.bucket_horizons and not self.time_horizons_s:
            raise ConfigError("no horizon was given", hint="set bucket_horizons or time_horizons_s")
        names = [horizon.name for horizon in self.horizons]
        if len(set(names)) != len(names):
            raise ConfigError(f"horizons were {names}", hint="list each horizon once")
        for name in ("threshold_multiplier", "threshold_half_life"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} was {value}", hint="it must be positive")
        if self.threshold_min_moves < 1:
            raise ConfigError(f"threshold_min_moves was {self.threshold_min_moves}", hint="it must be at least 1")
        if self.max_elapsed_s is not None and not self.max_elapsed_s > 0:
            raise ConfigError(f"max_elapsed_s was {self.max_elapsed_s}", hint="it must be positive")

    @property
    def horizons(self) -> tuple[Horizon, ...]:
        """All horizons: buckets first, then seconds."""
        buckets = tuple(Horizon(kind="buckets", length=length) for length in self.bucket_horizons)
        return buckets + tuple(Horizon(kind="seconds", length=length) for length in self.time_horizons_s)
