"""Order a long stream by time with bounded memory: sorted runs on disk, merged as they are read back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from marketprism.core.rows import ROW_DTYPE
from marketprism.ingest.merge import Chunk, join, merge_chunks

__all__ = ["RUN_ROWS", "TimeSorter"]

RUN_ROWS = 1 << 19
"""Rows sorted in memory at a time (about 38 MB)."""

_MERGE_ROWS = 1 << 21  # rows held by all runs together while they are merged


class TimeSorter:
    """Take chunks in any order, give them back ordered by ``ts_recv``; rows of equal time keep their order.

    Files that list one instrument after the other are read with it. Up to :data:`RUN_ROWS` rows stay in memory;
    beyond that, runs go to an unnamed temporary file. Use it as a context manager.
    """

    def __init__(self, run_rows: int = 0) -> None:
        self._run_rows = run_rows or RUN_ROWS
        self._waiting: list[Chunk] = []
        self._size = 0
        self._spool: IO[bytes] | None = None
        self._runs: list[tuple[int, int, dict[int, np.ndarray]]] = []  # offset in rows, rows, payload tables

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spool is not None:
            self._spool.close()

    def push(self, chunk: Chunk) -> None:
        """Add rows."""
        if not len(chunk):
            return
        self._waiting.append(chunk)
        self._size += len(chunk)
        if self._size >= self._run_rows:
            self._write(self._sorted())

    def chunks(self) -> Iterator[Chunk]:
        """Yield everything pushed so far, in order."""
        if not self._runs:
            if self._size:
                yield self._sorted()
            return
        if self._size:
            self._write(self._sorted())
        step = max(_MERGE_ROWS // len(self._runs), 1024)
        yield from merge_chunks([self._run(index, step) for index in range(len(self._runs))])

    def _sorted(self) -> Chunk:
        joined = join(self._waiting)
        self._waiting, self._size = [], 0
        times = joined.rows["ts_recv"]
        return joined if (times[1:] >= times[:-1]).all() else joined.take(np.argsort(times, kind="stable"))

    def _write(self, chunk: Chunk) -> None:
        spool = self._opened()
        offset = sum(rows for _, rows, _ in self._runs)
        spool.seek(offset * ROW_DTYPE.itemsize)
        spool.write(np.ascontiguousarray(chunk.rows).data)
        self._runs.append((offset, len(chunk), chunk.payloads))

    def _run(self, index: int, step: int) -> Iterator[Chunk]:
        offset, size, payloads = self._runs[index]
        for start in range(0, size, step):
            rows = self._read(offset + start, min(step, size - start))
            yield Chunk(rows, payloads).take(slice(None))

    def _read(self, start: int, count: int) -> np.ndarray[Any, Any]:
        spool = self._opened()
        spool.seek(start * ROW_DTYPE.itemsize)
        return np.frombuffer(spool.read(count * ROW_DTYPE.itemsize), ROW_DTYPE).copy()

    def _opened(self) -> IO[bytes]:
        if self._spool is None:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 (closed on exit)
        return self._spool
