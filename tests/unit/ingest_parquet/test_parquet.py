from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from marketprism.core.arrow_schema import fields_of
from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, DataError, IntegrityError, SourceError
from marketprism.core.schema import EVENT_TYPES
from marketprism.core.timebase import format_ns
from marketprism.ingest.dataset import MANIFEST, read_manifest, write_manifest
from marketprism.ingest.registry import open_source
from marketprism.ingest.source import Source
from marketprism.pipelines import dataset_writer
from marketprism.pipelines.convert import convert
from marketprism.pipelines.verify import verify
from marketprism.testing.streams import canonical, every_column_stream

DAY = 86_400_000_000_000


class MadeUp(Source):
    """A block as a source."""

    def __init__(self, block: EventBlock, size: int = 100) -> None:
        super().__init__("made:up", block.instruments)
        self.block, self.size = block, size

    def _blocks(self) -> Iterator[EventBlock]:
        self.report.records = len(self.block)
        self.report.facts["tick"] = "from the venue"
        yield from self.block.chunks(self.size)


def by_name(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("wide", [False, True])
def test_a_converted_stream_reads_back_identically(tmp_path: Path, wide: bool) -> None:
    block = every_column_stream(1500, seed=5, wide=wide)
    result = convert(MadeUp(block), tmp_path / "out")
    source = open_source(f"parquet:{tmp_path / 'out'}")
    assert source.instruments == block.instruments
    assert canonical(list(source)) == canonical(block)
    assert canonical(list(source)) == canonical(block)  # as often as needed
    assert (result.rows, result.events) == (len(block), block.counts())
    found = verify(tmp_path / "out")
    assert (found.faults, found.files) == ((), result.files)
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.source, manifest.records, manifest.facts) == ("made:up", len(block), {"tick": "from the venue"})
    assert source.report.records == sum(entry.rows for entry in manifest.files) == found.rows
    assert set(source.files) == {str(tmp_path / "out" / entry.path) for entry in manifest.files}


def test_small_row_groups_and_blocks_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = every_column_stream(800, seed=5)
    monkeypatch.setattr(dataset_writer, "_GROUP_ROWS", 16)
    convert(MadeUp(block, 7), tmp_path / "out")
    entry = next(e for e in read_manifest(tmp_path / "out").files if e.event_type == "trade")
    assert pq.ParquetFile(tmp_path / "out" / entry.path).metadata.num_row_groups > 3
    assert canonical(list(open_source(f"parquet:{tmp_path / 'out'}"))) == canonical(block)


def test_the_same_stream_gives_the_same_bytes(tmp_path: Path) -> None:
    block = every_column_stream(300)
    for name in ("a", "b"):
        convert(MadeUp(block), tmp_path / name)
    assert by_name(tmp_path / "a") == by_name(tmp_path / "b")


