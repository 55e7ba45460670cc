"""``--store DSN``: write the events of a run, and what was computed from them, to ClickHouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from marketprism.core.block import EventBlock
from marketprism.ingest.source import Source
from marketprism.store import Store, StoreWriter
from marketprism.store.frames import write_frame
from marketprism.store.store import content_token

if TYPE_CHECKING:
    import polars as pl

    from marketprism.evaluate.judgement import Judgement
    from marketprism.pipelines.collect import Collected

__all__ = ["StoreSink", "open_sink"]


class StoreSink:
    """Takes the blocks of a run, then its results.

    Parameters
    ----------
    store : Store
        Where to.
    source : Source
        Named by its text in the key column ``source``.
    """

    def __init__(self, store: Store, source: Source) -> None:
        self.store = store
        self.source = source.spec
        self._writer = StoreWriter(store, source.spec, source.instruments)

    def write(self, block: EventBlock) -> None:
        """Take the next block of the stream."""
        self._writer.write(block)

    def write_results(self, collected: Collected, judgement: Judgement, labels: pl.DataFrame, policy_hash: str) -> None:
        """Write what is left of the events, then buckets, factors, labels and predictions.

        They are filed under the source and a ``run`` that is derived from the factor table: the same run written
        again changes nothing, another configuration stands beside it.
        """
        self._writer.close()
        frame = collected.frame
        run = content_token("run", frame)[:16]
        write_frame(self.store, "unified_buckets", frame, source=self.source, run=run, policy_hash=policy_hash)
        write_frame(self.store, "factors", frame, source=self.source, run=run)
        write_frame(self.store, "labels", labels, source=self.source, run=run)
        if judgement.predictions.height:
            write_frame(self.store, "predictions", judgement.predictions, source=self.source, run=run)

    def close(self) -> None:
        """Insert the events that are still waiting."""
        self._writer.close()


@contextmanager
def open_sink(dsn: str | None, source: Source) -> Iterator[StoreSink | None]:
    """Open a sink for the time of a run; None without an address.

    Raises
    ------
    StoreError
        The store cannot be opened, or knows the source with other instruments.
    """
    if dsn is None:
        yield None
        return
    with Store.open(dsn) as store:
        sink = StoreSink(store, source)
        yield sink
        sink.close()
