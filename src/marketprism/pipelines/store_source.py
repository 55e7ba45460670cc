"""``store:DSN``: a stream out of ClickHouse, the same rows that were written.

It lives here and not among the file formats because sources and the store do not know each other.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator

from marketprism.core.block import EventBlock
from marketprism.core.errors import ConfigError
from marketprism.core.timebase import parse_time
from marketprism.ingest.registry import SourceFormat, SourceSpec
from marketprism.ingest.source import BLOCK_ROWS, Source
from marketprism.store import Store, StoreReader

__all__ = ["FORMAT", "StoreSource"]


class StoreSource(Source):
    """The events of one source in a store.

    Parameters
    ----------
    reader : StoreReader
        What to read; its store is closed with this source.
    spec : str
        The source text, without a password.
    strict : bool, default False
        No effect: what is in the store was accepted before.
    """

    def __init__(self, reader: StoreReader, spec: str, *, strict: bool = False) -> None:
        super().__init__(spec, reader.instruments, strict=strict)
        self._reader = reader
        self._close = weakref.finalize(self, reader.store.close)

    def close(self) -> None:
        """Close the store; closing twice is fine."""
        self._close()

    def _blocks(self) -> Iterator[EventBlock]:
        for block in self._reader.blocks():
            self.report.records += len(block)
            yield from block.chunks(BLOCK_ROWS)


def _open(spec: SourceSpec) -> Source:
    dsn = ",".join(spec.paths)
    start, end = (parse_time(text) if text else None for text in (spec.option("from"), spec.option("to")))
    if start is not None and end is not None and end <= start:
        raise ConfigError(f"from was {start} ns and to {end} ns", hint="from must be before to")
    database = spec.option("database", "hot")
    if database not in {"hot", "cold"}:
        raise ConfigError(f"database was {database!r}", hint="use hot or cold")
    store = Store.open(dsn)
    try:
        reader = StoreReader(
            store,
            spec.option("source"),
            exchange=spec.option("exchange"),
            market_type=spec.option("market_type"),
            symbol=spec.option("symbol"),
            start=start,
            end=end,
            database="cold" if database == "cold" else "hot",
        )
    except BaseException:
        store.close()
        raise
    text = spec.text.replace(dsn, str(store.connection.address), 1)
    return StoreSource(reader, text, strict=spec.flag("strict"))


FORMAT = SourceFormat(
    name="store",
    example="store:chdb:///var/lib/market?exchange=binance&symbol=BTC-USDT",
    description="events out of ClickHouse: embedded (a directory, chdb:///path) or a server (clickhouse://host)",
    open=_open,
    options={
        "source": "name that the stream was written under; needed where several fit",
        "exchange": "only this exchange",
        "market_type": "only this kind of market",
        "symbol": "only this symbol",
        "from": "first receive time (ISO 8601 or epoch)",
        "to": "first receive time that is left out",
        "database": "hot (default) or cold",
    },
)
