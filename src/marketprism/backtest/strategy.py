"""Own strategies: a plain Python class that is woken and told of fills, or a compiled function that decides.

A file holds either of them, and ``path.py:Name`` runs it. A compiled one is

``@njit`` ``def decide(e, account, market, parameters, state, signals): ...``

called at every wake for every account of every market, with :mod:`~marketprism.backtest.look` to see and
:mod:`~marketprism.backtest.actions` to act by. ``parameters`` are the values of the file's ``PARAMETERS`` (names and
numbers, in its order), ``state`` is an array that keeps what the function writes there, ``signals`` the latest values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import numpy as np
from numba import njit

from marketprism.backtest import _views as view
from marketprism.backtest import actions
from marketprism.backtest._layout import NO_ASK, NO_BID
from marketprism.backtest.actions import advance, advance_to_feed, forget
from marketprism.backtest.codes import OrderKind, Status, TimeInForce, Wake
from marketprism.backtest.engine import Engine
from marketprism.backtest.look import data_over
from marketprism.backtest.signals import SignalTape, latest_signal
from marketprism.core.errors import ConfigError, DataError, did_you_mean

__all__ = ["Desk", "Fill", "OpenOrder", "Strategy", "drive_decide", "run_strategies"]

_DAY = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order as the local side knows it: its price in quote currency, what is left, and whether a request is out."""

    id: int
    side: int
    price: float
    leaves: float
    status: Status
    in_flight: bool


@dataclass(frozen=True, slots=True)
class Fill:
    """An execution, when it was heard (ns, local clock); ``side`` 1 bought, -1 sold."""

    id: int
    ts: int
    side: int
    price: float
    quantity: float
    maker: bool
    fee: float


class Strategy:
    """Base of own strategies; class attributes with annotations are its parameters.

    Examples
    --------
    >>> class Quiet(Strategy):
    ...     '''Does nothing.'''
    ...
    ...     width: float = 2.0
    >>> Quiet(width="3").width
    3.0
    """

    def __init__(self, **parameters: Any) -> None:
        known = self.parameters()
        for name, value in parameters.items():
            if name not in known:
                raise ConfigError(f"{type(self).__name__} has no parameter {name!r}", hint=did_you_mean(name, known))
            try:
                setattr(self, name, msgspec.convert(value, type(known[name]), strict=False))
            except msgspec.ValidationError as error:
                raise ConfigError(f"{name} was {value!r}: {error}", hint=f"the default is {known[name]!r}") from error

    @classmethod
    def parameters(cls) -> dict[str, Any]:
        """Return the parameters and their defaults."""
        names = [name for kind in reversed(cls.__mro__) for name in vars(kind).get("__annotations__", {})]
        return {name: getattr(cls, name) for name in names if hasattr(cls, name)}

    def on_start(self, desk: Desk) -> None:
        """Prepare; comes once, before the first wake."""

    def on_wake(self, desk: Desk) -> None:
        """Decide; comes at every wake."""

    def on_fill(self, desk: Desk, fill: Fill) -> None:
        """Hear of an execution; comes before the wake at which it is known."""


