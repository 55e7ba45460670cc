"""Whatever a feed sends, a tape shows what the Book shows, wherever blocks end."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.backtest.replay import same_as_book

from marketprism.backtest.tape_builder import tape_from_source
from marketprism.book import BookConfig
from marketprism.core.block import EventBlock, payload_event
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag, GapReason
from marketprism.core.rows import empty_rows

LEVELS = st.lists(
    st.tuples(st.sampled_from([1, -1]), st.integers(94, 106), st.sampled_from([0.0, 0.5, 1.0, 2.5])),
    min_size=1,
    max_size=6,
)
KINDS = {
    "depth": ["snapshot", "update", "update", "update", "jump", "stale", "gap", "trade", "quote"],
    "quotes": ["quote", "quote", "quote", "trade", "gap"],
    "orders": ["add", "add", "modify", "delete", "execute", "trade", "gap"],
}


def rows_of(kind: EventKind, ts: int, late: int, levels, ids=(-1, -1, -1)) -> np.ndarray:
    rows = empty_rows(len(levels))
    rows["kind"], rows["ts_event"], rows["ts_recv"] = kind, max(ts - late, 0), ts + 3
    rows["first_id"], rows["event_id"], rows["previous_id"] = ids
    for row, (side, price, quantity) in zip(rows, levels, strict=True):
        row["side"], row["price"], row["quantity"] = side, price, quantity
    rows["flags"][0] |= np.uint8(Flag.FIRST)
    rows["flags"][-1] |= np.uint8(Flag.LAST)
    return rows


def stream(feed: str, script, sequencing: str) -> EventBlock:
    """Rows of a script of (what, levels, ns since the last, ns the exchange's clock is early, order)."""
    both = [(1, 90, 1.0), (-1, 110, 1.0)]
    first = {"depth": EventKind.BOOK_SNAPSHOT, "quotes": EventKind.QUOTE, "orders": EventKind.ORDER_ADD}[feed]
    parts, gaps, ts, last = [rows_of(first, 500, 0, both, (10, 10, -1))], [], 1000, 10
    for what, levels, pause, late, number in script:
        ts += pause
        if what == "gap":
            row, own = payload_event(EventKind.GAP, ts_event=ts, ts_recv=ts + 3, reason=GapReason.OTHER)
            row["payload"] = len(gaps)
            gaps.append(own)
            parts.append(row)
        elif what == "trade":
            parts.append(rows_of(EventKind.TRADE, ts, late, [(levels[0][0], levels[0][1], 1.5)]))
        elif what == "quote":
            parts.append(rows_of(EventKind.QUOTE, ts, late, [(1, levels[0][1], 1.0), (-1, levels[0][1] + 1, 2.0)]))
        elif feed == "orders":
            kind = EventKind[f"ORDER_{what.upper()}"]
            parts.append(rows_of(kind, ts, late, levels[:1], (-1, number, -1)))
        elif what == "snapshot":
            parts.append(rows_of(EventKind.BOOK_SNAPSHOT, ts, late, levels, (last, last, -1)))
        else:
            first = last + {"update": 1, "jump": 4, "stale": -3}[what]
            parts.append(rows_of(EventKind.BOOK_DELTA, ts, late, levels, (first, first + 1, first - 1)))
            last = max(last, first + 1)
    instrument = Instrument(
        exchange="x",
        market_type="spot",
        symbol="A-B",
        tick_size=Decimal(1),
        lot_size=Decimal("0.5"),
        sequencing=sequencing,
    )
    return EventBlock(
        np.concatenate(parts), (instrument,), {int(EventKind.GAP): np.concatenate(gaps)} if gaps else None
    )


@pytest.mark.parametrize(
    ("feed", "sequencing", "start"),
    [
        ("depth", "none", "snapshot"),
        ("depth", "none", "first_update"),
        ("depth", "binance_spot", "snapshot"),
        ("depth", "binance_futures", "snapshot"),
        ("quotes", "none", "snapshot"),
        ("orders", "none", "snapshot"),
    ],
)
def test_tape_shows_what_the_book_shows(feed: str, sequencing: str, start: str) -> None:
    script = st.lists(
        st.tuples(st.sampled_from(KINDS[feed]), LEVELS, st.integers(0, 5), st.integers(0, 9), st.integers(1, 6)),
        min_size=3,
        max_size=40,
    )
    compared = 0

    @settings(deadline=None, max_examples=25)
    @given(script, st.integers(1, 30))
    def check(script, size: int) -> None:
        nonlocal compared
        blk = stream(feed, script, sequencing)
        book = BookConfig(start=start)
        tape = tape_from_source([blk], book=book)
        assert tape_from_source(blk.chunks(size), book=book).events.tobytes() == tape.events.tobytes()
        view = BookConfig(start=start, best_quote="book", depth_levels=0)
        compared += same_as_book(tape, blk, config=view)

    check()
    assert compared >= 25
