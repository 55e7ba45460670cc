"""Tapes order by order: steps of orders, their slots, and the levels they add up to."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from tests.unit.backtest.blocks import ADD, DELETE, EXECUTE, ORDERS, PLAIN, SNAPSHOT, TRADE, block, message, order, told
from tests.unit.backtest.replay import same_as_book

from marketprism.backtest import tape_builder
from marketprism.backtest.actions import advance, submit
from marketprism.backtest.codes import TapeFlag, TapeKind
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.engine import Engine
from marketprism.backtest.tape import EVENT_DTYPE, order_slot
from marketprism.backtest.tape_builder import tape_from_source
from marketprism.book import changes
from marketprism.book.order_steps import OrderSteps, Step
from marketprism.core.errors import DataError


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
