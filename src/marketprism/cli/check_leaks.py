"""``marketprism check-leaks``: find factors that look ahead."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from marketprism.cli.output import echo_json, echo_table, progress

if TYPE_CHECKING:
    from marketprism.pipelines.check_leaks import LeakReport

__all__ = ["command"]

_SHOWN = 12


@click.command("check-leaks")
@click.argument("target", required=False)
@click.option("--source", "spec", default=None, help="FORMAT:PATH[,PATH...][?key=value]: check on this source.")
@click.option("--tape", type=click.Path(dir_okay=False, path_type=Path), help="Parquet or CSV table for TARGET.")
@click.option("--factor", "names", multiple=True, metavar="NAME", help="Only this factor; may be repeated.")
@click.option("--on", type=click.Choice(["buckets", "events"]), default="buckets", help="What of --source TARGET gets.")
@click.option(
    "--as", "kind", type=click.Choice(["auto", "polars", "pandas", "numpy"]), default="auto", help="What TARGET takes."
)
@click.option("--event", default=None, metavar="COLUMN", help="Event time column of the tape.")
@click.option("--received", default=None, metavar="COLUMN", help="Receive time column of the tape.")
@click.option("--exact", is_flag=True, help="Count differences in rounding as leaks.")
@click.option("--events", type=int, default=100_000, show_default=True, help="Most rows of the tape.")
@click.option("--samples", type=int, default=24, show_default=True, help="Times at which the future is changed.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sampled times and permutations.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
def command(
    target: str | None,
    spec: str | None,
    tape: Path | None,
    names: tuple[str, ...],
    on: str,
    kind: str,
    event: str | None,
    received: str | None,
    exact: bool,
    events: int,
    samples: int,
    seed: int,
    as_json: bool,
) -> None:
    """Find factors that look ahead: the engine's on --source, or those of a function TARGET of your own.

    TARGET is module:function or path/to/file.py:function; it takes a table (Polars, pandas, or a dict of arrays) and
    returns one row of factors for each of its rows. Its code is run. At sampled times the tape is cut, its future
    shuffled, and a late row added: no value up to that time may change.

    Exit code: 0 clean, 1 a leak was found (or an error), 2 wrong usage.
    """
    from marketprism.pipelines.check_leaks import check_engine, check_function
    from marketprism.pipelines.sources import open_source

    if target is None and (spec is None or tape is not None):
        raise click.UsageError("give --source SPEC for the engine's factors, or TARGET with --tape or --source")
    with progress(not as_json) as say:
        source = open_source(spec) if spec is not None else None
        if target is not None:
            report = check_function(
                target, tape=tape, source=source, on=on, kind=kind, names=names, event=event, received=received,
                exact=exact, events=events, samples=samples, seed=seed, say=say,
            )  # fmt: skip
        elif source is not None:
            report = check_engine(source, names, events=events, samples=samples, seed=seed, say=say)
    if as_json:
        echo_json(report.summary())
    else:
        _show(report)
    sys.exit(0 if report.clean else 1)


def _show(report: LeakReport) -> None:
    click.echo(f"{report.target} on {report.tape}")
    for note in report.notes:
        click.echo(f"  {note}")
    click.echo(f"  {report.samples} sampled times, tests at each: {', '.join(report.tests)}")
    if report.leaks:
        rows = [
            (
                leak.factor,
                leak.rows_ahead,
                leak.reach,
                ", ".join(leak.tests),
                f"{leak.failed} of {leak.sampled}",
                leak.row,
                f"{leak.difference:.3g}",
            )
            for leak in report.leaks
        ]
        echo_table(
            "Leaks",
            ("factor", "rows ahead", "up to", "failed", "at times", "first after row", "largest change"),
            rows,
        )
    for leak in report.rounding:
        click.secho(
            f"  {leak.factor} changes by {leak.difference:.2g} with the number of rows: rounding, no look-ahead "
            "(--exact counts it)",
            fg="yellow",
        )
    if report.control is None:
        click.secho("control FAILED: a planted look-ahead was not caught, so nothing here is to be believed", fg="red")
    else:
        click.echo(f"  control: a planted look-ahead was caught, {report.control.rows_ahead} tape rows ahead")
    if report.idle:
        shown = ", ".join(f"{name} {why}" for name, why in list(report.idle.items())[:_SHOWN])
        more = f" and {len(report.idle) - _SHOWN} more" if len(report.idle) > _SHOWN else ""
        click.secho(f"  not checked, {len(report.idle)}: {shown}{more}", fg="yellow")
    word = f"{len(report.leaks)} of {len(report.checked)} factors look ahead"
    click.secho(word if report.leaks else f"clean: none of {len(report.checked)} factors looks ahead",
                fg="red" if report.leaks else "green")  # fmt: skip
    click.echo("  A look-ahead that is already inside a column of the tape cannot show here: `run` controls for those.")
