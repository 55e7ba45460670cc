"""A backtest in a few lines, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from marketprism.pipelines.backtest import BacktestResult
from marketprism.pipelines.backtest_sections.words import digits_for, lane_names
from marketprism.pipelines.texts import interval, number, plural, share

if TYPE_CHECKING:
    import polars as pl

__all__ = ["backtest_lines"]


def backtest_lines(result: BacktestResult) -> Iterator[str]:
    """Yield what a person wants to know before opening the report."""
    replay = result.replay
    account, record, unit = replay.accounts[replay.best], replay.records[replay.best], replay.unit
    market = replay.market
    yield f"{replay.strategy} on {market.instrument.key}: {replay.source}"
    yield (
        f"  {plural(market.report.events, 'event')}, {plural(market.report.trades, 'trade')} of the market, "
        f"{plural(market.report.gaps, 'gap')}; {plural(len(replay.lanes), 'lane')}"
    )
    if replay.ingest.rejected:
        reasons = ", ".join(f"{entry.count:,} {why}" for why, entry in sorted(replay.ingest.rejected.items()))
        yield f"  records rejected: {reasons}"
    if not account.trades:
        sent = f"{plural(account.orders, 'order')} sent{_refused(replay.orders)}"
        yield f"NOTHING TRADED: {sent}, no execution; see the report"
    else:
        digits = digits_for(account.pnl, account.spread_capture, account.inventory_pnl)
        if len(replay.lanes) > 1:
            yield f"  best lane: {lane_names(replay.lanes)[replay.best]}"
        yield f"  P&L {interval(record.pnl, digits)} {unit} from {plural(account.trades, 'execution')}"
        yield (
            f"  spread {number(account.spread_capture, digits)}, adverse selection "
            f"{number(account.adverse_selection, digits)}, inventory {number(account.inventory_pnl, digits)}, fees "
            f"{number(-account.fees, digits)}, funding {number(account.funding, digits)}"
        )
        yield (
            f"  fill rate {share(account.fill_rate)}, {number(account.order_to_trade, 1)} requests an execution, "
            f"drawdown {number(account.max_drawdown, digits)}; after {plural(record.trials, 'trial')} the chance of a "
            f"positive Sharpe ratio is {share(record.dsr)}"
        )
    yield f"  {result.out / 'report.html'} in {result.seconds:.1f} s"


def _refused(orders: pl.DataFrame) -> str:
    """Say the commonest reason of refusals and expiries, if any."""
    counts = orders.filter(orders["reason"] != "none")["reason"].value_counts(sort=True)
    return f" ({counts['count'][0]:,} ended by {counts['reason'][0]})" if counts.height else ""
