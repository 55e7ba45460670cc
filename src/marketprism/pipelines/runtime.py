"""What pipelines share with their callers: telling progress, and places that blocks go to."""

from __future__ import annotations

from typing import Protocol

from marketprism.core.block import EventBlock

__all__ = ["BlockSink", "Say", "silent"]


class Say(Protocol):
    """Told the stage, the share done (None where unknown) and a detail such as a count."""

    def __call__(self, stage: str, done: float | None = None, detail: str = "") -> None:
        """Say it."""


class BlockSink(Protocol):
    """Takes every block of a stream, in order."""

    def write(self, block: EventBlock) -> None:
        """Take the next block."""


def silent(stage: str, done: float | None = None, detail: str = "") -> None:
    """Tell nobody."""
    del stage, done, detail
