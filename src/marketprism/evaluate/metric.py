"""One measured number: value, interval, sample size, and whether it is evidence."""

from __future__ import annotations

import math
from typing import Any

import msgspec

__all__ = ["ENOUGH_BLOCKS", "ENOUGH_ROWS", "Metric"]

ENOUGH_ROWS = 200
"""Fewer rows than this are said to be few, and nothing is called significant."""
ENOUGH_BLOCKS = 20
"""Fewer bootstrap blocks than this are said to be few."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric with its block-bootstrap interval.

    Parameters
    ----------
    value, low, high : float
        Point estimate and interval; NaN where undefined.
    n : int
        Rows behind it.
    blocks : int
        Roughly independent blocks behind the interval.
    null : float, optional
        Value under no skill; None for metrics without one (turnover, calibration error).
    note : str
        What to know when reading it; never empty when samples are few.
    """

    value: float
    low: float
    high: float
    n: int
    blocks: int = 0
    null: float | None = None
    note: str = ""

    @property
    def enough(self) -> bool:
        """Whether there are enough rows and blocks to call anything evidence."""
        return self.n >= ENOUGH_ROWS and self.blocks >= ENOUGH_BLOCKS

    @property
    def significant(self) -> bool:
        """True only when samples are enough and the interval excludes the value under no skill."""
        if self.null is None or not self.enough or not (math.isfinite(self.low) and math.isfinite(self.high)):
            return False
        return self.low > self.null or self.high < self.null

    @property
    def star(self) -> bool:
        """Significant, and on the better side of no skill."""
        return self.significant and self.null is not None and self.low > self.null

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for JSON: NaN becomes None."""

        def plain(number: float) -> float | None:
            return number if math.isfinite(number) else None

        return {
            "value": plain(self.value),
            "low": plain(self.low),
            "high": plain(self.high),
            "n": self.n,
            "significant": self.significant,
            "star": self.star,
            "note": self.note,
        }
