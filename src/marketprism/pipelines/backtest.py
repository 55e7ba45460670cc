"""A strategy on a source: replay, accounts, evidence, report."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import marketprism
from marketprism.backtest.evidence import TrackRecord, track_records
from marketprism.backtest.fills import fills
from marketprism.backtest.result import AccountReport, summarize
from marketprism.backtest.signals import SignalTape
from marketprism.core.config import config_hash
from marketprism.core.errors import ConfigError, DataError
from marketprism.evaluate.trials import Trials
from marketprism.ingest.source import Source
from marketprism.pipelines.backtest_config import BacktestConfig
from marketprism.pipelines.backtest_document import backtest_document, backtest_headline
from marketprism.pipelines.backtest_replay import Replay, increments_of
from marketprism.pipelines.backtest_summary import backtest_summary
from marketprism.pipelines.files import check_folder, json_bytes, write_files
from marketprism.pipelines.gate_side import open_side
from marketprism.pipelines.market_tape import MarketTape, check_market, factor_signals, prediction_signals, read_market
from marketprism.pipelines.run_ledger import trials_on
from marketprism.pipelines.runtime import Say, silent
from marketprism.report.page import render_page
from marketprism.store.ledger import Ledger, Trial
from marketprism.strategies.registry import find_strategy
from marketprism.strategies.runner import simulate
from marketprism.strategies.user import check_user, load_strategy, own_errors

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BacktestResult", "backtest"]

_YEAR_S = 365 * 86_400.0


@dataclass(frozen=True)
class BacktestResult:
    """What :func:`backtest` gave.

    Attributes
    ----------
    replay : Replay
        Accounts and evidence.
    summary : dict
        Content of ``summary.json``.
    out : Path
        Folder with every file.
    seconds : float
        Wall time.
    """

    replay: Replay
    summary: dict[str, Any]
    out: Path
    seconds: float


def backtest(
    source: Source,
    strategy: str,
    out: Path,
    config: BacktestConfig | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    lanes: Sequence[Mapping[str, Any]] = (),
    signal: Sequence[str] = (),
    predictions: str | None = None,
    ledger: Ledger | None = None,
    say: Say = silent,
) -> BacktestResult:
    """Replay ``source`` with a strategy on it, and write report, summary, orders and fills to ``out``.

    Parameters
    ----------
    source : Source
        One instrument; read once.
    strategy : str
        Name in the registry, or ``path.py:Name`` of your own class or compiled function.
    out : Path
        Folder, made if missing; files of an earlier backtest in it are replaced.
    config : BacktestConfig, optional
        Exchange, clocks, risk, evidence.
    parameters : mapping, optional
        Of the strategy, for every lane.
    lanes : sequence of mapping, optional
        Parameter sets tried side by side in one replay, each over ``parameters``; one lane if missing.
    signal : sequence of str
        Factors the strategy sees, standardised by their past.
    predictions : str, optional
        ``RUN_DIR:model`` whose out-of-sample predictions it sees.
    ledger : Ledger, optional
        Gets every lane as a trial on these data.
    say : callable
        Told how far it is.

    Raises
    ------
    MarketPrismError
        The source, the strategy, a parameter or the folder cannot be used; no lane sent an order; or none was executed
        on a source without trades.
    """
    config = config or BacktestConfig()
    if signal and predictions:
        raise ConfigError("both factors and predictions were given as signals", hint="choose one of the two")
    sets = [{**(parameters or {}), **lane} for lane in lanes] or [dict(parameters or {})]
    _check(strategy, sets, numbered=bool(lanes))
    check_folder(out)
    side = open_side(predictions) if predictions else None
    started = time.perf_counter()
    market = read_market(source, config.tape, config.engine if signal else None, say)
    seen = factor_signals(market, signal) if signal else prediction_signals(market, side) if side is not None else None
    replay = _replay(source, strategy, sets, config, market, seen, ledger, say)
    if ledger is not None:
        best = _trial_hash(config, strategy, sets[replay.best])
        ledger.conclude(market.data_hash, best, backtest_headline(replay)[0], "backtest")
    say("report")
    summary = backtest_summary(replay)
    write_files(
        out,
        {
            "summary.json": json_bytes(summary),
            "orders.parquet": replay.orders,
            "fills.parquet": replay.fills,
            "report.html": render_page(backtest_document(replay)),
        },
    )
    return BacktestResult(replay, summary, out, time.perf_counter() - started)


def _replay(
    source: Source,
    strategy: str,
    lanes: Sequence[Mapping[str, Any]],
    config: BacktestConfig,
    market: MarketTape,
    seen: SignalTape | None,
    ledger: Ledger | None,
    say: Say,
) -> Replay:
    """Run all lanes, account for them and judge them."""
    say("replay")
    crosses = config.market.fill_on_cross or config.mode == "compat"
    check_market(market, source.spec, trades=":" not in strategy and not crosses)
    with own_errors(strategy):
        engine = simulate(
            [market.tape],
            strategy,
            lanes,
            markets=(config.market,),
            mode=config.mode,
            interval_ms=config.interval_ms,
            signals=seen,
            risk=config.risk,
        )
    orders = engine.responses()
    _refuse_nothing(strategy, source, market, orders)
    say("accounts")
    accounts = summarize(engine, markout_s=config.markout_s, bar_s=config.bar_s)
    trials = _record(ledger, strategy, lanes, config, market, source, accounts)
    return Replay(
        strategy=strategy,
        lanes=lanes,
        config=config,
        source=source.spec,
        market=market,
        ingest=source.report,
        accounts=accounts,
        records=_judge(accounts, trials, config),
        orders=orders,
        fills=fills(engine),
        trials=trials,
        signals=() if seen is None else seen.names,
    )


def _refuse_nothing(strategy: str, source: Source, market: MarketTape, orders: pl.DataFrame) -> None:
    """Refuse a replay that says nothing of the strategy: it sent no order, or there was nobody to trade with."""
    if not orders.height:
        first, last = market.span()
        raise DataError(
            f"{strategy} sent no order in the {(last - first) / 1e9:,.0f} s of {source.spec}",
            hint="see its distances, conditions and warm-up, or give a longer source",
        )
    check_market(market, source.spec, trades=not (orders["executed"] > 0).any())


def _judge(accounts: Sequence[AccountReport], trials: Trials, config: BacktestConfig) -> list[TrackRecord]:
    """Judge every lane, deflated by all trials on the data."""
    variance = trials.sharpe_variance * config.bar_s / _YEAR_S
    return track_records(
        [increments_of(account) for account in accounts],
        trials=trials.count,
        trial_variance=variance if math.isfinite(variance) else None,
        replications=config.replications,
        level=config.confidence,
        seed=config.seed,
    )


def _check(strategy: str, lanes: Sequence[Mapping[str, Any]], *, numbered: bool) -> None:
    """Refuse unknown strategies and settings before anything is read."""
    for number, lane in enumerate(lanes, 1):
        name = str(lane.get("strategy", strategy))
        values = {key: value for key, value in lane.items() if key != "strategy"}
        try:
            if ":" in name:
                own = load_strategy(name)
                with own_errors(name):
                    check_user(own, values)
            else:
                find_strategy(name).config.from_mapping(values)
        except ConfigError as error:
            if not numbered:
                raise
            raise ConfigError(f"lane {number}: {error}") from error


def _trial_hash(config: BacktestConfig, strategy: str, lane: Mapping[str, Any]) -> str:
    """Hash what can change the outcome of a lane, wherever it was listed."""
    return config_hash({"config": config.to_mapping(), "strategy": strategy, "lane": dict(lane)})


def _record(
    ledger: Ledger | None,
    strategy: str,
    lanes: Sequence[Mapping[str, Any]],
    config: BacktestConfig,
    market: MarketTape,
    source: Source,
    accounts: Sequence[AccountReport],
) -> Trials:
    """Write every lane to the ledger and return all trials on the data; without one, those of this replay."""
    bars = [increments_of(account) for account in accounts]
    sharpes = [float(x.mean() / x.std(ddof=1)) if len(x) > 1 and x.std() > 0 else math.nan for x in bars]
    periods = _YEAR_S / config.bar_s
    if ledger is None:
        found = np.array([one for one in sharpes if math.isfinite(one)]) * math.sqrt(periods)
        variance = float(found.var(ddof=1)) if found.size > 1 else math.nan
        return Trials(len(lanes), variance, found.size, from_ledger=False)
    ledger.record(
        [
            Trial(
                data_hash=market.data_hash,
                config_hash=_trial_hash(config, strategy, lane),
                factor_hash="",
                code_version=marketprism.__version__,
                model=strategy,
                horizon=f"{config.bar_s:g} s bars",
                what="backtest",
                source=source.spec,
                n=len(x),
                sharpe=sharpe,
                periods_per_year=periods,
                net_bps=1e4 * account.pnl / account.value if account.value > 0 else math.nan,
            )
            for lane, x, sharpe, account in zip(lanes, bars, sharpes, accounts, strict=True)
        ],
        time.time_ns(),
    )
    return trials_on(ledger, market.data_hash)
