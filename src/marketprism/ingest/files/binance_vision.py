"""Binance's public dumps from data.binance.vision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from marketprism.core.block import EventBlock
from marketprism.core.errors import SourceError
from marketprism.core.instrument import Instrument
from marketprism.ingest.files_io import members
from marketprism.ingest.merge import Chunk, merge_chunks, to_blocks
from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.source import BLOCK_ROWS, Source
from marketprism.ingest.text_columns import Checks, Clock, PriceGrid, duration_ns, numbers, quantities
from marketprism.ingest.text_table import BATCH_BYTES
from marketprism.ingest.ticks import infer_tick, parse_tick
from marketprism.ingest.venues.binance_symbols import canonical_symbol, contract_multiplier
from marketprism.ingest.vision_tables import PRICES, VisionDecoder
from marketprism.ingest.vision_types import VisionFile, open_vision, verify_checksum
from marketprism.ingest.window import Window

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FORMAT", "VisionSource", "read_book_depth"]

_Key = tuple[str, str]


class VisionSource(Source):
    """Public dumps of one or more symbols as one stream.

    The dumps have no receive clock: ``ts_recv`` is the exchange's time (of sending, for ``bookTicker``) plus option
    ``latency``. Files of one type and symbol follow each other by their first time; types and symbols are merged.

    * ``trades``, ``aggTrades``: TRADE; the id is the trade's or the aggregate's (``first_id``: its first trade).
    * ``bookTicker``: QUOTE.
    * ``metrics``: OPEN_INTEREST and LONG_SHORT_RATIO (``top_accounts``, ``top_positions``, ``all_accounts``, and
      ``taker_volume`` for the taker buy/sell ratio), at ``create_time``. Binance publishes them some time later:
      give ``latency`` before predicting anything from them.
    * ``fundingRate``: FUNDING_RATE, settled. ``liquidationSnapshot``: LIQUIDATION, sampled.
    * ``bookDepth`` holds quantities within bands of percent around a mid that it does not tell. It is no book
      and becomes no event: beside other files it is passed over and said so; :func:`read_book_depth` reads it.
    * klines are refused.

    Parameters
    ----------
    spec : SourceSpec
        The parsed source text.
    batch_bytes, block_rows : int
        Text decoded and rows yielded at a time; the events do not depend on them.
    """

    def __init__(self, spec: SourceSpec, *, batch_bytes: int = BATCH_BYTES, block_rows: int = BLOCK_ROWS) -> None:
        self._paths = spec.paths
        self._block_rows = block_rows
        self._latency = duration_ns(spec.option("latency", "0"))
        self._window = Window.of(spec)
        self._facts = {
            f"checksum of {Path(path).name}": verify_checksum(path, spec.option("checksum")) for path in spec.paths
        }
        files = [
            open_vision(
                path,
                member,
                kind=spec.option("type"),
                symbol=spec.option("symbol"),
                market=spec.option("market_type"),
                batch_bytes=batch_bytes,
            )
            for path in spec.paths
            for member in (members(path) if path.lower().endswith(".zip") else [""])
        ]
        files = self._without_depth(files)
        keys = sorted({(file.market, file.symbol) for file in files})
        tick = parse_tick(spec.option("tick")) if spec.option("tick") else None
        instruments = tuple(self._instrument(key, tick, files) for key in keys)
        super().__init__(spec.text, instruments, strict=spec.flag("strict"))
        self._index = {key: i for i, key in enumerate(keys)}
        self._chains = _chains(files)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths that are read."""
        return self._paths

    def _without_depth(self, files: list[VisionFile]) -> list[VisionFile]:
        kept = [file for file in files if file.kind != "bookDepth"]
        for file in files:
            if file.kind == "bookDepth":
                self._facts[f"bookDepth {file.table.name}"] = "passed over: depth within percentage bands is no book"
        if not kept:
            raise SourceError(
                f"{files[0].table.name} holds bookDepth: quantities within percentage bands, which are no book",
                hint="add trades or bookTicker; binance_vision.read_book_depth returns it as a table",
            )
        return kept

    def _instrument(self, key: _Key, tick: Decimal | None, files: Sequence[VisionFile]) -> Instrument:
        _, raw = key
        mine = [file for file in files if (file.market, file.symbol) == key]
        if tick is None:
            tick = self._find_tick(f"{raw} ({mine[0].market})", mine)
        market_type = mine[0].market
        symbol = canonical_symbol(raw, market_type)
        return Instrument(
            exchange="binance",
            market_type=market_type,
            symbol=symbol,
            tick_size=tick,
            contract_multiplier=Decimal(contract_multiplier(raw, market_type)),
            raw_symbol=raw,
        )

    def _find_tick(self, name: str, files: Sequence[VisionFile]) -> Decimal:
        texts: set[str] = set()
        for file in files:
            if columns := PRICES.get(file.kind):
                head = file.table.head().frame
                texts.update(text for column in columns for text in head[column].drop_nulls().unique().to_list())
        if not any(PRICES.get(file.kind) for file in files):
            self._facts[f"tick size of {name}"] = "0.01 (nominal: these files hold no prices)"
            return Decimal("0.01")
        found = infer_tick(texts, f"{name}: {files[0].table.name}")
        self._facts[f"tick size of {name}"] = f"{found} (told from {len(texts)} distinct prices in the heads)"
        return found

    def _blocks(self) -> Iterator[EventBlock]:
        self.report.facts.update(self._facts)
        streams = [self._stream(chain) for chain in self._chains]
        yield from to_blocks(self._window.apply(merge_chunks(streams), self), self.instruments, self._block_rows)

    def _stream(self, chain: Sequence[VisionFile]) -> Iterator[Chunk]:
        index = self._index[chain[0].market, chain[0].symbol]
        grid = PriceGrid(self.instruments)
        decoder = VisionDecoder(self, chain[0].kind, self.instruments[index], index, grid, self._latency)
        for file in chain:
            decoder.begin(file.table)
            for batch in file.table.batches():
                yield decoder.push(batch)
            decoder.end()


