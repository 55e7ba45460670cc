"""What the simulated market is like."""

from __future__ import annotations

import math
from decimal import Decimal

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.core.instrument import Instrument
from marketprism.core.timebase import NS
from marketprism.simulate.cst import QueueRates

__all__ = ["FlowConfig", "MarketConfig"]

_LOTS = tuple(10**k for k in range(9))


def _at_least(name: str, value: float, floor: float) -> None:
    if not (math.isfinite(value) and value >= floor):
        raise ConfigError(f"{name} was {value}", hint=f"it must be finite and at least {floor:g}")


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
            _at_least(name, getattr(self, name), 1e-3)
        _at_least("order_lots", self.order_lots, 1.0)
        _at_least("activity_sd", self.activity_sd, 0.0)
        if not 0 <= self.excitation < 1:
            raise ConfigError(f"excitation was {self.excitation}", hint="a branching ratio lies in [0, 1)")
        for name in ("market_tilt", "limit_tilt", "cancel_tilt"):
            if not math.isfinite(getattr(self, name)):
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be finite")

    @classmethod
    def independent(cls) -> FlowConfig:
        """Return the pure queue model: constant intensities, unit orders."""
        return cls(market_tilt=0.0, limit_tilt=0.0, cancel_tilt=0.0, excitation=0.0, activity_sd=0.0, order_lots=1.0)


class MarketConfig(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One simulated market.

    Parameters
    ----------
    seed : int
        Everything random derives from it.
    duration_s : float
        Length in simulated seconds.
    start_ns : int
        Exchange time of the opening snapshot, ns UTC.
    symbol : str
        Canonical symbol.
    tick_size : Decimal
        Price step.
    initial_price : Decimal
        Best bid around which the book is built; a multiple of the tick.
    lots_per_unit : int
        Lots a base unit, a power of ten: quantities are multiples of its inverse.
    depth : int
        Farthest distance of new limit orders, ticks.
    rate_scale : float
        Multiplies every intensity.
    latency_ms, jitter_ms : float
        ``ts_recv - ts_event``: a floor plus an exponential part, and one message in a thousand 20 times later.
    rates : QueueRates
        Intensities by distance.
    flow : FlowConfig
        Correlation of order flow.
    """

    seed: int = 1
    duration_s: float = 14_400.0
    start_ns: int = 1_767_225_600 * NS
    symbol: str = "SIM-USDT"
    tick_size: Decimal = Decimal("0.01")
    initial_price: Decimal = Decimal(100)
    lots_per_unit: int = 10
    depth: int = 20
    rate_scale: float = 1.0
    latency_ms: float = 1.5
    jitter_ms: float = 0.5
    rates: QueueRates = QueueRates()
    flow: FlowConfig = FlowConfig()

    def __post_init__(self) -> None:
        for name in ("duration_s", "rate_scale"):
            _at_least(name, getattr(self, name), 1e-6)
        for name in ("latency_ms", "jitter_ms"):
            _at_least(name, getattr(self, name), 0.0)
        if not 2 <= self.depth <= 200:
            raise ConfigError(f"depth was {self.depth}", hint="2 to 200 ticks")
        if self.lots_per_unit not in _LOTS:
            raise ConfigError(f"lots_per_unit was {self.lots_per_unit}", hint="a power of ten up to 10^8")
        if self.tick_size <= 0 or self.initial_price % self.tick_size:
            raise ConfigError(
                f"initial_price was {self.initial_price}", hint=f"give a multiple of the tick {self.tick_size}"
            )
        if self.initial_price / self.tick_size < 10 * self.depth:
            raise ConfigError(
                f"initial_price was {self.initial_price}",
                hint=f"at least {10 * self.depth} ticks of {self.tick_size}, so that prices stay positive",
            )

    @property
    def instrument(self) -> Instrument:
        """The instrument that is traded."""
        lot = Decimal(1) / self.lots_per_unit
        return Instrument(
            exchange="sim", market_type="spot", symbol=self.symbol, tick_size=self.tick_size, lot_size=lot
        )
