"""Codes of the engine: event kinds of a tape, order kinds, times in force, order states, queue models."""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = ["OrderKind", "QueueModel", "Reason", "SelfTrade", "Status", "TapeFlag", "TapeKind", "TimeInForce", "Wake"]


class TapeKind(IntEnum):
    """What an event of a tape says."""

    BID = 0
    """The bid level at a tick now holds this quantity."""
    ASK = 1
    NO_BID = 2
    """The bid level is gone."""
    NO_ASK = 3
    BUY_TRADE = 4
    """A trade whose aggressor bought."""
    SELL_TRADE = 5
    TRADE = 6
    """A trade whose aggressor is unknown."""
    CLEAR_BIDS = 7
    """All bids from the best down to this tick are gone."""
    CLEAR_ASKS = 8
    CLEAR = 9
    """The whole book is gone."""
    GAP = 10
    """Events are missing: nothing is filled across it."""
    FUNDING = 11
    """Funding is paid; the quantity is the rate, the tick the mark price (0: the mid)."""
    ORDER_ADD = 12
    """An order joins the end of its level's queue. These four come besides the events of levels and trades, and only
    say where in a level's queue something happens; side and slot of the order are in the event's ``flags`` and
    ``slot``, see :func:`~marketprism.backtest.tape.order_slot`."""
    ORDER_REDUCE = 13
    """An order loses this quantity and keeps its place."""
    ORDER_DELETE = 14
    """An order leaves with what it had, the quantity."""
    ORDER_EXECUTE = 15
    """An order is executed by this quantity; the trade that did it moves the queue."""


class TapeFlag(IntFlag):
    """Which side of the wire an event is for, in bits above the kind."""

    EXCHANGE = 64
    LOCAL = 128


class OrderKind(IntEnum):
    """Order type."""

    LIMIT = 0
    MARKET = 1


class TimeInForce(IntEnum):
    """How long an order stays."""

    GTC = 0
    """Until cancelled."""
    POST_ONLY = 1
    """Until cancelled; expires at once where it would take."""
    FOK = 2
    """All at once, or nothing."""
    IOC = 3
    """What can be had at once; the rest expires."""


class Status(IntEnum):
    """State of an order, and of a request."""

    NONE = 0
    NEW = 1
    EXPIRED = 2
    FILLED = 3
    CANCELLED = 4
    PARTIALLY_FILLED = 5
    MODIFIED = 6
    REJECTED = 7


class Reason(IntEnum):
    """Why a request was refused, an order ended, or was never sent."""

    NONE = 0
    WOULD_TAKE = 1
    """A post-only order would have taken."""
    NOT_ALL = 2
    """Less than a fill-or-kill order asked for was there."""
    NO_LIQUIDITY = 3
    """What an IOC or market order left had nobody to trade with."""
    SELF_TRADE = 4
    UNKNOWN_ORDER = 5
    """Done already, or not there yet."""
    OFF_GRID = 6
    """The price is no multiple of the tick."""
    OUTSIDE_LADDER = 7
    NOT_LOTS = 8
    """The quantity is no multiple of the lot, or not positive."""
    TOO_SMALL = 9
    RATE_LIMIT = 10
    GAP = 11
    """The market is not observed: between a gap and the next snapshot."""
    END_OF_DATA = 12
    LIQUIDATION = 13
    BANKRUPT = 14
    REDUCED = 15
    """A modification left nothing."""
    POSITION_LIMIT = 16
    LEVERAGE_LIMIT = 17
    TRADE_LOSS = 18
    DAY_LOSS = 19
    ORDER_RATE = 20
    VOLATILITY = 21
    """Scaled by volatility, the size was below the least."""
    KILL_SWITCH = 22


class SelfTrade(IntEnum):
    """What happens where an order would trade with another one of its owner."""

    ALLOW = 0
    CANCEL_NEWEST = 1
    CANCEL_OLDEST = 2
    CANCEL_BOTH = 3


class QueueModel(IntEnum):
    """How cancellations move an order up its queue.

    With ``front`` and ``back`` the quantity ahead and behind, a decrease not explained by trades comes from behind
    with probability p:

    ========================  ===========================================
    RISK_AVERSE               p = 1 as long as the level holds the front
    LOG                       log(1 + back) / (log(1 + back) + log(1 + front))
    LOG_TOTAL                 log(1 + back) / log(1 + back + front)
    POWER                     back^n / (back^n + front^n)
    POWER_TOTAL               back^n / (back + front)^n
    POWER_SHARE               1 - (front / (front + back))^n
    ========================  ===========================================
    """

    RISK_AVERSE = 0
    LOG = 1
    LOG_TOTAL = 2
    POWER = 3
    POWER_TOTAL = 4
    POWER_SHARE = 5


class Wake(IntEnum):
    """Why the engine stopped."""

    END = 0
    """The data are over."""
    TIME = 1
    """The asked-for time was reached."""
    GROW = 2
    """A pool or the log must grow before it can go on."""
