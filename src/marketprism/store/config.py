"""How the store keeps and retries."""

from __future__ import annotations

from marketprism.core.config import Config
from marketprism.core.errors import ConfigError

__all__ = ["StoreConfig"]


class StoreConfig(Config, frozen=True, kw_only=True):
    """Settings of a store; the defaults suit the embedded one, and a server on the same network.

    Parameters
    ----------
    prefix : str, default "marketprism"
        Databases are ``{prefix}_hot``, ``{prefix}_features`` and ``{prefix}_cold``.
    hot_days, features_days : int, optional
        Rows older than this many days are dropped by the server (TTL); None keeps them. On a server the usual
        choice is 3 and 7; the embedded store keeps everything, for it is an archive of one's own.
    dedup_window : int, default 1000
        How many of the last inserted blocks of a table are remembered by their token. Beyond it the tables' keys
        keep rows single.
    batch_rows : int, default 262144
        Stream rows that a writer gathers before it inserts them.
    retries : int, default 8
        How often an insert is tried again when the store is busy or away.
    backoff_s, backoff_max_s : float, defaults 0.2 and 10
        First and longest wait between tries, in seconds; each wait is drawn between half of it and all of it.
    """

    prefix: str = "marketprism"
    hot_days: int | None = None
    features_days: int | None = None
    dedup_window: int = 1000
    batch_rows: int = 262_144
    retries: int = 8
    backoff_s: float = 0.2
    backoff_max_s: float = 10.0

    def __post_init__(self) -> None:
        if not self.prefix.isidentifier():
            raise ConfigError(f"prefix was {self.prefix!r}", hint="use letters, digits and underscores")
        for name in ("hot_days", "features_days"):
            days = getattr(self, name)
            if days is not None and days < 1:
                raise ConfigError(f"{name} was {days}", hint="use at least 1, or none to keep everything")
        for name in ("dedup_window", "batch_rows"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} was {getattr(self, name)}", hint="use at least 1")
        if self.retries < 0 or not 0 <= self.backoff_s <= self.backoff_max_s:
            raise ConfigError(
                f"retries was {self.retries}, backoff_s {self.backoff_s}, backoff_max_s {self.backoff_max_s}",
                hint="retries are not negative, and backoff_s is at most backoff_max_s",
            )
