"""Book-update buckets."""

from __future__ import annotations

from marketprism.buckets.config import BucketConfig
from marketprism.buckets.record import Trigger
from marketprism.buckets.rule import Policy, Rates, Rule, time_rule

__all__ = ["POLICY"]


def _rule(config: BucketConfig, rates: Rates | None) -> Rule:
    u = config.target_updates
    if u is None:
        if rates is None or rates.updates == 0:
            return time_rule(config)
        u = max(1, round(config.t_target_s * rates.updates))
    return Rule(updates=u, cap_ns=config.t_max_ns, trigger=Trigger.EVENT)


POLICY = Policy(
    "event", "target number of book messages with a time cap", _rule, lambda config: config.target_updates is None
)
