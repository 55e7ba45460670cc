"""Blocks made by hand, for tests of tapes."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from marketprism.backtest.codes import TapeKind
from marketprism.backtest.tape import Tape
from marketprism.core.block import EventBlock
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import empty_rows

SPOT = Instrument(
    exchange="binance", market_type="spot", symbol="BTC-USDT", tick_size=Decimal("0.1"), sequencing="binance_spot"
)

PLAIN = Instrument(exchange="sim", market_type="spot", symbol="A-B", tick_size=Decimal("0.1"))

SNAPSHOT, DELTA, TRADE, QUOTE, GAP = (
    EventKind.BOOK_SNAPSHOT,
    EventKind.BOOK_DELTA,
    EventKind.TRADE,
    EventKind.QUOTE,
    EventKind.GAP,
)

ADD, MODIFY, DELETE, EXECUTE = (
    EventKind.ORDER_ADD,
    EventKind.ORDER_MODIFY,
    EventKind.ORDER_DELETE,
    EventKind.ORDER_EXECUTE,
)


def message(kind: EventKind, ts: int, levels: list[tuple[int, int, float]], ids=(-1, -1, -1), recv: int | None = None):
    rows = empty_rows(len(levels))
    rows["kind"], rows["ts_event"], rows["ts_recv"] = kind, ts, ts + 5 if recv is None else recv
    rows["first_id"], rows["event_id"], rows["previous_id"] = ids
    for row, (side, price, quantity) in zip(rows, levels, strict=True):
        row["side"], row["price"], row["quantity"] = side, price, quantity
    rows["flags"][0] |= Flag.FIRST
    rows["flags"][-1] |= Flag.LAST
    return rows


def block(*messages: np.ndarray, instrument: Instrument = PLAIN) -> EventBlock:
    return EventBlock(np.concatenate(messages), (instrument,))


def told(tape: Tape) -> list[tuple[str, int, float]]:
    return [(TapeKind(e["kind"] & 63).name, int(e["tick"]), float(e["quantity"])) for e in tape.events]


BOOK = message(SNAPSHOT, 100, [(1, 99, 2.0), (1, 98, 1.0), (-1, 101, 3.0), (-1, 102, 0.25)])


def order(kind: EventKind, ts: int, number: int, side: int = 0, price: int = 0, quantity: float = 0.0) -> np.ndarray:
    rows = message(kind, ts, [(side, price, quantity)])
    rows["event_id"] = number
    return rows


ORDERS = block(
    order(DELETE, 5, 78, -1, 101, 0.0),  # unknown: a book without levels begins
    order(ADD, 10, 1, 1, 99, 2.0),
    order(ADD, 20, 2, 1, 99, 3.0),
    order(ADD, 30, 3, -1, 101, 1.0),
    order(EXECUTE, 40, 1, 0, 0, 0.5),
    order(MODIFY, 45, 2, 1, 99, 2.0),  # less: keeps its place
    order(MODIFY, 50, 2, 1, 98, 1.0),  # another price: goes
    order(DELETE, 60, 3, -1, 101, 0.0),
    order(DELETE, 70, 77, -1, 101, 0.0),  # unknown
    order(EXECUTE, 80, 1, 0, 0, 9.0),  # all that is left
)
