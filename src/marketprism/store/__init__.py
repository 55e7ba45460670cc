"""ClickHouse, embedded or on a server: schema, idempotent writes, reads as streams."""

from __future__ import annotations

from marketprism.store.config import StoreConfig
from marketprism.store.reader import StoreReader
from marketprism.store.store import Store, TableSize
from marketprism.store.writer import StoreWriter

__all__ = ["Store", "StoreConfig", "StoreReader", "StoreWriter", "TableSize"]
