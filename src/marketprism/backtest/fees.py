"""Fee tiers by traded value."""

from __future__ import annotations

import math

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError

__all__ = ["FeeTier"]


class FeeTier(Config, frozen=True):
    """Fees that hold once an account has traded enough.

    Parameters
    ----------
    value : float
        Traded value from which the tier holds, in the currency fees are paid in: what
        ``MarketConfig.traded_value`` states for the time before the tape and what was traded since.
    maker_fee_bps, taker_fee_bps : float
        Of the traded value; negative is a rebate.

    Raises
    ------
    ConfigError
        A number is not finite, or ``value`` is negative.
    """

    value: float
    maker_fee_bps: float
    taker_fee_bps: float

    def __post_init__(self) -> None:
        for name in ("value", "maker_fee_bps", "taker_fee_bps"):
            if not math.isfinite(getattr(self, name)):
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="it must be finite")
        if self.value < 0:
            raise ConfigError(f"value was {self.value}", hint="it must not be negative")
