"""``marketprism strategies``: the market makers."""

from __future__ import annotations

import click

from marketprism.cli.output import echo_json, echo_table

__all__ = ["command"]


@click.group("strategies")
def command() -> None:
    """List market makers, or show one's parameters."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_strategies(as_json: bool) -> None:
    """List every built-in strategy."""
    from marketprism.pipelines.catalogue import describe_strategies

    entries = describe_strategies()
    if as_json:
        echo_json(entries)
        return
    rows = [(entry["name"], entry["description"]) for entry in entries]
    echo_table(f"{len(entries)} strategies; your own: path.py:Name", ("name", "what it does"), rows)


@command.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, as_json: bool) -> None:
    """Show strategy NAME: parameters with type, default, meaning and unit."""
    from marketprism.pipelines.catalogue import explain_strategy

    entry = explain_strategy(name)
    if as_json:
        echo_json(entry)
        return
    click.echo(f"{entry['name']}: {entry['description']}")
    click.echo(entry["about"])
    rows = [
        (p["name"], p["type"], "none" if p["default"] is None else p["default"], p["meaning"])
        for p in entry["parameters"]
    ]
    echo_table("", ("parameter", "type", "default", "meaning and unit"), rows)
