"""Writing our Parquet directories: all or nothing, in memory that does not grow with the stream."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from marketprism.core.arrow_schema import arrow_schema, concat_frames, wide_fields, widen
from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, StoreError
from marketprism.core.instrument import Instrument
from marketprism.core.schema import EVENT_TYPES, EventType
from marketprism.core.tables import TableEncoder
from marketprism.ingest.dataset import MANIFEST, FileEntry, Manifest, file_digest, write_manifest

if TYPE_CHECKING:
    import polars as pl

__all__ = ["DatasetWriter"]

_GROUP_ROWS = 65_536
"""Stream rows a row group: what a reader holds of one table."""

_DAY_NS = 86_400_000_000_000
_TEXT = ["exchange", "market_type", "symbol", "source"]


class DatasetWriter:
    """Writes blocks into ``DIR.partial`` and renames it to ``DIR`` when it is complete.

    Use it as a context manager: leaving with an error removes the partial directory; a killed writer leaves one
    behind, which the next one replaces. ``DIR`` itself is always absent or complete.

    Parameters
    ----------
    directory : Path
        Directory to write; it must not exist, be empty, or hold an earlier conversion.
    source_id : str
        Value of the key column ``source``.
    instruments : tuple of Instrument
        Instruments of the stream.

    Raises
    ------
    ConfigError
        The directory holds something else.
    """

    def __init__(self, directory: Path, source_id: str, instruments: tuple[Instrument, ...]) -> None:
        if directory.exists() and (
            not directory.is_dir() or (any(directory.iterdir()) and not (directory / MANIFEST).is_file())
        ):
            raise ConfigError(f"{directory} exists and is not one of our directories", hint="choose another directory")
        self.directory = directory
        self.source_id = source_id
        self.instruments = instruments
        self._partial = directory.with_name(f"{directory.name}.partial")
        self._encoder = TableEncoder(source_id, instruments)
        self._writers: dict[str, _TableWriter] = {}
        self.rows = 0

    def __enter__(self) -> Self:
        with _disk_errors(self._partial):
            if self._partial.exists():
                shutil.rmtree(self._partial)
            self._partial.mkdir(parents=True)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        for writer in self._writers.values():
            writer.abandon()
        if self._partial.exists():
            shutil.rmtree(self._partial)

    def write(self, block: EventBlock) -> None:
        """Append a block of the stream.

        Raises
        ------
        DataError
            A value has no place in its table.
        StoreError
            The disk is full or refuses.
        """
        self._write(self._encoder.push(block))
        self.rows += len(block)

    def _write(self, tables: dict[str, pl.DataFrame]) -> None:
        with _disk_errors(self._partial):
            for name, frame in tables.items():
                if name not in self._writers:
                    self._writers[name] = _TableWriter(self._partial, EVENT_TYPES[name])
                self._writers[name].write(frame)

    def finish(self, **about: Any) -> Manifest:
        """Complete the directory and give it its name.

        Parameters
        ----------
        **about
            Remaining fields of :class:`marketprism.ingest.dataset.Manifest`.

        Raises
        ------
        StoreError
            The disk is full or refuses; nothing is left behind.
        """
        self._write(self._encoder.flush())
        with _disk_errors(self._partial):
            files = [entry for name in sorted(self._writers) for entry in self._writers[name].close()]
            manifest = Manifest(instruments=self.instruments, rows=self.rows, files=tuple(files), **about)
            write_manifest(self._partial, manifest)
            for path in [self._partial / MANIFEST, *{(self._partial / entry.path).parent for entry in files}]:
                _sync(path)
            _sync(self._partial)
            self._replace()
        return manifest

    def _replace(self) -> None:
        old = self.directory.with_name(f"{self.directory.name}.old")
        if self.directory.exists():
            self.directory.rename(old)
        self._partial.rename(self.directory)
        _sync(self.directory.parent)
        if old.exists():
            shutil.rmtree(old)


class _TableWriter:
    """Files of one event type: one a day, one more where a column becomes wider."""

    def __init__(self, directory: Path, event_type: EventType) -> None:
        self.directory = directory
        self.event_type = event_type
        (directory / event_type.name).mkdir()
        self._entries: list[FileEntry] = []
        self._pending: list[pl.DataFrame] = []
        self._weight = 0
        self._day = -1
        self._file: Any = None
        self._path = ""
        self._wide: frozenset[str] = frozenset()
        self._span = (0, 0, 0)  # rows, first and last ts_recv of the open file

    def write(self, frame: pl.DataFrame) -> None:
        days = frame["ts_recv"].to_physical() // _DAY_NS
        for day in days.unique(maintain_order=True).to_list():
            piece = frame if days[0] == days[-1] else frame.filter(days == day)
            if day != self._day:
                self._flush()
                self._close()
                self._day = day
            self._pending.append(piece)
            self._weight += _weight(piece)
            if self._weight >= _GROUP_ROWS:
                self._flush()

    def close(self) -> list[FileEntry]:
        self._flush()
        self._close()
        return self._entries

    def abandon(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            # What cannot be written any more must not hide the first error.
            try:
                file.close()
            except OSError:
                return

    def _flush(self) -> None:
        if not self._pending:
            return
        import polars as pl

        frame = concat_frames(self._pending, self.event_type)
        self._pending, self._weight = [], 0
        wide = wide_fields(frame)
        if self._file is not None and not wide <= self._wide:
            self._close()
        if self._file is None:
            self._open(wide)
        frame = widen(frame, self.event_type, self._wide)
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(arrow_schema(self.event_type, self._wide))
        self._file.write_table(table, row_group_size=_GROUP_ROWS)
        recv = frame["ts_recv"].to_physical()
        rows, first, _ = self._span
        self._span = (rows + frame.height, first if rows else recv[0], recv[-1])

    def _open(self, wide: frozenset[str]) -> None:
        import pyarrow.parquet as pq

        self._wide = wide
        self._path = f"{self.event_type.name}/{self._name()}.parquet"
        self._span = (0, 0, 0)
        self._file = pq.ParquetWriter(
            self.directory / self._path,
            arrow_schema(self.event_type, wide),
            compression="zstd",
            use_dictionary=_TEXT,
            write_page_checksum=True,
        )

    def _name(self) -> str:
        import polars as pl

        day = str(pl.Series([self._day], dtype=pl.Int32).cast(pl.Date).item())
        parts = sum(entry.day == day for entry in self._entries)
        return f"{day}-{parts}" if parts else day

    def _close(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        file.close()
        path = self.directory / self._path
        _sync(path)
        rows, first, last = self._span
        self._entries.append(
            FileEntry(
                path=self._path,
                event_type=self.event_type.name,
                day=Path(self._path).stem[:10],
                rows=rows,
                bytes=path.stat().st_size,
                sha256=file_digest(path),
                first_ts_recv=first,
                last_ts_recv=last,
            )
        )


def _weight(frame: pl.DataFrame) -> int:
    """Return how many stream rows a table holds."""
    if "bid_depth" not in frame.columns:
        return frame.height
    return frame.height + int(frame["bid_depth"].sum()) + int(frame["ask_depth"].sum())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Turn the errors of a disk into StoreError that names the directory."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="free space or choose another disk, then convert again; nothing was left behind",
        ) from error
