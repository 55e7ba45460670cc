"""Executions told from the shrinking of orders, for feeds that send only what is left of an order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import NO_ID

__all__ = ["ANY", "Event", "Executed", "OrderTracker", "Shrink"]

_BOTH = int(Flag.FIRST | Flag.LAST)
_FIRST, _LAST = int(Flag.FIRST), int(Flag.LAST)
_RECENT = 64
_REMEMBERED = 65_536
_WINDOW_NS = 1_000_000_000
ANY = -1
"""Lots of a shrinking order whose size was never announced."""


class Event(NamedTuple):
    """One row to write: prices in ticks, quantities in lots."""

    kind: int
    order_id: int
    side: int
    price: int
    lots: int
    flags: int
    other_id: int = NO_ID


class Shrink(NamedTuple):
    """An order that became smaller by ``lots`` without being cancelled (ANY: by an unknown amount)."""

    ts: int
    order_id: int
    side: int
    price: int
    lots: int


class Executed(NamedTuple):
    """The two orders behind a trade, None where not known, and the aggressor's side, 0 where not known."""

    resting: Shrink | None
    aggressor: Shrink | None
    side: int


@dataclass(slots=True)
class OrderTracker:
    """Orders by id; says what each message means and which two orders a trade was between.

    A venue that matches two orders sends both, smaller or gone; the one with the lower id was there first.

    Attributes
    ----------
    unknown : int
        Changes and removals of orders that nobody announced.
    late : int
        Changes of orders that were gone already, left out: a feed may send an order's last partial fill after its
        removal, and taken at its word it would leave a dead order in the book for good.
    """

    unknown: int = 0
    late: int = 0
    _orders: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # side, price, lots
    _gone: dict[int, None] = field(default_factory=dict)
    _recent: deque[Shrink] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def created(self, ts: int, order_id: int, side: int, price: int, lots: int) -> list[Event]:
        """Take a new order; a known id is a change of that order."""
        if order_id in self._orders:
            return self.changed(ts, order_id, side, price, lots)
        self._orders[order_id] = (side, price, lots)
        return [Event(EventKind.ORDER_ADD, order_id, side, price, lots, _BOTH)]

    def changed(self, ts: int, order_id: int, side: int, price: int, lots: int) -> list[Event]:
        """Take an order's new price and size: what it lost is executed, anything else is a modification."""
        if order_id in self._gone:
            self.late += 1
            return []
        old = self._orders.get(order_id)
        self._orders[order_id] = (side, price, lots)
        modified = Event(EventKind.ORDER_MODIFY, order_id, side, price, lots, _BOTH)
        if old is None:
            self.unknown += 1
            return [modified]
        if lots >= old[2] or side != old[0]:
            return [modified]
        executed = self._shrink(ts, order_id, old, old[2] - lots)
        if price == old[1]:
            return [executed]
        return [executed._replace(flags=_FIRST), modified._replace(flags=_LAST)]

    def deleted(self, ts: int, order_id: int, side: int, price: int, lots: int) -> list[Event]:
        """Take an order away with ``lots`` left: 0 is a full execution, the known size a cancellation."""
        old = self._orders.pop(order_id, None)
        self._gone[order_id] = None
        if len(self._gone) > _REMEMBERED:
            del self._gone[next(iter(self._gone))]
        if old is None:
            self.unknown += 1
            if lots == 0:
                self._recent.append(Shrink(ts, order_id, side, price, ANY))
            return [Event(EventKind.ORDER_DELETE, order_id, side, price, lots, _BOTH)]
        if lots >= old[2]:
            return [Event(EventKind.ORDER_DELETE, order_id, old[0], old[1], old[2], _BOTH)]
        executed = self._shrink(ts, order_id, old, old[2] - lots)
        if lots == 0:
            return [executed]
        rest = Event(EventKind.ORDER_DELETE, order_id, old[0], old[1], lots, _LAST)
        return [executed._replace(flags=_FIRST), rest]

    def _shrink(self, ts: int, order_id: int, old: tuple[int, int, int], lots: int) -> Event:
        self._recent.append(Shrink(ts, order_id, old[0], old[1], lots))
        return Event(EventKind.ORDER_EXECUTE, order_id, old[0], old[1], lots, _BOTH)

    def behind_trade(self, ts: int, price: int, lots: int) -> Executed:
        """Return the orders that a trade executed; each is given away once.

        Two opposite orders that shrank by just as much; else one such order and an opposite one of unknown size;
        else one order alone: it rested if the trade was at its price.
        """
        near = [shrink for shrink in self._recent if ts - shrink.ts <= _WINDOW_NS]
        exact = [shrink for shrink in near if shrink.lots == lots]
        for others in (exact, [shrink for shrink in near if shrink.lots == ANY]):
            for one in exact:
                for two in others:
                    if one.side != two.side:
                        return self._give(one, two)
        if not exact:
            return Executed(None, None, 0)
        one = exact[0]
        self._recent.remove(one)
        return Executed(one, None, -one.side) if one.price == price else Executed(None, one, one.side)

    def pair_last(self, slack: int) -> Executed | None:
        """Return the last shrinking order with its counterparty, if that one shrank by as much shortly before.

        ``slack`` lots of difference are forgiven (sizes that went through binary floats). An order of unknown size
        is a counterparty where no other is.
        """
        last = self._recent[-1] if self._recent else None
        if last is None:
            return None
        others = [s for s in self._recent if s.side != last.side and last.ts - s.ts <= _WINDOW_NS]
        known = [s for s in others if ANY not in {s.lots, last.lots} and abs(s.lots - last.lots) <= slack]
        sized = [s for s in others if (s.lots == ANY) != (last.lots == ANY)]
        for other in (*known, *sized[-1:]):
            return self._give(other, last)
        return None

    def _give(self, one: Shrink, two: Shrink) -> Executed:
        self._recent.remove(one)
        self._recent.remove(two)
        resting, aggressor = sorted((one, two), key=lambda shrink: shrink.order_id)
        return Executed(resting, aggressor, aggressor.side)
