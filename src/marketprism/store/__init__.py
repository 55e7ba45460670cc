"""ClickHouse, embedded or by URL."""
