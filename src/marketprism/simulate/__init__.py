"""Market generators: the Markov queue book, with and without correlated order flow."""

from __future__ import annotations

from marketprism.simulate.config import FlowConfig, MarketConfig
from marketprism.simulate.cst import QueueRates
from marketprism.simulate.first_passage import mid_up_table
from marketprism.simulate.market import MarkovMarket

__all__ = ["FlowConfig", "MarketConfig", "MarkovMarket", "QueueRates", "mid_up_table"]
