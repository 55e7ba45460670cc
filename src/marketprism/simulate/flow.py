"""Order flow: the orders behind a recording, the best quotes over time, and the size of a typical order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from marketprism.core.errors import DataError
from marketprism.core.timebase import NS
from marketprism.simulate.flow_kernel import FLOW_DTYPE, NONE, QUOTE_DTYPE, expose, scan
from marketprism.simulate.recording import Recording, What

__all__ = ["Order", "OrderFlow", "order_flow"]

_MOST_TICKS = 1 << 22
_MODES = {"opposite": 0, "behind": 1, "reference": 2}


class Order(IntEnum):
    """What an order of the flow is."""

    LIMIT = 0
    CANCEL = 1
    MARKET = 2


@dataclass(frozen=True)
class OrderFlow:
    """What happened in a market, order by order.

    Attributes
    ----------
    recording : Recording
        What it was read from.
    orders : ndarray of FLOW_DTYPE
        ``ts``, ``what`` (:class:`Order`), ``side`` of the book (1 bids, -1 asks; for a market order the queue that it
        hits), ``tick``, ``quantity``, and what was there before: ``level`` at the tick, ``bid``, ``ask``,
        ``bid_quantity``, ``ask_quantity``.
    quotes : ndarray of QUOTE_DTYPE
        Best quotes from ``ts`` on; tick -1 where a side is empty or the book is not known.
    unit : float
        Mean quantity of a market order, base units: queues and volumes are counted in it.
    end_ns : int
        Until when the last state of ``quotes`` lasted.
    """

    recording: Recording
    orders: np.ndarray
    quotes: np.ndarray
    unit: float
    end_ns: int

    @property
    def valid(self) -> np.ndarray:
        """Whether each state of ``quotes`` has both sides, uncrossed."""
        q = self.quotes
        return np.asarray((q["bid"] != NONE) & (q["ask"] > q["bid"]))

    @property
    def seconds(self) -> np.ndarray:
        """How long each state of ``quotes`` lasted, 0 where it is not valid."""
        ends = np.append(self.quotes["ts"][1:], self.end_ns)
        return np.asarray(np.where(self.valid, (ends - self.quotes["ts"]) / NS, 0.0))

    @property
    def span_s(self) -> float:
        """Seconds during which the book was valid."""
        return float(self.seconds.sum())

    def market_orders(self) -> np.ndarray:
        """Return the market orders alone."""
        return np.asarray(self.orders[self.orders["what"] == Order.MARKET])

    def between(self, start_ns: int, end_ns: int) -> OrderFlow:
        """Return orders and quotes of a part of the time, with the same unit."""
        first = max(int(np.searchsorted(self.quotes["ts"], start_ns, "right")) - 1, 0)
        quotes = self.quotes[first : int(np.searchsorted(self.quotes["ts"], end_ns, "left"))].copy()
        quotes["ts"][:1] = np.maximum(quotes["ts"][:1], start_ns)
        orders = self.orders[np.searchsorted(self.orders["ts"], start_ns) : np.searchsorted(self.orders["ts"], end_ns)]
        return OrderFlow(self.recording, orders, quotes, self.unit, min(end_ns, self.end_ns))

    def exposure(
        self, anchor: str, levels: int, sizes: int = 2, reference: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return how long queues had each size over the whole recording, and the integrals of their sizes.

        Parameters
        ----------
        anchor : {"opposite", "behind", "reference"}
            Where level 1 stands: a tick from the opposite best quote, a tick behind the own best quote, or next to the
            reference price.
        levels, sizes : int
            Levels looked at, and sizes told apart: 0, 1, ..., sizes - 1 and more, in units rounded up.
        reference : int64 ndarray, optional
            For each state of ``quotes``, the tick below the reference price.

        Returns
        -------
        seconds : ndarray, shape (levels, sizes)
            Both sides together.
        units : ndarray, shape (levels,)
            Unit seconds.
        """
        low, ladder = _ladder(self.recording)
        seconds, units = np.zeros((levels, sizes)), np.zeros(levels)
        known = np.zeros(len(self.quotes), np.int64) if reference is None else reference
        expose(
            self.recording.records, low, ladder, _MODES[anchor], self.quotes["ts"].copy(), known, self.unit, seconds,
            units,
        )  # fmt: skip
        return seconds, units

    def behind_opposite(self, orders: np.ndarray) -> np.ndarray:
        """Return the distance of orders from the opposite best quote, ticks: 1 is the nearest that does not trade."""
        opposite = np.where(orders["side"] > 0, orders["ask"], orders["bid"])
        return np.asarray(orders["side"] * (opposite - orders["tick"]))


def _ladder(recording: Recording) -> tuple[int, np.ndarray]:
    records = recording.records
    priced = records["tick"][(records["what"] != What.CLEAR) & (records["what"] != What.LOST)]
    low, high = int(priced.min()), int(priced.max())
    if high - low >= _MOST_TICKS:
        raise DataError(
            f"prices of {recording.key or 'a recording'} span {high - low:,} ticks, at most {_MOST_TICKS:,}",
            hint="leave far levels out",
        )
    return low, np.zeros((2, high - low + 1))


def order_flow(recording: Recording) -> OrderFlow:
    """Read the order flow off a recording.

    A level that grows is a limit order. One that shrinks was traded, as far as trades on it in the second before say
    so, or cancelled. Trades of one side at one time are one market order.

    Raises
    ------
    DataError
        There is no trade, no book, or no time between them.

    Examples
    --------
    >>> from marketprism.simulate.models import market_config, open_market
    >>> from marketprism.simulate.recording import record_market
    >>> flow = order_flow(record_market(open_market("cst", market_config("cst", {"duration_s": 60.0}))))
    >>> flow.unit, [int((flow.orders["what"] == what).sum()) > 50 for what in Order]
    (0.1, [True, True, True])
    """
    records = recording.records
    if len(records) < 2 or not np.isin(records["what"], (What.BID, What.ASK)).any():
        raise DataError(f"{recording.key or 'the recording'} holds no book", hint="calibration needs book and trades")
    low, ladder = _ladder(recording)
    quotes, orders = np.zeros(len(records), QUOTE_DTYPE), np.zeros(len(records), FLOW_DTYPE)
    n, m = scan(records, low, ladder, quotes, orders)
    orders, quotes = orders[:m].copy(), quotes[:n].copy()
    market = orders["what"] == Order.MARKET
    if not market.any():
        raise DataError(
            f"{recording.key or 'the recording'} holds no trade within a valid book",
            hint="calibration needs book and trades",
        )
    unit = float(round(orders["quantity"][market].mean(), 12))
    flow = OrderFlow(recording, orders, quotes, unit, int(records["ts"][-1]))
    if flow.span_s <= 0:
        raise DataError(f"{recording.key or 'the recording'} has no valid book", hint="check the source")
    return flow
