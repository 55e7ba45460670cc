"""Unified volume buckets: q base units, capped in time."""

from __future__ import annotations

from marketprism.buckets.config import BucketConfig
from marketprism.buckets.record import Trigger
from marketprism.buckets.rule import Policy, Rates, Rule, time_rule, volume_target

__all__ = ["POLICY"]


def _rule(config: BucketConfig, rates: Rates | None) -> Rule:
    q = volume_target(config, rates)
    if not q:
        return time_rule(config)
    return Rule(volume=q, cap_ns=config.t_max_ns, trigger=Trigger.VOLUME)


POLICY = Policy("volume", "target volume with a time cap", _rule, lambda config: config.target_volume is None)
