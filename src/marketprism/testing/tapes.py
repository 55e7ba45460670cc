"""Seeded market tapes that go through everything that happens to a book, and transforms of tapes."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag, GapReason
from marketprism.core.random import stream
from marketprism.core.rows import ROW_DTYPE, empty_rows
from marketprism.core.schema import payload_dtype

__all__ = ["market_tape", "mirrored", "scaled", "without_book"]

_MIDDLE = 100_000
_LEVELS = 28
_GAPS = (0.05, 0.1, 0.2, 0.95)  # shares of the tape at which data go missing; a long stretch lies between
_START = 1_723_161_255_030_314_667
_INSTRUMENT = Instrument(exchange="sim", market_type="spot", symbol="TAPE-USDT", tick_size=Decimal("0.01"))


class _Writer:
    """Collects messages; keeps the book that the messages describe."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.parts: list[np.ndarray] = []
        self.now = _START
        self.books: tuple[dict[int, float], dict[int, float]] = ({}, {})
        self.gaps = 0

    def size(self) -> float:
        return float(self.rng.integers(1, 200)) / 8  # dyadic: scaled and mirrored tapes stay exact

    def message(self, rows: np.ndarray) -> None:
        rng = self.rng
        # Bursts at one time, ordinary waits, rare silence; the exchange clock may step back a little.
        wait = rng.choice([0, 1, 2], p=[0.3, 0.69, 0.01])
        self.now += (0, int(rng.exponential(3e8)), int(rng.exponential(9e9)))[wait]
        rows["ts_event"] = self.now - int(rng.choice([0, 1_000_000], p=[0.9, 0.1]))
        rows["ts_recv"] = self.now + 5_000_000
        rows["flags"][0] |= Flag.FIRST
        rows["flags"][-1] |= Flag.LAST
        self.parts.append(rows)

    def snapshot(self) -> None:
        middle = _MIDDLE + int(self.rng.integers(-50, 50))
        self.books = tuple(  # type: ignore[assignment]
            {middle - side * (1 + l + int(self.rng.integers(0, 2))): 8 * self.size() for l in range(_LEVELS)}
            for side in (1, -1)
        )
        levels = [(side, p, q) for side, book in zip((1, -1), self.books, strict=True) for p, q in book.items()]
        self.levels(EventKind.BOOK_SNAPSHOT, levels)

    def levels(self, kind: EventKind, levels: list[tuple[int, int, float]]) -> None:
        rows = empty_rows(len(levels))
        rows["kind"] = kind
        rows["side"], rows["price"], rows["quantity"] = zip(*levels, strict=True)
        self.message(rows)

    def best(self, side: int) -> int:
        book = self.books[0 if side > 0 else 1]
        return (max(book) if side > 0 else min(book)) if book else _MIDDLE - side

    def delta(self) -> None:
        rng = self.rng
        changes: list[tuple[int, int, float]] = []
        for _ in range(int(rng.integers(1, 6))):
            side = int(rng.choice([1, -1]))
            book = self.books[0 if side > 0 else 1]
            other = self.best(-side)
            price = self.best(side) - side * int(rng.integers(-2, 12))
            if (other - price) * side <= 0:
                price = other - side
            if price in book and rng.random() < 0.45:
                del book[price]
                changes.append((side, price, 0.0))
            else:
                book[price] = 8 * self.size()
                changes.append((side, price, book[price]))
        self.levels(EventKind.BOOK_DELTA, changes)

    def odd_book(self) -> None:
        """Make the book one-sided, locked or crossed for a message, then put it right by a snapshot."""
        side = int(self.rng.choice([1, -1]))
        how = self.rng.choice(["empty", "lock", "cross"])
        book = self.books[0 if side > 0 else 1]
        if how == "empty":
            self.levels(EventKind.BOOK_DELTA, [(side, price, 0.0) for price in sorted(book)])
        else:
            price = self.best(-side) + side * (1 if how == "cross" else 0)
            self.levels(EventKind.BOOK_DELTA, [(side, price, 8 * self.size())])
        self.trade()
        self.snapshot()

    def trade(self) -> None:
        rng = self.rng
        for _ in range(int(rng.integers(1, 4))):
            rows = empty_rows(1)
            side = int(rng.choice([1, -1, 0], p=[0.5, 0.4, 0.1]))
            rows["kind"], rows["side"], rows["quantity"] = EventKind.TRADE, side, self.size()
            rows["price"] = self.best(-side if side else 1) + int(rng.choice([0, 0, 1, -1]))
            rows["flags"] = int(rng.choice([0, Flag.HIDDEN, Flag.AUCTION], p=[0.9, 0.05, 0.05]))
            self.message(rows)

    def gap(self) -> None:
        rows = empty_rows(1)
        rows["kind"], rows["payload"] = EventKind.GAP, self.gaps
        self.gaps += 1
        self.message(rows)
        if self.rng.random() < 0.5:
            self.trade()  # while the book is unknown
        self.snapshot()


def market_tape(messages: int = 2000, *, seed: int = 0) -> EventBlock:
    """Return a tape with deep L2 updates, trades of all sorts, odd books, gaps, bursts and silence.

    Quantities are multiples of 1/8, so that sums are exact.

    Parameters
    ----------
    messages : int
        About how many messages.
    seed : int
        Seed; equal seeds give equal bytes.

    Examples
    --------
    >>> sorted(market_tape(500).counts())
    ['gap', 'orderbook_delta', 'orderbook_snapshot', 'trade']
    """
    writer = _Writer(stream(seed, "market-tape"))
    writer.trade()
    writer.snapshot()
    actions = (writer.delta, writer.trade, writer.odd_book)
    for share in (*_GAPS, 1.0):
        while len(writer.parts) < share * messages:
            actions[int(writer.rng.choice(3, p=[0.75, 0.245, 0.005]))]()
        if share < 1:
            writer.gap()
    gaps = np.zeros(writer.gaps, payload_dtype(EventKind.GAP))
    gaps["reason"] = GapReason.DISCONNECT
    return EventBlock(np.concatenate(writer.parts), (_INSTRUMENT,), {int(EventKind.GAP): gaps})


def mirrored(block: EventBlock) -> EventBlock:
    """Return the tape seen in the mirror: bids and asks, buyers and sellers swapped, prices reflected."""
    rows = block.rows.copy()
    priced = rows["price"] != 0
    top = int(rows["price"].max()) + int(rows["price"][priced].min()) if priced.any() else 0
    rows["price"] = np.where(priced, top - rows["price"], 0)
    rows["side"] = -rows["side"]
    return EventBlock(rows, block.instruments, block.payloads)


def scaled(block: EventBlock, factor: float) -> EventBlock:
    """Return the tape with all quantities times ``factor`` (a power of two keeps every bit of the rest)."""
    rows = block.rows.copy()
    rows["quantity"] *= factor
    return EventBlock(rows, block.instruments, block.payloads)


def without_book(block: EventBlock) -> EventBlock:
    """Return the tape without anything that makes a book."""
    rows = block.rows
    low, high, quote = EventKind.BOOK_SNAPSHOT, EventKind.ORDER_EXECUTE, EventKind.QUOTE
    kept = rows[~(((rows["kind"] >= low) & (rows["kind"] <= high)) | (rows["kind"] == quote))]
    return EventBlock(np.ascontiguousarray(kept, ROW_DTYPE), block.instruments, block.payloads)
