"""``marketprism gate``: whether a candidate should replace a baseline."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from marketprism.cli.output import echo_json, echo_table, progress

__all__ = ["command"]


@click.command("gate")
@click.argument("baseline")
@click.argument("candidate")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write gate.html and gate.json here.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Threshold, such as min_gain=0.2.")
@click.option("--ledger", "path", type=click.Path(dir_okay=False, path_type=Path), help="Run ledger to write to.")
@click.option("--report-only", is_flag=True, help="Exit 0 whatever the verdict.")
@click.option("--json", "as_json", is_flag=True, help="Print gate.json and nothing else.")
def command(
    baseline: str,
    candidate: str,
    out: Path | None,
    settings: tuple[str, ...],
    path: Path | None,
    report_only: bool,
    as_json: bool,
) -> None:
    """Decide whether CANDIDATE should replace BASELINE: each a run folder, or FOLDER:MODEL.

    Exit code: 0 ADOPT, 3 REJECT, 4 INCONCLUSIVE (1 is an error, 2 wrong usage), so that
    `marketprism gate A B && deploy` deploys only what was adopted.
    """
    from marketprism.pipelines.gate import EXIT_CODES, gate, load_adoption_config
    from marketprism.store.ledger import Ledger

    config = load_adoption_config(settings)
    with progress(not as_json) as say:
        result = gate(baseline, candidate, config, out=out, ledger=Ledger(path), say=say)
    if as_json:
        echo_json(result.summary)
    else:
        from marketprism.pipelines.gate_text import gate_tables

        for title, columns, rows in gate_tables(result):
            echo_table(title, columns, rows)
        colour = {"ADOPT": "green", "REJECT": "red", "INCONCLUSIVE": "yellow"}[result.adoption.verdict]
        click.secho(result.adoption.verdict, fg=colour, bold=True)
        for reason in result.adoption.reasons:
            click.echo(f"  - {reason}")
        if out is not None:
            click.echo(f"{out / 'gate.html'}")
    sys.exit(0 if report_only else EXIT_CODES[result.adoption.verdict])
