"""``marketprism run``: the main job."""

from __future__ import annotations

from pathlib import Path

import click

from marketprism.cli.output import echo_json, progress

__all__ = ["command"]


@click.command("run")
@click.option("--source", "spec", default=None, help="FORMAT:PATH[,PATH...][?key=value]; default: simulated market.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Directory to write.")
@click.option("--config", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="YAML file.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override, such as seed=7.")
@click.option("--store", "dsn", default=None, metavar="DSN", help="Also write to ClickHouse (chdb:///path or a URL).")
@click.option(
    "--ledger", "ledger_path", type=click.Path(dir_okay=False, path_type=Path), help="File of the run ledger."
)
@click.option("--no-ledger", is_flag=True, help="Do not write to the run ledger; only this run's own trials count.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON and nothing else.")
def command(
    spec: str | None,
    out: Path,
    path: Path | None,
    settings: tuple[str, ...],
    dsn: str | None,
    ledger_path: Path | None,
    no_ledger: bool,
    as_json: bool,
) -> None:
    """Judge a signal: read a source, rebuild the book, cut buckets, compute factors, train, judge, report."""
    from marketprism.pipelines.run import run
    from marketprism.pipelines.run_config import fixes_duration, load_run_config
    from marketprism.pipelines.sources import open_source
    from marketprism.pipelines.store_sink import open_sink
    from marketprism.store.ledger import Ledger

    config = load_run_config(path, settings)
    source = open_source(spec or config.source)
    ledger = None if no_ledger else Ledger(ledger_path)
    with progress(not as_json) as say, open_sink(dsn, source) as store:
        result = run(
            source, out, config, fixed_duration=fixes_duration(path, settings), store=store, ledger=ledger, say=say
        )
    if as_json:
        echo_json(result.summary)
        return
    from marketprism.pipelines.run_text import run_lines

    for line in run_lines(result):
        click.echo(line)
