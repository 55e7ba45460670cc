"""Configuration of a simulated market: latency, queue model, fees, contract."""

from __future__ import annotations

import math
from typing import Literal

from marketprism.backtest.codes import QueueModel
from marketprism.backtest.fees import FeeTier
from marketprism.core.config import Config
from marketprism.core.errors import ConfigError

__all__ = ["MarketConfig", "Mode"]

Mode = Literal["strict", "compat"]

_STRICT = (
    "jitter_ms",
    "min_quantity",
    "rate_interval_ms",
    "traded_value",
    "capital",
    "maintenance_margin",
    "liquidation_fee_bps",
)
_MOST_MS = 86_400_000.0
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
    cancel_latency_ms, modify_latency_ms : float, optional
        Where they differ from the entry latency of new orders. These and all below: strict mode only.
    jitter_ms : float
        Mean of an exponential time added to every message; messages may then overtake each other.
    agent_latency_ms : tuple of float
        Added to every message of an agent, both ways: agent 0's first; 0 for those it does not name.
    seed : int
        Of the jitter. A message's jitter depends on the seed, the agent and the message's number alone.
    fill_on_cross : bool
        The other side's best reaching an own order's price fills it at that price, up to the quantity shown there;
        otherwise only trades do.
    self_trade : {"cancel_newest", "cancel_oldest", "cancel_both", "allow"}
        What happens where an order would trade with one of the same owner.
    min_quantity : float
        Least quantity of an order, base units.
    rate_limit : int
        New orders and modifications an account may send in each ``rate_interval_ms`` (fixed windows of exchange
        time); 0 is no limit. Cancellations are never refused.
    fee_tiers : tuple of FeeTier
        By rising traded value; below the first the fees above hold.
    traded_value : float
        Traded before the tape begins, for the tiers.
    capital : float
        What an account deposits, quote currency (base currency of an inverse contract).
    maintenance_margin : float
        Share of the position's value below which equity leads to liquidation; 0: never. Margin is isolated: by market
        and account.
    liquidation_fee_bps : float
        On top of the taker fee.
    """

    entry_latency_ms: float = 1.0
    response_latency_ms: float = 1.0
    queue: Literal["risk_averse", "log", "log_total", "power", "power_total", "power_share"] = "log"
    queue_exponent: float = 2.0
    maker_fee_bps: float = 0.0
    taker_fee_bps: float = 0.0
    multiplier: float = 1.0
    inverse: bool = False
    cancel_latency_ms: float | None = None
    modify_latency_ms: float | None = None
    jitter_ms: float = 0.0
    agent_latency_ms: tuple[float, ...] = ()
    seed: int = 0
    fill_on_cross: bool = False
    self_trade: Literal["cancel_newest", "cancel_oldest", "cancel_both", "allow"] = "cancel_newest"
    min_quantity: float = 0.0
    rate_limit: int = 0
    rate_interval_ms: float = 1000.0
    fee_tiers: tuple[FeeTier, ...] = ()
    traded_value: float = 0.0
    capital: float = 0.0
    maintenance_margin: float = 0.0
    liquidation_fee_bps: float = 0.0

    def __post_init__(self) -> None:
        for name in (
            "entry_latency_ms",
            "response_latency_ms",
            "queue_exponent",
            "maker_fee_bps",
            "taker_fee_bps",
            "multiplier",
            *_STRICT,
        ):
            if not math.isfinite(getattr(self, name)):
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be finite")
        if self.response_latency_ms < 0:
            raise ConfigError(f"response_latency_ms was {self.response_latency_ms}", hint="it must not be negative")
        for name in (*_STRICT, "rate_limit"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must not be negative")
        if not all(math.isfinite(latency) and latency >= 0 for latency in self.agent_latency_ms):
            raise ConfigError(f"agent_latency_ms was {self.agent_latency_ms}", hint="finite, not negative")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed was {self.seed}", hint="from 0 to 2^63 - 1")
        if self.maintenance_margin >= 1:
            raise ConfigError(f"maintenance_margin was {self.maintenance_margin}", hint="a share below 1")
        if [tier.value for tier in self.fee_tiers] != sorted(tier.value for tier in self.fee_tiers):
            raise ConfigError("fee_tiers were not in order", hint="sort them by value")
        for name in ("cancel_latency_ms", "modify_latency_ms"):
            if getattr(self, name) is not None and not math.isfinite(getattr(self, name)):
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be finite")
        for name in ("entry", "response", "cancel", "modify"):
            if abs(getattr(self, f"{name}_latency_ms") or 0.0) > _MOST_MS:
                raise ConfigError(
                    f"{name}_latency_ms was {getattr(self, f'{name}_latency_ms'):g}",
                    hint=f"at most {_MOST_MS:g}, a day",
                )
        for name in ("queue_exponent", "multiplier", "rate_interval_ms"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be positive")

    @property
    def queue_model(self) -> QueueModel:
        """The queue model's code."""
        return _QUEUES[self.queue]
