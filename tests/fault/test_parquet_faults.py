"""Faults 6 and 25: damaged Parquet is named and refused, a full disk leaves nothing half-written."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from marketprism.core.block import EventBlock
from marketprism.core.errors import IntegrityError, StoreError
from marketprism.ingest import dataset
from marketprism.ingest.dataset import MANIFEST, read_manifest
from marketprism.ingest.registry import open_source
from marketprism.ingest.source import Source
from marketprism.pipelines import dataset_writer
from marketprism.pipelines.convert import convert
from marketprism.pipelines.verify import verify
from marketprism.testing.streams import canonical, every_column_stream

TRADES = "trade/2024-08-08.parquet"


class MadeUp(Source):
    """A block as a source."""

    def __init__(self, block: EventBlock) -> None:
        super().__init__("made:up", block.instruments)
        self.block = block

    def _blocks(self) -> Iterator[EventBlock]:
        yield from self.block.chunks(100)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(dataset_writer, "_GROUP_ROWS", 64)
    convert(MadeUp(every_column_stream(1500)), tmp_path / "out")
    return tmp_path / "out"


def refuse(folder: Path, match: str) -> None:
    with pytest.raises(IntegrityError, match=match):
        list(open_source(f"parquet:{folder}"))


def test_a_truncated_file_is_named_and_refused(folder: Path) -> None:
    path = folder / TRADES
    path.write_bytes(path.read_bytes()[:-500])
    (fault,) = verify(folder).faults
    assert fault.path == TRADES
    assert "bytes, the manifest says" in str(fault)
    assert "records 0 to" in str(fault)
    refuse(folder, TRADES)


def test_a_bit_flip_is_named_down_to_the_records_and_the_column(folder: Path) -> None:
    path = folder / TRADES
    group = 2
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        column = file.metadata.row_group(group).column(names.index("quantity"))
        at = column.data_page_offset + column.total_compressed_size - 2
        rows = [file.metadata.row_group(i).num_rows for i in range(group + 1)]
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    (fault,) = verify(folder).faults
    assert fault.path == TRADES
    first = sum(rows[:group])
    assert f"records {first} to {first + rows[group] - 1}: column quantity is damaged" in fault.what
    refuse(folder, "does not agree with its checksum")


def test_a_bit_flip_in_the_manifest_is_refused(folder: Path) -> None:
    path = folder / MANIFEST
    text = path.read_text()
    path.write_text(text.replace('"rows": ', '"rows": 1', 1))
    assert "checksum" in str(verify(folder).faults[0])
    refuse(folder, "checksum")
    path.write_text(text[:200])
    assert "damaged" in str(verify(folder).faults[0])
    refuse(folder, "damaged")
    path.write_text("[]")
    refuse(folder, "damaged")


def test_missing_and_foreign_files_are_named(folder: Path) -> None:
    (folder / TRADES).unlink()
    (folder / "trade" / "2024-08-09.parquet").write_bytes(b"?")
    faults = verify(folder).faults
    assert [(fault.path, fault.what) for fault in faults] == [
        (TRADES, "is missing (convert the source again, or restore the file)"),
        ("trade/2024-08-09.parquet", "the manifest does not list this file"),
    ]


def test_a_file_with_the_right_checksum_but_wrong_content_is_named(folder: Path) -> None:
    import msgspec
    import polars as pl

    manifest = read_manifest(folder)
    frame = pl.read_parquet(folder / TRADES).with_columns(
        price=pl.col("price") + pl.lit("0.00000003").cast(pl.Decimal(18, 8))
    )
    frame.head(100).write_parquet(folder / TRADES)
    files = [
        msgspec.structs.replace(
            entry, bytes=(folder / TRADES).stat().st_size, sha256=dataset.file_digest(folder / TRADES)
        )
        if entry.path == TRADES
        else entry
        for entry in manifest.files
    ]
    dataset.write_manifest(folder, msgspec.structs.replace(manifest, files=tuple(files)))
    what = [fault.what for fault in verify(folder).faults]
    assert "off the grid" in what[0]
    assert what[1].startswith("100 records, the manifest says")


def test_a_file_that_passes_its_checksum_but_is_no_parquet_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / TRADES).write_bytes(b"PAR1 nonsense PAR1")
    monkeypatch.setattr(dataset, "check_digest", lambda *_: None)  # control: without the guard Parquet itself refuses
    refuse(folder, "cannot be read")


def test_a_disk_that_refuses_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def full(self: object, *args: object, **kwargs: object) -> None:
        nonlocal calls
        calls += 1
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(StoreError, match="No space left on device"):
        convert(MadeUp(every_column_stream(300)), tmp_path / "out")
    assert calls == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_keeps_the_old_and_recovers(small_disk: Path) -> None:
    out = small_disk / "out"
    convert(MadeUp(every_column_stream(100)), out)
    with pytest.raises(StoreError, match="No space left"):
        convert(MadeUp(every_column_stream(2500)), out)
    assert sorted(path.name for path in small_disk.iterdir()) == ["out"]
    assert canonical(list(open_source(f"parquet:{out}"))) == canonical(every_column_stream(100))
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    convert(MadeUp(every_column_stream(2500)), out)
    assert verify(out).faults == ()
