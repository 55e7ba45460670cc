"""The built-in strategies by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from marketprism.core.errors import ConfigError, did_you_mean
from marketprism.strategies.config import (
    AvellanedaStoikovConfig,
    CancelReplaceConfig,
    FixedQuoteConfig,
    GlftConfig,
    InventoryConfig,
    MakerConfig,
    QueueJumperConfig,
    SignalSkewConfig,
    SymmetricConfig,
)

__all__ = ["STRATEGIES", "StrategyInfo", "find_strategy"]


class StrategyInfo(NamedTuple):
    """A built-in strategy: its name, its configuration class and what it does in a line."""

    name: str
    config: type[MakerConfig]
    description: str


STRATEGIES: Mapping[str, StrategyInfo] = MappingProxyType(
    {
        info.name: info
        for info in (
            StrategyInfo("symmetric", SymmetricConfig, "quotes at a fixed distance from the mid"),
            StrategyInfo(
                "avellaneda_stoikov", AvellanedaStoikovConfig, "optimal quotes, with a horizon or without end"
            ),
            StrategyInfo("glft", GlftConfig, "optimal quotes far from the end, closed form or exact"),
            StrategyInfo("signal_skew", SignalSkewConfig, "another maker, its mid moved by factors or a prediction"),
            StrategyInfo("inventory", InventoryConfig, "limits, skew and risk aversion that follow the inventory"),
            StrategyInfo("fixed_quote", FixedQuoteConfig, "joins the best prices and keeps its place in the queue"),
            StrategyInfo("queue_jumper", QueueJumperConfig, "betters the best prices by a tick where there is room"),
            StrategyInfo("cancel_replace", CancelReplaceConfig, "joins the best prices and keeps renewing its quotes"),
        )
    }
)
"""By name, in the order of the reports."""


def find_strategy(name: str) -> StrategyInfo:
    """Return a built-in strategy.

    Raises
    ------
    ConfigError
        There is none of that name.
    """
    if name not in STRATEGIES:
        raise ConfigError(
            f"there is no strategy {name!r}", hint=f"{did_you_mean(name, STRATEGIES)}; your own: path.py:Name"
        )
    return STRATEGIES[name]
