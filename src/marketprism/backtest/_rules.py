"""Records of strict mode: the rules of a market, the exchange's ledger of an account, and scratch space of worlds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from marketprism.backtest._views import _pointer, records
from marketprism.core.kernels import inner

__all__ = [
    "LEDGER_DTYPE",
    "LIMIT_DTYPE",
    "RULE_DTYPE",
    "WORLD_DTYPE",
    "delays",
    "ledger_of",
    "limit_of",
    "rule_of",
    "slots",
    "tiers",
    "world_of",
]

RULE_DTYPE = np.dtype(
    [
        ("timer_ts", np.int64),  # when the exchange has something to do by itself
        ("blind", np.int64),  # 1 from a gap to the snapshot, 2 while the snapshot is read
        ("blind_since", np.int64),
        ("blind_ns", np.int64),
        ("gaps", np.int64),
        ("fundings", np.int64),
        ("over", np.int64),  # no event is left
        ("entry_new", np.int64),
        ("entry_cancel", np.int64),
        ("entry_modify", np.int64),
        ("response", np.int64),
        ("fixed_latency", np.int64),  # neither recorded nor jittered nor a function's
        ("jitter", np.float64),  # mean, ns
        ("seed", np.int64),
        ("delays_at", np.int64),
        ("delays_size", np.int64),
        ("latency_function", np.int64),
        ("queue_function", np.int64),
        ("fee_function", np.int64),
        ("min_quantity", np.float64),
        ("rate_limit", np.int64),
        ("rate_interval", np.int64),
        ("self_trade", np.int64),
        ("fill_on_cross", np.int64),
        ("tiers_at", np.int64),
        ("tiers_size", np.int64),
        ("margined", np.int64),
        ("maintenance", np.float64),
        ("liquidation_fee", np.float64),
        ("trigger_low", np.float64),  # bid at or below which some account is liquidated, ticks
        ("trigger_high", np.float64),
        ("by_order", np.int64),  # the tape tells of single orders
        ("arrivals", np.int64),  # of them so far
        ("slots_at", np.int64),
        ("known_blind", np.int64),  # as the local side heard it
    ],
    align=True,
)

LEDGER_DTYPE = np.dtype(
    [
        ("held", np.float64),  # position at the exchange
        ("cash", np.float64),
        ("fees", np.float64),
        ("funding", np.float64),  # received
        ("funding_known", np.float64),
        ("value", np.float64),
        ("capital", np.float64),
        ("trigger", np.float64),  # price of liquidation, ticks
        ("rate_window", np.int64),
        ("rate_used", np.int64),
        ("requests", np.int64),
        ("replies", np.int64),
        ("liquidations", np.int64),
        ("bankrupt", np.int64),
        ("due", np.int64),  # its price of liquidation has moved
        ("extra_latency", np.int64),
        ("world", np.int32),
        ("agent", np.int32),
        ("owner", np.int32),
    ],
    align=True,
)

WORLD_DTYPE = np.dtype([("stamp", np.int64), ("rest", np.float64), ("used", np.float64)], align=True)

LIMIT_DTYPE = np.dtype(
    [
        ("enabled", np.int64),
        ("watched", np.int64),  # something depends on the equity or the mid
        ("max_position", np.float64),
        ("max_leverage", np.float64),
        ("max_trade_loss", np.float64),
        ("max_day_loss", np.float64),
        ("max_drawdown", np.float64),
        ("flatten", np.int64),
        ("max_orders", np.int64),  # a second; 0: no limit
        ("target_volatility", np.float64),  # infinite: no scaling
        ("half_life", np.float64),  # ns
        ("second", np.int64),  # the order rate's window, and what was sent in it
        ("used", np.int64),
        ("day", np.int64),
        ("day_start", np.float64),  # equity
        ("trade_start", np.float64),  # equity when the position was last flat or on the other side
        ("trade_side", np.int64),
        ("peak", np.float64),  # equity
        ("equity", np.float64),
        ("variance", np.float64),  # of the log mid, a second
        ("last_mid", np.float64),
        ("last_ts", np.int64),
        ("stopped", np.int64),  # the reason
        ("closing", np.int64),  # order that flattens, and its id
        ("closing_id", np.int64),
        ("refused", np.int64),
        ("stops", np.int64),
    ],
    align=True,
)


_rules, _ledgers = records(RULE_DTYPE), records(LEDGER_DTYPE)
_limits, _worlds = records(LIMIT_DTYPE), records(WORLD_DTYPE)


@inner
def rule_of(e: Any, index: int) -> Any:
    """Return the rules of a market."""
    return _rules(e.rules, index)


@inner
def ledger_of(e: Any, which: int) -> Any:
    """Return what the exchange knows of an account."""
    return _ledgers(e.ledgers, which)


@inner
def limit_of(e: Any, which: int) -> Any:
    """Return the risk limits of an account."""
    return _limits(e.limits, which)


@inner
def world_of(e: Any, world: int) -> Any:
    """Return the scratch record of a world."""
    return _worlds(e.worlds, world)


@inner
def delays(e: Any) -> np.ndarray:
    """Return the recorded latencies: requested, at the exchange, heard; ns."""
    array: np.ndarray = carray(_pointer(e.delays), (e.delays_size, 3), np.int64)
    return array


@inner
def tiers(e: Any) -> np.ndarray:
    """Return the fee tiers: traded value from which one holds, maker and taker share."""
    array: np.ndarray = carray(_pointer(e.tiers), (e.tiers_size, 3), np.float64)
    return array


@inner
def slots(e: Any) -> np.ndarray:
    """Return when the orders of an order-by-order tape arrived, by slot."""
    array: np.ndarray = carray(_pointer(e.slots), e.slots_size, np.int64)
    return array
