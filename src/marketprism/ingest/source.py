"""The contract of every source: an iterable of event blocks that counts what it reads and what it rejects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from marketprism.core.block import EventBlock
from marketprism.core.errors import Action, DataError, SourceError
from marketprism.core.instrument import Instrument

__all__ = ["BLOCK_ROWS", "IngestReport", "Rejection", "Source"]

BLOCK_ROWS = 65_536
"""Target rows a block: large enough to amortise dispatch, small enough to stay in cache."""

_EXAMPLES = 5


@dataclass(slots=True)
class Rejection:
    """How often one reason rejected a record, with the first examples."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class IngestReport:
    """What a pass over a source has seen so far; complete when the iteration is.

    Attributes
    ----------
    records : int
        Records read (lines, messages), good and bad.
    rejected : dict of str to Rejection
        Rejected records by reason; examples name file, line and value.
    notes : dict of str to int
        Things worth telling that cost no record (duplicates ignored, rows re-ordered, auction rows).
    facts : dict of str to str
        What was decided by looking at the data (``{"time unit of a.csv": "us"}``, tick inferred from where).
    """

    records: int = 0
    rejected: dict[str, Rejection] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def rejected_count(self) -> int:
        """Rejected records of all reasons."""
        return sum(rejection.count for rejection in self.rejected.values())

    def note(self, what: str, n: int = 1) -> None:
        """Count something worth telling."""
        self.notes[what] = self.notes.get(what, 0) + n


class Source(ABC):
    """A market-data source: iterate it for blocks, as often as needed.

    Each iteration starts from the beginning, in constant memory, with a fresh :attr:`report`. Rows come ordered
    by ``ts_recv``. A source that ends without one accepted event raises SourceError: a zero-row result is
    never a success.

    Parameters
    ----------
    spec : str
        The text it was opened from, such as ``lobster:goog.zip?levels=10``.
    instruments : tuple of Instrument
        What the blocks' rows index.
    strict : bool, default False
        Raise at the first rejected record in place of counting it.
    """

    def __init__(self, spec: str, instruments: tuple[Instrument, ...], *, strict: bool = False) -> None:
        self.spec = spec
        self.instruments = instruments
        self.strict = strict
        self.report = IngestReport()

    @property
    def instrument(self) -> Instrument:
        """The only instrument; an error that lists them on a panel."""
        if len(self.instruments) != 1:
            names = ", ".join(instrument.symbol for instrument in self.instruments[:8])
            raise SourceError(
                f"{self.spec} holds {len(self.instruments)} instruments ({names}, ...)",
                hint="choose one with ?symbol=..., or use .instruments",
            )
        return self.instruments[0]

    def __iter__(self) -> Iterator[EventBlock]:
        self.report = IngestReport()
        rows = 0
        for block in self._blocks():
            if len(block):
                rows += len(block)
                yield block
        if rows == 0:
            raise SourceError(
                f"{self.spec}: {self.report.records} records read, none accepted",
                hint=self._why_empty() or "the file is empty or of another format: see `marketprism sources`",
            )

    @abstractmethod
    def _blocks(self) -> Iterator[EventBlock]:
        """Yield blocks from the beginning; count into ``self.report``."""

    @property
    def files(self) -> tuple[str, ...]:
        """Paths that the source reads, for hashing; empty where there are none."""
        return ()

    def reject(self, reason: str, where: str, value: Any, *, hint: str = "") -> None:
        """Count a rejected record, or raise DataError when strict.

        Parameters
        ----------
        reason : str
            Short and stable, such as ``price not positive``; the key of the count.
        where : str
            File and line or record, such as ``a.csv:17``.
        value : Any
            The offending value or the raw record (shown cut to 200 characters).
        hint : str, optional
            The remedy.
        """
        text = f"{where}: {reason}: was {str(value)[:200]!r}"
        if self.strict:
            raise DataError(text, hint=hint or "drop strict=1 to count and skip such records", action=Action.STOP)
        rejection = self.report.rejected.setdefault(reason, Rejection())
        rejection.count += 1
        if len(rejection.examples) < _EXAMPLES:
            rejection.examples.append(text)

    def _why_empty(self) -> str:
        worst = max(self.report.rejected.items(), key=lambda item: item[1].count, default=None)
        return f"most were rejected: {worst[1].examples[0]}" if worst else ""
