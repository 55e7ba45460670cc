"""Bringing a store to this program's schema, and refusing one that is newer or altered."""

from __future__ import annotations

from importlib.metadata import version as code_version

from marketprism.core.arrow_schema import SCHEMA_VERSION
from marketprism.core.errors import StoreError
from marketprism.core.schema import EVENT_TYPES
from marketprism.store.config import StoreConfig
from marketprism.store.connection import Connection
from marketprism.store.ddl import FIXED_TABLES, Table, create_table, event_table, wide_type
from marketprism.store.sql import quote

__all__ = ["COLD_TABLES", "MIGRATIONS", "Migration", "migrate", "statements"]

COLD_TABLES = ("archive_status",)
"""Fixed tables that live in the cold database; the others live in features."""

Migration = tuple[int, str, tuple[str, ...]]
"""Version that it leads to, name, statements with ``{prefix}`` for the database prefix."""

MIGRATIONS: tuple[Migration, ...] = ()
"""From each schema version to the next; version 1 is what :func:`statements` creates."""


def statements(config: StoreConfig) -> list[str]:
    """Return the statements that create every database and table, if missing."""
    hot, features, cold = (f"{config.prefix}_{name}" for name in ("hot", "features", "cold"))
    result = [f"CREATE DATABASE IF NOT EXISTS {name}" for name in (hot, features, cold)]
    window = config.dedup_window
    for name in EVENT_TYPES:
        result.append(create_table(hot, event_table(name), dedup_window=window, days=config.hot_days))
        result.append(create_table(cold, event_table(name), dedup_window=window))
    for table in FIXED_TABLES.values():
        database = cold if table.name in COLD_TABLES else features
        result.append(create_table(database, table, dedup_window=window, days=config.features_days))
    return result


def migrate(connection: Connection, config: StoreConfig) -> None:
    """Create or upgrade the schema, then check that every column is what this program expects.

    Raises
    ------
    StoreError
        The store was written by a newer program, or a table was altered by hand.
    """
    features = f"{config.prefix}_features"
    version = _version(connection, features)
    if version is not None and version > SCHEMA_VERSION:
        raise StoreError(
            f"{connection.address} has schema version {version}, this program writes {SCHEMA_VERSION}",
            hint="upgrade the program; an older one must not write into a newer store",
        )
    for target, _name, steps in MIGRATIONS:
        if version is not None and version < target:
            for step in steps:
                connection.command(step.format(prefix=config.prefix))
    if version != SCHEMA_VERSION or _missing(connection, config):
        for statement in statements(config):
            connection.command(statement)
    if version != SCHEMA_VERSION:
        name = next((name for target, name, _ in reversed(MIGRATIONS) if target == SCHEMA_VERSION), "initial")
        connection.command(
            f"INSERT INTO {features}.schema_migrations (version, name, code_version) VALUES "
            f"({SCHEMA_VERSION}, {quote(name)}, {quote(code_version('marketprism'))})"
        )
    _check_columns(connection, config)


def _tables(config: StoreConfig) -> dict[str, Table]:
    """Return every table by its full name."""
    hot, features, cold = (f"{config.prefix}_{name}" for name in ("hot", "features", "cold"))
    tables = {f"{database}.{name}": event_table(name) for database in (hot, cold) for name in EVENT_TYPES}
    for table in FIXED_TABLES.values():
        tables[f"{cold if table.name in COLD_TABLES else features}.{table.name}"] = table
    return tables


def _columns(connection: Connection, config: StoreConfig) -> dict[str, dict[str, str]]:
    found = connection.query(
        "SELECT concat(database, '.', table) AS full_name, groupArray(name) AS columns, groupArray(type) AS types "
        f"FROM system.columns WHERE startsWith(database, {quote(config.prefix + '_')}) GROUP BY database, table"
    )
    return {name: dict(zip(columns, types, strict=True)) for name, columns, types in found.iter_rows()}


def _missing(connection: Connection, config: StoreConfig) -> bool:
    return not _tables(config).keys() <= _columns(connection, config).keys()


def _version(connection: Connection, features: str) -> int | None:
    found = connection.query(
        f"SELECT count() AS n FROM system.tables WHERE database = {quote(features)} AND name = 'schema_migrations'"
    )
    if not found["n"].item():
        return None
    versions = connection.query(f"SELECT version FROM {features}.schema_migrations ORDER BY version")
    return int(versions["version"][-1]) if versions.height else None


def _check_columns(connection: Connection, config: StoreConfig) -> None:
    columns = _columns(connection, config)
    for full_name, table in _tables(config).items():
        types = columns.get(full_name, {})
        for name, kind in table.columns:
            if types.get(name) not in {kind, wide_type(kind)}:
                raise StoreError(
                    f"{full_name}.{name} is {types.get(name, 'missing')}, expected {kind}",
                    hint="the table was altered, or made by another program: restore it, or use another prefix",
                )
