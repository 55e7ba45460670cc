"""Figures of studies: P&L splits side by side, risk against return, quotes by inventory, latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from marketprism.report.figures.base import ASK, FAINT, INK, MUTED, SERIES, canvas, time_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "Panel",
    "curves_by",
    "frontier",
    "intensity",
    "panels",
    "paths",
    "quotes",
    "split_bars",
    "stacked_volumes",
]

_PARTS = ("#12805c", "#c2452d", "#2f5bd8", "#a86400", "#7a4fc0")
_MOST_POINTS = 900


def _colour(place: int) -> str:
    return SERIES[place % len(SERIES)]


def split_bars(names: Sequence[str], parts: Mapping[str, Sequence[float]], unit: str) -> str:
    """Draw the parts of each P&L as bars stacked from zero, gains up and losses down, with a mark at the total."""
    rows = np.arange(len(names))
    with canvas(12.6, 0.42 * len(names) + 1.1) as page:
        axes = page.axes
        up, down = np.zeros(len(names)), np.zeros(len(names))
        for place, (label, found) in enumerate(parts.items()):
            values = np.asarray(found, dtype=float)
            left = np.where(values >= 0, up, down)
            axes.barh(rows, values, left=left, height=0.6, color=_PARTS[place % len(_PARTS)], alpha=0.8, label=label)
            up += values.clip(min=0)
            down += values.clip(max=0)
        axes.plot(up + down, rows, "D", color=INK, markersize=5.5, label="P&L")
        axes.axvline(0, color=INK, linewidth=0.9)
        _name_bars(axes, names, unit)
    return page.svg


def _name_bars(axes: Axes, names: Sequence[str], unit: str) -> None:
    """Name horizontal bars, the first on top, with the legend above."""
    axes.set_yticks(np.arange(len(names)), list(names))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(unit)
    axes.legend(ncols=6, loc="lower left", bbox_to_anchor=(0, 1.0))


def frontier(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    across: str,
    up: str,
    points: Sequence[tuple[float, float, str]] = (),
) -> str:
    """Draw return against risk: one line a family, its first point hollow; ``points`` stand for themselves in grey."""
    with canvas(12.6, 4.2) as page:
        axes = page.axes
        for place, (name, found) in enumerate(curves.items()):
            data = np.array(found, dtype=float).reshape(-1, 2)
            x, y = data[:, 0], data[:, 1]
            axes.plot(x, y, "o-", color=_colour(place), markersize=5, linewidth=1.3, alpha=0.85, label=name)
            axes.plot(x[:1], y[:1], "o", color=_colour(place), markersize=8, markerfacecolor="white", zorder=4)
        for at, (risk, gain, label) in enumerate(points):
            axes.plot(risk, gain, "s", color="#9aa4b2", markersize=5.5, label="fixed distance" if at == 0 else None)
            axes.annotate(label, (risk, gain), textcoords="offset points", xytext=(5, -10), fontsize=8.5, color=MUTED)
        axes.axhline(0, color=INK, linewidth=0.9)
        axes.set_xlim(left=0)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.legend(ncols=5, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg


def quotes(curves: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> str:
    """Draw where bids and asks stand from the mid by inventory; each curve is (inventory, bid, ask), ticks."""
    with canvas() as page:
        axes = page.axes
        for place, (name, (held, bid, ask)) in enumerate(curves.items()):
            colour = _colour(place)
            axes.plot(held, bid, color=colour, linewidth=1.4, label=name)
            axes.plot(held, ask, color=colour, linewidth=1.4)
        axes.axhline(0, color=INK, linewidth=0.9)
        axes.set_xlabel("inventory (orders)")
        axes.set_ylabel("distance from the mid (ticks)")
        axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg


def intensity(depths: np.ndarray, rates: np.ndarray, A: float, k: float) -> str:
    """Draw how often market orders went to a depth or further, and the fitted ``A exp(-k depth)``."""
    with canvas() as page:
        axes = page.axes
        axes.plot(depths, rates, "o", color=_colour(0), markersize=5, label="seen")
        axes.plot(depths, A * np.exp(-k * depths), color=INK, linewidth=1.3, label="A exp(−k d)")
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        # Between powers of ten, labels only where there are few of them.
        between = "25" if high < 50 * low else ""
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in between else "")
        axes.set_xlabel("distance from the mid (ticks)")
        axes.set_ylabel("orders a second and side")
        axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg


def curves_by(
    x: Sequence[float], curves: Mapping[str, Sequence[float]], across: str, up: str, *, percent: bool = False
) -> str:
    """Draw several quantities against one on a logarithmic axis."""
    with canvas(12.6, 3.5) as page:
        axes = page.axes
        for place, (name, values) in enumerate(curves.items()):
            axes.plot(x, values, "o-", color=_colour(place), markersize=5, linewidth=1.4, label=name)
        axes.axhline(0, color=INK, linewidth=0.9)
        _steps(axes, x, percent)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        axes.legend(ncols=5, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg


def _steps(axes: Any, x: Sequence[float], percent: bool) -> None:
    """Make the axis across logarithmic with a tick at every value, 0 included where it is one."""
    if min(x) > 0:
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=min((value for value in x if value > 0), default=1.0))
    axes.set_xticks(list(x), [f"{value:g}" for value in x])
    axes.minorticks_off()
    if percent:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")


@dataclass(frozen=True)
class Panel:
    """One of several small figures with the same axis across.

    Attributes
    ----------
    title : str
        What it shows, with its unit.
    curves : mapping of str to sequence of float
        In the order of the values across; NaN where there is nothing.
    bars : mapping of str to sequence of (float, float), optional
        Ends of the interval around each point; NaN for none.
    percent : bool
        Values are shares.
    """

    title: str
    curves: Mapping[str, Sequence[float]]
    bars: Mapping[str, Sequence[tuple[float, float]]] | None = None
    percent: bool = False


def panels(x: Sequence[float], found: Sequence[Panel], across: str) -> str:
    """Draw several quantities against one on a logarithmic axis, three panels a row, with one legend."""
    rows = -(-len(found) // 3)
    with canvas(12.6, 2.9 * rows + 0.4, columns=3, rows=rows, squeeze=False) as page:
        for place, panel in enumerate(found):
            axes = page.axes[place // 3, place % 3]
            for number, (name, values) in enumerate(panel.curves.items()):
                # Points of different makers stand side by side, so that their intervals can be told apart.
                shift = 1.0 + 0.05 * (number - 0.5 * (len(panel.curves) - 1)) if panel.bars else 1.0
                at = [value * shift for value in x]
                axes.plot(at, values, "o-", color=_colour(number), markersize=4, linewidth=1.3, label=name)
                if panel.bars:
                    low, high = np.array(panel.bars[name], dtype=float).reshape(-1, 2).T
                    axes.vlines(at, low, high, color=_colour(number), linewidth=1.0, alpha=0.6)
            if panel.bars:
                axes.axhline(0, color=INK, linewidth=0.9)
            _steps(axes, x, panel.percent)
            axes.set_title(panel.title, fontsize=10, color=INK, loc="left")
            if place // 3 == rows - 1:
                axes.set_xlabel(across)
        first = page.axes[0, 0]
        first.figure.legend(*first.get_legend_handles_labels(), loc="outside upper left", ncols=5)
        for unused in page.axes.ravel()[len(found) :]:
            unused.set_axis_off()
    return page.svg


def stacked_volumes(names: Sequence[str], parts: Mapping[str, Sequence[float]], alone: float, unit: str) -> str:
    """Draw volumes stacked by who executed them, and how much one and two would execute each by itself."""
    rows = np.arange(len(names))
    with canvas(12.6, 0.42 * len(names) + 1.1) as page:
        axes = page.axes
        left = np.zeros(len(names))
        for place, (label, found) in enumerate(parts.items()):
            values = np.asarray(found, dtype=float)
            axes.barh(rows, values, left=left, height=0.6, color=_colour(place), alpha=0.8, label=label)
            left += values
        for times, dash in ((1, (0, (4, 3))), (2, (0, (1, 2)))):
            axes.axvline(times * alone, color=INK, linewidth=1.1, linestyle=dash, label=f"{times} × alone")
        _name_bars(axes, names, unit)
    return page.svg


def paths(ts: np.ndarray, curves: Mapping[str, np.ndarray], up: str, limits: Sequence[float] = ()) -> str:
    """Draw quantities over time, one colour each; ``limits`` are dashed."""
    keep = np.unique(np.linspace(0, len(ts) - 1, min(len(ts), _MOST_POINTS)).astype(np.intp))
    seconds = (ts - ts[0])[keep] / 1e9
    with canvas(12.6, 3.4) as page:
        axes = page.axes
        for place, (name, values) in enumerate(curves.items()):
            axes.plot(seconds, values[keep], color=_colour(place), linewidth=1.2, label=name)
        for limit in limits:
            axes.axhline(limit, color=ASK, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.axhline(0, color=FAINT if limits else INK, linewidth=0.9)
        axes.set_ylabel(up)
        time_axis(axes, int(ts[0]), int(ts[-1]))
        axes.legend(ncols=5, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg
