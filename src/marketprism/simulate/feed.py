"""What every simulated market has, whatever its model: seed, length, instrument, latency."""

from __future__ import annotations

import math
from decimal import Decimal

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.core.instrument import Instrument
from marketprism.core.timebase import NS

__all__ = ["FeedConfig", "at_least"]

_LOTS = tuple(10**k for k in range(9))


def at_least(name: str, value: float, floor: float) -> None:
    """Raise ConfigError unless ``value`` is finite and at least ``floor``."""
    if not (math.isfinite(value) and value >= floor):
        raise ConfigError(f"{name} was {value}", hint=f"it must be finite and at least {floor:g}")


class FeedConfig(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is common to all simulated markets.

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
        Best bid around which the book is built; a multiple of the tick, at least 200 ticks.
    lots_per_unit : int
        Lots a base unit, a power of ten: quantities are multiples of its inverse.
    rate_scale : float
        Speed of everything: a scale of 2 is the same market in half the time.
    latency_ms, jitter_ms : float
        ``ts_recv - ts_event``: a floor plus an exponential part, and one message in a thousand 20 times later.
    """

    seed: int = 1
    duration_s: float = 14_400.0
    start_ns: int = 1_767_225_600 * NS
    symbol: str = "SIM-USDT"
    tick_size: Decimal = Decimal("0.01")
    initial_price: Decimal = Decimal(100)
    lots_per_unit: int = 10
    rate_scale: float = 1.0
    latency_ms: float = 1.5
    jitter_ms: float = 0.5

    def __post_init__(self) -> None:
        for name in ("duration_s", "rate_scale"):
            at_least(name, getattr(self, name), 1e-6)
        for name in ("latency_ms", "jitter_ms"):
            at_least(name, getattr(self, name), 0.0)
        if self.lots_per_unit not in _LOTS:
            raise ConfigError(f"lots_per_unit was {self.lots_per_unit}", hint="a power of ten up to 10^8")
        if self.tick_size <= 0 or self.initial_price % self.tick_size:
            raise ConfigError(
                f"initial_price was {self.initial_price}", hint=f"give a multiple of the tick {self.tick_size}"
            )
        self._room(200)

    def _room(self, ticks: int) -> None:
        if self.initial_price / self.tick_size < ticks:
            raise ConfigError(
                f"initial_price was {self.initial_price}",
                hint=f"at least {ticks} ticks of {self.tick_size}, so that prices stay positive",
            )

    @property
    def first_bid(self) -> int:
        """Best bid at which the book is built, ticks."""
        return int(self.initial_price / self.tick_size)

    @property
    def instrument(self) -> Instrument:
        """The instrument that is traded."""
        lot = Decimal(1) / self.lots_per_unit
        return Instrument(
            exchange="sim", market_type="spot", symbol=self.symbol, tick_size=self.tick_size, lot_size=lot
        )
