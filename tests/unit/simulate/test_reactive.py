"""Queue-reactive markets: stationary laws, what the reference price does, rates by imbalance, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.book.book import Book
from marketprism.core.block import concat
from marketprism.core.errors import ConfigError
from marketprism.core.kinds import EventKind, Flag
from marketprism.simulate.imbalance_reactive import ImbalanceRates, ImbalanceReactiveConfig, ImbalanceReactiveMarket
from marketprism.simulate.queue_reactive import (
    QueueReactiveConfig,
    QueueReactiveMarket,
    ReactiveRates,
    stationary_queue,
)


def test_stationary_laws_with_a_closed_form():
    n = np.arange(40)
    geometric = stationary_queue(np.array([1.0, 1.0]), np.array([0.0, 1.5]))
    np.testing.assert_allclose(geometric[:40], (1 / 3) * (2 / 3) ** n, atol=1e-12)
    poisson = stationary_queue(np.full(40, 3.0), n * 1.0)
    expected = np.exp(-3 + n * math.log(3) - [math.lgamma(k + 1) for k in n])
    np.testing.assert_allclose(poisson[:30], expected[:30], atol=1e-12)
    assert poisson.sum() == pytest.approx(1.0)
    with pytest.raises(ConfigError, match="the longest queue must shrink"):
        stationary_queue(np.array([1.0, 1.0]), np.array([0.0, 1.0]))
    with pytest.raises(ConfigError, match="every queue must be able to shrink"):
        stationary_queue(np.array([1.0, 1.0, 1.0]), np.array([0.0, 0.0, 2.0]))


def _views(market):
    rows = concat(market.blocks()).rows
    whole = (rows["flags"] & Flag.LAST) != 0
    views = Book(market.instrument).push(rows)
    return rows[whole], views.top[whole], views


def test_queues_have_their_stationary_law():
    """Without market orders and with a fixed reference every queue is on its own."""
    rates = ReactiveRates(limit=((1.0, 0.8, 0.6, 0.5),), cancel=((0.0, 0.3, 0.6, 0.9),), market=(0.0, 1e-9))
    config = QueueReactiveConfig(seed=2, duration_s=40_000.0, rates=rates, follow=0.0)
    rows, top, _ = _views(QueueReactiveMarket(config))
    time = np.diff(rows["ts_event"])
    law = stationary_queue(*(np.array(row) for row in (rates.limit[0], rates.cancel[0])))
    # A side's last order stays: sizes from 1 on are in proportion.
    expected = law[1:] / law[1:].sum()
    for name in ("bid_quantity", "ask_quantity"):
        size = np.rint(top[name][:-1] * 10).astype(int)
        ours = np.bincount(size, time) / time.sum()
        np.testing.assert_allclose(ours[1:7], expected[:6], atol=0.015)
    assert np.ptp(top["bid"]) == 0


def test_reference_follows_only_when_asked_to():
    still = QueueReactiveConfig(seed=2, duration_s=3600.0, follow=0.0)
    _, top, _ = _views(QueueReactiveMarket(still))
    assert np.ptp(top["bid"]) < 5
    _, top, _ = _views(QueueReactiveMarket(still.replace(follow=1.0)))
    assert np.ptp(top["bid"]) > 8


def test_renewal_changes_many_levels_at_once():
    base = QueueReactiveConfig(seed=2, duration_s=3600.0, follow=1.0)
    most = []
    for renew in (0.0, 1.0):
        rows = concat(QueueReactiveMarket(base.replace(renew=renew)).blocks()).rows
        updates = rows[rows["kind"] == EventKind.BOOK_DELTA]
        most.append(np.bincount(np.cumsum((updates["flags"] & Flag.FIRST) != 0)).max())
    assert most[0] <= 4
    assert most[1] >= 8


def test_thin_market_keeps_both_sides_alive():
    rates = ReactiveRates(limit=((0.5, 0.1), (0.5, 0.1)), cancel=((0.0, 2.0), (0.0, 2.0)), market=(0.0, 3.0))
    _, top, _ = _views(QueueReactiveMarket(QueueReactiveConfig(duration_s=1200.0, rates=rates)))
    assert (top["ask"] > top["bid"]).all()
    assert np.ptp(top["bid"]) > 5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limit": ((1.0, 1.0),)}, "1 limit and 5 cancel levels"),
        ({"market": (0.0,)}, "not finite and non-negative"),
        ({"limit": ((1.0, 2.0),), "cancel": ((0.0, 1.0),)}, "more cancellations than arrivals"),
        ({"limit": ((0.0, 0.5),), "cancel": ((0.0, 1.0),)}, "an empty queue needs arrivals"),
        ({"market": (0.0, math.inf)}, "not finite"),
    ],
)
def test_wrong_reactive_rates_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        ReactiveRates(**values)


def test_probabilities_are_checked():
    with pytest.raises(ConfigError, match=r"follow was 1.5"):
        QueueReactiveConfig(follow=1.5)
    with pytest.raises(ConfigError, match=r"renew was -0.1"):
        QueueReactiveConfig(renew=-0.1)


def test_market_orders_come_at_the_rates_of_imbalance_and_spread():
    config = ImbalanceReactiveConfig(seed=5, duration_s=7200.0)
    rows, top, _ = _views(ImbalanceReactiveMarket(config))
    # What was in force before each message, and for how long.
    before, wait = top[:-1], np.diff(rows["ts_event"]) / 1e9
    sold = (rows["kind"][1:] == EventKind.TRADE) & (rows["side"][1:] < 0)
    share = before["bid_quantity"] / (before["bid_quantity"] + before["ask_quantity"])
    column = np.minimum((share * 5).astype(int), 4)
    spread = before["ask"] - before["bid"]
    assert sold.sum() > 1500
    for s in (1, 2):
        for k in range(5):
            cell = (spread == s) & (column == k)
            # The update that follows a trade waits no time, so that exposure is counted once.
            expected = config.rates.market[s - 1][k] * wait[cell].sum()
            assert abs(sold[cell].sum() - expected) < 4.5 * math.sqrt(expected) + 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"market": ((1.0,),)}, "one rectangle"),
        ({"deep_limit": 0.0}, "run empty"),
        ({"deep_cancel": math.nan}, "not negative"),
    ],
)
def test_wrong_imbalance_rates_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        ImbalanceRates(**values)


def test_depth_is_checked():
    with pytest.raises(ConfigError, match="depth was 1"):
        ImbalanceReactiveConfig(depth=1)
