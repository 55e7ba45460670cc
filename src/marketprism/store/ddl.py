"""ClickHouse tables, derived from the event schema and the bucket record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from marketprism.buckets.record import BUCKET_DTYPE
from marketprism.core.arrow_schema import fields_of
from marketprism.core.fixed_point import NARROW, WIDE
from marketprism.core.schema import EVENT_TYPES, Field

__all__ = ["EVENT_KEY", "FIXED_TABLES", "Table", "clickhouse_type", "create_table", "event_table", "wide_type"]

EVENT_KEY = ("exchange", "market_type", "symbol", "ts_recv", "ordinal", "ingest_id", "source")
"""Sorting key of every event table. ``ordinal`` stands before ``ingest_id`` so that a scan is in stream order; all
of it together is the identity of a row, so that a batch sent again at any later time is merged away."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table: columns in order, sorting key, the time column that partitions it by day."""

    name: str
    columns: tuple[tuple[str, str], ...]
    """Name and ClickHouse type."""
    key: tuple[str, ...]
    day: str = ""
    """Time column of partitions and TTL; empty for a small table without either."""
    version: str = ""
    """Column whose largest value wins among rows of equal key; empty: the last written."""

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(name for name, _ in self.columns)


def clickhouse_type(field: Field) -> str:
    """Return the ClickHouse type of a column of the event schema.

    Examples
    --------
    >>> clickhouse_type(EVENT_TYPES["trade"].fields[0]), clickhouse_type(EVENT_TYPES["trade"].fields[3])
    ('Nullable(Int64)', 'Decimal(18, 8)')
    """
    number = f"Decimal({NARROW.precision}, {NARROW.scale})"
    plain = {
        "decimal": number,
        "float": "Float64",
        "int": "Int64",
        "time": "DateTime64(9, 'UTC')",
        "text": "LowCardinality(String)",
        "bool": "Bool",
        "decimals": f"Array({number})",
        "ints": "Array(Int64)",
    }[field.type]
    # In memory a float that is not there is NaN whether the schema calls it nullable or not.
    return f"Nullable({plain})" if field.nullable or field.type == "float" else plain


def wide_type(narrow: str) -> str:
    """Return a column type with ``Decimal(38, 18)`` in place of ``Decimal(18, 8)``.

    Examples
    --------
    >>> wide_type("Array(Decimal(18, 8))")
    'Array(Decimal(38, 18))'
    """
    return narrow.replace(f"Decimal({NARROW.precision}, {NARROW.scale})", f"Decimal({WIDE.precision}, {WIDE.scale})")


def event_table(name: str) -> Table:
    """Return the table of an event type."""
    columns = tuple((field.name, clickhouse_type(field)) for field in fields_of(EVENT_TYPES[name]))
    return Table(name, columns, EVENT_KEY, "ts_recv")


def _bucket_columns() -> tuple[tuple[str, str], ...]:
    columns = []
    for name in BUCKET_DTYPE.names or ():
        kind = BUCKET_DTYPE[name]
        if name.startswith("ts_"):
            columns.append((name, "DateTime64(9, 'UTC')"))
        elif name == "trigger":
            columns.append((name, "LowCardinality(String)"))
        else:
            columns.append((name, "Nullable(Float64)" if kind == np.float64 else "Int64"))
    return tuple(columns)


_TEXT = "LowCardinality(String)"
_TIME = "DateTime64(9, 'UTC')"
_SERIES = (("exchange", _TEXT), ("market_type", _TEXT), ("symbol", _TEXT))
_RUN = (("source", _TEXT), ("run", _TEXT))

FIXED_TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "instruments",
            (
                ("source", "String"), ("position", "Int64"), *_SERIES, ("tick_size", "String"), ("lot_size", "String"),
                ("contract_multiplier", "String"), ("sequencing", _TEXT), ("raw_symbol", "String"),
            ),
            ("source", "position"),
        ),
        Table(
            "unified_buckets",
            (*_SERIES, *_RUN, ("policy_hash", _TEXT), *_bucket_columns()),
            ("exchange", "market_type", "symbol", "source", "run", "bucket_id"),
            "ts_end",
        ),
        Table(
            "bucket_config",
            (
                *_SERIES, ("session_tag", _TEXT), ("mode", _TEXT), ("t_target_s", "Float64"), ("t_max_s", "Float64"),
                *((f"{what}{bound}", "Nullable(Float64)") for what in "qnu" for bound in ("", "_min", "_max")),
                *(
                    (f"{what}_per_s_{quantile}", "Nullable(Float64)")
                    for what in ("volume", "trades", "updates")
                    for quantile in ("p50", "p80")
                ),
                ("window_min", "Int64"), ("source", _TEXT), ("notes", "String"), ("valid_from", _TIME),
                ("valid_to", f"Nullable({_TIME})"), ("version", "Int64"),
            ),
            ("exchange", "market_type", "symbol", "session_tag", "valid_from"),
            version="version",
        ),
        Table(
            "archive_status",
            (
                ("day", "Date"), ("event_type", _TEXT), ("exchange", _TEXT), ("rows", "Int64"), ("bytes", "Int64"),
                ("checksum", "String"), ("seconds", "Float64"),
            ),
            ("day", "event_type", "exchange"),
        ),
        Table(
            "frame_tables",
            (
                ("kind", _TEXT), ("signature", "String"), ("table_name", "String"), ("columns", "Array(String)"),
                ("types", "Array(String)"), ("key", "Array(String)"),
            ),
            ("kind", "signature"),
        ),
        Table(
            "schema_migrations",
            (("version", "Int64"), ("name", "String"), ("code_version", "String")),
            ("version",),
        ),
    )
}  # fmt: skip
"""Tables that are no event tables; ``archive_status`` lives in the cold database, the others in features."""


def create_table(database: str, table: Table, *, dedup_window: int, days: int | None = None) -> str:
    """Return ``CREATE TABLE IF NOT EXISTS`` of a table.

    Parameters
    ----------
    database : str
        Its database.
    table : Table
        What it holds.
    dedup_window : int
        Inserted blocks that are remembered by token.
    days : int, optional
        TTL; None keeps rows for ever.
    """
    columns = ",\n".join(f"    `{name}` {kind}{_codec(kind)}" for name, kind in table.columns)
    lines = [
        f"CREATE TABLE IF NOT EXISTS {database}.{table.name}",
        f"(\n{columns}\n)",
        f"ENGINE = ReplacingMergeTree({table.version})",
        f"ORDER BY ({', '.join(table.key)})",
    ]
    if table.day:
        lines.append(f"PARTITION BY toYYYYMMDD({table.day})")
        if days is not None:
            lines.append(f"TTL toDateTime({table.day}) + INTERVAL {days} DAY")
    lines.append(f"SETTINGS non_replicated_deduplication_window = {dedup_window}")
    return "\n".join(lines)


def _codec(kind: str) -> str:
    return " CODEC(Delta, ZSTD(1))" if kind in {"Int64", "Nullable(Int64)", _TIME, f"Nullable({_TIME})"} else ""
