"""Stylised facts of a market: the numbers and curves by which order-book models are judged.

Prices are in ticks, quantities in mean market orders, so that markets of any price and lot can be compared. Standard
errors are those of the mean over eight equal parts of the time, which holds whatever the dependence within a part.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from marketprism.core.errors import DataError
from marketprism.core.timebase import NS
from marketprism.simulate.flow import OrderFlow

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

__all__ = ["FACTS", "Fact", "StylisedFacts", "facts_table", "mid_returns", "stylised_facts"]

_PARTS = 8
_FEWEST = 20

FACTS: dict[str, str] = {
    "orders at the quotes a second": "market orders, and limits and cancellations at the best quotes or better",
    "market orders a second": "trades of one side at one time count once",
    "spread, ticks": "mean over time",
    "share at one tick": "share of the time with the smallest spread",
    "best queue, orders": "mean over time, in mean market orders",
    "best queue, variation": "standard deviation over mean",
    "mid changes a minute": "",
    "volatility, ticks": "standard deviation of 10 s mid returns",
    "signature ratio": "variance a second at 1 s over that at 30 s: 1 for a random walk, more where prices revert",
    "return autocorrelation": "1 s mid returns, lag 1",
    "volatility clustering": "autocorrelation of absolute 10 s returns, mean of lags 1 to 10",
    "excess kurtosis, 10 s": "of mid returns: 0 for a normal law",
    "excess kurtosis, 60 s": "falls towards 0 where returns become normal with the horizon",
    "sign autocorrelation, lag 1": "of market orders, buy +1, sell -1",
    "sign autocorrelation, lag 10": "long memory keeps it up",
    "arrival variation": "standard deviation over mean of the times between market orders: 1 for Poisson",
    "count dispersion": "variance over mean of market orders in 10 s: 1 for Poisson",
    "imbalance foretells the move": "share of seconds whose imbalance has the sign of the next mid move: .5 by chance",
    "impact after 1 s, ticks": "mean mid move in the direction of a market order",
    "impact after 10 s, ticks": "permanent where it stays, transient where it falls",
}
"""Every fact by name, and what it is."""


class Fact(NamedTuple):
    """A number with its standard error; NaN where the data are too short."""

    value: float
    error: float


class StylisedFacts(NamedTuple):
    """What a market looks like.

    Attributes
    ----------
    facts : dict of str to Fact
        By the names of :data:`FACTS`.
    curves : dict of str to tuple of ndarray
        Name -> x and y: ``returns`` and ``absolute returns`` (autocorrelation by lag, s), ``signature`` (variance a
        second by sampling interval, s), ``signs`` (autocorrelation by lag, orders), ``arrivals`` (share of times
        between market orders longer than x means), ``spread`` (share of time by ticks), ``queue`` (share of time that a
        best queue is longer than x means), ``imbalance`` (probability that the next mid move is up), ``impact`` (ticks
        by lag, s) and ``shape`` (mean queue by distance from the opposite quote, ticks).
    span_s : float
        Seconds of valid book.
    """

    facts: dict[str, Fact]
    curves: dict[str, tuple[np.ndarray, np.ndarray]]
    span_s: float


def stylised_facts(flow: OrderFlow) -> StylisedFacts:
    """Measure every fact and curve of a market.

    Parameters
    ----------
    flow : OrderFlow
        The market.

    Returns
    -------
    StylisedFacts
        NaN where there are too few orders or too little time.

    Raises
    ------
    DataError
        There are fewer than 20 market orders.

    References
    ----------
    Cont, "Empirical properties of asset returns: stylized facts and statistical issues", Quantitative Finance 1(2),
    2001; Bouchaud, Bonart, Donier and Gould, "Trades, Quotes and Prices", 2018.
    """
    if len(flow.market_orders()) < _FEWEST:
        raise DataError(
            f"{flow.recording.key or 'the market'} had {len(flow.market_orders())} market orders",
            hint=f"facts need {_FEWEST} at least",
        )
    whole = _numbers(flow)
    edges = np.linspace(flow.quotes["ts"][0], flow.end_ns, _PARTS + 1).astype(np.int64)
    parts = [_numbers(flow.between(int(a), int(b))) for a, b in itertools.pairwise(edges)]
    facts = {}
    for name, value in whole.items():
        seen = np.array([part[name] for part in parts])
        known = np.isfinite(seen).sum() > _PARTS // 2
        error = float(np.nanstd(seen, ddof=1) / np.sqrt(np.isfinite(seen).sum())) if known else float("nan")
        facts[name] = Fact(value, error)
    return StylisedFacts(facts, _curves(flow), flow.span_s)


def facts_table(markets: Mapping[str, StylisedFacts]) -> pl.DataFrame:
    """Return the facts of several markets side by side.

    Parameters
    ----------
    markets : mapping of str to StylisedFacts
        By name; the first is what the others are compared with.

    Returns
    -------
    polars.DataFrame
        One row a fact: ``fact``, then for each market its value, ``NAME error``, and for all but the first ``NAME z``:
        the difference from the first in standard errors of the difference. Null where not known.
    """
    import polars as pl

    names = list(markets)
    columns: dict[str, list[float | str]] = {"fact": list(FACTS)}
    for name in names:
        own = [markets[name].facts[fact] for fact in FACTS]
        columns[name] = [fact.value for fact in own]
        columns[f"{name} error"] = [fact.error for fact in own]
        if name != names[0]:
            first = [markets[names[0]].facts[fact] for fact in FACTS]
            columns[f"{name} z"] = [
                (ours.value - theirs.value) / np.hypot(ours.error, theirs.error)
                if np.hypot(ours.error, theirs.error) > 0
                else np.nan
                for ours, theirs in zip(own, first, strict=True)
            ]
    return pl.DataFrame(columns).with_columns(pl.exclude("fact").fill_nan(None))


def _numbers(flow: OrderFlow) -> dict[str, float]:
    orders, quotes, seconds = flow.orders, flow.quotes, flow.seconds
    span = float(seconds.sum())
    if span <= 0:
        return dict.fromkeys(FACTS, float("nan"))
    market = flow.market_orders()
    best = np.where(orders["side"] > 0, orders["bid"], orders["ask"])
    spread = quotes["ask"] - quotes["bid"]
    queue = np.concatenate([quotes["bid_quantity"], quotes["ask_quantity"]]) / flow.unit
    twice = np.concatenate([seconds, seconds])
    mean = float((queue * twice).sum() / (2 * span))
    sd = float(np.sqrt(max((queue**2 * twice).sum() / (2 * span) - mean**2, 0.0)))
    mid = _mid(flow)
    valid = mid[np.isfinite(mid)]
    one, ten, half, minute = (_returns(flow, mid, step) for step in (1.0, 10.0, 30.0, 60.0))
    sign = -market["side"].astype(float)
    wait = np.diff(market["ts"]) / NS
    counts = np.bincount(((market["ts"] - quotes["ts"][0]) // (10 * NS)).astype(np.int64))[: int(span // 10)]
    absolute = [_autocorrelation(np.abs(ten), lag) for lag in range(1, 11)]
    return {
        "orders at the quotes a second": float((orders["side"] * (orders["tick"] - best) >= 0).sum()) / span,
        "market orders a second": len(market) / span,
        "spread, ticks": float((spread * seconds).sum() / span),
        "share at one tick": float(seconds[spread == 1].sum() / span),
        "best queue, orders": mean,
        "best queue, variation": sd / mean if mean > 0 else float("nan"),
        "mid changes a minute": 60 * float((np.diff(valid) != 0).sum()) / span,
        "volatility, ticks": _deviation(ten),
        "signature ratio": 30 * _power(one) / _power(half) if _power(half) > 0 else float("nan"),
        "return autocorrelation": _autocorrelation(one, 1),
        "volatility clustering": float(np.mean(absolute)),
        "excess kurtosis, 10 s": _kurtosis(ten),
        "excess kurtosis, 60 s": _kurtosis(minute),
        "sign autocorrelation, lag 1": _autocorrelation(sign, 1),
        "sign autocorrelation, lag 10": _autocorrelation(sign, 10),
        "arrival variation": _deviation(wait) / float(wait.mean()) if len(wait) > _FEWEST else float("nan"),
        "count dispersion": float(counts.var() / counts.mean()) if len(counts) > 10 and counts.any() else float("nan"),
        "imbalance foretells the move": _foretold(flow, mid)[0],
        "impact after 1 s, ticks": _impact(flow, mid, 1.0),
        "impact after 10 s, ticks": _impact(flow, mid, 10.0),
    }


def _curves(flow: OrderFlow) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    mid, seconds = _mid(flow), flow.seconds
    span = flow.span_s
    one = _returns(flow, mid, 1.0)
    lags = np.arange(1, 21)
    steps = np.array([s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0) if s < span / _FEWEST])
    market = flow.market_orders()
    wait = np.diff(market["ts"]) / NS
    grid = np.linspace(0.05, 8, 60)
    spread = np.clip(flow.quotes["ask"] - flow.quotes["bid"], 0, None)
    top = max(3, int(np.searchsorted(np.cumsum(np.bincount(spread, seconds)), 0.99 * span)) + 1)
    queue = np.concatenate([flow.quotes["bid_quantity"], flow.quotes["ask_quantity"]])
    twice = np.concatenate([seconds, seconds])
    scaled = queue / ((queue * twice).sum() / twice.sum())
    sizes = np.linspace(0, 4, 41)
    delays = np.array([s for s in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0) if s < span / _FEWEST])
    return {
        "returns": (lags.astype(float), np.array([_autocorrelation(one, k) for k in lags.tolist()])),
        "absolute returns": _pooled_autocorrelation(np.abs(one)),
        "signature": (steps, np.array([_power(_returns(flow, mid, s)) / s for s in steps])),
        "signs": _pooled_autocorrelation(-market["side"].astype(float)),
        "arrivals": (grid, np.array([(wait > x * wait.mean()).mean() for x in grid])),
        "spread": (np.arange(1.0, top + 1), np.bincount(spread, seconds, top + 1)[1 : top + 1] / span),
        "queue": (sizes, np.array([twice[scaled > x].sum() for x in sizes]) / twice.sum()),
        "imbalance": _foretold(flow, mid)[1],
        "impact": (delays, np.array([_impact(flow, mid, s) for s in delays])),
        "shape": (np.arange(1.0, 16.0), flow.exposure("opposite", 15)[1] / (2 * span)),
    }


def _mid(flow: OrderFlow) -> np.ndarray:
    """Mid in ticks for each state of the quotes; NaN where it is not valid."""
    return np.where(flow.valid, 0.5 * (flow.quotes["bid"] + flow.quotes["ask"]), np.nan)


def _at(flow: OrderFlow, mid: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Mid in force at times, NaN outside the quotes."""
    place = np.searchsorted(flow.quotes["ts"], times, "right") - 1
    return np.where((place >= 0) & (times <= flow.end_ns), mid[np.maximum(place, 0)], np.nan)


