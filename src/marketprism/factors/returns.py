"""Returns of the mid: by bucket, over fixed times, and the volatility that they add up to."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.core.timebase import NS
from marketprism.factors.base import BUCKET_CLOSE_NULL, Factor, Family, Setup, in_buckets, in_seconds, increasing
from marketprism.factors.marks import AFTER, BEFORE, RESET, TOP, VALID
from marketprism.factors.windows import LOG_TWO, decay, last_at_or_before, log_ratio, window_sum

__all__ = ["FAMILY", "ReturnsParams"]


class ReturnsParams(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Windows of the family.

    Parameters
    ----------
    buckets : tuple of int
        Windows in buckets for returns and realised volatility.
    momentum_s : tuple of float
        Look-backs of momentum, seconds.
    volatility_s : tuple of float
        Windows of realised volatility, seconds.
    half_lives_s : tuple of float
        Half-lives of the decaying realised volatility, seconds.
    capacity : int
        Most mid changes that the time windows remember. A window that reaches further back is null, not wrong.
    """

    buckets: tuple[int, ...] = (1, 5, 20)
    momentum_s: tuple[float, ...] = (1.0, 5.0, 10.0, 30.0, 60.0, 300.0)
    volatility_s: tuple[float, ...] = (60.0, 300.0)
    half_lives_s: tuple[float, ...] = (10.0, 60.0, 300.0)
    capacity: int = 32_768

    def __post_init__(self) -> None:
        for name in ("buckets", "momentum_s", "volatility_s", "half_lives_s"):
            increasing(name, getattr(self, name))
        if self.capacity < 2:
            raise ConfigError(f"capacity was {self.capacity}", hint="two or more mid changes must be kept")


_STATE = np.dtype(
    [
        ("mid", np.int64),  # bid + ask in ticks, 0 while the book is invalid
        ("last_mid", np.int64),  # last valid one of the segment, 0 before the first
        ("bucket_variance", np.float64),
        ("variance", np.float64),  # since the last gap
        ("head", np.int64),
        ("count", np.int64),
        ("closed", np.int64),
        ("start", np.int64),
        ("time", np.int64),
    ]
)
_RETURN = "ln(mid_t / mid_{t-w})"
_TIME = " or the last gap (or the capacity) is nearer than the window, or the book was invalid then"


def _factors(setup: Setup) -> tuple[Factor, ...]:
    p = setup.params
    quotes = ("quotes",)
    result = [
        Factor(
            name=in_buckets("mid_return", n), unit="1", formula=_RETURN, inputs=quotes, quantity_power=0,
            window=f"from the close {n} bucket(s) ago to the present close", description="Log return of the mid.",
            null=BUCKET_CLOSE_NULL + f", now or {n} bucket(s) ago, or a gap lies between",
        )
        for n in p.buckets
    ]  # fmt: skip
    result += [
        Factor(
            name=f"momentum_{in_seconds(w)}", unit="1", formula=_RETURN, inputs=quotes, quantity_power=0,
            window=f"{in_seconds(w)} up to ts_end; the past mid is the last at or before ts_end - w",
            description="Log return of the mid over a fixed time.", null=BUCKET_CLOSE_NULL + _TIME,
        )
        for w in p.momentum_s
    ]  # fmt: skip
    variance = "Andersen, Bollerslev, Diebold and Labys (2003), Modeling and forecasting realized volatility"
    result += [
        Factor(
            name=in_buckets("realised_vol", n), unit="1", formula="sqrt(sum of r^2), r = ln(mid / mid before)",
            inputs=quotes, window=f"all mid moves of {n} bucket(s)", quantity_power=0, source=variance,
            description="Realised volatility from every move of the mid.",
            null=BUCKET_CLOSE_NULL + (f" or fewer than {n} buckets have closed since the last gap" if n > 1 else ""),
        )
        for n in p.buckets
    ]  # fmt: skip
    result += [
        Factor(
            name=f"realised_vol_{in_seconds(w)}", unit="1", formula="sqrt(sum of r^2)", inputs=quotes,
            window=f"all mid moves of {in_seconds(w)} up to ts_end", quantity_power=0, source=variance,
            description="Realised volatility over a fixed time.", null=BUCKET_CLOSE_NULL + _TIME,
        )
        for w in p.volatility_s
    ]  # fmt: skip
    result += [
        Factor(
            name=f"realised_vol_halflife_{in_seconds(h)}", unit="s^-1/2", inputs=quotes, quantity_power=0,
            formula="sqrt(sum of r^2 2^(-age/h) / integral of 2^(-age/h) since the start)", source=variance,
            window=f"all since the last gap, half-life {in_seconds(h)}",
            description="Volatility per square root of a second, with exponential memory.",
            null=BUCKET_CLOSE_NULL + " or less than one half-life has passed since the last gap",
        )
        for h in p.half_lives_s
    ]  # fmt: skip
    return tuple(result)


