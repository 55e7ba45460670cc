"""Our Parquet directories: one folder an event type, one file a day, a manifest with checksums.

Layout::

    DIR/manifest.json
    DIR/trade/2024-08-08.parquet
    DIR/orderbook_delta/2024-08-08.parquet      (2024-08-08-1.parquet where a column had to become wider)

The manifest is written last and checks itself; every file is checked against it before it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from marketprism.core.arrow_schema import SCHEMA_VERSION
from marketprism.core.errors import IntegrityError, SourceError
from marketprism.core.instrument import Instrument

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "MANIFEST",
    "FileEntry",
    "Manifest",
    "check_digest",
    "file_digest",
    "read_frames",
    "read_manifest",
    "write_manifest",
]

MANIFEST = "manifest.json"
_FORMAT = "marketprism-parquet"
_CHUNK = 1 << 20


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Parquet file of a directory."""

    path: str
    """Relative to the directory, with forward slashes."""
    event_type: str
    day: str
    rows: int
    """Table rows."""
    bytes: int
    sha256: str
    first_ts_recv: int
    last_ts_recv: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a directory holds and where it came from."""

    format: str = _FORMAT
    schema_version: int = SCHEMA_VERSION
    code_version: str
    source: str
    """Text of the source it was converted from."""
    instruments: tuple[Instrument, ...]
    """In stream order: the index of the rows' ``instrument``."""
    rows: int
    """Rows of the stream (a snapshot has one for each level)."""
    events: Mapping[str, int]
    """Messages by event type."""
    records: int
    """Records that the source read, good and bad."""
    rejected: Mapping[str, int]
    """Rejected records by reason."""
    notes: Mapping[str, int]
    facts: Mapping[str, str]
    files: tuple[FileEntry, ...]


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write ``manifest.json`` with its own checksum; the same manifest gives the same bytes."""
    body = msgspec.to_builtins(manifest)
    body["sha256"] = _own_digest(body)
    text = msgspec.json.format(msgspec.json.encode(body, order="deterministic"), indent=1)
    (directory / MANIFEST).write_bytes(text + b"\n")


def _own_digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()


def read_manifest(directory: Path) -> Manifest:
    """Return the checked manifest of a directory.

    Raises
    ------
    SourceError
        The directory or its manifest is missing: it was not written by us, or writing never finished.
    IntegrityError
        The manifest is altered, or of a newer version.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise SourceError(
            f"{directory} has no {MANIFEST}",
            hint="write one with `marketprism convert SOURCE --out DIR`; an interrupted one leaves no manifest",
        )
    try:
        body = msgspec.json.decode(path.read_bytes())
        digest = body.pop("sha256")
        version = body["schema_version"]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{path} is damaged: {error}", hint="convert the source again") from error
    if digest != _own_digest(body):
        raise IntegrityError(f"{path} does not agree with its checksum", hint="convert the source again")
    if version != SCHEMA_VERSION:
        raise IntegrityError(
            f"{path} has schema version {version}, this program reads {SCHEMA_VERSION}",
            hint="convert the source again with this version",
        )
    return msgspec.convert(body, Manifest)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def check_digest(directory: Path, entry: FileEntry) -> None:
    """Refuse a file that is missing, cut or altered.

    Raises
    ------
    IntegrityError
        Naming the file, what it is and what it should be.
    """
    path = directory / entry.path
    if not path.is_file():
        raise IntegrityError(
            f"{path} is missing", hint="convert the source again, or restore the file", path=entry.path
        )
    size = path.stat().st_size
    if size != entry.bytes:
        raise IntegrityError(
            f"{path} has {size} bytes, the manifest says {entry.bytes}",
            hint="the file is truncated or replaced: `marketprism verify` tells what can be read",
            path=entry.path,
        )
    if file_digest(path) != entry.sha256:
        raise IntegrityError(
            f"{path} does not agree with its checksum",
            hint="the file is altered: `marketprism verify` names the records",
            path=entry.path,
        )


def read_frames(directory: Path, entry: FileEntry, start: int | None, end: int | None) -> Iterator[pl.DataFrame]:
    """Yield the row groups of a checked file, without those outside ``start <= ts_recv < end``.

    Raises
    ------
    IntegrityError
        The file is missing, cut or altered.
    """
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_digest(directory, entry)
    try:
        with pq.ParquetFile(directory / entry.path) as file:
            for group in range(file.metadata.num_row_groups):
                frame = pl.DataFrame(file.read_row_group(group))
                recv = pl.col("ts_recv").cast(pl.Int64)
                if start is not None and entry.first_ts_recv < start:
                    frame = frame.filter(recv >= start)
                if end is not None and entry.last_ts_recv >= end:
                    frame = frame.filter(recv < end)
                if frame.height:
                    yield frame
    except (pa.ArrowException, OSError) as error:
        raise IntegrityError(f"{directory / entry.path} cannot be read: {error}", path=entry.path) from error
