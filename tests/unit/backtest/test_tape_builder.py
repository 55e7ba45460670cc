"""Tapes from event blocks: sequencing, gaps, clocks, lots; the same best quotes as the Book after every message."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from tests.unit.backtest.replay import same_as_book, times_and_bests

import marketprism as mp
from marketprism.backtest import tape_builder
from marketprism.backtest.actions import advance, submit
from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.backtest.tape import EVENT_DTYPE, Tape, order_slot
from marketprism.backtest.tape_builder import TapeBuilder, tape_from_source
from marketprism.book import BookConfig, changes
from marketprism.book.order_steps import OrderSteps, Step
from marketprism.core.block import EventBlock, concat, payload_event
from marketprism.core.errors import ConfigError, DataError
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag, GapReason
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


def test_levels_and_trades_in_order() -> None:
    blk = block(
        BOOK,
        message(TRADE, 110, [(1, 101, 1.0)]),
        message(DELTA, 120, [(-1, 101, 2.0), (-1, 102, 0.0), (1, 97, 4.0)]),
        message(TRADE, 130, [(-1, 99, 0.5)]),
        message(TRADE, 140, [(0, 100, 0.5)]),
    )
    tape = tape_from_source([blk])
    assert told(tape) == [
        ("CLEAR", 0, 0.0),
        ("BID", 99, 2.0),
        ("BID", 98, 1.0),
        ("ASK", 101, 3.0),
        ("ASK", 102, 0.25),
        ("BUY_TRADE", 101, 1.0),
        ("NO_ASK", 102, 0.0),
        ("ASK", 101, 2.0),
        ("BID", 97, 4.0),
        ("SELL_TRADE", 99, 0.5),
        ("TRADE", 100, 0.5),
    ]
    assert (tape.events["kind"] >> 6 == 3).all()
    assert (tape.events["local_ts"] - tape.events["exchange_ts"] == 5).all()
    assert tape.lot_size == Decimal("0.01")
    assert tape.tick_size == Decimal("0.1")


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_block_boundaries_do_not_matter(size: int) -> None:
    blk = block(BOOK, message(DELTA, 110, [(1, 100, 1.0), (1, 99, 0.0)]), message(TRADE, 120, [(1, 101, 1.0)]))
    whole, parts = tape_from_source([blk]), tape_from_source(blk.chunks(size))
    assert whole.events.tobytes() == parts.events.tobytes()


@pytest.mark.parametrize(("last_id", "found"), [(16, [("BID", 96, 1.0)]), (15, [("BID", 97, 5.0), ("BID", 96, 1.0)])])
def test_sequencing_drops_stale_updates_and_turns_gaps_into_events(last_id: int, found: list[object]) -> None:
    snapshot = [(1, 99, 2.0), (-1, 101, 3.0)]
    blk = block(
        message(TRADE, 90, [(1, 101, 1.0)]),
        message(SNAPSHOT, 100, snapshot, (10, 10, -1)),
        message(DELTA, 110, [(1, 98, 9.0)], (8, 10, -1)),  # stale
        message(DELTA, 120, [(1, 98, 1.0)], (11, 12, -1)),
        message(DELTA, 130, [(1, 97, 5.0)], (15, 16, -1)),  # 13 and 14 are missing: held for a snapshot
        message(TRADE, 135, [(-1, 98, 0.5)]),
        message(SNAPSHOT, 140, [(1, 96, 1.0), (-1, 105, 1.0)], (last_id, last_id, -1)),
        instrument=SPOT,
    )
    builder = TapeBuilder(SPOT)
    builder.push(blk)
    tape = builder.finish()
    assert told(tape) == [
        *(("CLEAR", 0, 0.0), ("BID", 99, 2.0), ("ASK", 101, 3.0), ("BID", 98, 1.0), ("GAP", 0, 0.0)),
        *(("SELL_TRADE", 98, 0.5), ("CLEAR", 0, 0.0), *found, ("ASK", 105, 1.0)),
    ]
    report = builder.report
    assert report.gaps == 1
    assert report.trades == 1
    assert report.left_out == {"trades before the first book": 1}
    assert report.book["stale_dropped"] >= 1
    assert same_as_book(tape, blk) > 0


def test_gap_row_and_quotes_after_it() -> None:
    row, own = payload_event(GAP, ts_event=120, ts_recv=125, reason=GapReason.DISCONNECT)
    blk = EventBlock(
        np.concatenate(
            [
                message(QUOTE, 100, [(1, 99, 2.0), (-1, 101, 3.0)]),
                message(QUOTE, 110, [(1, 100, 1.0)]),
                row,
                message(QUOTE, 130, [(-1, 103, 3.0)]),
                message(QUOTE, 140, [(1, 101, 3.0), (-1, 0, 0.0)]),
            ]
        ),
        (PLAIN,),
        {int(GAP): own},
    )
    tape = tape_from_source([blk])
    assert [name for name, _, _ in told(tape)] == [
        *("CLEAR", "BID", "ASK", "NO_BID", "BID", "GAP", "CLEAR", "ASK", "NO_ASK", "BID"),
    ]
    assert same_as_book(tape, blk) == 4


def test_crossed_book_heals() -> None:
    blk = block(
        BOOK,
        message(DELTA, 110, [(1, 101, 1.0)]),  # locked: a reader takes the ask for gone
        message(DELTA, 120, [(1, 101, 0.0)]),
        message(DELTA, 130, [(1, 102, 1.0)]),  # crossed
        message(DELTA, 140, [(1, 102, 0.0), (-1, 101, 1.0)]),
    )
    assert same_as_book(tape_from_source([blk]), blk) == 3


def test_message_crossing_on_the_way_only() -> None:
    blk = block(BOOK, message(DELTA, 110, [(1, 101, 1.0), (1, 102, 1.0), (-1, 101, 0.0), (-1, 102, 0.0), (-1, 103, 1)]))
    tape = tape_from_source([blk])
    assert [name for name, _, _ in told(tape)][5:] == ["NO_ASK", "NO_ASK", "BID", "BID", "ASK"]
    assert same_as_book(tape, blk) == 2


def test_snapshot_of_a_known_book_is_told_as_differences() -> None:
    blk = block(BOOK, message(SNAPSHOT, 110, [(1, 99, 2.0), (1, 97, 1.0), (-1, 101, 4.0), (-1, 102, 0.25)]))
    assert told(tape_from_source([blk]))[5:] == [("NO_BID", 98, 0.0), ("BID", 97, 1.0), ("ASK", 101, 4.0)]


def test_only_the_best_levels() -> None:
    blk = block(BOOK, message(DELTA, 110, [(1, 99, 0.0)]), message(DELTA, 120, [(1, 100, 7.0)]))
    tape = tape_from_source([blk], levels=1)
    assert told(tape) == [
        *(("CLEAR", 0, 0.0), ("BID", 99, 2.0), ("ASK", 101, 3.0)),
        *(("NO_BID", 99, 0.0), ("BID", 98, 1.0), ("NO_BID", 98, 0.0), ("BID", 100, 7.0)),
    ]
    assert same_as_book(tape, blk) == 3


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


def test_orders_add_up_to_levels() -> None:
    tape = tape_from_source([ORDERS], orders=False)
    assert told(tape) == [
        *(("CLEAR", 0, 0.0), ("BID", 99, 2.0), ("BID", 99, 5.0), ("ASK", 101, 1.0), ("BID", 99, 4.5)),
        *(("BID", 99, 3.5), ("BID", 99, 1.5), ("BID", 98, 1.0), ("NO_ASK", 101, 0.0), ("NO_BID", 99, 0.0)),
    ]
    assert same_as_book(tape, ORDERS) == 10
    assert told(tape_from_source([ORDERS], levels=5)) == told(tape)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_orders_are_told_one_by_one(size: int) -> None:
    tape = tape_from_source(ORDERS.chunks(size))
    steps = tape.events[(tape.events["kind"] & 63) >= TapeKind.ORDER_ADD]
    assert [(name, tick, q) for name, tick, q in told(tape) if name.startswith("ORDER")] == [
        *(("ORDER_ADD", 99, 2.0), ("ORDER_ADD", 99, 3.0), ("ORDER_ADD", 101, 1.0), ("ORDER_EXECUTE", 99, 0.5)),
        *(("ORDER_REDUCE", 99, 1.0), ("ORDER_DELETE", 99, 2.0), ("ORDER_ADD", 98, 1.0), ("ORDER_DELETE", 101, 1.0)),
        ("ORDER_EXECUTE", 99, 1.5),
    ]
    assert [order_slot(e) for e in steps] == [
        *((1, 0), (1, 1), (-1, 2), (1, 0), (1, 1), (1, 1), (1, 1), (-1, 2), (1, 0)),
    ]
    assert [name for name, _, _ in told(tape)][:4] == ["CLEAR", "ORDER_ADD", "BID", "ORDER_ADD"]
    assert same_as_book(tape, ORDERS) == 10
    near = tape_from_source(ORDERS.chunks(size), reach_ticks=1)
    assert near.ticks() == (98, 99)


def test_places_in_queues_are_exact_order_by_order() -> None:
    def trade_of(ts: int, number: int, quantity: float) -> tuple[np.ndarray, np.ndarray]:
        return message(TRADE, ts, [(-1, 99, quantity)]), order(EXECUTE, ts, number, 1, 99, quantity)

    ms = 1_000_000
    blk = block(
        *(order(ADD, 1, 1, 1, 99, 5.0), order(ADD, 2, 2, 1, 99, 3.0), order(ADD, 3, 9, -1, 101, 3.0)),
        order(ADD, 20 * ms, 3, 1, 99, 4.0),
        order(DELETE, 30 * ms, 2),
        order(DELETE, 40 * ms, 3),  # came later: moves nobody up
        order(ADD, 45 * ms, 4, 1, 99, 9.0),
        *trade_of(50 * ms, 1, 4.0),
        *trade_of(60 * ms, 1, 1.0),
        *trade_of(70 * ms, 4, 2.0),
        order(ADD, 90 * ms, 5, 1, 97, 1.0),
    )
    engine = Engine([tape_from_source([blk], lot=Decimal(1))], [MarketConfig()])
    assert advance(engine.pointer, 10 * ms) == 1
    slot = submit(engine.pointer, 0, 0, 1, 99, 3.0, 0, 0)
    fronts = []
    for _ in range(8):
        assert advance(engine.pointer, 10 * ms) == 1
        fronts.append(float(engine._arrays["orders"][slot]["front"]))
    assert fronts[:6] == [8.0, 5.0, 5.0, 1.0, 0.0, 0.0]
    assert engine.accounts[0, 0]["position"] == 2.0


@pytest.mark.parametrize("size", [1, 100])
def test_a_trade_reported_after_its_execution_is_told_before_it(size: int) -> None:
    def trade_of(ts: int, side: int, quantity: float) -> np.ndarray:
        return message(TRADE, ts, [(side, 99, quantity)])

    blk = block(
        *(order(ADD, 1, 1, 1, 99, 5.0), order(ADD, 2, 2, 1, 99, 3.0), order(ADD, 3, 9, -1, 101, 3.0)),
        *(order(EXECUTE, 20, 1, 1, 99, 2.0), order(EXECUTE, 21, 8, -1, 98, 2.0), trade_of(28, -1, 2.0)),  # follows
        *(trade_of(30, -1, 3.0), order(EXECUTE, 30, 1, 1, 99, 3.0)),  # comes first
        *(order(EXECUTE, 40, 2, 1, 99, 1.0), trade_of(45, 1, 1.0), trade_of(46, 0, 1.0)),  # wrong side, no side
        *(order(EXECUTE, 50, 2, 1, 99, 0.5), trade_of(1_100_000_000, -1, 0.5)),  # too late
    )
    tape = tape_from_source(blk.chunks(size))
    exchange = tape.events[(tape.events["kind"] & TapeFlag.EXCHANGE) != 0]
    trades = exchange[np.isin(exchange["kind"] & 63, (TapeKind.BUY_TRADE, TapeKind.SELL_TRADE, TapeKind.TRADE))]
    assert trades["exchange_ts"].tolist() == [19, 30, 45, 45, 1_100_000_000]
    kinds = [TapeKind(e["kind"] & 63).name for e in exchange if e["exchange_ts"] in (19, 20, 30)]
    assert kinds == ["SELL_TRADE", "ORDER_EXECUTE", "BID", "SELL_TRADE", "ORDER_EXECUTE", "BID"]
    local = tape.events[(tape.events["kind"] & TapeFlag.LOCAL) != 0]
    heard = local[np.isin(local["kind"] & 63, (TapeKind.BUY_TRADE, TapeKind.SELL_TRADE, TapeKind.TRADE))]
    assert heard["local_ts"].tolist() == [33, 35, 50, 51, 1_100_000_005]
    assert same_as_book(tape, blk) > 5


def test_order_slots_hold_23_bits() -> None:
    event = np.zeros(1, EVENT_DTYPE)[0]
    event["flags"], event["slot"] = 255, 65_535
    assert order_slot(event) == (1, (1 << 23) - 1)
    event["flags"] = 1
    assert order_slot(event) == (-1, (1 << 16) + 65_535)


def test_events_out_of_exchange_order_stand_twice() -> None:
    blk = block(
        BOOK,
        message(TRADE, 130, [(1, 101, 1.0)], recv=140),
        message(DELTA, 120, [(1, 100, 1.0)], recv=141),
        message(DELTA, 115, [(1, 100, 2.0)], recv=142),  # its feed is at 120 already
        message(DELTA, 150, [(1, 100, 3.0)], recv=160),
    )
    builder = TapeBuilder(PLAIN)
    builder.push(blk)
    tape = builder.finish()
    assert builder.report.held == 1
    assert builder.report.twice > 0
    by = {flag: tape.events[(tape.events["kind"] & flag) != 0] for flag in (TapeFlag.EXCHANGE, TapeFlag.LOCAL)}
    assert len(by[TapeFlag.EXCHANGE]) == len(by[TapeFlag.LOCAL]) == 9
    assert by[TapeFlag.EXCHANGE]["exchange_ts"].tolist()[5:] == [120, 120, 130, 150]
    assert by[TapeFlag.LOCAL]["local_ts"].tolist()[5:] == [140, 141, 142, 160]
    assert by[TapeFlag.EXCHANGE]["quantity"].tolist()[5:] == [1.0, 2.0, 1.0, 3.0]
    assert len(list(times_and_bests(tape, TapeFlag.EXCHANGE))) == 4


def test_a_trade_comes_before_the_book_change_of_its_time() -> None:
    blk = block(
        BOOK,
        message(DELTA, 110, [(-1, 101, 2.0)]),
        message(TRADE, 110, [(1, 101, 1.0)]),  # heard with the change it caused
        message(DELTA, 120, [(-1, 101, 1.0)]),
        message(TRADE, 120, [(1, 101, 1.0)], recv=127),  # heard after it
    )
    tape = tape_from_source([blk])
    assert told(tape)[5:] == [
        *(("BUY_TRADE", 101, 1.0), ("ASK", 101, 2.0), ("BUY_TRADE", 101, 1.0), ("ASK", 101, 1.0)),
        ("BUY_TRADE", 101, 1.0),
    ]
    assert [TapeFlag(k & 192) for k in tape.events["kind"][7:].tolist()] == [
        *(TapeFlag.EXCHANGE, TapeFlag.EXCHANGE | TapeFlag.LOCAL, TapeFlag.LOCAL),
    ]
    assert same_as_book(tape, blk) == 4


def test_a_trade_and_the_change_it_caused_move_the_queue_once() -> None:
    ms = 1_000_000
    blk = block(
        BOOK,
        message(DELTA, 10 * ms, [(1, 99, 5.0)]),
        message(DELTA, 50 * ms, [(1, 99, 3.0)]),  # heard before the trade that took 2
        message(TRADE, 50 * ms, [(-1, 99, 2.0)]),
        message(DELTA, 90 * ms, [(1, 97, 1.0)]),
    )
    engine = Engine([tape_from_source([blk], lot=Decimal(1))], [MarketConfig(queue="log")])
    advance(engine.pointer, 20 * ms)
    slot = submit(engine.pointer, 0, 0, 1, 99, 1.0, 0, 0)
    advance(engine.pointer, 40 * ms)
    assert float(engine._arrays["orders"][slot]["front"]) == 3.0


def test_negative_latency_is_refused_shifted_or_replaced() -> None:
    blk = block(BOOK, message(DELTA, 200, [(1, 100, 1.0)], recv=170), message(TRADE, 205, [(1, 101, 1.0)], recv=190))
    with pytest.raises(DataError, match="received 30 ns before"):
        tape_from_source([blk])
    builder = TapeBuilder(PLAIN, negative_latency="shift", base_latency_ns=7)
    builder.push(blk)
    tape = builder.finish()
    assert (builder.report.worst_latency_ns, builder.report.shift_ns) == (-30, 37)
    local = tape.events[(tape.events["kind"] & TapeFlag.LOCAL) != 0]
    assert local["local_ts"].tolist()[-2:] == [207, 227]
    assert tape.shift_ns == 37
    same = tape_from_source([blk], latency_ns=50)
    assert same.shift_ns == 80  # known 30 ns early, heard 50 ns late
    assert (same.events["local_ts"] - same.events["exchange_ts"] == 50).all()
    assert len(same) == 7


def test_funding_is_paid_when_due_by_the_last_announced_rate() -> None:
    def funding(ts: int, **own: float) -> tuple[np.ndarray, np.ndarray]:
        return payload_event(EventKind.FUNDING_RATE, ts_event=ts, ts_recv=ts + 5, **own)

    pairs = [
        funding(110, rate=1e-4, funding_time=150, mark_price=10.0, predicted=True),
        funding(120, rate=2e-4, funding_time=150, mark_price=10.2, predicted=True),
        funding(125, rate=2e-4, funding_time=150, predicted=True),  # keeps the mark price
        funding(152, rate=9e-4, funding_time=150, mark_price=10.2, predicted=True),  # too late
        funding(154, rate=3e-4, funding_time=900, mark_price=10.2, predicted=True),  # after the tape
        funding(160, rate=5e-4, funding_time=158, predicted=False),
    ]
    for i, (row, _) in enumerate(pairs):
        row["payload"] = i
    rows = np.concatenate([BOOK, *(row for row, _ in pairs), message(TRADE, 170, [(1, 101, 1.0)])])
    blk = EventBlock(rows, (PLAIN,), {int(EventKind.FUNDING_RATE): np.concatenate([own for _, own in pairs])})
    tape = tape_from_source(blk.chunks(3))
    paid = tape.events[(tape.events["kind"] & 63) == TapeKind.FUNDING]
    assert paid["exchange_ts"].tolist() == [150, 158]
    assert paid["quantity"].tolist() == [2e-4, 5e-4]
    assert paid["tick"].tolist() == [102, 0]
    assert (paid["local_ts"] - paid["exchange_ts"] == 5).all()


def test_what_is_left_out_is_counted() -> None:
    auction = message(TRADE, 120, [(1, 101, 1.0)])
    auction["flags"] |= np.uint8(Flag.AUCTION)
    hidden = message(TRADE, 122, [(1, 100, 1.0)])
    hidden["flags"] |= np.uint8(Flag.HIDDEN)
    row, own = payload_event(EventKind.OPEN_INTEREST, ts_event=130, ts_recv=135)
    blk = EventBlock(
        np.concatenate(
            [BOOK, auction, hidden, message(TRADE, 125, [(1, 101, 0.0)]), row, message(DELTA, 140, [(1, 5, 1.0)])]
        ),
        (PLAIN,),
        {int(EventKind.OPEN_INTEREST): own},
    )
    builder = TapeBuilder(PLAIN, reach_ticks=50)
    builder.push(blk)
    builder.finish()
    assert builder.report.left_out == {
        "open_interest": 1,
        "auction trades": 1,
        "hidden trades": 1,
        "trades of unknown size": 1,
        "changes of far levels": 1,
    }


def test_lot_size() -> None:
    blk = block(BOOK)
    said = Instrument(exchange="sim", market_type="spot", symbol="A-B", tick_size=Decimal(1), lot_size=Decimal("0.5"))
    assert tape_from_source([EventBlock(blk.rows, (said,))]).lot_size == Decimal("0.5")
    assert tape_from_source([blk], lot=Decimal("0.125")).lot_size == Decimal("0.125")
    fine = block(message(SNAPSHOT, 1, [(1, 99, 0.00000001), (-1, 101, 123456.0)]))
    assert tape_from_source([fine]).lot_size == Decimal("0.00000001")
    whole = block(message(SNAPSHOT, 1, [(1, 99, 300.0), (-1, 101, 123456.0)]))
    assert tape_from_source([whole]).lot_size == 1


def test_panel() -> None:
    rows = np.concatenate([BOOK, BOOK])
    rows["instrument"][4:] = 1
    rows["price"][4:] += 1000
    panel = EventBlock(rows, (PLAIN, SPOT))
    assert tape_from_source([panel], SPOT).ticks() == (1098, 1102)
    with pytest.raises(DataError, match="2 instruments"):
        tape_from_source([panel])
    other = Instrument(exchange="x", market_type="spot", symbol="C-D", tick_size=Decimal(1))
    with pytest.raises(DataError, match="has no x:spot:C-D"):
        tape_from_source([panel], other)


@pytest.mark.parametrize(
    "option",
    [
        {"negative_latency": "shfit"},
        {"latency_ns": -1},
        {"base_latency_ns": -1},
        {"levels": 0},
        {"reach_ticks": 0},
        {"lot": Decimal(0)},
    ],
)
def test_bad_options(option: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=str(next(iter(option)))):
        TapeBuilder(PLAIN, **option)


def test_bad_data() -> None:
    with pytest.raises(DataError, match="no block"):
        tape_from_source([])
    update = block(message(DELTA, 1, [(1, 99, 1.0), (-1, 101, 1.0)]))
    with pytest.raises(DataError, match="no book began"):
        tape_from_source([update])
    assert len(tape_from_source([update], book=BookConfig(start="first_update"))) >= 3
    with pytest.raises(DataError, match="traded at 5,000 ticks"):
        tape_from_source([block(BOOK, message(TRADE, 110, [(1, 5000, 1.0)]))], reach_ticks=100)
    with pytest.raises(DataError, match="up to 2,147,483,647"):
        tape_from_source([block(message(SNAPSHOT, 1, [(1, 2**33, 1.0)]))])


def test_shift_covers_what_signals_are_made_of_but_tapes_leave_out() -> None:
    quote = message(QUOTE, 202, [(1, 99, 1.0), (-1, 101, 1.0)], recv=150)
    blk = block(BOOK, message(DELTA, 200, [(1, 100, 1.0)], recv=150), quote)
    assert tape_from_source([blk], negative_latency="shift").shift_ns == 52


def test_many_events_and_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape_builder, "_ROOM", 2)
    monkeypatch.setattr(changes, "_ROOM", 2)
    blocks = list(ORDERS.chunks(4))
    tape = tape_from_source(blocks)
    monkeypatch.undo()
    assert tape.events.tobytes() == tape_from_source(blocks).events.tobytes()
    many = block(*(order(ADD, i, i, 1, 50 + i % 40, 1.0) for i in range(1, 400)))
    steps = OrderSteps(PLAIN).steps(many.rows)
    assert steps["slot"].tolist() == list(range(399))
    assert same_as_book(tape_from_source([many]), many) == 399
    monkeypatch.setattr(tape_builder, "_MOST_SLOTS", 398)
    with pytest.raises(DataError, match="over 398 orders"):
        tape_from_source([many])
    with pytest.raises(DataError, match="dtype"):
        OrderSteps(PLAIN).steps(np.zeros(1))


def test_a_snapshot_of_levels_forgets_the_orders() -> None:
    blk = block(
        order(ADD, 10, 1, 1, 99, 2.0),
        order(ADD, 11, 2, 1, 98, 2.0),
        message(SNAPSHOT, 20, [(1, 99, 5.0), (-1, 101, 1.0)]),
        order(DELETE, 30, 1),
        order(ADD, 40, 3, 1, 99, 1.0),
    )
    steps = OrderSteps(PLAIN).steps(blk.rows)
    assert [(Step(s["step"]).name, int(s["slot"])) for s in steps] == [("JOINED", 0), ("JOINED", 1), ("JOINED", 0)]
    assert same_as_book(tape_from_source([blk]), blk) == 5


def test_changes_of_whole_messages_only() -> None:
    with pytest.raises(ConfigError, match="levels"):
        changes.BookChanges(PLAIN, levels=-1)
    book = changes.BookChanges(PLAIN)
    with pytest.raises(DataError, match="dtype"):
        book.changes(np.zeros(1))
    with pytest.raises(DataError, match="does not end"):
        book.changes(BOOK[:2])
    wide = message(SNAPSHOT, 1, [(1, 10_000_000 + 7 * i, 1.0) for i in range(9000)])
    found = book.changes(wide)
    assert len(found) == 9001


def test_a_tape_is_checked() -> None:
    events = tape_from_source([block(BOOK)]).events
    with pytest.raises(DataError, match="dtype"):
        Tape(np.zeros(1), Decimal(1), Decimal(1))
    with pytest.raises(DataError, match="holds no events"):
        Tape(events[:0], Decimal(1), Decimal(1))
    with pytest.raises(DataError, match="lot_size was 0"):
        Tape(events, Decimal(1), Decimal(0))
    back = np.concatenate([events, events])
    back["local_ts"][:5] += 1
    with pytest.raises(DataError, match="local_ts of event 5 was 105, before 106"):
        Tape(back, Decimal(1), Decimal(1))
    with pytest.raises(DataError, match="holds no price"):
        Tape(events[:1], Decimal(1), Decimal(1)).ticks()
    far = events.copy()
    far["tick"][1] = 1 << 30
    with pytest.raises(DataError, match="at most 4,194,304 fit"):
        Tape(far, Decimal(1), Decimal(1)).ticks()


def test_simulated_market() -> None:
    source = mp.open_source("sim:?minutes=1&seed=3")
    blk = concat(source)
    tape = tape_from_source([blk])
    assert same_as_book(tape, blk) > 100
    assert tape.events.tobytes() == tape_from_source(source).events.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize(("market", "levels"), [("usdm", None), ("usdm", 20), ("spot", None)])
def test_binance_capture(data_dir: Path, market: str, levels: int | None) -> None:
    source = mp.open_source(f"binance-ws:{data_dir}/binance_ws_20240808/{market}_btcusdt_20240808.gz")
    blk = concat(source)[:200_000]
    with pytest.raises(DataError, match="see the future"):
        tape_from_source([blk])
    builder = TapeBuilder(source.instrument, negative_latency="shift", levels=levels)
    builder.push(blk)
    tape = builder.finish()
    assert 1_200_000_000 < builder.report.shift_ns < 1_400_000_000
    assert same_as_book(tape, blk, builder.report.shift_ns) > 10_000
    low, high = tape.ticks()
    assert high - low < 1 << 22


@pytest.mark.slow
def test_lobster(data_dir: Path) -> None:
    source = mp.open_source(f"lobster:{data_dir}/lobster/LOBSTER_SampleFile_GOOG_2012-06-21_10.zip")
    blk = concat(source)[:60_000]
    assert same_as_book(tape_from_source([blk]), blk) > 20_000


@pytest.mark.slow
def test_level_1(data_dir: Path) -> None:
    folder = data_dir / "us_equity_l1_201310"
    blk = concat(mp.open_source(f"us-l1:{folder}/bac_20131007_quote.zip,{folder}/bac_20131007_trade.zip"))[:100_000]
    builder = TapeBuilder(blk.instrument)
    builder.push(blk)
    tape = builder.finish()
    assert same_as_book(tape, blk) > 20_000
    assert builder.report.trades > 1000
    assert tape.lot_size == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    ["bitstamp-l3:{}/bitstamp_l3_20150501", "ashare-orders:{}/ashare_l2/SH600519_20230201_entrust_trade_snapshot.zip"],
)
def test_order_by_order(data_dir: Path, spec: str) -> None:
    folder = Path(spec.partition(":")[2].format(data_dir))
    where = folder if folder.is_file() else next(p for p in sorted(folder.iterdir()) if p.suffix != ".md")
    blk = concat(mp.open_source(f"{spec.partition(':')[0]}:{where}"))[:40_000]
    builder = TapeBuilder(blk.instrument)
    for part in blk.chunks(7000):
        builder.push(part)
    tape = builder.finish()
    assert same_as_book(tape, blk) > 1000
    held: dict[int, float] = {}
    levels: dict[tuple[int, int], float] = {}
    compared = 0
    for event in tape.events:
        kind, tick, quantity = event["kind"] & 63, int(event["tick"]), float(event["quantity"])
        if kind >= TapeKind.ORDER_ADD:
            side, slot = order_slot(event)
            held[slot] = quantity if kind == TapeKind.ORDER_ADD else held[slot] - quantity
            change = quantity if kind == TapeKind.ORDER_ADD else -quantity
            levels[side, tick] = levels.get((side, tick), 0.0) + change
        elif kind in (TapeKind.BID, TapeKind.ASK):
            compared += 1
            assert levels[1 if kind == TapeKind.BID else -1, tick] == pytest.approx(quantity, abs=1e-6)
    assert compared > 10_000
    assert min(held.values()) > -1e-6
