"""Event blocks of any source, packed into a tape."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import numpy as np

from marketprism.backtest._layout import EVENT_DTYPE
from marketprism.backtest._trade_times import TradeTimes
from marketprism.backtest._two_clocks import decimals_of, in_two_orders
from marketprism.backtest.codes import TapeKind
from marketprism.backtest.tape import Tape
from marketprism.book.changes import BookChanges, Change
from marketprism.book.config import BookConfig
from marketprism.book.order_steps import STEP_DTYPE, OrderSteps, Step
from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, DataError, did_you_mean
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import ROW_DTYPE

__all__ = ["TapeBuilder", "TapeReport", "tape_from_source"]

_NO_LOT = Decimal("0.00000001")
_ROOM = 65_536
_MOST_TICK = 2**31 - 1
_TRADES = np.array([TapeKind.SELL_TRADE, TapeKind.TRADE, TapeKind.BUY_TRADE], np.uint8)
_CHANGES = np.zeros((2, 8), np.uint8)
_CHANGES[0, [Change.BID, Change.ASK, Change.CLEAR, Change.LOST]] = (
    TapeKind.BID,
    TapeKind.ASK,
    TapeKind.CLEAR,
    TapeKind.GAP,
)
_CHANGES[1] = _CHANGES[0]
_CHANGES[1, [Change.BID, Change.ASK]] = TapeKind.NO_BID, TapeKind.NO_ASK
_STEPS = np.zeros(5, np.uint8)
_STEPS[[Step.JOINED, Step.SHRANK, Step.LEFT, Step.EXECUTED]] = (
    TapeKind.ORDER_ADD,
    TapeKind.ORDER_REDUCE,
    TapeKind.ORDER_DELETE,
    TapeKind.ORDER_EXECUTE,
)
_MOST_SLOTS = 1 << 23
_ORDERS = (EventKind.ORDER_ADD, EventKind.ORDER_MODIFY, EventKind.ORDER_DELETE, EventKind.ORDER_EXECUTE)
_MARKET = (EventKind.BOOK_SNAPSHOT, EventKind.BOOK_DELTA, EventKind.QUOTE, EventKind.TRADE, *_ORDERS)
_TOLD = (*_MARKET, EventKind.GAP, EventKind.FUNDING_RATE)


@dataclass(slots=True)
class TapeReport:
    """What a builder saw and did.

    Attributes
    ----------
    rows, events : int
        Rows read, events of the tape.
    twice : int
        Events stored twice because the two clocks order them differently.
    trades, gaps, fundings : int
        On the tape.
    held : int
        Events whose exchange time lay before one of the same feed, and was set to it.
    worst_latency_ns, shift_ns : int
        Smallest receive minus exchange time on the tape; and what was added to all receive times, or with
        ``latency_ns`` how much later than received, at most, events are heard.
    left_out : dict of str to int
        Rows by the reason they are not on the tape.
    book : dict of str to int
        Integrity counters of the book that sequenced them.
    """

    rows: int = 0
    events: int = 0
    twice: int = 0
    trades: int = 0
    gaps: int = 0
    fundings: int = 0
    held: int = 0
    worst_latency_ns: int = 0
    shift_ns: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    book: dict[str, int] = field(default_factory=dict)

    def leave_out(self, why: str, n: int) -> None:
        """Count rows that are not on the tape."""
        if n:
            self.left_out[why] = self.left_out.get(why, 0) + n


class TapeBuilder:
    """Packs the blocks of one instrument into a tape; memory is that of the tape and the current block.

    Book rows pass through :class:`~marketprism.book.changes.BookChanges`: the venue's sequencing rule decides, stale
    updates are dropped, nothing is told before the first snapshot, and a gap becomes a GAP event that lasts until the
    next snapshot (CLEAR and its levels). Level-1 sources become books of one level a side. L3 orders are added up to
    levels, and told one by one besides. The exchange's clock of a tape is ``ts_event``, the local one ``ts_recv``.

    Parameters
    ----------
    instrument : Instrument
        What to pack.
    lot : Decimal, optional
        Lot size; by default the instrument's, and where that is the finest there is (1e-8, the default of instruments
        that do not say) the smallest decimal step of the quantities seen.
    latency_ns : int, optional
        Receive times are exchange times plus this, whatever the source says. Default: as received.
    negative_latency : {"refuse", "shift"}
        What to do where something was received before the exchange sent it: refuse, or move all receive times by the
        worst case plus ``base_latency_ns``.
    base_latency_ns : int, default 0
        Latency left to the fastest event after a shift.
    levels : int, optional
        Best levels of each side to keep; None: all. A level that falls behind is gone from the tape, so own orders
        must not rest deeper.
    reach_ticks : int, default 1_048_576
        Levels further than this from the first best price are left out (venues keep bids at a cent and asks at a
        million): the engine's ladder spans all ticks of a tape. The market itself must stay within.
    orders : bool, default True
        Tell single orders where the source does, before the changes of levels that they make: strict mode then knows
        places in queues exactly. Not with ``levels``.
    book : BookConfig, optional
        ``start="first_update"`` for recordings without a snapshot; ``crossed_tolerance_ns``: a book crossed for longer
        is a gap.

    Notes
    -----
    A feed's (book's, trades') exchange times never run back: one that does is held at the latest seen and counted.
    A trade stands before the book's changes of the same exchange time, so that a queue model can tell the change it
    caused from cancellations; an order-by-order stream keeps its own order, but a trade reported after the execution
    of the resting order is told before it. Trades of unknown size, of call auctions, against hidden orders (the queue
    shown does not move) and all before the first book are left out and counted. Funding is paid at ``funding_time`` by
    the last rate that was announced before it; a settled rate overrules a predicted one.

    Raises
    ------
    ConfigError
        Unknown option value.
    """

    def __init__(
        self,
        instrument: Instrument,
        *,
        lot: Decimal | None = None,
        latency_ns: int | None = None,
        negative_latency: Literal["refuse", "shift"] = "refuse",
        base_latency_ns: int = 0,
        levels: int | None = None,
        reach_ticks: int = 1 << 20,
        orders: bool = True,
        book: BookConfig = BookConfig(),  # noqa: B008 - frozen
    ) -> None:
        if negative_latency not in {"refuse", "shift"}:
            raise ConfigError(
                f"negative_latency was {negative_latency!r}", hint=did_you_mean(negative_latency, ("refuse", "shift"))
            )
        for name, value in (("latency_ns", latency_ns or 0), ("base_latency_ns", base_latency_ns)):
            if value < 0:
                raise ConfigError(f"{name} was {value}", hint="0 or more")
        if levels is not None and levels < 1:
            raise ConfigError(f"levels was {levels}", hint="1 or more, or None for all")
        if reach_ticks < 1:
            raise ConfigError(f"reach_ticks was {reach_ticks}", hint="1 or more")
        if lot is not None and not (lot.is_finite() and lot > 0):
            raise ConfigError(f"lot was {lot}", hint="it must be finite and positive")
        self.instrument = instrument
        self.report = TapeReport()
        self._lot, self._latency, self._policy, self._base = lot, latency_ns, negative_latency, base_latency_ns
        self._changes = BookChanges(instrument, book, levels=levels or 0)
        self._trade_times = TradeTimes()
        self._steps = OrderSteps(instrument) if orders and levels is None else None
        self._events = np.zeros(_ROOM, EVENT_DTYPE)
        self._count = 0
        self._open = np.zeros(0, ROW_DTYPE)
        self._latest = {"book": -(2**63), "trades": -(2**63)}
        self._begun = self._by_order = False
        self._reach, self._centre = reach_ticks, 0
        self._decimals = 0
        self._funding: dict[int, tuple[float, float, bool]] = {}
        self._worst: int | None = None
        self._fastest = 2**63 - 1

    def push(self, block: EventBlock) -> None:
        """Take a block; rows of other instruments are passed over.

        Raises
        ------
        DataError
            The instrument is not in the block, or a price fits no tape.
        """
        if self.instrument not in block.instruments:
            raise DataError(
                f"the block has no {self.instrument.key}", hint=f"it holds {[i.key for i in block.instruments[:5]]}"
            )
        block = block.only(block.instruments.index(self.instrument))
        self._note_funding(block)
        rows = np.concatenate([self._open, block.rows]) if len(self._open) else block.rows
        ends = np.flatnonzero(rows["flags"] & Flag.LAST)
        cut = int(ends[-1]) + 1 if ends.size else 0
        self._open = rows[cut:].copy()
        if cut:
            self._take(rows[:cut])

    def _take(self, rows: np.ndarray) -> None:
        self.report.rows += len(rows)
        told = rows[np.isin(rows["kind"], _MARKET)]
        self._fastest = min(self._fastest, int((told["ts_recv"] - told["ts_event"]).min(initial=2**63 - 1)))
        other = ~np.isin(rows["kind"], _TOLD)
        for kind, n in zip(*np.unique(rows["kind"][other], return_counts=True), strict=True):
            self.report.leave_out(EventKind(kind).name.lower(), int(n))
        self._by_order |= bool(np.isin(rows["kind"], _ORDERS).any())
        changes = self._changes.changes(rows)
        trade = np.flatnonzero(rows["kind"] == EventKind.TRADE)
        flags, sized = rows["flags"][trade], rows["quantity"][trade] > 0
        auction = (flags & Flag.AUCTION) != 0
        hidden = ~auction & ((flags & Flag.HIDDEN) != 0)
        self.report.leave_out("auction trades", int(auction.sum()))
        self.report.leave_out("hidden trades", int(hidden.sum()))
        self.report.leave_out("trades of unknown size", int((~auction & ~hidden & ~sized).sum()))
        trade = trade[~auction & ~hidden & sized]
        if not self._begun:
            start = np.flatnonzero(changes["change"] <= Change.ASK)
            begin = int(changes["row"][start[0]]) if start.size else len(rows)
            if start.size:
                self._begin(changes[changes["row"] == begin])
            self.report.leave_out("trades before the first book", int((trade < begin).sum()))
            trade = trade[trade >= begin]
        changes = changes[self._within(rows["price"][trade], changes)]
        self._measure(rows["quantity"][trade], changes["quantity"])
        steps = np.zeros(0, STEP_DTYPE)
        if self._steps is not None and self._by_order:
            steps = self._steps.steps(rows, self._centre - self._reach, self._centre + self._reach)
        if len(steps) and steps["slot"].max() >= _MOST_SLOTS:
            raise DataError(f"{self.instrument.key}: over {_MOST_SLOTS:,} orders at once", hint="orders=False")
        self._append(rows, trade, steps, changes)

    def _begin(self, first: np.ndarray) -> None:
        """Note where the market is when the first book begins."""
        bids, asks = (first["tick"][first["change"] == side] for side in (Change.BID, Change.ASK))
        self._centre = int(bids.max() if bids.size else asks.min())
        if self._centre + self._reach > _MOST_TICK:
            raise DataError(
                f"the best price of {self.instrument.key} was {self._centre:,} ticks, tapes hold up to {_MOST_TICK:,}",
                hint="give the instrument its true tick size, or lower reach_ticks",
            )
        self._begun = True

    def _within(self, traded: np.ndarray, changes: np.ndarray) -> np.ndarray:
        """Return which changes are near enough to keep."""
        far = np.flatnonzero(np.abs(traded - self._centre) > self._reach)
        if far.size:
            raise DataError(
                f"{self.instrument.key} traded at {int(traded[far[0]]):,} ticks, {self._reach:,} and more from the "
                f"first best price {self._centre:,}",
                hint="raise reach_ticks, or split the recording",
            )
        keep: np.ndarray = (changes["change"] > Change.ASK) | (np.abs(changes["tick"] - self._centre) <= self._reach)
        self.report.leave_out("changes of far levels", int((~keep).sum()))
        return keep

    def _measure(self, *quantities: np.ndarray) -> None:
        for quantity in quantities:
            self._decimals = int(decimals_of(quantity, self._decimals))

    def _append(self, rows: np.ndarray, trade: np.ndarray, steps: np.ndarray, changes: np.ndarray) -> None:
        """Write trades, steps of orders and changes of levels in order of their rows."""
        t, end = len(trade), len(trade) + len(steps)
        new = np.zeros(end + len(changes), EVENT_DTYPE)
        new["kind"][:t], new["tick"][:t] = _TRADES[rows["side"][trade] + 1], rows["price"][trade]
        new["kind"][t:end], new["tick"][t:end] = _STEPS[steps["step"]], steps["tick"]
        new["flags"][t:end] = steps["slot"] >> 16 | np.where(steps["side"] > 0, 128, 0)
        new["slot"][t:end] = steps["slot"] & 0xFFFF
        new["kind"][end:] = _CHANGES[(changes["quantity"] == 0).astype(np.intp), changes["change"]]
        new["tick"][end:] = changes["tick"]
        new["quantity"] = np.concatenate([rows["quantity"][trade], steps["quantity"], changes["quantity"]])
        at = np.concatenate([trade, steps["row"], changes["row"]])
        order = np.argsort(at, kind="stable")
        at, new = at[order], new[order]
        times = self._trade_times.times(rows) if self._by_order else rows["ts_event"]
        new["exchange_ts"], new["local_ts"] = times[at], rows["ts_recv"][at]
        kind, n = new["kind"], len(new)
        is_trade = (kind >= TapeKind.BUY_TRADE) & (kind <= TapeKind.TRADE)
        for name, mine in (("book", ~is_trade), ("trades", is_trade)):
            self._hold(new, np.flatnonzero(mine), name)
        self.report.trades += int(is_trade.sum())
        self.report.gaps += int((kind == TapeKind.GAP).sum())
        if n:
            worst = int((new["local_ts"] - new["exchange_ts"]).min())
            self._worst = worst if self._worst is None else min(worst, self._worst)
        if self._count + n > len(self._events):
            self._events.resize(max(2 * len(self._events), self._count + n), refcheck=False)
        self._events[self._count : self._count + n] = new
        self._count += n

    def _hold(self, new: np.ndarray, mine: np.ndarray, feed: str) -> None:
        if mine.size:
            times = new["exchange_ts"][mine]
            held = np.maximum(np.maximum.accumulate(times), self._latest[feed])
            self.report.held += int((held != times).sum())
            new["exchange_ts"][mine] = held
            self._latest[feed] = int(held[-1])

    def _note_funding(self, block: EventBlock) -> None:
        own = block.payload(EventKind.FUNDING_RATE)
        rows = block.rows[(block.rows["kind"] == EventKind.FUNDING_RATE) & (block.rows["payload"] >= 0)]
        for row, record in zip(rows, own, strict=True):
            settled = not record["predicted"]
            time = int(record["funding_time"]) or (int(row["ts_event"]) if settled else 0)
            before = self._funding.get(time)
            late = not settled and int(row["ts_event"]) > time
            if time <= 0 or not np.isfinite(record["rate"]) or late or (before is not None and before[2] > settled):
                continue
            mark = float(record["mark_price"])
            if not np.isfinite(mark) and before is not None:
                mark = before[1]
            self._funding[time] = (float(record["rate"]), mark, settled)

    def _pay(self, latency: int) -> None:
        """Append the payments that fall into the tape."""
        held = self._events[: self._count]
        first, last = int(held["exchange_ts"].min()), int(held["exchange_ts"].max())
        del held
        due = sorted(time for time in self._funding if first <= time <= last)
        events = np.zeros(len(due), EVENT_DTYPE)
        for event, time in zip(events, due, strict=True):
            rate, mark, _ = self._funding[time]
            event["exchange_ts"], event["local_ts"], event["quantity"] = time, time + latency, rate
            event["tick"] = round(mark / self.instrument.tick) if np.isfinite(mark) and mark > 0 else 0
            event["kind"] = TapeKind.FUNDING
        self._events.resize(self._count + len(due), refcheck=False)
        self._events[self._count :] = events
        self._count += len(due)
        self.report.fundings = len(due)

    def _clocks(self) -> int:
        """Correct the local clock; return the smallest latency."""
        events = self._events[: self._count]
        worst = self.report.worst_latency_ns = self._worst or 0
        fastest = min(worst, self._fastest)
        if self._latency is not None:
            events["local_ts"] = events["exchange_ts"] + self._latency
            self.report.shift_ns = self._latency - fastest
            return self._latency
        if worst >= 0:
            return worst
        if self._policy == "refuse":
            raise DataError(
                f"{self.instrument.key}: an event was received {-worst} ns before the exchange sent it: a strategy "
                "would see the future",
                hint='the receive clock is behind: pass negative_latency="shift", or latency_ns=... to set a latency',
            )
        self.report.shift_ns = self._base - fastest
        events["local_ts"] += self.report.shift_ns
        return self._base + worst - fastest

    def finish(self) -> Tape:
        """Return the tape; the builder is spent.

        Raises
        ------
        DataError
            No book began, or receive times lie before exchange times and that is not allowed.
        """
        self.report.book = {name: n for name, n in self._changes.counters.items() if n}
        self.report.leave_out("rows of an unfinished message", len(self._open))
        if not self._count:
            raise DataError(
                f"{self.instrument.key}: no book began in {self.report.rows} rows (left out: {self.report.left_out})",
                hint='give book data; with no snapshot BookConfig(start="first_update"), --set tape.start=first_update',
            )
        latency = self._clocks()
        self._pay(latency)
        events = self._events
        if self._latency is not None:
            events = events[np.argsort(events["exchange_ts"], kind="stable")]
        ordered = in_two_orders(events, trades_first=not self._by_order)
        self.report.twice, self.report.events = len(ordered) - len(events), len(ordered)
        self._events = np.zeros(0, EVENT_DTYPE)
        lot = self._lot
        if lot is None:
            said = self.instrument.lot_size
            lot = said if said != _NO_LOT else Decimal(1).scaleb(-self._decimals)
        return Tape(ordered, self.instrument.tick_size, lot, self.instrument.key, self.report.shift_ns)


def tape_from_source(
    source: Iterable[EventBlock],
    instrument: Instrument | None = None,
    *,
    lot: Decimal | None = None,
    latency_ns: int | None = None,
    negative_latency: Literal["refuse", "shift"] = "refuse",
    base_latency_ns: int = 0,
    levels: int | None = None,
    reach_ticks: int = 1 << 20,
    orders: bool = True,
    book: BookConfig = BookConfig(),  # noqa: B008 - frozen
) -> Tape:
    """Pack a source, or any blocks, into a tape.

    Parameters
    ----------
    source : iterable of EventBlock
        A source, or the blocks of one stream.
    instrument : Instrument, optional
        Which one of a panel; not needed where there is one.
    lot, latency_ns, negative_latency, base_latency_ns, levels, reach_ticks, orders, book
        See :class:`TapeBuilder`.

    Returns
    -------
    Tape
        Ready for the engine.

    Raises
    ------
    DataError
        See :class:`TapeBuilder`; or there was no block.

    Examples
    --------
    >>> from marketprism.simulate.market import MarkovMarket
    >>> from marketprism.simulate.config import MarketConfig
    >>> market = MarkovMarket(MarketConfig(duration_s=5.0))
    >>> tape = tape_from_source(market.blocks(), latency_ns=1_000_000)
    >>> tape.key == market.instrument.key, bool((tape.events["local_ts"] - tape.events["exchange_ts"] == 10**6).all())
    (True, True)
    """
    builder: TapeBuilder | None = None
    for block in source:
        if builder is None:
            builder = TapeBuilder(
                instrument or block.instrument,
                lot=lot,
                latency_ns=latency_ns,
                negative_latency=negative_latency,
                base_latency_ns=base_latency_ns,
                levels=levels,
                reach_ticks=reach_ticks,
                orders=orders,
                book=book,
            )
        builder.push(block)
    if builder is None:
        raise DataError("there was no block to pack", hint="check the source")
    return builder.finish()
