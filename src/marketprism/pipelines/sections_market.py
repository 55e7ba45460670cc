"""Sections of the report about the data: quality, book and buckets, time of day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from marketprism.ingest.source import Source
from marketprism.pipelines.collect import Collected, DepthSamples
from marketprism.pipelines.texts import number, share
from marketprism.report.document import Facts, Figure, Item, Note, Section, Table
from marketprism.report.figures import market

__all__ = ["book_section", "day_section", "quality_section"]

_MAX_BARS = 12
_MAX_FACTS = 40


def quality_section(source: Source, collected: Collected, summary: Mapping[str, Any]) -> Section:
    """Events, gaps, clocks, spread states, rejections: whether the data can be believed."""
    quality = collected.quality
    clock = summary["clock"]
    items: list[Item] = []
    if summary["clock_skew_ms"] is not None and summary["clock_skew_ms"] < 0:
        items.append(
            Note(
                f"The receive clock is behind the exchange clock: median {number(summary['clock_skew_ms'], 0)} ms. "
                "Event order is kept as received; add ?clock=correct to the source to shift it.",
                "warn",
            )
        )
    if source.report.rejected_count:
        items.append(Note(f"{source.report.rejected_count:,} records were rejected; reasons are below.", "warn"))
    valid = {key: s for key, s in quality.spread.items() if s.messages and np.isfinite(s.one)}
    if valid:
        items.append(_spread_figure(source, valid))
    events = [(name.replace("_", " "), f"{count:,}") for name, count in quality.events.items()]
    facts = [
        *events,
        ("span", f"{number(summary['span']['seconds'] / 3600, 2)} h"),
        ("gaps", f"{quality.gap_count:,}"),
        ("clock, median", f"{number(clock['median_ms'], 1)} ms"),
        ("clock, min to p99", f"{number(clock['min_ms'], 1)} to {number(clock['p99_ms'], 1)} ms"),
        ("locked", share(summary["locked_share"], 2)),
        ("crossed", share(summary["crossed_share"], 2)),
        ("records read", f"{source.report.records:,}"),
    ]
    items.append(Facts(facts, "The stream"))
    items += _quality_tables(source, collected)
    return Section(
        "quality",
        "Data quality",
        "What was read, and whether it can be believed. Clock is receive time minus event time. Spread states are "
        "shares of complete book messages.",
        items,
    )


def _spread_figure(source: Source, valid: Mapping[str, Any]) -> Figure:
    symbols = {item.key: item.symbol for item in source.instruments}
    if len(set(symbols.values())) < len(symbols):
        symbols = {item.key: f"{item.symbol} {item.market_type}" for item in source.instruments}
    keys = [key for key in valid if key != "pooled"]
    if len(keys) > _MAX_BARS:
        ordered = sorted(keys, key=lambda key: -valid[key].one)
        places = np.linspace(0, len(ordered) - 1, _MAX_BARS).round().astype(int)
        keys = [ordered[i] for i in places]
    shares = {symbols[key]: (valid[key].one, valid[key].two, valid[key].three_plus) for key in keys}
    if len(keys) > 1:
        pooled = valid["pooled"]
        shares["pooled"] = (pooled.one, pooled.two, pooled.three_plus)
    more = f" {len(symbols) - len(keys)} more series in summary.json." if len(symbols) > len(keys) else ""
    return Figure(market.spread_states(shares), "Spread in ticks", f"Share of valid book states.{more}")


def _quality_tables(source: Source, collected: Collected) -> list[Item]:
    items: list[Item] = []
    report, quality = source.report, collected.quality
    if report.rejected:
        rows = [
            [reason, f"{r.count:,}", r.examples[0] if r.examples else ""]
            for reason, r in sorted(report.rejected.items())
        ]
        items.append(
            Table(
                ["reason", "count", "first example"],
                rows,
                "Rejected records",
                text_columns=["reason", "first example"],
                wide=True,
            )
        )
    if quality.gaps:
        rows = [
            [gap.series, gap.reason.replace("_", " "), "" if gap.lost_sequences < 0 else f"{gap.lost_sequences:,}"]
            for gap in quality.gaps[:50]
        ]
        items.append(Table(["series", "reason", "lost"], rows, "Gaps", text_columns=["series", "reason"], shown=8))
    told = [(what, f"{count:,}") for what, count in sorted(report.notes.items())]
    told += sorted(report.facts.items())
    if told:
        items.append(Facts(told[:_MAX_FACTS], "Noted while reading", wide=True))
    counters = [(name.replace("_", " "), f"{n:,}") for name, n in collected.book_counters.items() if n]
    if counters:
        items.append(Facts(counters, "Book integrity"))
    return items


def _busiest(collected: Collected) -> int:
    return max(range(len(collected.depth)), key=lambda i: len(collected.depth[i].ts))


def book_section(source: Source, collected: Collected, summary: Mapping[str, Any]) -> Section:
    """Draw the book over time, its shape, and the buckets cut from it."""
    import polars as pl

    items: list[Item] = []
    which = _busiest(collected)
    instrument = source.instruments[which]
    own = collected.frame.filter(
        (pl.col("exchange") == instrument.exchange)
        & (pl.col("market_type") == instrument.market_type)
        & (pl.col("symbol") == instrument.symbol)
    )
    name = f" ({instrument.symbol}, the busiest of {len(source.instruments)})" if len(source.instruments) > 1 else ""
    mids = own.filter(pl.col("mid_last").is_not_null())
    if mids.height > 2:
        svg = market.price_and_buckets(
            mids["ts_end"].to_numpy(), mids["mid_last"].to_numpy(), mids["trigger"].to_list()
        )
        items.append(
            Figure(
                svg,
                f"Mid and buckets{name}",
                "Each mark below the price is a bucket that closed, by what closed it.",
                wide=True,
            )
        )
    items += _depth_figures(collected.depth[which], instrument.tick, name)
    buckets = summary["buckets"]
    seconds = collected.frame.filter(pl.col("trigger") != "end")["duration_ns"].to_numpy() / 1e9
    if len(seconds) > 2:
        svg = market.bucket_durations(seconds, buckets["p50_s"], buckets["p90_s"])
        items.append(Figure(svg, "Bucket durations", "The tail beyond the 99.5th percentile is drawn at its edge."))
    volume = collected.frame["volume"]
    items.append(
        Facts(
            [
                ("buckets", f"{buckets['count']:,}"),
                *[(f"closed by {trigger}", f"{count:,}") for trigger, count in buckets["triggers"].items()],
                ("segments", f"{collected.frame.select('exchange', 'market_type', 'symbol', 'segment').n_unique():,}"),
                ("trades a bucket, median", number(_median(collected.frame["trades"]), 0)),
                ("volume a bucket, median", number(_median(volume), 4)),
                ("target duration", f"{buckets['t_target_s']:g} s"),
            ],
            "Buckets",
        )
    )
    return Section(
        "book",
        "Book and buckets",
        "Unified volume buckets: closed by volume, or by time where the market is quiet. The volume target is "
        "calibrated on the stream itself, from the past only; until it is known, buckets are cut by time.",
        items,
    )


def _median(series: Any) -> float:
    value = series.median()
    return float(value) if value is not None else float("nan")


def _depth_figures(samples: DepthSamples, tick: float, name: str) -> list[Item]:
    if len(samples.ts) < 3:
        return [Note("The source has no depth beyond the best quotes: depth factors are null.", "plain")]
    ts, price, quantity = np.array(samples.ts), np.array(samples.price), np.array(samples.quantity)
    good = (quantity[:, 0, 0] > 0) & (quantity[:, 1, 0] > 0)
    mid = np.where(good, (price[:, 0, 0] + price[:, 1, 0]) * 0.5 * tick, np.nan)
    items: list[Item] = []
    if good.sum() > 2:
        items.append(
            Figure(
                market.book_heatmap(ts, price, quantity, mid, tick),
                f"Resting liquidity{name}",
                "Bids green, asks red, darker is more; the line is the mid. Sampled at bucket ends.",
                wide=True,
            )
        )
        items.append(
            Figure(
                market.book_shape(price, quantity),
                f"Shape of the book{name}",
                "Mean cumulative quantity by distance from the mid.",
            )
        )
    return items


def day_section(collected: Collected) -> Section:
    """Distributions of spread and imbalance by time of day."""
    quality = collected.quality
    items: list[Item] = []
    if quality.spread_day.sum():
        items.append(Figure(market.spread_by_time(quality.spread_day), "Spread by time of day"))
    if quality.imbalance_day.sum():
        items.append(
            Figure(
                market.imbalance_by_time(quality.imbalance_day),
                "Queue imbalance by time of day",
                "Positive is bid heavy. Piling up at ±1 means that one queue is often nearly empty.",
            )
        )
    if not items:
        items.append(Note("The book was never valid: there is no spread or imbalance to show.", "warn"))
    return Section("day", "Time of day", "Shares of complete book messages, all series together.", items)
