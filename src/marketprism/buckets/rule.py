"""The one interface of all policies: what an open bucket must reach before it closes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from marketprism.buckets.config import BucketConfig
from marketprism.buckets.record import Trigger

__all__ = ["RULE_DTYPE", "Policy", "Rates", "Rule", "time_rule", "volume_target"]

RULE_DTYPE = np.dtype(
    [
        ("volume", np.float64),
        ("elapsed", np.int64),
        ("trades", np.int64),
        ("updates", np.int64),
        ("cap", np.int64),
        ("aligned", np.uint8),
        ("reference", np.uint8),
        ("trigger", np.uint8),
    ],
    align=True,
)
"""A :class:`Rule` as the kernel reads it."""

_SUM_SLACK = 1e-12
"""Relative slack of a volume target, so that ten trades of 0.1 reach 1 in spite of rounding."""


class Rates(NamedTuple):
    """Online rates per second of event time: base units, trades and book messages."""

    volume: float
    trades: float
    updates: float


@dataclass(frozen=True, slots=True)
class Rule:
    """What a bucket must reach to close; a zero requires nothing, all others must hold together.

    Attributes
    ----------
    volume : float
        Base units.
    trades, updates : int
        Trades and book messages.
    elapsed_ns : int
        Event time since the bucket opened.
    cap_ns : int
        Time cap: the bucket closes there in any case; 0 is none.
    aligned : bool
        The cap falls on multiples of ``cap_ns`` since 1970 (time bars on the minute).
    reference : bool
        The cap falls on the reference edges.
    trigger : Trigger
        What a bucket that reached the requirements is said to be closed by.
    """

    volume: float = 0.0
    trades: int = 0
    updates: int = 0
    elapsed_ns: int = 0
    cap_ns: int = 0
    aligned: bool = False
    reference: bool = False
    trigger: Trigger = Trigger.TIME

    def record(self) -> np.ndarray:
        """Return the rule as one RULE_DTYPE record."""
        record = np.zeros(1, RULE_DTYPE)
        record["volume"] = self.volume * (1 - _SUM_SLACK)
        record["elapsed"], record["trades"], record["updates"] = self.elapsed_ns, self.trades, self.updates
        record["cap"], record["aligned"], record["reference"] = self.cap_ns, self.aligned, self.reference
        record["trigger"] = self.trigger
        return record


@dataclass(frozen=True, slots=True)
class Policy:
    """One sampling clock.

    Attributes
    ----------
    name : str
        As written in ``BucketConfig.policy``.
    description : str
        One line for people.
    rule : callable
        ``rule(config, rates)`` returns the rule of the buckets that open from now on; ``rates`` is None until
        the stream has been watched for long enough.
    calibrates : callable
        ``calibrates(config)``: whether ``rule`` looks at the rates at all.
    """

    name: str
    description: str
    rule: Callable[[BucketConfig, Rates | None], Rule]
    calibrates: Callable[[BucketConfig], bool]


def time_rule(config: BucketConfig) -> Rule:
    """Return buckets of ``t_target_s``: what every policy falls back to while it has no target."""
    return Rule(cap_ns=config.t_target_ns)


def volume_target(config: BucketConfig, rates: Rates | None) -> float:
    """Return q in base units: as configured, else clip(t_target * rate, q_min, q_max), 0 while unknown."""
    if config.target_volume is not None:
        return config.target_volume
    if rates is None:
        return 0.0
    q = max(config.t_target_s * rates.volume, config.min_volume)
    return q if config.max_volume is None else min(q, config.max_volume)
