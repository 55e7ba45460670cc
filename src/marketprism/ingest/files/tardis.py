"""Tardis.dev downloadable CSV files: books, trades, quotes, derivative tickers, liquidations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError, SourceError, did_you_mean
from marketprism.core.instrument import Instrument
from marketprism.ingest.merge import Chunk, merge_chunks, to_blocks
from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.source import BLOCK_ROWS, Source
from marketprism.ingest.tardis_tables import Market, TardisDecoder, price_columns, type_of
from marketprism.ingest.tardis_venues import Contract, contract_of
from marketprism.ingest.text_columns import PriceGrid
from marketprism.ingest.text_table import BATCH_BYTES, TextTable
from marketprism.ingest.ticks import infer_tick, parse_tick
from marketprism.ingest.window import Window

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FORMAT", "TardisSource"]

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _File:
    table: TextTable
    kind: str
    keys: tuple[_Key, ...]
    start: int


class TardisSource(Source):
    """Tardis CSV files as one stream; ``local_timestamp`` is the receive clock.

    The type of each file is told from its header (trades and liquidations share one: the file name decides).
    Files of one type and the same symbols follow each other by their first time; different types and symbols
    are merged by receive time, files named first going first at equal times. Memory is constant: one batch of
    text for each stream.

    * ``incremental_book_L2``: rows of equal ``local_timestamp`` and ``timestamp`` are one message. Runs of
      ``is_snapshot`` become BOOK_SNAPSHOT; a run after updates is a reconnect, and a GAP (DISCONNECT) is written.
    * ``book_snapshot_N``: one BOOK_SNAPSHOT message a line.
    * ``derivative_ticker``: a FUNDING_RATE for each line that carries rate, funding time, mark or index, and an
      OPEN_INTEREST for each that carries one. ``last_price`` and ``predicted_funding_rate`` have no place.
    * ``liquidations``: ``side`` is the side of the forced order.
    * Amounts of inverse contracts are USD or contracts and become base units
      (:func:`marketprism.core.units.inverse_base_quantity`); see :mod:`marketprism.ingest.tardis_venues`.

    Parameters
    ----------
    spec : SourceSpec
        The parsed source text.
    batch_bytes : int
        Text decoded at a time; the events do not depend on it.
    """

    def __init__(self, spec: SourceSpec, *, batch_bytes: int = BATCH_BYTES, block_rows: int = BLOCK_ROWS) -> None:
        self._paths = spec.paths
        self._block_rows = block_rows
        self._facts: dict[str, str] = {}
        prices: dict[_Key, list[str]] = {}
        kept = [self._open(path, spec, batch_bytes, prices) for path in spec.paths]
        wanted = {key for file in kept for key in file.keys}
        keys = self._select(sorted(wanted), spec.option("symbol"))
        contracts = [contract_of(*key, spec.option("market_type"), spec.option("contract")) for key in keys]
        instruments = tuple(
            self._instrument(key, contract, spec.option("tick"), prices.get(key, []))
            for key, contract in zip(keys, contracts, strict=True)
        )
        super().__init__(spec.text, instruments, strict=spec.flag("strict"))
        self._market = Market(
            {key: i for i, key in enumerate(keys)}, contracts, PriceGrid(instruments), bool(spec.option("symbol"))
        )
        self._chains = _chains([file for file in kept if set(file.keys) & set(keys)])
        self._window = Window.of(spec)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths that are read."""
        return self._paths

    def _open(self, path: str, spec: SourceSpec, batch_bytes: int, prices: dict[_Key, list[str]]) -> _File:
        """Look at the head of a file: its type, symbols and prices."""
        import polars as pl

        table = TextTable(path, batch_bytes=batch_bytes)
        kind = type_of(table, spec.option("type"))
        timed = pl.all_horizontal(pl.col("timestamp", "local_timestamp").cast(pl.Int64, strict=False).is_not_null())
        named = pl.all_horizontal(pl.col("exchange", "symbol").is_not_null())
        frame = table.head().frame.filter(timed & named)
        groups: dict[_Key, pl.DataFrame] = {
            (str(key[0]), str(key[1])): group
            for key, group in frame.group_by("exchange", "symbol", maintain_order=True)
        }
        for key, group in groups.items():
            texts = prices.setdefault(key, [])
            for column in price_columns(kind, table.columns):
                texts += group[column].drop_nulls().unique(maintain_order=True).to_list()
        starts = frame["local_timestamp"].cast(pl.Int64, strict=False).drop_nulls()
        return _File(table, kind, tuple(groups), int(starts[0]) if len(starts) else 0)

    def _select(self, keys: Sequence[_Key], option: str) -> list[_Key]:
        if not keys:
            raise SourceError(
                f"{', '.join(self._paths)}: no exchange and symbol in the head", hint="is it a Tardis file?"
            )
        if not option:
            return list(keys)
        chosen: list[_Key] = []
        for name in option.split(","):
            same = [key for key in keys if name in {key[1], contract_of(*key, "spot").symbol}]
            if not same:
                raise SourceError(f"symbol was {name!r}", hint=did_you_mean(name, [key[1] for key in keys]))
            chosen += same
        return sorted(set(chosen))

    def _instrument(self, key: _Key, contract: Contract, tick: str, prices: list[str]) -> Instrument:
        raw = key[1]
        size = parse_tick(tick) if tick else infer_tick(prices, f"{key[0]} {raw}")
        if not tick:
            self._facts[f"tick size of {raw}"] = f"{size} (told from {len(prices)} distinct prices in the head)"
        self._facts[f"amounts of {raw}"] = (
            f"{'quote currency' if contract.inverse else 'base units'} x {contract.multiplier}"
        )
        return Instrument(
            exchange=contract.exchange,
            market_type=contract.market_type,
            symbol=contract.symbol,
            tick_size=size,
            contract_multiplier=contract.multiplier,
            raw_symbol=raw if raw != contract.symbol else "",
        )

    def _blocks(self) -> Iterator[EventBlock]:
        self.report.facts.update(self._facts)
        streams = [self._stream(chain) for chain in self._chains]
        yield from to_blocks(self._window.apply(merge_chunks(streams), self), self.instruments, self._block_rows)

    def _stream(self, chain: Sequence[_File]) -> Iterator[Chunk]:
        decoder = TardisDecoder(self, chain[0].kind, chain[0].table.name, self._market)
        for file in chain:
            decoder.begin(file.table)
            for batch in file.table.batches():
                yield decoder.push(batch)
        yield decoder.flush()


