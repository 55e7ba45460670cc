"""What holds for every policy on every stream."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketprism.book.views import VIEW_DTYPE, BookViews, ViewStatus
from marketprism.buckets import BUCKET_DTYPE, BucketClock, BucketConfig, Cut, Trigger
from marketprism.core.instrument import Instrument
from marketprism.core.kinds import EventKind, Flag
from marketprism.core.rows import empty_rows

BTC = Instrument(exchange="sim", market_type="spot", symbol="BTC-USDT", tick_size=Decimal("0.01"))
SECOND = 1_000_000_000
KINDS = [EventKind.TRADE] * 5 + [EventKind.BOOK_DELTA] * 5 + [EventKind.QUOTE, EventKind.FUNDING_RATE]
CONFIGS = {
    "volume": BucketConfig(target_volume=20.0, t_target_s=5.0),
    "volume-calibrated": BucketConfig(t_target_s=1.0),
    "time": BucketConfig(policy="time", t_target_s=3.0),
    "count": BucketConfig(policy="count", target_trades=4, t_target_s=5.0),
    "event": BucketConfig(policy="event", t_target_s=1.0),
    "hybrid": BucketConfig(policy="hybrid", target_volume=5.0, min_trades=3, t_target_s=5.0),
    "adaptive": BucketConfig(policy="adaptive", t_target_s=1.0),
    "reference": BucketConfig(policy="reference", reference_edges_ns=tuple(k * 7 * SECOND for k in range(1, 40))),
}


def _stream(seed, n, *, burst, gaps):
    rng = np.random.default_rng(seed)
    rows = empty_rows(n)
    rows["kind"] = rng.choice(KINDS, n)
    step = rng.choice([0, 1, SECOND // 50, 3 * SECOND], n, p=[burst, 0.1, 0.85 - burst, 0.05])
    rows["ts_event"] = np.cumsum(step) + rng.integers(-SECOND // 10, SECOND // 10, n)
    rows["ts_recv"] = np.cumsum(step) + SECOND
    rows["quantity"] = rng.integers(1, 1000, n) / 100
    rows["side"] = rng.integers(-1, 2, n)
    rows["price"] = 10_000 + rng.integers(-5, 6, n)
    ends = rng.random(n) < 0.7
    ends |= rows["kind"] == EventKind.FUNDING_RATE
    single = rng.random(n) < gaps
    rows["kind"][single] = EventKind.GAP
    ends[single] = True
    ends[:-1] |= single[1:] | (rows["kind"][1:] == EventKind.FUNDING_RATE)
    starts = np.concatenate([[True], ends[:-1]])
    rows["flags"] = starts * Flag.FIRST + ends * Flag.LAST
    top = np.zeros(n, VIEW_DTYPE)
    top["bid"] = 9_990 + rng.integers(0, 5, n)
    top["ask"] = top["bid"] + rng.integers(1, 4, n)
    top["status"] = np.where(rng.random(n) < 2 * gaps, 3, 3 | 4 | 32)
    return rows, top


def _views(top):
    return BookViews(top, np.zeros((1, 2, 1), np.int64), np.zeros((1, 2, 1)))


def _run(config, rows, top, sizes, *, reload=False):
    clock = BucketClock(BTC, config)
    cuts, buckets, start = [], [], 0
    while start < len(rows):
        size = next(sizes)
        part = clock.push(rows[start : start + size], _views(top[start : start + size]))
        assert len(part.buckets) == np.unpackbits(part.cuts).sum()
        cuts.append(part.cuts)
        buckets.append(part.buckets)
        start += size
        if reload and len(cuts) % 7 == 0:
            clock = BucketClock.load(clock.save())
    return np.concatenate(cuts), np.concatenate([*buckets, clock.flush()]), clock.save()


def _always(size):
    while True:
        yield size


streams = st.builds(
    _stream,
    st.integers(0, 2**32 - 1),
    st.integers(1, 700),
    burst=st.sampled_from([0.0, 0.2, 0.8]),
    gaps=st.sampled_from([0.0, 0.01, 0.1]),
)


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=25, deadline=None)
@given(stream=streams)
def test_identities(name, stream):
    rows, top = stream
    cuts, buckets, _ = _run(CONFIGS[name], rows, top, _always(len(rows)))
    assert buckets["bucket_id"].tolist() == list(range(len(buckets)))
    assert (buckets["duration_ns"] > 0).all()
    assert (buckets["ts_end"] - buckets["ts_start"] == buckets["duration_ns"]).all()
    assert (buckets["ts_start"][1:] >= buckets["ts_end"][:-1]).all()
    assert (np.diff(buckets["segment"]) >= 0).all()
    assert (np.diff(buckets["ts_known"]) >= 0).all()
    assert set(np.unique(cuts)) <= {Cut.NONE, Cut.BEFORE}
    cut = np.flatnonzero(cuts)
    first = (rows["flags"][cut] & Flag.FIRST) != 0
    lost = _loses_data(rows, top)[cut]
    # Only a sequence loss may cut inside a message.
    assert (first | lost).all()
    closed = buckets[: len(cut)]
    assert (closed["ts_known"] == rows["ts_recv"][cut]).all()
    assert lost[closed["trigger"] == Trigger.GAP].all()
    assert (np.diff(buckets["segment"])[lost[: len(buckets) - 1]] > 0).all()


def _loses_data(rows, top):
    """Where a gap row is, or the book loses its sequence."""
    synced = (top["status"] & ViewStatus.SYNCED) != 0
    return (rows["kind"] == EventKind.GAP) | (np.concatenate([[False], synced[:-1]]) & ~synced)


FILLS = {Trigger.VOLUME, Trigger.COUNT, Trigger.EVENT, Trigger.QUALITY}


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=25, deadline=None)
@given(stream=streams)
def test_a_full_bucket_has_all_of_its_last_time(name, stream):
    """Recomputed from the tape: it ends at the clock before the cut, the clock moves there, and its mid is the last."""
    rows, top = stream
    cuts, buckets, _ = _run(CONFIGS[name], rows, top, _always(len(rows)))
    clock = np.maximum.accumulate(rows["ts_event"])
    lost = _loses_data(rows, top)
    for bucket, i in zip(buckets, np.flatnonzero(cuts), strict=False):
        if bucket["trigger"] not in FILLS:
            continue
        assert bucket["ts_end"] == clock[i - 1]
        assert clock[i] > clock[i - 1] or lost[i]
        view = top[i - 1]
        valid = view["status"] & ViewStatus.VALID and rows["kind"][i - 1] != EventKind.GAP
        mid = (view["bid"] + view["ask"]) * 0.5 * 0.01 if valid else np.nan
        np.testing.assert_equal(bucket["mid_last"], mid)


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=25, deadline=None)
@given(stream=streams)
def test_each_trade_is_in_exactly_one_bucket(name, stream):
    """Assign rows to buckets by the cut bits alone and recompute every sum from them."""
    rows, top = stream
    cuts, buckets, _ = _run(CONFIGS[name], rows, top, _always(len(rows)))
    owner = np.cumsum((cuts & Cut.BEFORE) != 0)
    trade = rows["kind"] == EventKind.TRADE
    assert buckets["trades"].sum() == trade.sum()
    for k, bucket in enumerate(buckets):
        mine = rows[trade & (owner == k)]
        assert bucket["trades"] == len(mine)
        assert bucket["volume"] == sum(mine["quantity"].tolist(), 0.0) or np.isclose(
            bucket["volume"], mine["quantity"].sum()
        )
        assert np.isclose(bucket["buy_volume"], mine["quantity"][mine["side"] > 0].sum())
        assert np.isclose(bucket["sell_volume"], mine["quantity"][mine["side"] < 0].sum())
        if len(mine):
            price = mine["price"] * 0.01
            assert [bucket[n] for n in ("open", "high", "low", "close")] == [
                price[0],
                max(price),
                min(price),
                price[-1],
            ]


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=6, deadline=None)
@given(stream=streams)
def test_chunk_invariance_and_restore(name, stream):
    rows, top = stream
    cuts, buckets, state = _run(CONFIGS[name], rows, top, _always(len(rows)))
    for size in (1, 37, 4096):
        again = _run(CONFIGS[name], rows, top, _always(size), reload=True)
        assert again[0].tobytes() == cuts.tobytes()
        assert len(again[1]) == len(buckets)
        for field in BUCKET_DTYPE.names:
            assert again[1][field].tobytes() == buckets[field].tobytes(), field
        assert again[2] == state


@settings(max_examples=50, deadline=None)
@given(stream=streams)
def test_volume_buckets_hold_the_target_and_not_one_trade_more(stream):
    rows, top = stream
    config = CONFIGS["volume"]
    _, buckets, _ = _run(config, rows, top, _always(len(rows)))
    closed = buckets[buckets["trigger"] == Trigger.VOLUME]
    assert (closed["volume"] >= 20 - 1e-9).all()
    others = buckets[(buckets["trigger"] == Trigger.TIME)]
    assert (others["duration_ns"] == config.t_max_ns).all()
