"""Study 1: quotes at a fixed distance from the mid, with nothing that brings the position back."""

from __future__ import annotations

from dataclasses import dataclass

from marketprism.studies.lanes import Ground, Lane, Maker, run_makers, ticks_text

__all__ = ["SymmetricStudy", "study_symmetric"]


@dataclass(frozen=True)
class SymmetricStudy:
    """Symmetric makers by distance.

    Attributes
    ----------
    lanes : list of Lane
        One for each distance, without any limit.
    limited : Lane
        The tightest distance with a hard limit, for comparison.
    """

    lanes: list[Lane]
    limited: Lane

    @property
    def busiest(self) -> Lane:
        """The unlimited lane with most executions."""
        return max(self.lanes, key=lambda lane: lane.account.trades)


def study_symmetric(ground: Ground) -> SymmetricStudy:
    """Run symmetric makers at every distance of the settings, and one with a limit on its position."""
    config = ground.config
    makers = [Maker(ticks_text(half), "symmetric", {"half_spread_ticks": half}) for half in sorted(ground.distances)]
    tightest = ground.nearest
    limit = {"half_spread_ticks": tightest, "max_inventory": config.max_inventory}
    makers.append(Maker(f"{ticks_text(tightest)}, limit {config.max_inventory:g}", "symmetric", limit))
    *lanes, limited = run_makers(ground, makers)
    return SymmetricStudy(lanes, limited)
