"""Another venue's bucket edges, so that two venues are sampled together."""

from __future__ import annotations

from marketprism.buckets.config import BucketConfig
from marketprism.buckets.record import Trigger
from marketprism.buckets.rule import Policy, Rates, Rule

__all__ = ["POLICY"]


def _rule(config: BucketConfig, rates: Rates | None) -> Rule:  # noqa: ARG001  # one interface for all policies
    return Rule(reference=True, trigger=Trigger.REFERENCE)


POLICY = Policy("reference", "edges of another venue's buckets", _rule, lambda _: False)
