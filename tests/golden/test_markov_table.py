"""Published probabilities of the queue book, and the simulator against the exact solution."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.book.book import Book
from marketprism.core.kinds import Flag
from marketprism.pipelines.selfcheck import oracles, run_selfcheck
from marketprism.simulate import FlowConfig, MarketConfig, MarkovMarket, mid_up_table

_MARKOV = [oracle for oracle in oracles() if oracle.piece.startswith("P(mid up)")]


def test_the_whole_table_is_in_the_registry():
    assert sum("spread 1" in oracle.piece for oracle in _MARKOV) == 25
    assert sum(oracle.tolerance == 1e-3 for oracle in _MARKOV) == 29


@pytest.mark.parametrize("oracle", _MARKOV, ids=lambda oracle: oracle.piece)
def test_published(oracle):
    (result,) = run_selfcheck([oracle])
    assert result.passed, f"{oracle.piece}: {result.ours} against {oracle.published}"


def test_wider_spread_attenuates_and_never_reverses():
    spans = [np.ptp(mid_up_table(spread)) for spread in (1, 2, 3)]
    assert spans[0] > spans[1] > spans[2] > 0.1


def _next_moves(duration_s, seed):
    """Count, by (spread, bid, ask), first visits within one mid and those whose next mid move was up."""
    config = MarketConfig(seed=seed, duration_s=duration_s, depth=8, flow=FlowConfig.independent())
    market = MarkovMarket(config)
    book = Book(market.instrument)
    tops = []
    for block in market.blocks():
        views = book.push(block.rows)
        tops.append(views.top[(block.rows["flags"] & Flag.LAST) != 0].copy())
    top = np.concatenate(tops)
    mid = top["bid"] + top["ask"]
    epoch = np.concatenate([[0], np.cumsum(np.diff(mid) != 0)])
    change = np.sign(np.diff(mid[np.flatnonzero(np.diff(epoch, prepend=-1))]))
    spread = top["ask"] - top["bid"]
    bid, ask = (np.rint(top[name] * 10).astype(np.int64) for name in ("bid_quantity", "ask_quantity"))
    use = (spread <= 3) & (bid <= 5) & (ask <= 5) & (epoch < len(change))
    cell = (spread * 6 + bid) * 6 + ask
    first = np.unique(epoch[use] * 1000 + cell[use])
    visits = np.bincount(first % 1000, minlength=144)
    ups = np.bincount(first % 1000, change[first // 1000] > 0, minlength=144)
    return visits.reshape(4, 6, 6)[1:, 1:, 1:], ups.reshape(4, 6, 6)[1:, 1:, 1:]


def _scores(duration_s, seed):
    visits, ups = _next_moves(duration_s, seed)
    exact = np.stack([mid_up_table(spread) for spread in (1, 2, 3)])
    return visits, (ups - visits * exact) / np.sqrt(np.maximum(visits, 1) * exact * (1 - exact))


def test_simulator_agrees_with_the_solver():
    visits, z = _scores(10_000.0, 1)
    assert (visits > 30).sum() > 65
    assert np.abs(z[visits > 30]).max() < 4.5


@pytest.mark.slow
def test_simulator_agrees_with_the_solver_closely():
    visits, z = _scores(150_000.0, 2)
    assert visits.min() > 50
    assert np.abs(z).max() < 4.5
    # 75 standard scores: their mean square is one.
    assert (z**2).mean() == pytest.approx(1.0, abs=0.6)
