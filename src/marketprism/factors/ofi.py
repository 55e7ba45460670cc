"""Order-flow imbalance at the best quotes: the CKS statistic, its popular variant, and strong events."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError
from marketprism.core.timebase import NS
from marketprism.factors.base import BUCKET_CLOSE_NULL, Factor, Family, Setup, in_buckets, in_seconds, increasing
from marketprism.factors.marks import AFTER, BEFORE, RESET, TOP, VALID
from marketprism.factors.windows import LOG_TWO, decay, replace_sorted, window_sum

__all__ = ["FAMILY", "OfiParams"]


class OfiParams(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Windows of the family.

    Parameters
    ----------
    buckets : tuple of int
        Windows in buckets, the last of which is the present one.
    events : tuple of int
        Windows in quote changes.
    half_lives_s : tuple of float
        Half-lives of the decaying sums, seconds.
    strong_quantile : float
        A move is strong where the pressure behind it exceeds this quantile of the previous moves' pressures.
    strong_moves : int
        How many previous mid moves the quantile looks at.
    """

    buckets: tuple[int, ...] = (1, 5, 20)
    events: tuple[int, ...] = (100,)
    half_lives_s: tuple[float, ...] = (10.0, 60.0)
    strong_quantile: float = 0.9
    strong_moves: int = 100

    def __post_init__(self) -> None:
        for name in ("buckets", "events", "half_lives_s"):
            increasing(name, getattr(self, name))
        if not (0 < self.strong_quantile < 1 and self.strong_moves > 1):
            raise ConfigError(
                f"strong_quantile was {self.strong_quantile} over {self.strong_moves} moves",
                hint="give a quantile between 0 and 1 over two moves or more",
            )


_STATE = np.dtype(
    [
        ("valid", np.int64),
        ("bid", np.int64),
        ("ask", np.int64),
        ("bid_quantity", np.float64),
        ("ask_quantity", np.float64),
        ("ofi", np.float64),  # of the open bucket
        ("pressure", np.float64),
        ("move_pressure", np.float64),  # since the last move of the mid
        ("strong", np.float64),  # of the open bucket
        ("moves", np.int64),
        ("events", np.int64),
        ("slot", np.int64),  # of the next event
        ("closed", np.int64),
        ("start", np.int64),  # first valid quote of the segment, -1 before
        ("time", np.int64),  # of the last decay
        ("quantile_rank", np.int64),
    ]
)
_CKS = "Cont, Kukanov and Stoikov (2014), The price impact of order book events, eq. 4"
_E = "sum of 1{b>=b'}qb - 1{b<=b'}qb' - 1{a<=a'}qa + 1{a>=a'}qa'"
_PRESSURE = (
    "sum over sides (bid minus ask): +new size where the price improves, minus the size change where it worsens, "
    "the size change where it stays"
)


def _factors(setup: Setup) -> tuple[Factor, ...]:
    p = setup.params
    quotes = ("quotes",)
    result = [
        Factor(
            name=in_buckets(name, n), unit="base", formula=formula, description=description, inputs=quotes,
            window=f"{n} bucket(s) up to the present one", source=source, mirror="odd", quantity_power=1,
            null=BUCKET_CLOSE_NULL + (f" or fewer than {n} buckets have closed since the last gap" if n > 1 else ""),
        )
        for name, formula, description, source in (
            ("ofi", _E, "Net size added at the best bid over the best ask by quote changes.", _CKS),
            ("book_pressure", _PRESSURE, "The popular form of ofi; differs from it where a price worsens.",
             "practitioners' form; FACTORS.md section 1"),
        )
        for n in p.buckets
    ]  # fmt: skip
    result += [
        Factor(
            name=f"ofi_{n}_events", unit="base", formula=_E, inputs=quotes, window=f"the last {n} quote changes",
            description="Order-flow imbalance over a fixed number of quote changes.", source=_CKS, mirror="odd",
            quantity_power=1, null=BUCKET_CLOSE_NULL + f" or fewer than {n} changes came since the last gap",
        )
        for n in p.events
    ]  # fmt: skip
    result += [
        Factor(
            name=f"ofi_halflife_{in_seconds(h)}", unit="base", formula="sum of e 2^(-age/h), e as in ofi",
            inputs=quotes, window=f"all since the last gap, half-life {in_seconds(h)}", source=_CKS, mirror="odd",
            description="Order-flow imbalance with exponential memory.", quantity_power=1,
            null=BUCKET_CLOSE_NULL + " or less than one half-life has passed since the last gap",
        )
        for h in p.half_lives_s
    ]  # fmt: skip
    result.append(
        Factor(
            name="strong_event", unit="1", inputs=quotes, mirror="odd", quantity_power=0,
            formula=f"sign(dmid) of the bucket's last mid move whose book_pressure (since the move before, signed by "
            f"the move) exceeds the {p.strong_quantile:g} quantile of |pressure| over the {p.strong_moves} moves "
            f"before it; else 0",
            description="Gate: +1 or -1 where the mid moved with unusual pressure behind it.",
            null=BUCKET_CLOSE_NULL + f" or fewer than {p.strong_moves} mid moves came since the last gap",
            source="FACTORS.md section 1",
        )
    )  # fmt: skip
    return tuple(result)


