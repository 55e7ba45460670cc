"""What ``store:`` and ``parquet:`` read back is what the source gave: made-up streams and a real file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from marketprism.buckets.record import BUCKET_DTYPE
from marketprism.core.errors import ConfigError, StoreError
from marketprism.ingest.source import Source
from marketprism.pipelines.convert import convert
from marketprism.pipelines.sources import open_source
from marketprism.pipelines.store_sink import open_sink
from marketprism.pipelines.store_source import StoreSource
from marketprism.pipelines.verify import verify
from marketprism.store import Store
from marketprism.store.frames import read_frame
from marketprism.testing.streams import canonical


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(tmp_path_factory.mktemp("parity") / "db") as opened:
        yield opened


def through(store: Store, source: Source, folder: Path) -> tuple[Any, Any, Any]:
    """Send a source through the store and through Parquet; return what it gave, and what came back from each."""
    blocks = list(source)
    address = str(store.connection.address)
    with open_sink(address, source) as sink:
        assert sink is not None
        for block in blocks:
            sink.write(block)
    back = open_source(f"store:{address}?source={quoted(source.spec)}")
    assert isinstance(back, StoreSource)
    assert back.instruments == source.instruments
    stored = canonical(list(back))
    assert back.report.records == sum(map(len, blocks)) > 0
    back.close()
    convert(source, folder / "out")
    assert verify(folder / "out").faults == ()
    return canonical(blocks), stored, canonical(list(open_source(f"parquet:{folder / 'out'}")))


def quoted(text: str) -> str:
    return text.replace("?", "%3F").replace("&", "%26").replace("=", "%3D")


def test_the_simulated_market(store: Store, tmp_path: Path) -> None:
    given, stored, converted = through(store, open_source("sim:?seed=3&minutes=1"), tmp_path)
    assert stored == given
    assert converted == given


@pytest.mark.parametrize("name", ["lobster", "us-l1"])
def test_real_files(store: Store, tmp_path: Path, data_dir: Path, name: str) -> None:
    if name == "lobster":
        path = min((data_dir / "lobster").glob("*.zip"), key=lambda p: p.stat().st_size, default=None)
        spec = f"lobster:{path}"
    else:
        path = min((data_dir / "us_equity_l1_201310").glob("*.zip"), key=lambda p: p.stat().st_size, default=None)
        spec = f"us-l1:{path}"
    if path is None:
        pytest.skip("no such file")
    source = open_source(spec)
    given, stored, converted = through(store, Head(source, 40_000), tmp_path)
    assert stored == given
    assert converted == given


class Head(Source):
    """The beginning of a source."""

    def __init__(self, source: Source, rows: int) -> None:
        super().__init__(source.spec, source.instruments)
        self._source, self._rows = source, rows

    def _blocks(self) -> Iterator:
        left = self._rows
        for block in self._source:
            yield block[:left]
            left -= len(block)
            if left <= 0:
                return


def test_windows_and_options(store: Store, tmp_path: Path) -> None:
    address = str(store.connection.address)
    source = open_source("sim:?seed=4&minutes=1")
    given, stored, converted = through(store, source, tmp_path)
    assert stored == converted == given
    rows = np.concatenate([block.rows for block in source])
    middle = int(rows["ts_recv"][len(rows) // 2])
    spec = f"store:{address}?source={quoted('sim:?seed=4&minutes=1')}"
    part = open_source(f"{spec}&from={middle}")
    assert isinstance(part, StoreSource)
    found = np.concatenate([block.rows for block in part])
    np.testing.assert_array_equal(found["ts_recv"], rows["ts_recv"][rows["ts_recv"] >= middle])
    part.close()
    with pytest.raises(ConfigError, match="from must be before to"):
        open_source(f"{spec}&from=2024-08-09&to=2024-08-08")
    with pytest.raises(ConfigError, match="database was 'warm'"):
        open_source(f"{spec}&database=warm")
    with pytest.raises(StoreError, match="no source"):
        open_source(f"store:{address}?source=nobody")


def test_no_address_is_no_sink() -> None:
    with open_sink(None, open_source("sim:?seed=3&minutes=1")) as sink:
        assert sink is None


def test_results_are_filed_under_the_source_and_a_run(store: Store) -> None:
    source = open_source("sim:?seed=3&minutes=1")
    size = 4
    keys = pl.DataFrame(
        {
            "exchange": ["sim"] * size, "market_type": ["spot"] * size, "symbol": ["SIM-USDT"] * size,
            "bucket_id": range(size),
        }
    )  # fmt: skip
    columns = {}
    for name in BUCKET_DTYPE.names or ():
        if name == "trigger":
            columns[name] = pl.lit("time")
        elif name != "bucket_id":
            columns[name] = pl.lit(0.5 if BUCKET_DTYPE[name] == np.float64 else 1_723_161_255_030_314_667)
    frame = keys.with_columns(**columns, spread=pl.lit(0.25))
    labels = keys.with_columns(return_1=pl.lit(0.1))
    predictions = keys.with_columns(model=pl.lit("m"), horizon=pl.lit("1"), fold=pl.lit(0), p_up=pl.lit(0.5))
    for _ in range(2):  # the same run written again changes nothing
        with open_sink(str(store.connection.address), source) as sink:
            assert sink is not None
            sink.write_results(SimpleNamespace(frame=frame), SimpleNamespace(predictions=predictions), labels, "p")
    assert read_frame(store, "factors").equals(frame)
    assert read_frame(store, "labels").equals(labels)
    assert read_frame(store, "predictions").equals(predictions)
    buckets = read_frame(store, "unified_buckets", source=source.spec)
    assert buckets["policy_hash"].to_list() == ["p"] * size
    assert buckets["run"].n_unique() == 1
