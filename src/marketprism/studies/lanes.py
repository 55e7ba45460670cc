"""Makers side by side on one tape, each with its account and what luck could have made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marketprism.backtest.evidence import PairedPnl, TrackRecord, paired_pnl, track_records
from marketprism.backtest.result import AccountReport, summarize
from marketprism.backtest.signals import SignalTape
from marketprism.backtest.tape import Tape
from marketprism.strategies.runner import simulate
from marketprism.studies.config import StudyConfig
from marketprism.studies.control import InventoryControl, inventory_control

__all__ = ["Ground", "Lane", "Maker", "compare", "run_makers"]

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ground:
    """What all studies of one tape share.

    Attributes
    ----------
    tape : Tape
        The market.
    config : StudyConfig
        Settings.
    quantity : float
        Of everybody's orders, base units.
    signals : SignalTape, optional
        Factors, and predictions where a run folder was given.
    mids : tuple of ndarray
        Times on the tape's local clock (ns) and mids at them (quote currency) of the rows behind the signals.
    """

    tape: Tape
    config: StudyConfig
    quantity: float
    signals: SignalTape | None = None
    mids: tuple[npt.NDArray[np.int64], _Floats] | None = None


@dataclass(frozen=True)
class Maker:
    """A strategy with its settings, under the name that pages call it by."""

    name: str
    strategy: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Lane:
    """A maker and what became of it.

    Attributes
    ----------
    maker : Maker
        Who.
    account : AccountReport
        What it earned and by what.
    increments : ndarray
        P&L of each bar.
    record : TrackRecord
        The P&L as evidence, deflated by the number of lanes of its study.
    control : InventoryControl
        How its position behaves.
    """

    maker: Maker
    account: AccountReport
    increments: _Floats
    record: TrackRecord
    control: InventoryControl

    @property
    def name(self) -> str:
        """Name of the maker."""
        return self.maker.name

    @property
    def risk(self) -> float:
        """Standard deviation of the P&L of a bar."""
        return float(self.increments.std(ddof=1)) if len(self.increments) > 1 else 0.0


def run_makers(
    ground: Ground, makers: Sequence[Maker], *, together: bool = False, latency_ms: float | None = None
) -> list[Lane]:
    """Replay the tape once with all makers.

    Parameters
    ----------
    ground : Ground
        Tape and settings.
    makers : sequence of Maker
        Each in a world of its own.
    together : bool
        All in one world instead: their orders stand in one queue.
    latency_ms : float, optional
        One-way latency in place of the market's.

    Returns
    -------
    list of Lane
        In the order of the makers.
    """
    config = ground.config
    market = config.market
    if latency_ms is not None:
        market = market.replace(entry_latency_ms=latency_ms, response_latency_ms=latency_ms)
    common = {"warmup_s": config.warmup_s, "order_quantity": ground.quantity}
    sets = [{"strategy": maker.strategy, **common, **maker.parameters} for maker in makers]
    engine = simulate(
        [ground.tape],
        [maker.strategy for maker in makers] if together else makers[0].strategy,
        [sets] if together else sets,
        markets=(market,),
        interval_ms=config.interval_ms,
        signals=ground.signals,
    )
    accounts = summarize(engine, markout_s=config.markout_s, bar_s=config.bar_s)
    bars = [np.diff(account.equity["equity"].to_numpy(), prepend=0.0) for account in accounts]
    records = track_records(bars, replications=config.replications, level=config.confidence, seed=config.seed)
    return [
        Lane(
            maker,
            account,
            increments,
            record,
            inventory_control(account.equity["position"].to_numpy(), config.bar_s),
        )
        for maker, account, increments, record in zip(makers, accounts, bars, records, strict=True)
    ]


def compare(ground: Ground, lane: Lane, base: Lane) -> PairedPnl:
    """Compare the P&L of two lanes of one replay, bar by bar."""
    config = ground.config
    return paired_pnl(
        lane.increments, base.increments, replications=config.replications, level=config.confidence, seed=config.seed
    )
