"""``marketprism doctor``: tell whether this machine is ready."""

from __future__ import annotations

import sys

import click

from marketprism.cli.output import echo_json, echo_table

__all__ = ["command"]


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Check Python, libraries, threads, disk and the embedded store; exit 1 if something is broken."""
    from marketprism.pipelines.doctor import examine

    checks = examine()
    if as_json:
        echo_json(checks)
    else:
        echo_table(
            "Doctor",
            ("check", "found", "", "remedy"),
            [(c.name, c.found, "ok" if c.ok else "PROBLEM", "" if c.ok else c.remedy) for c in checks],
        )
    sys.exit(0 if all(c.ok for c in checks) else 1)
