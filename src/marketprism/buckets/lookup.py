"""Which stored bucket configuration is in force: the reading rule of the ``bucket_config`` table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Literal, NamedTuple

from marketprism.buckets.config import BucketConfig
from marketprism.core.config import Config

__all__ = ["BucketConfigRow", "Origin", "ResolvedConfig", "resolve_config"]

Origin = Literal["valid", "expired", "built_in", "time"]


class BucketConfigRow(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of ``bucket_config``.

    Parameters
    ----------
    series : str
        Instrument key ``exchange:market_type:symbol``.
    config : BucketConfig
        Policy and targets.
    valid_from_ns : int
        From when it holds, ns UTC (inclusive).
    valid_to_ns : int, optional
        Until when (exclusive); None is open.
    session_tag : str, default "all"
        ``all``, ``asia``, ``europe``, ``us`` or an hour such as ``hour_13``.
    version : int
        Decides between rows of one ``valid_from_ns``: the higher wins.
    source, notes : str
        Where it came from, and why.
    """

    series: str
    config: BucketConfig
    valid_from_ns: int
    valid_to_ns: int | None = None
    session_tag: str = "all"
    version: int = 1
    source: str = ""
    notes: str = ""


class ResolvedConfig(NamedTuple):
    """A configuration and where it came from."""

    config: BucketConfig
    origin: Origin
    row: BucketConfigRow | None


def resolve_config(
    rows: Iterable[BucketConfigRow],
    series: str,
    now_ns: int,
    *,
    session_tag: str = "all",
    built_in: Mapping[str, BucketConfig] | None = None,
    fallbacks: MutableMapping[str, int] | None = None,
) -> ResolvedConfig:
    """Return the configuration of ``series`` at ``now_ns``.

    The newest row valid now; else the newest expired one; else the built-in one; else time buckets. A row of the
    session asked for goes before a row for ``all``; rows that only begin later are never looked at.

    Parameters
    ----------
    rows : iterable of BucketConfigRow
        The table.
    series : str
        Instrument key.
    now_ns : int
        Time of the decision, ns UTC.
    session_tag : str, default "all"
        Session in force.
    built_in : mapping of series to BucketConfig, optional
        Defaults shipped with the program.
    fallbacks : mutable mapping, optional
        Counts of ``expired``, ``built_in`` and ``time``, raised by one where that fall-back was taken.

    Examples
    --------
    >>> counts = {}
    >>> resolve_config([], "sim:spot:BTC-USDT", 0, fallbacks=counts).config.policy, counts
    ('time', {'time': 1})
    """
    known = [row for row in rows if row.series == series and row.session_tag in {session_tag, "all"}]
    known = [row for row in known if row.valid_from_ns <= now_ns]
    valid = [row for row in known if row.valid_to_ns is None or now_ns < row.valid_to_ns]
    best = max(valid or known, key=lambda row: _rank(row, session_tag), default=None)
    if valid and best is not None:
        return ResolvedConfig(best.config, "valid", best)
    if best is not None:
        result = ResolvedConfig(best.config, "expired", best)
    elif built_in is not None and series in built_in:
        result = ResolvedConfig(built_in[series], "built_in", None)
    else:
        result = ResolvedConfig(BucketConfig(policy="time"), "time", None)
    if fallbacks is not None:
        fallbacks[result.origin] = fallbacks.get(result.origin, 0) + 1
    return result


def _rank(row: BucketConfigRow, session_tag: str) -> tuple[bool, int, int]:
    return row.session_tag == session_tag, row.valid_from_ns, row.version
