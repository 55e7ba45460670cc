"""Figures of confidence and attribution: reliability, coverage, set sizes, SHAP values, coverage by inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from marketprism.report.figures.base import ACCENT, FAINT, INK, MUTED, SERIES, canvas, time_axis

__all__ = ["attribution_points", "banded_equity", "reliability", "rolling_coverage"]

_LOW, _HIGH = "#3566c9", "#d1495b"


def reliability(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
) -> str:
    """Draw observed against predicted frequency, each with its interval; curves are (predicted, observed, low, high).

    One panel a curve, all of one scale, so that they do not hide each other.
    """
    everything = [np.concatenate(curve) for curve in curves.values() if len(curve[0])]
    values = np.concatenate(everything) if everything else np.array([0.0, 1.0])
    bottom, top = max(0.0, float(values.min()) - 0.02), min(1.0, float(values.max()) + 0.02)
    with canvas(3.15 * len(curves), 3.2, columns=len(curves), sharex=True, sharey=True, squeeze=False) as page:
        for panel, (name, (predicted, observed, low, high)) in zip(page.axes[0], curves.items(), strict=True):
            panel.plot([bottom, top], [bottom, top], color=FAINT, linewidth=1.2, zorder=0)
            clear = (low > predicted) | (high < predicted)
            for wrong, colour in ((False, ACCENT), (True, SERIES[1])):
                some = clear == wrong
                panel.vlines(predicted[some], low[some], high[some], color=colour, alpha=0.45, linewidth=2)
                panel.plot(predicted[some], observed[some], "o", color=colour, markersize=4.5)
            panel.set_title(name, fontsize=10.5, color=INK, loc="left")
            panel.set_xlim(bottom, top)
            panel.set_ylim(bottom, top)
            panel.set_xlabel("predicted P(up)")
        page.axes[0][0].set_ylabel("share that rose")
    return page.svg


def rolling_coverage(ts: np.ndarray, lines: Mapping[str, np.ndarray], target: float, rows: int) -> str:
    """Draw the share of recent rows whose class lay in the set, one line a kind of set, the promise dashed."""
    with canvas(12.6, 3.1) as page:
        x = (ts - ts[0]) / 1e9
        for m, (name, values) in enumerate(lines.items()):
            page.axes.plot(x, values, color=SERIES[(1, 0)[m] if len(lines) == 2 else m], label=name)
        page.axes.axhline(target, color=INK, linewidth=1, linestyle=(0, (4, 3)), label=f"promise, {target:.0%}")
        time_axis(page.axes, int(ts[0]), int(ts[-1]))
        page.axes.set_ylim(top=1.005)
        page.axes.set_ylabel(f"coverage, last {rows} rows")
        page.axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg


def banded_equity(ts: np.ndarray, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """Draw cumulative net P&L without (dashed) and with the no-trade band (solid), one colour a model."""
    with canvas(12.6, 3.3) as page:
        x = (ts - ts[0]) / 1e9
        for m, (name, (without, within)) in enumerate(curves.items()):
            colour = SERIES[m % len(SERIES)]
            page.axes.plot(x, without, color=colour, linestyle=(0, (3, 2)), linewidth=1.1, label=f"{name}, all signals")
            page.axes.plot(x, within, color=colour, label=f"{name}, with the band")
        page.axes.axhline(0, color=INK, linewidth=0.9)
        time_axis(page.axes, int(ts[0]), int(ts[-1]))
        page.axes.set_ylabel("cumulative net P&L (bps)")
        page.axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg


def attribution_points(names: Sequence[str], points: Mapping[str, tuple[np.ndarray, np.ndarray]], label: str) -> str:
    """Draw every row's SHAP value, one line an input, coloured by whether the input was low or high.

    Points are spread up and down by their rank among neighbours, not at random: equal data give equal bytes.
    """
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("low_high", [_LOW, "#b9bfd0", _HIGH])
    with canvas(6.2, 0.31 * len(names) + 1.2) as page:
        for line, name in enumerate(names):
            value, shap = points[name]
            shade = np.clip((np.nan_to_num(value) + 2.5) / 5.0, 0.0, 1.0)
            page.axes.scatter(
                shap, line + _spread(shap), c=colours(shade), s=6, linewidths=0, alpha=0.8, rasterized=False
            )
        page.axes.axvline(0, color=INK, linewidth=0.9)
        page.axes.set_yticks(np.arange(len(names)), list(names))
        page.axes.set_ylim(len(names) - 0.4, -0.6)
        page.axes.grid(visible=False, axis="y")
        page.axes.set_xlabel(label)
        for x, text, colour in ((0.0, "● low value", _LOW), (0.22, "● high value", _HIGH)):
            page.axes.text(x, 1.02, text, transform=page.axes.transAxes, color=colour, fontsize=9.5)
        page.axes.tick_params(axis="y", colors=MUTED)
    return page.svg


def _spread(values: np.ndarray, bins: int = 40) -> np.ndarray:
    """Offsets in (-.35, .35): points of a bin fan out around the line, fuller bins wider."""
    result = np.zeros(len(values))
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    if not high > low:
        return result
    place = np.minimum(((values - low) / (high - low) * bins).astype(np.int64), bins - 1)
    most = int(np.bincount(place).max())
    for one in np.unique(place):
        rows = np.flatnonzero(place == one)
        step = np.arange(rows.size)
        signed = np.where(step % 2 == 0, 1, -1) * ((step + 1) // 2)
        result[rows] = 0.7 * signed / max(most, 8)
    return result
