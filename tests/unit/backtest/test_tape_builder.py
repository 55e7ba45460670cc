"""Tapes from event blocks: sequencing, gaps, lots, and what is left out."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from tests.unit.backtest.blocks import BOOK, DELTA, GAP, PLAIN, QUOTE, SNAPSHOT, SPOT, TRADE, block, message, told
from tests.unit.backtest.replay import same_as_book

from marketprism.backtest.tape import Tape
from marketprism.backtest.tape_builder import TapeBuilder, tape_from_source
from marketprism.book import BookConfig, changes
from marketprism.core.block import EventBlock, payload_event
from marketprism.core.errors import ConfigError, DataError
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag, GapReason


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
