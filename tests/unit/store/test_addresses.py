from __future__ import annotations

from pathlib import Path

import pytest

from marketprism.core.errors import ConfigError
from marketprism.store.config import StoreConfig
from marketprism.store.dsn import parse_dsn


def test_paths_are_embedded_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in (str(tmp_path / "db"), f"chdb://{tmp_path / 'db'}", "chdb://db", "db", tmp_path / "db"):
        assert parse_dsn(text).path == tmp_path / "db"


@pytest.mark.parametrize(
    ("text", "host", "port", "secure", "user", "password"),
    [
        ("clickhouse://db.example", "db.example", 8123, False, "default", ""),
        ("http://me:pw@db.example:9", "db.example", 9, False, "me", "pw"),
        ("https://db.example", "db.example", 8443, True, "default", ""),
        ("clickhouses://a%40b:p%3Aw@h", "h", 8443, True, "a@b", "p:w"),
    ],
)
def test_urls_are_servers(text: str, host: str, port: int, secure: bool, user: str, password: str) -> None:
    address = parse_dsn(text)
    assert address.path is None
    assert (address.host, address.port, address.secure) == (host, port, secure)
    assert (address.user, address.password) == (user, password)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("chdb://", "name a directory"),
        ("clickhose://h", "did you mean 'clickhouse'"),
        ("clickhouse://h:x1", "no number"),
        ("clickhouse://u:secret@h/db", "options after it"),
        ("clickhouse://u:secret@", "has no host"),
    ],
)
def test_other_addresses_are_refused_without_showing_a_password(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_dsn(text)
    assert "secret" not in str(caught.value)


def test_a_password_is_never_shown() -> None:
    address = parse_dsn("clickhouse://me:secret@h:1")
    assert "secret" not in f"{address} {address!r}"
    assert str(address) == "http://me@h:1"


@pytest.mark.parametrize(
    "values",
    [
        {"prefix": "a-b"},
        {"hot_days": 0},
        {"features_days": -1},
        {"dedup_window": 0},
        {"batch_rows": 0},
        {"retries": -1},
        {"backoff_s": 11.0},
    ],
)
def test_configurations_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        StoreConfig.from_mapping(values)
