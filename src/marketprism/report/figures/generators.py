"""Curves of a market and of the generators calibrated on it, one over the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from marketprism.report.figures.base import FAINT, INK, SERIES, canvas

__all__ = ["overlaid_curves"]


def overlaid_curves(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    x_label: str,
    y_label: str,
    *,
    log: str = "",
    level: float | None = None,
    legend: bool = True,
) -> str:
    """Draw one curve a market: the first dark and dotted with its points, the others in colours.

    Parameters
    ----------
    curves : mapping of str to pair of ndarray
        Name -> x and y; NaN leaves a hole.
    x_label, y_label : str
        Axes.
    log : str
        Axes with a logarithmic scale: ``"x"``, ``"y"`` or ``"xy"``; values at or below zero are not drawn on one, and
        an axis without any other is linear.
    level : float, optional
        A level to mark.
    legend : bool
        Whether to name the curves.
    """
    if not any((np.asarray(y) > 0).any() for _, y in curves.values()):
        log = log.replace("y", "")
    with canvas() as page:
        for place, (name, (x, y)) in enumerate(curves.items()):
            shown = np.where(np.asarray(y) > 0, y, np.nan) if "y" in log else np.asarray(y)
            if place == 0:
                page.axes.plot(x, shown, "o-", color=INK, markersize=3.5, linewidth=2.2, label=name, zorder=5)
            else:
                page.axes.plot(x, shown, color=SERIES[(place - 1) % len(SERIES)], linewidth=1.3, label=name)
        if level is not None:
            page.axes.axhline(level, color=FAINT, linewidth=1)
        if "x" in log:
            page.axes.set_xscale("log")
        if "y" in log:
            page.axes.set_yscale("log")
        page.axes.set_xlabel(x_label)
        page.axes.set_ylabel(y_label)
        if legend:
            page.axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2)
    return page.svg
