"""What the pages of a study share: context, tables of makers, the assumptions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from marketprism.backtest.result import AccountReport
from marketprism.core.instrument import Instrument
from marketprism.core.timebase import format_ns
from marketprism.pipelines.backtest_sections.basis import definitions_section, exchange_facts
from marketprism.pipelines.backtest_sections.words import FOOTER, digits_for, seconds_text
from marketprism.pipelines.backtest_summary import account_summary
from marketprism.pipelines.market_tape import MarketTape
from marketprism.pipelines.texts import interval, number, plural, short_source
from marketprism.report.document import Document, Facts, Figure, Section, Table, Verdict
from marketprism.report.figures.studies import split_bars
from marketprism.studies.lanes import Ground, Lane

__all__ = ["Context", "assumptions", "lane_summary", "lane_table", "page", "split_figure", "split_lead", "ticks_a_unit"]


@dataclass(frozen=True)
class Context:
    """What was studied.

    Attributes
    ----------
    ground : Ground
        Tape and settings.
    market : MarketTape
        How it was read.
    source : str
        Text of the source.
    unit, base : str
        Currencies of the P&L and of the position.
    """

    ground: Ground
    market: MarketTape
    source: str
    unit: str
    base: str

    @property
    def instrument(self) -> Instrument:
        """The market."""
        return self.market.instrument


def page(context: Context, title: str, verdict: Verdict, cards: Sequence[Any], sections: Sequence[Section]) -> Document:
    """Return a page with title, verdict and sections; assumptions and definitions follow them."""
    first, last = (format_ns(ts)[:19].replace("T", " ") for ts in context.market.span())
    return Document(
        title=f"{title} on {context.instrument.symbol}",
        subtitle=f"{short_source(context.source)} · {first} to {last} UTC",
        verdict=verdict,
        cards=cards,
        sections=[*sections, assumptions(context), definitions_section()],
        footer=FOOTER,
    )


def split_figure(lanes: Sequence[Lane], unit: str, title: str, caption: str) -> Figure:
    """Draw the parts of every lane's P&L side by side."""
    parts = {
        "spread capture": [lane.account.spread_capture for lane in lanes],
        "adverse selection": [lane.account.adverse_selection for lane in lanes],
        "inventory": [lane.account.inventory_pnl for lane in lanes],
        "fees": [-lane.account.fees for lane in lanes],
    }
    if any(lane.account.spread_capture < 0 for lane in lanes):
        caption += (
            " Spread capture below zero: fills at prices that the mid had passed already, while the quote waited for "
            "its maker's next decision."
        )
    return Figure(split_bars([lane.name for lane in lanes], parts, unit), title, caption, wide=True)


def split_lead(lane: Lane, unit: str) -> str:
    """Say what a maker earned and by what."""
    account = lane.account
    if not account.trades:
        return f"{lane.name}: nothing traded."
    digits = digits_for(account.pnl, account.spread_capture, account.inventory_pnl)
    return (
        f"{lane.name}: P&L {interval(lane.record.pnl, digits)} {unit} from {plural(account.trades, 'execution')}; "
        f"spread {number(account.spread_capture, digits)}, "
        f"adverse selection {number(account.adverse_selection, digits)}, "
        f"inventory {number(account.inventory_pnl, digits)}, fees {number(-account.fees, digits)}."
    )


def lane_table(
    lanes: Sequence[Lane], unit: str, quantity: float, title: str = "In numbers", caption: str = ""
) -> Table:
    """Return every lane with its P&L, its parts and its inventory, the last in orders of ``quantity``."""
    digits = digits_for(*(lane.account.pnl for lane in lanes), *(lane.account.spread_capture for lane in lanes))
    rows = [
        [
            lane.name,
            f"{lane.account.trades:,}",
            interval(lane.record.pnl, digits),
            number(lane.account.spread_capture, digits),
            number(lane.account.adverse_selection, digits),
            number(lane.account.inventory_pnl, digits),
            number(lane.account.max_drawdown, digits),
            number(lane.control.deviation / quantity, 2),
            number(lane.control.largest / quantity, 1),
            seconds_text(lane.control.half_life_s) if lane.control.half_life_s < 1e9 else "never",
        ]
        for lane in lanes
    ]
    columns = [
        "maker", "fills", f"P&L ({unit})", "spread", "adverse", "inventory", "drawdown", "position sd", "largest",
        "half-life",
    ]  # fmt: skip
    told = "Positions in orders. Half-life: after which half of a position is gone." + (
        f" {caption}" if caption else ""
    )
    return Table(columns, rows, title, told, text_columns=["maker"], wide=True)


def ticks_a_unit(amount: float, account: AccountReport, context: Context) -> float:
    """Return an amount for each unit that an account traded, in ticks of the price; NaN where nothing traded."""
    mid = float(np.mean(account.equity["mid"].to_numpy()))
    worth = account.value * float(context.ground.tape.tick_size) / mid
    return amount / worth if worth > 0 else math.nan


def lane_summary(lane: Lane) -> dict[str, Any]:
    """Return a lane as plain data."""
    return {
        "name": lane.name,
        "strategy": lane.maker.strategy,
        "parameters": dict(lane.maker.parameters),
        **account_summary(lane.account),
        "evidence": lane.record.summary(),
        "position_deviation": lane.control.deviation,
        "position_largest": lane.control.largest,
        "controlled": lane.control.controlled,
    }


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _chosen(context: Context) -> str:
    if context.ground.config.half_spreads is not None:
        return "the settings"
    return "spread and volatility of the whole tape, to span them"


def assumptions(context: Context) -> Section:
    """Lay out what every number of a page rests on."""
    config, market = context.ground.config, context.market
    exchange = Facts(exchange_facts(config.market, "strict", config.interval_ms), "The exchange")
    makers = Facts(
        [
            ("order quantity", f"{context.ground.quantity:g} {context.base}"),
            ("warm-up", seconds_text(config.warmup_s)),
            ("distances of symmetric makers", f"{_list(context.ground.distances)} ticks"),
            ("chosen by", _chosen(context)),
            ("hard limit, where there is one", f"{config.max_inventory:g} orders"),
            ("instrument", context.instrument.key),
            ("tick, lot", f"{market.tape.tick_size}, {market.tape.lot_size}"),
            ("events on the tape", f"{market.report.events:,}, of these {market.report.trades:,} trades"),
            ("gaps", f"{market.report.gaps:,}"),
            (
                "receive times moved by",
                seconds_text(market.report.shift_ns / 1e9) if market.report.shift_ns else "nothing",
            ),
            ("data (SHA-256)", market.data_hash[:16]),
            ("settings", config.hash),
        ],
        "Makers and data",
    )
    intro = (
        "All makers of a page saw the same events; each is in a world of its own unless it says so. Settings are not "
        "tuned: the best of a table is the best of several trials."
    )
    return Section("assumptions", "Assumptions", intro, [exchange, makers])
