"""Where the P&L comes from, and whether it is more than luck."""

from __future__ import annotations

import math

import numpy as np

from marketprism.pipelines.backtest_replay import Replay
from marketprism.pipelines.backtest_sections.words import digits_for, money, seconds_text
from marketprism.pipelines.texts import interval, number, plural, share
from marketprism.report.document import Facts, Figure, Note, Section, Table
from marketprism.report.figures import backtest as draw
from marketprism.report.figures.economics import waterfall

__all__ = ["pnl_section"]


def pnl_section(replay: Replay) -> Section:
    """Lay out the split of the P&L, the equity curve and the track record of the best lane."""
    account, unit = replay.accounts[replay.best], replay.unit
    parts = _parts(replay)
    digits = digits_for(*(value for _, value in parts), account.pnl)
    intro = (
        "What quoting earned against the mid, what the market took back within moments (adverse selection), what the "
        "position won or lost afterwards (inventory), and what fees and funding did. The parts add up to the P&L "
        "exactly. It would be bad if the inventory's part were the largest: then the result is a bet on the price."
    )
    figure = Figure(
        waterfall(parts, unit, digits),
        "From spread to pocket",
        f"The whole sample, {plural(account.trades, 'execution')}.",
        wide=True,
    )
    per = 1e4 / account.value if account.value > 0 else math.nan
    each = 1 / account.trades if account.trades else math.nan
    rows = [
        [name, number(value, digits), number(value * per, 3), number(value * each, digits + 2)]
        for name, value in [*parts, ("P&L", account.pnl)]
    ]
    table = Table(["part", unit, "bps of value", "an execution"], rows, "The split", text_columns=["part"])
    equity = account.equity
    curves = {
        "spread capture": equity["spread_capture"].to_numpy(),
        "adverse selection": equity["adverse_selection"].to_numpy(),
        "inventory": equity["inventory_pnl"].to_numpy(),
        "fees": -equity["fees"].to_numpy(),
    }
    path = Figure(
        draw.equity_and_drawdown(equity["ts"].to_numpy(), equity["equity"].to_numpy(), curves, unit),
        "Equity and drawdown",
        f"Marked at the mid, each {seconds_text(replay.config.bar_s)}. {_deepest(replay)}",
        wide=True,
    )
    return Section("pnl", "P&L", intro, [_answer(replay), figure, path, table, _record(replay)])


def _parts(replay: Replay) -> list[tuple[str, float]]:
    account = replay.accounts[replay.best]
    parts = [
        ("spread capture", account.spread_capture),
        ("adverse selection", account.adverse_selection),
        ("inventory", account.inventory_pnl),
        ("fees", -account.fees),
    ]
    return [*parts, ("funding", account.funding)] if account.funding else parts


def _answer(replay: Replay) -> Note:
    """Say in one sentence where the money came from or went."""
    account, unit = replay.accounts[replay.best], replay.unit
    parts = dict(_parts(replay))
    if not account.trades:
        return Note("Nothing traded: there is no P&L to split.", "bad")
    gain = max(parts, key=lambda name: parts[name])
    loss = min(parts, key=lambda name: parts[name])
    said = []
    if parts[gain] > 0:
        said.append(f"Most was earned by {gain} ({money(parts[gain], unit)})")
    if parts[loss] < 0:
        said.append(f"most was lost to {loss} ({money(parts[loss], unit)})")
    kept = account.spread_capture + account.adverse_selection
    sentence = "; ".join(said) or "No part earned or lost anything"
    if account.spread_capture > 0 and kept < 0:
        times = -account.adverse_selection / account.spread_capture
        sentence += f". Adverse selection took back {number(times, 1)} times the spread captured"
    elif account.spread_capture > 0:
        left = share(kept / account.spread_capture, 0)
        sentence += f". Of the spread captured, {left} was left after adverse selection"
    directional = abs(account.inventory_pnl) > abs(account.pnl - account.inventory_pnl)
    if directional:
        sentence += ". The position moved the result more than everything else together: this is a bet on the price"
    return Note(f"{sentence}.", "warn" if directional or kept <= 0 else "plain")


def _deepest(replay: Replay) -> str:
    account = replay.accounts[replay.best]
    values = account.equity["equity"].to_numpy()
    if not len(values) or account.max_drawdown == 0:
        return "It never fell below an earlier high."
    fall = values - np.maximum.accumulate(np.maximum(values, 0.0))
    low = int(np.argmin(fall))
    minutes = (int(account.equity["ts"][low]) - int(account.equity["ts"][0])) / 6e10
    return (
        f"The largest drawdown was {money(account.max_drawdown, replay.unit)}, at its deepest after {minutes:,.1f} min."
    )


def _record(replay: Replay) -> Facts:
    account, record, unit = replay.accounts[replay.best], replay.records[replay.best], replay.unit
    digits = digits_for(record.pnl.value)
    where = "in the run ledger on these data" if replay.trials.from_ledger else "in this replay"
    pairs = [
        (f"P&L ({unit})", interval(record.pnl, digits)),
        ("of bars", f"{record.bars:,}, each {seconds_text(replay.config.bar_s)}; blocks of {record.block:,}"),
        *((f"Sharpe ratio, clock {clock}", number(value, 2)) for clock, value in account.sharpe.items()),
        ("chance that the true Sharpe is positive", _chance(record.psr)),
        (f"the same after {plural(record.trials, 'trial')} {where}", _chance(record.dsr)),
        (f"largest drawdown ({unit})", number(account.max_drawdown, digits)),
        ("value traded", money(account.value, unit)),
    ]
    if record.pnl.note:
        pairs.append(("note", record.pnl.note))
    return Facts(pairs, "Track record")


def _chance(value: float) -> str:
    return "–" if not math.isfinite(value) else "> 99.9%" if value > 0.999 else share(value)
