"""What the built-in makers can be set to.

Distances are in ticks, ``gamma`` and ``k`` per tick, ``sigma`` in ticks a root second, inventories in orders (multiples
of ``order_quantity``), so that one setting means the same on any instrument.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.strategies._plan import MOST_LEVELS, MOST_SIGNALS

__all__ = [
    "AvellanedaStoikovConfig",
    "CancelReplaceConfig",
    "FixedQuoteConfig",
    "GlftConfig",
    "InventoryConfig",
    "MakerConfig",
    "ModelConfig",
    "QueueJumperConfig",
    "SignalSkewConfig",
    "SymmetricConfig",
]

_NS = 1_000_000_000
_MOST_BOUND = 1000.0
_KINDS = {"symmetric": 0, "avellaneda_stoikov": 1, "glft": 2}
Base = Literal["symmetric", "avellaneda_stoikov", "glft"]


class MakerConfig(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all makers share.

    Parameters
    ----------
    order_quantity : float, optional
        Of each quote, base units. Default: the median trade of the warm-up, in whole lots.
    levels : int
        Quotes a side, up to 16.
    level_step_ticks : int
        Between neighbouring levels.
    max_inventory : float, optional
        Hard limit, orders: quotes whose fills could break it are not sent. Default: none. (Where messages overtake each
        other, an order can be known to be done before all its fills are; then the limit can be passed by those.)
    requote_ticks : int
        A quote stays as long as it is no further than this from where it should be.
    move_by : {"modify", "cancel"}
        A quote moves by one modification, or is cancelled and sent anew once that is confirmed.
    post_only : bool
        Quotes that would take expire; they never aim beyond the best price of the other side anyway.
    warmup_s : float
        Nothing is quoted before; estimates and the order quantity come from here.
    """

    kind: ClassVar[int] = 0

    order_quantity: float | None = None
    levels: int = 1
    level_step_ticks: int = 1
    max_inventory: float | None = None
    requote_ticks: int = 0
    move_by: Literal["modify", "cancel"] = "modify"
    post_only: bool = True
    warmup_s: float = 60.0

    def __post_init__(self) -> None:
        if not 1 <= self.levels <= MOST_LEVELS:
            raise ConfigError(f"levels was {self.levels}", hint=f"1 to {MOST_LEVELS}")
        if self.level_step_ticks < 1:
            raise ConfigError(f"level_step_ticks was {self.level_step_ticks}", hint="at least 1")
        if self.requote_ticks < 0:
            raise ConfigError(f"requote_ticks was {self.requote_ticks}", hint="0 or more")
        _positive(self, "order_quantity", "max_inventory")
        _not_negative(self, "warmup_s")

    def plan(self, quantity: float) -> dict[str, Any]:
        """Return the fields of the maker loop's record for orders of ``quantity``."""
        limit = math.inf if self.max_inventory is None else self.max_inventory * quantity
        return {
            "kind": self.kind,
            "quantity": quantity,
            "levels": self.levels,
            "level_step": self.level_step_ticks,
            "max_position": limit,
            "soft_position": limit,
            "requote_ticks": self.requote_ticks,
            "by_cancel": self.move_by == "cancel",
            "post_only": self.post_only,
            "warmup": round(self.warmup_s * _NS),
            "half_life": math.inf,
            "aversion_cap": 1.0,
            "k": math.nan,
            "rate": math.nan,
            "sigma": math.nan,
        }


