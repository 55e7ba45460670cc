"""Book and clock together on simulated and recorded streams: chunks of any size, saved and restored on the way."""

from __future__ import annotations

import numpy as np
import pytest

from marketprism.book.book import Book
from marketprism.buckets import BUCKET_DTYPE, BucketClock, BucketConfig, Trigger, bucket_health
from marketprism.core.block import concat
from marketprism.core.kinds import EventKind, Flag
from marketprism.ingest.registry import open_source

STREAMS = {
    "sim": "sim:?minutes=5",
    "lobster": "lobster:{data}/lobster/AAPL_first998rows_message_10.csv.gz,"
    "{data}/lobster/AAPL_first998rows_orderbook_10.csv.gz?date=2012-06-21",
    "binance": "binance-ws:{data}/binance_ws_20240808/cm_btcusd_perp_20240808.gz",
}
POLICIES = ("volume", "time", "count", "event", "hybrid", "adaptive")


@pytest.fixture(scope="module")
def streams(request):
    """Open a stream once for all policies and sizes; at most the first 30,000 rows."""
    cache = {}

    def load(name):
        if name not in cache:
            data = request.getfixturevalue("data_dir") if name != "sim" else ""
            source = open_source(STREAMS[name].format(data=data))
            parts, n = [], 0
            for block in source:
                parts.append(block)
                n += len(block)
                if n >= 30_000:
                    break
            cache[name] = concat(parts)[:30_000]
        return cache[name]

    return load


def _run(block, config, size):
    book, clock = Book(block.instrument), BucketClock(block.instrument, config)
    cuts, buckets = [], []
    for number, chunk in enumerate(block.chunks(size)):
        part = clock.push(chunk.rows, book.push(chunk.rows))
        cuts.append(part.cuts)
        buckets.append(part.buckets)
        if number % 97 == 3:
            clock = BucketClock.load(clock.save())
    return np.concatenate(cuts), np.concatenate([*buckets, clock.flush()]), clock.save()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", STREAMS)
def test_chunks_change_nothing(streams, name, policy):
    block = streams(name)
    span_s = int(np.ptp(block.rows["ts_event"])) / 1e9
    config = BucketConfig(policy=policy, t_target_s=min(5.0, span_s / 60))
    cuts, buckets, state = _run(block, config, len(block))
    assert len(buckets) > 20
    sizes = (37, 4096) if name == "binance" else (1, 37, 4096)
    for size in sizes:
        other_cuts, other, other_state = _run(block, config, size)
        np.testing.assert_array_equal(other_cuts, cuts)
        for field in BUCKET_DTYPE.names:
            assert other[field].tobytes() == buckets[field].tobytes(), (size, field)
        assert other_state == state
    trades = block.rows[block.rows["kind"] == EventKind.TRADE]
    counted = trades[(trades["flags"] & Flag.AUCTION) == 0]
    assert buckets["trades"].sum() == len(counted)
    np.testing.assert_allclose(buckets["volume"].sum(), counted["quantity"].sum())
    health = bucket_health(buckets)
    assert (health.id_anomalies, health.overlaps) == (0, 0)
    assert (buckets["duration_ns"] > 0).all()


def test_calibrated_volume_buckets_last_as_long_as_asked(streams):
    """After the warm-up, volume buckets of the simulated market have the wanted median duration."""
    source = open_source("sim:?minutes=60")
    book, clock = Book(source.instrument), BucketClock(source.instrument, BucketConfig(t_target_s=20.0))
    buckets = np.concatenate([clock.push(block.rows, book.push(block.rows)).buckets for block in source])
    warm = buckets[buckets["ts_start"] > source.config.start_ns + 220 * 10**9]
    assert np.median(warm["duration_ns"]) / 1e9 == pytest.approx(20.0, rel=0.25)
    assert (warm["trigger"] == Trigger.VOLUME).mean() > 0.8
    assert (buckets["ts_known"] >= buckets["ts_end"]).all()


def test_mid_of_a_bucket_is_the_last_mid_at_or_before_its_end(streams):
    block = streams("sim")
    book = Book(block.instrument)
    top = book.push(block.rows).top
    _, buckets, _ = _run(block, BucketConfig(policy="time", t_target_s=7.0), len(block))
    mids = (top["bid"] + top["ask"]) * 0.5 * block.instrument.tick
    for bucket in buckets[:-1]:
        # The message at the boundary itself opens the next bucket.
        last = np.searchsorted(block.rows["ts_event"], bucket["ts_end"], side="left") - 1
        assert bucket["mid_last"] == mids[last]
