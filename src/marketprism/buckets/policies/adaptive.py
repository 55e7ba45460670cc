"""Buckets by a quality score of volume, time and trades together.

A bucket closes when ``min(volume / q, elapsed / t_target, trades / n_min) >= completion``, or at the time cap
``clamp(1.5 q / current volume per second)``. The score needs no division: each part is compared with its share.
"""

from __future__ import annotations

import math

from marketprism.buckets.config import BucketConfig
from marketprism.buckets.record import Trigger
from marketprism.buckets.rule import Policy, Rates, Rule, time_rule, volume_target
from marketprism.core.timebase import NS

__all__ = ["POLICY"]

_PATIENCE = 1.5


def _rule(config: BucketConfig, rates: Rates | None) -> Rule:
    q = volume_target(config, rates)
    if not q:
        return time_rule(config)
    low, high = config.adaptive_bounds_s
    current = rates.volume if rates is not None else 0.0
    cap_s = min(max(_PATIENCE * q / current, low), high) if current > 0 else high
    share = config.completion
    return Rule(
        volume=share * q,
        trades=math.ceil(share * config.min_trades - 1e-9),
        elapsed_ns=math.ceil(share * config.t_target_ns - 1e-3),
        cap_ns=round(cap_s * NS),
        trigger=Trigger.QUALITY,
    )


POLICY = Policy("adaptive", "score of volume, elapsed time and trades, adaptive time cap", _rule, lambda _: True)
