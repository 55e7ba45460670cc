"""Time bars on a UTC grid."""

from __future__ import annotations

from marketprism.buckets.config import BucketConfig
from marketprism.buckets.rule import Policy, Rates, Rule

__all__ = ["POLICY"]


def _rule(config: BucketConfig, rates: Rates | None) -> Rule:  # noqa: ARG001  # one interface for all policies
    return Rule(cap_ns=config.t_target_ns, aligned=True)


POLICY = Policy("time", "t_target_s of event time, on multiples since 1970", _rule, lambda _: False)
