"""What a source holds, without computing a factor."""

from __future__ import annotations

from typing import Any

from marketprism.factors.config import EngineConfig
from marketprism.ingest.source import Source
from marketprism.pipelines.quality import QualityMonitor, QualitySummary
from marketprism.pipelines.run_summary import quality_summary
from marketprism.pipelines.runtime import Say, silent

__all__ = ["inspect_source"]


def inspect_source(source: Source, config: EngineConfig | None = None, say: Say = silent) -> dict[str, Any]:
    """Read the whole source and return its data quality, with the keys of ``summary.json``.

    Parameters
    ----------
    source : Source
        Read from its beginning to its end.
    config : EngineConfig, optional
        Its ``book`` section is used.
    say : callable
        Told how far it is.

    Raises
    ------
    SourceError
        The source holds nothing usable.
    """
    from marketprism.book.book import Book

    config = config or EngineConfig()
    monitor = QualityMonitor(source.instruments)
    books = [Book(instrument, config.book) for instrument in source.instruments]
    rows = 0
    for block in source:
        rows += len(block)
        for index, book in enumerate(books):
            own = block.rows if len(books) == 1 else block.rows[block.rows["instrument"] == index]
            if len(own):
                monitor.observe(index, own, book.push(own).top)
            monitor.observe_gaps(index, block)
        say("inspect", None, f"{rows:,} rows")
    counters: dict[str, int] = {}
    for index, book in enumerate(books):
        for gap in book.drain_gaps():
            monitor.add_gap(index, int(gap["ts_recv"]), int(gap["reason"]), int(gap["lost"]))
        for name, count in book.counters.items():
            counters[name] = counters.get(name, 0) + count
    quality: QualitySummary = monitor.summary()
    return {**quality_summary(source, quality), "book": {name: n for name, n in counters.items() if n}}
