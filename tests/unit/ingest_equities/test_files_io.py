"""Every container is read as a stream, and every way of being broken is one error naming the file."""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
from pathlib import Path

import pytest
import zstandard

from marketprism.core.errors import DataError, SourceError
from marketprism.ingest import files_io
from marketprism.ingest.files_io import display_name, iter_lines, members, open_binary, open_text, stem

TEXT = b"".join(b"%d,%d\n" % (i, i * i % 9973) for i in range(60_000))


def _write(folder: Path, ending: str, data: bytes = TEXT) -> Path:
    path = folder / f"a.csv{ending}"
    if ending == ".gz":
        path.write_bytes(gzip.compress(data))
    elif ending == ".xz":
        path.write_bytes(lzma.compress(data))
    elif ending == ".zst":
        path.write_bytes(zstandard.compress(data))
    elif ending == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inner.csv", data)
    else:
        path.write_bytes(data)
    return path


@pytest.mark.parametrize("ending", ["", ".gz", ".xz", ".zst", ".zip"])
def test_every_container_reads_back_whole(tmp_path: Path, ending: str) -> None:
    with open_binary(_write(tmp_path, ending)) as stream:
        assert stream.read(10) == TEXT[:10]
        assert stream.read() == TEXT[10:]
        assert stream.read() == b""


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_joined_parts_are_one_stream(tmp_path: Path, ending: str) -> None:
    path = _write(tmp_path, ending)
    path.write_bytes(path.read_bytes() * 2)
    with open_binary(path) as stream:
        assert stream.read() == TEXT * 2


@pytest.mark.parametrize("ending", [".gz", ".xz", ".zst"])
def test_a_cut_stream_is_called_truncated(tmp_path: Path, ending: str) -> None:
    path = _write(tmp_path, ending)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(SourceError, match=r"a\.csv.* is truncated"), open_binary(path) as stream:
        stream.read()


@pytest.mark.parametrize("ending", [".gz", ".xz", ".zst", ".zip"])
def test_a_flipped_bit_is_called_corrupt(tmp_path: Path, ending: str) -> None:
    if ending == ".zst":  # zstd checks content only where the writer asked for it
        path = tmp_path / "a.csv.zst"
        path.write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(TEXT))
    else:
        path = _write(tmp_path, ending)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match=r"a\.csv.* is (corrupt|truncated)"), open_binary(path) as stream:
        stream.read()


@pytest.mark.parametrize("ending", [".gz", ".xz", ".zst", ".zip"])
def test_the_ending_must_tell_the_truth(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.csv{ending}"
    path.write_bytes(TEXT)
    with pytest.raises(SourceError, match="is corrupt"):
        open_binary(path)


@pytest.mark.parametrize("ending", ["", ".gz", ".xz", ".zst", ".zip"])
def test_empty_is_an_error(tmp_path: Path, ending: str) -> None:
    with pytest.raises(SourceError, match="is empty"):
        open_binary(_write(tmp_path, ending, b""))


def test_missing_and_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="file not found"):
        open_binary(tmp_path / "none.csv")
    with pytest.raises(SourceError, match="is a folder"):
        open_binary(tmp_path)
    with pytest.raises(SourceError, match="file not found"):
        members(tmp_path / "none.zip")


def test_zip_members(tmp_path: Path) -> None:
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("day/", "")
        archive.writestr("day/a.csv", "1\n")
        archive.writestr("b.csv", "2\n")
        archive.writestr("__MACOSX/b.csv", "x")
    assert members(path) == ["day/a.csv", "b.csv"]
    with open_binary(path, "b.csv") as stream:
        assert stream.read() == b"2\n"
    with pytest.raises(SourceError, match=r"holds 2 files: day/a\.csv, b\.csv"):
        open_binary(path)
    with pytest.raises(SourceError, match=r"holds no 'c\.csv'"):
        open_binary(path, "c.csv")


def test_a_cut_zip_and_a_member_of_a_plain_file(tmp_path: Path) -> None:
    path = _write(tmp_path, ".zip")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SourceError, match="is corrupt"):
        members(path)
    with pytest.raises(SourceError, match="is no zip"):
        open_binary(_write(tmp_path, ""), "x.csv")


def test_an_encrypted_member_says_so(tmp_path: Path) -> None:
    path = _write(tmp_path, ".zip")
    data = bytearray(path.read_bytes())
    data[6] |= 1  # local header flag
    central = data.rfind(b"PK\x01\x02")
    data[central + 8] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match="cannot be read"):
        open_binary(path)


def test_text_and_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfh\xff\nb\r\n")
    with open_text(path) as stream:
        assert stream.read() == "h\ufffd\nb\n"
    assert list(iter_lines(io.BytesIO(b"a\r\n\nb"))) == [b"a", b"", b"b"]
    monkeypatch.setattr(files_io, "MAX_LINE_BYTES", 4)
    with pytest.raises(DataError, match="x:2 is longer than 4 bytes"):
        list(iter_lines(io.BytesIO(b"abc\nabcdef\n"), "x"))


def test_names() -> None:
    assert stem("x/y/a_1.2.csv.gz") == "a_1.2"
    assert stem("2015-05-01.log.xz") == "2015-05-01"
    assert display_name(Path("x/a.csv")) == "a.csv"


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "big.csv.gz"
    with gzip.GzipFile(path, "wb") as out:
        for _ in range(200):
            out.write(TEXT[:200_000])
    tracemalloc.start()
    with open_binary(path) as stream:
        while stream.read(1 << 16):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000, peak
