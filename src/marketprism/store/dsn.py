"""Store addresses: a directory, or a server."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from marketprism.core.errors import ConfigError, did_you_mean

__all__ = ["Address", "parse_dsn"]

_SECURE = {"https", "clickhouses"}
_PLAIN = {"http", "clickhouse"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is; shown without its password."""

    path: Path | None = None
    """Data directory of an embedded store, None for a server."""
    host: str = ""
    port: int = 0
    secure: bool = False
    user: str = "default"
    password: str = ""

    def __str__(self) -> str:
        if self.path is not None:
            return f"chdb://{self.path}"
        return f"{'https' if self.secure else 'http'}://{self.user}@{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"Address({self})"


def parse_dsn(dsn: str | os.PathLike[str]) -> Address:
    """Return the address that a text names.

    Parameters
    ----------
    dsn : str or path
        ``chdb:///absolute/path``, ``chdb://relative/path`` or a plain path for the embedded store;
        ``clickhouse://user:password@host:8123`` or ``http(s)://...`` for a server.

    Raises
    ------
    ConfigError
        Unknown scheme, no path or no host; the error never shows the password.

    Examples
    --------
    >>> parse_dsn("clickhouse://me:secret@db.example:9123").port
    9123
    >>> str(parse_dsn("chdb:///var/lib/market"))
    'chdb:///var/lib/market'
    """
    text = os.fspath(dsn)
    scheme, mark, rest = text.partition("://")
    if not mark:
        if not text:
            raise ConfigError("the store's address was empty", hint="give a directory or clickhouse://host")
        return Address(path=Path(text).expanduser().resolve())
    if scheme == "chdb":
        if not rest:
            raise ConfigError(f"the store's address was {text!r}", hint="name a directory: chdb:///var/lib/market")
        return Address(path=Path(rest).expanduser().resolve())
    if scheme not in _SECURE | _PLAIN:
        raise ConfigError(
            f"the store's scheme was {scheme!r}", hint=did_you_mean(scheme, ["chdb", *sorted(_SECURE | _PLAIN)])
        )
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"the port of {parts.hostname} was no number", hint="clickhouse://host:8123") from error
    if not parts.hostname or parts.path.strip("/") or parse_qsl(parts.query):
        raise ConfigError(
            f"the store's address on {parts.hostname!r} has no host, or a database or options after it",
            hint="write clickhouse://user:password@host:port; databases are chosen by the configuration",
        )
    secure = scheme in _SECURE
    return Address(
        host=parts.hostname,
        port=port or (8443 if secure else 8123),
        secure=secure,
        user=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
    )
