"""``marketprism backtest``: a market maker on a source."""

from __future__ import annotations

from pathlib import Path

import click

from marketprism.cli.output import echo_json, progress

__all__ = ["command"]

_EPILOG = """\b
marketprism backtest glft --source "sim:?minutes=60" --out out/ --set gamma=0.05
marketprism backtest mine.py:Maker --source "binance-ws:usdm_btcusdt.gz" --out out/ --set market.maker_fee_bps=0.2
marketprism backtest symmetric --source "sim:" --out out/ --lanes lanes.yaml
"""


@click.command("backtest", epilog=_EPILOG)
@click.argument("strategy")
@click.option("--source", "spec", default="sim:", help="FORMAT:PATH[,PATH...][?key=value]; default: simulated market.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Directory to write.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Of the strategy (strategies show NAME) or of the replay (config show --of backtest): market.queue=power.",
)
@click.option(
    "--lanes", "lanes_path", type=click.Path(dir_okay=False, path_type=Path),
    help="Parameter sets to try side by side: YAML, JSON or CSV.",
)  # fmt: skip
@click.option("--signal", "signals", multiple=True, metavar="FACTOR", help="Factor that the strategy sees; repeatable.")
@click.option("--signals", "predictions", metavar="RUN_DIR:MODEL", help="Out-of-sample predictions that it sees.")
@click.option("--seed", type=int, default=None, help="Of the bootstrap and of jittered latencies.")
@click.option(
    "--ledger", "ledger_path", type=click.Path(dir_okay=False, path_type=Path), help="File of the run ledger."
)
@click.option("--no-ledger", is_flag=True, help="Do not write to the run ledger; only these lanes count as trials.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON and nothing else.")
def command(
    strategy: str,
    spec: str,
    out: Path,
    settings: tuple[str, ...],
    lanes_path: Path | None,
    signals: tuple[str, ...],
    predictions: str | None,
    seed: int | None,
    ledger_path: Path | None,
    no_ledger: bool,
    as_json: bool,
) -> None:
    """Replay a source with STRATEGY on it: a name of `marketprism strategies list`, or your own path.py:Name.

    Writes report.html, summary.json, orders.parquet (every answer of the exchange) and fills.parquet. Where nothing
    traded the exit code is 1, and the report shows why.
    """
    from marketprism.pipelines.backtest import backtest
    from marketprism.pipelines.backtest_config import load_lanes, split_settings
    from marketprism.pipelines.sources import open_source
    from marketprism.store.ledger import Ledger

    config, parameters = split_settings(settings, seed)
    lanes = [] if lanes_path is None else load_lanes(lanes_path)
    with progress(not as_json) as say:
        result = backtest(
            open_source(spec),
            strategy,
            out,
            config,
            parameters=parameters,
            lanes=lanes,
            signal=signals,
            predictions=predictions,
            ledger=None if no_ledger else Ledger(ledger_path),
            say=say,
        )
    if as_json:
        echo_json(result.summary)
    else:
        from marketprism.pipelines.backtest_text import backtest_lines

        for line in backtest_lines(result):
            click.secho(line, fg="red" if line.startswith("NOTHING") else None)
    if result.summary["nothing_traded"]:
        raise SystemExit(1)
