"""Study 4: ways to keep an inventory under control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marketprism.backtest.evidence import PairedPnl
from marketprism.studies.lanes import Ground, Lane, Maker, compare, run_makers

__all__ = ["InventoryStudy", "study_inventory"]


@dataclass(frozen=True)
class InventoryStudy:
    """One maker under several kinds of control.

    Attributes
    ----------
    free : Lane
        Without any.
    controlled : list of Lane
        With one kind each.
    against_free : list of PairedPnl
        P&L of each of them less that of ``free``.
    """

    free: Lane
    controlled: list[Lane]
    against_free: list[PairedPnl]

    @property
    def lanes(self) -> list[Lane]:
        """All of them, the free one first."""
        return [self.free, *self.controlled]


def study_inventory(ground: Ground) -> InventoryStudy:
    """Run the tightest symmetric maker freely and under each kind of control."""
    config = ground.config
    most = config.max_inventory
    half: dict[str, Any] = {"half_spread_ticks": min(config.half_spreads)}
    own: dict[str, Any] = {**half, "max_inventory": most, "soft_inventory": most, "inventory_skew_ticks": 0.0}
    optimal: dict[str, Any] = {
        "base": "avellaneda_stoikov",
        "max_inventory": most,
        "soft_inventory": most,
    }
    free, *controlled = run_makers(
        ground,
        [
            Maker("none", "symmetric", half),
            Maker(f"hard limit {most:g}", "inventory", own),
            Maker("soft limit, sizes shrink", "inventory", {**own, "soft_inventory": most / 2}),
            Maker(
                "one-sided beyond half", "inventory", {**own, "soft_inventory": most / 2, "beyond_soft": "one_sided"}
            ),
            Maker("mean-reverting skew", "inventory", {**own, "inventory_skew_ticks": 0.25}),
            Maker("strong skew", "inventory", {**own, "inventory_skew_ticks": 1.0}),
            Maker("risk aversion", "inventory", optimal),
            Maker("risk aversion, more in volatile times", "inventory", {**optimal, "volatility_power": 1.0}),
            Maker("risk aversion, more after losses", "inventory", {**optimal, "loss_scale": _loss_scale(ground)}),
        ],
    )
    return InventoryStudy(free, controlled, [compare(ground, lane, free) for lane in controlled])


def _loss_scale(ground: Ground) -> float:
    """Return the drawdown that doubles risk aversion: a full position against twenty ticks."""
    config = ground.config
    return config.max_inventory * ground.quantity * config.market.multiplier * 20.0 * float(ground.tape.tick_size)
