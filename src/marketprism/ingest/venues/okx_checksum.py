"""The CRC32 that OKX sent with its order books until mid 2026."""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from decimal import Decimal

__all__ = ["ChecksumBook"]

_LEVELS = 25


class ChecksumBook:
    """A book of the texts that the venue sent, for its checksum is over texts.

    The first 25 levels of both sides, bid and ask in turn, as ``price:size`` joined by ``:``; where one side is
    shorter the other goes on alone. The CRC32 of that text is read as a signed 32-bit number.
    Source: https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel (checksum).

    Examples
    --------
    >>> book = ChecksumBook()
    >>> book.apply([["3366.1", "7"], ["3366", "6"]], [["3366.8", "9"], ["3368", "8"]])
    >>> book.text()
    '3366.1:7:3366.8:9:3366:6:3368:8'
    """

    def __init__(self) -> None:
        self._texts: tuple[dict[Decimal, str], dict[Decimal, str]] = ({}, {})
        self._keys: tuple[list[Decimal], list[Decimal]] = ([], [])

    def clear(self) -> None:
        """Empty both sides."""
        for side in range(2):
            self._texts[side].clear()
            self._keys[side].clear()

    def apply(self, bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]]) -> None:
        """Apply levels ``[price, size, ...]``; size 0 removes one."""
        for side, levels in enumerate((bids, asks)):
            texts, keys = self._texts[side], self._keys[side]
            for level in levels:
                price, size = level[0], level[1]
                key = -Decimal(price) if side == 0 else Decimal(price)
                if Decimal(size) > 0:
                    if key not in texts:
                        insort(keys, key)
                    texts[key] = f"{price}:{size}"
                elif key in texts:
                    del texts[key]
                    del keys[bisect_left(keys, key)]

    def text(self) -> str:
        """Return the text that the checksum is over."""
        parts: list[str] = []
        for i in range(_LEVELS):
            for texts, keys in zip(self._texts, self._keys, strict=True):
                if i < len(keys):
                    parts.append(texts[keys[i]])
        return ":".join(parts)

    def checksum(self) -> int:
        """Return the signed CRC32.

        Examples
        --------
        >>> ChecksumBook().checksum()
        0
        """
        value = zlib.crc32(self.text().encode())
        return value - 2**32 if value >= 2**31 else value
