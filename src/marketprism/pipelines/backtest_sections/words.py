"""Money, lanes and times as people read them on the backtest page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from marketprism.pipelines.texts import number

__all__ = ["FOOTER", "digits_for", "lane_names", "money", "seconds_text"]

FOOTER = "Made by MarketPrism. A replay does not know how others would have answered; past results promise nothing."
"""Foot of every page of a replay."""


def digits_for(*values: float) -> int:
    """Return how many decimals show the largest of some amounts with about three digits.

    Examples
    --------
    >>> digits_for(1234.5, -3.0), digits_for(0.0123), digits_for(0.0)
    (0, 4, 2)
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return min(8, max(0, 2 - math.floor(math.log10(largest)))) if largest > 0 else 2


def money(value: float, unit: str, digits: int | None = None) -> str:
    """Return an amount with its currency.

    Examples
    --------
    >>> money(-12.3456, "USDT")
    '−12.3 USDT'
    """
    return f"{number(value, digits_for(value) if digits is None else digits)} {unit}"


def seconds_text(value: float) -> str:
    """Return a time in the unit that fits.

    Examples
    --------
    >>> seconds_text(0.0123), seconds_text(90.0), seconds_text(7200.0), seconds_text(float("nan"))
    ('12.3 ms', '90.0 s', '120.0 min', '–')
    """
    if not math.isfinite(value):
        return "–"
    if value < 1:
        return f"{1e3 * value:.1f} ms"
    return f"{value:.1f} s" if value < 600 else f"{value / 60:.1f} min" if value < 86_400 else f"{value / 3600:.1f} h"


def lane_names(lanes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name lanes by the parameters in which they differ.

    Examples
    --------
    >>> lane_names([{"gamma": 0.1, "levels": 1}, {"gamma": 0.2, "levels": 1}])
    ['gamma 0.1', 'gamma 0.2']
    >>> lane_names([{"gamma": 0.1}])
    ['lane 1']
    """
    keys = list(dict.fromkeys(key for lane in lanes for key in lane))
    differing = [key for key in keys if len({repr(lane.get(key)) for lane in lanes}) > 1]
    names = [
        ", ".join(f"{key.replace('_', ' ')} {_plain(lane[key])}" for key in differing if key in lane)
        or f"lane {place + 1}"
        for place, lane in enumerate(lanes)
    ]
    twice = len(set(names)) < len(names)
    return [f"{place + 1}: {name}" for place, name in enumerate(names)] if twice else names


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
