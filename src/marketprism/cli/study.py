"""``marketprism study``: prepared studies."""

from __future__ import annotations

from pathlib import Path

import click

from marketprism.cli.output import echo_json, progress

__all__ = ["command"]


@click.group("study")
def command() -> None:
    """Make a prepared study."""


@command.command("making")
@click.option(
    "--source", "spec", default="sim:?minutes=120", help="FORMAT:PATH[,PATH...][?key=value]; default: simulated."
)
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Directory to write.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="See config show --of study.")
@click.option("--signals", "predictions", metavar="RUN_DIR:MODEL", help="Predictions for the study of signals.")
@click.option("--seed", type=int, default=None, help="Of the bootstrap.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON and nothing else.")
def making(
    spec: str, out: Path, settings: tuple[str, ...], predictions: str | None, seed: int | None, as_json: bool
) -> None:
    """Study market making on a source: five reports, an index.html and a summary.json."""
    from marketprism.pipelines.sources import open_source
    from marketprism.pipelines.study import load_study_config, study_making

    config, tape = load_study_config(settings, seed)
    with progress(not as_json) as say:
        result = study_making(open_source(spec), out, config, tape=tape, predictions=predictions, say=say)
    if as_json:
        echo_json(result.summary)
        return
    for name, document in result.pages.items():
        click.echo(f"{name:<12} {document.verdict.headline}")
    click.echo(f"{out / 'index.html'} in {result.seconds:.1f} s")
