"""What is derived from events: buckets, factors, labels and predictions as tables.

Buckets, bucket configuration and archive status have fixed tables. Factors, labels and predictions have one wide,
typed table a *signature* (the names and types of the columns): a new factor makes a new table and touches no old
row, a column is read without the others, and every type survives (``docs/adr/0008-frames-are-wide-tables.md``).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from marketprism.core.errors import DataError, StoreError, did_you_mean
from marketprism.store.ddl import FIXED_TABLES, Table, create_table
from marketprism.store.migrations import COLD_TABLES
from marketprism.store.sql import quote
from marketprism.store.store import Store

if TYPE_CHECKING:
    import polars as pl

__all__ = ["KINDS", "frame_signature", "read_frame", "signatures", "write_frame"]

KINDS = ("factors", "labels", "predictions")
"""Kinds of frame whose columns are free."""

_RUN = ("source", "run")
_KEYS = ("exchange", "market_type", "symbol", "model", "horizon", "fold", "bucket_id")
"""Columns that name a row of a free frame, where it has them."""


def frame_signature(frame: pl.DataFrame) -> str:
    """Return the hash of the names and types of a frame's columns, in order (16 hex digits)."""
    text = "\n".join(f"{name}:{dtype}" for name, dtype in frame.schema.items())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_frame(store: Store, kind: str, frame: pl.DataFrame, *, source: str = "", run: str = "", **add: str) -> str:
    """Write a frame; the same rows written again, at once or later, stay single.

    Parameters
    ----------
    store : Store
        Where to.
    kind : str
        ``factors``, ``labels`` or ``predictions`` (any columns), or a fixed table: ``unified_buckets``,
        ``bucket_config``, ``archive_status`` (columns beyond the table's own are left out).
    frame : polars.DataFrame
        The rows; those of a free kind need ``bucket_id``.
    source : str
        Stream that they were computed from.
    run : str
        What computed them: a configuration hash, so that two configurations do not mix.
    **add : str
        Further text columns of a fixed table, such as ``policy_hash``.

    Returns
    -------
    str
        The frame's signature, empty for a fixed table.

    Raises
    ------
    DataError
        Two rows have the same key, a column is missing or of a type that no table has.
    StoreError
        The store refused.
    """
    import polars as pl

    given, texts = frame, {"source": source, "run": run, **add}
    if kind in FIXED_TABLES:
        table, signature = FIXED_TABLES[kind], ""
        extra = {name: text for name, text in texts.items() if name in table.column_names and name not in frame.columns}
        frame = frame.with_columns(pl.lit(text, pl.String).alias(name) for name, text in extra.items())
        missing = [name for name in table.column_names if name not in frame.columns]
        if missing:
            raise DataError(f"{kind} needs a column {missing[0]!r}", hint=f"columns: {', '.join(table.column_names)}")
        frame = frame.select(table.column_names)
    else:
        _check_kind(kind)
        signature = frame_signature(frame)
        table = _free_table(kind, signature, frame)
        frame = frame.with_columns(pl.lit(source).alias("source"), pl.lit(run).alias("run")).select(table.column_names)
    _check_key(kind, table, frame)
    if signature:
        _register(store, kind, signature, table, given)
    if frame.height:
        store.insert(f"{_database(store, table)}.{table.name}", _physical(frame))
    return signature


def signatures(store: Store, kind: str) -> list[str]:
    """Return the signatures of a free kind that the store holds, sorted."""
    found = store.connection.query(
        f"SELECT signature FROM {store.database('features')}.frame_tables FINAL WHERE kind = {quote(kind)} "
        "ORDER BY signature"
    )
    return [str(signature) for signature in found["signature"].to_list()]


def read_frame(
    store: Store, kind: str, *, source: str | None = None, run: str | None = None, signature: str = ""
) -> pl.DataFrame:
    """Return what :func:`write_frame` wrote, with its types, ordered by the table's key.

    Parameters
    ----------
    store : Store
        Where from.
    kind : str
        As in :func:`write_frame`.
    source, run : str, optional
        Only rows of this stream and this configuration.
    signature : str, optional
        Which columns; needed where the store holds several signatures of a free kind.

    Raises
    ------
    StoreError
        The kind or signature is unknown, or several signatures would fit.
    """
    import polars as pl

    types: dict[str, Any] = {}
    if kind in FIXED_TABLES:
        table = FIXED_TABLES[kind]
        names, order = list(table.column_names), list(table.key)
    else:
        row = _known(store, kind, signature)
        names, order = list(row["columns"]), list(row["key"])
        types = {name: _dtype(text) for name, text in zip(names, row["types"], strict=True)}
        table = Table(row["table_name"], (), ())
    terms = [f"{name} = {quote(value)}" for name, value in (("source", source), ("run", run)) if value is not None]
    where = f"WHERE {' AND '.join(terms)} " if terms else ""
    columns = ", ".join(f"`{name}`" for name in names)
    sql = f"SELECT {columns} FROM {_database(store, table)}.{table.name} FINAL {where}ORDER BY {', '.join(order)}"
    frames = list(store.connection.stream(sql))
    if not frames:
        return pl.DataFrame(schema=types) if types else store.connection.query(f"{sql} LIMIT 0")
    frame = pl.concat(frames)
    return frame.cast(pl.Schema(types)) if types else frame


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise StoreError(f"kind was {kind!r}", hint=did_you_mean(kind, [*KINDS, *FIXED_TABLES]))


