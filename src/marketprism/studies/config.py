"""What a study of market making does."""

from __future__ import annotations

from marketprism.backtest.config import MarketConfig
from marketprism.core.config import Config
from marketprism.core.errors import ConfigError

__all__ = ["StudyConfig"]


class StudyConfig(Config, frozen=True):
    """Settings of the five studies; distances in ticks, inventories in orders, as strategies have them.

    Parameters
    ----------
    seed : int
        Of the bootstrap.
    interval_ms : float
        Time between two decisions.
    market : MarketConfig
        Latency, queue model, fees. No latencies of agents: the competition study gives them.
    order_quantity : float, optional
        Of each quote, base units; None: the median trade of the warm-up.
    warmup_s : float
        Nothing is quoted before; estimates come from here.
    half_spreads : tuple of float, optional
        Distances of the symmetric maker, ticks; None: from the spread and the volatility of the tape, see
        :func:`~marketprism.studies.distances.typical_distances`.
    skews : tuple of float
        Risk aversions of the optimal makers, each as how far an order held moves the quotes, in units of ``1 / k``, the
        distance at which a maker without risk aversion quotes: what suits one instrument then suits another.
    horizon_s : float
        Of Avellaneda and Stoikov with an end, seconds; begins anew when it is over.
    max_inventory : float
        Hard limit where a maker has one, orders.
    factors : tuple of str
        The five factors of the signal study; the first alone is its single-factor maker.
    signal_bucket_s : float
        Time between two rows of signals.
    signal_horizon_s : float
        Over which signals are weighted by how they foretold the mid in the calibration.
    calibration : float
        Share of the tape that gives the signals' weights; no maker of that study quotes before it is over.
    latencies_ms : tuple of float
        One-way latencies of the competition study; at the lowest nobody is slow.
    markout_s : tuple of float
        Horizons of the mark-outs, seconds.
    bar_s : float
        Bars of the equity curves, seconds.
    replications : int
        Of the bootstrap.
    confidence : float
        Coverage of the intervals.
    """

    seed: int = 0
    interval_ms: float = 100.0
    market: MarketConfig = MarketConfig()
    order_quantity: float | None = None
    warmup_s: float = 60.0
    half_spreads: tuple[float, ...] | None = None
    skews: tuple[float, ...] = (0.02, 0.07, 0.2, 0.6, 2.0)
    horizon_s: float = 300.0
    max_inventory: float = 10.0
    factors: tuple[str, ...] = (
        "ofi",
        "queue_imbalance",
        "depth_imbalance_5",
        "flow_imbalance_halflife_10s",
        "momentum_5s",
    )
    signal_bucket_s: float = 1.0
    signal_horizon_s: float = 5.0
    calibration: float = 0.25
    latencies_ms: tuple[float, ...] = (0.1, 1.0, 10.0, 50.0, 200.0)
    markout_s: tuple[float, ...] = (0.1, 1.0, 5.0, 30.0)
    bar_s: float = 1.0
    replications: int = 1000
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for name in ("half_spreads", "skews", "factors", "latencies_ms", "markout_s"):
            if getattr(self, name) == ():
                raise ConfigError(f"{name} was empty", hint="give at least one value")
        for name in ("interval_ms", "horizon_s", "max_inventory", "signal_bucket_s", "signal_horizon_s", "bar_s"):
            if not 0 < getattr(self, name) < 1e9:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be positive")
        for name in ("seed", "warmup_s"):
            if not 0 <= getattr(self, name) < 1e9:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must not be negative")
        if self.order_quantity is not None and not 0 < self.order_quantity < 1e15:
            raise ConfigError(f"order_quantity was {self.order_quantity}", hint="base units, or null: a median trade")
        if not all(0 < horizon < 1e9 for horizon in self.markout_s):
            raise ConfigError(f"markout_s were {list(self.markout_s)}", hint="seconds, each positive")
        if self.half_spreads is not None and not all(0 <= half < 1e9 for half in self.half_spreads):
            raise ConfigError(f"half_spreads were {list(self.half_spreads)}", hint="ticks, none negative")
        if self.market.agent_latency_ms:
            raise ConfigError(
                f"market.agent_latency_ms was {list(self.market.agent_latency_ms)}",
                hint="the competition study gives each maker its latency: latencies_ms",
            )
        if not all(0 <= latency < 1e6 for latency in self.latencies_ms):
            raise ConfigError(f"latencies_ms were {list(self.latencies_ms)}", hint="milliseconds, none negative")
        if min(self.skews) <= 0:
            raise ConfigError(f"skews were {list(self.skews)}", hint="each must be positive")
        if not 0 < self.calibration < 1:
            raise ConfigError(f"calibration was {self.calibration}", hint="a share between 0 and 1")
        if self.replications < 1:
            raise ConfigError(f"replications was {self.replications}", hint="it must be at least 1")
        if not 0.5 < self.confidence < 1:
            raise ConfigError(f"confidence was {self.confidence}", hint="a share above one half")
