"""What is judged and how: labels, folds, models, costs, bootstrap and controls in one frozen configuration."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError, did_you_mean
from marketprism.evaluate.exclusions import ExclusionConfig
from marketprism.labels.config import LabelConfig
from marketprism.models.baselines import ModelConfig

__all__ = ["BASE_FEES_BPS", "SECONDS_PER_YEAR", "CostConfig", "JudgeConfig"]

_YEAR_S = 365.25 * 86_400
_EXCHANGE_YEAR_S = 252 * 6.5 * 3600

BASE_FEES_BPS = {"spot": 10.0, "linear": 5.0, "inverse": 5.0, "option": 3.0, "equity": 0.5, "future": 0.5}
"""Taker fee by market type in bps of notional: base tiers of large venues, a rough commission for equities."""

SECONDS_PER_YEAR = {
    "spot": _YEAR_S,
    "linear": _YEAR_S,
    "inverse": _YEAR_S,
    "option": _YEAR_S,
    "equity": _EXCHANGE_YEAR_S,
    "future": _EXCHANGE_YEAR_S,
}
"""Trading seconds in a year by market type: around the clock, or 252 sessions of 6.5 hours."""


class CostConfig(Config, frozen=True):
    """How scores are traded and what that costs.

    Parameters
    ----------
    enter : float
        Go long (short) when P(up) - P(down) is at least (at most minus) this; hold until the sign turns.
    fee_bps : float, optional
        Taker fee per unit traded; by default that of the market type (``BASE_FEES_BPS``).
    latency_ms : float
        From the moment a bucket is known to the fill.
    half_spread_bps : float, optional
        Overrides the recorded spread.
    seconds_per_year : float, optional
        Trading seconds that a year has, for annualisation; by default that of the market type.
    slippage_bps : float
        Paid per unit traded on top of fee, half spread and impact: what fills are worse than quoted for any reason.
    notional : float, optional
        Size of a position, in quote currency, for the market impact of
        :func:`~marketprism.evaluate.impact.impact_scale`; None or 0: no impact.
    impact_coefficient : float
        Y of the square-root law, of order 1.
    impact_buckets : int
        Buckets up to the decision over which its volatility and traded notional are taken.
    """

    enter: float = 0.1
    fee_bps: float | None = None
    latency_ms: float = 50.0
    half_spread_bps: float | None = None
    seconds_per_year: float | None = None
    slippage_bps: float = 0.0
    notional: float | None = None
    impact_coefficient: float = 1.0
    impact_buckets: int = 30

    def __post_init__(self) -> None:
        for name in (
            "enter",
            "fee_bps",
            "latency_ms",
            "half_spread_bps",
            "slippage_bps",
            "notional",
            "impact_coefficient",
        ):
            value = getattr(self, name)
            # A maker rebate is a negative fee.
            if value is not None and not (math.isfinite(value) and (value >= 0 or name == "fee_bps")):
                raise ConfigError(f"{name} was {value}", hint="it must be finite and not negative")
        if self.seconds_per_year is not None and not self.seconds_per_year > 0:
            raise ConfigError(f"seconds_per_year was {self.seconds_per_year}", hint="it must be positive")
        if self.impact_buckets < 1:
            raise ConfigError(f"impact_buckets was {self.impact_buckets}", hint="it must be at least 1")


def _default_models() -> dict[str, ModelConfig]:
    return {"logistic": ModelConfig(kind="logistic"), "lightgbm": ModelConfig(kind="lightgbm")}


class JudgeConfig(Config, frozen=True):
    """Everything :func:`~marketprism.evaluate.judge` needs besides data; its hash goes into every artefact.

    Parameters
    ----------
    labels : LabelConfig
        Horizons, scheme, class threshold.
    models : mapping of str to ModelConfig
        Models to judge, by name.
    primary : str
        Name of the horizon that summaries and controls use; by default the first.
    horizons : tuple of str
        Horizons to train models for; empty means all.
    factors : tuple of str
        Factors to use; empty means every factor column.
    folds, window, embargo_s, train_stretches
        See :class:`~marketprism.evaluate.PurgedWalkForward`.
    costs : CostConfig
        Trading rule and costs.
    exclusions : ExclusionConfig
        Outages, abnormal jumps and given spans that neither train nor count in the headline.
    replications, level : int, float
        Bootstrap replications and coverage of intervals.
    control_repeats : int
        Most label shuffles of the shuffled-label control; large samples get fewer, at least three.
    leak_ceiling : float
        An absolute IC at or above this is called a suspected leak.
    min_rows : int
        With fewer labelled rows nothing is trained, and the judgement says so.
    seed : int
        Fixes everything random.
    jobs : int
        Folds trained at the same time; the result does not depend on it.
    """

    labels: LabelConfig = msgspec.field(default_factory=LabelConfig)
    models: dict[str, ModelConfig] = msgspec.field(default_factory=_default_models)
    primary: str = ""
    horizons: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()
    folds: int = 5
    window: Literal["expanding", "rolling"] = "expanding"
    embargo_s: float = 0.0
    train_stretches: int = 2
    costs: CostConfig = msgspec.field(default_factory=CostConfig)
    exclusions: ExclusionConfig = msgspec.field(default_factory=ExclusionConfig)
    replications: int = 1000
    level: float = 0.95
    control_repeats: int = 10
    leak_ceiling: float = 0.6
    min_rows: int = 120
    seed: int = 0
    jobs: int = 1

    def __post_init__(self) -> None:
        known = [horizon.name for horizon in self.labels.horizons]
        for name in (*self.horizons, *filter(None, (self.primary,))):
            if name not in known:
                raise ConfigError(f"horizon was {name!r}", hint=did_you_mean(name, known))
        if self.primary and self.horizons and self.primary not in self.horizons:
            raise ConfigError(f"primary was {self.primary!r}", hint=f"it must be one of {self.horizons}")
        if not self.models:
            raise ConfigError("no model was given", hint="name at least one")
        for name, lowest in (
            ("folds", 1),
            ("replications", 100),
            ("control_repeats", 3),
            ("min_rows", 40),
            ("jobs", 1),
        ):
            if getattr(self, name) < lowest:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint=f"it must be at least {lowest}")
        for name in ("level", "leak_ceiling"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must lie between 0 and 1")
        if not self.embargo_s >= 0:
            raise ConfigError(f"embargo_s was {self.embargo_s}", hint="it must not be negative")

    @property
    def model_horizons(self) -> tuple[str, ...]:
        """Horizons that models are trained for, the primary one first."""
        chosen = self.horizons or tuple(horizon.name for horizon in self.labels.horizons)
        first = self.primary or chosen[0]
        return (first, *(name for name in chosen if name != first))

    @property
    def tuned(self) -> bool:
        """Whether any model chooses its own parameters."""
        return any(model.tuning is not None for model in self.models.values())