class SymmetricConfig(MakerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Quotes at a fixed distance from the mid, whatever the inventory.

    Parameters
    ----------
    half_spread_ticks : float
        From the mid.
    """

    half_spread_ticks: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _not_negative(self, "half_spread_ticks")

    def plan(self, quantity: float) -> dict[str, Any]:
        """Return the fields of the maker loop's record for orders of ``quantity``."""
        return {**super().plan(quantity), "half_spread": self.half_spread_ticks}


class ModelConfig(MakerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What makers with a model of fills and volatility share; what is not given is estimated from what was heard.

    Parameters
    ----------
    gamma : float, optional
        Risk aversion, a tick. What suits one instrument is absurd on another; so by default it is what moves the quotes
        by ``skew_per_order`` for each order held: with a horizon, on average over it; otherwise near no inventory.
    skew_per_order : float
        In units of ``1 / k``, the distance at which a dealer without risk aversion quotes.
    k : float, optional
        Market orders reach the depth d at the rate ``A exp(-k d)`` a side: decay, a tick.
    A : float, optional
        The same: rate at the mid, a second.
    sigma : float, optional
        Volatility of the mid, ticks a root second.
    estimate : {"rolling", "warmup"}
        Go on estimating with exponential forgetting, or keep what the warm-up said.
    half_life_s : float
        Of the forgetting.
    """

    gamma: float | None = None
    skew_per_order: float = 0.2
    k: float | None = None
    A: float | None = None
    sigma: float | None = None
    estimate: Literal["rolling", "warmup"] = "rolling"
    half_life_s: float = 600.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self, "k", "A", "sigma", "half_life_s", "skew_per_order")
        if self.gamma is not None:
            _not_negative(self, "gamma")

    def plan(self, quantity: float) -> dict[str, Any]:
        """Return the fields of the maker loop's record for orders of ``quantity``."""
        return {
            **super().plan(quantity),
            "gamma": math.nan if self.gamma is None else self.gamma,
            "skew_per_order": self.skew_per_order,
            "k": self.k or 0.0,
            "rate": self.A or 0.0,
            "sigma": self.sigma or 0.0,
            "rolling": self.estimate == "rolling",
            "half_life": self.half_life_s,
        }


class AvellanedaStoikovConfig(ModelConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Avellaneda and Stoikov (2008).

    Parameters
    ----------
    horizon_s : float, optional
        Time to the end, seconds; begins anew when it is over. None: the solution without end, whose largest inventory
        is ``max_inventory`` (10 if not given); with the paper's discount rate it skews less the larger gamma is.
    """

    kind: ClassVar[int] = 1

    horizon_s: float | None = 60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self, "horizon_s")

    def plan(self, quantity: float) -> dict[str, Any]:
        """Return the fields of the maker loop's record for orders of ``quantity``."""
        return {**super().plan(quantity), "horizon": self.horizon_s or 0.0, "bound": self.max_inventory or 10.0}


class GlftConfig(ModelConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gueant, Lehalle and Fernandez-Tapia (2013), far from the end.

    Parameters
    ----------
    solution : {"closed", "exact"}
        Closed-form approximation, or the ground state itself with largest inventory ``max_inventory`` (default 30).
    """

    kind: ClassVar[int] = 2

    solution: Literal["closed", "exact"] = "closed"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.solution == "exact" and self.max_inventory is not None and not 1 <= self.max_inventory <= _MOST_BOUND:
            raise ConfigError(
                f"max_inventory was {self.max_inventory}", hint=f"1 to {_MOST_BOUND:g} for solution=exact"
            )
        if self.solution == "exact" and self.gamma == 0:
            raise ConfigError("gamma was 0", hint="solution=exact needs a positive one")

    def plan(self, quantity: float) -> dict[str, Any]:
        """Return the fields of the maker loop's record for orders of ``quantity``."""
        bound = float(round(self.max_inventory or 30.0))
        return {**super().plan(quantity), "kind": 2 if self.solution == "closed" else 3, "bound": bound}


class SignalSkewConfig(ModelConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Moves the mid of another maker by signals: ``sum(weight * score)`` ticks.

    Parameters
    ----------
    base : {"avellaneda_stoikov", "glft", "symmetric"}
        The maker.
    half_spread_ticks : float
        Of the symmetric one.
    horizon_s : float, optional
        Of Avellaneda and Stoikov's.
    signals : tuple of str
        Which ones, by name; default: all there are (at most 8).
    weights : tuple of float
        Ticks a standard deviation, or a unit where scores are not standardised. Default: 1 tick shared equally.
    standardize : bool
        Scores are values less their mean over their standard deviation, both of earlier rows with forgetting.
    signal_half_life : int
        Of that forgetting, rows.
    signal_warmup : int
        Rows before the first score.
    signal_clip : float
        Largest absolute score.
    skew_limit_ticks : float
        Largest move of the mid.
    """

    base: Base = "avellaneda_stoikov"
    half_spread_ticks: float = 1.0
    horizon_s: float | None = 60.0
    signals: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    standardize: bool = True
    signal_half_life: int = 1000
    signal_warmup: int = 50
    signal_clip: float = 3.0
    skew_limit_ticks: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self, "horizon_s", "signal_half_life", "signal_clip", "skew_limit_ticks")
        _not_negative(self, "half_spread_ticks", "signal_warmup")
        if len(self.signals) > MOST_SIGNALS:
            raise ConfigError(f"{len(self.signals)} signals were named", hint=f"at most {MOST_SIGNALS}")
        if len(set(self.signals)) < len(self.signals):
            raise ConfigError(f"signals were {', '.join(self.signals)}", hint="each once")
        if not all(map(math.isfinite, self.weights)):
            raise ConfigError(f"weights were {self.weights}", hint="they must be finite")

    def plan(self, quantity: float) -> dict[str, Any]:
        """Return the fields of the maker loop's record for orders of ``quantity``."""
        return {
            **super().plan(quantity),
            "kind": _KINDS[self.base],
            "half_spread": self.half_spread_ticks,
            "horizon": self.horizon_s or 0.0,
            "bound": self.max_inventory or 10.0,
            "standardize": self.standardize,
            "signal_decay": 0.5 ** (1.0 / self.signal_half_life),
            "signal_warmup": self.signal_warmup,
            "signal_clip": self.signal_clip,
            "skew_limit": self.skew_limit_ticks,
        }


class InventoryConfig(ModelConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another maker with its inventory under control.

    Parameters
    ----------
    base : {"symmetric", "avellaneda_stoikov", "glft"}
        The maker.
    half_spread_ticks : float
        Of the symmetric one: distance from the mid.
    inventory_skew_ticks : float
        Of the symmetric one: how far the quotes move down for each order held, which drives the position back to zero.
    horizon_s : float, optional
        Of Avellaneda and Stoikov's.
    max_inventory : float
        Hard limit, orders: quotes whose fills could break it are not sent.
    soft_inventory : float
        Soft limit, orders.
    beyond_soft : {"shrink", "one_sided"}
        What the side that adds to the position does beyond the soft limit: shrink in proportion to what is left, or
        stop.
    loss_scale : float, optional
        Drawdown (quote currency) that doubles risk aversion. Default: off.
    volatility_power : float
        Risk aversion grows with this power of volatility (with forgetting, over its mean so far); 0: off.
    aversion_cap : float
        The factor on risk aversion stays between this and its inverse.
    """

    base: Base = "symmetric"
    half_spread_ticks: float = 1.0
    inventory_skew_ticks: float = 0.25
    horizon_s: float | None = 60.0
    max_inventory: float | None = 10.0
    soft_inventory: float = 5.0
    beyond_soft: Literal["shrink", "one_sided"] = "shrink"
    loss_scale: float | None = None
    volatility_power: float = 0.0
    aversion_cap: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self, "horizon_s", "loss_scale")
        _not_negative(self, "half_spread_ticks", "inventory_skew_ticks", "soft_inventory", "volatility_power")
        if self.max_inventory is None or self.soft_inventory > self.max_inventory:
            limits = f"soft_inventory was {self.soft_inventory:g}, max_inventory {self.max_inventory}"
            raise ConfigError(limits, hint="the hard limit must be given, and be the larger one")
        if not 1 <= self.aversion_cap < math.inf:
            raise ConfigError(f"aversion_cap was {self.aversion_cap:g}", hint="finite, at least 1")

    def plan(self, quantity: float) -> dict[str, Any]:
        """Return the fields of the maker loop's record for orders of ``quantity``."""
        return {
            **super().plan(quantity),
            "kind": _KINDS[self.base],
            "half_spread": self.half_spread_ticks,
            "inventory_skew": self.inventory_skew_ticks,
            "horizon": self.horizon_s or 0.0,
            "bound": self.max_inventory or 0.0,
            "soft_position": self.soft_inventory * quantity,
            "one_sided": self.beyond_soft == "one_sided",
            "loss_scale": self.loss_scale or 0.0,
            "volatility_power": self.volatility_power,
            "aversion_cap": self.aversion_cap,
        }


class FixedQuoteConfig(MakerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Joins the best prices and keeps its places in the queues as long as they are the best.

    Parameters
    ----------
    offset_ticks : int
        Behind the best.
    """

    kind: ClassVar[int] = 4

    offset_ticks: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _not_negative(self, "offset_ticks")

    def plan(self, quantity: float) -> dict[str, Any]:
        """Return the fields of the maker loop's record for orders of ``quantity``."""
        return {**super().plan(quantity), "half_spread": float(self.offset_ticks)}


class CancelReplaceConfig(FixedQuoteConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Joins the best prices, and cancels and sends anew what has stood for a while: always at the end of the queue.

    Parameters
    ----------
    refresh_ms : float
        Age at which a quote is replaced.
    """

    refresh_ms: float = 500.0
    move_by: Literal["modify", "cancel"] = "cancel"

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(self, "refresh_ms")

    def plan(self, quantity: float) -> dict[str, Any]:
        """Return the fields of the maker loop's record for orders of ``quantity``."""
        return {**super().plan(quantity), "refresh": round(self.refresh_ms * 1e6)}


class QueueJumperConfig(MakerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Betters the best prices by a tick where the spread has room, and joins them where it has not.

    With room for one of the two only, it betters the side that brings its position back.
    """

    kind: ClassVar[int] = 5


def _positive(config: Config, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f"{name} was {value}", hint="finite and positive")


def _not_negative(config: Config, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not 0 <= value < math.inf:
            raise ConfigError(f"{name} was {value}", hint="finite, 0 or more")
