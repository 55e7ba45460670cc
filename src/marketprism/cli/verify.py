"""``marketprism verify``: check a directory that we wrote."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from marketprism.cli.output import echo_json

__all__ = ["command"]


@click.command("verify")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(directory: Path, as_json: bool) -> None:
    """Check the files of DIRECTORY (from `convert` or `run`) against its manifest; exit 1 on any fault."""
    from marketprism.pipelines.verify_run import verify_directory

    result = verify_directory(directory)
    if as_json:
        echo_json(result)
    else:
        for fault in result.faults:
            click.secho(str(fault), fg="red", err=True)
        click.echo(f"{directory}: {result.files} files, {result.rows} rows, {len(result.faults)} faults")
    sys.exit(1 if result.faults else 0)