def _returns(flow: OrderFlow, mid: np.ndarray, step_s: float) -> np.ndarray:
    """Mid returns over a regular grid, ticks; those with an unknown end are left out."""
    grid = np.arange(int(flow.quotes["ts"][0]), flow.end_ns + 1, round(step_s * NS))
    change = np.diff(_at(flow, mid, grid))
    return change[np.isfinite(change)]


def mid_returns(flow: OrderFlow, step_s: float) -> np.ndarray:
    """Return mid returns over a grid of ``step_s`` seconds, ticks; those with an unknown end are left out."""
    return _returns(flow, _mid(flow), step_s)


def _autocorrelation(x: np.ndarray, lag: int) -> float:
    """Autocorrelation at a lag; NaN where too short or constant."""
    if len(x) < max(_FEWEST, 2 * lag):
        return float("nan")
    centred = x - x.mean()
    power = float(centred @ centred)
    return float(centred[lag:] @ centred[:-lag]) / power if power > 0 else float("nan")


def _pooled_autocorrelation(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Autocorrelations averaged over lags 1, 2, 3 to 4, 5 to 8, ..., 129 to 256; x is the middle of each."""
    places, values = [], []
    for k in range(9):
        lags = range((1 << k) // 2 + 1, (1 << k) + 1)
        places.append(float(np.mean(lags)))
        values.append(float(np.mean([_autocorrelation(x, lag) for lag in lags])))
    return np.array(places), np.array(values)


def _deviation(x: np.ndarray) -> float:
    return float(x.std(ddof=1)) if len(x) >= _FEWEST else float("nan")


def _power(x: np.ndarray) -> float:
    return float(np.mean(x**2)) if len(x) >= 10 else float("nan")


def _kurtosis(x: np.ndarray) -> float:
    if len(x) < _FEWEST or not x.std() > 0:
        return float("nan")
    return float(np.mean(((x - x.mean()) / x.std()) ** 4) - 3.0)


def _impact(flow: OrderFlow, mid: np.ndarray, delay_s: float) -> float:
    """Mean mid move in the direction of market orders, from just before them to ``delay_s`` after, ticks."""
    market = flow.market_orders()
    before = 0.5 * (market["bid"] + market["ask"])
    moved = -market["side"] * (_at(flow, mid, market["ts"] + round(delay_s * NS)) - before)
    return float(np.nanmean(moved)) if np.isfinite(moved).sum() >= _FEWEST else float("nan")


def _foretold(flow: OrderFlow, mid: np.ndarray) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """How often the queue imbalance at each second has the sign of the next mid move, and P(up) by imbalance."""
    quotes, known = flow.quotes, np.isfinite(mid)
    states = np.flatnonzero(known)
    centres = np.linspace(-0.9, 0.9, 10)
    nothing = float("nan"), (centres, np.full(10, np.nan))
    if len(states) < _FEWEST:
        return nothing
    levels = mid[states]
    changes = np.flatnonzero(np.diff(levels) != 0) + 1
    grid = np.arange(int(quotes["ts"][0]), flow.end_ns, NS)
    place = np.searchsorted(quotes["ts"][states], grid, "right") - 1
    place = place[place >= 0]
    following = np.searchsorted(changes, place, "right")
    place, following = place[following < len(changes)], following[following < len(changes)]
    if len(place) < _FEWEST:
        return nothing
    up = levels[changes[following]] > levels[place]
    bid, ask = quotes["bid_quantity"][states[place]], quotes["ask_quantity"][states[place]]
    imbalance = (bid - ask) / (bid + ask)
    cell = np.minimum(((imbalance + 1) * 5).astype(np.int64), 9)
    seen = np.bincount(cell, minlength=10)
    share = np.where(seen >= 10, np.bincount(cell, up, 10) / np.maximum(seen, 1), np.nan)
    sided = imbalance != 0
    right = float((up == (imbalance > 0))[sided].mean()) if sided.any() else float("nan")
    return right, (centres, share)
