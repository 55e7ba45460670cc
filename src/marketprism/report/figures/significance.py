"""Figures about luck: Sharpe ratios against the luckiest of all trials, p-values of factors, drawdowns by period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from marketprism.report.figures.base import ACCENT, ASK, BID, INK, MUTED, SERIES, canvas

__all__ = ["drawdown_bars", "p_value_histogram", "sharpe_against_luck"]

_BINS = 20
_PLAIN = "#9aa4b2"


def sharpe_against_luck(
    names: Sequence[str], value: np.ndarray, low: np.ndarray, high: np.ndarray, luckiest: float
) -> str:
    """Draw each model's Sharpe ratio with its interval; a line marks what luck alone would show."""
    with canvas(6.2, 0.42 * len(names) + 1.6) as page:
        for k in range(len(names)):
            colour = BID if low[k] > luckiest else ASK if high[k] < 0 else _PLAIN
            page.axes.plot([low[k], high[k]], [k, k], color=colour, linewidth=2.6, alpha=0.5, solid_capstyle="round")
            page.axes.plot(value[k], k, "o", color=colour, markersize=6)
        page.axes.axvline(0, color=INK, linewidth=0.9)
        if np.isfinite(luckiest):
            page.axes.axvline(
                luckiest, color=ACCENT, linewidth=1.3, linestyle=(0, (4, 2)), label="luckiest of all trials"
            )
            page.axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0))
        page.axes.set_yticks(np.arange(len(names)), list(names))
        page.axes.set_ylim(len(names) - 0.4, -0.6)
        page.axes.grid(visible=False, axis="y")
        page.axes.set_xlabel("annual Sharpe ratio, net of costs")
    return page.svg


def p_value_histogram(p_values: np.ndarray) -> str:
    """Draw how many p-values fall in each of twenty bins; a line marks how many would under pure noise."""
    with canvas() as page:
        counts, edges = np.histogram(p_values, bins=_BINS, range=(0.0, 1.0))
        colours = [BID, *([_PLAIN] * (_BINS - 1))]
        page.axes.bar(edges[:-1], counts, width=1 / _BINS, align="edge", color=colours, edgecolor="white", linewidth=1)
        page.axes.axhline(len(p_values) / _BINS, color=INK, linewidth=1.2, linestyle=(0, (4, 2)), label="pure noise")
        page.axes.set_xlim(0, 1)
        page.axes.set_xlabel("p-value")
        page.axes.set_ylabel("factors times horizons", color=MUTED)
        page.axes.yaxis.get_major_locator().set_params(integer=True)
        page.axes.legend(loc="upper right")
    return page.svg


def drawdown_bars(periods: Sequence[str], depth: Mapping[str, np.ndarray]) -> str:
    """Draw the largest drawdown of each period downwards, one colour a model (bps of notional)."""
    with canvas(12.6, 3.0) as page:
        width = 0.8 / max(1, len(depth))
        x = np.arange(len(periods))
        for m, (name, values) in enumerate(depth.items()):
            page.axes.bar(x + (m - (len(depth) - 1) / 2) * width, -values, width, color=SERIES[m % 6], label=name)
        page.axes.axhline(0, color=INK, linewidth=0.9)
        step = max(1, len(periods) // 16)
        page.axes.set_xticks(x[::step], list(periods)[::step])
        page.axes.grid(visible=False, axis="x")
        page.axes.set_ylabel("drawdown (bps)", color=MUTED)
        page.axes.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg
