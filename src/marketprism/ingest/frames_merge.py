"""Several recordings as one stream: merged by receive time, the same whatever the sizes they are read in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numba import njit

from marketprism.core.block import EventBlock, concat

__all__ = ["merge_blocks", "raise_receive_times"]


@njit(cache=True)
def raise_receive_times(rows, last):  # type: ignore[no-untyped-def]
    """Raise receive times that run backwards to the last one; return (last, how many messages were raised).

    The order of arrival is the truth; a stepped clock must not reorder it.
    """
    raised = 0
    for j in range(len(rows)):
        row = rows[j]
        if row["ts_recv"] < last:
            row["ts_recv"] = last
            if row["flags"] & 2:
                raised += 1
        else:
            last = row["ts_recv"]
    return last, raised


class _Feed:
    """One stream with the block that is waiting to be merged."""

    def __init__(self, blocks: Iterator[EventBlock]) -> None:
        self._blocks = blocks
        self.waiting: EventBlock | None = None
        self.more()

    def more(self) -> None:
        """Append the next non-empty block to what is waiting; a feed at its end says so in ``ended``."""
        block = next((b for b in self._blocks if len(b)), None)
        self.ended = block is None
        if block is not None:
            self.waiting = block if self.waiting is None else concat([self.waiting, block])

    @property
    def last(self) -> int:
        """Latest receive time that is waiting."""
        return int(self.waiting.rows["ts_recv"][-1]) if self.waiting is not None else 0

    def take_before(self, ts: int | None) -> EventBlock | None:
        """Remove and return what was received before ``ts`` (None: everything)."""
        block = self.waiting
        if block is None:
            return None
        k = len(block) if ts is None else int(np.searchsorted(block.rows["ts_recv"], ts, side="left"))
        self.waiting = block[k:] if k < len(block) else None
        return block[:k] if k else None


def merge_blocks(streams: Sequence[Iterator[EventBlock]]) -> Iterator[EventBlock]:
    """Merge block streams by ``ts_recv``; equal times keep the order of ``streams``, messages stay whole.

    Parameters
    ----------
    streams : sequence of iterators of EventBlock
        Each ordered by ``ts_recv``, of the same instruments, ending blocks between messages.

    Yields
    ------
    EventBlock
        Memory holds about one block of each stream, whatever their length.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    feeds = [_Feed(iter(stream)) for stream in streams]
    while any(feed.waiting is not None for feed in feeds):
        # Later rows of an open feed may still carry its last time: only what is strictly earlier is settled.
        open_ends = [feed.last for feed in feeds if not feed.ended]
        bound = min(open_ends) if open_ends else None
        parts = [part for feed in feeds if (part := feed.take_before(bound)) is not None]
        if parts:
            yield _sorted(parts)
        for feed in feeds:
            if not feed.ended and (feed.waiting is None or feed.last == bound):
                feed.more()


def _sorted(parts: list[EventBlock]) -> EventBlock:
    if len(parts) == 1:
        return parts[0]
    block = concat(parts)
    order = np.argsort(block.rows["ts_recv"], kind="stable")
    return EventBlock(block.rows[order], block.instruments, block.payloads)
