"""Figures of a backtest: equity and drawdown, inventory, mark-outs, lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from marketprism.report.figures.base import ACCENT, ASK, BID, FAINT, INK, MUTED, SERIES, canvas, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "equity_and_drawdown",
    "inventory_path",
    "inventory_shares",
    "lane_equity",
    "level_bins",
    "markouts",
]

_MOST_POINTS = 1_000


def _seconds(ts: np.ndarray) -> np.ndarray:
    return np.asarray((ts - ts[0]) / 1e9)


def _thin(n: int) -> np.ndarray:
    """Places of at most a thousand rows, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, _MOST_POINTS)).astype(np.intp))


def _colour(place: int) -> str:
    return SERIES[place % len(SERIES)]


def _legend(axes: Axes, columns: int) -> None:
    axes.legend(ncols=max(1, columns), loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.3)


def equity_and_drawdown(ts: np.ndarray, equity: np.ndarray, parts: Mapping[str, np.ndarray], unit: str) -> str:
    """Draw P&L over time with the parts that add up to it, and how far it was below its highest point so far.

    Parameters
    ----------
    ts : int64 ndarray, shape (n,)
        Times, ns UTC.
    equity : float ndarray, shape (n,)
        P&L since the beginning.
    parts : mapping of str to float ndarray, shape (n,)
        What it is made of, each since the beginning.
    unit : str
        Of all of them.
    """
    fall = equity - np.maximum.accumulate(np.maximum(equity, 0.0))
    keep = _thin(len(ts))
    seconds = _seconds(ts)[keep]
    with canvas(12.6, 4.9, rows=2, sharex=True, height_ratios=(2.6, 1)) as page:
        top, bottom = page.axes
        for place, (name, values) in enumerate(parts.items()):
            top.plot(seconds, values[keep], color=_colour(place), linewidth=1.1, alpha=0.85, label=name)
        top.plot(seconds, equity[keep], color=INK, linewidth=2.0, label="P&L")
        top.axhline(0, color=INK, linewidth=0.8)
        top.set_ylabel(f"since the beginning ({unit})")
        _legend(top, len(parts) + 1)
        bottom.fill_between(seconds, fall[keep], 0, color=ASK, alpha=0.35, linewidth=0)
        bottom.plot(seconds, fall[keep], color=ASK, linewidth=1)
        bottom.set_ylabel("drawdown")
        time_axis(bottom, int(ts[0]), int(ts[-1]))
    return page.svg


def lane_equity(ts: np.ndarray, curves: Mapping[str, np.ndarray], best: str, unit: str) -> str:
    """Draw the P&L of every lane over time, the best one thick."""
    keep = _thin(len(ts))
    seconds = _seconds(ts)[keep]
    with canvas(12.6, 3.3) as page:
        axes = page.axes
        few = len(curves) <= len(SERIES)
        for place, (name, values) in enumerate(curves.items()):
            if name == best:
                continue
            colour = _colour(place) if few else FAINT
            axes.plot(seconds, values[keep], color=colour, linewidth=1.1, label=name if few else None)
        axes.plot(seconds, curves[best][keep], color=INK, linewidth=2.1, label=f"{best} (best)")
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_ylabel(f"P&L ({unit})")
        time_axis(axes, int(ts[0]), int(ts[-1]))
        _legend(axes, 6)
    return page.svg


def inventory_path(ts: np.ndarray, position: np.ndarray, mid: np.ndarray, unit: str) -> str:
    """Draw the position over time, long green and short red, under the mid price."""
    keep = _thin(len(ts))
    seconds, held = _seconds(ts)[keep], position[keep]
    with canvas(12.6, 4.4, rows=2, sharex=True, height_ratios=(1, 1.7)) as page:
        top, bottom = page.axes
        top.plot(seconds, mid[keep], color=MUTED, linewidth=1.1)
        top.ticklabel_format(axis="y", useOffset=False)
        top.set_ylabel("mid price")
        bottom.fill_between(seconds, held.clip(min=0), 0, step="post", color=BID, alpha=0.35, linewidth=0)
        bottom.fill_between(seconds, held.clip(max=0), 0, step="post", color=ASK, alpha=0.35, linewidth=0)
        bottom.step(seconds, held, where="post", color=INK, linewidth=0.9)
        bottom.axhline(0, color=INK, linewidth=0.8)
        bottom.set_ylabel(f"position ({unit})")
        time_axis(bottom, int(ts[0]), int(ts[-1]))
    return page.svg


def level_bins(values: np.ndarray, most: int = 41) -> np.ndarray:
    """Return edges of at most that many bins, each with equally many of the levels on which the values lie.

    Bins that share a grid unequally would draw a comb where there is none.

    Examples
    --------
    >>> level_bins(np.array([-1.0, 0.0, 1.0])).tolist()
    [-1.5, -0.5, 0.5, 1.5]
    >>> np.diff(level_bins(np.arange(100) / 3)).round(6).tolist()[:2]
    [1.0, 1.0]
    """
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return np.array([low - 0.5, low + 0.5])
    levels = np.unique(np.round((values - low) / (high - low), 7))
    count = round(1.0 / float(np.diff(levels).min())) + 1
    step = (high - low) / (count - 1)
    each = -(-count // most)
    edges: np.ndarray = low - 0.5 * step + each * step * np.arange(-(-count // each) + 1)
    return edges


def inventory_shares(curves: Mapping[str, np.ndarray], unit: str, *, wide: bool = False) -> str:
    """Draw the share of time spent at each position; one colour an entry, positions sampled evenly in time."""
    edges = level_bins(np.concatenate(list(curves.values())))
    with canvas(12.6 if wide else 6.2, 3.5 if wide else 3.3) as page:
        axes = page.axes
        for place, (name, values) in enumerate(curves.items()):
            shares = np.histogram(values, edges)[0] / len(values)
            if len(curves) == 1:
                axes.stairs(shares, edges, color=ACCENT, fill=True, alpha=0.55)
            axes.stairs(shares, edges, color=_colour(place), linewidth=1.5, label=name)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.yaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
        axes.set_xlabel(f"position ({unit})")
        axes.set_ylabel("share of time")
        if len(curves) > 1:
            _legend(axes, 6 if wide else 3)
    return page.svg


def markouts(curves: Mapping[str, Sequence[tuple[float, float, float]]], unit: str, *, wide: bool = False) -> str:
    """Draw mean mark-outs against the horizon with bars of two standard errors.

    Each curve holds ``(horizon in seconds, mean, standard error)``; above zero the mid went the fill's way.
    """
    with canvas(12.6 if wide else 6.2, 3.5 if wide else 3.3) as page:
        axes = page.axes
        horizons = sorted({point[0] for points in curves.values() for point in points})
        for place, (name, points) in enumerate(curves.items()):
            data = np.array(points, dtype=float).reshape(-1, 3)
            x = data[:, 0] * (1 + 0.06 * place)
            colour = _colour(place)
            axes.errorbar(
                x, data[:, 1], 2 * data[:, 2], color=colour, marker="o", markersize=4.5, linewidth=1.2, capsize=3,
                label=name,
            )  # fmt: skip
        axes.axhline(0, color=INK, linewidth=0.9)
        axes.set_xscale("log")
        axes.set_xticks(horizons, [f"{h:g} s" for h in horizons])
        axes.minorticks_off()
        axes.set_xlabel("time since the fill")
        axes.set_ylabel(f"mark-out ({unit})")
        _legend(axes, 6 if wide else 4)
    return page.svg
