"""Market generators: Markov and queue-reactive books, queue race, Hawkes flow, agents; all stream like a source."""

from __future__ import annotations

from marketprism.simulate.agents import AgentMarket, AgentMarketConfig, agent_accounts
from marketprism.simulate.calibrate import CALIBRATIONS, calibrate
from marketprism.simulate.calibrate_queues import Calibration, Estimate
from marketprism.simulate.config import FlowConfig, MarketConfig
from marketprism.simulate.cont_de_larrard import up_probability, up_probability_table
from marketprism.simulate.cst import QueueRates
from marketprism.simulate.facts import FACTS, Fact, StylisedFacts, facts_table, stylised_facts
from marketprism.simulate.feed import FeedConfig
from marketprism.simulate.first_passage import mid_up_table
from marketprism.simulate.flow import Order, OrderFlow, order_flow
from marketprism.simulate.hawkes import (
    HawkesEvents,
    HawkesParameters,
    ResidualTest,
    residual_test,
    residuals,
    simulate_hawkes,
)
from marketprism.simulate.hawkes_fit import HawkesFit, fit_hawkes, hawkes_log_likelihood
from marketprism.simulate.hawkes_market import HawkesMarket, HawkesMarketConfig
from marketprism.simulate.imbalance_reactive import ImbalanceRates, ImbalanceReactiveConfig, ImbalanceReactiveMarket
from marketprism.simulate.market import MarkovMarket
from marketprism.simulate.models import MODELS, MarketModel, market_config, open_market
from marketprism.simulate.queue_race import QueueRaceConfig, QueueRaceMarket
from marketprism.simulate.queue_reactive import QueueReactiveConfig, QueueReactiveMarket, ReactiveRates
from marketprism.simulate.recording import Recording, record_market
from marketprism.simulate.stream import Market

__all__ = [
    "CALIBRATIONS",
    "FACTS",
    "MODELS",
    "AgentMarket",
    "AgentMarketConfig",
    "Calibration",
    "Estimate",
    "Fact",
    "FeedConfig",
    "FlowConfig",
    "HawkesEvents",
    "HawkesFit",
    "HawkesMarket",
    "HawkesMarketConfig",
    "HawkesParameters",
    "ImbalanceRates",
    "ImbalanceReactiveConfig",
    "ImbalanceReactiveMarket",
    "Market",
    "MarketConfig",
    "MarketModel",
    "MarkovMarket",
    "Order",
    "OrderFlow",
    "QueueRaceConfig",
    "QueueRaceMarket",
    "QueueRates",
    "QueueReactiveConfig",
    "QueueReactiveMarket",
    "ReactiveRates",
    "Recording",
    "ResidualTest",
    "StylisedFacts",
    "agent_accounts",
    "calibrate",
    "facts_table",
    "fit_hawkes",
    "hawkes_log_likelihood",
    "market_config",
    "mid_up_table",
    "open_market",
    "order_flow",
    "record_market",
    "residual_test",
    "residuals",
    "simulate_hawkes",
    "stylised_facts",
    "up_probability",
    "up_probability_table",
]
