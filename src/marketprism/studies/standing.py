"""Who stands where: places of makers' orders in the queues of their shared world, from what the exchange answered."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketprism.backtest.engine import Engine

__all__ = ["Standing", "first_in_line", "standings"]

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Standing:
    """How the orders of one maker joined the queues.

    Attributes
    ----------
    joins : int
        Times an order joined the end of a queue: new, or moved there.
    behind : float
        Share of them that found an order of another maker of the same world at the price; NaN without any.
    """

    joins: int
    behind: float


@dataclass(frozen=True, slots=True)
class _Places:
    """Stays of orders at a price, one each: whose, where, from and until when (exchange clock, ns)."""

    world: _Ints
    agent: _Ints
    side: _Ints
    tick: _Ints
    since: _Ints
    until: _Ints

    def of(self, chosen: npt.NDArray[np.bool_]) -> _Places:
        return _Places(*(getattr(self, name)[chosen] for name in self.__slots__))


def standings(engine: Engine) -> list[Standing]:
    """Return how each maker's orders joined the queues, worlds first, their agents within.

    Parameters
    ----------
    engine : Engine
        One market, strict mode, run to its end; at most one order a side for each maker.
    """
    places = _places(engine)
    rivals = _rivals_ahead(places)
    found = []
    for world in range(engine.lanes):
        for agent in range(engine.agents):
            mine = rivals[(places.world == world) & (places.agent == agent)]
            found.append(Standing(len(mine), float((mine > 0).mean()) if len(mine) else math.nan))
    return found


def first_in_line(engine: Engine) -> tuple[float, float]:
    """Return for how long the two makers of one world stood at the same price, and how much of that agent 0 was first.

    Parameters
    ----------
    engine : Engine
        As of :func:`standings`, with one world of two makers.

    Returns
    -------
    seconds, share : float
        Both sides of the book added up; the share is NaN if they never met. First is who joined the price's queue
        earlier; of the same nanosecond agent 0, whom the exchange serves first.
    """
    places = _places(engine)
    met = ahead = 0
    for side in (1, -1):
        here = places.of(places.side == side)
        first, second = (here.of(here.agent == agent) for agent in (0, 1))
        edges = np.unique(np.concatenate([first.since, first.until, second.since, second.until]))
        if len(first.since) == 0 or len(second.since) == 0 or len(edges) < 2:
            continue
        starts, lasts = edges[:-1], np.diff(edges)
        one, one_there = _holding(first, starts)
        two, two_there = _holding(second, starts)
        both = one_there & two_there & (first.tick[one] == second.tick[two])
        met += int(lasts[both].sum())
        ahead += int(lasts[both & (first.since[one] <= second.since[two])].sum())
    return met / 1e9, ahead / met if met else math.nan


def _holding(places: _Places, at: _Ints) -> tuple[_Ints, npt.NDArray[np.bool_]]:
    """Return which of one maker's stays on one side, ordered by time, holds at each time, and whether it does."""
    which = np.searchsorted(places.since, at, side="right") - 1
    safe = np.maximum(which, 0)
    return safe, (which >= 0) & (places.until[safe] > at)


def _places(engine: Engine) -> _Places:
    """Cut the log into stays, ordered by when they began: a change of price, or a larger size, is a new stay."""
    import polars as pl

    refused = (pl.col("request") == "rejected") | pl.col("status").is_in(["rejected", "none"])
    log = engine.responses().filter(~refused)
    # Of one order: in the order of the exchange, within a nanosecond by what was left.
    log = log.sort(["id", "exchange_ts", "leaves"], descending=[False, False, True], maintain_order=True)
    ids, ts, tick, leaves = (log[name].to_numpy() for name in ("id", "exchange_ts", "tick", "leaves"))
    status = log["status"].to_numpy()
    same = np.append(False, ids[1:] == ids[:-1]) if len(ids) else np.zeros(0, np.bool_)
    was_tick, was_left = np.roll(tick, 1), np.roll(leaves, 1)
    keeps = same & (tick == was_tick) & (leaves <= was_left)
    rests = np.isin(status, ("new", "modified", "partially_filled")) & (leaves > 0)
    joins = rests & ~(keeps & (status != "new"))
    ends = joins | ~rests
    # A stay lasts until the next row of its order that ends one, or to the end of the tape.
    at = np.flatnonzero(joins)
    enders = np.flatnonzero(ends)
    following = np.searchsorted(enders, at, side="right")
    known = following < len(enders)
    nexts = enders[np.minimum(following, max(len(enders) - 1, 0))] if len(enders) else at
    known &= ids[nexts] == ids[at]
    last = int(engine.tapes[0].events["exchange_ts"].max())
    until = np.where(known, ts[nexts], last)
    places = _Places(
        world=log["lane"].to_numpy().astype(np.int64)[at],
        agent=log["agent"].to_numpy().astype(np.int64)[at],
        side=log["side"].to_numpy().astype(np.int64)[at],
        tick=tick[at].astype(np.int64),
        since=ts[at].astype(np.int64),
        until=until.astype(np.int64),
    )
    # What expires where it was moved to has not stood there.
    places = places.of(places.until > places.since)
    order = np.lexsort([places.agent, places.since])
    return _Places(*(getattr(places, name)[order] for name in places.__slots__))


def _rivals_ahead(places: _Places) -> _Ints:
    """Return how many orders of other makers stood at the same price when each stay began."""
    n = len(places.since)
    if not n:
        return np.zeros(0, np.int64)
    # Ends and beginnings of all stays at each price, in the order of time; ends come first, as on the exchange.
    beginning = np.append(np.zeros(n, np.int64), np.ones(n, np.int64))
    ts = np.append(places.until, places.since)
    who = np.tile(np.arange(n), 2)
    world, side, tick, agent = (np.tile(getattr(places, name), 2) for name in ("world", "side", "tick", "agent"))
    order = np.lexsort([agent, beginning, ts, tick, side, world])
    step = np.where(beginning[order] == 1, 1, -1)
    standing = np.cumsum(step)  # Every stay that begins ends: prices add up to nothing.
    ahead = np.zeros(n, np.int64)
    begins = beginning[order] == 1
    ahead[who[order][begins]] = standing[begins] - 1
    return ahead
