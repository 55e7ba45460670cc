"""Makers of different latency in one queue: one slow among fast ones, one fast among slow ones, and twins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from marketprism.backtest.engine import Engine
from marketprism.backtest.evidence import PairedPnl, paired_pnl
from marketprism.backtest.result import AccountReport, summarize
from marketprism.evaluate.bootstrap import block_length, interval, plan_blocks, resample_sums
from marketprism.evaluate.metric import Metric
from marketprism.evaluate.multiple import holm
from marketprism.studies.lanes import Ground, Maker, increments, replay
from marketprism.studies.standing import Standing, first_in_line, standings

__all__ = ["RANDOM_MS", "Duel", "Entrant", "Race", "corrected_p", "run_duels", "run_race"]

_Floats = npt.NDArray[np.float64]
RANDOM_MS = 0.1
"""Mean of the random time on top of every message, so that no seat is served first among equals."""


@dataclass(frozen=True)
class Entrant:
    """One maker whose latency differs from that of the others in its world.

    Attributes
    ----------
    maker : Maker
        Who.
    own_ms, others_ms : float
        One-way latency of the maker, and of all others.
    account : AccountReport
        What it earned and by what.
    standing : Standing
        How its orders joined the queues.
    pnl_more, spread_more : PairedPnl, optional
        Its P&L and its spread capture less those of the same maker where all have the lowest latency; None there.
    pnl_p, spread_p : float
        Their p-values at the highest latency after Holm's correction over the makers, each kind by itself; else NaN.
    """

    maker: Maker
    own_ms: float
    others_ms: float
    account: AccountReport
    standing: Standing
    pnl_more: PairedPnl | None = None
    spread_more: PairedPnl | None = None
    pnl_p: float = math.nan
    spread_p: float = math.nan


@dataclass(frozen=True)
class Race:
    """Every maker as the odd one out, at every latency.

    Attributes
    ----------
    latencies_ms : tuple of float
        Rising; at the first all are alike.
    entrants : mapping of str to list of Entrant
        By name of the maker, in the order of the latencies.
    """

    latencies_ms: tuple[float, ...]
    entrants: dict[str, list[Entrant]]


@dataclass(frozen=True)
class Duel:
    """Two makers that differ in latency alone, in one queue.

    Attributes
    ----------
    latencies_ms : tuple of float
        One-way, of the first and the second.
    accounts : tuple of AccountReport
        Of both.
    share : Metric
        The second's share of the volume of both, with a paired block-bootstrap interval; one half if they are equals.
    pnl : PairedPnl
        P&L of the first less that of the second.
    met_s : float
        How long both stood at the same price, both sides added up, seconds.
    first : float
        Share of that time in which the first stood ahead of the second; NaN if they never met.
    """

    latencies_ms: tuple[float, float]
    accounts: tuple[AccountReport, AccountReport]
    share: Metric
    pnl: PairedPnl
    met_s: float
    first: float

    @property
    def volume(self) -> float:
        """Base units that both executed."""
        return self.accounts[0].volume + self.accounts[1].volume


def run_race(ground: Ground, makers: Sequence[Maker], *, slow: bool, equals: Race | None = None) -> Race:
    """Let every maker in turn be the odd one out among the others.

    Parameters
    ----------
    ground : Ground
        Tape and settings.
    makers : sequence of Maker
        Of one world, at most one order a side each.
    slow : bool
        The odd one gets slower while the others stay at the lowest latency; else the others get slower.
    equals : Race, optional
        Another race of these makers, whose start, where all are alike, is the same.
    """
    latencies = tuple(sorted(ground.config.latencies_ms))
    lowest = latencies[0]
    worlds = [[odd, *(maker for maker in makers if maker is not odd)] for odd in makers]
    entrants: dict[str, list[Entrant]] = {maker.name: [] for maker in makers}
    if equals is not None:
        entrants = {name: found[:1] for name, found in equals.entrants.items()}
    for latency in latencies if equals is None else latencies[1:]:
        more = latency - lowest
        extra = [more] + [0.0] * (len(makers) - 1) if slow else [0.0] + [more] * (len(makers) - 1)
        engine = _replay(ground, worlds, lowest, extra)
        own, others = (latency, lowest) if slow else (lowest, latency)
        places = standings(engine)[:: len(makers)]
        for odd, account, standing in zip(makers, _accounts(ground, engine, agents=[0]), places, strict=True):
            entrant = Entrant(odd, own, others, account, standing)
            if entrants[odd.name]:
                equal = entrants[odd.name][0].account
                gains = [_paired(ground, account, equal, of) for of in ("equity", "spread_capture")]
                entrant = replace(entrant, pnl_more=gains[0], spread_more=gains[1])
            entrants[odd.name].append(entrant)
    return Race(latencies, _corrected(entrants))


def run_duels(ground: Ground, maker: Maker) -> tuple[AccountReport, list[Duel]]:
    """Put a maker and its twin in one queue; the twin gets slower.

    Returns
    -------
    alone : AccountReport
        The maker without the twin, at the lowest latency.
    duels : list of Duel
        The twin at every latency, the first's being the lowest.
    """
    latencies = sorted(ground.config.latencies_ms)
    alone = _accounts(ground, _replay(ground, [[maker]], latencies[0], [0.0]))[0]
    return alone, [_duel(ground, maker, (latencies[0], latency)) for latency in latencies]


def _replay(ground: Ground, worlds: Sequence[Sequence[Maker]], latency_ms: float, extra: Sequence[float]) -> Engine:
    # Without a random time, equals would be served in the order of their seats: always the same one first.
    jitter = max(RANDOM_MS, ground.config.market.jitter_ms)
    return replay(ground, worlds, latency_ms=latency_ms, agent_latency_ms=extra, jitter_ms=jitter)


def _duel(ground: Ground, maker: Maker, latencies: tuple[float, float]) -> Duel:
    engine = _replay(ground, [[maker, maker]], latencies[0], [0.0, latencies[1] - latencies[0]])
    first, second = _accounts(ground, engine)
    volumes = [_volume_by_bar(engine, agent, first.equity["ts"].to_numpy()) for agent in (0, 1)]
    met, ahead = first_in_line(engine)
    return Duel(
        latencies, (first, second), _share(ground, volumes[1], volumes[0]), _paired(ground, first, second), met, ahead
    )  # fmt: skip


def _accounts(ground: Ground, engine: Engine, agents: Sequence[int] | None = None) -> list[AccountReport]:
    return summarize(engine, markout_s=ground.config.markout_s, bar_s=ground.config.bar_s, agents=agents)


def _paired(ground: Ground, first: AccountReport, second: AccountReport, of: str = "equity") -> PairedPnl:
    config = ground.config
    return paired_pnl(
        increments(first, of), increments(second, of),
        replications=config.replications, level=config.confidence, seed=config.seed,
    )  # fmt: skip


def _volume_by_bar(engine: Engine, agent: int, ends: npt.NDArray[np.int64]) -> _Floats:
    log = engine.responses()
    mine = log.filter((log["agent"] == agent) & (log["executed"] > 0))
    bar = np.searchsorted(ends, mine["exchange_ts"].to_numpy(), side="left")
    volumes: _Floats = np.bincount(bar, mine["executed"].to_numpy(), len(ends)).astype(np.float64)
    return volumes[: len(ends)]


def _share(ground: Ground, part: _Floats, rest: _Floats) -> Metric:
    """Return a share of the volume; blocks of bars are drawn for both together."""
    config, n = ground.config, len(part)
    total = part.sum() + rest.sum()
    value = float(part.sum() / total) if total > 0 else math.nan
    plan = plan_blocks(n, block_length(n), config.replications, config.seed)
    sums = resample_sums(np.column_stack([part, part + rest]), plan)
    drawn = sums[sums[:, 1] > 0]
    low, high = math.nan, math.nan
    if len(drawn) > config.replications // 2:
        low, high = interval(value, drawn[:, 0] / drawn[:, 1], plan.blocks, config.confidence)
    return Metric(value=value, low=low, high=high, n=n, blocks=plan.blocks, null=0.5)


def _corrected(entrants: dict[str, list[Entrant]]) -> dict[str, list[Entrant]]:
    """Correct the p-values of the largest difference for the number of makers."""
    lasts = [found[-1] for found in entrants.values()]
    corrected = zip(
        *(corrected_p([getattr(one, of) for one in lasts]) for of in ("pnl_more", "spread_more")), strict=True
    )
    return {
        name: [*found[:-1], replace(found[-1], pnl_p=pnl, spread_p=spread)]
        for (name, found), (pnl, spread) in zip(entrants.items(), corrected, strict=True)
    }


def corrected_p(differences: Sequence[PairedPnl | None]) -> list[float]:
    """Return p-values after Holm's correction for their number; NaN where there is none."""
    p = np.array([math.nan if one is None else one.p for one in differences])
    known = np.isfinite(p)
    if known.any():
        p[known] = holm(p[known])
    return [float(value) for value in p]
