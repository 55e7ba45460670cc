"""The verdict of the gate as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from marketprism.pipelines.gate import GateResult
from marketprism.pipelines.gate_document import score_rows, side_rows
from marketprism.pipelines.texts import number

__all__ = ["gate_tables"]


def gate_tables(result: GateResult) -> Iterator[tuple[str, tuple[str, ...], list[list[str]]]]:
    """Yield title, columns and rows of each table."""
    adoption = result.adoption
    columns = ("", f"baseline: {adoption.baseline}", f"candidate: {adoption.candidate}", "difference")
    title = f"Adoption gate, {adoption.pairs.n:,} common out-of-sample buckets"
    yield title, columns, side_rows(adoption, result.sides)
    yield "Score", ("part", "value", "weight", "adds"), score_rows(adoption)
    for name, checks in (("Conditions", adoption.conditions), ("Success card", adoption.card)):
        rows = [[c.name, c.status, number(c.value, 4), c.required, c.why] for c in checks]
        yield name, ("what", "result", "value", "asked", "why"), rows