def _chains(files: Sequence[_File]) -> list[list[_File]]:
    """Group files that continue each other, in the order in which their first ones were named."""
    chains: dict[tuple[str, tuple[_Key, ...]], list[_File]] = {}
    for file in files:
        chains.setdefault((file.kind, tuple(sorted(file.keys))), []).append(file)
    return [sorted(chain, key=lambda file: file.start) for chain in chains.values()]


def _open(spec: SourceSpec) -> Source:
    if spec.option("market_type") and spec.option("market_type") not in _MARKETS:
        raise ConfigError(
            f"market_type was {spec.option('market_type')!r}", hint=did_you_mean(spec.option("market_type"), _MARKETS)
        )
    return TardisSource(spec)


_MARKETS = ("spot", "linear", "inverse", "option", "equity", "future")

FORMAT = SourceFormat(
    name="tardis",
    example="tardis:binance-futures_incremental_book_L2_2024-08-08_BTCUSDT.csv.gz,binance-futures_trades_2024-08-08_BTCUSDT.csv.gz",
    description="Tardis.dev CSV: incremental_book_L2, book_snapshot_N, trades, quotes, derivative_ticker, liquidations",
    open=_open,
    options={
        "symbol": "only these symbols, comma separated (the venue's or the canonical spelling)",
        "tick": "tick size; by default told from the head of the data",
        "type": "data type that the files must have (decides between trades and liquidations)",
        "market_type": "spot, linear, inverse, option or future, where the venue is not known",
        "contract": "size of one contract: base units (linear) or quote value (inverse)",
        "from": "first receive time, ISO 8601 or epoch; a book in progress enters as one derived snapshot",
        "to": "receive time to stop before",
    },
)
