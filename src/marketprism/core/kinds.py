"""Codes carried by event rows: kinds, flags, sides and gap reasons.

The codes are written into rows, saved states and files: numbers are never reused or renumbered.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = ["EventKind", "Flag", "GapReason", "Side"]


class EventKind(IntEnum):
    """What one row of a block says. Kernels read the number, people read the name."""

    BOOK_SNAPSHOT = 1
    """One level of a full book; the row flagged FIRST clears the book before it is applied."""
    BOOK_DELTA = 2
    """One level of an L2 update: absolute quantity at a price, 0 removes the level."""
    ORDER_ADD = 3
    """L3: a new resting order (``event_id`` is the order id, ``quantity`` its size)."""
    ORDER_MODIFY = 4
    """L3: the order now rests with this price and remaining quantity."""
    ORDER_DELETE = 5
    """L3: the order left the book (``quantity`` is what was left, 0 if unknown)."""
    ORDER_EXECUTE = 6
    """L3: the resting order was executed for ``quantity`` (what rests shrinks by it)."""
    TRADE = 7
    """A public trade; ``side`` is the aggressor, 0 where the source does not say."""
    QUOTE = 8
    """One side of a best quote (a two-sided quote is a bid row then an ask row of one message)."""
    FUNDING_RATE = 16
    OPEN_INTEREST = 17
    LIQUIDATION = 18
    LONG_SHORT_RATIO = 19
    VOLATILITY_INDEX = 20
    OPTION_TICKER = 21
    GAP = 22
    """Data are missing from here on: the book is invalid until the next snapshot."""


class Flag(IntFlag):
    """Bits of a row's ``flags``."""

    FIRST = 1
    """First row of its message."""
    LAST = 2
    """Last row of its message: the state of the world is consistent after this row, and only then."""
    AUCTION = 4
    """The row belongs to a call auction: not a continuous-trading price."""
    DERIVED = 8
    """The source does not send this row; it was inferred (a trade from two cumulative volumes)."""
    HIDDEN = 16
    """A trade against hidden liquidity: displayed depth is untouched."""


class Side(IntEnum):
    """Side of a book row (BID rests to buy) or aggressor of a trade (BUY lifts the ask)."""

    ASK = -1
    NONE = 0
    BID = 1

    SELL = -1
    BUY = 1


class GapReason(IntEnum):
    """Why a gap was written."""

    SEQUENCE = 1
    """Update ids skip: messages were lost."""
    DISCONNECT = 2
    SESSION_BREAK = 3
    """The market is closed or in a call auction; nothing was lost, but nothing is continuous either."""
    CROSSED = 4
    """The book stayed crossed beyond tolerance."""
    HALT = 5
    RESET = 6
    """The venue restarted its numbering."""
    STALL = 7
    OTHER = 99
