from __future__ import annotations

import pytest

from marketprism.buckets.record import BUCKET_DTYPE
from marketprism.core.arrow_schema import fields_of
from marketprism.core.schema import EVENT_TYPES
from marketprism.store.config import StoreConfig
from marketprism.store.ddl import FIXED_TABLES, create_table, event_table
from marketprism.store.migrations import statements
from marketprism.store.sql import quote, time_literal


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_event_tables_follow_the_schema(name: str) -> None:
    table = event_table(name)
    assert table.column_names == tuple(field.name for field in fields_of(EVENT_TYPES[name]))
    types = dict(table.columns)
    assert types["ts_recv"] == "DateTime64(9, 'UTC')"
    assert types["symbol"] == "LowCardinality(String)"
    for field in EVENT_TYPES[name].fields:
        assert ("Decimal(18, 8)" in types[field.name]) == (field.type in {"decimal", "decimals"})
    assert set(table.key) <= set(table.column_names)


def test_the_statement_says_everything() -> None:
    sql = create_table("db_hot", event_table("trade"), dedup_window=7, days=3)
    assert "ENGINE = ReplacingMergeTree()" in sql
    assert "ORDER BY (exchange, market_type, symbol, ts_recv, ordinal, ingest_id, source)" in sql
    assert "PARTITION BY toYYYYMMDD(ts_recv)" in sql
    assert "TTL toDateTime(ts_recv) + INTERVAL 3 DAY" in sql
    assert "non_replicated_deduplication_window = 7" in sql
    assert "TTL" not in create_table("db_hot", event_table("trade"), dedup_window=7)


def test_databases_and_tables_are_those_of_the_schema_page() -> None:
    sql = "\n".join(statements(StoreConfig(hot_days=3, features_days=7)))
    for database in ("hot", "features", "cold"):
        assert f"CREATE DATABASE IF NOT EXISTS marketprism_{database}" in sql
    for name in EVENT_TYPES:
        assert f"marketprism_hot.{name}\n" in sql
        assert f"marketprism_cold.{name}\n" in sql
    assert "marketprism_cold.archive_status\n" in sql
    assert "marketprism_features.unified_buckets\n" in sql
    assert sql.count("INTERVAL 3 DAY") == len(EVENT_TYPES)
    assert sql.count("INTERVAL 7 DAY") == 1
    assert set(BUCKET_DTYPE.names or ()) < set(FIXED_TABLES["unified_buckets"].column_names)


def test_texts_and_times_become_literals() -> None:
    assert quote(r"a'b\c") == r"'a\'b\\c'"
    assert time_literal(5) == "fromUnixTimestamp64Nano(5, 'UTC')"
