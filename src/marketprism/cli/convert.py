"""``marketprism convert``: any source to our Parquet."""

from __future__ import annotations

from pathlib import Path

import click

from marketprism.cli.output import echo_json, progress

__all__ = ["command"]


@click.command("convert")
@click.argument("source")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Directory to write.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(source: str, out: Path, as_json: bool) -> None:
    """Write SOURCE as our Parquet: one folder an event type, a manifest with checksums."""
    from marketprism.pipelines.convert import convert
    from marketprism.pipelines.sources import open_source

    with progress(not as_json) as say:
        say("convert")
        result = convert(open_source(source), out)
    if as_json:
        echo_json(result)
    else:
        click.echo(f"{out}: {result.rows} rows, {result.files} files")