def _chains(files: Sequence[VisionFile]) -> list[list[VisionFile]]:
    """Group files that continue each other: same type and symbol, by the date in their names."""
    chains: dict[tuple[str, str, str], list[VisionFile]] = {}
    for file in files:
        chains.setdefault((file.kind, file.market, file.symbol), []).append(file)
    return [sorted(chain, key=lambda file: file.table.name) for chain in chains.values()]


def read_book_depth(path: str, member: str = "", *, strict: bool = False) -> pl.DataFrame:
    """Return a ``bookDepth`` dump as a table; it is no book, so it is no source of events.

    Each sample (about every 30 s) says how much rests within a percentage of the mid, cumulatively: -1 is all
    bids down to 1 % below, 5 all asks up to 5 % above.

    Parameters
    ----------
    path, member : str
        The file.
    strict : bool, default False
        Raise at the first malformed line in place of leaving it out.

    Returns
    -------
    polars.DataFrame
        ``ts_event`` (ns UTC), ``percentage``, ``depth`` (base units; contracts for COIN-M), ``notional``.

    Raises
    ------
    SourceError
        The file is no bookDepth, or holds no valid line.
    """
    import polars as pl

    file = open_vision(path, member, kind="bookDepth", symbol="ANY", market="", batch_bytes=BATCH_BYTES)
    counter = _Counter(f"bookDepth:{path}", (), strict=strict)
    clock = Clock(file.table.name, "timestamp", "iso")
    parts = []
    for batch in file.table.batches():
        checks = Checks(batch, ~file.table.content_mask(batch).to_numpy())
        columns = {"ts_event": clock.times(checks), "percentage": numbers(checks, "percentage")}
        columns |= {name: quantities(checks, name) for name in ("depth", "notional")}
        good = checks.report(counter)
        parts.append(pl.DataFrame({name: values[good] for name, values in columns.items()}))
    frame = pl.concat(parts)
    if not len(frame):
        raise SourceError(f"{file.table.name}: no valid line", hint="fetch the file again")
    return frame.with_columns(pl.col("ts_event").cast(pl.Datetime("ns", "UTC")))


class _Counter(Source):
    """Counts rejections of a file that yields no events."""

    def _blocks(self) -> Iterator[EventBlock]:
        yield from ()


FORMAT = SourceFormat(
    name="binance-vision",
    example="binance-vision:BTCUSDT-trades-2024-08-08.zip,BTCUSDT-bookTicker-2024-08-08.zip",
    description="data.binance.vision dumps: trades, aggTrades, bookTicker, metrics, fundingRate, liquidationSnapshot",
    open=VisionSource,
    options={
        "symbol": "the venue's symbol, where the file names do not begin with it",
        "type": "type of the files, where neither name nor header tells it",
        "market_type": "spot, linear or inverse, where neither folder nor columns tell it",
        "tick": "tick size; by default told from the head of the data",
        "latency": "receive latency such as 5ms (the dumps have no receive clock); default 0",
        "checksum": "auto (default): verify where a .CHECKSUM file is there; require; ignore",
        "from": "first receive time, ISO 8601 or epoch",
        "to": "receive time to stop before",
    },
)
