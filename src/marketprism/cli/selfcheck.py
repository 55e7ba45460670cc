"""``marketprism selfcheck``: published numbers, reproduced here."""

from __future__ import annotations

import sys

import click

from marketprism.cli.output import echo_json, echo_table, progress

__all__ = ["command"]


@click.command("selfcheck")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Reproduce published numbers on this machine; exit 1 if one is missed."""
    from marketprism.pipelines.selfcheck import run_selfcheck

    with progress(not as_json) as say:
        say("selfcheck")
        results = run_selfcheck()
    if as_json:
        echo_json(results)
    else:
        echo_table(
            "Published numbers, reproduced",
            ("piece", "published", "ours", "tolerance", "source", ""),
            [
                (
                    r.piece,
                    f"{r.published:.6g}",
                    f"{r.ours:.6g}",
                    f"{r.tolerance:.1g}",
                    r.source,
                    "pass" if r.passed else "FAIL",
                )
                for r in results
            ],
        )
        failed = sum(not r.passed for r in results)
        click.echo(f"{len(results) - failed} of {len(results)} reproduced")
    sys.exit(0 if all(r.passed for r in results) else 1)
