"""Figures of what a signal earns: cost waterfall, capacity, decay, latency, price targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from marketprism.report.figures.base import ASK, BID, FAINT, INK, MUTED, SERIES, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["capacity", "decay", "latency", "price_targets", "waterfall"]

_TARGETS = {"mid": SERIES[0], "micro": SERIES[2], "trade": SERIES[1]}


def _colour(place: int) -> str:
    return SERIES[place % len(SERIES)]


def waterfall(steps: Sequence[tuple[str, float]], unit: str, digits: int = 1) -> str:
    """Draw how the first step is eaten by those that follow; the last bar is what is left.

    Numbers on the bars have ``digits`` decimals.
    """
    with canvas(12.6, 3.2) as page:
        axes = page.axes
        level = 0.0
        ends = np.cumsum([value for _, value in steps])
        top, bottom = max(0.0, *ends), min(0.0, *ends)
        pad = 0.03 * (top - bottom or 1.0)
        for place, (_, value) in enumerate(steps):
            axes.bar(place, value, bottom=level, color=BID if value >= 0 else ASK, width=0.62, alpha=0.85)
            axes.plot([place - 0.31, place + 1.31], [level + value] * 2, color=MUTED, linewidth=0.8)
            text = _signed(value, digits)
            axes.text(place, max(level, level + value) + pad, text, ha="center", va="bottom", fontsize=9.5)
            level += value
        axes.bar(len(steps), level, color=INK, width=0.62)
        axes.text(len(steps), max(0.0, level) + pad, _signed(level, digits), ha="center", va="bottom", fontsize=9.5)
        axes.axhline(0, color=INK, linewidth=0.9)
        axes.set_xticks(range(len(steps) + 1), [*(name for name, _ in steps), "net"])
        axes.set_ylim(bottom - 2 * pad, top + 5 * pad)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel(unit)
    return page.svg


def _signed(value: float, digits: int) -> str:
    return "0" if abs(value) < 0.5 * 10.0**-digits else f"{value:+,.{digits}f}".replace("-", "−")


def capacity(curves: Mapping[str, Mapping[str, np.ndarray]], own: float) -> str:
    """Draw net P&L (bps) against order size with its interval, and dashed what is left before all costs but impact.

    Each curve holds ``notional, net, low, high, gross``; ``own`` marks the size that the judgement assumed, if any.
    """
    with canvas(12.6, 3.5) as page:
        axes = page.axes
        for place, (name, curve) in enumerate(curves.items()):
            x = curve["notional"]
            axes.fill_between(x, curve["low"], curve["high"], color=_colour(place), alpha=0.13, linewidth=0)
            axes.plot(x, curve["net"], color=_colour(place), label=f"{name}, after all costs")
            label = f"{name}, after impact only"
            axes.plot(x, curve["gross"], color=_colour(place), linewidth=1.1, linestyle=(0, (4, 2)), label=label)
        axes.axhline(0, color=INK, linewidth=0.9)
        if own > 0:
            axes.axvline(own, color=MUTED, linewidth=0.9, linestyle=":")
        axes.set_xscale("log")
        axes.set_xlabel("order size (quote currency)")
        axes.set_ylabel("P&L (bps of the size)")
        axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg


def decay(curves: Mapping[str, Mapping[str, np.ndarray]], half_lives: Mapping[str, float], unit: str) -> str:
    """Draw IC against delay with intervals, a dotted line at each finite half-life; curves hold x, ic, low, high."""
    with canvas() as page:
        axes = page.axes
        count = len(curves)
        longest = 1.0
        for place, (name, curve) in enumerate(curves.items()):
            x = _stretched(curve["x"], unit) + 0.05 * (place - (count - 1) / 2)
            axes.vlines(x, curve["low"], curve["high"], color=_colour(place), alpha=0.35, linewidth=2)
            axes.plot(x, curve["ic"], "o-", color=_colour(place), markersize=4, linewidth=1.3, label=name)
            longest = max(longest, float(curve["x"][-1]))
            half = half_lives[name]
            if 0 < half < longest:
                axes.axvline(
                    float(_stretched(np.array([half]), unit)[0]), color=_colour(place), linewidth=1, linestyle=":"
                )
            _delay_ticks(axes, curve["x"], unit)
        axes.axhline(0, color=INK, linewidth=0.9)
        axes.set_xlabel("delay" if unit == "ms" else "delay (buckets)")
        axes.set_ylabel("information coefficient")
        axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg


def _stretched(x: np.ndarray, unit: str) -> np.ndarray:
    """Places on the axis: milliseconds go by their logarithm, with 0 on the left, buckets as they are."""
    return np.log10(1.0 + np.asarray(x, dtype=float) / 10.0) * 3.0 if unit == "ms" else np.asarray(x, dtype=float)


def _delay_ticks(axes: Axes, x: np.ndarray, unit: str) -> None:
    if unit != "ms":
        axes.set_xticks(x)
        return
    shown = [value for value in x if value in {0, 10, 100, 1000, 10_000} or value == x[-1]]
    axes.set_xticks(
        _stretched(np.array(shown), unit),
        [f"{value:g} ms" if value < 1000 else f"{value / 1000:g} s" for value in shown],
    )


def latency(curves: Mapping[str, Mapping[str, np.ndarray]], own: float) -> str:
    """Draw Sharpe ratios against latency: re-simulated gross and net, and the decay formula; ``own`` is marked."""
    with canvas(12.6, 3.5) as page:
        axes = page.axes
        for place, (name, curve) in enumerate(curves.items()):
            x = _stretched(curve["x"], "ms")
            colour = _colour(place)
            axes.plot(x, curve["gross"], "o-", color=colour, markersize=3.5, linewidth=1.3, label=f"{name}, gross")
            axes.plot(
                x, curve["effective"], color=colour, linewidth=1.1, linestyle=(0, (4, 2)), label=f"{name}, formula"
            )
            axes.plot(x, curve["net"], "s-", color=colour, markersize=3.5, alpha=0.5, label=f"{name}, net")
            _delay_ticks(axes, curve["x"], "ms")
        axes.axhline(0, color=INK, linewidth=0.9)
        axes.axvline(float(_stretched(np.array([own]), "ms")[0]), color=FAINT, linewidth=1.2, zorder=0)
        axes.set_xlabel("latency")
        axes.set_ylabel("Sharpe ratio, annualised")
        axes.legend(ncols=6, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg


def price_targets(
    names: Sequence[str], found: Mapping[str, Sequence[tuple[float, float, float]]], labels: Mapping[str, str]
) -> str:
    """Draw the IC of each name on each target, with intervals; ``found`` holds (ic, low, high) by target."""
    with canvas(12.6, 0.36 * len(names) + 1.2) as page:
        axes = page.axes
        rows = np.arange(len(names))
        for place, (target, values) in enumerate(found.items()):
            data = np.array(values, dtype=float).reshape(-1, 3)
            y = rows + (place - (len(found) - 1) / 2) * 0.22
            colour = _TARGETS.get(target, MUTED)
            axes.hlines(y, data[:, 1], data[:, 2], color=colour, alpha=0.4, linewidth=2)
            axes.plot(data[:, 0], y, "o", color=colour, markersize=4.5, label=labels[target])
        axes.axvline(0, color=INK, linewidth=0.9)
        axes.set_yticks(rows, list(names))
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("information coefficient")
        axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg
