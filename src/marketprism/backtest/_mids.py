"""Mid prices of a tape on the exchange's clock, and what its levels showed when orders arrived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from marketprism.backtest import _calls as call
from marketprism.backtest import _views as view
from marketprism.backtest._layout import NEVER, NO_ASK, NO_BID
from marketprism.backtest._own import place
from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.config import MarketConfig, Mode
from marketprism.backtest.engine import Engine
from marketprism.backtest.tape import Tape
from marketprism.core.errors import DataError
from marketprism.core.kernels import kernel

__all__ = ["Mids", "replay_mids"]

_NEVER, _NO_BID, _NO_ASK = int(NEVER), int(NO_BID), int(NO_ASK)
_EXCHANGE = int(TapeFlag.EXCHANGE)
_ROOM = 1 << 18


@dataclass(frozen=True)
class Mids:
    """Mid prices of one market on the exchange's clock; own orders do not move them.

    Attributes
    ----------
    ts : ndarray of int64, shape (n,)
        When a mid began to hold or was lost, all events of that time included; ns, rising.
    half_ticks : ndarray of int64, shape (n,)
        Bid plus ask in ticks: twice the mid. Where a side is empty, and in a gap, the last one known; before the first
        one, that one.
    known : ndarray of bool, shape (n,)
        False where a side is empty and the mid an older one.
    gaps : ndarray of int64
        When gaps began, ns.
    first_ts, last_ts : int
        First and last exchange time of the tape.
    shown : ndarray of float64
        Answers to the questions asked, base units.
    """

    ts: np.ndarray
    half_ticks: np.ndarray
    known: np.ndarray
    gaps: np.ndarray
    first_ts: int
    last_ts: int
    shown: np.ndarray

    def at(self, ts: np.ndarray) -> np.ndarray:
        """Return twice the mid in ticks after all events up to and including each time."""
        return self._value(np.searchsorted(self.ts, ts, side="right"))

    def before(self, ts: np.ndarray) -> np.ndarray:
        """Return twice the mid in ticks before the events of each time."""
        return self._value(np.searchsorted(self.ts, ts, side="left"))

    def known_at(self, ts: np.ndarray) -> np.ndarray:
        """Return whether there is a mid after all events up to and including each time, and not just an older one."""
        following = np.searchsorted(self.ts, ts, side="right")
        known: np.ndarray = (following > 0) & self.known[np.maximum(following - 1, 0)]
        return known

    def _value(self, following: np.ndarray) -> np.ndarray:
        values: np.ndarray = self.half_ticks[np.maximum(following - 1, 0)]
        return values


@kernel
def _replay(
    e: Any,
    asked_ts: np.ndarray,
    sides: np.ndarray,
    ticks: np.ndarray,
    shown: np.ndarray,
    asked: int,
    mid: int,
    known: bool,
    out: np.ndarray,
) -> tuple[int, int]:
    """Run an engine without orders over its market and note each change of the mid, until the end or ``out`` is full.

    Returns how many were noted, and the first question not answered.
    """
    events = view.events(e)
    market = view.market(e, 0)
    n = 0
    while n < len(out):
        at = market.exchange_at
        while at < market.end and not events[at].kind & 64:
            at += 1
        ts = events[at].exchange_ts if at < market.end else _NEVER
        if asked < len(asked_ts) and asked_ts[asked] < ts:
            level = place(market, sides[asked], ticks[asked])
            shown[asked] = view.depth(e)[level] if level >= 0 else 0.0
            asked += 1
            continue
        if ts == _NEVER:
            break
        call.exchange(e, 0, ts)
        was_mid, was_known = mid, known
        known = market.bid != _NO_BID and market.ask != _NO_ASK
        if known:
            mid = market.bid + market.ask
        if mid != was_mid or known != was_known:
            out[n, 0] = ts
            out[n, 1] = mid
            out[n, 2] = known
            n += 1
    return n, asked


def replay_mids(
    tape: Tape,
    config: MarketConfig | None = None,
    mode: Mode = "strict",
    *,
    asked_ts: np.ndarray | None = None,
    sides: np.ndarray | None = None,
    ticks: np.ndarray | None = None,
) -> Mids:
    """Replay a tape without orders.

    Parameters
    ----------
    tape : Tape
        Of the market.
    config : MarketConfig, optional
        Of the market.
    mode : {"strict", "compat"}
        Whose rules move the book.
    asked_ts, sides, ticks : ndarray of int64, optional
        Questions in the order of time: what did the market show there after all events up to that time.

    Raises
    ------
    DataError
        The book never had two sides.
    """
    # Nobody trades here: latencies of agents would only ask for as many.
    engine = Engine([tape], [(config or MarketConfig()).replace(agent_latency_ms=())], mode=mode)
    nothing = np.zeros(0, np.int64)
    asked_ts, sides, ticks = (nothing if a is None else a for a in (asked_ts, sides, ticks))
    shown = np.zeros(len(asked_ts))
    found, asked, last = [np.zeros((0, 3), np.int64)], 0, (0, 0, 0)
    while True:
        out = np.empty((_ROOM, 3), np.int64)
        n, asked = _replay(engine.pointer, asked_ts, sides, ticks, shown, asked, last[1], bool(last[2]), out)
        found.append(out[:n].copy())
        if n < _ROOM:
            break
        last = tuple(out[-1].tolist())
    changes = np.concatenate(found)
    if not len(changes):
        raise DataError(f"the book of {tape.key or 'a market'} never had two sides", hint="there is no mid price")
    kind = tape.events["kind"]
    happened = kind & _EXCHANGE != 0
    times = tape.events["exchange_ts"]
    ends = np.flatnonzero(happened)[[0, -1]]
    return Mids(
        changes[:, 0].copy(),
        changes[:, 1].copy(),
        changes[:, 2] != 0,
        times[happened & (kind & 63 == TapeKind.GAP)],
        int(times[ends[0]]),
        int(times[ends[1]]),
        shown,
    )
