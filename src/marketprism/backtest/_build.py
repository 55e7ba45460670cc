"""The arrays of strict mode, from the configurations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from marketprism.backtest._layout import NEVER
from marketprism.backtest._rules import LEDGER_DTYPE, RULE_DTYPE, WORLD_DTYPE
from marketprism.backtest._user import FEE, LATENCY, QUEUE, compiled
from marketprism.backtest.codes import SelfTrade
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.latency import RecordedLatency
from marketprism.backtest.models import MarketModels
from marketprism.core.errors import ConfigError

__all__ = ["build_ledgers", "build_rules"]

_NS_PER_MS = 1_000_000


def build_rules(
    configs: Sequence[MarketConfig], models: Sequence[MarketModels]
) -> tuple[dict[str, np.ndarray], list[Any]]:
    """Return the rules, recorded latencies and fee tiers of the markets, and what must stay alive with them."""
    rules = np.zeros(len(configs), RULE_DTYPE)
    delays: list[np.ndarray] = []
    tiers: list[tuple[float, float, float]] = []
    keep: list[Any] = []
    for rule, config, model in zip(rules, configs, models, strict=True):
        rule["timer_ts"] = NEVER
        new = config.entry_latency_ms
        cancel = new if config.cancel_latency_ms is None else config.cancel_latency_ms
        change = new if config.modify_latency_ms is None else config.modify_latency_ms
        for name, value in (("new", new), ("cancel", cancel), ("modify", change)):
            rule[f"entry_{name}"] = round(value * _NS_PER_MS)
        rule["response"] = round(config.response_latency_ms * _NS_PER_MS)
        rule["jitter"], rule["seed"] = config.jitter_ms * _NS_PER_MS, config.seed
        rule["min_quantity"], rule["rate_limit"] = config.min_quantity, config.rate_limit
        rule["rate_interval"] = round(config.rate_interval_ms * _NS_PER_MS)
        rule["self_trade"] = SelfTrade[config.self_trade.upper()]
        rule["fill_on_cross"] = config.fill_on_cross
        rule["margined"] = config.maintenance_margin > 0
        rule["maintenance"], rule["liquidation_fee"] = config.maintenance_margin, config.liquidation_fee_bps * 1e-4
        rule["trigger_low"], rule["trigger_high"] = -math.inf, math.inf
        rule["tiers_at"], rule["tiers_size"] = len(tiers), len(config.fee_tiers)
        tiers += [(t.value, t.maker_fee_bps * 1e-4, t.taker_fee_bps * 1e-4) for t in config.fee_tiers]
        if isinstance(model.latency, RecordedLatency):
            recorded = model.latency
            rule["delays_at"], rule["delays_size"] = sum(map(len, delays)), len(recorded.req_ts)
            delays.append(np.column_stack([recorded.req_ts, recorded.exch_ts, recorded.resp_ts]).astype(np.int64))
        for name, function, signature in (
            ("latency", None if isinstance(model.latency, RecordedLatency) else model.latency, LATENCY),
            ("queue", model.queue, QUEUE),
            ("fee", model.fee, FEE),
        ):
            if function is not None:
                keep.append(compiled(function, signature))
                rule[f"{name}_function"] = keep[-1].address
    return {
        "rules": rules,
        "delays": np.ascontiguousarray(np.concatenate(delays)) if delays else np.zeros((1, 3), np.int64),
        "tiers": np.array(tiers) if tiers else np.zeros((1, 3)),
    }, keep


def build_ledgers(
    configs: Sequence[MarketConfig], lanes: int, agents: int, owners: Sequence[int]
) -> dict[str, np.ndarray]:
    """Return the exchange's ledgers of all accounts, and the worlds.

    Raises
    ------
    ConfigError
        There are owners, but not one for each agent.
    """
    if owners and len(owners) != agents:
        raise ConfigError(f"{len(owners)} owners for {agents} agents", hint="one for each agent, equal numbers share")
    ledgers = np.zeros((len(configs), lanes, agents), LEDGER_DTYPE)
    ledgers["world"] = np.arange(lanes)[None, :, None]
    ledgers["agent"] = np.arange(agents)
    ledgers["owner"] = list(owners) or np.arange(agents)
    ledgers["trigger"] = math.nan
    ledgers["rate_window"] = np.iinfo(np.int64).min
    for ledger, config in zip(ledgers, configs, strict=True):
        ledger["capital"], ledger["value"] = config.capital, config.traded_value
    return {"ledgers": ledgers.reshape(-1), "worlds": np.zeros(lanes, WORLD_DTYPE)}
