"""Trade-count buckets."""

from __future__ import annotations

from marketprism.buckets.config import BucketConfig
from marketprism.buckets.record import Trigger
from marketprism.buckets.rule import Policy, Rates, Rule, time_rule

__all__ = ["POLICY"]


def _rule(config: BucketConfig, rates: Rates | None) -> Rule:
    n = config.target_trades
    if n is None:
        if rates is None or rates.trades == 0:
            return time_rule(config)
        n = max(1, round(config.t_target_s * rates.trades))
    return Rule(trades=n, cap_ns=config.t_max_ns, trigger=Trigger.COUNT)


POLICY = Policy("count", "target number of trades with a time cap", _rule, lambda config: config.target_trades is None)