def _state(setup: Setup) -> dict[str, np.ndarray]:
    p = setup.params
    state = np.zeros(1, _STATE)
    state["start"] = -1
    state["quantile_rank"] = math.ceil(p.strong_quantile * p.strong_moves) - 1
    return {
        "state": state,
        "bucket_windows": np.array(p.buckets, np.int64),
        "event_windows": np.array(p.events, np.int64),
        "rates": np.array([LOG_TWO / (h * NS) for h in p.half_lives_s]),
        "decayed": np.zeros(len(p.half_lives_s)),
        "history": np.zeros((max(p.buckets, default=1), 2)),
        "recent": np.zeros(max(p.events, default=1)),
        "moves": np.zeros(p.strong_moves),
        "ordered": np.zeros(p.strong_moves),
    }


@njit(cache=True)
def _fade(s, rates, decayed, time):  # type: ignore[no-untyped-def]
    if time > s.time:
        for j in range(len(rates)):
            decayed[j] *= decay(time - s.time, rates[j])
        s.time = time


@njit(cache=True)
def _move(s, direction, moves, ordered):  # type: ignore[no-untyped-def]
    size = abs(s.move_pressure)
    n = len(moves)
    if s.moves >= n and direction * s.move_pressure > ordered[s.quantile_rank]:
        s.strong = direction
    slot = s.moves % n
    replace_sorted(ordered, min(s.moves, n), moves[slot], size)
    moves[slot] = size
    s.moves += 1
    s.move_pressure = 0.0


@njit(cache=True)
def _apply(s, view, time, rates, decayed, recent, moves, ordered):  # type: ignore[no-untyped-def]
    valid = view.status & VALID
    if not valid:
        s.valid = 0
        return
    b, a, qb, qa = view.bid, view.ask, view.bid_quantity, view.ask_quantity
    if s.valid:
        if b > s.bid:
            flow_bid, pressure_bid = qb, qb
        elif b == s.bid:
            flow_bid = pressure_bid = qb - s.bid_quantity
        else:
            flow_bid, pressure_bid = -s.bid_quantity, s.bid_quantity - qb
        if a < s.ask:
            flow_ask, pressure_ask = qa, qa
        elif a == s.ask:
            flow_ask = pressure_ask = qa - s.ask_quantity
        else:
            flow_ask, pressure_ask = -s.ask_quantity, s.ask_quantity - qa
        flow = flow_bid - flow_ask
        s.ofi += flow
        s.pressure += pressure_bid - pressure_ask
        s.move_pressure += pressure_bid - pressure_ask
        recent[s.slot] = flow
        s.slot = s.slot + 1 if s.slot + 1 < len(recent) else 0  # a division would cost more than all the rest
        s.events += 1
        _fade(s, rates, decayed, time)
        for j in range(len(decayed)):
            decayed[j] += flow
        change = (b + a) - (s.bid + s.ask)
        if change != 0:
            _move(s, 1.0 if change > 0 else -1.0, moves, ordered)
    elif s.start < 0:
        s.start = s.time = time
    s.valid, s.bid, s.ask, s.bid_quantity, s.ask_quantity = 1, b, a, qb, qa


@njit(cache=True)
def _emit(s, bucket, bucket_windows, event_windows, rates, decayed, history, recent, moves, out):  # type: ignore[no-untyped-def]
    slot = s.closed % len(history)
    history[slot, 0] = s.ofi if s.valid else np.nan
    history[slot, 1] = s.pressure if s.valid else np.nan
    s.closed += 1
    j = 0
    for column in range(2):
        for n in bucket_windows:
            out[j] = window_sum(history, column, s.closed, n)
            j += 1
    for n in event_windows:
        out[j] = np.nan
        if s.valid and s.events >= n:
            total = 0.0
            slot = s.slot
            for _ in range(n):
                slot = slot - 1 if slot > 0 else len(recent) - 1
                total += recent[slot]
            out[j] = total
        j += 1
    _fade(s, rates, decayed, bucket.ts_end)
    for h in range(len(rates)):
        filled = s.valid and (bucket.ts_end - s.start) * rates[h] >= LOG_TWO
        out[j] = decayed[h] if filled else np.nan
        j += 1
    out[j] = s.strong if s.valid and s.moves >= len(moves) else np.nan
    s.ofi = s.pressure = s.strong = 0.0


@njit(cache=True)
def _reset(s, decayed):  # type: ignore[no-untyped-def]
    s.valid = s.moves = s.events = s.closed = 0
    s.start = -1
    s.ofi = s.pressure = s.move_pressure = s.strong = 0.0
    decayed[:] = 0.0


@njit(cache=True)
def _kernel(  # type: ignore[no-untyped-def]
    rows, top, depth_price, depth_quantity, marks, clock, buckets,
    state, bucket_windows, event_windows, rates, decayed, history, recent, moves, ordered, out,
):  # fmt: skip
    s = state[0]
    k = 0
    for i in range(len(marks)):
        mark = marks[i]
        if mark & (BEFORE | AFTER | RESET | TOP) == 0:
            continue
        if mark & BEFORE:
            _emit(s, buckets[k], bucket_windows, event_windows, rates, decayed, history, recent, moves, out[k])
            k += 1
        if mark & RESET:
            _reset(s, decayed)
        if mark & (TOP | RESET):
            _apply(s, top[i], clock[i], rates, decayed, recent, moves, ordered)
        if mark & AFTER:
            _emit(s, buckets[k], bucket_windows, event_windows, rates, decayed, history, recent, moves, out[k])
            k += 1


FAMILY = Family(name="ofi", factors=_factors, state=_state, kernel=_kernel, wants=TOP, params=OfiParams)
