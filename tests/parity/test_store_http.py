"""The client path over real HTTP, against a loopback server that executes on chDB, equals the embedded one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from marketprism.core.errors import Action, StoreError
from marketprism.core.tables import block_to_tables
from marketprism.pipelines.sources import open_source
from marketprism.pipelines.store_source import StoreSource
from marketprism.store import Store, StoreConfig, StoreReader, StoreWriter
from marketprism.store.frames import read_frame, write_frame
from marketprism.testing.streams import canonical, every_column_stream

SERVER = Path(__file__).parents[1] / "store_http.py"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server") / "db"
    command = [sys.executable, str(SERVER), str(folder), "me", "se:cret"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"clickhouse://me:se%3Acret@127.0.0.1:{int(server.stdout.readline())}"
        server.kill()


@pytest.fixture(scope="module")
def store(url: str) -> Iterator[Store]:
    with Store.open(url, StoreConfig(batch_rows=400, backoff_s=0.0)) as opened:
        yield opened


@pytest.mark.parametrize("wide", [False, True])
def test_every_column_of_every_type_survives(store: Store, url: str, wide: bool) -> None:
    block = every_column_stream(500, seed=4, wide=wide)
    for _ in range(2):  # sent twice, single
        with StoreWriter(store, f"http-{wide}", block.instruments) as writer:
            for piece in block.chunks(100):
                writer.write(piece)
    assert canonical(StoreReader(store, f"http-{wide}").blocks()) == canonical(block)
    source = open_source(f"store:{url}?source=http-{wide}")
    assert "cret" not in source.spec
    assert canonical(list(source)) == canonical(block)
    assert isinstance(source, StoreSource)
    source.close()


def test_a_batch_sent_twice_is_single_at_once(store: Store) -> None:
    frame = block_to_tables(every_column_stream(300, seed=5), "token")["quote"]
    for _ in range(2):
        store.insert_events("quote", frame)
    found = store.connection.query("SELECT count() AS n FROM marketprism_hot.quote WHERE source = 'token'")
    assert found["n"].item() == frame.height


def test_frames_survive(store: Store) -> None:
    frame = pl.DataFrame(
        {
            "exchange": ["x", "x"],
            "market_type": ["spot", "spot"],
            "symbol": ["A", "A"],
            "bucket_id": [1, 2],
            "ts_end": [1_723_161_255_030_314_667, 1_723_161_255_030_314_668],
            "factor": [None, -1 / 3],
            "class": pl.Series([1, None], dtype=pl.Int8),
        }
    )
    write_frame(store, "factors", frame, source="s", run="r")
    assert read_frame(store, "factors").equals(frame)


def test_a_busy_server_is_tried_again_and_gets_larger_batches(store: Store) -> None:
    block = every_column_stream(400, seed=6)
    with StoreWriter(store, "busy", block.instruments) as writer:
        store.connection.command("-- fail the next inserts 3 252 TOO_MANY_PARTS")
        writer.write(block)
        assert writer.retries == 3
        assert writer._batch_rows > 400
    assert canonical(StoreReader(store, "busy").blocks()) == canonical(block)


def test_other_refusals_are_not_tried_again(store: Store) -> None:
    frame = block_to_tables(every_column_stream(99), "s")["trade"]
    store.connection.command("-- fail the next inserts 1 243 NOT_ENOUGH_SPACE")
    with pytest.raises(StoreError, match="the disk is full") as caught:
        store.insert_events("trade", frame)
    assert caught.value.action == Action.STOP
    store.connection.command("-- fail the next inserts 1 60 UNKNOWN_TABLE")
    with pytest.raises(StoreError, match="UNKNOWN_TABLE"):
        store.insert_events("trade", frame)
    assert store.insert_events("trade", frame) == 0


def test_a_wrong_password_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(StoreError, match="Authentication failed") as caught:
        Store.open(url.replace("se%3Acret", "hunter2"))
    assert "hunter2" not in str(caught.value)


def test_reads_and_statements_that_fail_are_named(store: Store) -> None:
    with pytest.raises(StoreError, match="query"):
        store.connection.query("SELECT nonsense")
    with pytest.raises(StoreError, match="read"):
        list(store.connection.stream("SELECT nonsense"))
    with pytest.raises(StoreError, match="DROP nonsense"):
        store.connection.command("DROP nonsense")


def test_no_server_is_an_error_that_says_try_again() -> None:
    with pytest.raises(StoreError, match="connect") as caught:
        Store.open("clickhouse://127.0.0.1:1")
    assert caught.value.action == Action.RETRY
