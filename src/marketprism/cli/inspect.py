"""``marketprism inspect``: what a source holds."""

from __future__ import annotations

from typing import Any

import click

from marketprism.cli.output import echo_json, echo_table, progress

__all__ = ["command"]

_SHOWN_SERIES = 40


@click.command("inspect")
@click.argument("source")
@click.option("--json", "as_json", is_flag=True, help="Print JSON with the keys of summary.json.")
def command(source: str, as_json: bool) -> None:
    """Say what SOURCE holds: span, events, gaps, clocks, spread states, locked and crossed share, rejections."""
    from marketprism.pipelines.inspect import inspect_source
    from marketprism.pipelines.sources import open_source

    with progress(not as_json) as say:
        found = inspect_source(open_source(source), say=say)
    if as_json:
        echo_json(found)
    else:
        _show(found)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _show(found: dict[str, Any]) -> None:
    span, clock = found["span"], found["clock"]
    rows = [("instrument", found["instrument"]["key"]), ("from", span["from"]), ("to", span["to"])]
    rows += [(f"events: {name}", f"{count:,}") for name, count in found["events"].items()]
    rows += [
        ("records read", f"{found['records']:,}"),
        ("gaps", f"{found['gaps']:,}"),
        ("clock skew, median", f"{clock['median_ms']} ms"),
        ("clock skew, min / p99 / max", f"{clock['min_ms']} / {clock['p99_ms']} / {clock['max_ms']} ms"),
        ("spread 1 / 2 / 3+ ticks", " / ".join(_percent(found["spread_states"][k]) for k in ("1", "2", "3+"))),
        ("locked, crossed", f"{_percent(found['locked_share'])}, {_percent(found['crossed_share'])}"),
    ]
    rows += [(f"noted: {name}", f"{count:,}") for name, count in found["notes"].items()]
    rows += [(f"fact: {name}", value) for name, value in found["facts"].items()]
    rows += [(f"book: {name.replace('_', ' ')}", f"{count:,}") for name, count in found["book"].items()]
    echo_table(found["source"], ("what", "found"), rows)
    series = found["spread_states_by_series"]
    if series:
        echo_table(
            "Spread states",
            ("series", "1", "2", "3+"),
            [(key, *(_percent(s[k]) for k in ("1", "2", "3+"))) for key, s in list(series.items())[:_SHOWN_SERIES]],
        )
    for what in found["gap_list"][:10]:
        lost = "" if what["lost_sequences"] is None else f", {what['lost_sequences']:,} sequences lost"
        click.echo(f"gap: {what['series']} at {what['at']}: {what['reason']}{lost}")
    for reason, entry in found["rejected"].items():
        click.echo(f"rejected: {entry['count']:,} x {reason}")
        for example in entry["examples"][:2]:
            click.echo(f"    {example}")