def _database(store: Store, table: Table) -> str:
    return store.database("cold" if table.name in COLD_TABLES else "features")


def _free_table(kind: str, signature: str, frame: pl.DataFrame) -> Table:
    columns = tuple((name, _column_type(name, dtype)) for name, dtype in frame.schema.items() if name not in _RUN)
    key = [name for name in _KEYS if name in frame.columns]
    if "bucket_id" not in key:
        raise DataError(f"{kind} has no column 'bucket_id'", hint="keep the key columns of the bucket frame")
    plain = tuple(
        (name, kind_.removeprefix("Nullable(").removesuffix(")") if name in key and "Nullable" in kind_ else kind_)
        for name, kind_ in columns
    )
    run = tuple((name, "LowCardinality(String)") for name in _RUN)
    day = "ts_end" if "ts_end" in frame.columns else ""
    return Table(f"{kind}_{signature}", (*run, *plain), (*_RUN, *key), day)


def _column_type(name: str, dtype: pl.DataType) -> str:
    """Return the ClickHouse type of a free column; everything but text and times may be null."""
    import polars as pl

    if name in {"ts_start", "ts_end", "ts_known"}:
        return "DateTime64(9, 'UTC')"
    if dtype in (pl.String, pl.Categorical) or isinstance(dtype, pl.Enum):
        return "LowCardinality(Nullable(String))" if name not in _KEYS else "LowCardinality(String)"
    if dtype.is_integer():
        return f"Nullable({'U' if dtype.is_unsigned_integer() else ''}Int{_bits(dtype)})"
    if dtype == pl.Boolean:
        return "Nullable(Bool)"
    if dtype == pl.Float32:
        return "Nullable(Float32)"
    if dtype == pl.Float64:
        return "Nullable(Float64)"
    if isinstance(dtype, pl.Datetime):
        return "Nullable(DateTime64(9, 'UTC'))"
    raise DataError(f"column {name!r} has type {dtype}", hint="frames hold numbers, booleans, texts and times")


def _bits(dtype: pl.DataType) -> int:
    return int(str(dtype).lower().removeprefix("u").removeprefix("int"))


def _physical(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with integer times as times: both spellings are read back as they were written."""
    import polars as pl

    times = [name for name in frame.columns if name in {"ts_start", "ts_end", "ts_known"}]
    times = [name for name in times if frame.schema[name].is_integer()]
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.Categorical or isinstance(dtype, pl.Enum)]
    return frame.with_columns(
        *(pl.col(name).cast(pl.Datetime("ns", "UTC")) for name in times),
        *(pl.col(name).cast(pl.String) for name in texts),
    )


def _check_key(kind: str, table: Table, frame: pl.DataFrame) -> None:
    key = list(table.key)
    nulls = [name for name in key if frame[name].null_count()]
    if nulls:
        raise DataError(f"{kind}: key column {nulls[0]!r} has a null", hint="every row needs its whole key")
    repeated = frame.select(key).is_duplicated()
    if repeated.any():
        row = frame.select(key).filter(repeated).row(0)
        raise DataError(
            f"{kind}: the key {dict(zip(key, row, strict=True))} occurs twice", hint="rows are known by key"
        )


def _register(store: Store, kind: str, signature: str, table: Table, frame: pl.DataFrame) -> None:
    import polars as pl

    if signature in signatures(store, kind):
        return
    days = store.config.features_days if table.day else None
    store.connection.command(
        create_table(_database(store, table), table, dedup_window=store.config.dedup_window, days=days)
    )
    row = pl.DataFrame(
        {
            "kind": [kind],
            "signature": [signature],
            "table_name": [table.name],
            "columns": [list(frame.columns)],
            "types": [[str(dtype) for dtype in frame.dtypes]],
            "key": [list(table.key)],
        }
    )
    store.insert(f"{store.database('features')}.frame_tables", row)


def _known(store: Store, kind: str, signature: str) -> dict[str, Any]:
    _check_kind(kind)
    found = store.connection.query(
        f"SELECT * FROM {store.database('features')}.frame_tables FINAL WHERE kind = {quote(kind)} ORDER BY signature"
    )
    rows = [row for row in found.iter_rows(named=True) if not signature or row["signature"] == signature]
    if len(rows) != 1:
        known = ", ".join(found["signature"].to_list()) or "none"
        raise StoreError(f"{len(rows)} signatures of {kind} fit {signature!r}", hint=f"choose one: {known}")
    return rows[0]


def _dtype(text: str) -> Any:
    """Return the Polars type that ``str(dtype)`` named; categories come back as text."""
    import polars as pl

    if text.startswith("Datetime"):
        return pl.Datetime("ns", "UTC")
    if text.startswith(("Categorical", "Enum")):
        return pl.String
    return getattr(pl, text)
