"""The store: every event type and everything derived from events, in ClickHouse, embedded or on a server."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from marketprism.core.arrow_schema import wide_fields, widen
from marketprism.core.errors import StoreError, did_you_mean
from marketprism.core.instrument import Instrument
from marketprism.core.schema import EVENT_TYPES
from marketprism.store.config import StoreConfig
from marketprism.store.connection import Connection, connect
from marketprism.store.ddl import FIXED_TABLES, clickhouse_type, wide_type
from marketprism.store.dsn import parse_dsn
from marketprism.store.migrations import migrate
from marketprism.store.retry import retry
from marketprism.store.sql import quote

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Database", "Store", "TableSize"]

Database = Literal["hot", "cold"]


@dataclass(frozen=True, slots=True)
class TableSize:
    """How much one table holds.

    Attributes
    ----------
    database, table : str
        Its name.
    rows : int
        Rows by key: a row that was sent twice counts once.
    bytes : int
        Compressed bytes on disk.
    """

    database: str
    table: str
    rows: int
    bytes: int


class Store:
    """An open store. Use :meth:`open`, and close it or use it as a context manager.

    A process may have one embedded store open at a time, and must not fork with it open.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:  # doctest: +SKIP
    ...     len(store.sizes())
    """

    def __init__(self, connection: Connection, config: StoreConfig) -> None:
        self.connection = connection
        self.config = config
        self._wide: dict[str, frozenset[str]] = {}

    @classmethod
    def open(cls, dsn: str | os.PathLike[str], config: StoreConfig | None = None) -> Self:
        """Open a store, creating or upgrading its tables.

        Parameters
        ----------
        dsn : str or path
            A directory or ``chdb:///path`` for the embedded store, ``clickhouse://user:password@host:port`` or
            ``http(s)://...`` for a server.
        config : StoreConfig, optional
            Databases' prefix, TTL, deduplication window, batches and retries.

        Raises
        ------
        ConfigError
            The address cannot be understood.
        StoreError
            It cannot be opened, or its schema is newer than this program or altered.
        """
        config = config or StoreConfig()
        connection = connect(parse_dsn(dsn))
        try:
            migrate(connection, config)
        except BaseException:
            connection.close()
            raise
        return cls(connection, config)

    def close(self) -> None:
        """Close the connection; closing twice is fine."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    def database(self, name: str) -> str:
        """Return the full name of the database ``hot``, ``features`` or ``cold``."""
        known = ("hot", "features", "cold")
        if name not in known:
            raise StoreError(f"database was {name!r}", hint=did_you_mean(name, known))
        return f"{self.config.prefix}_{name}"

    def insert_events(self, name: str, frame: pl.DataFrame, *, database: Database = "hot") -> int:
        """Insert rows of one event type; the same rows inserted again, at once or later, stay single.

        Parameters
        ----------
        name : str
            Event type.
        frame : polars.DataFrame
            Rows as :func:`marketprism.core.tables.block_to_tables` makes them.
        database : {"hot", "cold"}, default "hot"
            Where to.

        Returns
        -------
        int
            How often the insert had to be tried again.

        Raises
        ------
        StoreError
            The store refused, or was busy for longer than the configured retries.
        """
        if frame.is_empty():
            return 0
        event_type = EVENT_TYPES[name]
        table = f"{self.database(database)}.{name}"
        wide = self._wide_columns(table)
        missing = wide_fields(frame) - wide
        if missing:
            self._widen(table, name, sorted(missing))
            wide |= missing
        frame = widen(frame, event_type, wide)
        return self.insert(table, frame)

    def insert(self, table: str, frame: pl.DataFrame) -> int:
        """Insert a frame whose columns are those of ``database.table``; see :meth:`insert_events`."""
        token = content_token(table, frame)
        return retry(lambda: self.connection.insert(table, frame, token), self.config)

    def _wide_columns(self, table: str) -> frozenset[str]:
        if table not in self._wide:
            database, _, name = table.partition(".")
            found = self.connection.query(
                f"SELECT name, type FROM system.columns WHERE database = {quote(database)} AND table = {quote(name)}"
            )
            narrow = {field.name: clickhouse_type(field) for field in EVENT_TYPES[name].fields}
            self._wide[table] = frozenset(
                column
                for column, kind in found.select("name", "type").iter_rows()
                if column in narrow and kind != narrow[column]
            )
        return self._wide[table]

    def _widen(self, table: str, name: str, columns: Sequence[str]) -> None:
        """Make decimal columns wide, once and for all: a venue's numbers do not fit ``Decimal(18,8)``."""
        kinds = {field.name: clickhouse_type(field) for field in EVENT_TYPES[name].fields}
        changes = ", ".join(f"MODIFY COLUMN `{column}` {wide_type(kinds[column])}" for column in columns)
        self.connection.command(f"ALTER TABLE {table} {changes}")
        self._wide[table] = self._wide_columns(table) | frozenset(columns)

    def register(self, source: str, instruments: tuple[Instrument, ...]) -> None:
        """Note the instruments of a source: their grids are needed to read its prices back.

        Raises
        ------
        StoreError
            The source is known with other instruments.
        """
        known = self.instruments(source)
        if known == instruments:
            return
        if known:
            raise StoreError(
                f"the store knows {source!r} with other instruments ({', '.join(i.key for i in known[:4])})",
                hint="its symbols or tick sizes changed: write under another source name",
            )
        import polars as pl

        rows = [
            {
                "source": source,
                "position": position,
                **{name: str(getattr(instrument, name)) for name in instrument.__struct_fields__},
            }
            for position, instrument in enumerate(instruments)
        ]
        names = list(FIXED_TABLES["instruments"].column_names)
        self.insert(f"{self.database('features')}.instruments", pl.DataFrame(rows).select(names))

    def instruments(self, source: str) -> tuple[Instrument, ...]:
        """Return the instruments of a source in stream order; empty where it is unknown."""
        found = self.connection.query(
            f"SELECT * FROM {self.database('features')}.instruments FINAL "
            f"WHERE source = {quote(source)} ORDER BY position"
        )
        import msgspec

        names = Instrument.__struct_fields__
        return tuple(
            msgspec.convert({name: row[name] for name in names}, Instrument) for row in found.iter_rows(named=True)
        )

    def sources(self) -> list[str]:
        """Return the names of the sources that were written, sorted."""
        found = self.connection.query(
            f"SELECT DISTINCT source FROM {self.database('features')}.instruments ORDER BY source"
        )
        return [str(source) for source in found["source"].to_list()]

    def sizes(self) -> list[TableSize]:
        """Return rows and bytes by table, empty tables included, in the order of their names."""
        prefix = f"{self.config.prefix}_"
        found = self.connection.query(
            "SELECT database, name AS table, ifNull(total_bytes, 0) AS bytes FROM system.tables "
            f"WHERE startsWith(database, {quote(prefix)}) AND endsWith(engine, 'MergeTree') ORDER BY database, name"
        )
        sizes = []
        for database, table, size in found.iter_rows():
            rows = self.connection.query(f"SELECT count() AS n FROM {database}.{table} FINAL")["n"].item()
            sizes.append(TableSize(database, table, int(rows), int(size)))
        return sizes


def content_token(table: str, frame: pl.DataFrame) -> str:
    """Return the deduplication token of a batch: a hash of where it goes and everything it contains."""
    import polars as pl
    import pyarrow as pa

    digest = hashlib.sha256(table.encode())
    arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, arrow.schema) as writer:
        writer.write_table(arrow)
    digest.update(sink.getvalue())
    return digest.hexdigest()
