"""``summary.json`` of a backtest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import marketprism
from marketprism.backtest.result import AccountReport
from marketprism.core.config import config_hash
from marketprism.core.timebase import format_ns
from marketprism.pipelines.backtest_replay import Replay
from marketprism.pipelines.backtest_sections.words import lane_names

__all__ = ["account_summary", "backtest_summary", "plain"]

_NUMBERS = (
    "pnl",
    "spread_capture",
    "inventory_pnl",
    "adverse_selection",
    "fees",
    "funding",
    "trades",
    "volume",
    "value",
    "orders",
    "fill_rate",
    "order_to_trade",
    "max_drawdown",
)


def plain(value: Any) -> Any:
    """Return a value fit for JSON: what is not finite becomes None, at any depth.

    Examples
    --------
    >>> plain({"a": float("nan"), "b": [1.0, float("inf")]})
    {'a': None, 'b': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def account_summary(account: AccountReport) -> dict[str, Any]:
    """Return the numbers of an account as plain data."""
    numbers: dict[str, Any] = {name: getattr(account, name) for name in _NUMBERS}
    numbers["sharpe"] = dict(account.sharpe)
    numbers["queue"] = dict(account.queue)
    numbers["markouts"] = account.markouts.to_dicts()
    found: dict[str, Any] = plain(numbers)
    return found


def backtest_summary(replay: Replay) -> dict[str, Any]:
    """Return the whole summary; its numbers at the top are those of the best lane."""
    market, report, config = replay.market, replay.market.report, replay.config
    first, last = market.span()
    names = lane_names(replay.lanes)
    lanes = [
        {"name": name, "parameters": dict(parameters), **account_summary(account), "evidence": record.summary()}
        for name, parameters, account, record in zip(names, replay.lanes, replay.accounts, replay.records, strict=True)
    ]
    best = replay.accounts[replay.best]
    return {
        "version": 1,
        "strategy": replay.strategy,
        "source": replay.source,
        "instrument": market.instrument.key,
        "span": {"from": format_ns(first), "to": format_ns(last), "seconds": (last - first) / 1e9},
        "unit": replay.unit,
        **account_summary(best),
        "nothing_traded": best.trades == 0,
        "lane": replay.best,
        "lanes": lanes,
        "trials": replay.trials.summary(),
        "signals": list(replay.signals),
        "gaps": report.gaps,
        "events": report.events,
        "market_trades": report.trades,
        "left_out": dict(sorted(report.left_out.items())),
        "clock_shift_ms": report.shift_ns / 1e6,
        "tick_size": str(market.tape.tick_size),
        "lot_size": str(market.tape.lot_size),
        "rejected": {
            reason: {"count": entry.count, "examples": entry.examples}
            for reason, entry in sorted(replay.ingest.rejected.items())
        },
        "notes": dict(sorted(replay.ingest.notes.items())),
        "facts": dict(sorted(replay.ingest.facts.items())),
        "config": config.to_mapping(),
        "hashes": {
            "data": market.data_hash,
            "config": config_hash({"config": config.to_mapping(), "strategy": replay.strategy, "lanes": replay.lanes}),
            "code": marketprism.__version__,
        },
    }
