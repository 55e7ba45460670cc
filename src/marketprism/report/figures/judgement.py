"""Figures of judgement: information coefficients, calibration, folds, equity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from marketprism.report.figures.base import ASK, BID, FAINT, INK, MUTED, SERIES, canvas, time_axis

__all__ = ["calibration", "equity", "fold_ic", "interval_bars"]


def interval_bars(names: Sequence[str], value: np.ndarray, low: np.ndarray, high: np.ndarray, label: str) -> str:
    """Draw estimates with their intervals, one line each, zero marked; colour says whether zero is excluded."""
    with canvas(6.2, 0.26 * len(names) + 1.1) as page:
        y = np.arange(len(names))
        for k in y:
            clear = low[k] > 0 or high[k] < 0
            colour = (BID if value[k] > 0 else ASK) if clear else "#9aa4b2"
            page.axes.plot([low[k], high[k]], [k, k], color=colour, linewidth=2.2, alpha=0.45, solid_capstyle="round")
            page.axes.plot(value[k], k, "o", color=colour, markersize=5)
        page.axes.axvline(0, color=INK, linewidth=0.9)
        page.axes.set_yticks(y, list(names))
        page.axes.set_ylim(len(names) - 0.4, -0.6)
        page.axes.grid(visible=False, axis="y")
        page.axes.locator_params(axis="x", nbins=6)
        page.axes.set_xlabel(label)
    return page.svg


def fold_ic(folds: Mapping[str, Sequence[tuple[float, float, float]]]) -> str:
    """Draw the information coefficient fold by fold with intervals, one colour a model."""
    with canvas() as page:
        n = len(folds)
        for m, (name, values) in enumerate(folds.items()):
            data = np.array(values, dtype=float).reshape(-1, 3)
            x = np.arange(1, len(data) + 1) + (m - (n - 1) / 2) * 0.16
            page.axes.vlines(x, data[:, 1], data[:, 2], color=SERIES[m], alpha=0.4, linewidth=2)
            page.axes.plot(x, data[:, 0], "o", color=SERIES[m], markersize=4.5, label=name)
        page.axes.axhline(0, color=INK, linewidth=0.9)
        page.axes.set_xlabel("fold")
        page.axes.set_ylabel("information coefficient")
        page.axes.xaxis.get_major_locator().set_params(integer=True)
        page.axes.legend(ncols=max(n, 1), loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg


def calibration(curves: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> str:
    """Draw observed frequency against predicted probability; each curve is (predicted, observed, count)."""
    with canvas() as page:
        points = [np.concatenate(curve[:2]) for curve in curves.values() if len(curve[0])]
        everything = np.concatenate(points) if points else np.array([0.0, 1.0])
        low, high = max(0.0, everything.min() - 0.03), min(1.0, everything.max() + 0.03)
        page.axes.plot([low, high], [low, high], color=FAINT, linewidth=1.2, zorder=0)
        largest = max((float(c[2].max()) for c in curves.values() if len(c[2])), default=1.0)
        for m, (name, (predicted, observed, count)) in enumerate(curves.items()):
            page.axes.plot(predicted, observed, color=SERIES[m], linewidth=1, alpha=0.6)
            page.axes.scatter(predicted, observed, s=12 + 50 * count / largest, color=SERIES[m], label=name, zorder=3)
        page.axes.set_xlim(low, high)
        page.axes.set_ylim(low, high)
        page.axes.set_xlabel("predicted probability")
        page.axes.set_ylabel("observed frequency")
        page.axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg


def equity(ts: np.ndarray, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], unit: str) -> str:
    """Draw cumulative P&L over time, gross (thin) and net of costs (thick), one colour a model."""
    with canvas(12.6, 3.3) as page:
        seconds = (ts - ts[0]) / 1e9
        for m, (name, (gross, net)) in enumerate(curves.items()):
            page.axes.plot(
                seconds, gross, color=SERIES[m], linewidth=1, alpha=0.55, linestyle=(0, (4, 2)), label=f"{name}, gross"
            )
            page.axes.plot(seconds, net, color=SERIES[m], linewidth=1.8, label=f"{name}, net of costs")
        page.axes.axhline(0, color=INK, linewidth=0.9)
        time_axis(page.axes, int(ts[0]), int(ts[-1]))
        page.axes.set_ylabel(f"cumulative P&L ({unit})", color=MUTED)
        page.axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0))
        page.axes.tick_params(colors=MUTED)
    return page.svg
