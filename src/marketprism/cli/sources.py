"""``marketprism sources``: the formats."""

from __future__ import annotations

import click

from marketprism.cli.output import echo_json, echo_table

__all__ = ["command"]


@click.command("sources")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--options", is_flag=True, help="List each format's options too.")
def command(as_json: bool, options: bool) -> None:
    """List the source formats with an example line each."""
    from marketprism.pipelines.sources import formats

    entries = formats()
    if as_json:
        echo_json(
            {
                name: {"example": f.example, "description": f.description, "options": dict(f.options)}
                for name, f in entries.items()
            }
        )
        return
    echo_table(
        "Sources",
        ("format", "example", "what it reads"),
        [(name, f.example, f.description) for name, f in entries.items()],
    )
    if options:
        rows = [(name, f"?{key}=", text) for name, f in entries.items() for key, text in f.options.items()]
        echo_table("Options", ("format", "option", "meaning"), rows)
