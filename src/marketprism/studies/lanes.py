"""Makers side by side on one tape, each with its account and what luck could have made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marketprism.backtest.engine import Engine
from marketprism.backtest.evidence import PairedPnl, TrackRecord, paired_pnl, track_records
from marketprism.backtest.result import AccountReport, summarize
from marketprism.backtest.signals import SignalTape
from marketprism.backtest.tape import Tape
from marketprism.strategies.runner import simulate
from marketprism.studies.config import StudyConfig
from marketprism.studies.control import InventoryControl, inventory_control

__all__ = ["Ground", "Lane", "Maker", "compare", "increments", "replay", "run_makers", "ticks_text"]

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
    distances : tuple of float
        From the mid to the quotes of symmetric makers, ticks; see
        :func:`~marketprism.studies.distances.typical_distances`.
    """

    tape: Tape
    config: StudyConfig
    quantity: float
    signals: SignalTape | None = None
    mids: tuple[npt.NDArray[np.int64], _Floats] | None = None
    distances: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)

    @property
    def nearest(self) -> float:
        """Smallest of the distances, ticks."""
        return min(self.distances)


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


def replay(
    ground: Ground,
    worlds: Sequence[Sequence[Maker]],
    *,
    latency_ms: float | None = None,
    agent_latency_ms: Sequence[float] | None = None,
    jitter_ms: float | None = None,
) -> Engine:
    """Replay the tape once with some makers in each of several worlds, equally many in each.

    Parameters
    ----------
    ground : Ground
        Tape and settings.
    worlds : sequence of sequence of Maker
        Makers of one world stand in one queue; worlds do not see each other.
    latency_ms : float, optional
        One-way latency in place of the market's.
    agent_latency_ms : sequence of float, optional
        On top of it, by the maker's place in its world, in place of the market's.
    jitter_ms : float, optional
        Mean of a random time on top of it, drawn for each message, in place of the market's.

    Returns
    -------
    Engine
        At the end of its data; its lanes are the worlds, its agents the makers of each.
    """
    config = ground.config
    market = config.market
    if latency_ms is not None:
        market = market.replace(entry_latency_ms=latency_ms, response_latency_ms=latency_ms)
    if agent_latency_ms is not None:
        market = market.replace(agent_latency_ms=tuple(agent_latency_ms))
    if jitter_ms is not None:
        market = market.replace(jitter_ms=jitter_ms)
    common = {"warmup_s": config.warmup_s, "order_quantity": ground.quantity}
    engine: Engine = simulate(
        [ground.tape],
        [maker.strategy for maker in worlds[0]],
        [[{"strategy": maker.strategy, **common, **maker.parameters} for maker in world] for world in worlds],
        markets=(market,),
        interval_ms=config.interval_ms,
        signals=ground.signals,
    )
    return engine


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
    engine = replay(ground, [makers] if together else [[maker] for maker in makers], latency_ms=latency_ms)
    accounts = summarize(engine, markout_s=config.markout_s, bar_s=config.bar_s)
    bars = [increments(account) for account in accounts]
    records = track_records(bars, replications=config.replications, level=config.confidence, seed=config.seed)
    return [
        Lane(maker, account, gained, record, inventory_control(account.equity["position"].to_numpy(), config.bar_s))
        for maker, account, gained, record in zip(makers, accounts, bars, records, strict=True)
    ]


def ticks_text(distance: float) -> str:
    """Return a distance as makers are named by it.

    Examples
    --------
    >>> ticks_text(1.0), ticks_text(4.5)
    ('1 tick', '4.5 ticks')
    """
    return f"{distance:g} tick" if distance == 1 else f"{distance:g} ticks"


def increments(account: AccountReport, of: str = "equity") -> _Floats:
    """Return the P&L of each bar of an account, or another column of its equity curve that adds up."""
    gained: _Floats = np.diff(account.equity[of].to_numpy(), prepend=0.0)
    return gained


def compare(ground: Ground, lane: Lane, base: Lane) -> PairedPnl:
    """Compare the P&L of two lanes of one replay, bar by bar."""
    config = ground.config
    return paired_pnl(
        lane.increments, base.increments, replications=config.replications, level=config.confidence, seed=config.seed
    )
