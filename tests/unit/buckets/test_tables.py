"""Calibration from history, the reading rule, and health."""

from __future__ import annotations

import math

import numpy as np
import pytest

from marketprism.buckets import BUCKET_DTYPE, BucketConfig, BucketConfigRow, bucket_health, calibrate, resolve_config
from marketprism.core.errors import DataError

S = 1_000_000_000
M = 60 * S
KEY = "sim:spot:BTC-USDT"


def test_median_includes_silent_minutes():
    starts = np.arange(0, 400, 2) * M
    result = calibrate(starts, np.full(200, 60.0), as_of_ns=401 * M, since_ns=0)
    assert (result.minutes, result.silent_share) == (401, pytest.approx(201 / 401))
    assert result.target_volume == 0.0
    assert result.tier == "illiquid"
    assert calibrate(starts, np.full(200, 60.0), as_of_ns=401 * M, since_ns=0, min_volume=7.0).target_volume == 7.0


@pytest.mark.parametrize(("silent", "tier"), [(0, "high"), (20, "medium"), (200, "low"), (600, "illiquid")])
def test_tiers(silent, tier):
    result = calibrate(np.arange(silent, 1000) * M, np.full(1000 - silent, 120.0), as_of_ns=1000 * M, since_ns=0)
    assert result.tier == tier


def test_nothing_after_as_of_and_nothing_older_than_a_week():
    week = 7 * 24 * 60
    starts = np.arange(0, week + 200)
    volumes = np.where(starts < 100, 1e9, np.where(starts >= week + 100, 1e9, 60.0))
    result = calibrate(starts * M, volumes, as_of_ns=(week + 100) * M, t_target_s=30.0)
    assert result.minutes == week
    assert result.target_volume == 30.0
    # The minute in which as_of lies is not over yet.
    assert calibrate(starts * M, volumes, as_of_ns=(week + 100) * M + 59 * S).minutes == week
    huge = calibrate([0], [1e9], as_of_ns=100 * M, max_volume=5.0)
    assert (huge.target_volume, huge.silent_share) == (0.0, 0.99)


def test_repeated_minutes_add_up_and_clip():
    starts = np.repeat(np.arange(100), 2) * M
    assert calibrate(starts, np.full(200, 60.0), as_of_ns=100 * M).target_volume == 60.0
    assert calibrate(starts, np.full(200, 60.0), as_of_ns=100 * M, max_volume=5.0).target_volume == 5.0


@pytest.mark.parametrize(
    ("starts", "volumes", "message"),
    [
        ([0], [1.0], "history had 99 minutes"),
        ([], [], "history had 0 minutes"),
        ([0, M], [1.0], "came with"),
        ([0], [-1.0], "volume of minute 1970-01-01T00:00:00.* was -1.0"),
        ([0], [math.nan], "was nan"),
    ],
)
def test_unusable_history_is_refused(starts, volumes, message):
    with pytest.raises(DataError, match=message):
        calibrate(starts, volumes, as_of_ns=99 * M)


def _row(start, end=None, **fields):
    config = BucketConfig(target_volume=float(fields.pop("q", start + 1)))
    return BucketConfigRow(**{"series": KEY, "config": config, "valid_from_ns": start, "valid_to_ns": end, **fields})


def _origin(rows, now, **options):
    counts: dict[str, int] = {}
    found = resolve_config(rows, KEY, now, fallbacks=counts, **options)
    assert counts == ({} if found.origin == "valid" else {found.origin: 1})
    return found.origin, found.config.target_volume


def test_reading_rule():
    rows = [_row(0, 10), _row(5, 20), _row(30), _row(0, series="other", q=99)]
    assert _origin(rows, 7) == ("valid", 6.0)
    assert _origin(rows, 3) == ("valid", 1.0)
    assert _origin(rows, 20) == ("expired", 6.0)
    assert _origin(rows, 30) == ("valid", 31.0)
    built_in = {KEY: BucketConfig(target_volume=77.0)}
    assert _origin(rows, -1, built_in=built_in) == ("built_in", 77.0)
    assert _origin(rows, -1) == ("time", None)
    assert resolve_config(rows, KEY, 20).origin == "expired"


def test_session_rows_and_versions():
    rows = [_row(5), _row(0, session_tag="asia", q=2), _row(0, session_tag="asia", q=3, version=2)]
    assert _origin(rows, 9, session_tag="asia") == ("valid", 3.0)
    assert _origin(rows, 9, session_tag="us") == ("valid", 6.0)
    assert _origin(rows, 9) == ("valid", 6.0)


def _buckets(durations):
    buckets = np.zeros(len(durations), BUCKET_DTYPE)
    ends = np.cumsum(np.array(durations) * S)
    buckets["bucket_id"] = np.arange(len(durations))
    buckets["ts_end"], buckets["duration_ns"] = ends, np.array(durations) * S
    buckets["ts_start"] = ends - buckets["duration_ns"]
    buckets["trigger"] = 1
    return buckets


def test_health_of_good_buckets():
    health = bucket_health(_buckets([30] * 20), lag_s=5.0)
    assert (health.level, health.findings, health.p50_s, health.p90_s) == ("ok", (), 30.0, 30.0)
    assert health.triggers == {"volume": 20}


@pytest.mark.parametrize(
    ("durations", "lag", "level", "finding"),
    [
        ([100] * 5, None, "warn", "p90 duration 100 s"),
        ([130] * 5, None, "critical", "p90 duration 130 s"),
        ([30] * 90 + [91] * 6, None, "warn", "6 buckets over 90 s in an hour"),
        ([30] * 5, 61.0, "warn", "lag 61 s"),
        ([30] * 5, 301.0, "critical", "lag 301 s"),
    ],
)
def test_health_thresholds(durations, lag, level, finding):
    health = bucket_health(_buckets(durations), lag_s=lag)
    assert (health.level, health.findings) == (level, (finding,))


def test_long_buckets_hours_apart_are_fine():
    durations = [30] * 200
    durations[::40] = [3700] * 5
    assert bucket_health(_buckets(durations)).long_in_hour == 1


def test_health_names_broken_identities():
    buckets = _buckets([30] * 5)
    buckets["bucket_id"][3] = 7
    buckets["ts_start"][2] -= 1
    health = bucket_health(buckets)
    assert (health.level, health.id_anomalies, health.overlaps) == ("critical", 2, 1)
