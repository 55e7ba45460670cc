"""Figures of the adoption gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from marketprism.report.figures.base import INK, SERIES, canvas

__all__ = ["decay_curves"]

_Curve = tuple[Sequence[float], Sequence[float], Sequence[float], Sequence[float]]


def decay_curves(curves: Mapping[str, _Curve]) -> str:
    """Draw the IC against delay in seconds with intervals; each curve is (delay, value, low, high)."""
    with canvas() as page:
        spans = [curve[0][-1] for curve in curves.values() if len(curve[0])]
        width = max(spans, default=1.0) or 1.0
        for place, (name, curve) in enumerate(curves.items()):
            delay, value, low, high = (np.asarray(part, float) for part in curve)
            x = delay + (place - 0.5 * (len(curves) - 1)) * 0.008 * width
            page.axes.vlines(x, low, high, color=SERIES[place], alpha=0.4, linewidth=2)
            page.axes.plot(x, value, "o-", color=SERIES[place], markersize=4.5, linewidth=1, label=name)
        page.axes.axhline(0, color=INK, linewidth=0.9)
        page.axes.set_xlabel("delay (s)")
        page.axes.set_ylabel("information coefficient")
        page.axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    return page.svg
