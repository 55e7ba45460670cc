"""The arrays of strict mode, from the configurations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from marketprism.backtest._layout import NEVER
from marketprism.backtest._rules import LEDGER_DTYPE, LIMIT_DTYPE, RULE_DTYPE, WORLD_DTYPE
from marketprism.backtest._user import FEE, LATENCY, QUEUE, compiled
from marketprism.backtest.codes import SelfTrade, TapeKind
from marketprism.backtest.config import MarketConfig
from marketprism.backtest.latency import RecordedLatency
from marketprism.backtest.models import MarketModels
from marketprism.backtest.risk import RiskLimits
from marketprism.backtest.tape import Tape
from marketprism.core.errors import ConfigError

__all__ = ["build_ledgers", "build_limits", "build_rules"]

_NS_PER_MS = 1_000_000


def build_rules(
    tapes: Sequence[Tape], configs: Sequence[MarketConfig], models: Sequence[MarketModels]
) -> tuple[dict[str, np.ndarray], list[Any]]:
    """Return the rules, recorded latencies, fee tiers and order slots of the markets, and what must stay alive."""
    rules = np.zeros(len(configs), RULE_DTYPE)
    delays: list[np.ndarray] = []
    tiers: list[tuple[float, float, float]] = []
    keep: list[Any] = []
    slots = 0
    for rule, tape, config, model in zip(rules, tapes, configs, models, strict=True):
        rule["timer_ts"] = NEVER
        own = _order_slots(tape)
        rule["by_order"], rule["slots_at"] = own > 0, slots
        slots += own
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
        rule["fixed_latency"] = model.latency is None and config.jitter_ms == 0.0
    return {
        "rules": rules,
        "delays": np.ascontiguousarray(np.concatenate(delays)) if delays else np.zeros((1, 3), np.int64),
        "tiers": np.array(tiers) if tiers else np.zeros((1, 3)),
        "slots": np.zeros(max(slots, 1), np.int64),
    }, keep


def _order_slots(tape: Tape) -> int:
    """Return how many slots the ORDER_* events of a tape use; 0: the tape does not tell of single orders."""
    kind = tape.events["kind"] & 63
    own = tape.events[(kind >= TapeKind.ORDER_ADD) & (kind <= TapeKind.ORDER_EXECUTE)]
    return int(((own["flags"] & 127).astype(np.int64) << 16 | own["slot"]).max()) + 1 if len(own) else 0


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
        if len(config.agent_latency_ms) > agents:
            raise ConfigError(
                f"{len(config.agent_latency_ms)} agent latencies for {agents} agents", hint="one for each"
            )
        for agent, latency in enumerate(config.agent_latency_ms):
            ledger["extra_latency"][:, agent] = round(latency * _NS_PER_MS)
    return {"ledgers": ledgers.reshape(-1), "worlds": np.zeros(lanes, WORLD_DTYPE)}


def build_limits(
    risk: RiskLimits | Sequence[RiskLimits], configs: Sequence[MarketConfig], lanes: int, agents: int
) -> np.ndarray:
    """Return the limits of all accounts: one for all, one for each agent, or one for each agent of each lane.

    Raises
    ------
    ConfigError
        Their number fits neither, or leverage is limited without capital.
    """
    each = [risk] * agents if isinstance(risk, RiskLimits) else list(risk)
    if len(each) == agents:
        each = each * lanes
    if len(each) != lanes * agents:
        raise ConfigError(
            f"{len(each)} risk limits for {agents} agents in {lanes} lanes", hint="one, one for each agent, or for all"
        )
    limits = np.zeros((len(configs), len(each)), LIMIT_DTYPE)
    limits["closing"] = limits["day"] = limits["second"] = -1
    for name in ("variance", "equity", "peak", "trade_start", "day_start"):
        limits[name] = math.nan
    for at, risk_limits in enumerate(each):
        mine = limits[:, at]
        if risk_limits.max_leverage is not None and not all(config.capital > 0 for config in configs):
            raise ConfigError("max_leverage needs capital", hint="set MarketConfig.capital")
        mine["enabled"] = risk_limits.limited
        mine["watched"] = risk_limits.watched
        for name, value in (
            ("max_position", risk_limits.max_position),
            ("max_leverage", risk_limits.max_leverage),
            ("max_trade_loss", risk_limits.max_loss_per_trade),
            ("max_day_loss", risk_limits.max_loss_per_day),
            ("max_drawdown", risk_limits.kill_switch_drawdown),
            ("target_volatility", risk_limits.volatility_target),
        ):
            mine[name] = math.inf if value is None else value
        mine["max_orders"] = risk_limits.max_orders_per_s or 0
        mine["half_life"] = risk_limits.volatility_half_life_s * 1e9
        mine["flatten"] = risk_limits.flatten
    return limits.reshape(-1)