def _state(setup: Setup) -> dict[str, np.ndarray]:
    p = setup.params
    state = np.zeros(1, _STATE)
    state["start"] = -1
    return {
        "state": state,
        "bucket_windows": np.array(p.buckets, np.int64),
        "momentum": np.array([round(w * NS) for w in p.momentum_s], np.int64),
        "volatility": np.array([round(w * NS) for w in p.volatility_s], np.int64),
        "rates": np.array([LOG_TWO / (h * NS) for h in p.half_lives_s]),
        "decayed": np.zeros(len(p.half_lives_s)),
        "variances": np.zeros((max(p.buckets, default=1), 1)),
        "closes": np.zeros(max(p.buckets, default=1) + 1, np.int64),
        "ring_time": np.zeros(p.capacity, np.int64),
        "ring_mid": np.zeros(p.capacity, np.int64),
        "ring_variance": np.zeros(p.capacity),
    }


@njit(cache=True)
def _fade(s, rates, decayed, time):  # type: ignore[no-untyped-def]
    if time > s.time:
        for j in range(len(rates)):
            decayed[j] *= decay(time - s.time, rates[j])
        s.time = time


@njit(cache=True, error_model="numpy")
def _apply(s, view, time, rates, decayed, ring_time, ring_mid, ring_variance):  # type: ignore[no-untyped-def]
    mid = view.bid + view.ask if view.status & VALID else 0
    if mid == s.mid:
        return
    s.mid = mid
    if mid and mid != s.last_mid:
        if s.last_mid:
            r = log_ratio(mid, s.last_mid)
            square = r * r
            s.bucket_variance += square
            s.variance += square
            _fade(s, rates, decayed, time)
            for j in range(len(decayed)):
                decayed[j] += square
        else:
            s.start = s.time = time
        s.last_mid = mid
    newest = s.head - 1 if s.head > 0 else len(ring_time) - 1
    if s.count == 0 or ring_time[newest] != time:  # of several changes at one time only the last can be asked for
        newest = s.head
        s.head = s.head + 1 if s.head + 1 < len(ring_time) else 0
        s.count = min(s.count + 1, len(ring_time))
    ring_time[newest] = time
    ring_mid[newest] = mid
    ring_variance[newest] = s.variance


@njit(cache=True, error_model="numpy")
def _emit(  # type: ignore[no-untyped-def]
    s, bucket, bucket_windows, momentum, volatility, rates, decayed,
    variances, closes, ring_time, ring_mid, ring_variance, out,
):  # fmt: skip
    out[:] = np.nan
    end = bucket.ts_end
    variances[s.closed % len(variances), 0] = s.bucket_variance if s.mid else np.nan
    closes[s.closed % len(closes)] = s.mid
    s.closed += 1
    s.bucket_variance = 0.0
    _fade(s, rates, decayed, end)
    if not s.mid:
        return
    j = 0
    for n in bucket_windows:
        if s.closed > n and closes[(s.closed - 1 - n) % len(closes)]:
            out[j] = log_ratio(s.mid, closes[(s.closed - 1 - n) % len(closes)])
        j += 1
    for window in momentum:
        slot = last_at_or_before(ring_time, s.head, s.count, end - window)
        if slot >= 0 and ring_mid[slot]:
            out[j] = log_ratio(s.mid, ring_mid[slot])
        j += 1
    for n in bucket_windows:
        out[j] = math.sqrt(window_sum(variances, 0, s.closed, n))
        j += 1
    for window in volatility:
        slot = last_at_or_before(ring_time, s.head, s.count, end - window)
        if slot >= 0 and ring_mid[slot]:
            out[j] = math.sqrt(s.variance - ring_variance[slot])
        j += 1
    for h in range(len(rates)):
        elapsed = (end - s.start) * rates[h]
        if elapsed >= LOG_TWO:
            out[j] = math.sqrt(decayed[h] * rates[h] * NS / (1.0 - math.exp(-elapsed)))
        j += 1


@njit(cache=True)
def _reset(s, decayed):  # type: ignore[no-untyped-def]
    s.mid = s.last_mid = s.head = s.count = s.closed = 0
    s.start = -1
    s.bucket_variance = s.variance = 0.0
    decayed[:] = 0.0


@njit(cache=True)
def _kernel(  # type: ignore[no-untyped-def]
    rows, top, depth_price, depth_quantity, marks, clock, buckets,
    state, bucket_windows, momentum, volatility, rates, decayed, variances, closes,
    ring_time, ring_mid, ring_variance, out,
):  # fmt: skip
    s = state[0]
    k = 0
    for i in range(len(marks)):
        mark = marks[i]
        if mark & (BEFORE | AFTER | RESET | TOP) == 0:
            continue
        if mark & BEFORE:
            _emit(s, buckets[k], bucket_windows, momentum, volatility, rates, decayed,
                  variances, closes, ring_time, ring_mid, ring_variance, out[k])  # fmt: skip
            k += 1
        if mark & RESET:
            _reset(s, decayed)
        if mark & (TOP | RESET):
            _apply(s, top[i], clock[i], rates, decayed, ring_time, ring_mid, ring_variance)
        if mark & AFTER:
            _emit(s, buckets[k], bucket_windows, momentum, volatility, rates, decayed,
                  variances, closes, ring_time, ring_mid, ring_variance, out[k])  # fmt: skip
            k += 1


FAMILY = Family(name="returns", factors=_factors, state=_state, kernel=_kernel, wants=TOP, params=ReturnsParams)
