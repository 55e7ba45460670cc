"""Shared pieces of the command line: JSON, tables and progress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from marketprism.pipelines.runtime import Say, silent

__all__ = ["echo_json", "echo_table", "progress"]


def echo_json(value: Any) -> None:
    """Print ``value`` as indented JSON and nothing else."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def echo_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table that fits the terminal, or all of it where the output is no terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(table)


@contextmanager
def progress(enabled: bool = True) -> Iterator[Say]:
    """Show a progress bar on a terminal's standard error; silent elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not (enabled and console.is_terminal):
        yield silent
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("start", total=None, detail="")

        def update(stage: str, done: float | None = None, detail: str = "") -> None:
            bar.update(
                task, description=stage, total=None if done is None else 1.0, completed=done or 0.0, detail=detail
            )

        yield update
