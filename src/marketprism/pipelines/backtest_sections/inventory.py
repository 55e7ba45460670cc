"""How much was held, and for how long."""

from __future__ import annotations

from marketprism.pipelines.backtest_replay import Replay
from marketprism.pipelines.backtest_sections.words import digits_for, seconds_text
from marketprism.pipelines.texts import number, share
from marketprism.report.document import Facts, Figure, Note, Section
from marketprism.report.figures import backtest as draw
from marketprism.studies.control import InventoryControl, inventory_control

__all__ = ["inventory_section", "inventory_sentence"]


def inventory_section(replay: Replay) -> Section:
    """Lay out the position of the best lane over time and its distribution."""
    account = replay.accounts[replay.best]
    equity, unit = account.equity, replay.market.instrument.symbol.partition("-")[0]
    position = equity["position"].to_numpy()
    found = inventory_control(position, replay.config.bar_s)
    intro = (
        "A market maker wants to be paid for the spread, not for being right about the price: the position should stay "
        "small and come back to zero. It would be bad if it wandered ever further, or sat at a limit."
    )
    held = draw.inventory_path(equity["ts"].to_numpy(), position, equity["mid"].to_numpy(), unit)
    shares = draw.inventory_shares({"position": position}, unit)
    digits = digits_for(found.largest)
    facts = Facts(
        [
            (f"largest position ({unit})", number(found.largest, digits)),
            ("mean size", number(found.mean_size, digits + 1)),
            ("standard deviation", number(found.deviation, digits + 1)),
            ("at the end", number(float(position[-1]) if len(position) else 0.0, digits)),
            ("share of time flat", share(found.flat)),
            ("share of time beyond nine tenths of the largest", share(found.at_largest)),
            ("half-life of a position", seconds_text(found.half_life_s)),
            ("spread of positions, second half over first", number(found.growth, 2)),
        ],
        "Inventory",
    )
    return Section(
        "inventory",
        "Inventory",
        intro,
        [
            _answer(found, account.trades),
            Figure(held, "Position and price", f"Sampled each {seconds_text(replay.config.bar_s)}.", wide=True),
            Figure(shares, "Where the time was spent", "Share of time at each position."),
            facts,
        ],
    )


def inventory_sentence(found: InventoryControl) -> str:
    """Say whether a position comes back to zero by itself."""
    if not found.moved:
        return "The position never changed."
    if found.controlled:
        return (
            f"The position comes back: half of it is gone after {seconds_text(found.half_life_s)}, and a unit root is "
            f"rejected (t {number(found.t, 1)} against {number(found.critical, 1)})."
        )
    return (
        f"The position does not come back: a random walk is not rejected (t {number(found.t, 1)}, "
        f"{number(found.critical, 1)} would be needed)."
    )


def _answer(found: InventoryControl, trades: int) -> Note:
    if not trades:
        return Note("Nothing traded, so nothing was ever held.", "bad")
    return Note(inventory_sentence(found), "good" if found.controlled else "warn")
