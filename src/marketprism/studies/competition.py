"""Study 5: several makers in one queue; who earns the spread, and what latency does to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marketprism.backtest.evidence import PairedPnl
from marketprism.backtest.result import AccountReport
from marketprism.studies.lanes import Ground, Lane, Maker, compare, run_makers
from marketprism.studies.race import Duel, Race, run_duels, run_race

__all__ = ["CompetitionStudy", "study_competition"]


@dataclass(frozen=True)
class CompetitionStudy:
    """The same makers alone and together.

    Attributes
    ----------
    alone : list of Lane
        Each in a world of its own.
    together : list of Lane
        All in one world, in the same order.
    by_latency : mapping of float to list of Lane
        All in one world, by one-way latency in milliseconds.
    slower : list of PairedPnl
        Of each maker, P&L where all have the highest latency less that where all have the lowest.
    slow, fast : Race
        All in one world, one of them slower than the others; the others slower than one of them.
    duel_alone : AccountReport
        The first kind of maker alone, for the duels.
    duels : list of Duel
        The first kind of maker and a twin whose latency grows.
    """

    alone: list[Lane]
    together: list[Lane]
    by_latency: Mapping[float, list[Lane]]
    slower: list[PairedPnl]
    slow: Race
    fast: Race
    duel_alone: AccountReport
    duels: list[Duel]

    def shares(self, lanes: list[Lane]) -> list[float]:
        """Return each maker's share of the spread that all of them captured; 0 where nobody captured any."""
        total = sum(max(0.0, lane.account.spread_capture) for lane in lanes)
        return [max(0.0, lane.account.spread_capture) / total if total > 0 else 0.0 for lane in lanes]


def study_competition(ground: Ground) -> CompetitionStudy:
    """Run five kinds of makers alone, together, at every latency of the settings, and each as the odd one out."""
    config = ground.config
    limit: dict[str, Any] = {"max_inventory": config.max_inventory}
    makers = [
        Maker("queue keeper", "fixed_quote", limit),
        Maker("queue jumper (small orders)", "queue_jumper", {**limit, "order_quantity": _small(ground)}),
        Maker("cancel and replace", "cancel_replace", limit),
        Maker("fixed distance", "symmetric", {**limit, "half_spread_ticks": ground.nearest}),
        Maker("inventory-driven", "avellaneda_stoikov", limit),
    ]
    alone = run_makers(ground, makers)
    together = run_makers(ground, makers, together=True)
    by_latency = {
        latency: run_makers(ground, makers, together=True, latency_ms=latency)
        for latency in sorted(config.latencies_ms)
    }
    lowest, highest = by_latency[min(by_latency)], by_latency[max(by_latency)]
    slower = [compare(ground, last, first) for first, last in zip(lowest, highest, strict=True)]
    slow = run_race(ground, makers, slow=True)
    fast = run_race(ground, makers, slow=False, equals=slow)
    return CompetitionStudy(alone, together, by_latency, slower, slow, fast, *run_duels(ground, makers[0]))


def _small(ground: Ground) -> float:
    """Return a quarter of what the others quote, in whole lots."""
    lot = float(ground.tape.lot_size)
    return max(1, round(ground.quantity / 4 / lot)) * lot
