"""``convert``: any source as our Parquet directory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import marketprism
from marketprism.ingest.source import Source
from marketprism.pipelines.dataset_writer import DatasetWriter
from marketprism.pipelines.runtime import Say, silent

__all__ = ["ConvertResult", "convert"]


@dataclass(frozen=True, slots=True)
class ConvertResult:
    """What was written.

    Attributes
    ----------
    out : str
        The directory.
    rows : int
        Rows of the stream.
    files : int
        Parquet files.
    bytes : int
        Their size.
    events : dict of str to int
        Messages by event type.
    rejected : dict of str to int
        Records of the source that were rejected, by reason.
    """

    out: str
    rows: int
    files: int
    bytes: int
    events: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)


def convert(source: Source, out: Path, *, say: Say = silent) -> ConvertResult:
    """Write ``source`` as a directory that ``parquet:`` reads back as the identical stream.

    The directory appears when it is complete, and not before; an earlier conversion in its place is replaced
    then. Memory does not grow with the length of the stream.

    Parameters
    ----------
    source : Source
        Read from its beginning.
    out : Path
        Directory to write.
    say : callable
        Told how far it is.

    Returns
    -------
    ConvertResult
        Counts.

    Raises
    ------
    ConfigError
        ``out`` holds something else.
    SourceError, DataError
        The source is unusable, or holds a number that no decimal column can hold.
    StoreError
        The disk is full or refuses.
    """
    events: dict[str, int] = {}
    with DatasetWriter(out, source.spec, source.instruments) as writer:
        for block in source:
            writer.write(block)
            for name, count in block.counts().items():
                events[name] = events.get(name, 0) + count
            say("convert", None, f"{writer.rows:,} rows")
        report = source.report
        manifest = writer.finish(
            code_version=marketprism.__version__,
            source=source.spec,
            events=events,
            records=report.records,
            rejected={reason: rejection.count for reason, rejection in report.rejected.items()},
            notes=report.notes,
            facts=report.facts,
        )
    return ConvertResult(
        out=str(out),
        rows=manifest.rows,
        files=len(manifest.files),
        bytes=sum(entry.bytes for entry in manifest.files),
        events=events,
        rejected=dict(manifest.rejected),
    )
