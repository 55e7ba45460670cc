"""One look for every figure: palette, fonts, axes, and deterministic SVG."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ACCENT", "ASK", "BID", "FAINT", "INK", "MUTED", "SERIES", "Canvas", "canvas", "time_axis"]

INK = "#16202e"
MUTED = "#5a6676"
FAINT = "#c9d0da"
ACCENT = "#2f5bd8"
BID = "#12805c"
ASK = "#c2452d"
SERIES = ("#2f5bd8", "#c2452d", "#12805c", "#a86400", "#7a4fc0", "#3f8fa8")

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "marketprism",
    "font.family": "sans-serif",
    "font.sans-serif": ["Inter", "Segoe UI", "DejaVu Sans"],
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#edf0f4",
    "grid.linewidth": 0.9,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "path.simplify": True,
}

_NS = 1_000_000_000
_MOST_TIMES = 7
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 5, 10, 20, 50, 100)),
)
"""Seconds between two clock times on an axis."""


class Canvas:
    """A figure being drawn: use ``axes``, then read ``svg`` after the block."""

    def __init__(self, axes: Any) -> None:
        self.axes = axes
        self.svg = ""


@contextmanager
def canvas(width: float = 6.2, height: float = 3.3, columns: int = 1, rows: int = 1, **layout: Any) -> Iterator[Canvas]:
    """Open a figure of ``width`` x ``height`` inches in the house look; its SVG is on the canvas afterwards.

    More than one row or column gives an array of axes.

    The SVG holds no date, no random id and no font file: equal data give equal bytes.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), dpi=72, layout="constrained")
        FigureCanvasSVG(figure)
        holder = Canvas(figure.subplots(rows, columns, **layout))
        yield holder
        # Laid out once, here: saving a figure that has a layout engine draws it twice.
        if engine := figure.get_layout_engine():
            engine.execute(figure)
        figure.set_layout_engine(None)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    svg = text[text.index("<svg") :]
    # Fixed sizes would stop the page from scaling the drawing; the viewBox keeps its proportions.
    holder.svg = re.sub(
        r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1), count=1
    )


def time_axis(axes: Axes, first: int, last: int) -> None:
    """Label an axis in seconds since ``first`` (ns UTC) with round clock times fit for the span to ``last``."""
    from datetime import UTC, datetime

    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    span = max((last - first) / 1e9, 1e-9)
    step = next((one for one in _STEPS if span / one <= _MOST_TIMES), None)
    pattern = "%m-%d"
    if step is not None and step < _DAY:
        pattern = "%H:%M:%S" if step < _MINUTE else "%H:%M" if span < _DAY else "%m-%d %H:%M"

    def label(seconds: float, _position: int | None = None) -> str:
        return datetime.fromtimestamp(round(first / _NS + seconds, 3), UTC).strftime(pattern)

    axes.set_xlim(0, span)
    if step is None or span < 2 * _STEPS[0]:
        axes.xaxis.set_major_locator(MaxNLocator(_MOST_TIMES))
    else:
        begin = -(-first // (step * _NS)) * step
        times = range(begin, last // _NS + 1, step)
        axes.xaxis.set_major_locator(FixedLocator([time - first / _NS for time in times]))
    axes.xaxis.set_major_formatter(FuncFormatter(label))
    axes.set_xlabel("UTC")
