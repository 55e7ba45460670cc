"""Writing a stream: blocks in, batches out, and a checkpoint after which nothing has to be sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from marketprism.core.arrow_schema import concat_frames
from marketprism.core.block import EventBlock
from marketprism.core.instrument import Instrument
from marketprism.core.schema import EVENT_TYPES
from marketprism.core.tables import TableEncoder
from marketprism.store.store import Database, Store

if TYPE_CHECKING:
    import polars as pl

__all__ = ["StoreWriter"]


class StoreWriter:
    """Writes the blocks of one stream; memory is bounded by one batch.

    Leaving the context flushes unless an error is on its way. What a batch holds depends on the stream alone, so
    that a stream sent again from a checkpoint, or from its beginning, leaves no row twice.

    Parameters
    ----------
    store : Store
        Where to.
    source : str
        Name of the stream: key column ``source`` and argument of reading.
    instruments : tuple of Instrument
        Instruments of the stream.
    database : {"hot", "cold"}, default "hot"
        Where to.
    checkpoint : bytes, optional
        What :meth:`flush` returned: continue after the rows that were acknowledged then.

    Raises
    ------
    StoreError
        The source is known with other instruments.
    """

    def __init__(
        self,
        store: Store,
        source: str,
        instruments: tuple[Instrument, ...],
        *,
        database: Database = "hot",
        checkpoint: bytes | None = None,
    ) -> None:
        self.store = store
        self.database: Database = database
        self.rows = 0
        self.retries = 0
        self._encoder = TableEncoder.load(checkpoint, instruments) if checkpoint else TableEncoder(source, instruments)
        self._pending: dict[str, list[pl.DataFrame]] = {}
        self._waiting = 0
        self._batch_rows = store.config.batch_rows
        store.register(source, instruments)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.close()

    def write(self, block: EventBlock) -> None:
        """Take the next block of the stream; inserts when a batch is full.

        Raises
        ------
        DataError
            A value has no place in its table.
        StoreError
            The store refused, or was busy for longer than the configured retries. Nothing is acknowledged: continue
            from the last checkpoint.
        """
        self._add(self._encoder.push(block))
        self.rows += len(block)
        self._waiting += len(block)
        if self._waiting >= self._batch_rows:
            self._insert()

    def flush(self) -> bytes:
        """Insert what is waiting, and return a checkpoint: every row that it covers is in the store.

        A message that is still open is not inserted but travels in the checkpoint.
        """
        self._insert()
        return self._encoder.save()

    def close(self) -> None:
        """Insert everything, an incomplete last message included."""
        self._add(self._encoder.flush())
        self._insert()

    def _add(self, tables: dict[str, pl.DataFrame]) -> None:
        for name, frame in tables.items():
            self._pending.setdefault(name, []).append(frame)

    def _insert(self) -> None:
        for name in sorted(self._pending):
            frame = concat_frames(self._pending[name], EVENT_TYPES[name])
            again = self.store.insert_events(name, frame, database=self.database)
            self.retries += again
            del self._pending[name]
            if again:
                # A store that was busy gets fewer, larger batches.
                self._batch_rows = min(self._batch_rows * 2, 16 * self.store.config.batch_rows)
        self._waiting = 0
