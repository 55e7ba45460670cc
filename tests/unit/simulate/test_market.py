"""The simulated stream: integrity, determinism, and that its options do what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pytest

from marketprism.book.book import Book
from marketprism.book.views import ViewStatus
from marketprism.core.block import concat
from marketprism.core.errors import ConfigError
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.timebase import NS
from marketprism.simulate import FlowConfig, MarketConfig, MarkovMarket, QueueRates, kernel, ring

SHORT = MarketConfig(seed=3, duration_s=300.0)


def _rows(config=SHORT, size=65_536):
    return concat(MarkovMarket(config).blocks(size)).rows


@pytest.fixture(scope="module")
def rows():
    return _rows()


def _trades(rows):
    return rows[rows["kind"] == EventKind.TRADE]


@pytest.mark.parametrize("size", [32, 37, 4096])
@pytest.mark.parametrize("flow", [FlowConfig(), FlowConfig.independent()])
def test_block_size_changes_nothing(size, flow):
    config = MarketConfig(seed=3, duration_s=60.0, flow=flow)
    np.testing.assert_array_equal(_rows(config, size), _rows(config))


def test_iterating_twice_gives_the_same():
    market = MarkovMarket(MarketConfig(duration_s=20.0))
    np.testing.assert_array_equal(concat(market.blocks()).rows, concat(market.blocks()).rows)


def test_seeds_are_streams_of_their_own():
    firsts = {_rows(MarketConfig(seed=seed, duration_s=5.0))["price"].tobytes() for seed in (0, 1, 2)}
    assert len(firsts) == 3


def test_two_processes_agree():
    code = (
        "import hashlib; from marketprism.simulate import *; from marketprism.core.block import concat\n"
        "rows = concat(MarkovMarket(MarketConfig(seed=3, duration_s=60.0)).blocks()).rows\n"
        "print(hashlib.sha256(repr(rows.tolist()).encode()).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert len(runs[0].strip()) == 64
    assert runs[0] == runs[1]


def test_messages_times_and_ids(rows):
    first, last = (rows["flags"] & Flag.FIRST) != 0, (rows["flags"] & Flag.LAST) != 0
    np.testing.assert_array_equal(first[1:], last[:-1])
    assert first[0]
    assert last[-1]
    assert (np.diff(rows["ts_recv"]) >= 0).all()
    assert (np.diff(rows["ts_event"]) >= 0).all()
    assert rows["ts_event"][0] == SHORT.start_ns
    assert SHORT.start_ns + 299 * NS < rows["ts_event"][-1] < SHORT.start_ns + 300 * NS
    snapshot = rows["kind"] == EventKind.BOOK_SNAPSHOT
    assert snapshot[: snapshot.sum()].all()
    assert first[: snapshot.sum()].sum() == 1
    updates = rows[(rows["kind"] == EventKind.BOOK_DELTA) & first]
    assert (updates["previous_id"][1:] == updates["event_id"][:-1]).all()
    assert (updates["first_id"] == updates["event_id"]).all()
    assert updates["previous_id"][0] == rows["event_id"][0]
    assert (np.diff(_trades(rows)["event_id"]) == 1).all()


def test_latency_is_as_configured(rows):
    latency = (rows["ts_recv"] - rows["ts_event"]) / 1e6
    assert latency.min() >= 1.5
    assert np.median(latency) == pytest.approx(1.5 + 0.5 * np.log(2), abs=0.1)
    # One message in a thousand is 20 times later.
    assert 0.0002 < (latency > 11.5).mean() < 0.002
    none = _rows(SHORT.replace(latency_ms=0.0, jitter_ms=0.0))
    np.testing.assert_array_equal(none["ts_recv"], none["ts_event"])
    np.testing.assert_array_equal(none["price"], rows["price"])


def test_book_is_never_crossed_and_quantities_are_lots(rows):
    views = Book(MarkovMarket(SHORT).instrument).push(rows)
    whole = views.top[np.flatnonzero(rows["flags"] & Flag.LAST)]
    assert ((whole["status"] & ViewStatus.VALID) != 0).all()
    assert (whole["ask"] > whole["bid"]).all()
    lots = rows["quantity"] * 10
    np.testing.assert_array_equal(rows["quantity"], np.rint(lots) / 10)


@pytest.mark.parametrize("flow", [FlowConfig(), FlowConfig.independent(), FlowConfig(order_lots=60.0)])
def test_trades_take_what_the_book_showed(flow):
    """Replay levels in a dict: each trade hits the best quote of its side, and the update after it is what remains."""
    rows = _rows(SHORT.replace(flow=flow.to_mapping(), duration_s=120.0))
    book: dict[int, dict[int, int]] = {1: {}, -1: {}}
    expected: dict[int, int] = {}
    swept = 0
    for row in rows:
        side, price, lots = int(row["side"]), int(row["price"]), round(float(row["quantity"]) * 10)
        if row["kind"] == EventKind.TRADE:
            quotes = book[-side]
            live = {p: n for p, n in quotes.items() if expected.get(p, n) > 0}
            assert price == (min(live) if side > 0 else max(live))
            assert 0 < lots <= quotes[price]
            expected[price] = quotes[price] - lots
            swept += len(expected) > 1
            continue
        if expected:
            assert lots == expected.pop(price)
        assert lots >= 0
        book[side][price] = lots
        if lots == 0:
            del book[side][price]
        if row["flags"] & Flag.LAST and row["kind"] == EventKind.BOOK_DELTA:
            assert not expected
            assert max(book[1]) < min(book[-1])
    assert swept > 0 or flow.order_lots == 1


def test_mean_rates(rows):
    """Market orders come at .94 a second and side whatever the excitation; orders have the configured mean size."""
    config = MarketConfig(seed=5, duration_s=7200.0)
    for flow in (FlowConfig.independent(), FlowConfig(market_tilt=0.0, activity_sd=0.0, excitation=0.5)):
        trades = _trades(_rows(config.replace(flow=flow.to_mapping())))
        orders = np.unique(trades["ts_event"])
        assert len(orders) / 7200 == pytest.approx(2 * 0.94, rel=0.05)
    fast = _trades(
        _rows(config.replace(flow=FlowConfig().independent().to_mapping(), rate_scale=3.0, duration_s=2400.0))
    )
    assert len(np.unique(fast["ts_event"])) / 2400 == pytest.approx(6 * 0.94, rel=0.05)
    totals = np.bincount(np.unique(trades["ts_event"], return_inverse=True)[1], trades["quantity"] * 10)
    assert totals.mean() == pytest.approx(5.0, rel=0.06)


def test_rate_scale_leaves_the_branching_ratio_alone():
    flow = FlowConfig(market_tilt=0.0, activity_sd=0.0, excitation=0.5, order_lots=1.0)
    trades = _trades(_rows(MarketConfig(seed=5, duration_s=2400.0, rate_scale=3.0, flow=flow)))
    assert len(trades) / 2400 == pytest.approx(6 * 0.94, rel=0.07)


def test_order_size_scales_the_book_and_not_its_shape():
    """Cancellation is for each order: five-lot orders make a book five times as deep."""
    totals = []
    for lots in (1.0, 5.0):
        flow = FlowConfig.independent().replace(order_lots=lots)
        openings = [next(MarkovMarket(MarketConfig(seed=seed, flow=flow)).blocks()).rows for seed in range(8)]
        totals.append(np.mean([rows["quantity"].sum() for rows in openings]))
    assert totals[1] / totals[0] == pytest.approx(5.0, rel=0.15)


def test_cancellation_rate_is_the_sum_over_levels():
    queue = np.zeros(ring.MASK + 1, np.int64)
    lots = {99: 3, 97: 2, 96: 1, 80: 7}
    for price, n in lots.items():
        queue[price] = n
    cancel = np.array(QueueRates().cancel)
    expected = sum(n * QueueRates().cancel_at(100 - price) for price, n in lots.items())
    assert kernel.cancel_rate(queue, cancel, 100, -1, 13) == pytest.approx(expected)


def test_tilt_changes_how_many_limit_orders_come_and_not_where():
    shares = []
    for tilt in (0.0, 0.5):
        flow = FlowConfig.independent().replace(limit_tilt=tilt)
        rows = _rows(MarketConfig(seed=5, duration_s=600.0, flow=flow))
        top = Book(MarkovMarket(SHORT).instrument).push(rows).top[:-1]
        delta = rows[1:]["kind"] == EventKind.BOOK_DELTA
        away = np.where(rows[1:]["side"] > 0, top["ask"] - rows[1:]["price"], rows[1:]["price"] - top["bid"])
        shares.append((away[delta] == 20).mean())
    assert shares[1] == pytest.approx(shares[0], rel=0.3)


def _sign_correlation(flow):
    trades = _trades(_rows(MarketConfig(seed=5, duration_s=3600.0, flow=flow)))
    _, first = np.unique(trades["ts_event"], return_index=True)
    sign = trades["side"][first].astype(float)
    return np.corrcoef(sign[1:], sign[:-1])[0, 1]


def test_flow_is_correlated_only_when_asked_for():
    assert _sign_correlation(FlowConfig()) > 0.04
    assert _sign_correlation(FlowConfig(excitation=0.6)) > 0.1
    assert abs(_sign_correlation(FlowConfig.independent())) < 0.04
    drift = FlowConfig(excitation=0.0, market_tilt=0.6)
    assert _sign_correlation(drift) > 0.15


def test_drift_tilts_limit_and_cancel_flow():
    """Either loading alone makes prices wander much farther than independent flow does."""
    base = _rows(MarketConfig(seed=5, duration_s=1800.0, flow=FlowConfig.independent()))
    for name in ("limit_tilt", "cancel_tilt"):
        flow = FlowConfig.independent().replace(**{name: 0.3, "drift_half_life_s": 60.0})
        rows = _rows(MarketConfig(seed=5, duration_s=1800.0, flow=flow))
        top = Book(MarkovMarket(SHORT).instrument).push(rows).top
        quiet = Book(MarkovMarket(SHORT).instrument).push(base).top
        spans = [np.ptp(view["bid"][(view["status"] & ViewStatus.VALID) != 0]) for view in (top, quiet)]
        assert spans[0] > 2 * spans[1]


def test_far_levels_come_from_the_power_law():
    rates = QueueRates()
    assert rates.limit_at(5) == 0.77
    assert rates.limit_at(6) == pytest.approx(1.92 / 6**0.52)
    assert rates.limits(7).tolist() == [rates.limit_at(i) for i in range(1, 8)]
    assert rates.cancel_at(50) == 0.47


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"duration_s": 0.0}, "duration_s was 0.0"),
        ({"rate_scale": float("nan")}, "rate_scale was nan"),
        ({"latency_ms": -1.0}, "latency_ms was -1.0"),
        ({"depth": 1}, "depth was 1"),
        ({"lots_per_unit": 3}, "lots_per_unit was 3"),
        ({"initial_price": Decimal("100.005")}, "multiple of the tick"),
        ({"initial_price": Decimal("1.00")}, "at least 200 ticks"),
        ({"tick_size": Decimal(0)}, "multiple of the tick"),
    ],
)
def test_wrong_market_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        MarketConfig(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"excitation": 1.0}, "excitation was 1.0"),
        ({"order_lots": 0.5}, "order_lots was 0.5"),
        ({"market_tilt": float("inf")}, "market_tilt was inf"),
        ({"drift_half_life_s": 0.0}, "drift_half_life_s was 0.0"),
        ({"activity_sd": -0.1}, "activity_sd was -0.1"),
    ],
)
def test_wrong_flow_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        FlowConfig(**values)


def test_wrong_rates_are_refused():
    with pytest.raises(ConfigError, match="queue rates were"):
        QueueRates(limit=(1.0, -1.0))


def test_block_size_must_hold_one_event():
    with pytest.raises(ConfigError, match="block size was 31"):
        next(MarkovMarket(SHORT).blocks(31))


def test_price_that_falls_to_zero_is_an_error():
    flow = FlowConfig.independent().replace(limit_tilt=3.0, drift_half_life_s=1e9)
    config = MarketConfig(initial_price=Decimal("2.00"), duration_s=10_000.0, flow=flow)
    with pytest.raises(ConfigError, match="fell to"):
        list(map(_rows, (config.replace(seed=seed) for seed in range(6))))
