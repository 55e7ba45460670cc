"""Where buckets close, by hand-made streams."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.book.views import ViewStatus
from marketprism.buckets import BUCKET_DTYPE, BucketClock, BucketConfig, Cut, Trigger
from marketprism.core.errors import ConfigError, DataError, StateError
from marketprism.core.kinds import EventKind, Flag

S = 1_000_000_000


def test_volume_cut_keeps_the_closing_trade_whole(feed):
    run = feed.book(0).trade(1, 4).trade(2, 9, side=-1, price=103).trade(3, 1).run(target_volume=10.0)
    assert run.cuts == [0, 0, 0, Cut.BEFORE]
    assert run.volume == [13.0, 1.0]
    assert (run.buy_volume, run.sell_volume) == ([4.0, 1.0], [9.0, 0.0])
    assert run.trigger == [Trigger.VOLUME, Trigger.END]
    assert run.seconds == [(0, 2), (2, 3)]
    assert run.duration_ns == [2 * S, S]
    assert run.ts_known == [3 * S + 1000, 3 * S + 1000]
    assert (run.trades, run.updates) == ([2, 1], [1, 0])


def test_prices_notional_and_mid(feed):
    feed.book(0).trade(1, 2, price=110).trade(2, 1, price=90).trade(3, 1, price=100)
    feed.book(4, bid=104, ask=107).trade(5, 6, price=105, bid=104, ask=107)
    run = feed.run(target_volume=10.0)
    first = run.buckets[0]
    assert [first[name] for name in ("open", "high", "low", "close")] == [55.0, 55.0, 45.0, 52.5]
    assert first["notional"] == 2 * 55 + 45 + 50 + 6 * 52.5
    assert first["vwap"] == first["notional"] / 10
    assert np.isnan(first["mid_open"])
    assert first["mid_last"] == 52.75
    assert first["spread_last_ticks"] == 3


def test_bucket_without_trades_has_nan_prices(feed):
    run = feed.book(0).book(61).run(target_volume=10.0)
    assert all(np.isnan(run.buckets[0][name]) for name in ("open", "high", "low", "close", "vwap"))
    assert run.volume == [0.0, 0.0]


def test_invalid_book_has_no_mid(feed):
    crossed = ViewStatus.HAS_BID | ViewStatus.HAS_ASK | ViewStatus.SYNCED | ViewStatus.CROSSED
    run = feed.book(0).trade(1, 10).trade(2, 10, status=crossed).trade(3, 10).run(target_volume=10.0)
    assert run.spread_last_ticks == [2, -1, 2]
    assert np.isnan(run.mid_last).tolist() == [False, True, False]
    assert np.isnan(run.mid_open).tolist() == [True, False, True]


@pytest.mark.parametrize("notice", ["trade", "book", "slow"])
def test_time_cut_is_noticed_by_any_event(feed, notice):
    feed.book(0).trade(1, 3).book(10, bid=98)
    feed.trade(70, 1) if notice == "trade" else getattr(feed, notice)(70)
    run = feed.run(target_volume=10.0)
    assert run.cuts == [0, 0, 0, Cut.BEFORE]
    assert run.seconds == [(0, 60), (60, 70)]
    assert run.trigger == [Trigger.TIME, Trigger.END]
    assert run.ts_known[0] == 70 * S + 1000
    assert run.mid_last[0] == 50.0
    assert run.mid_open[1] == 50.0
    assert run.volume == [3.0, 1.0 if notice == "trade" else 0.0]


def test_event_at_the_boundary_belongs_to_the_next_bucket(feed):
    run = feed.book(0).trade(60, 5).run(target_volume=10.0)
    assert run.seconds == [(0, 60), (60, 60 + 1e-9)]
    assert run.volume == [0.0, 5.0]


def test_silence_makes_no_empty_buckets(feed):
    run = feed.book(0).book(59).book(1000).run(target_volume=10.0, t_max_s=50.0)
    assert run.seconds == [(0, 50), (50, 100), (1000, 1000 + 1e-9)]
    assert run.bucket_id == [0, 1, 2]
    after_trade = feed.trade(1001, 10).book(1500).run(target_volume=10.0, t_max_s=50.0)
    assert after_trade.seconds[2:] == [(1000, 1001), (1451, 1500)]


def test_a_row_may_open_a_bucket_and_fill_it(feed):
    run = feed.book(0).trade(70, 10).book(71).run(target_volume=10.0)
    assert run.cuts == [0, Cut.BEFORE, Cut.BEFORE]
    assert run.trigger == [Trigger.TIME, Trigger.VOLUME, Trigger.END]
    assert run.seconds == [(0, 60), (60, 70), (70, 71)]


def test_full_bucket_then_silence_past_the_cap_closes_one_bucket(feed):
    run = feed.book(0).trade(1, 10).book(200).run(target_volume=10.0)
    assert run.cuts == [0, 0, Cut.BEFORE]
    assert run.trigger == [Trigger.VOLUME, Trigger.END]
    assert run.seconds == [(0, 1), (181, 200)]


@pytest.mark.parametrize("book_first", [False, True])
def test_last_mid_of_a_full_bucket_includes_a_book_update_at_the_same_time(feed, book_first):
    feed.book(0)
    if book_first:
        feed.book(1, bid=104, ask=107).trade(1, 10, bid=104, ask=107)
    else:
        feed.trade(1, 10).book(1, bid=104, ask=107)
    run = feed.book(2, bid=90, ask=92).run(target_volume=10.0)
    assert run.cuts == [0, 0, 0, Cut.BEFORE]
    assert run.seconds == [(0, 1), (1, 2)]
    assert (run.mid_last, run.spread_last_ticks) == ([52.75, 45.5], [3, 2])
    assert run.mid_open[1] == 52.75
    assert run.updates == [2, 1]


def test_message_from_the_past_belongs_to_the_full_bucket(feed):
    run = feed.book(0).trade(2, 10).trade(3, 1, ts=S).trade(4, 2).run(target_volume=10.0)
    assert run.cuts == [0, 0, 0, Cut.BEFORE]
    assert run.volume == [11.0, 2.0]
    assert run.seconds == [(0, 2), (2, 4)]


@pytest.mark.parametrize("t_gap", [1, 2, 500])
def test_full_bucket_keeps_its_trigger_at_a_gap(feed, t_gap):
    run = feed.book(0).trade(1, 10).gap(t_gap).book(501).run(target_volume=10.0)
    assert run.cuts == [0, 0, Cut.BEFORE, 0]
    assert run.trigger == [Trigger.VOLUME, Trigger.END]
    assert run.segment == [0, 1]
    assert run.seconds[0] == (0, 1)
    assert run.ts_known[0] == t_gap * S + 1000


def test_full_bucket_keeps_its_trigger_where_the_book_loses_its_sequence_inside_a_message(feed):
    feed.book(0).trade(1, 10).book(1, flags=Flag.FIRST).book(1, flags=Flag.LAST, status=0).trade(2, 1, status=0)
    run = feed.run(target_volume=10.0)
    assert run.cuts == [0, 0, 0, Cut.BEFORE, 0]
    assert run.trigger == [Trigger.VOLUME, Trigger.END]
    assert run.segment == [0, 1]


def test_full_bucket_keeps_its_trigger_at_the_end(feed, instrument):
    clock = BucketClock(instrument, BucketConfig(target_volume=10.0))
    clock.push(*feed.book(0).trade(1, 10).arrays())
    assert clock.flush()["trigger"].tolist() == [Trigger.VOLUME]
    _, buckets = clock.push(*type(feed)().trade(2, 3).trade(3, 1).arrays())
    assert len(buckets) == 0
    assert clock.flush()[["volume", "trigger"]].tolist() == [(4.0, Trigger.END)]


def test_full_bucket_is_saved(feed, instrument):
    clock = BucketClock(instrument, BucketConfig(target_volume=10.0))
    clock.push(*feed.book(0).trade(1, 10).arrays())
    later = type(feed)().trade(1, 1).trade(2, 1).arrays()
    cuts, buckets = BucketClock.load(clock.save()).push(*later)
    assert cuts.tolist() == [0, Cut.BEFORE]
    assert buckets[["volume", "trigger"]].tolist() == [(11.0, Trigger.VOLUME)]


def test_bucket_that_filled_beyond_its_cap_within_a_message_waits_for_its_time_to_pass(feed):
    """A message that spans the cap fills the bucket: the rest of that time is still in it, and it is no time cut."""
    feed.book(0).trade(50, 9, flags=Flag.FIRST).trade(70, 9, flags=Flag.LAST).trade(70, 1).trade(71, 2)
    run = feed.run(target_volume=10.0)
    assert run.cuts == [0, 0, 0, 0, Cut.BEFORE]
    assert run.trigger == [Trigger.VOLUME, Trigger.END]
    assert run.volume == [19.0, 2.0]
    assert run.seconds == [(0, 70), (70, 71)]


def test_same_time_trades_stay_together(feed):
    feed.book(0).trade(1, 10).trade(1, 10).trade(1, 10).trade(2, 10).book(3)
    run = feed.run(target_volume=10.0)
    assert run.volume == [30.0, 10.0, 0.0]
    assert run.cuts == [0, 0, 0, 0, Cut.BEFORE, Cut.BEFORE]
    assert run.seconds == [(0, 1), (1, 2), (2, 3)]


def test_the_time_at_which_a_bucket_started_does_not_fill_it_alone(feed):
    run = feed.trade(0, 10).trade(0, 10).trade(1, 1).trade(2, 1).run(target_volume=10.0)
    assert run.volume == [21.0, 1.0]
    assert run.seconds == [(0, 1), (1, 2)]


def test_cuts_fall_between_messages(feed):
    feed.book(0).trade(1, 10, flags=Flag.FIRST).book(1, flags=0).book(1, flags=Flag.LAST)
    feed.book(50, flags=Flag.FIRST).book(70, flags=Flag.LAST).book(70)
    run = feed.run(target_volume=10.0, t_max_s=60.0)
    assert run.cuts == [0, 0, 0, 0, Cut.BEFORE, 0, Cut.BEFORE]
    assert run.updates == [2, 1, 1]


def test_out_of_order_exchange_times_never_turn_the_clock_back(feed):
    run = feed.book(0).trade(5, 1).trade(6, 1, ts=2 * S).trade(7, 8, ts=3 * S).run(target_volume=10.0)
    assert run.seconds == [(0, 5)]
    assert run.volume == [10.0]


def test_auction_trades_do_not_count_derived_and_hidden_do(feed):
    whole = Flag.FIRST | Flag.LAST
    feed.book(0).trade(1, 100, flags=whole | Flag.AUCTION).trade(2, 1, flags=whole | Flag.DERIVED)
    run = feed.trade(3, 2, flags=whole | Flag.HIDDEN).trade(4, 4, side=0).run(target_volume=50.0)
    assert (run.volume, run.trades) == ([7.0], [3])
    assert (run.buy_volume, run.sell_volume) == ([3.0], [0.0])


def test_gap_row_closes_and_starts_a_segment(feed):
    run = feed.book(0).trade(1, 3).gap(500).trade(501, 2, status=0).book(502).run(target_volume=10.0)
    assert run.cuts == [0, 0, Cut.BEFORE, 0, 0]
    assert run.trigger == [Trigger.GAP, Trigger.END]
    assert run.segment == [0, 1]
    assert run.seconds == [(0, 1), (501, 502)]
    assert run.ts_known[0] == 500 * S + 1000
    assert run.mid_last[0] == 50.5
    assert np.isnan(run.mid_open[1])


def test_lost_sequence_is_a_gap_too_and_is_not_counted_twice(feed):
    feed.book(0).book(1, status=0).gap(2).book(3, status=0).book(4).book(5)
    run = feed.run(target_volume=10.0)
    assert run.cuts == [0, Cut.BEFORE, Cut.BEFORE, 0, 0, 0]
    assert run.segment == [0, 1, 2]
    once = type(feed)().book(0).gap(2).book(3, status=0).run(target_volume=10.0)
    assert once.segment == [0, 1]


def test_gap_right_after_a_cut_writes_no_empty_bucket(feed):
    run = feed.book(0).trade(1, 10).gap(2).book(3).run(target_volume=10.0)
    assert run.trigger == [Trigger.VOLUME, Trigger.END]
    assert run.segment == [0, 1]


def test_a_bucket_that_must_close_where_it_opened_lasts_one_nanosecond(feed):
    run = feed.book(0).gap(0).book(0).run(target_volume=10.0)
    assert run.duration_ns == [1, 1]
    assert run.ts_start[1] >= run.ts_end[0]


def test_flush_of_nothing_is_empty(instrument):
    assert BucketClock(instrument).flush().dtype == BUCKET_DTYPE
    assert len(BucketClock(instrument).flush()) == 0


def test_flush_twice_then_continue(feed, instrument):
    clock = BucketClock(instrument, BucketConfig(target_volume=10.0))
    clock.push(*feed.book(0).trade(1, 3).arrays())
    assert len(clock.flush()) == 1
    assert len(clock.flush()) == 0
    _, buckets = clock.push(*type(feed)().trade(2, 3).trade(3, 8).trade(4, 1).arrays())
    assert buckets["bucket_id"].tolist() == [1]
    assert buckets["volume"].tolist() == [11.0]


def test_more_buckets_than_the_scratch_holds(feed):
    feed.book(0)
    for k in range(700):
        feed.trade(k + 1, 10)
    run = feed.run(target_volume=10.0)
    assert run.bucket_id == list(range(700))
    assert run.ts_end == [(k + 1) * S for k in range(700)]


def test_rounding_does_not_hold_a_bucket_open(feed):
    for k in range(10):
        feed.trade(k, 0.1)
    assert feed.run(target_volume=1.0).trigger == [Trigger.VOLUME]


def test_rows_and_views_of_different_length_are_refused(feed, instrument):
    rows, views = feed.book(0).book(1).arrays()
    with pytest.raises(DataError, match="1 rows came with 2 views"):
        BucketClock(instrument).push(rows[:1], views)


def test_state_of_something_else_is_refused():
    with pytest.raises(StateError):
        BucketClock.load(b"MPS1xxxxnothing")


@pytest.mark.parametrize(
    "values",
    [
        {"policy": "volum"},
        {"target_volume": 0.0},
        {"t_target_s": float("nan")},
        {"t_max_s": 1.0},
        {"min_volume": 2.0, "max_volume": 1.0},
        {"min_trades": -1},
        {"completion": 1.5},
        {"calibration_clip": (0.9, 0.1)},
        {"adaptive_t_max_s": (5.0, 1.0)},
        {"reference_edges_ns": (2, 1)},
        {"target_trades": 0},
    ],
)
def test_wrong_configuration_is_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values)).replace("policy", "did you mean 'volume'")[:14]):
        BucketConfig(**values)


def test_kinds_counted_as_updates(feed):
    for k, kind in enumerate(
        [EventKind.BOOK_SNAPSHOT, EventKind.ORDER_EXECUTE, EventKind.QUOTE, EventKind.OPEN_INTEREST]
    ):
        feed.add(kind, k)
    assert feed.run(target_volume=1.0).updates == [3]


def test_clock_moved_within_a_message_cuts_at_the_next_older_message(feed):
    feed.book(0).book(10, flags=Flag.FIRST).book(70, flags=Flag.LAST).book(71, ts=65 * S).book(72, ts=20 * S)
    run = feed.run(target_volume=10.0)
    assert run.cuts == [0, 0, 0, Cut.BEFORE, 0]
    older = type(feed)().book(0).book(1, flags=Flag.FIRST).book(70, flags=Flag.LAST).book(71, ts=20 * S)
    assert older.run(target_volume=10.0).cuts == [0, 0, 0, Cut.BEFORE]


def test_time_and_volume_cuts_in_turn_fit_the_scratch(feed):
    feed.trade(0, 1).trade(1, 10)
    for k in range(300):
        feed.book(100 * k + 50).trade(100 * k + 130, 10)
    run = feed.run(target_volume=10.0, t_max_s=60.0)
    assert run.bucket_id == list(range(601))
    assert run.trigger == [Trigger.VOLUME] + [Trigger.TIME, Trigger.VOLUME] * 300
