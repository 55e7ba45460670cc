"""Data quality numbers agree with plain Python on hand-made rows."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from marketprism.book.views import VIEW_DTYPE, ViewStatus
from marketprism.core.block import EventBlock, payload_event
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag, GapReason
from marketprism.core.rows import empty_rows
from marketprism.pipelines.quality import QualityMonitor

_BTC = Instrument(exchange="sim", market_type="spot", symbol="BTC-USDT", tick_size=Decimal("0.1"))
_ONE = Flag.FIRST | Flag.LAST
_GOOD = ViewStatus.HAS_BID | ViewStatus.HAS_ASK | ViewStatus.SYNCED | ViewStatus.VALID
_MINUTE = 60 * 10**9


def _stream(spreads: list[int], latency_ms: list[float]) -> tuple[np.ndarray, np.ndarray]:
    n = len(spreads)
    rows = empty_rows(n)
    rows["ts_event"] = 10 * _MINUTE + np.arange(n)
    rows["ts_recv"] = rows["ts_event"] + (np.array(latency_ms) * 1e6).astype(np.int64)
    rows["kind"], rows["flags"] = EventKind.BOOK_DELTA, _ONE
    top = np.zeros(n, VIEW_DTYPE)
    top["bid"], top["ask"] = 100, 100 + np.array(spreads)
    top["bid_quantity"], top["ask_quantity"] = 3.0, 1.0
    top["status"] = _GOOD
    top["status"][np.array(spreads) == 0] |= np.uint8(ViewStatus.LOCKED)
    return rows, top


def test_spread_states_count_complete_messages_only() -> None:
    rows, top = _stream([1, 1, 2, 5, 0, 1], [1.0] * 6)
    rows["flags"][5] = Flag.FIRST  # the message is not complete
    monitor = QualityMonitor((_BTC,))
    monitor.observe(0, rows, top)
    states = monitor.summary().spread["pooled"]
    assert (states.one, states.two, states.three_plus) == pytest.approx((0.5, 0.25, 0.25))
    assert states.locked == pytest.approx(0.2)
    assert states.messages == 5
    assert monitor.summary().events == {"orderbook_delta": 5}


def test_auctions_and_unsynchronised_books_do_not_count() -> None:
    rows, top = _stream([1, 2, 3], [0.0] * 3)
    rows["flags"][0] |= np.uint8(Flag.AUCTION)
    top["status"][1] = ViewStatus.HAS_BID | ViewStatus.HAS_ASK
    monitor = QualityMonitor((_BTC,))
    monitor.observe(0, rows, top)
    states = monitor.summary().spread[_BTC.key]
    assert states.three_plus == 1.0
    assert states.messages == 1


@pytest.mark.parametrize("shift", [-1268.0, 0.0, 35.5, 3_600_000.0])
def test_clock_skew_is_the_median_difference_within_a_per_mille(shift: float) -> None:
    jitter = np.linspace(-0.2, 0.2, 101) * abs(shift) / 10
    rows, top = _stream([1] * 101, list(shift + jitter))
    monitor = QualityMonitor((_BTC,))
    monitor.observe(0, rows, top)
    summary = monitor.summary()
    assert summary.clock_skew_ms == pytest.approx(shift, rel=2e-3)
    assert summary.clock_min_ms == pytest.approx(shift + jitter[0], abs=1e-5)
    assert summary.clock_max_ms == pytest.approx(shift + jitter[-1], abs=1e-5)


def test_blocks_add_up() -> None:
    rows, top = _stream([1, 2, 3, 1, 1], [1.0, 2.0, 3.0, 4.0, 5.0])
    whole, parts = QualityMonitor((_BTC,)), QualityMonitor((_BTC,))
    whole.observe(0, rows, top)
    for i in range(5):
        parts.observe(0, rows[i : i + 1], top[i : i + 1])
    a, b = whole.summary(), parts.summary()
    assert a.spread == b.spread
    assert a.clock_skew_ms == b.clock_skew_ms
    assert np.array_equal(a.spread_day, b.spread_day)
    assert a.imbalance_day[10, 15] == 5
    assert np.array_equal(a.imbalance_day, b.imbalance_day)


def test_gaps_in_the_stream_are_listed_with_reason_and_loss() -> None:
    row, own = payload_event(EventKind.GAP, ts_event=5, ts_recv=6, reason=int(GapReason.SEQUENCE), lost_sequences=12)
    monitor = QualityMonitor((_BTC,))
    monitor.observe_gaps(0, EventBlock(row, (_BTC,), {int(EventKind.GAP): own}))
    summary = monitor.summary()
    assert summary.gap_count == 1
    assert (summary.gaps[0].reason, summary.gaps[0].lost_sequences, summary.gaps[0].ts) == ("sequence", 12, 6)


def test_nothing_seen_is_said() -> None:
    summary = QualityMonitor((_BTC,)).summary()
    assert summary.events == {}
    assert np.isnan(summary.clock_skew_ms)
