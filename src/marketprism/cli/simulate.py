"""``marketprism simulate``: market generators."""

from __future__ import annotations

import math
from pathlib import Path

import click

from marketprism.cli.output import echo_json, echo_table, progress

__all__ = ["command"]


@click.group("simulate")
def command() -> None:
    """List market generators, calibrate them on a source and compare them with it."""


@command.command("models")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def models(as_json: bool) -> None:
    """List the generators; each streams as sim:?model=NAME."""
    from marketprism.simulate.models import MODELS

    if as_json:
        echo_json({name: {"title": m.title, "schema": m.config.json_schema()} for name, m in MODELS.items()})
        return
    echo_table(
        "Market generators",
        ("model", "source", "what it is"),
        [(name, f"sim:?model={name}", model.title) for name, model in MODELS.items()],
    )


@command.command("compare")
@click.option("--source", "spec", required=True, metavar="SPEC", help="A source with book and trades.")
@click.option("--models", default="", metavar="NAMES", help="Generators, comma separated; all by default.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the report.")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), default=math.inf, help="Read no more than this."
)
@click.option("--symbol", default="", help="Which instrument of a panel.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the simulated markets.")
@click.option("--json", "as_json", is_flag=True, help="Print summary.json and nothing else.")
def compare(spec: str, models: str, out: Path, minutes: float, symbol: str, seed: int, as_json: bool) -> None:
    """Calibrate generators on a source, run each for as long, and set stylised facts side by side.

    Writes report.html, summary.json, facts.parquet and models/NAME.json; each of those streams as
    `sim:?model=NAME&config=OUT/models/NAME.json`.
    """
    from marketprism.pipelines.compare_document import fact_rows
    from marketprism.pipelines.compare_markets import compare_markets
    from marketprism.pipelines.sources import open_source

    names = [name.strip() for name in models.split(",") if name.strip()]
    with progress(not as_json) as say:
        result = compare_markets(open_source(spec), names, out=out, minutes=minutes, symbol=symbol, seed=seed, say=say)
    if as_json:
        echo_json(result.summary)
        return
    echo_table("Stylised facts (* beyond two standard errors)", ("fact", *result.facts), fact_rows(result.facts))
    for name, why in result.failed.items():
        click.echo(f"{name} was left out: {why}")
    click.echo(f"closest: {result.summary['ranking'][0]}")
    click.echo(f"{out / 'report.html'}")
