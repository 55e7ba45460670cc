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
    def skews_ticks(self) -> list[float]:
        """How far each control that does so moves the quotes for each order held, rising."""
        found = {lane.maker.parameters.get("inventory_skew_ticks", 0.0) for lane in self.controlled}
        return sorted(found - {0.0})

    @property
    def lanes(self) -> list[Lane]:
        """All of them, the free one first."""
        return [self.free, *self.controlled]


def study_inventory(ground: Ground) -> InventoryStudy:
    """Run the tightest symmetric maker freely and under each kind of control.

    The two skews move its quotes by a sixteenth and a quarter of the furthest distance for each order held.
    """
    config = ground.config
    most, far = config.max_inventory, max(ground.distances)
    half: dict[str, Any] = {"half_spread_ticks": ground.nearest}
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
            Maker("soft limit (sizes shrink)", "inventory", {**own, "soft_inventory": most / 2}),
            Maker(
                "one-sided beyond half", "inventory", {**own, "soft_inventory": most / 2, "beyond_soft": "one_sided"}
            ),
            Maker("mean-reverting skew", "inventory", {**own, "inventory_skew_ticks": far / 16.0}),
            Maker("strong skew", "inventory", {**own, "inventory_skew_ticks": far / 4.0}),
            Maker("risk aversion", "inventory", optimal),
            Maker("risk aversion (by volatility)", "inventory", {**optimal, "volatility_power": 1.0}),
            Maker("risk aversion (by losses)", "inventory", {**optimal, "loss_scale": _loss_scale(ground)}),
        ],
    )
    return InventoryStudy(free, controlled, [compare(ground, lane, free) for lane in controlled])


def _loss_scale(ground: Ground) -> float:
    """Return the drawdown that doubles risk aversion: a full position against five times the furthest distance."""
    config = ground.config
    far = 5.0 * max(ground.distances) * float(ground.tape.tick_size)
    return config.max_inventory * ground.quantity * config.market.multiplier * far
