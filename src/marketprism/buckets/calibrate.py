"""Volume target from history: past minutes only, silent ones included."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.core.timebase import NS, format_ns

__all__ = ["Calibration", "calibrate"]

_MINUTE = 60 * NS
_WINDOW = 7 * 24 * 60
_LEAST = 100
_TIERS = ((0.01, "high"), (0.10, "medium"), (0.50, "low"))


@dataclass(frozen=True, slots=True)
class Calibration:
    """What history says about one instrument.

    Attributes
    ----------
    target_volume : float
        q in base units; 0 where the median minute is silent and no floor was given (use time buckets).
    volume_per_second : float
        Median over minutes of base units a second, silent minutes included.
    minutes : int
        Minutes looked at.
    silent_share : float
        Share of minutes without a trade.
    tier : str
        Liquidity by silent share: ``high`` below 1 %, ``medium`` below 10 %, ``low`` below 50 %, else ``illiquid``.
    as_of_ns : int
        Nothing later than this was used.
    """

    target_volume: float
    volume_per_second: float
    minutes: int
    silent_share: float
    tier: str
    as_of_ns: int


def calibrate(
    minute_starts_ns: npt.ArrayLike,
    volumes: npt.ArrayLike,
    *,
    as_of_ns: int,
    since_ns: int | None = None,
    t_target_s: float = 30.0,
    min_volume: float = 0.0,
    max_volume: float = math.inf,
) -> Calibration:
    """Return ``q = clip(t_target * median volume per second, q_min, q_max)`` over the last 7 days of minutes.

    Parameters
    ----------
    minute_starts_ns : array_like of int64, shape (n,)
        Starts of minutes that had trades, ns UTC, in any order; a repeated minute adds up.
    volumes : array_like of float, shape (n,)
        Base units traded in each.
    as_of_ns : int
        Known then: only minutes that ended at or before this count.
    since_ns : int, optional
        When the record began; minutes from then on that are not listed were silent. Default: the first one listed.
    t_target_s : float, default 30
        Wanted duration of a bucket, seconds.
    min_volume, max_volume : float
        Floor and ceiling of q, base units.

    Raises
    ------
    DataError
        Fewer than 100 minutes, or a volume that is negative or not finite.

    Examples
    --------
    >>> result = calibrate([k * 60 * 10**9 for k in range(200)], [120.0] * 200, as_of_ns=200 * 60 * 10**9)
    >>> result.target_volume, result.tier
    (60.0, 'high')
    """
    starts = np.asarray(minute_starts_ns, np.int64)
    traded = np.asarray(volumes, np.float64)
    if starts.shape != traded.shape or starts.ndim != 1:
        raise DataError(f"{starts.shape} minutes came with {traded.shape} volumes", hint="one volume for each minute")
    bad = ~np.isfinite(traded) | (traded < 0)
    if bad.any():
        at = int(np.argmax(bad))
        raise DataError(
            f"volume of minute {format_ns(int(starts[at]))} was {traded[at]}",
            hint="give finite base units, none negative",
        )
    minute = starts // _MINUTE
    end = as_of_ns // _MINUTE
    begin = end - _WINDOW
    first = since_ns // _MINUTE if since_ns is not None else int(minute.min(initial=end))
    begin = max(begin, first)
    if end - begin < _LEAST:
        raise DataError(
            f"history had {max(end - begin, 0)} minutes before {format_ns(as_of_ns)}",
            hint=f"at least {_LEAST} are needed; let the clock calibrate itself, or use time buckets",
        )
    use = (minute >= begin) & (minute < end)
    per_minute = np.zeros(end - begin)
    np.add.at(per_minute, minute[use] - begin, traded[use])
    rate = float(np.median(per_minute)) / 60
    silent = float(np.mean(per_minute == 0))
    tier = next((name for limit, name in _TIERS if silent < limit), "illiquid")
    q = min(max(t_target_s * rate, min_volume), max_volume)
    return Calibration(q, rate, len(per_minute), silent, tier, as_of_ns)
