"""Market generators: Markov queue book, queue race, queue-reactive books; each a stream of events like any source."""

from __future__ import annotations

from marketprism.simulate.config import FlowConfig, MarketConfig
from marketprism.simulate.cont_de_larrard import up_probability, up_probability_table
from marketprism.simulate.cst import QueueRates
from marketprism.simulate.feed import FeedConfig
from marketprism.simulate.first_passage import mid_up_table
from marketprism.simulate.imbalance_reactive import ImbalanceRates, ImbalanceReactiveConfig, ImbalanceReactiveMarket
from marketprism.simulate.market import MarkovMarket
from marketprism.simulate.queue_race import QueueRaceConfig, QueueRaceMarket
from marketprism.simulate.queue_reactive import QueueReactiveConfig, QueueReactiveMarket, ReactiveRates
from marketprism.simulate.stream import Market

__all__ = [
    "FeedConfig",
    "FlowConfig",
    "ImbalanceRates",
    "ImbalanceReactiveConfig",
    "ImbalanceReactiveMarket",
    "Market",
    "MarketConfig",
    "MarkovMarket",
    "QueueRaceConfig",
    "QueueRaceMarket",
    "QueueRates",
    "QueueReactiveConfig",
    "QueueReactiveMarket",
    "ReactiveRates",
    "mid_up_table",
    "up_probability",
    "up_probability_table",
]
