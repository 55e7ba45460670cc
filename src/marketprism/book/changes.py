"""What a stream of events really does to a book: levels set, levels gone, books lost and found."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from marketprism.book._changes_kernel import CHANGE_DTYPE, run_messages
from marketprism.book._state import Need
from marketprism.book.book import Book
from marketprism.book.config import BookConfig
from marketprism.book.views import VIEW_DTYPE
from marketprism.core.errors import ConfigError, DataError
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import Flag
from marketprism.core.rows import ROW_DTYPE

__all__ = ["CHANGE_DTYPE", "BookChanges", "Change"]

_ROOM = 65_536


class Change(IntEnum):
    """What one record of :meth:`BookChanges.changes` says."""

    BID = 1
    """The bid level at ``tick`` holds ``quantity`` now; 0: it is gone."""
    ASK = 2
    CLEAR = 3
    """A book begins here: nothing shown before holds, all its levels follow."""
    LOST = 4
    """From here on the book is not known, until the next CLEAR."""


class BookChanges(Book):
    """A book that tells what each message changed, for those who keep a book of their own (a simulated exchange).

    Parameters
    ----------
    instrument : Instrument
        See :class:`~marketprism.book.Book`, whose rules decide what is applied: sequencing, gaps, crossed books.
    config : BookConfig, optional
        ``start``, ``crossed_tolerance_ns`` and ``buffer_rows`` are used. A source with depth is told by its depth
        alone; one without, by its quotes, as a book of one level a side.
    levels : int, default 0
        Only the best levels of each side; one that falls behind is reported gone, and comes back with its place.
        0: all.

    Notes
    -----
    A message changes the book at its last row: levels that went come first, then those that came or changed, so that
    no book is crossed on the way that is not crossed at the end. After a crossed or locked book the best level of each
    side is told again, since a reader may have taken one side for gone. A snapshot of a book that is known is told as
    its differences. L3 orders are added up to levels.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from marketprism.core.kinds import EventKind, Flag
    >>> from marketprism.core.rows import empty_rows
    >>> book = BookChanges(Instrument(exchange="sim", market_type="spot", symbol="BTC-USDT", tick_size=Decimal("0.1")))
    >>> rows = empty_rows(2)
    >>> rows["kind"], rows["flags"] = EventKind.BOOK_SNAPSHOT, (Flag.FIRST, Flag.LAST)
    >>> rows["side"], rows["price"], rows["quantity"] = (1, -1), (100, 102), (2.0, 3.0)
    >>> [(Change(c["change"]).name, int(c["tick"]), float(c["quantity"])) for c in book.changes(rows)]
    [('CLEAR', 0, 0.0), ('BID', 100, 2.0), ('ASK', 102, 3.0)]
    """

    def __init__(
        self,
        instrument: Instrument,
        config: BookConfig = BookConfig(),  # noqa: B008 - frozen
        *,
        levels: int = 0,
    ) -> None:
        if levels < 0:
            raise ConfigError(f"levels was {levels}", hint="0 keeps every level")
        values = config.to_mapping() | {"depth_levels": 0, "best_quote": "book"}
        super().__init__(instrument, BookConfig.from_mapping(values))
        self._levels = levels
        self._out = np.zeros(_ROOM, CHANGE_DTYPE)

    def changes(self, rows: np.ndarray) -> np.ndarray:
        """Apply whole messages of this instrument and return what they changed, in order.

        Parameters
        ----------
        rows : ndarray of ROW_DTYPE, shape (n,)
            Must end with a row flagged LAST.

        Returns
        -------
        ndarray of CHANGE_DTYPE
            ``row`` (last row of the message), ``tick``, ``quantity`` (base units) and ``change``.

        Raises
        ------
        DataError
            Another layout, or an unfinished message at the end.
        """
        if rows.dtype != ROW_DTYPE:
            raise DataError(f"rows had dtype {rows.dtype}", hint="build rows with marketprism.core.rows.empty_rows")
        n = len(rows)
        if n and not rows["flags"][-1] & Flag.LAST:
            raise DataError(f"row {n - 1} is the last one but does not end its message", hint="pass whole messages")
        rows = np.ascontiguousarray(rows).view(ROW_DTYPE)
        top = np.zeros(n, VIEW_DTYPE)
        parts, done = [], 0
        while True:
            done, written, need = run_messages(
                *(done, rows, top, self._at, self._price, self._quantity, self._state, self._ladder, self._bits),
                *(self._overflow, self._orders, self._buffer, self._gaps, self._levels, self._out),
            )
            parts.append(self._out[:written].copy())
            if need == Need.NONE:
                return parts[0] if len(parts) == 1 else np.concatenate(parts)
            if need > 0:
                self._state["need"] = need
                self._grow(n - done)
            elif not written:
                self._out = np.zeros(2 * len(self._out), CHANGE_DTYPE)
