from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal

import msgspec
import polars as pl
import pytest

from marketprism.core.block import EventBlock
from marketprism.core.errors import StoreError
from marketprism.core.schema import EVENT_TYPES
from marketprism.core.tables import block_to_tables
from marketprism.store import Store, StoreConfig, StoreReader, StoreWriter, migrations
from marketprism.store import reader as reader_module
from marketprism.store.store import content_token
from marketprism.testing.streams import canonical, every_column_stream

DAY = 86_400_000_000_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    # One process has one chDB directory: every test of this module writes its own source into it.
    with Store.open(tmp_path_factory.mktemp("store") / "db", StoreConfig(batch_rows=500, backoff_s=0.0)) as opened:
        yield opened


def write(store: Store, source: str, block: EventBlock, size: int = 100) -> None:
    with StoreWriter(store, source, block.instruments) as writer:
        for piece in block.chunks(size):
            writer.write(piece)


@pytest.mark.parametrize("wide", [False, True])
def test_every_column_of_every_type_survives(store: Store, wide: bool) -> None:
    block = every_column_stream(1200, seed=4, wide=wide)
    write(store, f"round-{wide}", block)
    assert canonical(StoreReader(store, f"round-{wide}").blocks()) == canonical(block)


def test_narrow_rows_stay_what_they_were_when_a_column_becomes_wide(store: Store) -> None:
    before = every_column_stream(300, seed=21)
    write(store, "narrow-first", before)
    write(store, "then-wide", every_column_stream(300, seed=22, wide=True))
    write(store, "narrow-again", before)
    for source in ("narrow-first", "narrow-again"):
        assert canonical(StoreReader(store, source).blocks()) == canonical(before)


def test_every_table_holds_what_the_frame_held(store: Store) -> None:
    tables = block_to_tables(every_column_stream(800, seed=6), "columns")
    store.register("columns", every_column_stream(1).instruments)
    for name, frame in tables.items():
        store.insert_events(name, frame, database="cold")
        back = store.connection.query(
            f"SELECT * FROM marketprism_cold.{name} FINAL WHERE source = 'columns' ORDER BY ts_recv, ordinal"
        )
        assert back.columns == frame.columns
        assert back.to_dicts() == frame.to_dicts(), name
    block = every_column_stream(800, seed=6)
    assert canonical(StoreReader(store, "columns", database="cold").blocks()) == canonical(block)


