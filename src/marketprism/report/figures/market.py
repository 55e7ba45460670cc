"""Figures of the market itself: clocks, spread, book, buckets, time of day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from marketprism.report.figures.base import ACCENT, ASK, BID, FAINT, INK, MUTED, SERIES, canvas, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "book_heatmap",
    "book_shape",
    "bucket_durations",
    "imbalance_by_time",
    "price_and_buckets",
    "spread_by_time",
    "spread_states",
]

MINUTES = 1440
_HEATMAP_COLUMNS = 320
_SPREAD_COLOURS = ("#2f5bd8", "#8fa9ee", "#e0a458")


def spread_states(shares: Mapping[str, tuple[float, float, float]]) -> str:
    """Draw the shares of 1, 2 and 3 or more ticks, one bar a series."""
    names = list(shares)
    values = np.nan_to_num(np.array([shares[name] for name in names], dtype=float))
    with canvas(6.2, max(1.7, 0.34 * len(names) + 1.0)) as page:
        left = np.zeros(len(names))
        for k, label in enumerate(("1 tick", "2 ticks", "3 or more")):
            page.axes.barh(names, values[:, k], left=left, color=_SPREAD_COLOURS[k], label=label, height=0.68)
            for y, (start, width) in enumerate(zip(left, values[:, k], strict=True)):
                if width > 0.07:
                    page.axes.text(
                        start + width / 2,
                        y,
                        f"{width:.0%}",
                        ha="center",
                        va="center",
                        color="white" if k == 0 else INK,
                        fontsize=9,
                    )
            left += values[:, k]
        page.axes.invert_yaxis()
        page.axes.set_xlim(0, 1)
        page.axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
        page.axes.grid(visible=False)
        page.axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2)
    return page.svg


def price_and_buckets(ts: np.ndarray, mid: np.ndarray, trigger: Sequence[str]) -> str:
    """Draw the mid at bucket ends over time with a rug of bucket boundaries coloured by trigger."""
    from matplotlib.lines import Line2D

    seconds = (ts - ts[0]) / 1e9
    colours = {"volume": ACCENT, "time": "#e0a458", "gap": ASK, "count": SERIES[4], "event": SERIES[5]}
    with canvas(12.6, 3.3) as page:
        page.axes.plot(seconds, mid, color=INK, linewidth=1.3)
        low, high = np.nanmin(mid), np.nanmax(mid)
        pad = max((high - low) * 0.1, abs(high) * 1e-6)
        page.axes.set_ylim(low - 2.2 * pad, high + pad)
        kinds = np.asarray(trigger)
        present = [name for name in dict.fromkeys(trigger) if name in colours]
        for name in present:
            chosen = seconds[kinds == name]
            page.axes.vlines(chosen, low - 2.1 * pad, low - 1.2 * pad, color=colours[name], linewidth=0.7)
        handles = [Line2D([0], [0], color=INK, label="mid at bucket end")]
        handles += [Line2D([0], [0], color=colours[name], label=f"closed by {name}") for name in present]
        page.axes.legend(handles=handles, ncols=len(handles), loc="lower left", bbox_to_anchor=(0, 1.0))
        time_axis(page.axes, int(ts[0]), int(ts[-1]))
        page.axes.ticklabel_format(axis="y", useOffset=False)
        page.axes.set_ylabel("price")
    return page.svg


def book_heatmap(ts: np.ndarray, ticks: np.ndarray, quantity: np.ndarray, mid: np.ndarray, tick: float) -> str:
    """Draw resting quantity over time and price, bids green and asks red, the mid on top.

    Parameters
    ----------
    ts : int64 ndarray, shape (n,)
        Times of the columns, ns UTC.
    ticks, quantity : ndarray, shape (n, 2, levels)
        Price in ticks and base quantity by side and level; quantity 0 is no level.
    mid : float ndarray, shape (n,)
        Mid price in quote currency, NaN where invalid.
    tick : float
        Tick size in quote currency.
    """
    keep = np.isfinite(mid)
    ts, ticks, quantity, mid = ts[keep], ticks[keep], quantity[keep], mid[keep]
    # Buckets are not evenly spaced: each column shows the last book known at its time.
    grid_ts = np.linspace(ts[0], ts[-1], _HEATMAP_COLUMNS).astype(np.int64)
    place = np.searchsorted(ts, grid_ts, side="right") - 1
    ts, ticks, quantity, mid = grid_ts, ticks[place], quantity[place], mid[place]
    there = ticks[quantity > 0]
    low, high = (int(q) for q in np.quantile(there, (0.01, 0.99)))
    bins = min(160, max(high - low + 1, 2))
    edges = np.linspace(low - 0.5, high + 0.5, bins + 1)
    grid = np.zeros((2, bins, len(ts)))
    for side in range(2):
        place = np.clip(np.searchsorted(edges, ticks[:, side], side="right") - 1, 0, bins - 1)
        inside = (ticks[:, side] >= low) & (ticks[:, side] <= high)
        column = np.broadcast_to(np.arange(len(ts))[:, None], place.shape)
        np.add.at(grid[side], (place[inside], column[inside]), quantity[:, side][inside])
    scale = np.quantile(grid[grid > 0], 0.97) if (grid > 0).any() else 1.0
    strength = np.clip(grid / scale, 0, 1) ** 0.6
    image = np.ones((bins, len(ts), 3))
    for side, colour in enumerate((BID, ASK)):
        rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        image = image * (1 - strength[side][..., None]) + rgb * strength[side][..., None]
    seconds = (ts - ts[0]) / 1e9
    with canvas(12.6, 3.7) as page:
        page.axes.imshow(
            image,
            aspect="auto",
            origin="lower",
            interpolation="nearest",
            extent=(0.0, max(float(seconds[-1]), 1e-9), edges[0] * tick, edges[-1] * tick),
        )
        page.axes.plot(seconds, mid, color=INK, linewidth=0.9)
        page.axes.set_ylim(edges[0] * tick, edges[-1] * tick)
        time_axis(page.axes, int(ts[0]), int(ts[-1]))
        page.axes.ticklabel_format(axis="y", useOffset=False)
        page.axes.grid(visible=False)
        page.axes.set_ylabel("price")
    return page.svg


def book_shape(ticks: np.ndarray, quantity: np.ndarray) -> str:
    """Draw the mean cumulative quantity by distance from the mid, in ticks, both sides (shapes as above)."""
    best = ticks[:, :, 0]
    middle = (best[:, 0] + best[:, 1]) / 2
    valid = (quantity[:, 0, 0] > 0) & (quantity[:, 1, 0] > 0)
    with canvas() as page:
        for side, (name, colour) in enumerate((("bids", BID), ("asks", ASK))):
            distance = np.abs(ticks[valid, side] - middle[valid, None])
            amount = np.cumsum(quantity[valid, side], axis=1)
            there = quantity[valid, side] > 0
            levels = there.mean(axis=0) > 0.5
            with np.errstate(invalid="ignore"):
                x = np.array([np.median(distance[there[:, k], k]) for k in np.flatnonzero(levels)])
                y = np.array([amount[there[:, k], k].mean() for k in np.flatnonzero(levels)])
            page.axes.step(x, y, where="post", color=colour, label=name)
            page.axes.plot(x, y, "o", color=colour, markersize=3)
        page.axes.set_xlabel("distance from the mid (ticks, median)")
        page.axes.set_ylabel("cumulative quantity (mean)")
        page.axes.set_ylim(bottom=0)
        page.axes.legend()
    return page.svg


def bucket_durations(duration_s: np.ndarray, median: float, p90: float) -> str:
    """Draw the distribution of bucket durations with its median and 90th percentile."""
    with canvas() as page:
        top = max(float(np.quantile(duration_s, 0.995)), 1e-9)
        page.axes.hist(np.clip(duration_s, 0, top), bins=40, color="#8fa9ee", edgecolor="white", linewidth=0.5)
        for value, name, height in ((median, "median", 0.97), (p90, "p90", 0.88)):
            ha = "left" if value < 0.7 * top else "right"
            page.axes.axvline(value, color=INK, linewidth=1, linestyle=(0, (4, 3)))
            page.axes.text(
                value,
                height,
                f" {name} {value:.1f} s ",
                ha=ha,
                va="top",
                fontsize=9,
                color=MUTED,
                transform=page.axes.get_xaxis_transform(),
            )
        page.axes.set_xlabel("duration (s)")
        page.axes.set_ylabel("buckets")
    return page.svg


def _time_bins(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bin minutes of the day, starting after the longest silence, so that a span over midnight stays in one piece."""
    used = np.flatnonzero(counts.sum(axis=1))
    silence = np.diff(np.append(used, used[0] + MINUTES))
    longest = int(silence.argmax())
    first = int(used[(longest + 1) % len(used)])
    length = MINUTES - int(silence[longest]) + 1
    rolled = np.roll(counts, -first, axis=0)
    width = max(1, -(-length // 48))
    starts = np.arange(0, length, width)
    return (starts + first) % MINUTES, np.array([rolled[s : min(s + width, length)].sum(axis=0) for s in starts])


def _minute_labels(axes: Axes, starts: np.ndarray) -> None:
    step = -(-len(starts) // 7)
    places = np.arange(0, len(starts), step)
    axes.set_xticks(places, [f"{starts[i] // 60:02d}:{starts[i] % 60:02d}" for i in places])
    axes.set_xlabel("time of day, UTC")


def spread_by_time(counts: np.ndarray) -> str:
    """Draw the shares of spread states by time of day; ``counts`` is (1440 minutes, 6 states)."""
    starts, binned = _time_bins(counts)
    share = binned / np.maximum(binned.sum(axis=1, keepdims=True), 1)
    labels = ("locked or crossed", "1", "2", "3", "4 to 9", "10 or more")
    colours = (ASK, "#2f5bd8", "#6f8fe6", "#a9bdf2", "#e9c48a", "#c98a2b")
    with canvas() as page:
        bottom = np.zeros(len(starts))
        for k, (label, colour) in enumerate(zip(labels, colours, strict=True)):
            if share[:, k].max() < 0.002:
                continue
            page.axes.bar(np.arange(len(starts)), share[:, k], bottom=bottom, width=1.0, color=colour, label=label)
            bottom += share[:, k]
        _minute_labels(page.axes, starts)
        page.axes.set_ylim(0, 1)
        page.axes.set_xlim(-0.5, len(starts) - 0.5)
        page.axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
        page.axes.grid(visible=False)
        page.axes.legend(title="ticks", ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0), alignment="left")
    return page.svg


def imbalance_by_time(counts: np.ndarray) -> str:
    """Draw the distribution of queue imbalance by time of day; ``counts`` is (1440 minutes, bins on [-1, 1])."""
    starts, binned = _time_bins(counts)
    share = binned / np.maximum(binned.sum(axis=1, keepdims=True), 1)
    with canvas() as page:
        image = page.axes.imshow(
            share.T,
            aspect="auto",
            origin="lower",
            extent=(-0.5, len(starts) - 0.5, -1, 1),
            cmap="Blues",
            interpolation="nearest",
            vmin=0,
            vmax=float(np.quantile(share, 0.99)) or 1.0,
        )
        page.axes.axhline(0, color=FAINT, linewidth=0.8)
        _minute_labels(page.axes, starts)
        page.axes.set_ylabel("queue imbalance")
        page.axes.grid(visible=False)
        bar = page.axes.figure.colorbar(image, ax=page.axes, shrink=0.85, pad=0.02)
        bar.ax.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
        bar.outline.set_visible(False)
    return page.svg
