"""``verify``: check one of our Parquet directories against its manifest, down to the record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from marketprism.core.arrow_schema import fields_of
from marketprism.core.errors import IntegrityError, MarketPrismError
from marketprism.core.instrument import Instrument
from marketprism.core.schema import EVENT_TYPES
from marketprism.core.table_rows import decode_table
from marketprism.ingest.dataset import MANIFEST, FileEntry, check_digest, read_manifest

__all__ = ["Fault", "VerifyResult", "verify"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Attributes
    ----------
    path : str
        File, relative to the directory.
    what : str
        What is wrong, and which records and columns it touches.
    """

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What was checked; the directory is sound when there is no fault.

    Attributes
    ----------
    directory : str
        The directory.
    files : int
        Files in the manifest.
    rows : int
        Table rows in sound files.
    faults : tuple of Fault
        What is wrong, file by file.
    """

    directory: str
    files: int
    rows: int
    faults: tuple[Fault, ...]


def verify(directory: Path) -> VerifyResult:
    """Check the manifest, every checksum, every record, and that no file is missing or foreign.

    Parameters
    ----------
    directory : Path
        Directory written by ``convert``.

    Returns
    -------
    VerifyResult
        With one fault for every thing that is wrong; none is raised.
    """
    try:
        manifest = read_manifest(directory)
    except MarketPrismError as error:
        return VerifyResult(str(directory), 0, 0, (Fault(MANIFEST, str(error)),))
    faults: list[Fault] = []
    rows = 0
    for entry in manifest.files:
        found = list(_file_faults(directory, entry, manifest.instruments))
        faults += found
        rows += 0 if found else entry.rows
    known = {entry.path for entry in manifest.files} | {MANIFEST}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and name not in known:
            faults.append(Fault(name, "the manifest does not list this file"))
    return VerifyResult(str(directory), len(manifest.files), rows, tuple(faults))


def _file_faults(directory: Path, entry: FileEntry, instruments: tuple[Instrument, ...]) -> Iterator[Fault]:
    wrong = ""
    try:
        check_digest(directory, entry)
    except IntegrityError as error:
        wrong = str(error.args[0]).removeprefix(f"{directory / entry.path} ")
        if not (directory / entry.path).is_file():
            yield Fault(entry.path, wrong)
            return
    records = list(_record_faults(directory, entry, instruments))
    if wrong:
        where = "; ".join(records) or "every record can still be read, but not be trusted"
        yield Fault(entry.path, f"{wrong}: {where}")
    else:
        for record in records:
            yield Fault(entry.path, record)


def _record_faults(directory: Path, entry: FileEntry, instruments: tuple[Instrument, ...]) -> Iterator[str]:
    """Yield which records of a file cannot be read or decoded, by row group and column."""
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(directory / entry.path, page_checksum_verification=True)
    except (pa.ArrowException, OSError):
        yield f"records 0 to {entry.rows - 1} cannot be read: the end of the file, which locates them, is gone"
        return
    event_type = EVENT_TYPES[entry.event_type]
    first = 0
    with file:
        for group in range(file.metadata.num_row_groups):
            span = f"records {first} to {first + file.metadata.row_group(group).num_rows - 1}"
            first += file.metadata.row_group(group).num_rows
            bad = []
            for field in fields_of(event_type):
                try:
                    file.read_row_group(group, columns=[field.name])
                except (pa.ArrowException, OSError):
                    bad.append(field.name)
            if bad:
                yield f"{span}: column {', '.join(bad)} is damaged"
                continue
            try:
                decode_table(pl.DataFrame(file.read_row_group(group)), event_type, instruments)
            except MarketPrismError as error:
                yield f"{span}: {error}"
    if first != entry.rows:
        yield f"{first} records, the manifest says {entry.rows}"
