"""The backtest page: verdict, where the P&L comes from, inventory, mark-outs, queues, lanes, assumptions."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from marketprism.core.timebase import format_ns
from marketprism.pipelines.backtest_replay import Replay
from marketprism.pipelines.backtest_sections.basis import basis_section, definitions_section
from marketprism.pipelines.backtest_sections.inventory import inventory_section, inventory_sentence
from marketprism.pipelines.backtest_sections.lanes import lanes_section
from marketprism.pipelines.backtest_sections.markouts import markout_section
from marketprism.pipelines.backtest_sections.orders import orders_section
from marketprism.pipelines.backtest_sections.pnl import pnl_section
from marketprism.pipelines.backtest_sections.words import FOOTER, digits_for, lane_names, money
from marketprism.pipelines.texts import interval, number, plural, share, short_source
from marketprism.report.document import Card, Document, Section, Verdict
from marketprism.studies.control import inventory_control

__all__ = ["backtest_document", "backtest_headline"]

_WANTED = 100
"""Fewer executions than this are said to be few."""


def backtest_document(replay: Replay) -> Document:
    """Lay out the page of a backtest."""
    first, last = (format_ns(ts)[:19].replace("T", " ") for ts in replay.market.span())
    headline, tone = backtest_headline(replay)
    many = len(replay.lanes) > 1
    sections: list[Section] = [pnl_section(replay)] if replay.accounts[replay.best].equity.height else []
    if sections:
        sections += [inventory_section(replay), markout_section(replay)]
    sections.append(orders_section(replay))
    if many:
        sections.append(lanes_section(replay))
    sections += [basis_section(replay), definitions_section()]
    return Document(
        title=f"{replay.strategy.rpartition('/')[2]} on {replay.market.instrument.symbol}",
        subtitle=f"{short_source(replay.source)} · {first} to {last} UTC",
        verdict=Verdict(headline, _reasons(replay), tone),
        cards=_cards(replay),
        sections=sections,
        footer=FOOTER,
    )


def backtest_headline(replay: Replay) -> tuple[str, Any]:
    """Return the headline of a backtest, and its tone."""
    account, record = replay.accounts[replay.best], replay.records[replay.best]
    if not account.trades:
        return "Nothing traded: this page shows no result", "bad"
    if account.trades < _WANTED or not record.pnl.enough:
        return f"Too little to judge: {plural(account.trades, 'execution')} in {plural(record.bars, 'bar')}", "warn"
    if record.pnl.value <= 0:
        sure = record.pnl.high < 0
        return ("It lost money" if sure else "It lost money, though luck is not ruled out"), "bad" if sure else "warn"
    if record.pnl.star and record.dsr >= replay.config.confidence:
        return "It earned more than luck explains, on these data and under these assumptions", "good"
    return "It earned money, but luck explains it well enough", "warn"


def _reasons(replay: Replay) -> list[str]:
    account, record, unit = replay.accounts[replay.best], replay.records[replay.best], replay.unit
    if not account.trades:
        return _why_nothing(replay)
    digits = digits_for(account.pnl, account.spread_capture, account.inventory_pnl)
    lines = [
        (
            f"P&L {interval(record.pnl, digits)} {unit} from {plural(account.trades, 'execution')}"
            f"{f', {number(1e4 * account.pnl / account.value, 3)} bps of the value traded' if account.value else ''}."
        ),
        (
            f"Spread capture {number(account.spread_capture, digits)}, adverse selection "
            f"{number(account.adverse_selection, digits)}, inventory {number(account.inventory_pnl, digits)}, fees "
            f"{number(-account.fees, digits)}, funding {number(account.funding, digits)} {unit}."
        ),
        inventory_sentence(inventory_control(account.equity["position"].to_numpy(), replay.config.bar_s)),
    ]
    if len(replay.lanes) > 1:
        idle = sum(one.trades == 0 for one in replay.accounts)
        lines.append(
            f"Best of {len(replay.lanes):,} lanes: {lane_names(replay.lanes)[replay.best]}. After "
            f"{plural(record.trials, 'trial')} the chance of a positive Sharpe ratio is {share(record.dsr)}."
            + (f" {plural(idle, 'lane')} never traded." if idle else "")
        )
    elif record.trials > 1 and math.isfinite(record.dsr):
        lines.append(
            f"After {plural(record.trials, 'trial')} on these data the chance of a positive Sharpe ratio is "
            f"{share(record.dsr)}."
        )
    if replay.market.report.gaps:
        lines.append(f"{plural(replay.market.report.gaps, 'gap')} in the data.")
    return lines


def _why_nothing(replay: Replay) -> list[str]:
    account = replay.accounts[replay.best]
    lanes = f"None of {len(replay.lanes):,} lanes had an execution. " if len(replay.lanes) > 1 else ""
    sent = int(account.queue.get("requests", account.orders))
    if not sent:
        return [
            f"{lanes}The strategy sent no request at all.",
            "It may wait for signals or estimates longer than the data last, or a limit may keep it from quoting.",
        ]
    orders = replay.orders
    lines = [f"{lanes}{plural(sent, 'request')} sent, and no order was executed."]
    refused = orders.filter(pl.col("status") == "rejected").group_by("reason").len().sort("len", descending=True)
    if refused.height:
        why, count = refused.row(0)
        lines.append(f"{count:,} were rejected, most often for: {why.replace('_', ' ')}.")
    else:
        lines.append(
            "Quotes may have been too far from the mid, too large for their place in the queue, or too short-lived."
        )
    return lines


def _cards(replay: Replay) -> list[Card]:
    account, record, unit = replay.accounts[replay.best], replay.records[replay.best], replay.unit
    per = f"{number(1e4 * account.pnl / account.value, 2)} bps of value traded" if account.value else "nothing traded"
    kept = account.spread_capture + account.adverse_selection
    clock, sharpe = next(iter(account.sharpe.items()), ("", math.nan))
    largest = float(account.equity["position"].abs().to_numpy().max(initial=0.0))
    base = replay.market.instrument.symbol.partition("-")[0]
    return [
        Card(f"P&L ({unit})", number(account.pnl, digits_for(account.pnl)), per,
             "good" if record.pnl.star else "bad" if account.pnl < 0 else "plain"),
        Card("Spread after adverse", number(kept, digits_for(kept)),
             f"of {money(account.spread_capture, unit)} captured",
             "bad" if kept < 0 else "plain"),
        Card("Max drawdown", number(account.max_drawdown, digits_for(account.max_drawdown)), unit),
        Card("Sharpe ratio", number(sharpe, 1), f"clock {clock}, annual; DSR {share(record.dsr, 0)}"),
        Card("Executions", f"{account.trades:,}", f"{number(account.order_to_trade, 1)} requests each",
             "bad" if not account.trades else "plain"),
        Card(f"Largest position ({base})", number(largest, digits_for(largest)),
             f"fill rate {share(account.fill_rate)}"),
    ]  # fmt: skip
