"""``marketprism config``: what a run, a backtest or a study is configured with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from marketprism.cli.output import echo_json

__all__ = ["command"]

_of = click.option(
    "--of", "what", type=click.Choice(["run", "backtest", "study"]), default="run", show_default=True, help="Of what."
)


@click.group("config")
def command() -> None:
    """Show the configuration, or its JSON schema."""


@command.command("show")
@_of
@click.option("--config", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="YAML file.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override, such as engine.buckets.policy=time."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of YAML.")
def show(what: str, path: Path | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Show the configuration in force: defaults, then the file (of a run), then --set."""
    values = _values(what, path, settings)
    if as_json:
        echo_json(values)
    else:
        import yaml

        click.echo(yaml.safe_dump(values, sort_keys=False).rstrip())


@command.command("schema")
@_of
def schema(what: str) -> None:
    """Print the JSON schema of the configuration."""
    from marketprism.core.config import Config
    from marketprism.pipelines.backtest_config import BacktestConfig
    from marketprism.pipelines.run_config import RunConfig
    from marketprism.studies.config import StudyConfig

    kinds: dict[str, type[Config]] = {"run": RunConfig, "backtest": BacktestConfig, "study": StudyConfig}
    echo_json(kinds[what].json_schema())


def _values(what: str, path: Path | None, settings: tuple[str, ...]) -> dict[str, Any]:
    from marketprism.core.errors import ConfigError

    if what == "run":
        from marketprism.pipelines.run_config import load_run_config

        return load_run_config(path, settings).to_mapping()
    if path is not None:
        raise ConfigError(f"--config was {path}, --of {what}", hint="a file configures a run; write --set key=value")
    if what == "study":
        from marketprism.pipelines.study import load_study_config

        config, tape = load_study_config(settings)
        return {**config.to_mapping(), "tape": tape.to_mapping()}
    from marketprism.pipelines.backtest_config import split_settings

    chosen, parameters = split_settings(settings)
    return {**chosen.to_mapping(), **({"strategy": parameters} if parameters else {})}
