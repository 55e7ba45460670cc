"""Any CSV file, by a column mapping in YAML."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, SourceError
from marketprism.core.instrument import Instrument
from marketprism.ingest.files_io import display_name, members
from marketprism.ingest.mapped_tables import MappedTable, open_table
from marketprism.ingest.mapping import CsvMapping, InstrumentMapping, TableMapping, load_mapping
from marketprism.ingest.merge import merge_chunks, to_blocks
from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.source import BLOCK_ROWS, Source
from marketprism.ingest.text_columns import PriceGrid
from marketprism.ingest.text_table import BATCH_BYTES, TextTable
from marketprism.ingest.ticks import infer_tick, parse_tick
from marketprism.ingest.window import Window

__all__ = ["FORMAT", "CsvSource"]

_Key = tuple[str, str, str]


class CsvSource(Source):
    """Files read as a mapping says, merged by receive time.

    Every file is read by each table whose ``match`` fits its name (so one file may hold several kinds of rows,
    told apart by ``where``). Events of equal receive time come in the order of the tables, then of the files.
    Memory is constant.

    Parameters
    ----------
    spec : SourceSpec
        The parsed source text.
    mapping : CsvMapping, optional
        By default the file named by option ``mapping``.
    batch_bytes, block_rows : int
        Text decoded and rows yielded at a time; the events do not depend on them.

    Raises
    ------
    ConfigError
        The mapping is not valid.
    SourceError
        A file is missing, is matched by no table, or lacks a column.
    """

    def __init__(
        self,
        spec: SourceSpec,
        mapping: CsvMapping | None = None,
        *,
        batch_bytes: int = BATCH_BYTES,
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        self._paths = spec.paths
        self._block_rows = block_rows
        self._mapping_path = spec.option("mapping")
        if mapping is None and not self._mapping_path:
            raise ConfigError("csv: needs a mapping", hint="csv:FILE?mapping=FILE.yaml; see examples/mappings")
        self._mapping = mapping or load_mapping(self._mapping_path)
        self._window = Window.of(spec)
        tick = parse_tick(spec.option("tick")) if spec.option("tick") else None
        self._facts: dict[str, str] = {}
        self._tables = _match(self._mapping, spec.paths, batch_bytes)
        traded: dict[_Key, InstrumentMapping] = {}
        for _, _, instrument in self._tables:
            key = (instrument.exchange, instrument.market_type, instrument.symbol)
            if traded.setdefault(key, instrument) != instrument:
                raise ConfigError(f"instrument {':'.join(key)} is described in two ways", hint="make the blocks equal")
        self._index = {key: i for i, key in enumerate(traded)}
        instruments = tuple(self._instrument(instrument, tick) for instrument in traded.values())
        super().__init__(spec.text, instruments, strict=spec.flag("strict"))

    @property
    def files(self) -> tuple[str, ...]:
        """Paths that are read, the mapping included."""
        return (*self._paths, *([self._mapping_path] if self._mapping_path else []))

    def _instrument(self, traded: InstrumentMapping, tick: Decimal | None) -> Instrument:
        tick = tick or traded.tick_size
        if tick is None:
            prices = {
                text
                for mapping, table, instrument in self._tables
                if instrument == traded
                for text in _head_prices(mapping, table)
            }
            tick = infer_tick(prices, f"{traded.exchange} {traded.symbol}")
            self._facts[f"tick size of {traded.symbol} ({traded.exchange} {traded.market_type})"] = (
                f"{tick} (told from {len(prices)} distinct prices in the heads of the files)"
            )
        return traded.instrument(tick)

    def _blocks(self) -> Iterator[EventBlock]:
        self.report.facts.update(self._facts)
        grid = PriceGrid(self.instruments)
        streams = [
            MappedTable(
                self, mapping, table, traded, self._index[traded.exchange, traded.market_type, traded.symbol], grid
            ).chunks()
            for mapping, table, traded in self._tables
        ]
        yield from to_blocks(self._window.apply(merge_chunks(streams), self), self.instruments, self._block_rows)


def _match(
    mapping: CsvMapping, paths: tuple[str, ...], batch_bytes: int
) -> list[tuple[TableMapping, TextTable, InstrumentMapping]]:
    """Open every file under each table that fits its name, tables first."""
    files: list[tuple[str, str]] = []
    for path in paths:
        inner = members(path) if path.lower().endswith(".zip") else [""]
        files += [(path, member) for member in inner]
    unmatched = dict.fromkeys(files)
    opened = []
    for table in mapping.tables:
        for path, member in files:
            names = {Path(path).name, Path(member).name} - {""}
            if any(fnmatchcase(name, table.match) for name in names):
                unmatched.pop((path, member), None)
                instrument = table.instrument or mapping.instrument
                if instrument is not None:
                    opened.append((table, open_table(table, path, member, batch_bytes), instrument))
    if unmatched:
        first = display_name(*next(iter(unmatched)))
        raise SourceError(
            f"no table of the mapping matches {first}",
            hint=f"match: {', '.join(table.match for table in mapping.tables)}",
        )
    return opened


def _head_prices(mapping: TableMapping, table: TextTable) -> set[str]:
    """Return the prices written in the head of a file, as text."""
    frame = table.head().frame
    columns = [column for column, role in mapping.columns().items() if role in {"price", "bid_price", "ask_price"}]
    if mapping.levels is not None:
        columns += [price for side in ("bid", "ask") for price, _ in mapping.levels.pairs(side)]
    return {text for column in columns for text in frame[column].drop_nulls().unique().to_list()}


FORMAT = SourceFormat(
    name="csv",
    example="csv:trades.csv.gz,depth.csv.gz?mapping=examples/mappings/binance_trx.yaml",
    description="any CSV by a YAML column mapping: trades, L2 updates, snapshots (long or wide), quotes, last prices",
    open=CsvSource,
    options={
        "mapping": "the YAML file that says what the columns mean",
        "tick": "tick size of every instrument; by default the mapping's, else told from the head of the data",
        "from": "first receive time, ISO 8601 or epoch; a book in progress enters as one derived snapshot",
        "to": "receive time to stop before",
    },
)
