"""The ``marketprism`` command: verbs load only when they are called, so that ``--help`` is instant."""

from __future__ import annotations

import importlib
import sys

import click

__all__ = ["cli", "main"]

_VERBS = {
    "run": "Judge a signal: source to book, buckets, factors, labels, models, report.",
    "backtest": "Run a market maker on a source: replay with queues and latency, P&L split, report.",
    "study": "Make a prepared study: five reports on market making.",
    "inspect": "Say what a source holds: span, events, gaps, clocks, spread, rejections.",
    "convert": "Write a source as our Parquet.",
    "verify": "Check one of our directories against its manifest.",
    "ledger": "Show every evaluation ever made, by data set.",
    "gate": "Decide whether a candidate model should replace a baseline.",
    "check-leaks": "Find factors that look ahead: the engine's, or your own function.",
    "simulate": "Market generators: list them, calibrate them on a source and compare.",
    "sources": "List the source formats with an example line each.",
    "factors": "List factors, or explain one.",
    "strategies": "List market makers, or show one's parameters.",
    "config": "Show the configuration, or its JSON schema.",
    "doctor": "Check this machine: Python, libraries, disk, embedded store.",
    "selfcheck": "Reproduce published numbers on this machine.",
}


class _LazyGroup(click.Group):
    """A group whose commands live one to a file and are imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the verbs in the order of use."""
        del ctx
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and return its command."""
        del ctx
        if cmd_name not in _VERBS:
            return None
        command: click.Command = importlib.import_module(f"marketprism.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="marketprism", message="%(version)s")
def cli() -> None:
    """Raw order-book feeds in, validated short-horizon signals out."""


def main() -> None:
    """Run the command line; a MarketPrismError ends it with one clear line and exit code 1."""
    try:
        cli(prog_name="marketprism")
    except Exception as error:
        from marketprism.core.errors import MarketPrismError

        if not isinstance(error, MarketPrismError):
            raise
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(" ".join(str(error).split()), err=True)
        sys.exit(1)
