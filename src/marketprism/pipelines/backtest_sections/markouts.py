"""What the market did after each fill."""

from __future__ import annotations

import polars as pl

from marketprism.backtest.result import AccountReport
from marketprism.pipelines.backtest_replay import Replay
from marketprism.pipelines.texts import number
from marketprism.report.document import Figure, Item, Note, Section, Table
from marketprism.report.figures import backtest as draw

__all__ = ["markout_curves", "markout_section"]


def markout_curves(account: AccountReport, prefix: str = "") -> dict[str, list[tuple[float, float, float]]]:
    """Return mean mark-outs with standard errors by horizon, for makers and takers that there are."""
    curves: dict[str, list[tuple[float, float, float]]] = {}
    for maker, name in ((True, "maker"), (False, "taker")):
        part = account.markouts.filter((pl.col("maker") == maker) & (pl.col("n") > 0)).sort("horizon_s")
        if part.height:
            error = part["stderr"].fill_nan(0.0)
            curves[f"{prefix}{name}"] = list(
                zip(part["horizon_s"].to_list(), part["mean_ticks"].to_list(), error.to_list(), strict=True)
            )
    return curves


def markout_section(replay: Replay) -> Section:
    """Lay out the mark-out curve of the best lane."""
    account = replay.accounts[replay.best]
    intro = (
        "The mid some time after a fill, less the mid at the fill, in the direction of the fill: what the position was "
        "worth after a while, before what was earned or paid against the mid. Below zero, the others knew better. "
        "It would be bad if it fell below minus the half spread that was captured."
    )
    curves = markout_curves(account)
    if not curves:
        return Section("markouts", "Mark-outs", intro, [Note("No fill lived to its first horizon.", "warn")])
    figure = Figure(
        draw.markouts(curves, "ticks", wide=True),
        "Mark-out by horizon",
        "Means with bars of two standard errors, ticks; fills too near to the end or to a gap for a horizon are left "
        "out of it.",
        wide=True,
    )
    rows = [
        [
            "maker" if row["maker"] else "taker",
            f"{row['horizon_s']:g} s",
            f"{row['n']:,}",
            number(row["mean_ticks"], 4),
            number(row["stderr"], 4),
            number(row["edge_ticks"] + row["mean_ticks"], 4),
        ]
        for row in account.markouts.sort(["maker", "horizon_s"], descending=[True, False]).iter_rows(named=True)
        if row["n"]
    ]
    table = Table(
        ["fills", "after", "n", "mean (ticks)", "standard error", "edge and mark-out"],
        rows,
        "The same in numbers",
        "Edge and mark-out: what was captured against the mid and the mark-out together, what a fill was worth.",
        text_columns=["fills"],
        wide=True,
    )
    items: list[Item] = [_answer(replay), figure, table]
    return Section("markouts", "Mark-outs", intro, items)


def _answer(replay: Replay) -> Note:
    account = replay.accounts[replay.best]
    made = account.markouts.filter((pl.col("maker")) & (pl.col("n") > 1)).sort("horizon_s")
    against = [
        f"{row['horizon_s']:g} s" for row in made.iter_rows(named=True) if row["mean_ticks"] < -2 * row["stderr"]
    ]
    if not made.height:
        return Note("Too few maker fills to say whether they were adverse.", "warn")
    if against:
        return Note(f"Maker fills were adverse beyond two standard errors after {', '.join(against)}.", "warn")
    return Note("No horizon shows maker fills to be adverse beyond two standard errors.", "plain")
