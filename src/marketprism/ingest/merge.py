"""Several time-ordered streams as one, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from marketprism.core.block import EventBlock
from marketprism.core.instrument import Instrument
from marketprism.ingest.source import BLOCK_ROWS

__all__ = ["Chunk", "join", "merge_chunks", "to_blocks"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one stream ordered by ``ts_recv``, whole messages only, with the payload tables they index."""

    rows: np.ndarray
    payloads: dict[int, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: np.ndarray | slice) -> Chunk:
        """Return the chosen rows, with payload tables cut down to them."""
        rows = self.rows[index]
        if not self.payloads:
            return Chunk(rows)
        rows = rows.copy()
        payloads = {}
        for kind, table in self.payloads.items():
            mine = (rows["kind"] == kind) & (rows["payload"] >= 0)
            if mine.any():
                payloads[kind] = table[rows["payload"][mine]]
                rows["payload"][mine] = np.arange(int(mine.sum()))
        return Chunk(rows, payloads)


def join(chunks: Sequence[Chunk]) -> Chunk:
    """Return chunks one behind the other; payload indices are shifted.

    Examples
    --------
    >>> from marketprism.core.rows import empty_rows
    >>> len(join([Chunk(empty_rows(2)), Chunk(empty_rows(3))]))
    5
    """
    if len(chunks) == 1:
        return chunks[0]
    rows = np.concatenate([chunk.rows for chunk in chunks])
    tables: dict[int, list[np.ndarray]] = {}
    start = 0
    for chunk in chunks:
        piece = rows[start : start + len(chunk)]
        for kind, table in chunk.payloads.items():
            offset = sum(map(len, tables.get(kind, [])))
            piece["payload"][(piece["kind"] == kind) & (piece["payload"] >= 0)] += offset
            tables.setdefault(kind, []).append(table)
        start += len(chunk)
    return Chunk(rows, {kind: np.concatenate(parts) for kind, parts in tables.items()})


def merge_chunks(streams: Sequence[Iterator[Chunk]]) -> Iterator[Chunk]:
    """Merge streams by ``ts_recv``; rows of equal time keep the order of ``streams``, messages stay whole.

    One chunk of every stream is held; a stream is read on only when the merge has come to its last row.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    held: list[Chunk | None] = [_next(stream) for stream in streams]
    live = [chunk is not None for chunk in held]
    while any(live):
        ends = [
            int(chunk.rows["ts_recv"][-1]) for chunk, on in zip(held, live, strict=True) if chunk is not None and on
        ]
        frontier = min(ends)
        # Rows at the frontier wait: the stream that ends there may have more of them.
        if out := _until(held, frontier):
            yield _sorted(out)
        for i, chunk in enumerate(held):
            if live[i] and chunk is not None and int(chunk.rows["ts_recv"][-1]) == frontier:
                more = _next(streams[i])
                live[i] = more is not None
                held[i] = chunk if more is None else join([chunk, more])
    if rest := [chunk for chunk in held if chunk is not None and len(chunk)]:
        yield _sorted(rest)


def _next(stream: Iterator[Chunk]) -> Chunk | None:
    for chunk in stream:
        if len(chunk):
            return chunk
    return None


def _until(held: list[Chunk | None], frontier: int) -> list[Chunk]:
    """Cut what lies before ``frontier`` off every held chunk."""
    out = []
    for i, chunk in enumerate(held):
        if chunk is not None:
            n = int(np.searchsorted(chunk.rows["ts_recv"], frontier, side="left"))
            if n:
                out.append(chunk.take(slice(0, n)))
                held[i] = chunk.take(slice(n, None))
    return out


def _sorted(chunks: list[Chunk]) -> Chunk:
    joined = join(chunks)
    return joined if len(chunks) == 1 else joined.take(np.argsort(joined.rows["ts_recv"], kind="stable"))


def to_blocks(
    chunks: Iterable[Chunk], instruments: tuple[Instrument, ...], block_rows: int = BLOCK_ROWS
) -> Iterator[EventBlock]:
    """Yield event blocks of ``block_rows`` rows, the last one shorter."""
    waiting: list[Chunk] = []
    size = 0
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size < block_rows:
            continue
        joined = join(waiting)
        whole = size - size % block_rows
        for start in range(0, whole, block_rows):
            part = joined.take(slice(start, start + block_rows))
            yield EventBlock(part.rows, instruments, part.payloads)
        rest = joined.take(slice(whole, None))
        waiting, size = ([rest], len(rest)) if len(rest) else ([], 0)
    if waiting:
        joined = join(waiting)
        yield EventBlock(joined.rows, instruments, joined.payloads)
