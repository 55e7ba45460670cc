"""What the simulated market is like."""

from __future__ import annotations

import math

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.simulate.cst import QueueRates
from marketprism.simulate.feed import FeedConfig, at_least

__all__ = ["FlowConfig", "MarketConfig"]


class FlowConfig(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How order flow departs from independent Poisson streams; all zero is the pure queue model.

    A latent drift x (Ornstein-Uhlenbeck, stationary variance 1) tilts the intensities: market buys by
    ``exp(market_tilt x)``, sells by the inverse; bids by ``exp(limit_tilt x)``, asks by the inverse; cancellations
    of asks by ``exp(cancel_tilt x)``, of bids by the inverse. Market orders excite their own side (Hawkes,
    exponential kernel). A slow log-normal activity multiplies everything.

    Parameters
    ----------
    market_tilt, limit_tilt, cancel_tilt : float
        Loadings on the drift.
    drift_half_life_s : float
        Mean reversion of the drift, seconds.
    excitation : float
        Branching ratio of market orders, in [0, 1); their mean rate does not depend on it.
    excitation_half_life_s : float
        Memory of the excitation, seconds at activity and rate scale 1.
    activity_sd : float
        Standard deviation of log activity.
    activity_half_life_s : float
        Mean reversion of log activity, seconds.
    order_lots : float
        Mean order size in lots (geometric); 1 is unit orders.
    """

    market_tilt: float = 0.15
    limit_tilt: float = 0.01
    cancel_tilt: float = 0.01
    drift_half_life_s: float = 45.0
    excitation: float = 0.3
    excitation_half_life_s: float = 3.0
    activity_sd: float = 0.35
    activity_half_life_s: float = 600.0
    order_lots: float = 5.0

    def __post_init__(self) -> None:
        for name in ("drift_half_life_s", "excitation_half_life_s", "activity_half_life_s"):
            at_least(name, getattr(self, name), 1e-3)
        at_least("order_lots", self.order_lots, 1.0)
        at_least("activity_sd", self.activity_sd, 0.0)
        if not 0 <= self.excitation < 1:
            raise ConfigError(f"excitation was {self.excitation}", hint="a branching ratio lies in [0, 1)")
        for name in ("market_tilt", "limit_tilt", "cancel_tilt"):
            if not math.isfinite(getattr(self, name)):
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be finite")

    @classmethod
    def independent(cls) -> FlowConfig:
        """Return the pure queue model: constant intensities, unit orders."""
        return cls(market_tilt=0.0, limit_tilt=0.0, cancel_tilt=0.0, excitation=0.0, activity_sd=0.0, order_lots=1.0)


class MarketConfig(FeedConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One simulated market of the Markov queue book; seed, length, price and latency as in :class:`FeedConfig`.

    Parameters
    ----------
    depth : int
        Farthest distance of new limit orders, ticks.
    rates : QueueRates
        Intensities by distance.
    flow : FlowConfig
        Correlation of order flow.
    """

    depth: int = 20
    rates: QueueRates = QueueRates()
    flow: FlowConfig = FlowConfig()

    def __post_init__(self) -> None:
        if not 2 <= self.depth <= 200:
            raise ConfigError(f"depth was {self.depth}", hint="2 to 200 ticks")
        super().__post_init__()
        self._room(10 * self.depth)
