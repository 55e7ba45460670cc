"""``marketprism factors``: the catalogue."""

from __future__ import annotations

import click

from marketprism.cli.output import echo_json, echo_table

__all__ = ["command"]


@click.group("factors")
def command() -> None:
    """List factors, or explain one."""


@command.command("list")
@click.option("--family", default="", help="Only this family.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_factors(family: str, as_json: bool) -> None:
    """List every factor with unit and formula."""
    from marketprism.pipelines.catalogue import describe_factors

    entries = [entry for entry in describe_factors() if not family or entry["family"] == family]
    if as_json:
        echo_json(entries)
        return
    rows = [(e["name"], e["family"], e["unit"], e["formula"]) for e in entries]
    echo_table(f"{len(entries)} factors", ("name", "family", "unit", "formula"), rows)


@command.command("explain")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(name: str, as_json: bool) -> None:
    """Explain factor NAME: formula, unit, inputs, when it is known, when it is null, source."""
    from marketprism.pipelines.catalogue import explain_factor

    entry = explain_factor(name)
    if as_json:
        echo_json(entry)
        return
    width = max(len(key) for key in entry)
    for key, value in entry.items():
        click.echo(f"{key.replace('_', ' '):<{width}}  {value}")
