"""Numbers as people read them."""

from __future__ import annotations

import math

from marketprism.evaluate.metric import Metric

__all__ = ["chance", "horizon_text", "interval", "number", "plural", "share", "short_source"]


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with a true minus sign, or a dash where there is none.

    Examples
    --------
    >>> number(1234.5678, 1), number(None), number(-0.0001, 2)
    ('1,234.6', '–', '0.00')
    """
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def interval(metric: Metric, digits: int = 3) -> str:
    """Return value and interval of a metric: ``0.042 [0.011, 0.071]``."""
    return f"{number(metric.value, digits)} [{number(metric.low, digits)}, {number(metric.high, digits)}]"


def share(value: float | None, digits: int = 1) -> str:
    """Return a fraction as percent, or a dash."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}%}"


def chance(p: float | None) -> str:
    """Return a p-value; never as an impossible 0.

    Examples
    --------
    >>> chance(0.0302), chance(1e-9), chance(None)
    ('0.030', '< 0.001', '–')
    """
    return "< 0.001" if p is not None and p < 0.001 else number(p)


def plural(count: int, word: str) -> str:
    """Return ``count`` with ``word``, in the plural where it is not one.

    Examples
    --------
    >>> plural(1, "model"), plural(2, "model")
    ('1 model', '2 models')
    """
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def horizon_text(name: str) -> str:
    """Return a horizon's name in words.

    Examples
    --------
    >>> horizon_text("1_buckets"), horizon_text("5_buckets"), horizon_text("10_s")
    ('bucket', '5 buckets', '10 s')
    """
    return "bucket" if name == "1_buckets" else name.replace("_", " ")


def short_source(spec: str) -> str:
    """Return a source text with file names in place of paths, at most three of them.

    Examples
    --------
    >>> short_source("lobster:/data/GOOG_2012-06-21.zip?levels=5"), short_source("sim:?seed=1")
    ('lobster: GOOG_2012-06-21.zip ?levels=5', 'sim: ?seed=1')
    >>> short_source("us-l1:a/1.zip,a/2.zip,a/3.zip,a/4.zip")
    'us-l1: 1.zip, 2.zip, 3.zip and 1 more'
    """
    name, _, rest = spec.partition(":")
    paths, mark, query = rest.partition("?")
    files = [path.rstrip("/").rpartition("/")[2] for path in paths.split(",") if path]
    shown = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    return " ".join(filter(None, (f"{name}:", shown, mark + query)))