class Desk:
    """What a strategy sees and does in one market, by one account: only what the local side has heard.

    Parameters
    ----------
    engine : Engine
        With the account.
    account : int
        ``lane * agents + agent``.
    market : int
        Number of the market.
    signals : SignalTape, optional
        Read up to now.
    """

    def __init__(self, engine: Engine, account: int, market: int = 0, signals: SignalTape | None = None) -> None:
        self._engine, self.account, self._index = engine, account, market
        self._tape, self._row = signals, -1

    def market(self, index: int) -> Desk:
        """Return the desk of the same account in another market."""
        return Desk(self._engine, self.account, index, self._tape)

    @property
    def _market(self) -> Any:
        return self._engine.markets[self._index]

    @property
    def _account(self) -> Any:
        return self._engine.accounts[self._index, self.account]

    @property
    def now(self) -> int:
        """Local time, ns."""
        return int(self._engine.clock["now"][0])

    @property
    def tick_size(self) -> float:
        """Of the market, quote currency."""
        return float(self._market["tick_size"])

    @property
    def lot_size(self) -> float:
        """Of the market, base units."""
        return float(self._market["lot_size"])

    @property
    def bid(self) -> float | None:
        """Best bid, quote currency; None: nobody bids."""
        tick = int(self._market["known_bid"])
        return None if tick == NO_BID else tick * self.tick_size

    @property
    def ask(self) -> float | None:
        """Best ask, quote currency; None: nobody asks."""
        tick = int(self._market["known_ask"])
        return None if tick == NO_ASK else tick * self.tick_size

    def depth(self, side: int, levels: int = 5) -> list[tuple[float, float]]:
        """Return the best levels of a side (1 bids, -1 asks) as price and quantity, from the best outward."""
        market, found = self._market, []
        best = int(market["known_bid"] if side > 0 else market["known_ask"])
        if best in (NO_BID, NO_ASK):
            return []
        last = int(market["known_lowest_bid"] if side > 0 else market["known_highest_ask"])
        base = 2 * int(market["offset"]) - int(market["low"]) + (0 if side > 0 else int(market["size"]))
        known = self._engine.array("known")
        for tick in range(best, last - side, -side):
            if known[base + tick] > 0:
                found.append((tick * self.tick_size, float(known[base + tick])))
                if len(found) == levels:
                    break
        return found

    @property
    def position(self) -> float:
        """As heard, base units or contracts."""
        return float(self._account["position"])

    @property
    def cash(self) -> float:
        """As heard, quote currency (base currency of an inverse contract), fees not included."""
        return float(self._account["cash"])

    @property
    def fees(self) -> float:
        """Paid as heard."""
        return float(self._account["fees"])

    @property
    def signals(self) -> Mapping[str, float]:
        """Latest values known, by name; NaN where there is none yet."""
        if self._tape is None:
            return {}
        self._row = int(latest_signal(self._tape.ts, self.now, self._row))
        if self._row < 0:
            return dict.fromkeys(self._tape.names, math.nan)
        return dict(zip(self._tape.names, self._tape.values[self._row].tolist(), strict=True))

    def _slots(self) -> list[int]:
        orders, slot, found = self._engine.array("orders"), int(self._account["first"]), []
        while slot >= 0:
            if orders[slot]["status"] not in (Status.EXPIRED, Status.FILLED, Status.CANCELLED, Status.REJECTED):
                found.append(slot)
            slot = int(orders[slot]["local_next"])
        return found

    def _slot(self, order: int) -> int:
        orders = self._engine.array("orders")
        return next((slot for slot in self._slots() if orders[slot]["id"] == order), -1)

    @property
    def orders(self) -> list[OpenOrder]:
        """Own orders that are not known to be done, oldest first."""
        orders, tick = self._engine.array("orders"), self.tick_size
        return [
            OpenOrder(
                id=int(orders[s]["id"]),
                side=int(orders[s]["side"]),
                price=float(orders[s]["tick"] * tick),
                leaves=float(orders[s]["known_leaves"]),
                status=Status(orders[s]["status"]),
                in_flight=bool(orders[s]["request"]),
            )
            for s in self._slots()
        ]

    def submit(
        self, side: int, price: float, quantity: float, *, kind: str = "limit", time_in_force: str = "post_only"
    ) -> int:
        """Send an order and return its id; -1 where risk limits keep it back.

        Parameters
        ----------
        side : {1, -1}
            Buy or sell.
        price, quantity : float
            Quote currency (a market order's does not count), base units.
        kind : {"limit", "market"}
            Order type.
        time_in_force : {"post_only", "gtc", "ioc", "fok"}
            How long it stays.
        """
        kinds, forces = [k.name.lower() for k in OrderKind], [f.name.lower() for f in TimeInForce]
        if side not in (1, -1):
            raise DataError(f"side was {side}", hint="1 buys, -1 sells")
        for value, known in ((kind, kinds), (time_in_force, forces)):
            if value not in known:
                raise DataError(f"an order was {value!r}", hint=did_you_mean(value, known))
        if not (math.isfinite(price) and math.isfinite(quantity)):
            raise DataError(f"price was {price}, quantity {quantity}", hint="they must be finite")
        slot = actions.submit_at(
            self._engine.pointer,
            self.account,
            self._index,
            side,
            float(price),
            float(quantity),
            kinds.index(kind),
            forces.index(time_in_force),
        )
        return int(self._engine.array("orders")[slot]["id"]) if slot >= 0 else -1

    def cancel(self, order: int) -> bool:
        """Ask for a cancellation; False where the order is done or a request is in flight."""
        slot = self._slot(order)
        return slot >= 0 and bool(actions.cancel(self._engine.pointer, slot))

    def modify(self, order: int, price: float, quantity: float) -> bool:
        """Ask for another price and total quantity; False where the order cannot be changed now."""
        slot = self._slot(order)
        tick = round(price / self.tick_size)
        return slot >= 0 and bool(actions.modify(self._engine.pointer, slot, tick, float(quantity)))


