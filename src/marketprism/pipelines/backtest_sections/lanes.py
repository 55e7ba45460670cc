"""All lanes side by side, and what the best of many is worth."""

from __future__ import annotations

import math

import numpy as np

from marketprism.pipelines.backtest_replay import Replay, increments_of
from marketprism.pipelines.backtest_sections.words import digits_for, lane_names, money
from marketprism.pipelines.texts import interval, number, plural, share
from marketprism.report.document import Figure, Item, Note, Section, Table
from marketprism.report.figures import backtest as draw
from marketprism.report.figures.judgement import interval_bars

__all__ = ["lanes_section"]

_DRAWN = 40


def lanes_section(replay: Replay) -> Section:
    """Lay out every lane with its evidence; the best is marked, and deflated by the number of trials."""
    names, unit = lane_names(replay.lanes), replay.unit
    digits = digits_for(*(account.pnl for account in replay.accounts))
    intro = (
        f"{plural(len(names), 'parameter set')} in one replay, each in a world of its own. The best of many looks "
        "good by luck alone: what counts is its Sharpe ratio deflated by the number of trials."
    )
    rows = []
    for place, (account, record) in enumerate(zip(replay.accounts, replay.records, strict=True)):
        rows.append(
            [
                ("★ " if place == replay.best else "") + names[place],
                interval(record.pnl, digits),
                number(account.spread_capture, digits),
                number(account.adverse_selection, digits),
                number(account.inventory_pnl, digits),
                number(-account.fees, digits),
                number(account.max_drawdown, digits),
                f"{account.trades:,}",
                number(record.sharpe, 4),
                share(record.dsr),
            ]
        )
    table = Table(
        ["lane", f"P&L ({unit})", "spread", "adverse", "inventory", "fees", "drawdown", "fills", "Sharpe a bar", "DSR"],
        rows,
        "Lanes",
        "★ largest P&L. DSR: chance that the true Sharpe ratio is positive after the best of all trials was picked.",
        text_columns=["lane"],
        shown=_DRAWN,
        wide=True,
    )
    items: list[Item] = [_warning(replay, names), _curves(replay, names), table]
    if len(names) <= _DRAWN:
        order = sorted(range(len(names)), key=lambda k: -replay.records[k].pnl.value)
        value, low, high = (
            np.array([getattr(replay.records[k].pnl, what) for k in order]) for what in ("value", "low", "high")
        )
        bars = interval_bars([names[k] for k in order], value, low, high, f"P&L ({unit})")
        items.insert(1, Figure(bars, "P&L with its interval", "Block bootstrap of the bars; grey: zero is inside."))
    return Section("lanes", "Lanes", intro, items)


def _warning(replay: Replay, names: list[str]) -> Note:
    best, record = replay.best, replay.records[replay.best]
    where = "in the run ledger" if replay.trials.from_ledger else "in this replay"
    earned = money(record.pnl.value, replay.unit)
    said = f"{names[best]} earned most ({earned}), of {plural(record.trials, 'trial')} {where}"
    if not math.isfinite(record.dsr):
        return Note(f"{said}; its P&L never moved, so there is nothing to deflate.", "warn")
    luckiest = (
        f"The best of so many without any skill would show a Sharpe ratio of {number(record.luckiest, 4)} a bar, "
        f"this one has {number(record.sharpe, 4)}"
    )
    good = record.dsr >= replay.config.confidence
    ending = (
        "hard to explain by luck" if good else "luck explains it well enough: do not choose parameters by this table"
    )
    return Note(f"{said}. {luckiest}: {ending}.", "good" if good else "warn")


def _curves(replay: Replay, names: list[str]) -> Figure:
    ts = replay.accounts[replay.best].equity["ts"].to_numpy()
    order = sorted(range(len(names)), key=lambda k: -replay.accounts[k].pnl)[:_DRAWN]
    curves = {names[k]: np.cumsum(increments_of(replay.accounts[k])) for k in sorted(order)}
    shown = "" if len(names) <= _DRAWN else f" The best {_DRAWN} of {len(names):,}."
    return Figure(
        draw.lane_equity(ts, curves, names[replay.best], replay.unit),
        "P&L of every lane",
        f"Marked at the mid.{shown}",
        wide=True,
    )
