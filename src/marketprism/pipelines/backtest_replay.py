"""A replay with all that was measured on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from marketprism.backtest.evidence import TrackRecord
from marketprism.backtest.result import AccountReport
from marketprism.evaluate.trials import Trials
from marketprism.ingest.source import IngestReport
from marketprism.pipelines.backtest_config import BacktestConfig
from marketprism.pipelines.market_tape import MarketTape

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Replay", "increments_of"]


@dataclass(frozen=True)
class Replay:
    """One replay with all that was measured on it.

    Attributes
    ----------
    strategy : str
        Registry name or ``path.py:Name``.
    lanes : sequence of mapping
        Parameters of each lane.
    config : BacktestConfig
        Everything else.
    source : str
        Text of the source.
    market : MarketTape
        What was replayed.
    ingest : IngestReport
        What reading it rejected and noted.
    accounts : sequence of AccountReport
        One for each lane.
    records : sequence of TrackRecord
        The same, as evidence.
    orders, fills : polars.DataFrame
        Every response heard, every execution.
    trials : Trials
        How much was tried on these data.
    signals : tuple of str
        Names of the signals that the strategy saw.
    """

    strategy: str
    lanes: Sequence[Mapping[str, Any]]
    config: BacktestConfig
    source: str
    market: MarketTape
    ingest: IngestReport
    accounts: Sequence[AccountReport]
    records: Sequence[TrackRecord]
    orders: pl.DataFrame
    fills: pl.DataFrame
    trials: Trials
    signals: tuple[str, ...] = ()

    @property
    def best(self) -> int:
        """The lane with the largest P&L among those that traded; the first of equals, and where none traded."""
        return max(range(len(self.accounts)), key=lambda k: (self.accounts[k].trades > 0, self.accounts[k].pnl))

    @property
    def unit(self) -> str:
        """Currency of the P&L: the quote currency, or the base currency of an inverse contract."""
        return self.market.currency(inverse=self.config.market.inverse)


def increments_of(account: AccountReport) -> np.ndarray:
    """Return the P&L of each bar of an account's equity curve."""
    return np.diff(account.equity["equity"].to_numpy(), prepend=0.0)
