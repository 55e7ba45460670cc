"""``parquet:DIR``: our own directories, written by ``marketprism convert``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, SourceError, did_you_mean
from marketprism.core.instrument import Instrument
from marketprism.core.merge import merge_tables
from marketprism.core.schema import EVENT_TYPES
from marketprism.core.table_rows import TableRows, decode_table
from marketprism.core.timebase import parse_time
from marketprism.ingest.dataset import FileEntry, Manifest, read_frames, read_manifest
from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.source import BLOCK_ROWS, Source

__all__ = ["FORMAT", "ParquetSource", "choose_instruments"]


class ParquetSource(Source):
    """The stream that was converted, row for row, merged from its tables.

    Every file is checked against the manifest before it is read; a file outside ``from`` and ``to`` is not
    touched, so that a damaged day does not stop the others.

    Parameters
    ----------
    directory : Path
        Directory with a ``manifest.json``.
    spec : str
        The source text.
    start, end : int, optional
        Only rows with ``start <= ts_recv < end``, ns UTC.
    symbol : str, optional
        Only this instrument, by symbol or by ``exchange:market_type:symbol``.
    strict : bool, default False
        No effect: a damaged file is always an error.
    """

    def __init__(
        self,
        directory: Path,
        spec: str,
        *,
        start: int | None = None,
        end: int | None = None,
        symbol: str = "",
        strict: bool = False,
    ) -> None:
        if start is not None and end is not None and end <= start:
            raise ConfigError(f"from was {start} ns and to {end} ns", hint="from must be before to")
        self.directory = directory
        self.manifest: Manifest = read_manifest(directory)
        self._start, self._end = start, end
        super().__init__(spec, choose_instruments(self.manifest.instruments, symbol, spec), strict=strict)
        self._all = len(self.instruments) == len(self.manifest.instruments)

    @property
    def files(self) -> tuple[str, ...]:
        """The Parquet files in the window."""
        return tuple(str(self.directory / entry.path) for entry in self._entries())

    def _entries(self) -> list[FileEntry]:
        return [
            entry
            for entry in self.manifest.files
            if (self._start is None or entry.last_ts_recv >= self._start)
            and (self._end is None or entry.first_ts_recv < self._end)
        ]

    def _blocks(self) -> Iterator[EventBlock]:
        tables: dict[str, list[FileEntry]] = {}
        for entry in self._entries():
            tables.setdefault(entry.event_type, []).append(entry)
        pieces = {name: self._pieces(name, entries) for name, entries in tables.items()}
        for block in merge_tables(pieces, self.instruments):
            yield from block.chunks(BLOCK_ROWS)

    def _pieces(self, name: str, entries: list[FileEntry]) -> Iterator[TableRows]:
        import polars as pl

        event_type = EVENT_TYPES[name]
        keys = [instrument.key for instrument in self.instruments]
        for entry in entries:
            for frame in read_frames(self.directory, entry, self._start, self._end):
                if not self._all:
                    key = pl.concat_str("exchange", "market_type", "symbol", separator=":")
                    frame = frame.filter(key.is_in(keys))
                self.report.records += frame.height
                yield decode_table(frame, event_type, self.instruments)


def choose_instruments(instruments: tuple[Instrument, ...], symbol: str, where: str) -> tuple[Instrument, ...]:
    """Return the instruments that ``symbol`` (a symbol or a whole series key) names; all where it is empty.

    Raises
    ------
    SourceError
        None has that name; the error lists what there is.
    """
    if not symbol:
        return instruments
    chosen = tuple(instrument for instrument in instruments if symbol in {instrument.symbol, instrument.key})
    if not chosen:
        names = [instrument.symbol for instrument in instruments]
        raise SourceError(f"{where} has no symbol {symbol!r}", hint=did_you_mean(symbol, names))
    return chosen


def _open(spec: SourceSpec) -> Source:
    if len(spec.paths) != 1:
        raise SourceError(f"{spec.text} names {len(spec.paths)} directories", hint="give one directory")
    start, end = spec.option("from"), spec.option("to")
    return ParquetSource(
        Path(spec.paths[0]),
        spec.text,
        start=parse_time(start) if start else None,
        end=parse_time(end) if end else None,
        symbol=spec.option("symbol"),
        strict=spec.flag("strict"),
    )


FORMAT = SourceFormat(
    name="parquet",
    example="parquet:btc_20240808?from=2024-08-08T23:55:00Z",
    description="our own Parquet directories, from `marketprism convert`",
    open=_open,
    options={
        "symbol": "only this instrument: a symbol, or exchange:market_type:symbol",
        "from": "first receive time (ISO 8601 or epoch); a day before it is not read",
        "to": "first receive time that is left out",
    },
)
