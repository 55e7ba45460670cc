"""``marketprism ledger``: what was ever tried on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from marketprism.cli.output import echo_json, echo_table

if TYPE_CHECKING:
    from marketprism.store.ledger import Ledger

__all__ = ["command"]

_HASH = 12


@click.command("ledger")
@click.option("--data", default="", metavar="HASH", help="Trials on the data set whose hash begins so.")
@click.option("--source", default="", metavar="TEXT", help="Only data sets whose source holds this text.")
@click.option("--ledger", "path", type=click.Path(dir_okay=False, path_type=Path), help="File of the ledger.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(data: str, source: str, path: Path | None, as_json: bool) -> None:
    """Show every evaluation ever made, by data set: the number by which Sharpe ratios are deflated.

    The ledger is the file named by --ledger, else by MARKETPRISM_LEDGER, else ledger.db in the user's data folder.
    """
    from marketprism.pipelines.run_ledger import describe_data_set, describe_ledger, matching_data_sets
    from marketprism.store.ledger import Ledger

    ledger = Ledger(path)
    found = matching_data_sets(ledger, data, source)
    sets = describe_ledger(found)
    one = found[0].data_hash if len(found) == 1 and (data or source) else None
    trials = [] if one is None else describe_data_set(ledger.trials(one))
    if as_json:
        echo_json({"ledger": str(ledger.path), "data_sets": sets, "trials": trials})
    elif not sets:
        click.echo(f"The ledger {ledger.path} holds no trial yet: every `marketprism run` writes what it evaluated.")
    else:
        _show_sets(ledger, sets)
        if trials:
            _show_trials(trials)
        else:
            click.echo("Trials of one data set: marketprism ledger --data HASH")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _show_sets(ledger: Ledger, sets: list[dict[str, Any]]) -> None:
    from marketprism.pipelines.texts import short_source

    echo_table(
        f"{sum(one['trials'] for one in sets):,} trials in {_literal(str(ledger.path))}",
        ("data set", "source", "trials", "evaluations", "best IC", "best Sharpe", "luckiest", "first", "last"),
        [
            (
                one["data_hash"][:_HASH],
                _literal(short_source(one["source"])),
                f"{one['trials']:,}",
                f"{one['evaluations']:,}",
                _number(one["best_ic"], 3),
                _number(one["best_sharpe"], 1),
                _number(one["luckiest_sharpe"], 1),
                one["first"][:16].replace("T", " "),
                one["last"][:16].replace("T", " "),
            )
            for one in sets
        ],
    )
    click.echo(
        "Sharpe ratios are annual and net of costs; luckiest: what the best of so many trials shows without any skill."
    )


def _show_trials(trials: list[dict[str, Any]]) -> None:
    echo_table(
        f"Trials on {trials[0]['data_hash'][:_HASH]}",
        ("what", "model", "horizon", "config", "code", "n", "IC", "Sharpe", "net bps", "times", "last", "verdict"),
        [
            (
                one["what"],
                _literal(one["model"]),
                _literal(one["horizon"]),
                one["config_hash"][:_HASH],
                one["code_version"],
                f"{one['n']:,}",
                _number(one["ic"], 3),
                _number(one["annual_sharpe"], 1),
                _number(one["net_bps"], 1),
                one["times"],
                one["last"][:16].replace("T", " "),
                _literal(one["verdict"]),
            )
            for one in trials
        ],
    )
