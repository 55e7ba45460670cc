from __future__ import annotations

from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from marketprism.core.arrow_schema import concat_frames, frame_schema, wide_fields
from marketprism.core.block import EventBlock, payload_event
from marketprism.core.errors import DataError, IntegrityError, StateError
from marketprism.core.identity import ingest_ids
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import empty_rows
from marketprism.core.schema import EVENT_TYPES, KEY_FIELDS
from marketprism.core.table_rows import tables_to_block
from marketprism.core.tables import TableEncoder, block_to_tables
from marketprism.testing.streams import canonical, every_column_stream

BTC = Instrument(exchange="binance", market_type="linear", symbol="BTC-USDT", tick_size=Decimal("0.1"))
BOTH = int(Flag.FIRST | Flag.LAST)


def rows_of(kind: int, n: int = 1, **columns: object) -> np.ndarray:
    rows = empty_rows(n)
    rows["kind"] = kind
    rows["flags"][0] |= Flag.FIRST
    rows["flags"][-1] |= Flag.LAST
    for name, values in columns.items():
        rows[name] = values
    return rows


def block_of(*rows: np.ndarray) -> EventBlock:
    return EventBlock(np.concatenate(rows), (BTC,))


@pytest.mark.parametrize("wide", [False, True])
def test_every_column_of_every_type_survives(wide: bool) -> None:
    block = every_column_stream(2000, seed=7, wide=wide)
    tables = block_to_tables(block, "made-up")
    assert set(tables) == set(EVENT_TYPES)
    back = tables_to_block(tables, block.instruments)
    assert canonical(back) == canonical(block)
    keys = [field.name for field in KEY_FIELDS]
    for name, frame in tables.items():
        event_type = EVENT_TYPES[name]
        assert frame.columns == keys + [field.name for field in event_type.fields]
        assert dict(frame.schema) == frame_schema(event_type, wide_fields(frame))
        for field in event_type.fields:
            # Non-default values everywhere: a column that nothing fills proves nothing.
            column = frame[field.name]
            assert column.n_unique() > 1, f"{name}.{field.name}"
            if not field.nullable:
                assert column.null_count() == 0, f"{name}.{field.name}"


@pytest.mark.parametrize("size", [1, 37, 256])
def test_where_blocks_end_does_not_matter(size: int) -> None:
    block = every_column_stream(600, seed=3)
    whole = block_to_tables(block, "s")
    encoder = TableEncoder("s", block.instruments)
    parts: dict[str, list[pl.DataFrame]] = {}
    for piece in block.chunks(size):
        for name, frame in encoder.push(piece).items():
            parts.setdefault(name, []).append(frame)
        encoder = TableEncoder.load(encoder.save(), block.instruments)
    assert encoder.flush() == {}
    for name, frame in whole.items():
        assert concat_frames(parts[name], EVENT_TYPES[name]).equals(frame), name


def test_tables_may_come_in_any_row_order() -> None:
    block = every_column_stream(300, seed=1)
    tables = {name: frame.reverse() for name, frame in block_to_tables(block, "s").items()}
    assert canonical(tables_to_block(tables, block.instruments)) == canonical(block)


def test_an_unfinished_snapshot_is_written_at_the_end() -> None:
    rows = rows_of(EventKind.BOOK_SNAPSHOT, 3, side=[1, 1, -1], price=[10, 9, 11], quantity=1.0)
    block = EventBlock(rows[:2], (BTC,))
    tables = block_to_tables(block, "s")
    assert tables["orderbook_snapshot"]["bid_depth"].to_list() == [2]
    assert tables_to_block(tables, (BTC,)).rows["flags"].tolist() == [1, 0]


def test_a_snapshot_is_one_row_best_first_with_its_own_order_kept() -> None:
    rows = rows_of(
        EventKind.BOOK_SNAPSHOT, 4, side=[-1, 1, 1, -1], price=[13, 9, 10, 11], quantity=[4.0, 0.5, 0.0, 3.0]
    )
    frame = block_to_tables(block_of(rows), "s")["orderbook_snapshot"]
    row = frame.row(0, named=True)
    assert frame.height == 1
    assert row["bid_prices"] == [Decimal("1.0"), Decimal("0.9")]
    assert row["ask_prices"] == [Decimal("1.1"), Decimal("1.3")]
    assert row["level_order"] == [2, 1, 3, 0]
    assert (row["best_bid"], row["best_bid_quantity"]) == (Decimal("0.9"), Decimal("0.5"))  # 1.0 is empty
    assert (row["best_ask"], row["bid_depth"], row["ask_depth"]) == (Decimal("1.1"), 2, 2)
    assert canonical(tables_to_block({"orderbook_snapshot": frame}, (BTC,))) == canonical(block_of(rows))


