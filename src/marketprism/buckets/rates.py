"""Online rates: what the stream has lately traded a second, from finished slots only."""

from __future__ import annotations

import numpy as np

from marketprism.buckets.config import BucketConfig
from marketprism.buckets.rule import Rates
from marketprism.core.timebase import NS

__all__ = ["RENEWAL_SLOTS", "estimate", "ring_slots"]

RENEWAL_SLOTS = 10
"""Slots before the first estimate, and between renewals."""


def ring_slots(config: BucketConfig) -> int:
    """Return how many slots the window holds, at least the warm-up."""
    return max(RENEWAL_SLOTS, round(config.calibration_window_s * NS / config.slot_ns))


def estimate(ring: np.ndarray, slots: int, config: BucketConfig) -> Rates:
    """Return exponentially weighted means of the window's slots, each clipped at the window's quantiles.

    Parameters
    ----------
    ring : float64 ndarray, shape (window, 3)
        Volume, trades and updates of slots; slot ``k`` is at row ``k % window``.
    slots : int
        Slots finished so far, at least 1.
    config : BucketConfig
        Half-life, clip and slot length.

    Returns
    -------
    Rates
        Per second.

    Examples
    --------
    >>> round(estimate(np.full((10, 3), 60.0), 10, BucketConfig()).volume, 9)
    2.0
    """
    newest_first = ring[(slots - 1 - np.arange(min(slots, len(ring)))) % len(ring)]
    low, high = np.quantile(newest_first, config.calibration_clip, axis=0)
    slot_s = config.slot_ns / NS
    weights = 0.5 ** (np.arange(len(newest_first)) * slot_s / config.calibration_half_life_s)
    clipped = np.clip(newest_first, low, high)
    means = (weights[:, None] * clipped).sum(axis=0) / (weights.sum() * slot_s)
    return Rates(*(float(mean) for mean in means))
