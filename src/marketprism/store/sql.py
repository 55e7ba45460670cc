"""Small pieces of SQL text."""

from __future__ import annotations

from collections.abc import Sequence

from marketprism.core.instrument import Instrument

__all__ = ["quote", "time_literal", "where_series"]


def quote(text: str) -> str:
    r"""Return a string literal; whatever the text holds, it stays a string.

    Examples
    --------
    >>> print(quote("it's"))
    'it\'s'
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def time_literal(ns: int) -> str:
    """Return a ``DateTime64(9, 'UTC')`` literal of nanoseconds since 1970."""
    return f"fromUnixTimestamp64Nano({int(ns)}, 'UTC')"


def where_series(instruments: Sequence[Instrument]) -> str:
    """Return the condition that a row belongs to one of ``instruments``."""
    parts = [
        f"(exchange = {quote(i.exchange)} AND market_type = {quote(i.market_type)} AND symbol = {quote(i.symbol)})"
        for i in instruments
    ]
    return f"({' OR '.join(parts)})" if len(parts) > 1 else parts[0]
