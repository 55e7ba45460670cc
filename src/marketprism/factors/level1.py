"""Level 1: spread, queue imbalance and micro-price at the close, and their time-weighted means."""

from __future__ import annotations

import numpy as np
from numba import njit

from marketprism.factors.base import Factor, Family, Setup
from marketprism.factors.marks import AFTER, BEFORE, RESET, TOP, VALID

__all__ = ["FAMILY"]

_STATE = np.dtype(
    [
        ("valid", np.int64),
        ("changed", np.int64),  # the bucket has seen a change of the view
        ("first_valid", np.int64),
        ("first_time", np.int64),
        ("time", np.int64),  # of the last change
        ("spread", np.float64),  # ticks
        ("total", np.float64),  # bid + ask, ticks
        ("imbalance", np.float64),
        ("first_spread", np.float64),
        ("first_imbalance", np.float64),
        ("spread_time", np.float64),  # ticks x ns over the changes inside the bucket
        ("imbalance_time", np.float64),
        ("valid_time", np.float64),
        ("tick", np.float64),
    ]
)

_LAST = "the last quotes at or before ts_end"
_MEAN = "the bucket, each state weighted by how long it held; from ts_start to ts_end"


def _factors(setup: Setup) -> tuple[Factor, ...]:
    quotes = ("quotes",)
    return (
        Factor(
            name="spread_ticks", unit="ticks", formula="S = a - b", inputs=quotes, window=_LAST,
            description="Quoted spread in price steps.", mirror="even", quantity_power=0,
        ),
        Factor(
            name="spread_bps", unit="bps", formula="1e4 S / mid", inputs=quotes, window=_LAST,
            description="Quoted spread relative to the mid.", quantity_power=0,
        ),
        Factor(
            name="relative_spread", unit="1", formula="(a - b) / (a + b)", inputs=quotes, window=_LAST,
            description="Half of the spread over the mid.", quantity_power=0,
        ),
        Factor(
            name="queue_imbalance", unit="1", formula="(qb - qa) / (qb + qa)", inputs=quotes, window=_LAST,
            description="Share by which the best bid outweighs the best ask; positive is bid heavy.",
            source="Gould and Bonart (2016), Queue imbalance as a one-tick-ahead price predictor",
            mirror="odd", quantity_power=0,
        ),
        Factor(
            name="microprice", unit="quote", formula="(qb a + qa b) / (qb + qa)", inputs=quotes, window=_LAST,
            description="Mid weighted by the opposite queue.", quantity_power=0,
            source="Gatheral and Oomen (2010), Zero-intelligence realized variance estimation",
        ),
        Factor(
            name="microprice_deviation", unit="1", formula="(microprice - mid) / S = queue_imbalance / 2",
            inputs=quotes, window=_LAST, description="Distance of the micro-price from the mid, in spreads.",
            mirror="odd", quantity_power=0,
            null="null where the book is invalid at the close of the bucket or locked (S = 0)",
        ),
        Factor(
            name="micro_mid_spread", unit="ticks", formula="microprice - mid = S/2 queue_imbalance", inputs=quotes,
            window=_LAST, description="Distance of the micro-price from the mid, in ticks.", mirror="odd",
            quantity_power=0,
        ),
        Factor(
            name="spread_ticks_mean", unit="ticks", formula="integral of S dt / valid time", inputs=quotes,
            window=_MEAN, description="Time-weighted mean of the spread.", mirror="even", quantity_power=0,
            null="null where the book was never valid in the bucket", needs_valid_close=False,
        ),
        Factor(
            name="queue_imbalance_mean", unit="1", formula="integral of queue_imbalance dt / valid time",
            inputs=quotes,
            window=_MEAN, description="Time-weighted mean of the queue imbalance.", mirror="odd", quantity_power=0,
            null="null where the book was never valid in the bucket", needs_valid_close=False,
        ),
    )  # fmt: skip


def _state(setup: Setup) -> dict[str, np.ndarray]:
    state = np.zeros(1, _STATE)
    state["tick"] = setup.tick
    return {"state": state}


@njit(cache=True, error_model="numpy")
def _emit(s, bucket, out):  # type: ignore[no-untyped-def]
    if s.valid:
        out[0] = s.spread
        out[1] = 2e4 * s.spread / s.total
        out[2] = s.spread / s.total
        out[3] = s.imbalance
        out[4] = 0.5 * (s.total + s.spread * s.imbalance) * s.tick
        out[5] = 0.5 * s.imbalance if s.spread > 0 else np.nan
        out[6] = 0.5 * s.spread * s.imbalance
    else:
        out[:7] = np.nan
    spread_time, imbalance_time, valid_time = s.spread_time, s.imbalance_time, s.valid_time
    since = s.time if s.changed else bucket.ts_start
    if s.valid:
        held = max(float(bucket.ts_end - since), 0.0)
        spread_time += s.spread * held
        imbalance_time += s.imbalance * held
        valid_time += held
    if s.changed and s.first_valid:
        held = max(float(s.first_time - bucket.ts_start), 0.0)
        spread_time += s.first_spread * held
        imbalance_time += s.first_imbalance * held
        valid_time += held
    if valid_time > 0:
        out[7] = spread_time / valid_time
        out[8] = imbalance_time / valid_time
    else:  # a bucket of no length has one state, if any
        out[7] = s.spread if s.valid else np.nan
        out[8] = s.imbalance if s.valid else np.nan
    _open(s)


@njit(cache=True)
def _open(s):  # type: ignore[no-untyped-def]
    s.changed = 0
    s.spread_time = s.imbalance_time = s.valid_time = 0.0


@njit(cache=True, error_model="numpy")
def _change(s, view, time):  # type: ignore[no-untyped-def]
    if not s.changed:
        # When the bucket began is known only at its close: the first stretch is weighed there.
        s.changed, s.first_valid, s.first_time = 1, s.valid, time
        s.first_spread, s.first_imbalance = s.spread, s.imbalance
    elif s.valid:
        held = float(time - s.time)
        s.spread_time += s.spread * held
        s.imbalance_time += s.imbalance * held
        s.valid_time += held
    s.time = time
    s.valid = 1 if view.status & VALID else 0
    if s.valid:
        s.spread = float(view.ask - view.bid)
        s.total = float(view.ask + view.bid)
        s.imbalance = (view.bid_quantity - view.ask_quantity) / (view.bid_quantity + view.ask_quantity)


@njit(cache=True)
def _kernel(rows, top, depth_price, depth_quantity, marks, clock, buckets, state, out):  # type: ignore[no-untyped-def]
    s = state[0]
    k = 0
    for i in range(len(marks)):
        mark = marks[i]
        if mark & (BEFORE | AFTER | RESET | TOP) == 0:
            continue
        if mark & BEFORE:
            _emit(s, buckets[k], out[k])
            k += 1
        if mark & RESET:
            _open(s)
        if mark & TOP:
            _change(s, top[i], clock[i])
        if mark & AFTER:
            _emit(s, buckets[k], out[k])
            k += 1


FAMILY = Family(name="level1", factors=_factors, state=_state, kernel=_kernel, wants=TOP)