def test_an_empty_book_survives() -> None:
    rows = rows_of(EventKind.BOOK_SNAPSHOT)
    frame = block_to_tables(block_of(rows), "s")["orderbook_snapshot"]
    assert frame["bid_prices"].to_list() == [[]]
    assert frame["best_bid"].to_list() == [None]
    assert canonical(tables_to_block({"orderbook_snapshot": frame}, (BTC,))) == canonical(block_of(rows))


def test_a_one_sided_quote_leaves_the_other_side_null() -> None:
    two = rows_of(EventKind.QUOTE, 2, side=[1, -1], price=[10, 11], quantity=[1.0, 2.0])
    ask = rows_of(EventKind.QUOTE, 1, side=-1, price=0, quantity=0.0)
    block = block_of(two, ask)
    frame = block_to_tables(block, "s")["quote"]
    assert frame["bid_price"].to_list() == [Decimal("1.0"), None]
    assert frame["ask_price"].to_list() == [Decimal("1.1"), Decimal(0)]
    assert canonical(tables_to_block({"quote": frame}, (BTC,))) == canonical(block)


def test_trades_derive_maker_and_notional() -> None:
    rows = np.concatenate([rows_of(EventKind.TRADE, side=side, price=25, quantity=2.0) for side in (1, -1, 0)])
    frame = block_to_tables(EventBlock(rows, (BTC,)), "s")["trade"]
    assert frame["is_maker_buyer"].to_list() == [False, True, None]
    assert frame["quote_quantity"].to_list() == [Decimal("5.0")] * 3


def test_ordinals_count_rows_of_equal_receive_time_across_blocks() -> None:
    rows = np.concatenate([rows_of(EventKind.TRADE, price=1, quantity=1.0, ts_recv=t) for t in (5, 5, 5, 6, 6)])
    encoder = TableEncoder("s", (BTC,))
    ordinals = []
    for i in range(5):
        ordinals += encoder.push(EventBlock(rows[i : i + 1], (BTC,)))["trade"]["ordinal"].to_list()
    assert ordinals == [0, 1, 2, 0, 1]


def test_an_ingest_id_is_the_venues_identity() -> None:
    rows = rows_of(EventKind.TRADE, price=100, quantity=1.0, event_id=7, side=1, ts_event=3, ts_recv=9)
    position = np.zeros(1, np.int64)
    base = int(ingest_ids(rows, position, (BTC,))[0])
    later = rows.copy()
    later["ts_recv"], later["flags"] = 12, 3
    assert int(ingest_ids(later, position, (BTC,))[0]) == base
    finer = Instrument(exchange="binance", market_type="linear", symbol="BTC-USDT", tick_size=Decimal("0.01"))
    same_price = rows.copy()
    same_price["price"] = 1000
    assert int(ingest_ids(same_price, position, (finer,))[0]) == base
    spot = Instrument(exchange="binance", market_type="spot", symbol="BTC-USDT", tick_size=Decimal("0.1"))
    others = {int(ingest_ids(rows, position, (spot,))[0]), int(ingest_ids(rows, position + 1, (BTC,))[0])}
    for name, value in (("event_id", 8), ("price", 101), ("quantity", 2.0), ("side", -1), ("ts_event", 4), ("kind", 2)):
        other = rows.copy()
        other[name] = value
        others.add(int(ingest_ids(other, position, (BTC,))[0]))
    assert len(others | {base}) == 9
    assert min(others) >= 0


