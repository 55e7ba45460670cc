"""Figures of where, when and in which state a signal works."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from marketprism.report.figures.base import ASK, BID, FAINT, INK, MUTED, SERIES, canvas, time_axis

__all__ = ["drift_against_chance", "path_ics", "period_ics", "slice_intervals", "state_timeline"]

_GREY = "#9aa4b2"


def slice_intervals(
    names: Sequence[str],
    groups: Sequence[str],
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    clear: Sequence[bool],
    overall: float,
) -> str:
    """Draw one line a slice, the dimensions apart; colour only where ``clear`` says that chance is ruled out.

    The dotted line is the value over all rows.
    """
    starts = [k for k in range(len(groups)) if k == 0 or groups[k] != groups[k - 1]]
    y = np.array([k + 1.1 * sum(start <= k for start in starts) for k in range(len(names))])
    rows = float(y[-1]) + 1
    with canvas(9.4, 0.235 * rows + 0.9) as page:
        for k, place in enumerate(y):
            colour = (BID if value[k] > 0 else ASK) if clear[k] else _GREY
            page.axes.plot([low[k], high[k]], [place, place], color=colour, linewidth=2.2, alpha=0.45)
            page.axes.plot(value[k], place, "o", color=colour, markersize=5)
        for start in starts:
            page.axes.annotate(
                groups[start],
                (0.0, y[start] - 1),
                xycoords=("axes fraction", "data"),
                fontweight="bold",
                va="center",
                fontsize=9.5,
                annotation_clip=False,
            )
        page.axes.axvline(0, color=INK, linewidth=0.9)
        if np.isfinite(overall):
            page.axes.axvline(overall, color=MUTED, linewidth=1.1, linestyle=":")
        page.axes.set_yticks(y, list(names))
        page.axes.set_ylim(rows - 0.4, -0.3)
        page.axes.grid(visible=False, axis="y")
        page.axes.set_xlabel("information coefficient")
    return page.svg


def period_ics(value: np.ndarray, low: np.ndarray, high: np.ndarray, mean: float, name: str) -> str:
    """Draw the IC of each period with its interval; the dotted line is the mean."""
    with canvas() as page:
        x = np.arange(1, len(value) + 1)
        page.axes.bar(x, value, color=[BID if v > 0 else ASK for v in value], alpha=0.35, width=0.62)
        page.axes.vlines(x, low, high, color=MUTED, linewidth=1.6)
        page.axes.plot(x, value, "o", color=INK, markersize=4)
        page.axes.axhline(0, color=INK, linewidth=0.9)
        page.axes.axhline(mean, color=MUTED, linewidth=1.1, linestyle=":")
        page.axes.set_xlabel(name)
        page.axes.set_ylabel("information coefficient")
        page.axes.xaxis.get_major_locator().set_params(integer=True)
        page.axes.grid(visible=False, axis="x")
    return page.svg


def path_ics(value: np.ndarray) -> str:
    """Draw the IC of each backtest path as a dot on one line."""
    with canvas(6.2, 1.7) as page:
        page.axes.plot(value, np.zeros(len(value)), "o", color=SERIES[0], markersize=8, alpha=0.6)
        page.axes.axvline(0, color=INK, linewidth=0.9)
        page.axes.set_yticks([])
        page.axes.set_ylim(-1, 1)
        page.axes.spines["left"].set_visible(False)
        page.axes.set_xlabel("information coefficient of a path")
    return page.svg


def drift_against_chance(names: Sequence[str], psi: np.ndarray, null: np.ndarray, clear: Sequence[bool]) -> str:
    """Draw the stability index of each comparison over the range that chance reaches in 95 of 100 cases."""
    with canvas(6.2, 0.27 * len(names) + 1.1) as page:
        y = np.arange(len(names))
        page.axes.barh(y, null, height=0.62, color=FAINT, alpha=0.6)
        page.axes.scatter(psi, y, s=30, color=[ASK if flag else SERIES[0] for flag in clear], zorder=3)
        page.axes.set_yticks(y, list(names))
        page.axes.set_ylim(len(names) - 0.4, -0.6)
        page.axes.set_xlim(left=0)
        page.axes.grid(visible=False, axis="y")
        page.axes.set_xlabel("population stability index; grey: what chance does")
    return page.svg


def state_timeline(ts: np.ndarray, mid: np.ndarray, state: np.ndarray) -> str:
    """Draw the price over shading by state: green up, red down, none neutral or unknown (NaN)."""
    with canvas(9.4, 3.0) as page:
        seconds = (ts - ts[0]) / 1e9
        changes = np.flatnonzero(np.diff(np.nan_to_num(state, nan=9.0)) != 0) + 1
        for part in np.split(np.arange(len(ts)), changes):
            code = state[part[0]]
            if code in {-1.0, 1.0}:
                stop = seconds[min(part[-1] + 1, len(ts) - 1)]
                colour = BID if code > 0 else ASK
                page.axes.axvspan(seconds[part[0]], stop, color=colour, alpha=0.16, linewidth=0)
        page.axes.plot(seconds, mid, color=INK, linewidth=1.1)
        page.axes.set_ylabel("mid price")
        page.axes.ticklabel_format(axis="y", useOffset=False)
        page.axes.grid(visible=False, axis="x")
        time_axis(page.axes, int(ts[0]), int(ts[-1]))
    return page.svg
