"""``marketprism config``: what a run is configured with."""

from __future__ import annotations

from pathlib import Path

import click

from marketprism.cli.output import echo_json

__all__ = ["command"]


@click.group("config")
def command() -> None:
    """Show the configuration, or its JSON schema."""


@command.command("show")
@click.option("--config", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="YAML file.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override, such as engine.buckets.policy=time."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of YAML.")
def show(path: Path | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Show the configuration in force: defaults, then the file, then --set."""
    from marketprism.pipelines.run_config import load_run_config

    values = load_run_config(path, settings).to_mapping()
    if as_json:
        echo_json(values)
    else:
        import yaml

        click.echo(yaml.safe_dump(values, sort_keys=False).rstrip())


@command.command("schema")
def schema() -> None:
    """Print the JSON schema of the configuration."""
    from marketprism.pipelines.run_config import RunConfig

    echo_json(RunConfig.json_schema())
