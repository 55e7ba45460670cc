"""hftbacktest event files (.npz or .npy)."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import IO, get_args

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, SourceError, did_you_mean
from marketprism.core.instrument import Instrument, MarketType
from marketprism.ingest.files_io import stem
from marketprism.ingest.hftbacktest_events import DEPTH_CLEAR_EVENT, EVENT_DTYPE, RecordReader
from marketprism.ingest.merge import Chunk, to_blocks
from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.source import BLOCK_ROWS, Source
from marketprism.ingest.symbols import canonical_symbol
from marketprism.ingest.text_columns import PriceGrid
from marketprism.ingest.ticks import infer_tick, parse_tick
from marketprism.ingest.window import Window

__all__ = ["FORMAT", "HftbacktestSource"]

_RECORDS = 65_536


class HftbacktestSource(Source):
    """hftbacktest 2.x events as a stream; several files are consecutive parts of one recording.

    ``ts_event`` is ``exch_ts``, ``ts_recv`` is ``local_ts``, and the events are the LOCAL records in their order
    (:class:`marketprism.ingest.hftbacktest_events.RecordReader`). The files name no instrument: ``symbol`` comes
    from the option or from the file name (``btcusdt_20240808.npz``).

    Parameters
    ----------
    spec : SourceSpec
        The parsed source text.
    batch_records, block_rows : int
        Records decoded and rows yielded at a time; the events do not depend on them.
    """

    def __init__(self, spec: SourceSpec, *, batch_records: int = _RECORDS, block_rows: int = BLOCK_ROWS) -> None:
        self._batch_records = batch_records
        self._block_rows = block_rows
        self._window = Window.of(spec)
        heads = {path: _head(path) for path in spec.paths}
        self._paths = tuple(sorted(spec.paths, key=lambda path: int(heads[path]["local_ts"][0])))
        market = spec.option("market_type", "linear")
        if market not in get_args(MarketType):
            raise ConfigError(f"market_type was {market!r}", hint=did_you_mean(market, get_args(MarketType)))
        raw = spec.option("symbol") or stem(spec.paths[0]).replace("-", "_").split("_")[0].upper()
        tick, self._tick_fact = self._tick(spec.option("tick"), heads)
        symbol = canonical_symbol(raw)
        instrument = Instrument(
            exchange=spec.option("exchange", "hftbacktest"),
            market_type=market,  # type: ignore[arg-type]
            symbol=symbol,
            tick_size=tick,
            raw_symbol=raw if raw != symbol else "",
        )
        super().__init__(spec.text, (instrument,), strict=spec.flag("strict"))

    @property
    def files(self) -> tuple[str, ...]:
        """Paths that are read."""
        return self._paths

    @staticmethod
    def _tick(option: str, heads: dict[str, np.ndarray]) -> tuple[Decimal, str]:
        if option:
            return parse_tick(option), f"{option} (given)"
        texts: set[str] = set()
        for head in heads.values():
            px = head["px"][((head["ev"] & 0xFF) != DEPTH_CLEAR_EVENT) & np.isfinite(head["px"])]
            texts |= {f"{value:.12g}" for value in np.unique(px).tolist()}
        tick = infer_tick(texts, ", ".join(Path(path).name for path in heads))
        return tick, f"{tick} (told from {len(texts)} distinct prices in the heads)"

    def _blocks(self) -> Iterator[EventBlock]:
        self.report.facts[f"tick size of {self.instrument.symbol}"] = self._tick_fact
        chunks = self._window.apply(self._chunks(), self)
        yield from to_blocks(chunks, self.instruments, self._block_rows)

    def _chunks(self) -> Iterator[Chunk]:
        reader = RecordReader(self, Path(self._paths[0]).name, PriceGrid(self.instruments))
        for path in self._paths:
            reader.begin(Path(path).name)
            for records in _records(path, self._batch_records):
                yield Chunk(reader.push(records))
        yield Chunk(reader.flush())


def _head(path: str) -> np.ndarray:
    for records in _records(path, _RECORDS):
        return records
    raise SourceError(f"{Path(path).name} holds no records", hint="the array is empty")


def _records(path: str, size: int) -> Iterator[np.ndarray]:
    """Yield the records of a file, a few at a time, without loading the array."""
    file = Path(path)
    if not file.is_file():
        raise SourceError(f"{path}: file not found", hint="check the path")
    if file.stat().st_size == 0:
        raise SourceError(f"{file.name} is empty", hint="fetch or write the file again")
    try:
        with ExitStack() as stack:
            stream = _open_array(file, stack)
            count = _header(file.name, stream)
            while count > 0:
                data = stream.read(min(size, count) * EVENT_DTYPE.itemsize)
                if not data or len(data) % EVENT_DTYPE.itemsize:
                    raise SourceError(f"{file.name} is truncated: {count} records are missing", hint="write it again")
                records = np.frombuffer(data, EVENT_DTYPE)
                count -= len(records)
                yield records
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise SourceError(f"{file.name} is corrupt: {error}", hint="write the file again") from error


def _open_array(file: Path, stack: ExitStack) -> IO[bytes]:
    if file.suffix.lower() == ".npy":
        return stack.enter_context(file.open("rb"))
    archive = stack.enter_context(zipfile.ZipFile(file))
    names = archive.namelist()
    name = "data.npy" if "data.npy" in names else names[0] if len(names) == 1 else ""
    if not name:
        raise SourceError(f"{file.name} holds the arrays {', '.join(names)}", hint="hftbacktest keeps events in 'data'")
    return stack.enter_context(archive.open(name))


def _header(name: str, stream: IO[bytes]) -> int:
    """Check the layout of the array and return its length."""
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    except ValueError as error:
        raise SourceError(f"{name} holds no NumPy array: {error}", hint="expected hftbacktest 2.x events") from error
    if dtype != EVENT_DTYPE or len(shape) != 1:
        fields = dtype.names or (str(dtype),)
        raise SourceError(
            f"{name} holds an array of {', '.join(fields)} with shape {shape}",
            hint=f"hftbacktest 2.x events have {', '.join(EVENT_DTYPE.names or ())}",
        )
    return int(shape[0])


FORMAT = SourceFormat(
    name="hftbacktest",
    example="hftbacktest:btcusdt_20240808.npz?exchange=binance&tick=0.1",
    description="hftbacktest 2.x event arrays, npz or npy",
    open=HftbacktestSource,
    options={
        "symbol": "symbol; by default the file name up to the first _ or -",
        "exchange": "venue; default hftbacktest (the files do not say)",
        "market_type": "spot, linear (default), inverse, option, equity or future",
        "tick": "tick size; by default told from the head of the data",
        "from": "first receive time, ISO 8601 or epoch; a book in progress enters as one derived snapshot",
        "to": "receive time to stop before",
    },
)
