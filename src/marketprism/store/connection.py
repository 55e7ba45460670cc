"""Connections: the embedded engine and a server behind one small interface."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketprism.core.errors import Action, StoreError
from marketprism.store.dsn import Address

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Connection", "connect"]

_BUSY = {159, 202, 203, 209, 210, 241, 242, 252, 279, 319, 425, 999}
"""ClickHouse error codes that pass by themselves: timeouts, too many queries or parts, no connection, memory."""

_FULL = {243}
_INSERT_SETTINGS: Mapping[str, str] = {
    "deduplicate_blocks_in_dependent_materialized_views": "1",
    "max_partitions_per_insert_block": "0",
    "insert_deduplicate": "1",
}


class Connection(ABC):
    """What the store needs of ClickHouse."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._process = os.getpid()

    @abstractmethod
    def command(self, sql: str) -> None:
        """Run a statement without a result."""

    @abstractmethod
    def query(self, sql: str) -> pl.DataFrame:
        """Return a small result."""

    @abstractmethod
    def stream(self, sql: str) -> Iterator[pl.DataFrame]:
        """Yield a result piece by piece, in its order."""

    @abstractmethod
    def insert(self, table: str, frame: pl.DataFrame, token: str) -> None:
        """Insert a frame into ``database.table``, once for each token within the window."""

    @abstractmethod
    def close(self) -> None:
        """Release the connection; closing twice is fine."""

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise StoreError(
                f"the store {self.address} was opened by another process",
                hint="never fork with a store open: start workers with the spawn method and open it there",
            )

    def _error(self, what: str, error: Exception) -> StoreError:
        code = getattr(error, "code", None) or _code_of(str(error))
        busy = code in _BUSY or type(error).__name__ in {"OperationalError", "StreamFailureError"}
        text = _first_line(error)
        if code in _FULL or "No space left" in str(error) or "ENOSPC" in str(error):
            return StoreError(
                f"{self.address}: {what}: the disk is full: {text}", hint="free space, then send the batch again"
            )
        return StoreError(
            f"{self.address}: {what}: {text}",
            hint="the store is busy or away: try again" if busy else "see the server's message",
            action=Action.RETRY if busy else Action.STOP,
            code=code,
        )


def connect(address: Address) -> Connection:
    """Open a connection.

    Raises
    ------
    StoreError
        The directory is in use by another process, another directory is open in this one, or the server does not
        answer.
    """
    return _Embedded(address, address.path) if address.path is not None else _Server(address)


def _code_of(text: str) -> int | None:
    _, found, rest = text.partition("Code: ")
    digits = rest.split(".", 1)[0].strip()
    return int(digits) if found and digits.isdigit() else None


def _first_line(error: Exception) -> str:
    line = str(error).strip().split("\n", 1)[0]
    return line[:500] or type(error).__name__


def _columns(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _settings(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name} = '{value}'" for name, value in settings.items())


class _Embedded(Connection):
    """chDB in this process: commands through clickhouse-connect, bulk through the engine's own handles."""

    def __init__(self, address: Address, path: Path) -> None:
        super().__init__(address)
        import chdb
        import clickhouse_connect

        try:
            path.mkdir(parents=True, exist_ok=True)
            self._client = clickhouse_connect.get_client(interface="chdb", path=str(path))
            self._bulk = chdb.connect(os.path.realpath(path))
        except Exception as error:
            raise StoreError(
                f"{address} cannot be opened: {_first_line(error)}",
                hint="one process may use a directory, and a process one directory at a time: close the other first",
            ) from error
        self._open = chdb.connect
        self._path = os.path.realpath(path)
        self._closed = False

    def command(self, sql: str) -> None:
        self._run(sql)

    def _run(self, sql: str) -> None:
        self._check_process()
        try:
            self._bulk.query(sql, "Null")
        except Exception as error:
            raise self._error(sql.split("\n", 1)[0][:80], error) from error

    def query(self, sql: str) -> pl.DataFrame:
        import polars as pl

        self._check_process()
        try:
            return pl.DataFrame(self._client.query_arrow(sql))
        except Exception as error:
            raise self._error("query", error) from error

    def stream(self, sql: str) -> Iterator[pl.DataFrame]:
        import polars as pl

        self._check_process()
        # A handle carries one stream at a time, and tables are merged from several: each has its own.
        handle = self._open(self._path)
        try:
            with handle.send_query(sql, "Arrow") as result:
                for batch in result.record_batch(rows_per_batch=65_536):
                    if batch.num_rows:
                        yield pl.DataFrame(batch)
        except Exception as error:
            raise self._error("read", error) from error
        finally:
            handle.close()

    def insert(self, table: str, frame: pl.DataFrame, token: str) -> None:
        import polars as pl

        arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())  # noqa: F841 - the engine looks it up by name
        names = _columns(frame.columns)
        settings = _settings({**_INSERT_SETTINGS, "insert_deduplication_token": token})
        self._check_process()
        try:
            self._bulk.query(
                f"INSERT INTO {table} ({names}) SETTINGS {settings} SELECT {names} FROM Python(arrow)", "Null"
            )
        except Exception as error:
            raise self._error(f"insert of {frame.height} rows into {table}", error) from error

    def close(self) -> None:
        if not self._closed and os.getpid() == self._process:
            self._closed = True
            self._bulk.close()
            self._client.close()


class _Server(Connection):
    """A ClickHouse server over HTTP."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        import clickhouse_connect

        try:
            self._client: Any = clickhouse_connect.get_client(
                host=address.host,
                port=address.port,
                username=address.user,
                password=address.password,
                secure=address.secure,
                # Tables are read side by side: a session would allow one query at a time.
                autogenerate_session_id=False,
            )
        except Exception as error:
            raise self._error("connect", error) from error

    def command(self, sql: str) -> None:
        self._check_process()
        try:
            self._client.command(sql)
        except Exception as error:
            raise self._error(sql.split("\n", 1)[0][:80], error) from error

    def query(self, sql: str) -> pl.DataFrame:
        import polars as pl

        self._check_process()
        try:
            return pl.DataFrame(self._client.query_arrow(sql))
        except Exception as error:
            raise self._error("query", error) from error

    def stream(self, sql: str) -> Iterator[pl.DataFrame]:
        import polars as pl

        self._check_process()
        try:
            with self._client.query_arrow_stream(sql) as batches:
                for batch in batches:
                    if batch.num_rows:
                        yield pl.DataFrame(batch)
        except Exception as error:
            raise self._error("read", error) from error

    def insert(self, table: str, frame: pl.DataFrame, token: str) -> None:
        import polars as pl

        self._check_process()
        try:
            self._client.insert_arrow(
                table,
                frame.to_arrow(compat_level=pl.CompatLevel.oldest()),
                settings={**_INSERT_SETTINGS, "insert_deduplication_token": token},
            )
        except Exception as error:
            raise self._error(f"insert of {frame.height} rows into {table}", error) from error

    def close(self) -> None:
        self._client.close()