def test_one_file_a_day_and_a_window_reads_only_its_days(tmp_path: Path) -> None:
    block = every_column_stream(400, seed=2, day_ns=DAY // 40)
    convert(MadeUp(block), tmp_path / "out")
    days = sorted({entry.day for entry in read_manifest(tmp_path / "out").files})
    assert len(days) > 5
    for path in (tmp_path / "out").rglob(f"{days[0]}*.parquet"):
        path.unlink()  # a damaged day does not stop the others
    recv = block.rows["ts_recv"]
    start, end = int(recv[len(recv) // 3]), int(recv[2 * len(recv) // 3])
    source = open_source(f"parquet:{tmp_path / 'out'}?from={format_ns(start)}&to={format_ns(end)}")
    inside = EventBlock(block.rows[(recv >= start) & (recv < end)], block.instruments, block.payloads)
    assert canonical(list(source)) == canonical(inside)
    with pytest.raises(IntegrityError, match="is missing"):
        list(open_source(f"parquet:{tmp_path / 'out'}"))


@pytest.mark.parametrize("symbol", ["BTC-USD", "binance:inverse:BTC-USD"])
def test_one_symbol_of_a_panel(tmp_path: Path, symbol: str) -> None:
    block = every_column_stream(300)
    convert(MadeUp(block), tmp_path / "out")
    source = open_source(f"parquet:{tmp_path / 'out'}?symbol={symbol}")
    assert source.instrument.key == "binance:inverse:BTC-USD"
    assert canonical(list(source)) == canonical(block.only(1))
    with pytest.raises(SourceError, match="did you mean 'BTC-USD'"):
        open_source(f"parquet:{tmp_path / 'out'}?symbol=BTC-USDC")


def test_a_column_that_becomes_wider_starts_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_writer, "_GROUP_ROWS", 16)
    block = every_column_stream(600, seed=9)
    rows = block.rows.copy()
    late = rows["kind"] == 7
    late[: len(late) // 2] = False
    rows["quantity"][late] = 1e-12
    block = EventBlock(rows, block.instruments, block.payloads)
    convert(MadeUp(block), tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "trade").iterdir())
    assert names == ["2024-08-08-1.parquet", "2024-08-08.parquet"]
    assert canonical(list(open_source(f"parquet:{tmp_path / 'out'}"))) == canonical(block)
    assert verify(tmp_path / "out").faults == ()


def test_files_are_documented_inside(tmp_path: Path) -> None:
    convert(MadeUp(every_column_stream(300)), tmp_path / "out")
    for entry in read_manifest(tmp_path / "out").files:
        schema = pq.read_schema(tmp_path / "out" / entry.path)
        assert schema.names == [field.name for field in fields_of(EVENT_TYPES[entry.event_type])]
        assert schema.field("ts_recv").metadata[b"unit"] == b"ns UTC"
        assert pl.read_parquet(tmp_path / "out" / entry.path).height == entry.rows


def test_an_earlier_conversion_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(MadeUp(every_column_stream(300)), out)
    (tmp_path / "out.partial" / "trade").mkdir(parents=True)  # a killed writer left it
    convert(MadeUp(every_column_stream(50, seed=1)), out)
    assert canonical(list(open_source(f"parquet:{out}"))) == canonical(every_column_stream(50, seed=1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").write_bytes(b"meow")
    with pytest.raises(ConfigError, match="not one of our directories"):
        convert(MadeUp(every_column_stream(5)), other)
    with pytest.raises(ConfigError, match="not one of our directories"):
        convert(MadeUp(every_column_stream(5)), other / "cat.jpg")
    assert (other / "cat.jpg").read_bytes() == b"meow"


def test_a_stream_that_fails_leaves_nothing_and_keeps_the_old(tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(MadeUp(every_column_stream(300)), out)
    before = by_name(out)
    block = every_column_stream(300)
    block.rows["quantity"][-1] = 1e300
    with pytest.raises(DataError):
        convert(MadeUp(block, 10), out)
    assert by_name(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_window_must_run_forwards_and_the_path_be_one(tmp_path: Path) -> None:
    convert(MadeUp(every_column_stream(30)), tmp_path / "out")
    with pytest.raises(ConfigError, match="from must be before to"):
        open_source(f"parquet:{tmp_path / 'out'}?from=2024-08-09&to=2024-08-08")
    with pytest.raises(SourceError, match="2 directories"):
        open_source("parquet:a,b")
    with pytest.raises(SourceError, match="none accepted"):
        list(open_source(f"parquet:{tmp_path / 'out'}?from=2034-08-09"))


def test_a_directory_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=MANIFEST):
        open_source(f"parquet:{tmp_path}")


def test_a_manifest_of_another_version_is_refused(tmp_path: Path) -> None:
    import msgspec

    convert(MadeUp(every_column_stream(30)), tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    write_manifest(tmp_path / "out", msgspec.structs.replace(manifest, schema_version=99))
    with pytest.raises(IntegrityError, match="schema version 99"):
        open_source(f"parquet:{tmp_path / 'out'}")