def run_strategies(
    engine: Engine, strategies: Sequence[Strategy], *, interval_ns: int, signals: SignalTape | None = None
) -> None:
    """Run one Python strategy for each account (``lane * agents + agent``); 0 ns: woken at every feed event.

    Raises
    ------
    ConfigError
        There are more or fewer strategies than accounts.
    """
    accounts = engine.lanes * engine.agents
    if len(strategies) != accounts:
        raise ConfigError(f"{len(strategies)} strategies for {accounts} accounts", hint="one for each")
    desks = [[Desk(engine, a, m, signals) for m in range(len(engine.tapes))] for a in range(accounts)]
    engine.run(partial(_drive, engine, strategies, desks, interval_ns, [0, 0]))


def _drive(
    engine: Engine,
    strategies: Sequence[Strategy],
    desks: Sequence[Sequence[Desk]],
    interval_ns: int,
    seen: list[int],
    _pointer: Any,
) -> int:
    while True:
        pointer = engine.pointer
        code = int(advance(pointer, interval_ns) if interval_ns > 0 else advance_to_feed(pointer, _DAY))
        if code != Wake.GROW:
            _tell(engine, strategies, desks, seen)
        if code != Wake.TIME:
            return code
        if data_over(pointer):
            continue
        if not seen[1]:
            seen[1] = 1
            for strategy, desk in zip(strategies, desks, strict=True):
                strategy.on_start(desk[0])
        for account, strategy in enumerate(strategies):
            for market in range(len(engine.tapes)):
                forget(pointer, account, market)
            strategy.on_wake(desks[account][0])


def _tell(engine: Engine, strategies: Sequence[Strategy], desks: Sequence[Sequence[Desk]], seen: list[int]) -> None:
    """Tell the strategies of the fills heard since the last time."""
    for rows in engine.heard(seen[0]):
        seen[0] += len(rows)
        for row in rows[rows["executed"] > 0]:
            account = int(row["account"]) % len(strategies)
            fill = Fill(
                id=int(row["id"]),
                ts=int(row["ts"]),
                side=int(row["side"]),
                price=float(row["executed_tick"] * engine.markets[row["market"]]["tick_size"]),
                quantity=float(row["executed"]),
                maker=bool(row["maker"]),
                fee=float(row["fee"]),
            )
            strategies[account].on_fill(desks[account][int(row["market"])], fill)


@njit
def drive_decide(
    e: Any,
    decide: Callable[..., Any],
    interval: int,
    parameters: np.ndarray,
    state: np.ndarray,
    at: np.ndarray,
    signal_ts: np.ndarray,
    signal_values: np.ndarray,
) -> int:
    """Call a compiled ``decide`` at every wake for every account of every market; rows of arrays are accounts."""
    nothing = np.full(signal_values.shape[1], np.nan)
    lanes, markets = view.clock(e).lanes, view.clock(e).markets
    while True:
        code = advance(e, interval) if interval > 0 else advance_to_feed(e, _DAY)
        if code != 1:
            return int(code)
        if data_over(e):
            continue
        at[0] = latest_signal(signal_ts, view.clock(e).now, at[0])
        signals = signal_values[at[0]] if at[0] >= 0 else nothing
        for lane in range(lanes):
            for index in range(markets):
                forget(e, lane, index)
                decide(e, lane, index, parameters[lane], state[index * lanes + lane], signals)
