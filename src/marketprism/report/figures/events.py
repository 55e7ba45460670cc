"""Figures of events: what was left out of a price path, and mean paths around events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from marketprism.report.figures.base import ACCENT, ASK, FAINT, INK, MUTED, SERIES, canvas, time_axis

__all__ = ["event_paths", "excluded_spans"]

_COLOURS = {"gap": MUTED, "silence": SERIES[5], "invalid_book": SERIES[3], "jump": ASK, "given": SERIES[4]}


def excluded_spans(ts: np.ndarray, price: np.ndarray, spans: Sequence[tuple[str, int, int]]) -> str:
    """Draw a price path and shade the excluded spans, one colour a reason; ``ts`` and spans in ns UTC."""
    with canvas(12.6, 2.9) as page:
        first, last = int(ts[0]), int(ts[-1])
        page.axes.plot((ts - first) / 1e9, price, color=ACCENT, linewidth=1.1)
        width = (last - first) / 1e9
        shown: list[str] = []
        for reason, start, end in spans:
            left, right = (start - first) / 1e9, (end - first) / 1e9
            # A short span would be too thin to see.
            right = max(right, left + 0.003 * width)
            label = reason.replace("_", " ") if reason not in shown else None
            shown.append(reason)
            page.axes.axvspan(left, right, color=_COLOURS[reason], alpha=0.35, linewidth=0, label=label)
        time_axis(page.axes, first, last)
        page.axes.set_ylabel("mid")
        if shown:
            page.axes.legend(ncols=5, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg


def event_paths(paths: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> str:
    """Draw the mean path of each quantity around events (offset in s, mean, low, high) over its band elsewhere."""
    with canvas(12.6, 3.0, columns=len(paths)) as page:
        for axes, (name, (offset, mean, low, high)) in zip(np.atleast_1d(page.axes), paths.items(), strict=True):
            scale, unit = (60.0, "min") if offset[-1] > 300 else (1.0, "s") if offset[-1] > 1 else (1e-3, "ms")
            axes.fill_between(
                offset / scale, low, high, color=FAINT, alpha=0.6, linewidth=0, label="other times (95 %)"
            )
            axes.plot(offset / scale, mean, color=ACCENT, label="around the events")
            axes.axvline(0, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
            axes.axhline(0, color=INK, linewidth=0.7)
            axes.set_title(name, fontsize=10.5, color=INK, loc="left")
            axes.set_xlabel(f"{unit} since the event")
        np.atleast_1d(page.axes)[0].set_ylabel("bps")
        np.atleast_1d(page.axes)[0].legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1.08))
    return page.svg