def test_days_are_read_one_window_after_another(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    block = every_column_stream(300, seed=8, day_ns=DAY // 20)
    write(store, "days", block)
    monkeypatch.setattr(reader_module, "_WINDOW_ROWS", 20)
    reader = StoreReader(store, "days")
    assert canonical(reader.blocks()) == canonical(block)
    recv = block.rows["ts_recv"]
    start, end = int(recv[len(recv) // 3]), int(recv[2 * len(recv) // 3])
    inside = EventBlock(block.rows[(recv >= start) & (recv < end)], block.instruments, block.payloads)
    assert canonical(StoreReader(store, "days", start=start, end=end).blocks()) == canonical(inside)


def test_one_instrument_of_a_panel(store: Store) -> None:
    block = every_column_stream(300, seed=9)
    write(store, "panel", block)
    reader = StoreReader(store, "panel", exchange="binance", market_type="inverse")
    assert [instrument.symbol for instrument in reader.instruments] == ["BTC-USD"]
    assert canonical(reader.blocks()) == canonical(block.only(1))
    with pytest.raises(StoreError, match="no source with symbol 'XXX'"):
        StoreReader(store, "panel", symbol="XXX")
    with pytest.raises(StoreError, match="did you mean 'panel'"):
        StoreReader(store, "panels")


def test_several_sources_must_be_told_apart(store: Store) -> None:
    write(store, "one", every_column_stream(20))
    write(store, "two", every_column_stream(20))
    assert {"one", "two"} <= set(store.sources())
    with pytest.raises(StoreError, match="choose one with source="):
        StoreReader(store)


def test_a_batch_sent_twice_is_single_within_and_beyond_the_window(store: Store) -> None:
    block = every_column_stream(200, seed=10)
    frame = block_to_tables(block, "twice")["trade"]
    count = "SELECT count() AS n FROM marketprism_hot.trade {} WHERE source = 'twice'"
    store.insert_events("trade", frame)
    store.insert_events("trade", frame)
    # The token made it single at once: nothing needed merging.
    assert store.connection.query(count.format(""))["n"].item() == frame.height
    # Beyond the window tokens are forgotten; the key keeps rows single. Another token is the same situation.
    store.connection.insert("marketprism_hot.trade", frame, "forgotten")
    # Both copies are there until the server merges them, which it may already have done.
    assert store.connection.query(count.format(""))["n"].item() in {frame.height, 2 * frame.height}
    assert store.connection.query(count.format("FINAL"))["n"].item() == frame.height
    size = next(size for size in store.sizes() if (size.database, size.table) == ("marketprism_hot", "trade"))
    assert size.rows == store.connection.query("SELECT count() AS n FROM marketprism_hot.trade FINAL")["n"].item()
    assert size.bytes > 0


def test_the_token_is_the_content() -> None:
    frame = block_to_tables(every_column_stream(200), "s")["trade"]
    token = content_token("db.trade", frame)
    assert content_token("db.trade", frame.clone()) == token
    assert content_token("db.trade", pl.concat([frame[:7], frame[7:]], rechunk=False)) == token
    assert content_token("db.quote", frame) != token
    assert content_token("db.trade", frame[1:]) != token
    price = pl.col("price") + pl.lit(Decimal("0.1")).cast(pl.Decimal(18, 8))
    assert content_token("db.trade", frame.with_columns(price.cast(pl.Decimal(18, 8)))) != token


def test_a_view_fed_by_a_resent_insert_equals_a_recompute(store: Store) -> None:
    run = store.connection.command
    run("CREATE TABLE marketprism_hot.bars (symbol String, n UInt64) ENGINE = SummingMergeTree ORDER BY symbol "
        "SETTINGS non_replicated_deduplication_window = 100")  # fmt: skip
    run("CREATE MATERIALIZED VIEW marketprism_hot.bars_view TO marketprism_hot.bars AS "
        "SELECT symbol, count() AS n FROM marketprism_hot.trade GROUP BY symbol")  # fmt: skip
    try:
        frame = block_to_tables(every_column_stream(400, seed=12), "viewed")["trade"]
        for _ in range(3):
            store.insert_events("trade", frame)
        found = store.connection.query("SELECT symbol, toInt64(sum(n)) AS n FROM marketprism_hot.bars GROUP BY symbol")
        assert dict(found.iter_rows()) == dict(frame["symbol"].value_counts(name="n").cast({"n": pl.Int64}).iter_rows())
    finally:
        run("DROP TABLE marketprism_hot.bars_view")
        run("DROP TABLE marketprism_hot.bars")


def test_a_checkpoint_covers_what_is_in_the_store(store: Store) -> None:
    block = every_column_stream(600, seed=13)
    half = len(block) // 2
    writer = StoreWriter(store, "resumed", block.instruments)
    writer.write(block[:half])
    checkpoint = writer.flush()
    writer.write(block[half : half + 50])  # lost: the process dies here
    with StoreWriter(store, "resumed", block.instruments, checkpoint=checkpoint) as second:
        second.write(block[half:])
    assert canonical(StoreReader(store, "resumed").blocks()) == canonical(block)


def test_an_error_on_the_way_out_inserts_nothing_more(store: Store) -> None:
    block = every_column_stream(20, seed=14)
    writer = StoreWriter(store, "aborted", block.instruments)
    writer.write(block)
    writer.__exit__(RuntimeError, RuntimeError(), None)
    assert list(StoreReader(store, "aborted").blocks()) == []


def test_a_source_keeps_its_instruments(store: Store) -> None:
    instruments = every_column_stream(1).instruments
    store.register("grid", instruments)
    store.register("grid", instruments)
    assert store.instruments("grid") == instruments
    finer = msgspec.structs.replace(instruments[0], tick_size=Decimal("0.01"))
    with pytest.raises(StoreError, match="other instruments"):
        store.register("grid", (finer, *instruments[1:]))


def test_refused_inserts_and_reads_name_the_statement(store: Store) -> None:
    with pytest.raises(StoreError, match=r"insert of 1 rows into marketprism_hot\.nothing"):
        store.insert("marketprism_hot.nothing", pl.DataFrame({"a": [1]}))
    with pytest.raises(StoreError, match="query"):
        store.connection.query("SELECT nonsense")
    with pytest.raises(StoreError, match="read"):
        list(store.connection.stream("SELECT nonsense"))
    with pytest.raises(StoreError, match="CREATE nonsense"):
        store.connection.command("CREATE nonsense")
    with pytest.raises(StoreError, match="did you mean 'hot'"):
        store.database("hott")
    assert store.insert_events("trade", block_to_tables(every_column_stream(99), "s")["trade"][:0]) == 0


def test_a_newer_or_altered_store_is_refused(store: Store) -> None:
    path = store.connection.address.path
    assert path is not None
    run = store.connection.command
    for prefix, change, message in (
        ("newer", "INSERT INTO newer_features.schema_migrations VALUES (99, 'future', '9.9')", "schema version 99"),
        ("altered", "ALTER TABLE altered_hot.trade DROP COLUMN trade_id", "altered_hot.trade.trade_id is missing"),
    ):
        Store.open(path, StoreConfig(prefix=prefix)).close()
        run(change)
        with pytest.raises(StoreError, match=message):
            Store.open(path, StoreConfig(prefix=prefix))
    run("DROP TABLE altered_hot.quote")
    run("ALTER TABLE altered_hot.trade ADD COLUMN trade_id Nullable(Int64)")
    Store.open(path, StoreConfig(prefix="altered")).close()  # a table that is missing is made again


def test_a_process_has_one_directory_and_never_forks(
    store: Store, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        Store.open(tmp_path_factory.mktemp("other"))
    monkeypatch.setattr(os, "getpid", lambda: 1)
    for use in (
        lambda: store.connection.query("SELECT 1"),
        lambda: store.connection.command("SELECT 1"),
        lambda: next(store.connection.stream("SELECT 1")),
        lambda: store.insert("marketprism_hot.trade", pl.DataFrame({"a": [1]})),
    ):
        with pytest.raises(StoreError, match="never fork"):
            use()


def test_sizes_name_every_table(store: Store) -> None:
    names = {(size.database, size.table) for size in store.sizes()}
    for name in EVENT_TYPES:
        assert {("marketprism_hot", name), ("marketprism_cold", name)} <= names
    assert ("marketprism_features", "unified_buckets") in names


def test_an_older_store_is_upgraded_step_by_step(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store.connection.address.path
    assert path is not None
    config = StoreConfig(prefix="older")
    Store.open(path, config).close()
    step = "ALTER TABLE {prefix}_hot.trade ADD COLUMN venue_note String DEFAULT 'old'"
    monkeypatch.setattr(migrations, "MIGRATIONS", ((2, "venue note", (step,)),))
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", 2)
    for _ in range(2):  # the second opening finds nothing to do
        Store.open(path, config).close()
    found = store.connection.query("SELECT version, name FROM older_features.schema_migrations FINAL ORDER BY version")
    assert found.rows() == [(1, "initial"), (2, "venue note")]
    assert store.connection.query("SELECT venue_note FROM older_hot.trade").columns == ["venue_note"]
