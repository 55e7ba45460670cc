"""Configuration of a simulated market: latency, queue model, fees, contract."""

from __future__ import annotations

import math
from typing import Literal

from marketprism.backtest.codes import QueueModel
from marketprism.core.config import Config
from marketprism.core.errors import ConfigError

__all__ = ["MarketConfig", "Mode"]

Mode = Literal["strict", "compat"]

_QUEUES = {model.name.lower(): model for model in QueueModel}


class MarketConfig(Config, frozen=True):
    """How orders reach a market and what happens to them there.

    Parameters
    ----------
    entry_latency_ms, response_latency_ms : float
        From the strategy to the exchange, and back. A negative entry latency: every request is rejected, and the
        strategy hears of it after that time.
    queue : {"risk_averse", "log", "log_total", "power", "power_total", "power_share"}
        How cancellations move an order up its queue, see :class:`~marketprism.backtest.QueueModel`.
    queue_exponent : float
        ``n`` of the power models.
    maker_fee_bps, taker_fee_bps : float
        Of the traded value; negative is a rebate.
    multiplier : float
        Quote currency per unit and price of a linear contract, or per contract of an inverse one.
    inverse : bool
        Contracts are worth ``multiplier / price`` of the base currency.
    """

    entry_latency_ms: float = 1.0
    response_latency_ms: float = 1.0
    queue: Literal["risk_averse", "log", "log_total", "power", "power_total", "power_share"] = "log"
    queue_exponent: float = 2.0
    maker_fee_bps: float = 0.0
    taker_fee_bps: float = 0.0
    multiplier: float = 1.0
    inverse: bool = False

    def __post_init__(self) -> None:
        for name in (
            "entry_latency_ms",
            "response_latency_ms",
            "queue_exponent",
            "maker_fee_bps",
            "taker_fee_bps",
            "multiplier",
        ):
            if not math.isfinite(getattr(self, name)):
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be finite")
        if self.response_latency_ms < 0:
            raise ConfigError(f"response_latency_ms was {self.response_latency_ms}", hint="it must not be negative")
        for name in ("queue_exponent", "multiplier"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be positive")

    @property
    def queue_model(self) -> QueueModel:
        """The queue model's code."""
        return _QUEUES[self.queue]
