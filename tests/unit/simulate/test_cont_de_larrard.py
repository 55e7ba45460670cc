"""The queue race: exact probabilities, the linear system behind long queues, and the market against both."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.core.block import concat
from marketprism.core.errors import ConfigError
from marketprism.core.kinds import EventKind, Flag
from marketprism.simulate.cont_de_larrard import _solved, up_probability, up_probability_table
from marketprism.simulate.first_passage import race_to_zero
from marketprism.simulate.queue_race import QueueRaceConfig, QueueRaceMarket


@pytest.mark.parametrize("rates", [(0.9, 1.0, 0.9, 1.0), (0.5, 1.0, 0.5, 1.0), (0.3, 0.4, 1.1, 2.0)])
@pytest.mark.parametrize("queues", [(1, 1), (3, 7), (12, 2), (8, 8)])
def test_integral_solves_the_linear_system(rates, queues):
    a, m, b, d = rates
    ours = up_probability(*queues, limit=a, removal=m, ask_limit=b, ask_removal=d)
    assert ours == pytest.approx(_solved(*queues, rates), abs=1e-9)


def test_balanced_flow_satisfies_its_one_step_equation():
    """Four equally likely steps: each probability is the mean of its neighbours, 1 and 0 at the edges."""
    p = np.zeros((8, 8))
    p[1:, 0] = 1.0
    p[1:, 1:] = up_probability_table(7)
    inner = (p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2]) / 4
    np.testing.assert_allclose(p[1:-1, 1:-1], inner, atol=1e-9)
    np.testing.assert_allclose(p[1:, 1:] + p[1:, 1:].T, 1.0, atol=1e-9)


def test_long_queues_follow_the_diffusion():
    """P(up) tends to (2 / pi) arctan(bid / ask) for long balanced queues."""
    assert up_probability(200, 100) == pytest.approx(2 / math.pi * math.atan(2), abs=1e-4)
    assert up_probability(100, 100) == pytest.approx(0.5, abs=1e-9)


def test_few_arrivals_are_a_coin_race():
    np.testing.assert_allclose(
        up_probability_table(3, limit=1e-12),
        [[1 / 2, 1 / 4, 1 / 8], [3 / 4, 1 / 2, 5 / 16], [7 / 8, 11 / 16, 1 / 2]],
        atol=1e-9,
    )


def test_where_cancellation_would_eat_the_digits_the_system_is_solved():
    assert up_probability(40, 30, limit=0.4) == pytest.approx(_solved(40, 30, (0.4, 1.0, 0.4, 1.0)), abs=1e-12)
    with pytest.raises(ConfigError, match="outside what can be computed exactly"):
        up_probability(60, 3, limit=0.4, ask_limit=2.0)


def test_growing_queues_may_never_move_the_price():
    up, down = up_probability(4, 2, limit=1.5), up_probability(2, 4, limit=1.5)
    assert 0 < up + down < 1
    # Neither empties with probability (1 - (m/a)^4) (1 - (m/a)^2).
    assert 1 - up - down == pytest.approx((1 - 1.5**-4) * (1 - 1.5**-2), abs=1e-9)


def test_race_with_orders_inside_the_spread_is_a_coin_toss_in_the_limit():
    ones = np.ones(5)
    np.testing.assert_allclose(race_to_zero(ones, ones, ones, ones, 1e9), 0.5, atol=1e-6)


@pytest.mark.parametrize(("queues", "rates"), [((0, 1), {}), ((1, 1), {"limit": 0.0}), ((1, 1), {"removal": math.nan})])
def test_impossible_races_are_refused(queues, rates):
    with pytest.raises(ConfigError, match="were"):
        up_probability(*queues, **rates)


def _next_moves(config):
    rows = concat(QueueRaceMarket(config).blocks()).rows
    updates = rows[rows["kind"] != EventKind.TRADE]
    book = {1: (0, 0), -1: (0, 0)}
    queues, prices = [], []
    for side, price, quantity, flags in zip(
        *(updates[k].tolist() for k in ("side", "price", "quantity", "flags")), strict=True
    ):
        if quantity:
            book[side] = (price, round(quantity * 10))
        if flags & Flag.LAST:
            queues.append((book[1][1], book[-1][1]))
            prices.append(book[1][0])
    return np.array(queues), np.array(prices)


def test_market_moves_as_often_up_as_the_formula_says():
    queues, bid = _next_moves(QueueRaceConfig(seed=4, duration_s=40_000.0, limit=1.0, market=0.6, cancel=0.7))
    epoch = np.concatenate([[0], np.cumsum(np.diff(bid) != 0)])
    step = np.diff(bid[np.flatnonzero(np.diff(epoch, prepend=-1))])
    assert set(np.unique(step)) == {-1, 1}
    checked = 0
    for b, a in ((1, 1), (1, 2), (2, 1), (2, 5), (4, 4), (6, 2)):
        at = np.unique(epoch[(queues == (b, a)).all(axis=1)])
        at = at[at < len(step)]
        p = up_probability(b, a, removal=1.3)
        assert (step[at] > 0).mean() == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / len(at)))
        checked += len(at)
    assert checked > 3000


def test_rates_of_the_market_are_as_configured():
    config = QueueRaceConfig(seed=4, duration_s=20_000.0, limit=1.0, market=0.6, cancel=0.7)
    rows = concat(QueueRaceMarket(config).blocks()).rows
    trades = rows["kind"] == EventKind.TRADE
    assert trades.sum() / 20_000 == pytest.approx(1.2, rel=0.03)
    messages = ((rows["flags"] & Flag.LAST) != 0).sum() - trades.sum() - 1
    assert messages / 20_000 == pytest.approx(2 * 2.3, rel=0.02)


def test_fresh_queues_have_their_means():
    queues, bid = _next_moves(QueueRaceConfig(seed=4, duration_s=20_000.0, limit=0.5, market=1.0, cancel=1.0))
    fresh = np.flatnonzero(np.diff(bid) != 0) + 1
    up = np.diff(bid)[fresh - 1] > 0
    advancing = np.where(up, queues[fresh, 0], queues[fresh, 1])
    retreating = np.where(up, queues[fresh, 1], queues[fresh, 0])
    assert advancing.mean() == pytest.approx(4.0, rel=0.06)
    assert retreating.mean() == pytest.approx(6.0, rel=0.06)
