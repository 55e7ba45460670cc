"""Both clocks of a tape: order of events, latency, and payments on time."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from tests.unit.backtest.blocks import BOOK, DELTA, PLAIN, QUOTE, TRADE, block, message, told
from tests.unit.backtest.replay import same_as_book, times_and_bests

from marketprism.backtest.actions import advance, submit
from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.backtest.tape_builder import TapeBuilder, tape_from_source
from marketprism.core.block import EventBlock, payload_event
from marketprism.core.errors import DataError
from marketprism.core.kinds import EventKind


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


def test_shift_covers_what_signals_are_made_of_but_tapes_leave_out() -> None:
    quote = message(QUOTE, 202, [(1, 99, 1.0), (-1, 101, 1.0)], recv=150)
    blk = block(BOOK, message(DELTA, 200, [(1, 100, 1.0)], recv=150), quote)
    assert tape_from_source([blk], negative_latency="shift").shift_ns == 52


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