def test_an_ingest_id_does_not_depend_on_the_process() -> None:
    rows = rows_of(EventKind.TRADE, price=100, quantity=1.5, event_id=7, side=1, ts_event=3)
    # The value must never change, or stored rows would lose their identity.
    assert ingest_ids(rows, np.zeros(1, np.int64), (BTC,)).tolist() == [5_184_879_644_483_736_971]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (rows_of(EventKind.TRADE, price=1, quantity=np.nan), "quantity was NaN"),
        (rows_of(EventKind.QUOTE, side=1, quantity=np.nan), "quantity was NaN"),
        (rows_of(EventKind.QUOTE, side=0), "no side"),
        (rows_of(EventKind.BOOK_SNAPSHOT, side=0, price=3), "no side"),
        (rows_of(EventKind.GAP), "no payload"),
        (rows_of(EventKind.TRADE, payload=0), "payload of a trade row was 0"),
        (rows_of(EventKind.QUOTE, side=1, payload=3), "payload of a quote row was 3 of 0"),
        (rows_of(99), "kind was 99"),
    ],
)
def test_what_has_no_place_is_refused(rows: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        block_to_tables(EventBlock(rows, (BTC,)), "s")


def test_a_payload_row_may_not_hide_values() -> None:
    rows, record = payload_event(EventKind.FUNDING_RATE, ts_event=1, ts_recv=1, price=5, rate=0.1)
    with pytest.raises(DataError, match="price of a funding_rate row was 5"):
        block_to_tables(EventBlock(rows, (BTC,), {EventKind.FUNDING_RATE: record}), "s")


def test_text_that_is_no_utf8_is_refused() -> None:
    rows, record = payload_event(EventKind.VOLATILITY_INDEX, ts_event=1, ts_recv=1, index_name=b"\xff\xfe")
    with pytest.raises(DataError, match="index_name was not UTF-8"):
        block_to_tables(EventBlock(rows, (BTC,), {EventKind.VOLATILITY_INDEX: record}), "s")


def test_time_that_runs_backwards_is_refused_also_across_blocks() -> None:
    encoder = TableEncoder("s", (BTC,))
    encoder.push(block_of(rows_of(EventKind.TRADE, ts_recv=5)))
    with pytest.raises(DataError, match="backwards"):
        encoder.push(block_of(rows_of(EventKind.TRADE, ts_recv=4)))
    with pytest.raises(DataError, match="another stream"):
        encoder.push(every_column_stream(1))


def test_saved_state_of_another_kind_is_refused() -> None:
    from marketprism.core.state import pack_state

    with pytest.raises(StateError):
        TableEncoder.load(pack_state("book", 1, {}), (BTC,))
    held = {"last": [0, 0, 0], "source": "s", "rows": np.zeros(1, np.int64), "payloads": {}}
    with pytest.raises(StateError, match="layout"):
        TableEncoder.load(pack_state("tables", 1, held), (BTC,))


def damaged(name: str, **columns: pl.Expr) -> dict[str, pl.DataFrame]:
    tables = block_to_tables(every_column_stream(400, seed=2), "s")
    return {name: tables[name].with_columns(**columns)}


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("trade", {"symbol": pl.lit("XXX")}, "no instrument of the stream"),
        ("trade", {"price": pl.lit(Decimal("0.00000003")).cast(pl.Decimal(18, 8))}, "off the grid"),
        ("orderbook_delta", {"action": pl.lit(7)}, "action of another table"),
        (
            "quote",
            {"bid_price": pl.lit(None, pl.Decimal(18, 8)), "ask_price": pl.lit(None, pl.Decimal(18, 8))},
            "neither",
        ),
        ("quote", {"bid_quantity": pl.lit(None, pl.Decimal(18, 8))}, "without a quantity"),
        ("orderbook_snapshot", {"bid_quantities": pl.col("bid_quantities").list.head(0)}, "without quantities"),
        ("orderbook_snapshot", {"level_order": pl.lit([0] * 30)}, "does not match"),
        ("orderbook_snapshot", {"level_order": pl.col("level_order").list.eval(pl.lit(0))}, "no permutation"),
    ],
)
def test_a_damaged_table_is_refused(name: str, columns: dict[str, pl.Expr], message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        tables_to_block(damaged(name, **columns), every_column_stream(1).instruments)


def test_a_table_without_our_columns_is_refused() -> None:
    tables = block_to_tables(every_column_stream(400, seed=2), "s")
    with pytest.raises(IntegrityError, match="no column 'side'"):
        tables_to_block({"trade": tables["trade"].drop("side")}, every_column_stream(1).instruments)


def test_no_table_is_an_empty_block() -> None:
    assert len(tables_to_block({}, (BTC,))) == 0
