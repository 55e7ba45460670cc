"""The market generators by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from marketprism.core.errors import ConfigError, did_you_mean
from marketprism.simulate.agents import AgentMarket, AgentMarketConfig
from marketprism.simulate.config import FlowConfig, MarketConfig
from marketprism.simulate.feed import FeedConfig
from marketprism.simulate.hawkes_market import HawkesMarket, HawkesMarketConfig
from marketprism.simulate.imbalance_reactive import ImbalanceReactiveConfig, ImbalanceReactiveMarket
from marketprism.simulate.market import MarkovMarket
from marketprism.simulate.queue_race import QueueRaceConfig, QueueRaceMarket
from marketprism.simulate.queue_reactive import QueueReactiveConfig, QueueReactiveMarket
from marketprism.simulate.stream import Market

__all__ = ["MODELS", "MarketModel", "market_config", "open_market"]


class MarketModel(NamedTuple):
    """A market generator.

    Attributes
    ----------
    config, market : type
        Classes of its configuration and of its market.
    values : mapping
        Values of the configuration that make it what its name says.
    title : str
        What it is, in a line.
    """

    config: type[FeedConfig]
    market: type[Market]
    values: Mapping[str, Any]
    title: str


MODELS: Mapping[str, MarketModel] = {
    "markov": MarketModel(
        MarketConfig, MarkovMarket, {}, "Markov queue book (Cont, Stoikov and Talreja 2010) with correlated order flow"
    ),
    "cst": MarketModel(
        MarketConfig,
        MarkovMarket,
        {"flow": FlowConfig.independent().to_mapping()},
        "Markov queue book (Cont, Stoikov and Talreja 2010): constant rates by distance, unit orders",
    ),
    "cont_de_larrard": MarketModel(
        QueueRaceConfig, QueueRaceMarket, {}, "two best queues that race to empty (Cont and de Larrard 2013)"
    ),
    "queue_reactive": MarketModel(
        QueueReactiveConfig,
        QueueReactiveMarket,
        {},
        "rates by the size of each queue (Huang, Lehalle and Rosenbaum 2015)",
    ),
    "imbalance_reactive": MarketModel(
        ImbalanceReactiveConfig, ImbalanceReactiveMarket, {}, "rates by the imbalance of the best queues and the spread"
    ),
    "hawkes": MarketModel(
        HawkesMarketConfig, HawkesMarket, {}, "market and limit orders that excite each other (Hawkes)"
    ),
    "agents": MarketModel(
        AgentMarketConfig, AgentMarket, {}, "noise traders, informed traders, makers and a spoofer on one book"
    ),
}
"""Every market generator by name, the default one first."""


def market_config(name: str, values: Mapping[str, Any] | None = None) -> FeedConfig:
    """Return the configuration of a generator: its defaults with ``values`` over them.

    Parameters
    ----------
    name : str
        One of :data:`MODELS`.
    values : mapping, optional
        Keys of its configuration class.

    Raises
    ------
    ConfigError
        Unknown name or key, or a value out of range.

    Examples
    --------
    >>> market_config("queue_reactive", {"seed": 7}).seed
    7
    """
    if name not in MODELS:
        raise ConfigError(f"model was {name!r}", hint=did_you_mean(name, MODELS))
    return MODELS[name].config.from_mapping({**MODELS[name].values, **(values or {})})


def open_market(name: str, config: FeedConfig | None = None) -> Market:
    """Return the market of a generator, with its defaults where ``config`` is not given.

    Raises
    ------
    ConfigError
        Unknown name, or the configuration of another generator.

    Examples
    --------
    >>> block = next(iter(open_market("cont_de_larrard").blocks()))
    >>> block.instrument.symbol
    'SIM-USDT'
    """
    config = config if config is not None else market_config(name)
    if name not in MODELS:
        raise ConfigError(f"model was {name!r}", hint=did_you_mean(name, MODELS))
    if not isinstance(config, MODELS[name].config):
        raise ConfigError(
            f"the configuration of {name} was a {type(config).__name__}", hint=f"give a {MODELS[name].config.__name__}"
        )
    make: Any = MODELS[name].market
    market: Market = make(config)
    return market
