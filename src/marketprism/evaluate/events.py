"""What happens around given times (funding, liquidation cascades, outages), against placebo times."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from marketprism.core.errors import DataError
from marketprism.core.random import stream
from marketprism.evaluate.arrays import equal_vectors, in_range

__all__ = ["Discontinuity", "EventStudy", "event_study", "regression_discontinuity"]

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]


class EventStudy(NamedTuple):
    """Mean path around the events and around placebo times.

    Attributes
    ----------
    offsets : ndarray of shape (k,)
        Times relative to the event, ns.
    mean : ndarray of shape (k,)
        Mean change of the value since the first offset.
    low, high : ndarray of shape (k,)
        Pointwise 95 % band of the same mean at placebo times.
    p_values : ndarray of shape (k,)
        Two-sided, per offset, against the placebos.
    p_value : float
        Of the whole path: largest studentised distance from the placebo mean, so that looking at all offsets is paid.
    independent : int
        Placebo times that do not overlap, about: no p-value is below 1 / (1 + this), however many shifts are drawn.
    events : int
        Events with a complete window.
    """

    offsets: _Ints
    mean: _Floats
    low: _Floats
    high: _Floats
    p_values: _Floats
    p_value: float
    independent: int
    events: int


class Discontinuity(NamedTuple):
    """Jump at the event times.

    Attributes
    ----------
    jump : float
        Limit from the right less limit from the left.
    error : float
        Standard error, clustered by event.
    p_value : float
        Two-sided, Student's t with one degree of freedom less than events.
    placebo_p_value : float
        Share of placebo shifts with a jump at least as large in units of its error; NaN without placebos.
    events, rows : int
        Events with rows on both sides, and rows within the bandwidth.
    """

    jump: float
    error: float
    p_value: float
    placebo_p_value: float
    events: int
    rows: int


def _inputs(ts: npt.ArrayLike, values: npt.ArrayLike, events: npt.ArrayLike) -> tuple[_Ints, _Floats, _Ints]:
    times, at = np.asarray(ts, np.int64), np.unique(np.asarray(events, np.int64))
    if times.ndim != 1 or not times.size or not at.size:
        raise DataError(f"there were {times.size} rows and {at.size} events", hint="pass at least one of each")
    series, _ = equal_vectors(values=values, ts=np.zeros(times.size))
    if (np.diff(times) < 0).any():
        raise DataError("times ran backwards", hint="sort by time first")
    return times, series, at


def _shifted(events: _Ints, first: int, last: int, margin: int, placebos: int, seed: int) -> list[_Ints]:
    """Move all events by one random shift each time, around the ends of the sample, away from the true events."""
    generator = stream(seed, "placebo", events.size)
    span = last - first
    result = []
    for shift in generator.integers(0, max(1, span), placebos):
        moved = np.sort(first + (events - first + shift) % max(1, span))
        near = np.searchsorted(events, moved)
        left = np.abs(moved - events[np.maximum(near - 1, 0)])
        right = np.abs(events[np.minimum(near, events.size - 1)] - moved)
        kept = moved[np.minimum(left, right) > margin]
        result.append(kept)
    return result


def event_study(
    ts: npt.ArrayLike,
    values: npt.ArrayLike,
    events: npt.ArrayLike,
    before_ns: int,
    after_ns: int,
    *,
    steps: int = 20,
    placebos: int = 500,
    seed: int = 0,
) -> EventStudy:
    """Mean path of a value around events, judged against as many other times.

    Parameters
    ----------
    ts : array of int, shape (n,)
        ns, non-decreasing.
    values : array of float, shape (n,)
        A level (log mid, spread, cumulative return); finite. The value at t is the last one at or before t.
    events : array of int
        Event times, ns; duplicates count once. An event whose window does not fit the sample is left out.
    before_ns, after_ns : int
        Window around each event, above 0.
    steps : int, default 20
        Intervals into which the window is cut.
    placebos : int, default 500
        Random samples of as many other times, whose windows touch no true event. Events whose windows overlap are
        shifted together instead (their spacing is kept).
    seed : int
        Of the placebo times.

    Raises
    ------
    DataError
        No event has a complete window, or fewer than 20 placebo shifts do (events too dense: shorten the window).

    References
    ----------
    MacKinlay (1997), "Event studies in economics and finance", Journal of Economic Literature 35(1); inference by
    placebo times instead of normality.
    """
    times, series, at = _inputs(ts, values, events)
    for name, size in (("before_ns", before_ns), ("after_ns", after_ns), ("steps", steps), ("placebos", placebos)):
        in_range(name, size, 1)
    offsets = np.linspace(-before_ns, after_ns, steps + 1).round().astype(np.int64)
    low, high = int(times[0]) + before_ns, int(times[-1]) - after_ns

    def path(moments: _Ints) -> _Floats | None:
        whole = moments[(moments >= low) & (moments <= high)]
        if not whole.size:
            return None
        levels = series[np.searchsorted(times, whole[:, None] + offsets, side="right") - 1]
        return np.asarray((levels - levels[:, :1]).mean(axis=0))

    complete = int(((at >= low) & (at <= high)).sum())
    mean = path(at)
    if mean is None:
        raise DataError(f"none of {at.size} events had a complete window", hint="shorten before_ns or after_ns")
    window = before_ns + after_ns
    moved, alone = _placebo_times(at, complete, (int(times[0]), low, high, int(times[-1])), window, placebos, seed)
    # Few placebo events would be noisier than the true ones: only shifts that keep at least half of them count.
    null = np.array([p for m in moved if m.size >= complete / 2 and (p := path(m)) is not None])
    if len(null) < 20:
        raise DataError(
            f"only {len(null)} of {placebos} placebo shifts stayed clear of the events",
            hint="shorten the window, or pass a longer sample",
        )
    windows = max(1, (high - low - 2 * window * complete) // window)
    centre, spread = null.mean(axis=0), null.std(axis=0)
    # What is usual is itself known from so many windows only, and more placebos of the same ones prove no more.
    wider = math.sqrt(1 + complete / windows)
    places = min(len(null), math.comb(windows + complete - 1, complete) if alone else windows)
    safe = np.where(spread > 0, spread, 1.0)
    ours, theirs = np.abs(mean - centre) / safe, wider * np.abs(null - centre) / safe
    pointwise = (1 + places * (theirs >= ours - 1e-12).mean(axis=0)) / (1 + places)
    whole = (1 + places * float((theirs.max(axis=1) >= ours.max() - 1e-12).mean())) / (1 + places)
    band = centre + wider * (np.quantile(null, (0.025, 0.975), axis=0) - centre)
    return EventStudy(offsets, mean, band[0], band[1], pointwise, whole, places, complete)


def _placebo_times(
    events: _Ints, complete: int, bounds: tuple[int, int, int, int], window: int, placebos: int, seed: int
) -> tuple[list[_Ints], bool]:
    """Return samples of other times, and whether each event was moved for itself.

    Windows that share no market can be: far more placebos differ than by common shifts.
    """
    first, low, high, last = bounds
    if events.size == 1 or int(np.diff(events).min()) > window:
        return _alone(events, complete, (low, high), window, placebos, seed), True
    return _shifted(events, first, last, window, placebos, seed), False


def _alone(events: _Ints, count: int, ends_at: tuple[int, int], margin: int, placebos: int, seed: int) -> list[_Ints]:
    """Draw ``count`` times, each for itself, between two ends and further than ``margin`` from every event."""
    low, high = ends_at
    begin = np.append(low, events + margin)
    free = np.maximum(np.minimum(np.append(events - margin, high), high) - np.maximum(begin, low), 0)
    begin, free = np.maximum(begin, low)[free > 0], free[free > 0]
    if not free.size:
        return []
    ends = np.cumsum(free)
    drawn = stream(seed, "placebo", events.size).integers(0, int(ends[-1]), (placebos, count))
    which = np.searchsorted(ends, drawn, side="right")
    return list(np.sort(begin[which] + drawn - (ends - free)[which], axis=1))


def regression_discontinuity(
    ts: npt.ArrayLike,
    values: npt.ArrayLike,
    events: npt.ArrayLike,
    bandwidth_ns: int,
    *,
    degree: int = 1,
    donut_ns: int = 0,
    placebos: int = 200,
    seed: int = 0,
) -> Discontinuity:
    """Jump of a value at the event times: local polynomials on both sides, triangular weights, event by event.

    Rows within the bandwidth are fitted by ``a + b D + sum_j (c_j x^j + d_j D x^j)`` with x the time since the event
    and D = 1 from the event on, weighted by ``1 - |x| / bandwidth``, after each event's own weighted mean is taken out;
    b is the jump.

    Parameters
    ----------
    ts : array of int, shape (n,)
        ns, non-decreasing.
    values : array of float, shape (n,)
        What may jump (spread, imbalance, return, level); finite.
    events : array of int
        Event times, ns; duplicates count once.
    bandwidth_ns : int
        Reach on either side, above 0. A row near two events belongs to the nearer one.
    degree : int, default 1
        Of the polynomials, 0 to 3.
    donut_ns : int, default 0
        Rows nearer than this are left out.
    placebos : int, default 200
        Random common shifts of all events; those within two bandwidths of a true event are left out. 0 for none.
    seed : int
        Of the shifts.

    Raises
    ------
    DataError
        Fewer than two events have rows on both sides, or the rows do not determine the polynomials.

    References
    ----------
    Hahn, Todd and van der Klaauw (2001), Econometrica 69(1); Hausman and Rapson (2018), "Regression discontinuity in
    time", Annual Review of Resource Economics 10, for why placebos are needed.
    """
    from scipy.special import stdtr

    times, series, at = _inputs(ts, values, events)
    in_range("bandwidth_ns", bandwidth_ns, 1)
    in_range("degree", degree, 0, 3)
    in_range("donut_ns", donut_ns, 0, bandwidth_ns - 1)
    in_range("placebos", placebos, 0)
    found = _jump(times, series, at, bandwidth_ns, donut_ns, degree)
    if found is None:
        raise DataError(
            f"the {at.size} events have too few rows on both sides of them", hint="widen bandwidth_ns or lower degree"
        )
    jump, error, clusters, rows = found
    moved = _shifted(at, int(times[0]), int(times[-1]), 2 * bandwidth_ns, placebos, seed)
    shifted = (_jump(times, series, m, bandwidth_ns, donut_ns, degree) for m in moved if m.size >= clusters / 2)
    null = [abs(one[0]) / one[1] for one in shifted if one is not None and one[1] > 0]
    size = abs(jump) / error if error > 0 else math.inf
    placebo = (1 + sum(t >= size for t in null)) / (1 + len(null)) if null else math.nan
    return Discontinuity(jump, error, 2 * float(stdtr(clusters - 1, -size)), placebo, clusters, rows)


def _jump(
    times: _Ints, series: _Floats, events: _Ints, bandwidth: int, donut: int, degree: int
) -> tuple[float, float, int, int] | None:
    """Jump, its clustered standard error, events and rows; None where the rows do not determine it."""
    if not events.size:
        return None
    nearest = np.searchsorted(events[1:] // 2 + events[:-1] // 2, times, side="right")
    distance = times - events[nearest]
    rows = np.flatnonzero((np.abs(distance) < bandwidth) & (np.abs(distance) >= donut))
    owner, x = nearest[rows], distance[rows] / bandwidth
    after = (distance[rows] >= 0).astype(np.float64)
    # Only events seen from both sides tell anything.
    sides = np.bincount(owner, after, events.size), np.bincount(owner, 1 - after, events.size)
    both = (sides[0] > 0) & (sides[1] > 0)
    kept = both[owner]
    owner, x, after, rows = np.cumsum(both)[owner[kept]] - 1, x[kept], after[kept], rows[kept]
    clusters = int(both.sum())
    columns = [after] + [c for power in range(1, degree + 1) for c in (x**power, after * x**power)]
    if clusters < 2 or rows.size <= len(columns) + clusters:
        return None
    weight = 1 - np.abs(x)
    total = np.bincount(owner, weight, clusters)

    def within(values: _Floats) -> _Floats:
        return values - (np.bincount(owner, weight * values, clusters) / total)[owner]

    design = np.column_stack([within(column) for column in columns])
    gram = design.T @ (weight[:, None] * design)
    scale = np.sqrt(np.diag(gram))
    if (scale <= 0).any() or np.linalg.cond(gram / np.outer(scale, scale)) > 1e10:
        return None
    inverse = np.linalg.inv(gram)
    y = within(series[rows])
    beta = inverse @ (design.T @ (weight * y))
    residual = weight * (y - design @ beta)
    scores = np.column_stack([np.bincount(owner, residual * column, clusters) for column in design.T])
    variance = inverse @ (scores.T @ scores) @ inverse * (clusters / (clusters - 1))
    return float(beta[0]), math.sqrt(max(float(variance[0, 0]), 0.0)), clusters, int(rows.size)
