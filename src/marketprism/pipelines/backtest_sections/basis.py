"""What every number of a backtest rests on, and what the words mean."""

from __future__ import annotations

from typing import Any

from marketprism.core.timebase import format_ns
from marketprism.pipelines.backtest_replay import Replay
from marketprism.pipelines.backtest_sections.words import seconds_text
from marketprism.pipelines.texts import number, plural
from marketprism.report.document import Facts, Item, Note, Section, Table

__all__ = ["DEFINITIONS", "basis_section", "definitions_section", "exchange_facts"]

DEFINITIONS = {
    "P&L": "cash and position marked at the mid, after fees and funding: spread capture + adverse selection + "
    "inventory − fees + funding, exactly",
    "spread capture": "sum over executions of side × quantity × (mid just before the execution − price)",
    "adverse selection": "sum over executions of side × quantity × (mid one second later − mid at the execution)",
    "inventory": "all other gains and losses of the position from moves of the mid",
    "mark-out": "side × (mid after the horizon − mid just before the fill), in ticks; standard errors are clustered "
    "by the horizon",
    "fill rate": "share of the orders sent that were executed at least in part",
    "requests for each execution": "new orders, cancellations and modifications over executions (order-to-trade ratio)",
    "Sharpe ratio": "mean over standard deviation of the P&L on the clock named with it, times the root of such "
    "periods in a year of 365 days without a break; not corrected for serial correlation",
    "DSR": "deflated Sharpe ratio: chance that the true Sharpe ratio is positive, after the best of so many trials was "
    "picked (Bailey and Lopez de Prado 2014)",
    "interval": "circular block bootstrap of the bars' P&L; the block's length follows the serial correlation",
    "lane": "one parameter set in a world of its own; lanes do not see each other",
}


def basis_section(replay: Replay) -> Section:
    """Lay out assumptions of the replay and what was read."""
    config, report = replay.config, replay.market.report
    first, last = (format_ns(ts)[:19].replace("T", " ") for ts in replay.market.span())
    data = Facts(
        [
            ("instrument", replay.market.instrument.key),
            ("span (exchange time)", f"{first} to {last} UTC"),
            ("events on the tape", f"{report.events:,}, of these {report.trades:,} trades"),
            ("tick, lot", f"{replay.market.tape.tick_size}, {replay.market.tape.lot_size}"),
            ("gaps", f"{report.gaps:,}; nothing is filled across one"),
            ("receive times moved by", seconds_text(report.shift_ns / 1e9) if report.shift_ns else "nothing"),
            *((f"left out: {why}", f"{count:,}") for why, count in sorted(report.left_out.items())),
            ("data (SHA-256)", replay.market.data_hash[:16]),
        ],
        "What was replayed",
    )
    parameters: list[tuple[str, str]] = [("strategy", replay.strategy)]
    parameters += [(key, str(value)) for key, value in sorted(replay.lanes[replay.best].items())]
    if replay.signals:
        parameters.append(("signals", ", ".join(replay.signals)))
    items: list[Item] = [
        *(Note(note, "warn") for note in _warnings(replay)),
        Facts(exchange_facts(config.market, config.mode, config.interval_ms), "The exchange"),
        data,
        Facts(parameters, "Strategy, what was set" + (" (best lane)" if len(replay.lanes) > 1 else "")),
    ]
    risk = [(key, str(value)) for key, value in config.risk.to_mapping().items() if value not in (None, False)]
    if config.risk.limited:
        items.append(Facts(risk, "Risk limits"))
    intro = "A backtest is worth what its assumptions are worth: queue position and latency first of all."
    return Section("assumptions", "Assumptions", intro, items)


def exchange_facts(market: Any, mode: str, interval_ms: float) -> list[tuple[str, str]]:
    """Return latency, queue model, fees and contract as pairs of name and value."""

    def ms(value: float | None) -> str:
        return "as new orders" if value is None else f"{value:g} ms"

    facts = [
        ("mode", "strict" if mode == "strict" else "compat: the rules of hftbacktest"),
        ("decisions", f"each {interval_ms:g} ms" if interval_ms > 0 else "at every feed event"),
        ("latency there and back", f"{market.entry_latency_ms:g} ms and {market.response_latency_ms:g} ms"),
        ("latency of cancellations", ms(market.cancel_latency_ms)),
        ("jitter", f"{market.jitter_ms:g} ms on average" if market.jitter_ms else "none"),
        (
            "queue model",
            f"{market.queue.replace('_', ' ')}, exponent {market.queue_exponent:g}"
            if "power" in market.queue
            else market.queue.replace("_", " "),
        ),
        ("fees", f"maker {number(market.maker_fee_bps, 2)} bps, taker {number(market.taker_fee_bps, 2)} bps"),
        ("contract", f"{'inverse' if market.inverse else 'linear'}, multiplier {market.multiplier:g}"),
    ]
    if market.fill_on_cross:
        facts.append(("fill on cross", "the other side's best reaching an order's price fills it"))
    return facts


def _warnings(replay: Replay) -> list[str]:
    config, report = replay.config, replay.market.report
    notes = []
    if config.market.maker_fee_bps == 0 and config.market.taker_fee_bps == 0:
        notes.append("No fees were charged: set market.maker_fee_bps and market.taker_fee_bps to those of the venue.")
    if report.shift_ns:
        notes.append(
            f"The receive clock of the recording was up to {seconds_text(-report.worst_latency_ns / 1e9)} behind the "
            f"exchange's: all receive times were moved by {seconds_text(report.shift_ns / 1e9)}, so feed latency is "
            "a guess."
        )
    if report.gaps:
        notes.append(f"{plural(report.gaps, 'gap')} in the data: quotes did not trade from a gap to the next snapshot.")
    rejected = sum(entry.count for entry in replay.ingest.rejected.values())
    if rejected:
        notes.append(f"{plural(rejected, 'record')} of the source were refused; see `marketprism inspect`.")
    return notes


def definitions_section() -> Section:
    """Lay out what the words mean."""
    rows = [[name, text] for name, text in DEFINITIONS.items()]
    table = Table(["term", "meaning"], rows, text_columns=["term", "meaning"], wide=True)
    return Section("definitions", "Definitions", "What the words on this page mean.", [table])
