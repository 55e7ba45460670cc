"""What a bucket is: the policy and its targets."""

from __future__ import annotations

import math

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.core.timebase import NS

__all__ = ["BucketConfig"]


class BucketConfig(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sampling clock of one instrument.

    A target that is None is calibrated causally on the stream itself, so that a bucket lasts about ``t_target_s``:
    exponentially weighted, quantile-clipped rates of past slots, renewed every ten slots (a slot is ``t_target_s``,
    at least 1 s and at most 60 s: with the default, first used after 5 minutes and renewed each 5). Until then
    buckets are ``t_target_s`` of time.

    Parameters
    ----------
    policy : str, default "volume"
        ``volume``, ``time``, ``count``, ``event``, ``hybrid``, ``adaptive`` or ``reference``.
    target_volume : float, optional
        Base units a bucket (q); None calibrates.
    min_volume, max_volume : float
        Bounds of a calibrated q, base units; ``max_volume`` None is unbounded.
    target_trades : int, optional
        Trades a bucket of the count policy; None calibrates.
    min_trades : int, default 10
        Least trades of a hybrid bucket, and n_min of the adaptive score.
    target_updates : int, optional
        Book messages a bucket of the event policy; None calibrates.
    t_target_s : float, default 30
        Wanted duration in seconds; the period of the time policy.
    t_max_s : float, optional
        Time cap in seconds; None is twice ``t_target_s``.
    completion : float, default 0.8
        Score at which an adaptive bucket closes.
    adaptive_t_max_s : tuple of float, optional
        Bounds of the adaptive time cap in seconds; None is one and four times ``t_target_s`` (30 and 120).
    reference_edges_ns : tuple of int
        Bucket edges of the other venue (reference policy), event time in ns UTC, increasing.
    calibration_window_s : float, default 900
        Reach of the online rates.
    calibration_half_life_s : float, default 300
        Decay of the online rates.
    calibration_clip : tuple of float, default (0.05, 0.95)
        Quantiles at which slots are clipped before they are averaged.

    Examples
    --------
    >>> BucketConfig(target_volume=5.0).t_max_ns
    60000000000
    """

    policy: str = "volume"
    target_volume: float | None = None
    min_volume: float = 0.0
    max_volume: float | None = None
    target_trades: int | None = None
    min_trades: int = 10
    target_updates: int | None = None
    t_target_s: float = 30.0
    t_max_s: float | None = None
    completion: float = 0.8
    adaptive_t_max_s: tuple[float, float] | None = None
    reference_edges_ns: tuple[int, ...] = ()
    calibration_window_s: float = 900.0
    calibration_half_life_s: float = 300.0
    calibration_clip: tuple[float, float] = (0.05, 0.95)

    def __post_init__(self) -> None:
        from marketprism.buckets.policies import policy  # the policies themselves read this module

        policy(self.policy)
        for name in ("t_target_s", "calibration_window_s", "calibration_half_life_s"):
            _positive(name, getattr(self, name))
        for name in ("target_volume", "max_volume", "target_trades", "target_updates", "t_max_s"):
            if getattr(self, name) is not None:
                _positive(name, getattr(self, name))
        if not (math.isfinite(self.min_volume) and 0 <= self.min_volume <= (self.max_volume or math.inf)):
            raise ConfigError(f"min_volume was {self.min_volume}", hint="0 <= min_volume <= max_volume")
        if self.min_trades < 0:
            raise ConfigError(f"min_trades was {self.min_trades}", hint="it must not be negative")
        if not 0 < self.completion <= 1:
            raise ConfigError(f"completion was {self.completion}", hint="it is a share in (0, 1]")
        if self.t_max_s is not None and self.t_max_s < self.t_target_s and self.policy != "time":
            raise ConfigError(f"t_max_s was {self.t_max_s}", hint=f"it must reach t_target_s = {self.t_target_s}")
        low, high = self.calibration_clip
        if not 0 <= low < high <= 1:
            raise ConfigError(f"calibration_clip was {self.calibration_clip}", hint="0 <= low < high <= 1")
        low, high = self.adaptive_bounds_s
        if not 0 < low <= high < math.inf:
            raise ConfigError(f"adaptive_t_max_s was {self.adaptive_t_max_s}", hint="0 < low <= high")
        if any(a >= b for a, b in zip(self.reference_edges_ns, self.reference_edges_ns[1:], strict=False)):
            raise ConfigError("reference_edges_ns must increase", hint="sort them and drop duplicates")

    @property
    def t_target_ns(self) -> int:
        """Wanted duration, ns, at least 1."""
        return max(1, round(self.t_target_s * NS))

    @property
    def t_max_ns(self) -> int:
        """Time cap, ns, at least 1."""
        return max(1, round((self.t_max_s or 2 * self.t_target_s) * NS))

    @property
    def slot_ns(self) -> int:
        """Length of a calibration slot, ns."""
        return round(min(max(self.t_target_s, 1.0), 60.0) * NS)

    @property
    def adaptive_bounds_s(self) -> tuple[float, float]:
        """Least and most of the adaptive time cap, seconds."""
        return self.adaptive_t_max_s or (self.t_target_s, 4 * self.t_target_s)


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ConfigError(f"{name} was {value}", hint="it must be finite and positive")
