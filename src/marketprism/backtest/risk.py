"""Risk limits of an agent."""

from __future__ import annotations

import math

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError

__all__ = ["RiskLimits"]

_WATCHED = ("max_loss_per_trade", "max_loss_per_day", "kill_switch_drawdown", "volatility_target")
_LIMITS = ("max_position", "max_leverage", "max_orders_per_s", *_WATCHED)


class RiskLimits(Config, frozen=True):
    """What an agent must not do; each market by itself, as the local side knows it.

    A refused order or modification never leaves: it is REJECTED at once, and the log says why. Losses are looked at
    whenever the engine stops, at the mid, fees and funding included; without a mid, or between a gap and the next
    snapshot, they wait. Nothing is checked and nothing is paid for where no limit is set.

    Parameters
    ----------
    max_position : float, optional
        Most an order's side may reach if all open orders of that side are executed, base units (contracts).
    max_leverage : float, optional
        The same exposure's value at the mid over equity (``MarketConfig.capital`` and all that was won or lost).
    max_loss_per_trade : float, optional
        Loss since the position was last flat or on the other side, quote currency (base currency of an inverse
        contract). Reached, the orders are cancelled, and until the position is flat only orders that reduce it leave.
    max_loss_per_day : float, optional
        Loss since the first stop of the UTC day. Reached, the same holds until the next day.
    max_orders_per_s : int, optional
        New orders and modifications in each second of the local clock. Cancellations are never refused.
    volatility_target : float, optional
        Standard deviation of the log mid over one second (0.0001 is one basis point). Where the estimate is above it,
        orders that do not reduce the position are sent with ``target / estimate`` of their quantity, in whole lots;
        what is less than one lot, or than the market's least quantity, is refused.
    volatility_half_life_s : float
        Of the estimate: an exponential average of squared changes from stop to stop.
    kill_switch_drawdown : float, optional
        Fall of equity from its peak. Reached in one market, the agent's orders are cancelled in all of them and
        nothing leaves any more.
    flatten : bool
        A stop also closes the position with market orders.

    Raises
    ------
    ConfigError
        A limit is not positive.

    Examples
    --------
    >>> RiskLimits(max_position=10.0).limited
    True
    """

    max_position: float | None = None
    max_leverage: float | None = None
    max_loss_per_trade: float | None = None
    max_loss_per_day: float | None = None
    max_orders_per_s: int | None = None
    volatility_target: float | None = None
    volatility_half_life_s: float = 60.0
    kill_switch_drawdown: float | None = None
    flatten: bool = False

    def __post_init__(self) -> None:
        for name in (*_LIMITS, "volatility_half_life_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} was {value}", hint="positive, or left out")

    @property
    def limited(self) -> bool:
        """Whether any limit is set."""
        return any(getattr(self, name) is not None for name in _LIMITS)

    @property
    def watched(self) -> bool:
        """Whether a limit depends on what the market does, so that each stop looks at it."""
        return any(getattr(self, name) is not None for name in _WATCHED)
