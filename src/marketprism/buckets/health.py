"""Are the buckets what they should be: durations, identities, lag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from marketprism.buckets.record import Trigger
from marketprism.core.timebase import NS

__all__ = ["BucketHealth", "Level", "bucket_health"]

Level = Literal["ok", "warn", "critical"]

_LONG_S = 90.0
_P90_S = (90.0, 120.0)
_LAG_S = (60.0, 300.0)
_LONG_IN_HOUR = 5


@dataclass(frozen=True, slots=True)
class BucketHealth:
    """Health figures of a run of buckets.

    Attributes
    ----------
    count : int
        Buckets.
    p50_s, p90_s, p99_s : float
        Quantiles of duration in seconds, NaN without buckets.
    long_in_hour : int
        Most buckets over 90 s that ended within any one hour.
    id_anomalies : int
        Neighbours whose ids do not follow each other.
    overlaps : int
        Neighbours of which the later starts before the earlier ends.
    triggers : dict of str to int
        Buckets by trigger, those that occur.
    level : {"ok", "warn", "critical"}
        The worst finding.
    findings : tuple of str
        What was found, with its number.
    """

    count: int
    p50_s: float
    p90_s: float
    p99_s: float
    long_in_hour: int
    id_anomalies: int
    overlaps: int
    triggers: dict[str, int]
    level: Level
    findings: tuple[str, ...]


def bucket_health(buckets: np.ndarray, *, lag_s: float | None = None) -> BucketHealth:
    """Return health figures of ``buckets`` in order.

    Parameters
    ----------
    buckets : ndarray of BUCKET_DTYPE
        Consecutive buckets of one series.
    lag_s : float, optional
        How far the last bucket's end lies behind now, where there is a now.

    Examples
    --------
    >>> from marketprism.buckets.record import BUCKET_DTYPE
    >>> bucket_health(np.zeros(0, BUCKET_DTYPE)).level
    'ok'
    """
    durations = buckets["duration_ns"] / NS
    p50, p90, p99 = np.quantile(durations, [0.5, 0.9, 0.99]) if len(buckets) else (np.nan,) * 3
    ends = buckets["ts_end"][durations > _LONG_S]
    long_in_hour = int((np.arange(1, len(ends) + 1) - np.searchsorted(ends, ends - 3600 * NS, "right")).max(initial=0))
    anomalies = int(np.count_nonzero(np.diff(buckets["bucket_id"]) != 1))
    overlaps = int(np.count_nonzero(buckets["ts_start"][1:] < buckets["ts_end"][:-1]))
    critical: list[str] = []
    warn: list[str] = []
    for what, value, (low, high) in (("p90 duration", p90, _P90_S), ("lag", lag_s, _LAG_S)):
        if value is not None and value > low:
            (critical if value > high else warn).append(f"{what} {value:.0f} s")
    if long_in_hour > _LONG_IN_HOUR:
        warn.append(f"{long_in_hour} buckets over {_LONG_S:.0f} s in an hour")
    if anomalies:
        critical.append(f"{anomalies} ids do not follow their neighbour")
    if overlaps:
        critical.append(f"{overlaps} buckets overlap")
    codes, counts = np.unique(buckets["trigger"], return_counts=True)
    return BucketHealth(
        len(buckets),
        float(p50),
        float(p90),
        float(p99),
        long_in_hour,
        anomalies,
        overlaps,
        {Trigger(code).name.lower(): int(n) for code, n in zip(codes.tolist(), counts, strict=True)},
        "critical" if critical else "warn" if warn else "ok",
        tuple(critical + warn),
    )
